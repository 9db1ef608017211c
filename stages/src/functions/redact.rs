//! Personal data in plans: replaced by placeholders, and noted; and the notes of what else was taken out of texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringViewBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::DataFusionError;
use datafusion::functions_nested::expr_fn::array_concat;
use datafusion::prelude::{Expr, cast, col, when};
use genome_kernels::text::pii::{PiiKinds, redact_with, spans_of};
use serde::Serialize;

use super::{array_function, list_array, string_at, strings};
use crate::StageError;
use crate::pii_scrub::RedactionKey;

/// What is replaced, and by which secret placeholders are numbered, if they are.
pub(crate) struct Redactor {
    pub(crate) kinds: PiiKinds,
    pub(crate) key: Option<RedactionKey>,
}

/// A text of an author with personal data replaced by placeholders.
pub(crate) fn redact(redactor: &Arc<Redactor>, text: Expr, author: Expr) -> Expr {
    let redactor = Arc::clone(redactor);
    let types = vec![DataType::Utf8View, DataType::Utf8View];
    array_function("redact", types, DataType::Utf8View, move |args| {
        let (texts, authors) = (strings(args, 0)?, strings(args, 1)?);
        let mut out = StringViewBuilder::with_capacity(texts.len());
        for row in 0..texts.len() {
            let author = string_at(authors, row).unwrap_or_default();
            out.append_option(string_at(texts, row).map(|text| {
                let number = |kind, value: &str| Some(redactor.key.as_ref()?.number(author, kind, value));
                redact_with(text, redactor.kinds, &number).0
            }));
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![cast(text, DataType::Utf8View), cast(author, DataType::Utf8View)])
}

/// One place where something stood that was replaced or taken out.
#[derive(Serialize)]
pub(super) struct Redaction {
    pub(super) field: &'static str,
    pub(super) kind: &'static str,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The item of a column `redactions`.
pub(super) fn redaction_item(list_type: &DataType) -> Result<FieldRef, StageError> {
    match list_type {
        DataType::List(item) => Ok(Arc::clone(item)),
        _ => Err(DataFusionError::Internal("redactions should be a list".to_owned()).into()),
    }
}

/// The places of each row as a column; null for none.
pub(super) fn redaction_lists(item: &FieldRef, rows: &[Vec<Redaction>]) -> Result<ArrayRef, DataFusionError> {
    let lists = list_array(item, rows)?;
    let lists = lists
        .as_list_opt::<i32>()
        .ok_or_else(|| DataFusionError::Internal("a list was expected".to_owned()))?;
    let found: NullBuffer = rows.iter().map(|row| !row.is_empty()).collect();
    let (offsets, values) = (lists.offsets().clone(), Arc::clone(lists.values()));
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, Some(found))?))
}

/// Column `redactions` with what a stage `found` behind what those before it did.
pub(crate) fn with_redactions(found: &Expr) -> Result<Expr, StageError> {
    let before = || col("redactions");
    let both = array_concat(vec![before(), found.clone()]);
    let added =
        when(found.clone().is_null(), before()).when(before().is_null(), found.clone()).otherwise(both)?;
    Ok(added.alias("redactions"))
}

/// That a text was written anew, as one place over the whole old text; null where it was not.
pub(crate) fn rewriting(old: Expr, new: Expr, list_type: &DataType) -> Result<Expr, StageError> {
    let item = redaction_item(list_type)?;
    let types = vec![DataType::Utf8View, DataType::Utf8View];
    let function = array_function("rewriting", types, list_type.clone(), move |args| {
        let (old, new) = (strings(args, 0)?, strings(args, 1)?);
        let place = |row| {
            let text = string_at(old, row).filter(|text| string_at(new, row) != Some(text));
            let end = text.map(str::len);
            end.map(|end| Redaction { field: "text", kind: "rewritten", start: 0, end }).into_iter().collect()
        };
        redaction_lists(&item, &(0..old.len()).map(place).collect::<Vec<_>>())
    });
    Ok(function.call(vec![cast(old, DataType::Utf8View), cast(new, DataType::Utf8View)]))
}

/// Where personal data stands in title and text; null where there is none.
pub(crate) fn redactions(redactor: &Arc<Redactor>, list_type: &DataType) -> Result<Expr, StageError> {
    let (redactor, item) = (Arc::clone(redactor), redaction_item(list_type)?);
    let types = vec![DataType::Utf8View, DataType::Utf8View];
    let function = array_function("redactions", types, list_type.clone(), move |args| {
        let fields = [("title", strings(args, 0)?), ("text", strings(args, 1)?)];
        let rows: Vec<Vec<Redaction>> = (0..args[0].len())
            .map(|row| {
                let of_field = |(field, texts): (&'static str, _)| {
                    let spans = string_at(texts, row).map(|text| spans_of(text, redactor.kinds));
                    spans.into_iter().flatten().map(move |span| Redaction {
                        field,
                        kind: span.kind.as_str(),
                        start: span.start,
                        end: span.end,
                    })
                };
                fields.into_iter().flat_map(of_field).collect()
            })
            .collect();
        redaction_lists(&item, &rows)
    });
    Ok(function.call(["title", "text"].map(|name| cast(col(name), DataType::Utf8View)).to_vec()))
}
