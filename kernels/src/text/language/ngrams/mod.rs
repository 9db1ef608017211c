//! The third opinion: n-grams of one to four letters, of the models that lingua has.
//!
//! The likelihood of a text is lingua's (in its high accuracy, without its rules on single letters, which are in our own
//! evidence): of each length, every n-gram of the text counts once, by the longest part of it from its beginning that the
//! model has; the sum of the logarithms is divided by the number of letters that the model has, and texts of 120 letters
//! and more are told by their trigrams alone. The models are packed by the build script (`packed`), without the n-grams
//! of five letters: 19 MB for lingua's 215, looked up by a hash.
//!
//! Whatever names [`NgramOpinion`] carries the models in its binary. Only the program does.

pub(crate) mod packed;

use std::collections::{HashMap, HashSet};

use super::opinion::ThirdOpinion;
use packed::{EMPTY, LONGEST, Model, extended};

/// The models: for each language its code (3 bytes), the length of its model (u32, little-endian) and the model.
static MODELS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ngrams"));

/// Letters from which on a text is told by its trigrams alone.
const LONG_TEXT: usize = 120;

/// What the models say of texts, about languages that all have one: those that share their script with another.
#[derive(Debug)]
pub struct NgramOpinion {
    models: HashMap<&'static str, Model<'static>>,
}

impl Default for NgramOpinion {
    fn default() -> Self {
        Self::new()
    }
}

impl NgramOpinion {
    /// The opinion of all models. They are paged in when a text first needs them.
    pub fn new() -> Self {
        Self { models: models(MODELS) }
    }
}

impl ThirdOpinion for NgramOpinion {
    fn likelihoods(&self, text: &str, candidates: &[&'static str]) -> Option<Vec<f64>> {
        let models: Vec<Model<'_>> =
            candidates.iter().map(|code| self.models.get(code).copied()).collect::<Option<_>>()?;
        likelihoods(text, &models)
    }
}

/// The models in the packed file, by language.
fn models(mut file: &'static [u8]) -> HashMap<&'static str, Model<'static>> {
    let mut models = HashMap::new();
    while let Some((&code, rest)) = file.split_first_chunk::<3>()
        && let Some((&len, rest)) = rest.split_first_chunk::<4>()
        && let Some((packed, rest)) = rest.split_at_checked(u32::from_le_bytes(len) as usize)
    {
        if let (Ok(code), Some(model)) = (std::str::from_utf8(&file[..code.len()]), Model::read(packed)) {
            models.insert(code, model);
        }
        file = rest;
    }
    models
}

/// How likely a text is in each language, 1 in sum; `None` for one without an n-gram of any.
fn likelihoods(text: &str, models: &[Model<'_>]) -> Option<Vec<f64>> {
    let lower: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let letters = lower.iter().filter(|&&letter| super::evidence::is_letter(letter)).count();
    let lengths = if letters < LONG_TEXT { 1..=LONGEST } else { 3..=3 };
    let mut seen: HashSet<u64> = HashSet::new();
    let mut sums = vec![0.0; models.len()];
    let mut known_letters = vec![0_u32; models.len()];
    let words = lower.split(|&c| !super::evidence::is_letter(c));
    for ngrams in words.flat_map(|word| (0..word.len()).map(move |from| &word[from..])) {
        let mut hashes = [EMPTY; LONGEST + 1];
        let mut is_new = [false; LONGEST + 1];
        let len = ngrams.len().min(*lengths.end());
        for (at, &letter) in ngrams[..len].iter().enumerate() {
            hashes[at + 1] = extended(hashes[at], letter);
            is_new[at + 1] = lengths.contains(&(at + 1)) && seen.insert(hashes[at + 1]);
        }
        if !is_new.contains(&true) {
            continue;
        }
        for ((model, sum), known) in models.iter().zip(&mut sums).zip(&mut known_letters) {
            let mut longest = None;
            let mut goes_on = true;
            for at in 1..=len {
                if goes_on {
                    let logarithm = model.logarithm(hashes[at]);
                    // A model that does not have an n-gram has none that begins with it.
                    goes_on = logarithm.is_some();
                    longest = logarithm.or(longest);
                }
                if is_new[at] {
                    *sum += longest.unwrap_or(0.0);
                    *known += u32::from(at == 1 && longest.is_some());
                }
            }
        }
    }
    let scores: Vec<f64> = sums
        .iter()
        .zip(&known_letters)
        .map(|(&sum, &known)| if sum < 0.0 { sum / f64::from(known.max(1)) } else { f64::NEG_INFINITY })
        .collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return None;
    }
    let likelihoods: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = likelihoods.iter().sum();
    Some(likelihoods.iter().map(|likelihood| likelihood / sum).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use include_dir::Dir;
    use lingua_swahili_language_model::SWAHILI_MODELS_DIRECTORY;
    use lingua_tagalog_language_model::TAGALOG_MODELS_DIRECTORY;
    use proptest::prelude::*;

    use super::super::languages::{KNOWN, written_in};
    use super::super::script::Script;
    use super::*;

    /// A model as lingua has it.
    type Map = fst::Map<&'static [u8]>;

    fn map(folder: &Dir<'static>) -> Map {
        fst::Map::new(folder.get_file("ngrams.fst").unwrap().contents()).unwrap()
    }

    /// How likely a text is by a model that was packed, in the plainest way: the logarithm, none without an n-gram of it, and
    /// how far it may be off since values are rounded by up to 0.0375.
    fn plain(text: &str, model: &Map) -> (Option<f64>, f64) {
        let text = text.to_lowercase();
        let words: Vec<Vec<char>> = text
            .split(' ')
            .map(|word| word.chars().collect())
            .filter(|word: &Vec<char>| !word.is_empty())
            .collect();
        let letters: usize = words.iter().map(Vec::len).sum();
        let lengths = if letters < 120 { vec![1, 2, 3, 4] } else { vec![3] };
        let value = |ngram: &[char]| model.get(ngram.iter().collect::<String>()).map(f64::from_bits);
        let (mut sum, mut known, mut terms) = (0.0, 0, 0);
        for &length in &lengths {
            let ngrams: BTreeSet<&[char]> = words.iter().flat_map(|word| word.windows(length)).collect();
            for ngram in ngrams {
                let longest = (1..=length).rev().find_map(|length| value(&ngram[..length]));
                sum += longest.unwrap_or(0.0);
                terms += u32::from(longest.is_some());
                known += u32::from(length == 1 && longest.is_some());
            }
        }
        let share = f64::from(known.max(1));
        ((sum < 0.0).then_some(sum / share), 0.0376 * f64::from(terms) / share)
    }

    /// Whether a packed model takes an n-gram of a text for another one.
    fn takes_one_for_another(text: &str, model: &Model<'_>, map: &Map) -> bool {
        let letters: Vec<char> = text.to_lowercase().chars().collect();
        (1..=LONGEST).flat_map(|length| letters.windows(length)).any(|ngram| {
            let hash = ngram.iter().copied().fold(EMPTY, extended);
            let truth = map.get(ngram.iter().collect::<String>()).map(f64::from_bits);
            model.logarithm(hash).is_some_and(|found| truth.is_none_or(|truth| (found - truth).abs() > 0.04))
        })
    }

    #[test]
    fn every_language_that_shares_its_script_has_a_model() {
        let opinion = NgramOpinion::new();
        for script in [Script::Latin, Script::Cyrillic, Script::Arabic, Script::Devanagari] {
            for language in KNOWN.iter().filter(|language| language.script == script) {
                assert!(opinion.models.contains_key(language.code), "{}", language.code);
            }
            assert_ne!(written_in(script), 0);
        }
        assert!(opinion.likelihoods("nothing of it", &["eng", "ell"]).is_none());
        assert!(opinion.likelihoods("12345", &["eng", "deu"]).is_none());
    }

    #[test]
    fn neighbours_are_told_apart() {
        let opinion = NgramOpinion::new();
        for (code, other, text) in [
            ("nob", "dan", "Jeg har ikke sett noe til henne siden i går"),
            ("dan", "nob", "Jeg har ikke set noget til hende siden i går"),
            ("por", "spa", "Não sei o que ele quer"),
            ("ces", "slk", "Nevím, co chce říct"),
            ("ukr", "rus", "Я не знаю, чого він хоче"),
            ("mar", "hin", "त्याला काय हवे आहे ते मला माहीत नाही"),
        ] {
            let likelihoods = opinion.likelihoods(text, &[code, other]).unwrap();
            assert!(likelihoods[0] > 0.6, "{text}: {likelihoods:?}");
        }
    }

    proptest! {
        #[test]
        fn likelihoods_are_those_of_the_models(
            text in "([a-z]{1,9}|habari|ya|asubuhi|ang|mga|bata|ñ){1,30}( [a-z]{1,9}| kazi| ng| sa| Sana){0,30}",
        ) {
            let candidates = ["swa", "tgl"];
            let opinion = NgramOpinion::new();
            let maps = [map(&SWAHILI_MODELS_DIRECTORY), map(&TAGALOG_MODELS_DIRECTORY)];
            for (code, map) in candidates.iter().zip(&maps) {
                // One in 5,000 is.
                prop_assume!(!takes_one_for_another(&text, &opinion.models[code], map));
            }
            let ours = opinion.likelihoods(&text, &candidates);
            let [(first, off), (second, other_off)] = maps.each_ref().map(|map| plain(&text, map));
            let (Some(first), Some(second)) = (first, second) else {
                let truth = match (first, second) {
                    (None, None) => None,
                    (first, _) => Some(if first.is_some() { vec![1.0, 0.0] } else { vec![0.0, 1.0] }),
                };
                prop_assert_eq!(ours, truth);
                return Ok(());
            };
            let ours = ours.unwrap();
            // A likelihood that is 0 beside the other cannot be told from one that is smaller still.
            let odds = (ours[0] / ours[1]).ln().clamp(-600.0, 600.0);
            let distance = (odds - (first - second).clamp(-600.0, 600.0)).abs();
            prop_assert!(distance <= off + other_off + 1e-6, "{ours:?} {first} {second}");
        }
    }
}
