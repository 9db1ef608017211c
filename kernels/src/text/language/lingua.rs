//! The third opinion of `lingua`: n-grams of one to five letters, 230 MB of models.
//!
//! Whatever names [`LinguaOpinion`] carries the models in its binary. Only the program does.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use lingua::{IsoCode639_3, Language, LanguageDetector, LanguageDetectorBuilder};

use super::opinion::ThirdOpinion;

/// Detectors that are kept, one for each set of candidates. One is small: all share the models.
const MAX_DETECTORS: usize = 4096;

/// The opinion of `lingua`, in high accuracy, about languages that all have models.
#[derive(Debug, Default)]
pub struct LinguaOpinion {
    detectors: RwLock<HashMap<Vec<&'static str>, Arc<Candidates>>>,
}

/// A detector for some candidates.
struct Candidates {
    detector: LanguageDetector,
    languages: Vec<Language>,
}

impl std::fmt::Debug for Candidates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidates").field("languages", &self.languages).finish_non_exhaustive()
    }
}

impl LinguaOpinion {
    /// An opinion; models are paged in when a text first needs them.
    pub fn new() -> Self {
        Self::default()
    }

    /// The detector for some candidates; `None` if one of them has no model, or there is nothing to choose from.
    fn candidates(&self, codes: &[&'static str]) -> Option<Arc<Candidates>> {
        if let Some(known) = self.detectors.read().unwrap_or_else(PoisonError::into_inner).get(codes) {
            return Some(Arc::clone(known));
        }
        let languages: Vec<Language> = codes.iter().map(|code| language(code)).collect::<Option<_>>()?;
        if languages.len() < 2 {
            return None;
        }
        let detector = LanguageDetectorBuilder::from_languages(&languages).build();
        let candidates = Arc::new(Candidates { detector, languages });
        let mut detectors = self.detectors.write().unwrap_or_else(PoisonError::into_inner);
        if detectors.len() < MAX_DETECTORS {
            detectors.insert(codes.to_vec(), Arc::clone(&candidates));
        }
        Some(candidates)
    }
}

impl ThirdOpinion for LinguaOpinion {
    fn likelihoods(&self, text: &str, candidates: &[&'static str]) -> Option<Vec<f64>> {
        let candidates = self.candidates(candidates)?;
        let values = candidates.detector.compute_language_confidence_values(text);
        let likelihood = |language: &Language| {
            values.iter().find(|(of, _)| of == language).map_or(0.0, |&(_, value)| value)
        };
        let likelihoods: Vec<f64> = candidates.languages.iter().map(likelihood).collect();
        likelihoods.iter().any(|&value| value > 0.0).then_some(likelihoods)
    }
}

/// The language of an ISO 639-3 code, if its model is built in.
fn language(code: &str) -> Option<Language> {
    let code: IsoCode639_3 = code.parse().ok()?;
    Language::all().into_iter().find(|language| language.iso_code_639_3() == code)
}
