//! Passages of texts in plans.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, ListArray, ListBuilder, PrimitiveBuilder, StringViewArray,
    StringViewBuilder,
};
use arrow::datatypes::{DataType, Field, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::Expr;
use genome_kernels::text::normalize::normalize;
use genome_kernels::text::passages::{Passage, passages, share, without};

use super::redact::{Redaction, redaction_item, redaction_lists};
use super::signature::scope_number;
use super::{array_function, string_at, strings};
use crate::StageError;

/// Type of a list of passages by their keys.
fn keys_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::UInt64, true)))
}

/// The passages of a text in a scope that do not stand in what it answers, each once; null where text or scope is null,
/// or there are none.
pub(crate) fn passage_keys(text: Expr, scope: Expr, answered: Expr, min_words: usize) -> Expr {
    let name = format!("passage_keys[{min_words}]");
    array_function(&name, vec![DataType::Utf8View; 3], keys_type(), move |args| {
        let (texts, scopes, answered) = (strings(args, 0)?, strings(args, 1)?, strings(args, 2)?);
        let mut out = ListBuilder::new(PrimitiveBuilder::<UInt64Type>::new());
        for row in 0..texts.len() {
            let mut keys = match (string_at(texts, row), string_at(scopes, row)) {
                (Some(text), Some(scope)) => own_keys(text, scope, string_at(answered, row), min_words),
                _ => Vec::new(),
            };
            keys.sort_unstable();
            keys.dedup();
            out.values().append_slice(&keys);
            out.append(!keys.is_empty());
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![text, scope, answered])
}

/// The keys of the passages of a text that do not stand in what it answers.
fn own_keys(text: &str, scope: &str, answered: Option<&str>, min_words: usize) -> Vec<u64> {
    let all: Vec<Passage> = passages(text, min_words).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let (scope, answered) = (scope_number(scope), Answered::of(answered));
    all.iter().filter(|passage| !answered.has(passage)).map(|passage| passage.key(scope)).collect()
}

/// What a text answers, in the form that passages have; none for nothing.
struct Answered(Option<String>);

impl Answered {
    fn of(text: Option<&str>) -> Self {
        Self(text.filter(|text| !text.is_empty()).map(normalize))
    }

    fn has(&self, passage: &Passage) -> bool {
        self.0.as_ref().is_some_and(|answered| answered.contains(&passage.form))
    }
}

/// What is looked for in a text: its scope, what it answers (null for nothing), and passages that stand elsewhere.
pub(crate) struct Elsewhere {
    /// Scope of the keys.
    pub(crate) scope: Expr,
    /// What the text answers.
    pub(crate) answered: Expr,
    /// Keys of passages, a list.
    pub(crate) keys: Expr,
}

/// The share of a text's words that stand in such passages, `0.0..=1.0`; null for null.
pub(crate) fn passage_share(text: Expr, elsewhere: Elsewhere, min_words: usize) -> Expr {
    let name = format!("passage_share[{min_words}]");
    over_passages(&name, DataType::Float64, text, elsewhere, move |rows| {
        let shares = (0..rows.texts.len()).map(|row| {
            let text = string_at(rows.texts, row)?;
            Some(share(text, rows.found(row, text, min_words).iter()))
        });
        Ok(Arc::new(shares.collect::<Float64Array>()))
    })
}

/// A text without such passages; null for null.
pub(crate) fn without_passages(text: Expr, elsewhere: Elsewhere, min_words: usize) -> Expr {
    let name = format!("without_passages[{min_words}]");
    over_passages(&name, DataType::Utf8View, text, elsewhere, move |rows| {
        let mut out = StringViewBuilder::with_capacity(rows.texts.len());
        for row in 0..rows.texts.len() {
            let text = string_at(rows.texts, row);
            out.append_option(text.map(|text| without(text, rows.found(row, text, min_words).iter())));
        }
        Ok(Arc::new(out.finish()))
    })
}

/// Where such passages stand in a text, for the column `redactions` of this type; null where there are none.
pub(crate) fn passage_places(
    text: Expr,
    elsewhere: Elsewhere,
    min_words: usize,
    list_type: &DataType,
) -> Result<Expr, StageError> {
    let name = format!("passage_places[{min_words}]");
    let item = redaction_item(list_type)?;
    Ok(over_passages(&name, list_type.clone(), text, elsewhere, move |rows| {
        let places = |row| {
            let text = string_at(rows.texts, row).unwrap_or_default();
            let found = rows.found(row, text, min_words).into_iter();
            let place = |Passage { range, .. }| Redaction {
                field: "text",
                kind: "shared_passage",
                start: range.start,
                end: range.end,
            };
            found.map(place).collect()
        };
        redaction_lists(&item, &(0..rows.texts.len()).map(places).collect::<Vec<_>>())
    }))
}

/// The arguments of a function over [`Elsewhere`].
struct Rows<'a> {
    texts: &'a StringViewArray,
    scopes: &'a StringViewArray,
    answered: &'a StringViewArray,
    keys: &'a ListArray,
}

impl Rows<'_> {
    /// The passages of a row's text that stand elsewhere.
    fn found(&self, row: usize, text: &str, min_words: usize) -> Vec<Passage> {
        let own: Vec<Passage> = passages(text, min_words).collect();
        if own.is_empty() {
            return own;
        }
        let keys: HashSet<u64> = if self.keys.is_valid(row) {
            let keys = self.keys.value(row);
            keys.as_primitive_opt::<UInt64Type>().into_iter().flatten().flatten().collect()
        } else {
            HashSet::new()
        };
        let answered = Answered::of(string_at(self.answered, row));
        let scope = scope_number(string_at(self.scopes, row).unwrap_or_default());
        let stands_elsewhere =
            |passage: &Passage| answered.has(passage) || keys.contains(&passage.key(scope));
        own.into_iter().filter(stands_elsewhere).collect()
    }
}

fn over_passages(
    name: &str,
    output: DataType,
    text: Expr,
    elsewhere: Elsewhere,
    run: impl Fn(&Rows<'_>) -> Result<ArrayRef> + Send + Sync + 'static,
) -> Expr {
    let inputs = vec![DataType::Utf8View, DataType::Utf8View, DataType::Utf8View, keys_type()];
    array_function(name, inputs, output, move |args| -> Result<ArrayRef> {
        let wrong = || DataFusionError::Internal("passages should be a list of numbers".to_owned());
        let rows = Rows {
            texts: strings(args, 0)?,
            scopes: strings(args, 1)?,
            answered: strings(args, 2)?,
            keys: args[3].as_list_opt::<i32>().ok_or_else(wrong)?,
        };
        run(&rows)
    })
    .call(vec![text, elsewhere.scope, elsewhere.answered, elsewhere.keys])
}
