//! The loops that a language model falls into.

use std::collections::HashMap;
use std::hash::Hash;

use super::links::links;

/// Longest period, in words, in which a loop is looked for.
const MAX_WORD_PERIOD: usize = 128;

/// Longest period, in characters, in which a loop without word boundaries is looked for.
const MAX_CHAR_PERIOD: usize = 32;

/// A passage that says the same thing over and over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RepetitionLoop {
    /// Length of what is repeated, in the units of [`RepetitionLoop::unit`].
    pub period: usize,
    /// How often it is said in a row, the last time perhaps cut off.
    pub repeats: f64,
    /// What the loop was seen in.
    pub unit: LoopUnit,
    /// Whether the text ends inside the loop.
    pub at_end: bool,
}

/// What a loop is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopUnit {
    /// Words; numbers, punctuation and case are not looked at, so that numbered lists of one entry count as loops.
    Word,
    /// Characters.
    Character,
}

/// The loop that a generated text runs in, if it does.
///
/// One word six times in a row, two or three words four times, longer passages three times, and passages of eight
/// words or more already one and a half times if the text ends there (it was cut off in its loop). Without words to
/// go by: at least 48 characters of one pattern.
///
/// Made for the answers of models: a song's chorus or a chant in a person's own text is a loop too.
pub fn repetition_loop(text: &str) -> Option<RepetitionLoop> {
    word_loop(text).or_else(|| char_loop(text))
}

fn word_loop(text: &str) -> Option<RepetitionLoop> {
    let mut words = Vec::new();
    let mut add = |text: &str| {
        let pieces = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
        words.extend(pieces.filter(|word| word.chars().any(char::is_alphabetic)).map(str::to_lowercase));
    };
    // A link is one word: Markdown shows it twice (`[link](link)`), which is no loop.
    let mut from = 0;
    for link in links(text) {
        add(&text[from..link.start]);
        add("link");
        from = link.end;
    }
    add(&text[from..]);
    let ids = number(&words);
    find_loop(&ids, MAX_WORD_PERIOD, LoopUnit::Word, |period, run, at_end| {
        let repeats = match period {
            1 => 6,
            2 | 3 => 4,
            _ => 3,
        };
        run >= (repeats - 1) * period || (at_end && period >= 8 && 2 * run >= period)
    })
}

fn char_loop(text: &str) -> Option<RepetitionLoop> {
    let chars: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    find_loop(&chars, MAX_CHAR_PERIOD, LoopUnit::Character, |period, run, _| {
        run + period >= 48 && run >= 3 * period
    })
}

/// The first loop of the shortest period: a run of units each equal to the one `period` before it.
/// `is_loop(period, run, at_end)` decides whether a run of that many such units is one.
fn find_loop<T: PartialEq>(
    units: &[T],
    max_period: usize,
    unit: LoopUnit,
    is_loop: impl Fn(usize, usize, bool) -> bool,
) -> Option<RepetitionLoop> {
    for period in 1..=max_period.min(units.len().saturating_sub(1)) {
        let mut run = 0;
        for at in period..=units.len() {
            if at < units.len() && units[at] == units[at - period] {
                run += 1;
                continue;
            }
            let at_end = at == units.len();
            if is_loop(period, run, at_end) {
                return Some(RepetitionLoop {
                    period,
                    repeats: (run + period) as f64 / period as f64,
                    unit,
                    at_end,
                });
            }
            run = 0;
        }
    }
    None
}

/// Equal items get equal numbers.
fn number<T: Eq + Hash>(items: &[T]) -> Vec<usize> {
    let mut numbers = HashMap::new();
    items
        .iter()
        .map(|item| {
            let next = numbers.len();
            *numbers.entry(item).or_insert(next)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn loops_of_models_are_found() {
        for (text, period, at_end) in [
            ("Births and Deaths, Births and Deaths, Births and Deaths, Births and Deaths", 3, true),
            ("1. Cycling\n2. Cycling\n3. Cycling\n4. Cycling\n5. Cycling\n6. Cycling\nand more", 1, false),
            (r#"["lazy","lazy","lazy","lazy","lazy","lazy"]"#, 1, true),
            (
                "She likes to ride her bike to work in Leeds. She likes to ride her bike to work in Leeds. She \
                 likes to ride her bike",
                10,
                true,
            ),
        ] {
            let found = repetition_loop(text).unwrap_or_else(|| panic!("no loop in {text}"));
            assert_eq!((found.period, found.at_end, found.unit), (period, at_end, LoopUnit::Word), "{text}");
        }
        for text in ["=".repeat(60), "ab".repeat(30), "哈".repeat(60), "0, 1, ".repeat(20)] {
            assert_eq!(repetition_loop(&text).unwrap().unit, LoopUnit::Character, "{text}");
        }
    }

    #[test]
    fn ordinary_texts_are_no_loops() {
        for text in [
            "",
            "no",
            "No, no, no! I said no.",
            "We went to the market and then we went to the park and then we went home.",
            "1. Cycling\n2. Brewing\n3. Nursing\n4. Gardening\n5. Reading",
            "Row, row, row your boat, gently down the stream",
            "2020-01-01 2020-01-02 2020-01-03 2020-01-04",
            "-----\ntitle\n-----",
            "[https://example.com/a/very/long/way/to/go/on](https://example.com/a/very/long/way/to/go/on)",
        ] {
            assert_eq!(repetition_loop(text), None, "{text}");
        }
    }

    proptest! {
            #[test]
            fn a_passage_said_four_times_is_a_loop(
                before in "([a-z]{1,6} ){0,9}", passage in "([a-z]{2,7} ){1,20}[a-z]{6}", after in "( [a-z]{1,6}){0,9}",
            ) {
                let text = format!("{before}{}{after}", format!("{passage}. ").repeat(4));
                prop_assert!(repetition_loop(&text).is_some());
            }

            #[test]
            fn distinct_words_are_no_loop(n in 0_usize..300) {
    let word = |i: usize| -> String { "abcdefghij".chars().cycle().skip(i % 10).take(1 + i / 10).collect() };
                let text = (0..n).map(word).collect::<Vec<_>>().join(" ");
                prop_assert_eq!(word_loop(&text), None);
            }
        }
}
