//! Sentences, and words in a row that texts have in common.

use std::collections::HashSet;

/// Fewest words of a sentence that says something of its own.
const FEWEST_WORDS: usize = 4;

/// The sentences of a text that have at least four words, cut behind full stops, question and exclamation marks and at line
/// breaks. An abbreviation ends one too, which makes pieces, and loses nothing.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let ends = matches!(character, '.' | '!' | '?' | '…' | '。' | '！' | '？')
            && next.is_none_or(|next| next.is_whitespace() || matches!(next, '"' | '\'' | '”' | '’'));
        if ends || character == '\n' || next.is_none() {
            let end = at + character.len_utf8();
            sentences.push(text[start..end].trim());
            start = end;
        }
    }
    sentences.retain(|sentence| words(sentence).len() >= FEWEST_WORDS);
    sentences
}

/// Words of a text in lower case, without any signs.
pub fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    parts.map(str::to_lowercase).collect()
}

/// The first words of a text as [`words`] gives them, at most `most`, numbers left out; none if there are fewer than `fewest`.
///
/// Texts that go on differently behind it have one opening, and so have texts that differ in numbers, as those of placeholders.
pub fn opening(text: &str, fewest: usize, most: usize) -> Option<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric());
    let words = parts.filter(|part| part.chars().any(|c| !c.is_ascii_digit())).take(most);
    let (mut opening, mut count) = (String::new(), 0);
    for word in words {
        if count > 0 {
            opening.push(' ');
        }
        opening.push_str(&word.to_lowercase());
        count += 1;
    }
    (count >= fewest).then_some(opening)
}

/// All runs of a number of words in a row that some texts have.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    count: usize,
    runs: HashSet<String>,
}

impl Runs {
    /// Of `count` words in a row; a run does not go over from one text to the next.
    pub fn of<'t>(count: usize, texts: impl IntoIterator<Item = &'t str>) -> Self {
        let count = count.max(1);
        let mut runs = HashSet::new();
        for text in texts {
            runs.extend(words(text).windows(count).map(|run| run.join(" ")));
        }
        Self { count, runs }
    }

    /// The first of the runs that stands in a text, in lower case and without signs.
    pub fn first_in(&self, text: &str) -> Option<String> {
        if self.runs.is_empty() {
            return None;
        }
        words(text).windows(self.count).map(|run| run.join(" ")).find(|run| self.runs.contains(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_cut_where_they_end() {
        let text = "I sold the old boat. Why? Because it leaked (a lot!) every spring\nand \"nobody wanted it any more.\" End";
        let expected = [
            "I sold the old boat.",
            "Because it leaked (a lot!) every spring",
            "and \"nobody wanted it any more.",
        ];
        assert_eq!(sentences(text), expected);
        assert!(sentences("").is_empty() && sentences("Too short. Really!").is_empty());
    }

    #[test]
    fn openings_are_of_words_alone() {
        for (text, expected) in [
            ("Mail <EMAIL_417>, or call me.", Some("mail email or call")),
            ("Mail <EMAIL> or **call**", Some("mail email or call")),
            ("one two 3 4", None),
            ("", None),
        ] {
            assert_eq!(opening(text, 3, 4).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_run_of_words_is_found_across_signs_and_case() {
        let run = |count| {
            let runs = Runs::of(count, ["and the old boat leaked", "on and on"]);
            runs.first_in("He said: the OLD boat, leaked. On")
        };
        assert_eq!(run(4).as_deref(), Some("the old boat leaked"));
        assert_eq!(run(5), None);
        assert_eq!(Runs::of(0, [""]).first_in(""), None);
        assert_eq!(Runs::default().first_in("a"), None);
    }
}
