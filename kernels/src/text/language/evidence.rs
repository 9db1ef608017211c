//! What the letters, words and trigrams of a text say about its language.

use super::languages::{KNOWN, LanguageSet, members, written_in};
use super::profiles::{EDGE, PROFILES, Scores, trigram_key, word_key};
use super::script::{Script, Scripts};

/// What a word counts, as a logarithm, in a language that does not have all of its letters.
const FOREIGN_LETTER: f32 = -4.0;

/// What trigrams count beside words. They overlap one another and the words, so it is less than 1.
const TRIGRAM_SHARE: f32 = 0.4;

/// Bytes of a word that are looked at; no listed word is longer.
const MAX_WORD: usize = 48;

/// What a text says about its language.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    text: &'a str,
    /// The script that most of it is in.
    pub(super) script: Script,
    /// Letters of that script.
    pub(super) letters: u32,
    /// Words, in whatever script.
    pub(super) words: u32,
    /// Logarithm of the likelihood of each language, up to a constant.
    scores: Scores,
    /// Words that are in the list of each language.
    known: [u16; KNOWN.len()],
}

/// Languages by likelihood, with the logarithm of how much less likely each is than the first.
pub(super) type Ranking = Vec<(u8, f32)>;

impl<'a> Evidence<'a> {
    /// The evidence of words and letters, which is cheap: about 15 ns a word.
    pub(super) fn of(text: &'a str) -> Self {
        let mut evidence = Self {
            text,
            script: Script::Other,
            letters: 0,
            words: 0,
            scores: KNOWN.each_ref().map(|language| language.frequency),
            known: [0; KNOWN.len()],
        };
        let mut scripts = Scripts::default();
        for word in words(text) {
            evidence.add_word(word, &mut scripts);
        }
        (evidence.script, evidence.letters) = scripts.main();
        evidence
    }

    /// Adds the evidence of trigrams: about 10 ns a letter.
    pub(super) fn add_trigrams(&mut self) {
        for word in words(self.text) {
            let mut last = [EDGE; 2];
            let letters = word.chars().flat_map(char::to_lowercase).chain([EDGE]);
            for (at, letter) in letters.enumerate() {
                if at > 0 {
                    for &(language, weight) in PROFILES.trigrams.of(trigram_key([last[0], last[1], letter])) {
                        self.scores[usize::from(language)] += TRIGRAM_SHARE * weight;
                    }
                }
                last = [last[1], letter];
            }
        }
    }

    /// The languages of `among` in the script of the text, likeliest first.
    pub(super) fn ranking(&self, among: LanguageSet) -> Ranking {
        let score = |language: u8| self.scores[usize::from(language)];
        let mut ranking: Ranking =
            members(among & written_in(self.script)).map(|language| (language, score(language))).collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
        let first = ranking.first().map_or(0.0, |first| first.1);
        for (_, score) in &mut ranking {
            *score -= first;
        }
        ranking
    }

    /// How many words are in a language's list.
    pub(super) fn known(&self, language: u8) -> u32 {
        u32::from(self.known[usize::from(language)])
    }

    fn add_word(&mut self, word: &str, scripts: &mut Scripts) {
        self.words += 1;
        let mut lower = [0; MAX_WORD];
        let mut len = 0;
        if word.is_ascii() {
            scripts.add_latin(word.len());
            len = word.len().min(MAX_WORD);
            lower[..len].copy_from_slice(&word.as_bytes()[..len]);
            lower[..len].make_ascii_lowercase();
        } else {
            let mut spelled: LanguageSet = !0;
            for letter in word.chars() {
                scripts.add(letter);
                for letter in letter.to_lowercase() {
                    if !letter.is_ascii() && letter.is_alphabetic() {
                        spelled &= PROFILES.spelled_with(letter);
                    }
                    if len + letter.len_utf8() <= MAX_WORD {
                        len += letter.encode_utf8(&mut lower[len..]).len();
                    }
                }
            }
            for language in members(!spelled) {
                self.scores[usize::from(language)] += FOREIGN_LETTER;
            }
        }
        for &(language, weight) in PROFILES.words.of(word_key(&lower[..len])) {
            self.scores[usize::from(language)] += weight;
            self.known[usize::from(language)] = self.known[usize::from(language)].saturating_add(1);
        }
    }
}

/// The longest runs of letters of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_letter(c)).filter(|word| !word.is_empty())
}

/// Whether a character is part of words. The vowel signs of Devanagari are.
pub(super) fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphabetic()
    } else {
        c.is_alphabetic() || matches!(c, '\u{900}'..='\u{963}')
    }
}
