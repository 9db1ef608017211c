//! How much of a text says the same over and over.

use super::ratio;
use super::words::{Vocabulary, Words};

/// Longest passage, in words, whose repetition is looked for.
const MAX_WORD_PERIOD: usize = 64;

/// Longest pattern inside a word, in characters.
const MAX_CHAR_PERIOD: usize = 8;

/// Length in characters from which a pattern inside a word counts.
const MIN_CHAR_LOOP: usize = 24;

/// Share of the words' characters that lie in loops.
pub(super) fn loop_ratio(text: &str, words: &Words, vocabulary: &Vocabulary) -> f64 {
    let in_words = word_loops(words, vocabulary);
    let in_characters = if words.longest < MIN_CHAR_LOOP { 0 } else { char_loops(text) };
    ratio(in_words.max(in_characters).min(words.n_chars), words.n_chars)
}

/// How often a passage of so many words must be said, to the end, to be a loop.
const fn min_repeats(period: usize) -> usize {
    match period {
        1 => 6,
        2 | 3 => 4,
        _ => 3,
    }
}

/// Characters of the words in loops of words.
fn word_loops(words: &Words, vocabulary: &Vocabulary) -> usize {
    let first = &vocabulary.first;
    let n_repeated = first.len() - vocabulary.n_distinct;
    // Longer passages are not said often enough before the text ends.
    let max_period = MAX_WORD_PERIOD.min(first.len() / 3);
    let mut in_loop = Vec::new();
    for period in 1..=max_period {
        let min_run = (min_repeats(period) - 1) * period;
        // A loop repeats so many words; so many pairs at this distance must be equal in all.
        let equal = || first[period..].iter().zip(first).map(|(word, before)| word == before);
        if n_repeated < min_run || equal().filter(|equal| *equal).count() < min_run {
            continue;
        }
        let mut run = 0;
        for (at, equal) in (period..).zip(equal().chain([false])) {
            if equal {
                run += 1;
                continue;
            }
            if run >= min_run {
                in_loop.resize(first.len(), false);
                in_loop[at - run - period..at].fill(true);
            }
            run = 0;
        }
    }
    words.list.iter().zip(in_loop).filter(|(_, in_loop)| *in_loop).map(|(word, _)| word.n_chars).sum()
}

/// Characters in patterns that fill long words.
fn char_loops(text: &str) -> usize {
    let mut chars: Vec<char> = Vec::new();
    let mut in_loops = 0;
    for word in text.split_whitespace().filter(|word| word.len() >= MIN_CHAR_LOOP) {
        chars.clear();
        chars.extend(word.chars());
        in_loops += (1..=MAX_CHAR_PERIOD).map(|period| longest_loop(&chars, period)).max().unwrap_or(0);
    }
    in_loops
}

/// Length of the longest stretch that repeats its first `period` characters, if it is a loop.
fn longest_loop(chars: &[char], period: usize) -> usize {
    let (mut run, mut longest) = (0, 0);
    for (c, before) in chars.iter().skip(period).zip(chars) {
        run = if c == before { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let len = longest + period;
    if longest >= 3 * period && len >= MIN_CHAR_LOOP { len } else { 0 }
}
