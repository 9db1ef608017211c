//! What an answer says between its tags, and what costs it reward (papers' section 2.6).

use std::collections::BTreeSet;

/// Fewest words of an answer that can be a copy; shorter ones repeat words by chance.
const MIN_COPY_WORDS: usize = 5;

/// Words of a stretch by which a copy is recognised.
const COPY_STRETCH: usize = 3;

/// Share of an answer's stretches that make it a copy if the context has them.
const COPY_SHARE: f64 = 0.8;

/// A well-formed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// What stands between the tags, without space around it.
    pub(super) content: String,
    /// Whether there is markup outside the tags.
    pub(super) stray: bool,
}

/// Reads `<tag>content</tag>`. None if the tags are not there, or nothing, or another such tag, is between them.
pub(super) fn parse(text: &str, tag: &str) -> Option<Answer> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let (before, rest) = text.split_once(&open)?;
    let (content, after) = rest.split_once(&close)?;
    if content.contains(&open) || content.trim().is_empty() {
        return None;
    }
    let stray = has_markup(before) || has_markup(after);
    Some(Answer { content: content.trim().to_owned(), stray })
}

/// Whether there is a tag, of any name, or a fence of code in the text.
fn has_markup(text: &str) -> bool {
    let is_tag = |(at, _): (usize, &str)| {
        let rest = text[at + 1..].strip_prefix('/').unwrap_or(&text[at + 1..]);
        let name =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
        name > 0 && rest[name..].starts_with('>')
    };
    text.contains("```") || text.match_indices('<').any(is_tag)
}

/// Whether an answer is little more than words of the context.
pub(super) fn is_copy(answer: &str, context: &str) -> bool {
    let answer = words(answer);
    if answer.len() < MIN_COPY_WORDS {
        return false;
    }
    let context = words(context);
    let known: BTreeSet<&[String]> = context.windows(COPY_STRETCH).collect();
    let stretches = answer.windows(COPY_STRETCH);
    let (count, copied) = (stretches.len(), stretches.filter(|stretch| known.contains(stretch)).count());
    copied as f64 >= COPY_SHARE * count as f64
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_or_malformed() {
        let cases: [(&str, Option<(&str, bool)>); 22] = [
            ("<goal>ask for help</goal>", Some(("ask for help", false))),
            ("  <goal>\nask\nfor help </goal>\n", Some(("ask\nfor help", false))),
            ("<goal>1 < 2 and <b>so</b></goal>", Some(("1 < 2 and <b>so</b>", false))),
            ("Sure: <goal>ask</goal>, I think", Some(("ask", false))),
            ("I <3 it: <goal>ask</goal> 1 <2> 3? <goal", Some(("ask", true))),
            ("I <3 it: <goal>ask</goal> 1 < 2 > 3? <goal", Some(("ask", false))),
            ("<think>hm</think><goal>ask</goal>", Some(("ask", true))),
            ("<goal>ask</goal></goal>", Some(("ask", true))),
            ("<goal>ask</goal> <goal>tell</goal>", Some(("ask", true))),
            ("```xml\n<goal>ask</goal>\n```", Some(("ask", true))),
            ("</goal><goal>ask</goal>", Some(("ask", true))),
            ("<goal>é</goal><ü>", Some(("é", false))),
            ("", None),
            ("ask for help", None),
            ("<goal>ask for help", None),
            ("ask for help</goal>", None),
            ("</goal>ask<goal>", None),
            ("<goal> \n</goal>", None),
            ("<Goal>ask</Goal>", None),
            ("<goal >ask</goal>", None),
            ("<value>ask</value>", None),
            ("<goal><goal>ask</goal></goal>", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(content, stray)| Answer { content: content.into(), stray });
            assert_eq!(parse(text, "goal"), expected, "{text}");
        }
    }

    #[test]
    fn a_copy_is_told_from_an_answer() {
        let context = "Should I sell my old steel bike, or keep it for the winter?";
        for (answer, expected) in [
            ("should I SELL my old steel bike", true),
            ("Keep it for the winter? Or sell my old steel bike, or keep it", false),
            ("or keep it for the winter! Yes", true),
            ("keep it", false),
            ("", false),
            ("Never sell a steel frame, you will regret it by spring.", false),
        ] {
            assert_eq!(is_copy(answer, context), expected, "{answer}");
        }
        assert!(!is_copy("one two three four five six", ""));
    }
}
