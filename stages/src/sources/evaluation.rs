//! Evaluation sets: the texts of JSON lines or of Parquet rows.

use serde_json::Value;

use super::bytes::container::{Dump, open};
use super::bytes::lines::{Line, LineReader};
use super::bytes::location::Location;
use super::parquet_rows::json_rows;
use crate::StageError;
use crate::decontaminate::EvaluationText;

/// Longest line that is read, in bytes.
const MAX_LINE: usize = 64 << 20;

/// The texts of an evaluation set, in order: of the named fields, or of all.
///
/// # Errors
/// The file cannot be read, a line is no JSON object, or no item has one of the fields.
pub fn read_evaluation_set(path: &str, fields: &[String]) -> Result<Vec<EvaluationText>, StageError> {
    let location = Location::parse(path)?;
    let mut texts = Collected { fields, seen: vec![false; fields.len()], texts: Vec::new() };
    match open(&location)? {
        Dump::File(stream) => {
            let mut lines = LineReader::new(stream, MAX_LINE);
            let mut row = 0;
            while let Some(line) = lines.next().map_err(|error| location.failed(error))? {
                let bytes = match line {
                    Line::Whole { bytes, .. } => bytes,
                    Line::TooLong { .. } => {
                        let reason = format!("line {} is longer than {MAX_LINE} bytes", row + 1);
                        return Err(location.failed(reason));
                    }
                };
                row += 1;
                if !bytes.trim_ascii().is_empty() {
                    texts
                        .add(row, bytes)
                        .map_err(|reason| location.failed(format!("line {row}: {reason}")))?;
                }
            }
        }
        Dump::Parquet(file) => {
            let mut row = 0;
            for rows in json_rows(file).map_err(|error| location.failed(error))? {
                let rows = rows.map_err(|error| location.failed(error))?;
                for line in rows.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    row += 1;
                    texts.add(row, line).map_err(|reason| location.failed(format!("row {row}: {reason}")))?;
                }
            }
        }
        Dump::Archive(_) | Dump::Tar(_) => {
            return Err(location.failed("is an archive; JSON lines or Parquet are read"));
        }
    }
    if let Some((name, _)) = fields.iter().zip(&texts.seen).find(|(_, seen)| !**seen) {
        return Err(location.failed(format!("no row has a field `{name}`")));
    }
    Ok(texts.texts)
}

struct Collected<'a> {
    fields: &'a [String],
    seen: Vec<bool>,
    texts: Vec<EvaluationText>,
}

impl Collected<'_> {
    fn add(&mut self, row: u64, json: &[u8]) -> Result<(), String> {
        let item: Value = serde_json::from_slice(json).map_err(|error| format!("is no JSON: {error}"))?;
        let Value::Object(item) = item else { return Err("is no JSON object".to_owned()) };
        for (name, value) in &item {
            if self.fields.is_empty() {
                self.collect(row, name, value);
            } else if let Some(at) = self.fields.iter().position(|field| field == name) {
                self.seen[at] = true;
                self.collect(row, name, value);
            }
        }
        Ok(())
    }

    /// All strings below a value.
    fn collect(&mut self, row: u64, field: &str, value: &Value) {
        match value {
            Value::String(text) => {
                self.texts.push(EvaluationText { row, field: field.to_owned(), text: text.clone() });
            }
            Value::Array(all) => all.iter().for_each(|value| self.collect(row, field, value)),
            Value::Object(all) => {
                all.iter().for_each(|(name, value)| self.collect(row, &format!("{field}.{name}"), value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
