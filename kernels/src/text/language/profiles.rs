//! The most frequent words and letter trigrams of each language, as weights of evidence.
//!
//! `words.txt` and `trigrams.txt` have a line for each language that shares its script with others: the code, then the
//! words (trigrams, `_` for the edge of a word), most frequent first. Only the order is kept: how likely a word is
//! follows from its rank by Zipf's law. They were counted by `benches/language_texts.py`.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use super::languages::{COUNT, LanguageSet, place, spelled, spelled_with};

/// Logarithms of likelihood ratios, by language.
pub(super) type Scores = [f32; COUNT];

/// What is known of the languages.
pub(super) struct Profiles {
    /// Weights of words, by [`word_key`].
    pub(super) words: Weights,
    /// Weights of trigrams, by [`trigram_key`].
    pub(super) trigrams: Weights,
    /// The languages that have each letter, by [`letter_place`].
    alphabets: Vec<LanguageSet>,
    /// The languages whose alphabets are known.
    spelled: LanguageSet,
}

/// The profiles of all languages.
pub(super) static PROFILES: LazyLock<Profiles> = LazyLock::new(|| Profiles {
    words: Weights::read(include_str!("words.txt"), word_weight),
    trigrams: Weights::read(include_str!("trigrams.txt"), trigram_weight),
    alphabets: letters().map(spelled_with).collect(),
    spelled: spelled(),
});

/// The most frequent words of a language in lower case, most frequent first; none of a language that is told by its script
/// or that is not known.
pub fn frequent_words(code: &str) -> impl Iterator<Item = &'static str> {
    let line = include_str!("words.txt").lines().find(|line| line.split(' ').next() == Some(code));
    line.unwrap_or_default().split(' ').skip(1)
}

impl Profiles {
    /// The languages that have a letter outside of ASCII in their alphabet; those without a listed alphabet have all.
    pub(super) fn spelled_with(&self, letter: char) -> LanguageSet {
        !self.spelled | letter_place(letter).map_or(0, |place| self.alphabets[place])
    }
}

/// What each word or trigram says for the languages that have it in their list.
pub(super) struct Weights(HashMap<u64, Entries, BuildHasherDefault<KeyHasher>>);

/// Languages, each with its weight.
type Entries = Box<[(u8, f32)]>;

impl Weights {
    fn read(lists: &str, weight: fn(usize, &str) -> (u64, f32)) -> Self {
        let mut all: Vec<(u64, (u8, f32))> = Vec::new();
        for line in lists.lines() {
            let mut items = line.split(' ');
            let Some(language) = items.next().and_then(place) else { continue };
            all.extend(items.enumerate().map(|(rank, item)| {
                let (key, weight) = weight(rank, item);
                (key, (language, weight))
            }));
        }
        all.sort_by_key(|&(key, (language, _))| (key, language));
        let groups = all.chunk_by(|a, b| a.0 == b.0);
        Self(groups.map(|group| (group[0].0, group.iter().map(|&(_, entry)| entry).collect())).collect())
    }

    /// The languages that have this word or trigram in their list, each with its weight.
    pub(super) fn of(&self, key: u64) -> &[(u8, f32)] {
        self.0.get(&key).map_or(&[], |entries| entries)
    }
}

/// Key and weight of a word: the logarithm of how much likelier it is in a language with it at this rank than in one
/// that has it as a name or by chance, which happens more with short words.
fn word_weight(rank: usize, word: &str) -> (u64, f32) {
    let likelihood = 0.12 / (rank as f32 + 2.4);
    let by_chance = match word.chars().count() {
        0 | 1 => 2e-3,
        2 => 5e-4,
        3 => 1e-4,
        _ => 3e-5,
    };
    (word_key(word.as_bytes()), (likelihood / by_chance).ln().max(0.3))
}

/// Key and weight of a trigram. The numbers fit all languages at hand within a fifth.
fn trigram_weight(rank: usize, trigram: &str) -> (u64, f32) {
    let likelihood = 0.26 / (rank as f32 + 54.0);
    let key = trigram.chars().fold([EDGE; 3], |[_, a, b], c| [a, b, c]);
    (trigram_key(key), (likelihood / 1e-4).ln())
}

/// Stands for the edge of a word in trigrams.
pub(super) const EDGE: char = '_';

/// The key of a word in lower case (FNV-1a).
pub(super) fn word_key(word: &[u8]) -> u64 {
    let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    word.iter().fold(0xcbf2_9ce4_8422_2325, fold)
}

/// The key of a trigram in lower case.
pub(super) fn trigram_key([a, b, c]: [char; 3]) -> u64 {
    let key = u64::from(a) << 42 | u64::from(b) << 21 | u64::from(c);
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

/// Letters that belong to an alphabet here are up to U+06FF or in Latin Extended Additional.
fn letter_place(letter: char) -> Option<usize> {
    match u32::from(letter) {
        c @ 0..=0x6ff => usize::try_from(c).ok(),
        c @ 0x1e00..=0x1eff => usize::try_from(c - 0x1e00 + 0x700).ok(),
        _ => None,
    }
}

/// All letters that have a place, in order.
fn letters() -> impl Iterator<Item = char> {
    ('\0'..='\u{6ff}').chain('\u{1e00}'..='\u{1eff}')
}

/// Hands keys on as they are: they are hashes already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = word_key(bytes);
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use super::super::languages::{KNOWN, members, written_in};
    use super::*;

    #[test]
    fn every_language_that_shares_its_script_has_its_lists() {
        for lists in [include_str!("words.txt"), include_str!("trigrams.txt")] {
            let listed: Vec<&str> = lists.lines().filter_map(|line| line.split(' ').next()).collect();
            for language in &KNOWN {
                let shares = members(written_in(language.script)).count() > 1;
                assert_eq!(listed.contains(&language.code), shares, "{}", language.code);
            }
            assert!(lists.lines().all(|line| line.split(' ').count() > 100));
        }
    }

    #[test]
    fn weights_fall_with_rank_and_favour_long_words() {
        for (frequent, rare) in
            [((0, "sie"), (1, "sie")), ((9, "the"), (200, "the")), ((5, "there"), (5, "to"))]
        {
            assert!(word_weight(frequent.0, frequent.1).1 > word_weight(rare.0, rare.1).1);
        }
        assert!(trigram_weight(599, "_ab").1 > 0.0);
    }

    #[test]
    fn letters_have_their_place() {
        for (place, letter) in letters().enumerate() {
            assert_eq!(letter_place(letter), Some(place));
        }
        assert_eq!(letter_place('語'), None);
        let polish = 1 << place("pol").unwrap();
        assert_eq!(PROFILES.spelled_with('ł') & spelled(), polish);
    }
}
