//! The profile against the plain measures, which are the slow truth.

use proptest::prelude::*;

use super::{TextProfile, truth};
use crate::text::links;

type Of = fn(&TextProfile<'_>) -> f64;
type Truth = fn(&str) -> f64;

/// Measures of the profile beside the plain functions that say the same.
const PAIRS: &[(&str, Of, Truth)] = &[
    ("n_chars", |p| p.n_chars() as f64, |t| truth::n_chars(t) as f64),
    ("n_words", |p| p.n_words() as f64, |t| truth::n_words(t) as f64),
    ("mean_word_chars", |p| p.mean_word_chars(), truth::mean_word_chars),
    ("n_links", |p| p.n_links() as f64, |t| truth::n_links(t) as f64),
    ("link_ratio", |p| p.link_ratio(), truth::link_word_ratio),
    ("hashtag_ratio", |p| p.hashtag_ratio(), hashtag_ratio),
    ("mention_ratio", |p| p.mention_ratio(), mention_ratio),
    ("upper_case_ratio", |p| p.upper_case_ratio(), truth::upper_case_ratio),
    ("letter_ratio", |p| p.letter_ratio(), truth::letter_ratio),
    ("digit_ratio", |p| p.digit_ratio(), truth::digit_ratio),
    ("symbol_ratio", |p| p.symbol_ratio(), truth::symbol_ratio),
    ("emoji_ratio", |p| p.emoji_ratio(), truth::emoji_ratio),
    ("alphabetic_word_ratio", |p| p.alphabetic_word_ratio(), truth::alphabetic_word_ratio),
    ("repeated_character_ratio", |p| p.repeated_character_ratio(), truth::repeated_character_share),
    ("repeated_word_ratio", |p| p.repeated_word_ratio(), truth::repeated_word_share),
    ("repeated_line_ratio", |p| p.repeated_line_ratio(), truth::repeated_line_char_share),
    ("distinct_word_ratio", |p| p.distinct_word_ratio(), truth::distinct_word_ratio),
];

/// Share of words in which a hashtag begins, word by word.
fn hashtag_ratio(text: &str) -> f64 {
    let links: Vec<_> = links::links(text).collect();
    let tags: Vec<_> = links::hashtags(text, &links).map(|at| at..at + 1).collect();
    share_of_words(text, &tags)
}

fn mention_ratio(text: &str) -> f64 {
    share_of_words(text, &links::mentions(text).collect::<Vec<_>>())
}

fn share_of_words(text: &str, ranges: &[std::ops::Range<usize>]) -> f64 {
    let words: Vec<&str> = text.split_whitespace().collect();
    let holds = |word: &&&str| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        ranges.iter().any(|range| (start..start + word.len()).contains(&range.start))
    };
    if words.is_empty() { 0.0 } else { words.iter().filter(holds).count() as f64 / words.len() as f64 }
}

/// Loops of words the long way: every stretch of every period, word by word.
fn word_loop_ratio(text: &str) -> f64 {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let mut in_loop = vec![false; words.len()];
    for period in 1..=64_usize {
        let repeats = [6, 4, 4].get(period - 1).copied().unwrap_or(3);
        for from in 0..words.len() {
            for to in from + repeats * period..=words.len() {
                if (from + period..to).all(|at| words[at] == words[at - period]) {
                    in_loop[from..to].fill(true);
                }
            }
        }
    }
    let chars = |looped: bool| -> usize {
        words.iter().zip(&in_loop).filter(|(_, l)| **l || !looped).map(|(w, _)| w.chars().count()).sum()
    };
    if words.is_empty() { 0.0 } else { chars(true) as f64 / chars(false) as f64 }
}

fn assert_equals_truth(text: &str) {
    let profile = TextProfile::new(text);
    for (name, of, truth) in PAIRS {
        let (value, expected) = (of(&profile), truth(text));
        assert!((value - expected).abs() < 1e-12, "{name} of {text:?} is {value}, not {expected}");
    }
    for n in 2..=10 {
        let pairs = [
            (profile.top_ngram_ratio(n), truth::top_ngram_char_share(text, n)),
            (profile.repeated_ngram_ratio(n), truth::repeated_ngram_char_share(text, n)),
        ];
        for (value, expected) in pairs {
            assert!((value - expected).abs() < 1e-12, "{n}-grams of {text:?}: {value}, not {expected}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_measures_as_by_the_plain_functions(text in "\\PC{0,60}") {
        assert_equals_truth(&text);
    }

    #[test]
    fn posts_measure_as_by_the_plain_functions(
        text in "([a-zA-Z]{1,12}[.,!?]? |[abAB]{1,2} |#|@[a-z]{1,4} |u/[a-z]{3}|www\\.|[Ww]ww.a |https?://[a-z]{1,3} |t\\.co/a|\
                 [0-9]{1,4} |\n|\t|\u{b}|\u{85}|\u{a0}|&gt; |>|[😀❤️éßΣςİK漢字]{1,3} ?|!{1,6}|o{1,6}){0,60}",
    ) {
        assert_equals_truth(&text);
    }

    #[test]
    fn repeats_measure_as_by_the_plain_functions(
        phrase in "([a-cA-C] ){1,6}", times in 1_usize..9, rest in "([a-c]{1,2}[ \n]){0,30}",
    ) {
        let text = format!("{rest}{}{rest}", phrase.repeat(times));
        assert_equals_truth(&text);
        let value = TextProfile::new(&text).loop_ratio();
        prop_assert!((value - word_loop_ratio(&text)).abs() < 1e-12, "{text:?} {value} {}", word_loop_ratio(&text));
    }

    #[test]
    fn ratios_stay_in_range(text in "([ab ]|[a-c]{1,3} |\n|> |\\PC|(ab){12,15}){0,60}") {
        let profile = TextProfile::new(&text);
        for ratio in [profile.loop_ratio(), profile.quoted_ratio(), profile.repeated_line_ratio()] {
            prop_assert!((0.0..=1.0).contains(&ratio), "{}", ratio);
        }
    }
}

#[test]
fn every_character_counts_as_by_the_plain_functions() {
    for code in 0..=u32::from(char::MAX) {
        let Some(c) = char::from_u32(code) else { continue };
        let text = [c, 'a', '1', c].iter().collect::<String>();
        let profile = TextProfile::new(&text);
        for (name, of, truth) in &PAIRS[7..13] {
            assert!((of(&profile) - truth(&text)).abs() < 1e-12, "{name} of U+{code:04X}");
        }
    }
}

#[test]
fn words_differ_in_more_than_case() {
    let distinct = |text: &str| TextProfile::new(text).distinct_word_ratio();
    for (a, b, equal) in [
        ("Hello", "hELLO", true),
        ("[bot]", "{bot}", false),
        ("a@b", "a`b", false),
        ("internationalisation", "INTERNATIONALISATION", true),
        ("internationalisation", "internationalizations", false),
        ("ΟΔΟΣ", "οδος", true),
        ("K", "k", true),
        ("abcdefg", "abcdefgh", false),
        ("ab", "aab", false),
    ] {
        assert_eq!((distinct(&format!("{a} {b}")) - 0.5).abs() < 1e-12, equal, "{a} {b}");
    }
}

#[test]
fn loops_and_quotes_are_shares_of_the_text() {
    let cases: &[(Of, String, f64)] = &[
        (|p| p.loop_ratio(), "Win big today! ".repeat(6), 1.0),
        (|p| p.loop_ratio(), "=".repeat(40), 1.0),
        (|p| p.loop_ratio(), "haha".repeat(10), 1.0),
        (|p| p.loop_ratio(), "no no no, I said no, no and no".to_owned(), 0.0),
        (|p| p.loop_ratio(), "hahahahahaha that is funny".to_owned(), 0.0),
        (|p| p.loop_ratio(), format!("{}one two three four", "buy it now please ".repeat(3)), 42.0 / 57.0),
        (|p| p.loop_ratio(), "I came home and then I came home and then I slept".to_owned(), 0.0),
        (|p| p.quoted_ratio(), "> abc\n\nabcde".to_owned(), 0.5),
        (|p| p.quoted_ratio(), "  &gt;ab\nabcde".to_owned(), 6.0 / 11.0),
        (|p| p.quoted_ratio(), ">!spoiler!<\n>:( no\na > b".to_owned(), 0.0),
    ];
    for (of, text, expected) in cases {
        let value = of(&TextProfile::new(text));
        assert!((value - expected).abs() < 1e-12, "{text:?}: {value}, not {expected}");
    }
}

#[test]
fn templates_have_two_signs_or_more() {
    for (text, signs) in [
        ("I’m a bot, beep boop. Report problems to u/someone", 4),
        ("This action was performed automatically.", 2),
        ("Hi! Your post has been removed because it has no title.\n\nPlease message the mods.", 3),
        ("You are receiving this email because you signed up.", 2),
        ("They called me a bot, and I am a botanist", 0),
        ("Is it better to opt out? If I opt out, what then?", 1),
        ("We went to the park.\n\nSent from my iPhone", 1),
    ] {
        assert_eq!(TextProfile::new(text).n_boilerplate(), signs, "{text}");
    }
}

#[test]
fn scripts_without_spaces_have_words_too() {
    for (text, words) in [
        ("we met here", 3),
        ("今天天气很好，我们去公园吧。", 6),
        ("今日は いい天気です", 5),
        ("สวัสดีครับ", 5),
        ("안녕하세요 여러분", 2),
        ("ok 好", 2),
        ("😀😀😀", 1),
        ("", 0),
    ] {
        assert_eq!(TextProfile::new(text).n_words_any_script(), words, "{text}");
    }
}
