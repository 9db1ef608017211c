//! Table `judgements`: one score.

use arrow_schema::{DataType, Field};

use crate::key::key_type;
use crate::ledger::ledger_fields;
use crate::table::Table;

/// Table `judgements`: one score of one completion, in long form, so that a gate is a join with a table of
/// thresholds and a missing score fails it.
///
/// `score` is on the rubric's scale (1 to 10 in `HumanLLM`'s judge), null if the judge's answer had none.
pub fn judgements() -> Table {
    let mut fields = vec![
        Field::new("key", key_type(), false),
        Field::new("completion_key", key_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("rubric", DataType::Utf8, false),
        Field::new("judge", DataType::Utf8, false),
        Field::new("metric", DataType::Utf8, false),
        Field::new("score", DataType::Float64, true),
        Field::new("completion_tokens", DataType::UInt32, false),
    ];
    fields.extend(ledger_fields());
    Table::new("judgements", fields)
}
