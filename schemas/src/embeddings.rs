//! Table `embeddings`: one text as a vector.

use std::sync::Arc;

use arrow_schema::{DataType, Field};

use crate::key::key_type;
use crate::ledger::ledger_fields;
use crate::table::Table;

/// Table `embeddings`: what one event says, as a vector of a model.
///
/// - `key`: of the call: model and text; `event_key`: the event;
/// - `model`, `model_digest`: the encoder and what its files are known by;
/// - `vector`: its numbers, of length 1 together.
pub fn embeddings() -> Table {
    let mut fields = vec![
        Field::new("key", key_type(), false),
        Field::new("event_key", key_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("model", DataType::Utf8, false),
        Field::new("model_digest", DataType::Utf8, false),
        Field::new("vector", vector_type(), false),
    ];
    fields.extend(ledger_fields());
    Table::new("embeddings", fields)
}

/// Type of a vector: a list of numbers.
pub fn vector_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Float32, true)))
}
