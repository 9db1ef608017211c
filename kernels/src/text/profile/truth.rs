//! The measures of a text one by one, plainly written: what the profile is held against.
//!
//! Words are what stands between white space, as in the papers' own `split()`.

use std::collections::{HashMap, HashSet};

use super::super::links::{hashtags, links, mentions};
use super::characters::{is_emoji, is_emoji_part};

/// Length in Unicode scalar values.
pub(super) fn n_chars(text: &str) -> usize {
    text.chars().count()
}

/// Number of words. Gopher keeps 50 to 100,000 (Rae et al. 2021, section A1.1); `HumanLLM` asks for 10 in a Reddit
/// body that ends in a question mark and for 6 in an Amazon review.
pub(super) fn n_words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Mean length of the words in characters; 0 without words. Gopher keeps 3 to 10.
pub(super) fn mean_word_chars(text: &str) -> f64 {
    ratio(text.chars().filter(|c| !c.is_whitespace()).count(), n_words(text))
}

/// Number of links.
pub(super) fn n_links(text: &str) -> usize {
    links(text).count()
}

/// Share of the words that are links or hold one.
pub(super) fn link_word_ratio(text: &str) -> f64 {
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
pub(super) fn upper_case_ratio(text: &str) -> f64 {
    let upper = text.chars().filter(|c| c.is_uppercase()).count();
    ratio(upper, upper + text.chars().filter(|c| c.is_lowercase()).count())
}

/// Share of letters among the characters that are no white space.
pub(super) fn letter_ratio(text: &str) -> f64 {
    visible_ratio(text, char::is_alphabetic)
}

/// Share of digits and other numerals among the characters that are no white space.
pub(super) fn digit_ratio(text: &str) -> f64 {
    visible_ratio(text, char::is_numeric)
}

/// Share of characters that are neither letter nor numeral among those that are no white space; emoji count.
pub(super) fn symbol_ratio(text: &str) -> f64 {
    visible_ratio(text, |c| !c.is_alphanumeric())
}

/// Share of words with at least one letter. Gopher keeps 0.80 and more.
pub(super) fn alphabetic_word_ratio(text: &str) -> f64 {
    ratio(text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count(), n_words(text))
}

/// Share of emoji among the characters that are no white space.
pub(super) fn emoji_ratio(text: &str) -> f64 {
    visible_ratio(text, |c| is_emoji(c) || is_emoji_part(c))
}

/// Number of hashtags: `#` and a word with a letter in it, not inside a link or a word.
pub(super) fn n_hashtags(text: &str) -> usize {
    hashtags(text, &links(text).collect::<Vec<_>>()).count()
}

/// Number of mentions of people (`@name`, `u/name`).
pub(super) fn n_mentions(text: &str) -> usize {
    mentions(text).count()
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

/// Share of the characters in lines that repeat an earlier line, white space around lines left out.
/// Gopher drops above 0.20 (Rae et al. 2021, table A1).
pub(super) fn repeated_line_char_share(text: &str) -> f64 {
    let mut seen = HashSet::new();
    let (mut chars, mut repeated) = (0_usize, 0_usize);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let len = line.chars().count();
        chars += len;
        repeated += if seen.insert(line) { 0 } else { len };
    }
    ratio(repeated, chars)
}

/// Share of the words that only repeat the word before them, in any case: 3 of 5 in "buy buy BUY buy now".
pub(super) fn repeated_word_share(text: &str) -> f64 {
    let words = lower_words(text);
    ratio(words.windows(2).filter(|pair| pair[0] == pair[1]).count(), words.len())
}

/// Share of the characters, white space left out, that stretch a run of one character beyond its third:
/// 4 of 9 in "sooooooo!", 0 in "www" and "…".
pub(super) fn repeated_character_share(text: &str) -> f64 {
    let (mut chars, mut stretched, mut run) = (0_usize, 0_usize, 0_usize);
    let mut last = None;
    for c in text.chars() {
        run = if last == Some(c) { run + 1 } else { 1 };
        last = Some(c);
        chars += usize::from(!c.is_whitespace());
        stretched += usize::from(run > 3 && !c.is_whitespace());
    }
    ratio(stretched, chars)
}

/// Share of distinct words among all words, in any case; 1 for a text that never says a word twice.
/// It falls with length: compare texts of one length only.
pub(super) fn distinct_word_ratio(text: &str) -> f64 {
    let words = lower_words(text);
    ratio(words.iter().collect::<HashSet<_>>().len(), words.len())
}

/// Share of the words' characters that lie in the most frequent sequence of `n` words that occurs at least twice.
/// Gopher drops above 0.20 for n = 2, 0.18 for 3, 0.16 for 4 (Rae et al. 2021, table A1).
pub(super) fn top_ngram_char_share(text: &str, n: usize) -> f64 {
    let words = lower_words(text);
    let total: usize = words.iter().map(|word| word.chars().count()).sum();
    if n == 0 || words.len() < n {
        return 0.0;
    }
    let mut counts: HashMap<&[String], usize> = HashMap::new();
    for ngram in words.windows(n) {
        *counts.entry(ngram).or_default() += 1;
    }
    let chars = |ngram: &[String]| ngram.iter().map(|word| word.chars().count()).sum::<usize>();
    // Walked in the order of the text, so that ties do not depend on the map.
    let top = words.windows(n).filter_map(|ngram| {
        let count = counts.get(ngram).copied().unwrap_or(0);
        (count > 1).then(|| (count, chars(ngram)))
    });
    top.max().map_or(0.0, |(count, len)| ratio((count * len).min(total), total))
}

/// Share of the words' characters that lie in sequences of `n` words said before, each character counted once.
/// Gopher drops above 0.15 for n = 5 to 0.10 for n = 10 (Rae et al. 2021, table A1).
pub(super) fn repeated_ngram_char_share(text: &str, n: usize) -> f64 {
    let words = lower_words(text);
    if n == 0 || words.len() < n {
        return 0.0;
    }
    let mut seen = HashSet::new();
    let mut repeated = vec![false; words.len()];
    for (at, ngram) in words.windows(n).enumerate() {
        if !seen.insert(ngram) {
            repeated[at..at + n].fill(true);
        }
    }
    let chars = |keep: &dyn Fn(usize) -> bool| -> usize {
        words.iter().enumerate().filter(|(at, _)| keep(*at)).map(|(_, word)| word.chars().count()).sum()
    };
    ratio(chars(&|at| repeated[at]), chars(&|_| true))
}

fn lower_words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_lowercase).collect()
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
            (n_hashtags, "#one #two_2 #3 C# a#b https://example.com/#frag &#39; ##no", 2),
            (n_mentions, "@a and /u/bob_b", 2),
        ];
        for (count, text, expected) in cases {
            assert_eq!(count(text), *expected, "{text}");
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn shares_count_what_they_say() {
        assert!(close(repeated_word_share("buy buy BUY buy now"), 0.6));
        assert!(close(repeated_character_share("sooooooo!"), 4.0 / 9.0));
        assert!(close(repeated_character_share("www…"), 0.0));
        assert!(close(repeated_line_char_share("aa\nb\naa"), 0.4));
        assert!(close(distinct_word_ratio("The cat the dog"), 0.75));
        assert!(close(top_ngram_char_share("a b c a b d", 2), 4.0 / 6.0));
        assert!(close(top_ngram_char_share("a b c", 2), 0.0));
        assert!(close(repeated_ngram_char_share("a b c x a b c y", 3), 3.0 / 8.0));
        for measure in [repeated_word_share, repeated_character_share, distinct_word_ratio] {
            assert!(close(measure(""), 0.0));
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

            #[test]
            fn shares_stay_in_range(text in "([ab ]|[a-c]{1,3} |\n|\\PC){0,60}", n in 0_usize..6) {
                for share in [
                    repeated_word_share(&text), repeated_character_share(&text),
                    repeated_line_char_share(&text), distinct_word_ratio(&text), top_ngram_char_share(&text, n),
                    repeated_ngram_char_share(&text, n),
                ] {
                    prop_assert!((0.0..=1.0).contains(&share), "{}", share);
                }
            }
    }
}
