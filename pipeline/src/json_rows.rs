//! Rows of tables as JSON, for what is printed.

use anyhow::Result;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::record_batch::RecordBatch;
use serde_json::{Map, Value};

/// One row as JSON, without nulls.
pub type Row = Map<String, Value>;

/// Rows as JSON objects without nulls.
///
/// # Errors
/// A column has a type that JSON cannot hold.
pub fn rows(batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
