//! The ledger: what happened to a row, and why. Its columns stand in every table; table `ledger` has a row for every
//! input record, and says where it ended.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields};

use crate::key::key_type;
use crate::table::Table;

/// Names of the ledger columns, in order.
///
/// - `outcome`: `kept`, or the drop reason (see [`crate::Outcome`]);
/// - `stage`: the stage that dropped the row, null while it is kept;
/// - `rule`: the rule of that stage, null while it is kept;
/// - `measured`: what the rule measured on this row, where it measures a number;
/// - `limit_value`: the limit it was held against;
/// - `duplicate_of`: key of the surviving row that this one repeats;
/// - `similarity`: how alike the two are, `0.0..=1.0`: 1 for the same text, the measured similarity for a similar one, null
///   where texts were not compared;
/// - `matched`: what the row was found to repeat outside of the run's own rows: the name of a file, as the config has it,
///   and for an evaluation set also the number of the row in it and the passage. `duplicate_of` is then a key of that
///   file's, or null. Of an answer of a model, the words that a check stumbled over.
pub const LEDGER_COLUMNS: [&str; 8] =
    ["outcome", "stage", "rule", "measured", "limit_value", "duplicate_of", "similarity", "matched"];

/// The ledger columns as fields, in the order of [`LEDGER_COLUMNS`].
pub fn ledger_fields() -> Vec<Field> {
    vec![
        Field::new("outcome", DataType::Utf8, false),
        Field::new("stage", DataType::Utf8, true),
        Field::new("rule", DataType::Utf8, true),
        Field::new("measured", DataType::Float64, true),
        Field::new("limit_value", DataType::Float64, true),
        Field::new("duplicate_of", key_type(), true),
        Field::new("similarity", DataType::Float64, true),
        Field::new("matched", DataType::Utf8, true),
    ]
}

/// Columns that table `ledger` has from table `events` before and after the ledger columns.
const OF_EVENTS: [&[&str]; 2] =
    [&["key", "source", "platform", "native_id", "source_file", "source_offset"], &["split", "redactions"]];

/// Table `ledger`: one row for every record of every dump, with what became of it and where it ended.
///
/// - the columns of [`crate::events()`] that tell a record and its place;
/// - the ledger columns ([`LEDGER_COLUMNS`]), as they stand after the last stage over events;
/// - `split` and `redactions` of the event;
/// - `shards`: of a kept row the rows of training shards that it ended in, by name of the Parquet file, index of the row
///   in it (from 0), and task; an empty list if in none. Null for a row that was dropped, and where the config writes no
///   shards;
/// - `unused`: of a kept row that ended in no shard, why: `<recipe or task>: <outcome>` of the answers about it and
///   the examples made of it, or `no example`.
///
/// It is written when everything else is done and read by no stage, so it is none of [`crate::all_tables`].
pub fn ledger() -> Table {
    let events = crate::events();
    let of_events = |names: &[&str]| -> Vec<Field> {
        let schema = events.schema.fields().iter();
        schema.filter(|f| names.contains(&f.name().as_str())).map(|f| f.as_ref().clone()).collect()
    };
    let mut fields = of_events(OF_EVENTS[0]);
    fields.extend(ledger_fields());
    fields.extend(of_events(OF_EVENTS[1]));
    fields.push(Field::new("shards", shard_rows_type(), true));
    fields.push(Field::new("unused", DataType::Utf8, true));
    Table::new("ledger", fields)
}

/// Fields of one place in the shards.
pub fn shard_row_fields() -> Fields {
    Fields::from(vec![
        Field::new("shard", DataType::Utf8, false),
        Field::new("row", DataType::UInt64, false),
        Field::new("task", DataType::Utf8, false),
    ])
}

/// Type of column `shards`: a list of {shard, row, task}.
pub fn shard_rows_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Struct(shard_row_fields()), false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_agree() {
        let fields = ledger_fields();
        let names: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, LEDGER_COLUMNS);
    }

    #[test]
    fn the_ledger_has_every_column_it_takes_from_events() {
        let ledger = ledger();
        for name in OF_EVENTS.concat() {
            assert!(ledger.schema.field_with_name(name).is_ok(), "{name}");
        }
        assert_eq!(ledger.columns().count(), OF_EVENTS.concat().len() + LEDGER_COLUMNS.len() + 2);
    }
}
