//! Functions of one text in plans.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::prelude::Expr;

use super::{array_function, strings};
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
