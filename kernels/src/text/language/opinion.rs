//! What is asked where words and trigrams leave a doubt.

use std::fmt::Debug;

/// A detector that is asked about the texts whose language is in doubt: slow and good where the first is quick.
///
/// It is handed in (`LanguageDetector::with_third_opinion`) because its models may be large: a program that does not
/// name an implementation does not carry them.
pub trait ThirdOpinion: Debug + Send + Sync {
    /// How likely each of the candidates is to be the language of a text, `0.0..=1.0` and 1 in sum; `None` if it has
    /// nothing to say about these candidates.
    ///
    /// Candidates are ISO 639-3 codes, at least two, of one script; the answer is in their order. Equal arguments get
    /// equal answers.
    fn likelihoods(&self, text: &str, candidates: &[&'static str]) -> Option<Vec<f64>>;
}
