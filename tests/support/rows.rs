//! Rows of tables as JSON objects, into Arrow and back. A key is written as a short name, which is its bytes.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::LineDelimitedWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

/// A row.
pub(crate) type Row = Map<String, Value>;

/// Columns that hold keys, in any table.
const KEYS: [&str; 5] = ["key", "subject_key", "event_key", "completion_key", "duplicate_of"];

/// One batch of `schema` from rows that have a value for each column that cannot be null.
pub(crate) fn to_batch(schema: &SchemaRef, rows: &[Row]) -> RecordBatch {
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::clone(schema)).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    decoder.flush().unwrap().unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema)))
}

/// The rows of some batches.
pub(crate) fn from_batches(batches: &[RecordBatch]) -> Vec<Row> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of a Parquet file.
pub(crate) fn read_parquet(path: &Path) -> Vec<Row> {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    from_batches(&reader.map(|batch| batch.unwrap()).collect::<Vec<_>>())
}

/// Some rows of a Parquet file: the first 1,024, and so many again after every `one_in` times as many.
pub(crate) fn read_some(path: &Path, one_in: usize) -> Vec<Row> {
    let file = std::fs::File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(1024);
    let batches = builder.build().unwrap().map(|batch| batch.unwrap());
    from_batches(&batches.step_by(one_in).collect::<Vec<_>>())
}

/// The named columns of a Parquet file.
pub(crate) fn read_columns(path: &Path, columns: &[&str]) -> Vec<Row> {
    let file = std::fs::File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let wanted = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader = builder.with_projection(wanted).build().unwrap();
    from_batches(&reader.map(|batch| batch.unwrap()).collect::<Vec<_>>())
}

/// The key of a short name: its bytes, then zeros; names in order give keys in order.
pub(crate) fn key_of(name: &str) -> String {
    assert!(name.len() <= 16, "`{name}` has over 16 bytes");
    format!("{:0<32}", super::hex(name.as_bytes()))
}

/// The short name of a key, or the first digits of one that was computed.
fn name_of(key: &str) -> String {
    let bytes: Vec<u8> =
        (0..key.len() / 2).map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap()).collect();
    let name: Vec<u8> = bytes.iter().copied().take_while(|byte| *byte != 0).collect();
    let padded = bytes[name.len()..].iter().all(|byte| *byte == 0);
    match String::from_utf8(name) {
        Ok(name) if padded && !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()) => name,
        _ => format!("#{}", &key[..8]),
    }
}

/// Short names to keys, or back, wherever a key stands in a value.
pub(crate) fn with_keys(value: &mut Value, to_names: bool) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                match value {
                    Value::String(key) if KEYS.contains(&name.as_str()) => {
                        *key = if to_names { name_of(key) } else { key_of(key) };
                    }
                    other => with_keys(other, to_names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| with_keys(item, to_names)),
        _ => {}
    }
}
