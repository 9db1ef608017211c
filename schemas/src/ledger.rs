//! The ledger columns: what happened to a row, and why. Every table carries them.

use arrow_schema::{DataType, Field};

use crate::key::key_type;

/// Names of the ledger columns, in order.
///
/// - `outcome`: `kept`, or the drop reason (see [`crate::Outcome`]);
/// - `stage`: the stage that dropped the row, null while it is kept;
/// - `rule`: the rule of that stage, null while it is kept;
/// - `measured`: what the rule measured on this row, where it measures a number;
/// - `limit_value`: the limit it was held against;
/// - `duplicate_of`: key of the surviving row that this one repeats.
pub const LEDGER_COLUMNS: [&str; 6] = ["outcome", "stage", "rule", "measured", "limit_value", "duplicate_of"];

/// The ledger columns as fields, in the order of [`LEDGER_COLUMNS`].
pub fn ledger_fields() -> Vec<Field> {
    vec![
        Field::new("outcome", DataType::Utf8, false),
        Field::new("stage", DataType::Utf8, true),
        Field::new("rule", DataType::Utf8, true),
        Field::new("measured", DataType::Float64, true),
        Field::new("limit_value", DataType::Float64, true),
        Field::new("duplicate_of", key_type(), true),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_and_fields_agree() {
        let fields = super::ledger_fields();
        let names: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, super::LEDGER_COLUMNS);
    }
}
