//! A table: a named relation that stages exchange, and the check that a plan keeps its contract.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// A named relation that stages exchange.
#[derive(Debug, Clone)]
pub struct Table {
    /// Name in configs, paths and reports.
    pub name: &'static str,
    /// Columns with their types, in order; `outcome` and the ledger columns included.
    pub schema: SchemaRef,
}

/// A frame that does not keep the contract of the table it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// A column of the table is not there.
    #[error("table `{table}` needs a column `{column}` ({expected}); there are: {available}")]
    MissingColumn {
        /// The table whose contract is broken.
        table: &'static str,
        /// The missing column.
        column: String,
        /// The type it must have.
        expected: String,
        /// Columns that were found, separated by commas.
        available: String,
    },
    /// A column is there with another type.
    #[error("column `{column}` of table `{table}` must be {expected}, found {found}")]
    WrongType {
        /// The table whose contract is broken.
        table: &'static str,
        /// The column in question.
        column: String,
        /// The type it must have.
        expected: String,
        /// The type it has.
        found: String,
    },
}

impl Table {
    pub(crate) fn new(name: &'static str, fields: Vec<Field>) -> Self {
        Self { name, schema: Arc::new(Schema::new(fields)) }
    }

    /// Names of the columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.schema.fields().iter().map(|field| field.name().as_str())
    }

    /// Checks that `found` has every column of this table with its type.
    ///
    /// Strings count as one logical type (`Utf8`, `LargeUtf8` and `Utf8View` are alike), and nullability and
    /// field metadata are not compared.
    ///
    /// # Errors
    /// The first column that is missing or has another type, with what is there.
    pub fn check(&self, found: &Schema) -> Result<(), ContractError> {
        for field in self.schema.fields() {
            let Ok(have) = found.field_with_name(field.name()) else {
                let names: Vec<&str> = found.fields().iter().map(|f| f.name().as_str()).collect();
                return Err(ContractError::MissingColumn {
                    table: self.name,
                    column: field.name().clone(),
                    expected: field.data_type().to_string(),
                    available: names.join(", "),
                });
            };
            if !same_logical_type(field.data_type(), have.data_type()) {
                return Err(ContractError::WrongType {
                    table: self.name,
                    column: field.name().clone(),
                    expected: field.data_type().to_string(),
                    found: have.data_type().to_string(),
                });
            }
        }
        Ok(())
    }
}

/// Every table, in the order a row meets them.
pub fn all_tables() -> [Table; 6] {
    [
        crate::events(),
        crate::embeddings(),
        crate::authors(),
        crate::completions(),
        crate::judgements(),
        crate::examples(),
    ]
}

fn same_logical_type(a: &DataType, b: &DataType) -> bool {
    use DataType::{LargeUtf8, List, Struct, Utf8, Utf8View};
    match (a, b) {
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (List(x), List(y)) => same_logical_type(x.data_type(), y.data_type()),
        (Struct(xs), Struct(ys)) => {
            xs.len() == ys.len()
                && xs
                    .iter()
                    .zip(ys.iter())
                    .all(|(x, y)| x.name() == y.name() && same_logical_type(x.data_type(), y.data_type()))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_column_is_named_with_what_is_there() {
        let schema = Schema::new(vec![Field::new("key", crate::key_type(), false)]);
        let error = crate::judgements().check(&schema).unwrap_err();
        assert!(error.to_string().contains("there are: key"), "{error}");
    }

    #[test]
    fn string_encodings_are_one_logical_type() {
        let table = Table::new("t", vec![Field::new("a", DataType::Utf8, true)]);
        assert_eq!(table.check(&Schema::new(vec![Field::new("a", DataType::Utf8View, true)])), Ok(()));
        assert!(table.check(&Schema::new(vec![Field::new("a", DataType::Int64, true)])).is_err());
    }

    #[test]
    fn every_table_has_a_key_first_and_an_outcome() {
        for table in all_tables() {
            let columns: Vec<&str> = table.columns().collect();
            assert_eq!(columns[0], "key", "{}", table.name);
            assert!(columns.contains(&"outcome"), "{}", table.name);
            assert_eq!(table.check(&table.schema), Ok(()));
        }
    }
}
