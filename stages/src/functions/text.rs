//! Text measures in plans.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::prelude::Expr;
use genome_kernels::text::{advertising, language, measures, normalize, pii, repetition};

use super::{array_function, string_at, strings};

/// A number that is measured on a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Words, separated by white space.
    Words,
    /// Share of words that are links.
    LinkShare,
    /// Share of the text that repeats lines or words of it.
    Repetition,
    /// 1 for a text that says a program wrote it; else 0.
    Automated,
    /// 1 for a text that only says it was deleted or removed, or says nothing; else 0.
    Removed,
}

impl Measure {
    const fn name(self) -> &'static str {
        match self {
            Self::Words => "n_words",
            Self::LinkShare => "link_share",
            Self::Repetition => "repetition",
            Self::Automated => "automated",
            Self::Removed => "removed",
        }
    }

    fn of(self, text: &str) -> f64 {
        match self {
            Self::Words => measures::n_words(text) as f64,
            Self::LinkShare => measures::link_word_ratio(text),
            Self::Repetition => {
                repetition::repeated_line_share(text).max(repetition::repeated_word_share(text))
            }
            Self::Automated => f64::from(u8::from(is_automated(text))),
            Self::Removed => f64::from(u8::from(is_removed(text))),
        }
    }
}

/// A measure of a text; of null, null.
pub fn measure(measure: Measure, text: Expr) -> Expr {
    array_function(measure.name(), vec![DataType::Utf8View], DataType::Float64, move |args| {
        let values = strings(args, 0)?.iter().map(|text| text.map(|t| measure.of(t)));
        Ok(Arc::new(values.collect::<Float64Array>()) as ArrayRef)
    })
    .call(vec![text])
}

/// ISO 639-3 code of the language of a text, `und` where it cannot be told.
pub fn detect_language(text: Expr) -> Expr {
    string_function("detect_language", text, |t| language::detect(t).code.to_owned())
}

/// Whether a text has an advertising phrase.
pub fn is_advertising(text: Expr) -> Expr {
    array_function("is_advertising", vec![DataType::Utf8View], DataType::Boolean, |args| {
        let values =
            strings(args, 0)?.iter().map(|text| text.map(|t| advertising::advertising_phrase(t).is_some()));
        Ok(Arc::new(values.collect::<BooleanArray>()) as ArrayRef)
    })
    .call(vec![text])
}

/// A text with personal data replaced by placeholders.
pub fn redact(text: Expr) -> Expr {
    string_function("redact", text, pii::redact)
}

/// Hex digest of a text, of its normal form if `normalized`: equal digests, equal texts.
pub fn text_digest(text: Expr, normalized: bool) -> Expr {
    let name = if normalized { "digest_normalized" } else { "digest_raw" };
    string_function(name, text, move |t| {
        let digest = if normalized {
            blake3::hash(normalize::normalize(t).as_bytes())
        } else {
            blake3::hash(t.as_bytes())
        };
        digest.to_hex()[..32].to_owned()
    })
}

fn string_function(name: &str, text: Expr, run: impl Fn(&str) -> String + Send + Sync + 'static) -> Expr {
    array_function(name, vec![DataType::Utf8View], DataType::Utf8View, move |args| {
        let texts = strings(args, 0)?;
        let mut out = StringViewBuilder::with_capacity(texts.len());
        for row in 0..texts.len() {
            out.append_option(string_at(texts, row).map(&run));
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![text])
}

/// Words by which programs sign what they post.
fn is_automated(text: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "i am a bot",
        "i'm a bot",
        "beep boop",
        "this action was performed automatically",
        "this is an automated ",
        "automated review by ",
        "do not reply to this message",
    ];
    let text = text.to_lowercase();
    let ends_word = |rest: &str| !rest.starts_with(char::is_alphanumeric);
    SIGNS.iter().any(|sign| {
        text.match_indices(sign).any(|(at, found)| {
            // "I am a botanist" is nobody's signature.
            found.ends_with(' ') || ends_word(&text[at + found.len()..])
        })
    })
}

/// Reddit's placeholders for what a user deleted or a moderator removed.
fn is_removed(text: &str) -> bool {
    const PLACEHOLDERS: [&str; 4] = ["[deleted]", "[removed]", "[ removed by reddit ]", "[deleted by user]"];
    // Title and text stand on lines of their own: a post is gone when no line says anything else.
    let body = text.trim().rsplit('\n').next().unwrap_or_default().trim().to_lowercase();
    body.is_empty() || PLACEHOLDERS.contains(&body.as_str())
}
