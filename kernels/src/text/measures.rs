//! Numbers about one text: length, links, letters, signs.
//!
//! Words are what stands between white space, as in the papers' own `split()`. Repetition has its own module,
//! [`super::repetition`].

use std::ops::Range;

use super::links::{links, mentions};

/// Length in Unicode scalar values.
pub fn n_chars(text: &str) -> usize {
    text.chars().count()
}

/// Number of words. Gopher keeps 50 to 100,000 (Rae et al. 2021, section A1.1); `HumanLLM` asks for 10 in a Reddit
/// body that ends in a question mark and for 6 in an Amazon review.
pub fn n_words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Mean length of the words in characters; 0 without words. Gopher keeps 3 to 10.
pub fn mean_word_chars(text: &str) -> f64 {
    ratio(text.chars().filter(|c| !c.is_whitespace()).count(), n_words(text))
}

/// Number of links.
pub fn n_links(text: &str) -> usize {
    links(text).count()
}

/// Share of the words that are links or hold one.
pub fn link_word_ratio(text: &str) -> f64 {
    let mut links = links(text).peekable();
    let (mut words, mut linked) = (0, 0);
    for word in text.split_whitespace() {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        let end = start + word.len();
        words += 1;
        let mut holds_link = false;
        while links.next_if(|link| link.start < end).is_some() {
            holds_link = true;
        }
        linked += usize::from(holds_link);
    }
    ratio(linked, words)
}

/// Share of upper-case letters among the letters that have a case.
pub fn upper_case_ratio(text: &str) -> f64 {
    let upper = text.chars().filter(|c| c.is_uppercase()).count();
    ratio(upper, upper + text.chars().filter(|c| c.is_lowercase()).count())
}

/// Share of letters among the characters that are no white space.
pub fn letter_ratio(text: &str) -> f64 {
    visible_ratio(text, char::is_alphabetic)
}

/// Share of digits and other numerals among the characters that are no white space.
pub fn digit_ratio(text: &str) -> f64 {
    visible_ratio(text, char::is_numeric)
}

/// Share of characters that are neither letter nor numeral among those that are no white space; emoji count.
pub fn symbol_ratio(text: &str) -> f64 {
    visible_ratio(text, |c| !c.is_alphanumeric())
}

/// Share of words with at least one letter. Gopher keeps 0.80 and more.
pub fn alphabetic_word_ratio(text: &str) -> f64 {
    ratio(text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count(), n_words(text))
}

/// Hash signs and ellipses per word; it can exceed 1. Gopher drops above 0.10.
pub fn symbol_word_ratio(text: &str) -> f64 {
    let symbols = text.matches(['#', '…']).count() + text.matches("...").count();
    ratio(symbols, n_words(text))
}

/// Number of emoji; a sequence that shows as one picture (skin tone, family, flag) counts once.
pub fn n_emoji(text: &str) -> usize {
    const JOINER: char = '\u{200d}';
    let (mut count, mut joined, mut flag_open) = (0, false, false);
    for c in text.chars() {
        let is_flag = matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
        if is_flag && flag_open {
            flag_open = false;
        } else if is_emoji(c) && !joined {
            count += 1;
            flag_open = is_flag;
        } else {
            flag_open = false;
        }
        joined = c == JOINER;
    }
    count
}

/// Share of emoji among the characters that are no white space.
pub fn emoji_ratio(text: &str) -> f64 {
    visible_ratio(text, |c| is_emoji(c) || is_emoji_part(c))
}

/// Number of hashtags: `#` and a word with a letter in it, not inside a link or a word.
pub fn n_hashtags(text: &str) -> usize {
    hashtags(text, &links(text).collect::<Vec<_>>()).count()
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

/// Number of mentions of people (`@name`, `u/name`).
pub fn n_mentions(text: &str) -> usize {
    mentions(text).count()
}

/// Whether a character shows as a picture of its own.
pub(super) fn is_emoji(c: char) -> bool {
    matches!(
        u32::from(c),
        0x203c | 0x2049 | 0x2139 | 0x231a..=0x231b | 0x2328 | 0x23cf | 0x23e9..=0x23f3 | 0x23f8..=0x23fa
            | 0x24c2 | 0x25fb..=0x25fe | 0x2600..=0x27bf | 0x2b05..=0x2b07 | 0x2b1b..=0x2b1c | 0x2b50 | 0x2b55
            | 0x3297 | 0x3299 | 0x1f004 | 0x1f0cf | 0x1f170..=0x1f171 | 0x1f17e..=0x1f17f | 0x1f18e
            | 0x1f191..=0x1f19a | 0x1f1e6..=0x1f1ff | 0x1f201..=0x1f202 | 0x1f21a | 0x1f22f | 0x1f232..=0x1f23a
            | 0x1f250..=0x1f251 | 0x1f300..=0x1f3fa | 0x1f400..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f7e0..=0x1f7eb
            | 0x1f90c..=0x1f9ff | 0x1fa70..=0x1faff
    )
}

/// Whether a character only changes the emoji beside it.
pub(super) fn is_emoji_part(c: char) -> bool {
    matches!(c, '\u{200d}' | '\u{fe0f}' | '\u{20e3}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

fn visible_ratio(text: &str, is_part: impl Fn(char) -> bool) -> f64 {
    let (mut visible, mut part) = (0, 0);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        visible += 1;
        part += usize::from(is_part(c));
    }
    ratio(part, visible)
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Measure = fn(&str) -> f64;
    type Count = fn(&str) -> usize;

    #[test]
    fn ratios_count_what_they_say() {
        let cases: &[(&str, Measure, &str, f64)] = &[
            ("link words", link_word_ratio, "see https://example.com/a, (www.example.org) ok", 0.5),
            ("link words", link_word_ratio, "https://example.com", 1.0),
            ("upper case", upper_case_ratio, "ABcd 12", 0.5),
            ("upper case", upper_case_ratio, "123 漢字", 0.0),
            ("letters", letter_ratio, "ab 1!", 0.5),
            ("digits", digit_ratio, "a1 2!", 0.5),
            ("symbols", symbol_ratio, "a1 !?", 0.5),
            ("alphabetic words", alphabetic_word_ratio, "a1 22 -- b", 0.5),
            ("symbols per word", symbol_word_ratio, "#a b... c… d", 0.75),
            ("emoji", emoji_ratio, "ab 😀❤️", 0.6),
            ("word length", mean_word_chars, "abc d", 2.0),
        ];
        for (name, measure, text, expected) in cases {
            assert!((measure(text) - expected).abs() < 1e-12, "{name} of {text:?}: {}", measure(text));
            assert!(measure("").abs() < 1e-12 && measure(" \n").abs() < 1e-12, "{name} of nothing");
        }
    }

    #[test]
    fn counts_count_what_they_say() {
        let cases: &[(Count, &str, usize)] = &[
            (n_chars, "né😀", 3),
            (n_words, " a  b\nc ", 3),
            (n_links, "https://example.com and www.example.org", 2),
            (n_emoji, "👨‍👩‍👧 👍🏽 🇬🇧🇫🇷 ❤️ ok 1", 5),
            (n_emoji, "plain (c) text", 0),
            (n_hashtags, "#one #two_2 #3 C# a#b https://example.com/#frag &#39; ##no", 2),
            (n_mentions, "@a and /u/bob_b", 2),
        ];
        for (count, text, expected) in cases {
            assert_eq!(count(text), *expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ratios_stay_in_range(text in "(\\PC|[a-z]{1,5} |#|@|\n|https://){0,40}") {
            let all: [Measure; 7] = [
                link_word_ratio, upper_case_ratio, letter_ratio, digit_ratio, symbol_ratio, alphabetic_word_ratio,
                emoji_ratio,
            ];
            for measure in all {
                prop_assert!((0.0..=1.0).contains(&measure(&text)));
            }
        }

        #[test]
        fn letters_numerals_and_symbols_are_everything(text in "\\PC{1,40}") {
            let sum = letter_ratio(&text) + digit_ratio(&text) + symbol_ratio(&text);
            prop_assert!(text.trim().is_empty() || sum >= 1.0 - 1e-9);
        }
    }
}
