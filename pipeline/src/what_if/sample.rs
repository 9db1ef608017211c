//! A sample of records: whole authors, by a hash of who they are.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Result;
use arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use genome_schemas::KeyHasher;

/// By how much the share is made smaller when a sample has too many records: the fourth root of a half.
const STEP: f64 = 0.840_896_415_253_714_6;

/// How large a sample is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleSize {
    /// At most so many records, at least 1. The share of authors is the largest, in steps of a quarter of a halving,
    /// that has no more.
    Records(usize),
    /// The records of this share of the authors, above 0 and at most 1.
    Share(f64),
}

/// A text that is no size of a sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number of records such as 20000 nor a share of authors such as 0.1")]
pub struct NoSampleSize(String);

impl FromStr for SampleSize {
    type Err = NoSampleSize;

    fn from_str(text: &str) -> Result<Self, NoSampleSize> {
        let wrong = || NoSampleSize(text.to_owned());
        if text.contains('.') {
            let share: f64 = text.parse().map_err(|_| wrong())?;
            return if share > 0.0 && share <= 1.0 { Ok(Self::Share(share)) } else { Err(wrong()) };
        }
        match text.parse() {
            Ok(0) | Err(_) => Err(wrong()),
            Ok(records) => Ok(Self::Records(records)),
        }
    }
}

/// Takes records in any order and keeps those of a share of the authors; which ones does not depend on the order.
pub(super) struct Sampler {
    most: Option<usize>,
    share: f64,
    kept: Vec<(RecordBatch, Vec<f64>)>,
    n_kept: usize,
    records: BTreeMap<String, u64>,
}

/// What a sampler has kept.
pub(super) struct Sample {
    /// The records.
    pub(super) batches: Vec<RecordBatch>,
    /// Share of the authors that are in it.
    pub(super) share: f64,
    /// All records that there are, by source.
    pub(super) records: BTreeMap<String, u64>,
}

impl Sampler {
    pub(super) fn new(size: SampleSize) -> Self {
        let (most, share) = match size {
            SampleSize::Records(most) => (Some(most), 1.0),
            SampleSize::Share(share) => (None, share),
        };
        Self { most, share, kept: Vec::new(), n_kept: 0, records: BTreeMap::new() }
    }

    /// Takes records with at least the columns `key`, `source` and `author_id`.
    pub(super) fn push(&mut self, records: &RecordBatch) -> Result<()> {
        for source in text(records, "source")?.iter().flatten() {
            match self.records.get_mut(source) {
                Some(count) => *count += 1,
                None => drop(self.records.insert(source.to_owned(), 1)),
            }
        }
        let (batch, draws) = below(self.share, records, &draws(records)?)?;
        let batch = as_events(&batch)?;
        self.n_kept += batch.num_rows();
        if batch.num_rows() > 0 {
            self.kept.push((batch, draws));
        }
        while self.most.is_some_and(|most| self.n_kept > most) {
            self.share *= STEP;
            self.n_kept = 0;
            for (batch, draws) in std::mem::take(&mut self.kept) {
                let (batch, draws) = below(self.share, &batch, &draws)?;
                self.n_kept += batch.num_rows();
                if batch.num_rows() > 0 {
                    self.kept.push((batch, draws));
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Sample {
        let batches = self.kept.into_iter().map(|(batch, _)| batch).collect();
        Sample { batches, share: self.share, records: self.records }
    }
}

/// A number in `0.0..1.0` for each record that depends on its author alone; on the record where it names none.
fn draws(records: &RecordBatch) -> Result<Vec<f64>> {
    let authors = text(records, "author_id")?;
    let keys = records.column_by_name("key").and_then(|keys| keys.as_fixed_size_binary_opt());
    let keys = keys.ok_or_else(|| anyhow::anyhow!("internal error: the sample has no keys"))?;
    let draw = |row: usize| {
        let hasher = KeyHasher::new("genome sample");
        let key = if authors.is_valid(row) {
            hasher.part("author").part(authors.value(row)).finish()
        } else {
            hasher.part("record").part(keys.value(row)).finish()
        };
        // 53 bits fill the mantissa of a double.
        (key.seed() >> 11) as f64 / (1_u64 << 53) as f64
    };
    Ok((0..records.num_rows()).map(draw).collect())
}

/// The records whose draw is below `share`, with their draws.
fn below(share: f64, records: &RecordBatch, draws: &[f64]) -> Result<(RecordBatch, Vec<f64>)> {
    let chosen: BooleanArray = draws.iter().map(|draw| Some(*draw < share)).collect();
    let draws = draws.iter().copied().filter(|draw| *draw < share).collect();
    Ok((filter_record_batch(records, &chosen)?, draws))
}

/// The records with the types of table `events`, in which strings are not views of what was left behind.
fn as_events(records: &RecordBatch) -> Result<RecordBatch> {
    let table = genome_schemas::events();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in records.schema().fields().iter().zip(records.columns()) {
        let field = table.schema.field_with_name(field.name())?.clone();
        columns.push(cast(column, field.data_type())?);
        fields.push(field);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn text(records: &RecordBatch, name: &str) -> Result<StringArray> {
    let column: Option<&ArrayRef> = records.column_by_name(name);
    let column = column.ok_or_else(|| anyhow::anyhow!("internal error: the sample has no `{name}`"))?;
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}
