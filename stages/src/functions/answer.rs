//! What an answer is worth before any judge sees it: parsed strictly, then held against the cheap checks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::Result;
use datafusion::prelude::Expr;
use genome_kernels::llm::{AnswerForm, is_quotation};
use genome_kernels::text::{pii, repetition};
use genome_schemas::Outcome;

use super::{array_function, strings};

fn checked_fields() -> Fields {
    Fields::from(vec![
        Field::new("fields", DataType::Utf8, true),
        Field::new("outcome", DataType::Utf8, false),
        Field::new("rule", DataType::Utf8, true),
    ])
}

/// Struct of `fields` (canonical JSON, null if unreadable), `outcome` and `rule` of an answer.
///
/// In this order: the engine's own failures, the form, a null answer, quotations that do not occur in `evidence`,
/// repetition loops, personal data.
pub fn check_answer(name: &str, form: AnswerForm, text: Expr, finish: Expr, evidence: Expr) -> Expr {
    array_function(
        &format!("check_answer[{name}]"),
        vec![DataType::Utf8View; 3],
        DataType::Struct(checked_fields()),
        move |args| {
            let (texts, finish, evidence) = (strings(args, 0)?, strings(args, 1)?, strings(args, 2)?);
            let checked: Vec<Checked> = (0..texts.len())
                .map(|row| check(&form, texts.value(row), finish.value(row), evidence.value(row)))
                .collect();
            to_struct(&checked)
        },
    )
    .call(vec![text, finish, evidence])
}

struct Checked {
    fields: Option<String>,
    outcome: Outcome,
    rule: Option<&'static str>,
}

fn check(form: &AnswerForm, text: &str, finish: &str, evidence: &str) -> Checked {
    let drop = |outcome, rule| Checked { fields: None, outcome, rule: Some(rule) };
    match finish {
        "stop" => {}
        "length" => return drop(Outcome::Truncated, "max_tokens"),
        "unasked" => return drop(Outcome::NoAnswer, "too_short_to_quote"),
        "context" => return drop(Outcome::ContextTooLong, "context_length"),
        _ => return drop(Outcome::EngineError, "engine"),
    }
    let value = match form.parse(text) {
        Err(_) => return drop(Outcome::Unparseable, "form"),
        Ok(None) => return drop(Outcome::NoAnswer, "null"),
        Ok(Some(value)) => value,
    };
    let verdict = if form.quotes(&value).iter().any(|quote| !is_quotation(evidence, quote)) {
        Some((Outcome::Ungrounded, "quotation"))
    } else if repetition::repetition_loop(text).is_some() {
        Some((Outcome::Degenerate, "repetition_loop"))
    } else if pii::has_pii(text) {
        Some((Outcome::PersonalData, "personal_data"))
    } else {
        None
    };
    let (outcome, rule) = verdict.map_or((Outcome::Kept, None), |(o, r)| (o, Some(r)));
    Checked { fields: Some(value.to_string()), outcome, rule }
}

fn to_struct(checked: &[Checked]) -> Result<ArrayRef> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(checked.iter().map(|c| c.fields.as_deref()).collect::<StringArray>()),
        Arc::new(checked.iter().map(|c| Some(c.outcome.as_str())).collect::<StringArray>()),
        Arc::new(checked.iter().map(|c| c.rule).collect::<StringArray>()),
    ];
    Ok(Arc::new(StructArray::try_new(checked_fields(), columns, None)?))
}
