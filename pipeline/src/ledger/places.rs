//! Where rows of the shards stand: read back from the files themselves, a number for each.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use datafusion::arrow::array::{ArrayRef, AsArray as _, FixedSizeBinaryBuilder, StringArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{DataFrame, SessionContext};
use genome_schemas::{KEY_BYTES, key_type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::shards::{Form, Split};

/// Bits of a place that are the row in its shard, and the task.
const ROW_BITS: u32 = 36;
const TASK_BITS: u32 = 8;

/// A row of the shards: shard, row in it and task in one number that grows with the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u64);

impl Place {
    fn new(shard: usize, row: u64, task: usize) -> Option<Self> {
        let (shard, task) = (u64::try_from(shard).ok()?, u64::try_from(task).ok()?);
        let fits = shard < 1 << (64 - ROW_BITS - TASK_BITS) && row < 1 << ROW_BITS && task < 1 << TASK_BITS;
        fits.then_some(Self((shard << (ROW_BITS + TASK_BITS)) | (row << TASK_BITS) | task))
    }

    /// Shard, row, task.
    pub(super) fn parts(self) -> (usize, u64, usize) {
        let part = |shift: u32, bits: u32| (self.0 >> shift) & ((1 << bits) - 1);
        let index = |part: u64| usize::try_from(part).unwrap_or(usize::MAX);
        (
            index(part(ROW_BITS + TASK_BITS, 64 - ROW_BITS - TASK_BITS)),
            part(TASK_BITS, ROW_BITS),
            index(part(0, TASK_BITS)),
        )
    }
}

/// The Parquet files of a shard folder.
#[derive(Debug, Clone)]
pub(super) struct ShardPlaces {
    files: Arc<Vec<PathBuf>>,
    /// Tasks in the order in which they were met.
    tasks: Arc<Mutex<Vec<String>>>,
    schema: SchemaRef,
}

impl ShardPlaces {
    /// The shards of a folder, in the order of their names.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.retain(|path| is_shard(path));
        files.sort();
        let schema = Schema::new(vec![
            Field::new("event_key", key_type(), true),
            Field::new("author_id", DataType::Utf8, true),
            Field::new("source", DataType::Utf8, true),
            Field::new("place", DataType::UInt64, false),
        ]);
        Ok(Self { files: Arc::new(files), tasks: Arc::default(), schema: Arc::new(schema) })
    }

    /// A row for each row of the shards: the event it is about or null, the author and source, and its [`Place`].
    pub(super) fn rows(&self, session: &SessionContext) -> Result<DataFrame> {
        let table = StreamingTable::try_new(Arc::clone(&self.schema), vec![Arc::new(self.clone())])?;
        Ok(session.read_table(Arc::new(table))?)
    }

    /// Names of the files.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.files.iter().map(name).collect()
    }

    /// Names of the tasks that were met.
    pub(super) fn tasks(&self) -> Vec<String> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn task(&self, name: &str) -> usize {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().position(|task| task == name).unwrap_or_else(|| {
            tasks.push(name.to_owned());
            tasks.len() - 1
        })
    }

    fn batches(
        self,
        shard: usize,
    ) -> DataFusionResult<impl Iterator<Item = DataFusionResult<RecordBatch>> + Send + 'static> {
        let file = File::open(&self.files[shard])?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let wanted = ["event_key", "author_id", "source", "task"];
        let wanted = ProjectionMask::columns(builder.parquet_schema(), wanted);
        let reader = builder.with_projection(wanted).build()?;
        let mut next_row = 0;
        Ok(reader.map(move |batch| {
            let batch = batch?;
            let first = next_row;
            next_row += batch.num_rows() as u64;
            self.places(shard, first, &batch)
        }))
    }

    fn places(&self, shard: usize, first: u64, rows: &RecordBatch) -> DataFusionResult<RecordBatch> {
        let damaged =
            |what: &str| DataFusionError::Execution(format!("{}: {what}", self.files[shard].display()));
        let strings = |name: &str| -> DataFusionResult<&StringArray> {
            let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| damaged(&format!("column `{name}` is missing")))
        };
        let mut keys = FixedSizeBinaryBuilder::with_capacity(rows.num_rows(), 16);
        for key in strings("event_key")? {
            match key {
                Some(hex) => keys.append_value(from_hex(hex).ok_or_else(|| damaged("a key is no key"))?)?,
                None => keys.append_null(),
            }
        }
        let tasks = strings("task")?;
        let places = (0..rows.num_rows()).map(|row| {
            let place = Place::new(shard, first + row as u64, self.task(tasks.value(row)));
            Ok(place.ok_or_else(|| damaged("too many shards or tasks"))?.0)
        });
        let columns: Vec<ArrayRef> = vec![
            Arc::new(keys.finish()),
            Arc::new(strings("author_id")?.clone()),
            Arc::new(strings("source")?.clone()),
            Arc::new(places.collect::<DataFusionResult<UInt64Array>>()?),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl PartitionStream for ShardPlaces {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let this = self.clone();
        let batches = (0..self.files.len()).flat_map(move |shard| {
            // An error is a batch of its own kind, so that the file after it is not read for nothing.
            let (batches, error) = match this.clone().batches(shard) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            batches.into_iter().flatten().chain(error)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
    }
}

/// `<form>-<split>-<number>-of-<number>.parquet`
fn is_shard(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let known = |form: Form, split: Split| name.starts_with(&format!("{form}-{split}-"));
    let series = Form::ALL.iter().any(|form| Split::ALL.iter().any(|split| known(*form, *split)));
    series && name.ends_with(".parquet")
}

fn from_hex(digits: &str) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_apart_again_and_keeps_the_order() {
        let places = [(0, 0, 3), (0, 1, 0), (0, 9_999, 255), (1, 0, 0), (99_999, 1 << 35, 7)];
        let numbers: Vec<Place> =
            places.iter().map(|(shard, row, task)| Place::new(*shard, *row, *task).unwrap()).collect();
        assert!(numbers.is_sorted());
        let again: Vec<(usize, u64, usize)> = numbers.iter().map(|place| place.parts()).collect();
        assert_eq!(again, places);
        assert_eq!(Place::new(0, 1 << ROW_BITS, 0), None);
        assert_eq!(Place::new(0, 0, 256), None);
    }

    #[test]
    fn shards_are_known_by_name() {
        for (name, expected) in [
            ("sft-train-00000-of-00001.parquet", true),
            ("rl-test-00010-of-00011.parquet", true),
            ("sft-train-00000-of-00001.jsonl", false),
            ("other.parquet", false),
        ] {
            assert_eq!(is_shard(Path::new(name)), expected, "{name}");
        }
        assert_eq!(from_hex(&"0f".repeat(16)), Some([15; 16]));
        assert_eq!(from_hex("0f"), None);
    }
}
