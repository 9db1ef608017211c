//! What an answer is worth before any judge sees it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::Result;
use datafusion::prelude::Expr;
use genome_kernels::llm::{AnswerChecks, Verdict};

use super::{array_function, strings};

fn checked_fields() -> Fields {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    Fields::from(vec![
        text("fields"),
        Field::new("outcome", DataType::Utf8, false),
        text("rule"),
        number("measured"),
        number("limit_value"),
        text("matched"),
    ])
}

/// Struct of `fields` (canonical JSON, null if unreadable) and of what [`AnswerChecks::check`] says of an answer, under the
/// names of the ledger's columns.
pub fn check_answer(
    name: &str,
    checks: AnswerChecks,
    text: Expr,
    finish: Expr,
    evidence: Expr,
    prompt: Expr,
) -> Expr {
    array_function(
        &format!("check_answer[{name}]"),
        vec![DataType::Utf8View; 4],
        DataType::Struct(checked_fields()),
        move |args| {
            let (texts, finish) = (strings(args, 0)?, strings(args, 1)?);
            let (evidence, prompts) = (strings(args, 2)?, strings(args, 3)?);
            let verdicts: Vec<Verdict> = (0..texts.len())
                .map(|row| {
                    checks.check(texts.value(row), finish.value(row), evidence.value(row), prompts.value(row))
                })
                .collect();
            to_struct(&verdicts)
        },
    )
    .call(vec![text, finish, evidence, prompt])
}

fn to_struct(verdicts: &[Verdict]) -> Result<ArrayRef> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(verdicts.iter().map(|v| v.fields.as_deref()).collect::<StringArray>()),
        Arc::new(verdicts.iter().map(|v| Some(v.outcome.as_str())).collect::<StringArray>()),
        Arc::new(verdicts.iter().map(|v| v.rule).collect::<StringArray>()),
        Arc::new(verdicts.iter().map(|v| v.measured).collect::<Float64Array>()),
        Arc::new(verdicts.iter().map(|v| v.limit).collect::<Float64Array>()),
        Arc::new(verdicts.iter().map(|v| v.matched.as_deref()).collect::<StringArray>()),
    ];
    Ok(Arc::new(StructArray::try_new(checked_fields(), columns, None)?))
}
