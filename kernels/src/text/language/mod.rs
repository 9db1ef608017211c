//! Which language a text is in.
//!
//! A post's language is told in steps, and most posts need the first only: (1) its script, which settles a third of
//! the languages; (2) its most frequent words and the letters outside of ASCII; (3) its trigrams; (4) a third opinion,
//! if one was handed in ([`ThirdOpinion`]). A text that is too short to tell is [`UNDETERMINED`], or in the language
//! in which its author writes otherwise; one in a script of which no language is listed is [`UNCODED`].
//!
//! Measured against whatlang, whichlang and lingua by `benches/language.rs`. The first two were tried as second
//! opinions beside words and trigrams: accuracy stayed within 0.03 points, so neither is asked.

mod detector;
mod evidence;
mod excerpt;
mod languages;
pub mod ngrams;
mod opinion;
mod profiles;
mod script;

pub use detector::LanguageDetector;
pub use languages::{LANGUAGES, told_as};
pub use opinion::ThirdOpinion;
pub use profiles::frequent_words;

/// The code of a text whose language cannot be told (ISO 639-3 "undetermined").
pub const UNDETERMINED: &str = "und";

/// The code of a text in a script of which no language is listed, such as Burmese or Sinhala (ISO 639-3 "uncoded
/// languages").
pub const UNCODED: &str = "mis";

/// The language of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detected {
    /// ISO 639-3 code in lower case, one of [`LANGUAGES`]; [`UNCODED`] for a text in the script of other languages,
    /// [`UNDETERMINED`] for one with too little to tell it by.
    pub code: &'static str,
    /// How likely it is the right one, `0.0..=1.0`; 0 where it is undetermined or the author's other posts decided.
    pub confidence: f64,
    /// Whether the detector vouches for it (confidence above 0.9).
    pub reliable: bool,
}

impl Detected {
    const UNDETERMINED: Self = Self { code: UNDETERMINED, confidence: 0.0, reliable: false };
    const UNCODED: Self = Self { code: UNCODED, confidence: 1.0, reliable: true };
}

/// The language of a text, out of all [`LANGUAGES`], without a third opinion.
///
/// ```
/// use genome_kernels::text::language::detect;
/// assert_eq!(detect("I have been to the market this morning.").code, "eng");
/// assert_eq!(detect("https://example.com 12345").code, "und");
/// ```
pub fn detect(text: &str) -> Detected {
    LanguageDetector::common().detect(text)
}

/// The language of a text by an author most of whose other posts are in the language `prior` (ISO 639-3): see
/// [`LanguageDetector::detect_with_prior`].
///
/// ```
/// use genome_kernels::text::language::detect_with_prior;
/// assert_eq!(detect_with_prior("No problem!", Some("eng")).code, "eng");
/// assert_eq!(detect_with_prior("No problem!", None).code, "und");
/// ```
pub fn detect_with_prior(text: &str, prior: Option<&str>) -> Detected {
    LanguageDetector::common().detect_with_prior(text, prior)
}
