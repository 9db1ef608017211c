//! A text as the set of its shingles: runs of words, or of characters.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::mix::mix;
use crate::text::normalize::{fold_case, fold_space};

/// What a text is cut into before it is compared: in configs `{ words = 5 }` or `{ characters = 9 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shingle {
    /// Runs of so many words. A word is a run of letters, digits and `_`.
    Words(NonZeroUsize),
    /// Runs of so many characters, white space folded.
    Characters(NonZeroUsize),
}

/// Factor of the polynomial that is the hash of a run.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Cuts texts into shingles; keeps its buffers from text to text.
#[derive(Debug)]
pub struct Shingler {
    shingle: Shingle,
    runs: Runs,
    units: Vec<u64>,
}

impl Shingler {
    /// One that cuts into `shingle`.
    pub fn new(shingle: Shingle) -> Self {
        Self { shingle, runs: Runs::new(shingle.run()), units: Vec::new() }
    }

    /// The set of shingles of a text, by their hashes: ascending and distinct. Empty for a text shorter than a shingle.
    ///
    /// Case, compatibility forms and invisible characters are folded, as in
    /// [`normalize`](crate::text::normalize::normalize); links and mentions are words like others. Two sets of a
    /// thousand shingles have a hash of 32 bits in common by chance once in 4,300 pairs.
    pub fn shingles(&mut self, text: &str, set: &mut Vec<u32>) {
        set.clear();
        self.units.clear();
        self.shingle.units(&fold_case(text), &mut self.units);
        // The upper half, which every bit has reached.
        self.runs.of(&self.units, |_, run| set.push((run >> 32) as u32));
        set.sort_unstable();
        set.dedup();
    }
}

impl Shingle {
    /// How many words or characters a run has.
    pub const fn run(self) -> usize {
        let (Self::Words(len) | Self::Characters(len)) = self;
        len.get()
    }

    /// The hashes of the words or characters of a text whose case is folded.
    pub(super) fn units(self, folded: &str, units: &mut Vec<u64>) {
        match self {
            Self::Words(_) => words(folded, |word| units.push(hash(word.as_bytes()))),
            Self::Characters(_) => {
                units.extend(fold_space(folded).chars().map(|c| mix(u64::from(c) + 1)));
            }
        }
    }

    /// Some of the units of a text whose case is folded, as it has them.
    pub(super) fn excerpt(self, folded: &str, units: std::ops::Range<usize>) -> String {
        match self {
            Self::Words(_) => {
                let (mut number, mut start, mut end) = (0, 0, 0);
                words(folded, |word| {
                    let at = word.as_ptr() as usize - folded.as_ptr() as usize;
                    if number == units.start {
                        start = at;
                    }
                    if number < units.end {
                        end = at + word.len();
                    }
                    number += 1;
                });
                folded.get(start..end.max(start)).unwrap_or_default().to_owned()
            }
            Self::Characters(_) => fold_space(folded).chars().skip(units.start).take(units.len()).collect(),
        }
    }
}

/// The hashes of all runs of one length.
#[derive(Debug, Clone)]
pub(super) struct Runs {
    len: usize,
    /// [`FACTOR`] to the power of the length.
    leaving: u64,
}

impl Runs {
    /// Of runs of so many units, at least one.
    pub(super) fn new(len: usize) -> Self {
        Self { len, leaving: (0..len).fold(1_u64, |power, _| power.wrapping_mul(FACTOR)) }
    }

    /// Calls `each` with the place and the hash of every run.
    pub(super) fn of(&self, units: &[u64], mut each: impl FnMut(usize, u64)) {
        let mut sum = 0_u64;
        for (end, unit) in units.iter().enumerate() {
            sum = sum.wrapping_mul(FACTOR).wrapping_add(*unit);
            if end >= self.len {
                sum = sum.wrapping_sub(units[end - self.len].wrapping_mul(self.leaving));
            }
            if end + 1 >= self.len {
                each(end + 1 - self.len, mix(sum));
            }
        }
    }
}

/// The share of a text's shingles that stand in another, `0.0..=1.0` (its containment; Broder 1997); none for a text shorter
/// than a shingle.
pub fn containment(text: &str, other: &str, shingle: Shingle) -> Option<f64> {
    let mut shingler = Shingler::new(shingle);
    let (mut own, mut others) = (Vec::new(), Vec::new());
    shingler.shingles(text, &mut own);
    if own.is_empty() {
        return None;
    }
    shingler.shingles(other, &mut others);
    let common = own.iter().filter(|hash| others.binary_search(hash).is_ok()).count();
    Some(common as f64 / own.len() as f64)
}

/// Calls `each` for every run of letters, digits and `_`.
fn words<'a>(text: &'a str, mut each: impl FnMut(&'a str)) {
    let bytes = text.as_bytes();
    let mut start = None;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let (is_word, len) = if byte.is_ascii() {
            (byte.is_ascii_alphanumeric() || byte == b'_', 1)
        } else {
            let c = text[at..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
            (c.is_alphanumeric(), c.len_utf8())
        };
        match (is_word, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                each(&text[from..at]);
                start = None;
            }
            _ => {}
        }
        at += len;
    }
    if let Some(from) = start {
        each(&text[from..]);
    }
}

/// A hash of a word that is the same on every machine.
fn hash(word: &[u8]) -> u64 {
    let mut state = word.len() as u64;
    let mut chunks = word.chunks_exact(8);
    let mut add = |chunk: [u8; 8]| {
        let wide = u128::from(state ^ u64::from_le_bytes(chunk)) * u128::from(FACTOR);
        state = (wide >> 64) as u64 ^ (wide as u64);
    };
    for chunk in &mut chunks {
        add([chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7]]);
    }
    let mut last = [0; 8];
    let rest = chunks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    add(last);
    mix(state)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const fn run(len: usize) -> NonZeroUsize {
        NonZeroUsize::new(len).unwrap()
    }

    fn set(shingle: Shingle, text: &str) -> Vec<u32> {
        let mut set = Vec::new();
        Shingler::new(shingle).shingles(text, &mut set);
        set
    }

    #[test]
    fn a_text_shorter_than_a_shingle_has_none() {
        for (shingle, text, shingles) in [
            (Shingle::Words(run(5)), "", 0),
            (Shingle::Words(run(5)), "one two three four", 0),
            (Shingle::Words(run(5)), "one two, three four... five!", 1),
            (Shingle::Words(run(5)), "a b c d e f", 2),
            (Shingle::Words(run(2)), "a b a b a b", 2),
            (Shingle::Words(run(1)), "don't stop", 3),
            (Shingle::Characters(run(3)), "ab", 0),
            (Shingle::Characters(run(3)), " a \n b ", 1),
            (Shingle::Characters(run(3)), "aaaaaa", 1),
        ] {
            assert_eq!(set(shingle, text).len(), shingles, "{shingle:?} {text:?}");
        }
    }

    #[test]
    fn containment_is_a_share_of_the_text() {
        let words = Shingle::Words(run(2));
        for (text, other, share) in [
            ("a b c", "x A, b C y", Some(1.0)),
            ("a b c d e", "a b c", Some(0.5)),
            ("a b c", "", Some(0.0)),
            ("a", "a b", None),
        ] {
            assert_eq!(containment(text, other, words), share, "{text} in {other}");
        }
    }

    #[test]
    fn case_punctuation_and_space_are_no_words() {
        let words = Shingle::Words(run(3));
        assert_eq!(
            set(words, "Hello,  World -- it's ÉTÉ"),
            set(words, "hello world it s e\u{301}te\u{301}!")
        );
        assert_ne!(set(words, "a b c"), set(words, "c b a"));
        assert_ne!(set(words, "ab c d"), set(words, "a bc d"));
    }

    /// Sets of the strings themselves.
    fn truth(text: &str, len: usize) -> HashSet<Vec<String>> {
        let text = text.to_lowercase();
        let words: Vec<&str> =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
        words.windows(len).map(|run| run.iter().map(|&word| word.to_owned()).collect()).collect()
    }

    proptest! {
        #[test]
        fn sets_have_the_sizes_of_sets_of_strings(
            a in "([a-d]{1,2}|é|Я|_|[0-9]{9,20})([ .,]([a-d]{1,2}|é|Я|_|[0-9]{9,20})){0,30}",
            b in "([a-d]{1,2}|é|Я|_)([ .,]([a-d]{1,2}|é|Я|_)){0,30}",
            len in 1_usize..6,
        ) {
            let shingle = Shingle::Words(run(len));
            let (x, y) = (set(shingle, &a), set(shingle, &b));
            let (p, q) = (truth(&a, len), truth(&b, len));
            prop_assert_eq!(x.len(), p.len());
            let common = x.iter().filter(|hash| y.binary_search(hash).is_ok()).count();
            prop_assert_eq!(common, p.intersection(&q).count());
        }
    }
}
