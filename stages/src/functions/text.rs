//! Functions of one text in plans.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::prelude::Expr;
use genome_kernels::text::normalize;

use super::{array_function, string_at, strings};
use crate::filter::is_placeholder;

/// Whether a text only says that it was deleted or removed, or says nothing; null for null.
///
/// Title and text stand on lines of their own: a post is gone when its last line says no more than that.
pub fn is_removed(text: Expr) -> Expr {
    array_function("is_removed", vec![DataType::Utf8View], DataType::Boolean, |args| {
        let gone = |text: &str| {
            let body = text.trim().rsplit('\n').next().unwrap_or_default();
            body.trim().is_empty() || is_placeholder(body)
        };
        let values = strings(args, 0)?.iter().map(|text| text.map(gone));
        Ok(Arc::new(values.collect::<BooleanArray>()) as ArrayRef)
    })
    .call(vec![text])
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
