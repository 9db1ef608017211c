//! Links and mentions inside a text.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// How a link starts: with a scheme, `www.`, or one of the shorteners that platforms write without a scheme, and one
/// character behind it.
const START: &str = r#"(?i-u:https?://|\bwww\.|\b(?:pic\.twitter\.com|t\.co|bit\.ly|youtu\.be|goo\.gl|tinyurl\.com)/)[^\s<>"]"#;

static LINK_START: LazyLock<Regex> = LazyLock::new(|| pattern(START));

/// A link with what stands behind it without a space.
static LINK: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("{START}+")));

/// A mention: `@name` as Twitter has it, `u/name` or `/u/name` as Reddit has it.
static MENTION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"@[A-Za-z0-9_]{1,30}|/?(?-u:\b)u/[A-Za-z0-9_-]{3,20}"));

/// Byte ranges of the links of a text, in order and disjoint.
///
/// Punctuation that belongs to the sentence (a final full stop, the bracket of Markdown's `[text](link)`) is not
/// part of the link.
pub fn links(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    LINK.find_iter(text).map(|found| found.start()..found.start() + link_len(found.as_str()))
}

/// The first link of a text from a byte on. Unlike [`links`] it finds those too that stand behind another without a space
/// between. Nothing behind a link is looked at, so that finding one after another takes one look at the text.
pub(super) fn link_from(text: &str, from: usize) -> Option<Range<usize>> {
    let start = LINK_START.find_at(text, from)?.start();
    Some(start..start + link_len(&text[start..]))
}

/// Byte ranges of the mentions of people in a text, in order and disjoint; those inside a link or an e-mail
/// address do not count.
pub fn mentions(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut links = links(text).peekable();
    MENTION.find_iter(text).map(|found| found.range()).filter(move |range| {
        while links.next_if(|link| link.end <= range.start).is_some() {}
        let in_link = links.peek().is_some_and(|link| link.start < range.end);
        !in_link && !is_inside(text, range.start) && !goes_on(text, range.end)
    })
}

/// As [`mentions`], of a text without links; those count too that stand right behind another.
pub(super) fn glued_mentions(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut last_end = 0;
    MENTION.find_iter(text).map(|found| found.range()).filter(move |range| {
        let is_free = range.start == last_end || !is_inside(text, range.start);
        let is_mention = is_free && !goes_on(text, range.end);
        if is_mention {
            last_end = range.end;
        }
        is_mention
    })
}

/// Whether what stands before a byte makes a name there a part of a word, an address or a path.
fn is_inside(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(|c| is_of_name(c) || "/@.-".contains(c))
}

/// Whether a name that ends before a byte goes on there.
fn goes_on(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(is_of_name)
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the hashtags of a text stand, in bytes and in order; `links` are the text's links.
pub(super) fn hashtags<'a>(text: &'a str, links: &'a [Range<usize>]) -> impl Iterator<Item = usize> + 'a {
    let mut links = links.iter().peekable();
    text.match_indices('#').map(|(at, _)| at).filter(move |&at| {
        while links.next_if(|link| link.end <= at).is_some() {}
        let in_link = links.peek().is_some_and(|link| link.start < at);
        let in_word =
            text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "#&_/".contains(c));
        let mut tag = text[at + 1..].chars().take_while(|c| c.is_alphanumeric() || *c == '_');
        !in_link && !in_word && tag.any(char::is_alphabetic)
    })
}

/// Compiles a pattern of this crate.
#[expect(clippy::expect_used, reason = "patterns are constants, and every one of them is used by a test")]
pub(super) fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern compiles")
}

/// Punctuation that belongs to the sentence where it stands at the end of a link.
pub(super) const BEHIND_LINK: [char; 12] = ['.', ',', ';', ':', '!', '?', '\'', '"', '*', '…', '’', '”'];

/// Length in bytes of the link at the start of a text, without the punctuation of the sentence around it.
fn link_len(text: &str) -> usize {
    let mut end = text.len();
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        let is_end = match c {
            '(' | '[' => {
                depth += 1;
                false
            }
            // A closing bracket without its opening one ends the link: "(see https://example.com/a_(b))".
            ')' | ']' => {
                depth -= 1;
                depth < 0
            }
            c => c.is_whitespace() || "<>\"".contains(c),
        };
        if is_end {
            end = at;
            break;
        }
    }
    text[..end].trim_end_matches(BEHIND_LINK).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links_of(text: &str) -> Vec<&str> {
        links(text).map(|range| &text[range]).collect()
    }

    fn mentions_of(text: &str) -> Vec<&str> {
        mentions(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn links_end_where_the_sentence_goes_on() {
        for (text, expected) in [
            ("see https://example.com/a.html.", vec!["https://example.com/a.html"]),
            ("[text](http://example.com/x) more", vec!["http://example.com/x"]),
            ("(https://example.com/a_(b))", vec!["https://example.com/a_(b)"]),
            ("HTTPS://EXAMPLE.COM, www.example.org!", vec!["HTTPS://EXAMPLE.COM", "www.example.org"]),
            ("so t.co/abc and pic.twitter.com/x1", vec!["t.co/abc", "pic.twitter.com/x1"]),
            ("but about.com/abc is not one, nor is awww.", vec![]),
            ("<a href=\"https://example.com\">", vec!["https://example.com"]),
            ("", vec![]),
        ] {
            assert_eq!(links_of(text), expected, "{text}");
        }
    }

    #[test]
    fn mentions_are_of_people() {
        for (text, expected) in [
            ("@ann and @bob_1: hi", vec!["@ann", "@bob_1"]),
            ("thanks /u/some-one, u/other", vec!["/u/some-one", "u/other"]),
            ("mail ann@example.com", vec![]),
            ("https://example.com/@ann and @bob", vec!["@bob"]),
            ("r/leeds has no mention, nor menu/dinner", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(mentions_of(text), expected, "{text}");
        }
    }
}
