//! Table `authors`: one person with their kept train events.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

use crate::key::key_type;
use crate::ledger::ledger_fields;
use crate::message::message_list_type;
use crate::table::Table;

/// Fields of one event inside an author's history.
pub fn author_event_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", key_type(), false),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))), true),
        Field::new("kind", DataType::Utf8, false),
        Field::new("context", message_list_type(), true),
        Field::new("title", DataType::Utf8, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("rating", DataType::Float64, true),
    ])
}

/// Table `authors`: one person with their kept **train** events, oldest first.
///
/// No test event can be in it: it is grouped after the split, from train rows only, so nothing that is
/// synthesized from an author has seen what will be asked in a test.
pub fn authors() -> Table {
    let at = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let events = DataType::List(Arc::new(Field::new("item", DataType::Struct(author_event_fields()), true)));
    let mut fields = vec![
        Field::new("key", key_type(), false),
        Field::new("author_id", DataType::Utf8, false),
        Field::new("platform", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("n_events", DataType::Int64, false),
        Field::new("first_at", at.clone(), true),
        Field::new("last_at", at, true),
        Field::new("events", events, true),
    ];
    fields.extend(ledger_fields());
    Table::new("authors", fields)
}
