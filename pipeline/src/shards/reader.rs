//! Reading shards back, in the order they were written.

use std::collections::VecDeque;
use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::example::rows_of_batch;
use super::file::checksum_of;
use super::rows::ShardRow;
use super::{CHECKSUMS_FILE, Form, ShardError, Split};

/// Rows decoded at once.
const BATCH_ROWS: usize = 1024;

/// The rows of one form and split of a shard folder, in file order.
///
/// ```no_run
/// use genome::shards::{SftRow, ShardReader, Split};
/// for row in ShardReader::<SftRow>::open("shards".as_ref(), Split::Train)? {
///     let row = row?;
///     assert_eq!(row.messages.len(), row.learn.len());
/// }
/// # Ok::<(), genome::shards::ShardError>(())
/// ```
pub struct ShardReader<R> {
    files: VecDeque<(PathBuf, u64)>,
    n_rows: u64,
    /// Rows still to be passed over.
    skip: u64,
    current: Option<(PathBuf, ParquetRecordBatchReader)>,
    rows: std::vec::IntoIter<R>,
    row_type: PhantomData<R>,
}

impl<R: ShardRow> ShardReader<R> {
    /// Opens the Parquet shards of a split, after their checksums have been verified.
    ///
    /// # Errors
    /// [`ShardError::Incomplete`], [`ShardError::Checksum`] or, if the folder is whole but has no such rows,
    /// [`ShardError::NoShards`].
    pub fn open(folder: &Path, split: Split) -> Result<Self, ShardError> {
        let incomplete = |reason: String| ShardError::Incomplete { folder: folder.to_owned(), reason };
        let listed = read_checksums(folder)?;
        let prefix = format!("{}-{split}-", R::FORM);
        let shards: Vec<&(String, String)> = listed
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && name.ends_with(".parquet"))
            .collect();
        if shards.is_empty() {
            return Err(ShardError::NoShards {
                folder: folder.to_owned(),
                form: R::FORM,
                split,
                available: available(&listed),
            });
        }
        let mut files = VecDeque::with_capacity(shards.len());
        for (at, (name, expected)) in shards.iter().enumerate() {
            if *name != format!("{prefix}{at:05}-of-{:05}.parquet", shards.len()) {
                return Err(incomplete(format!("`{name}` is not shard {at} of {}", shards.len())));
            }
            let path = folder.join(name);
            if !path.exists() {
                return Err(incomplete(format!("`{name}` is missing")));
            }
            let found = checksum_of(&path)?;
            if found != *expected {
                return Err(ShardError::Checksum { path, expected: expected.clone(), found });
            }
            let rows = u64::try_from(builder(&path)?.metadata().file_metadata().num_rows()).unwrap_or(0);
            files.push_back((path, rows));
        }
        let n_rows = files.iter().map(|(_, rows)| rows).sum();
        Ok(Self {
            files,
            n_rows,
            skip: 0,
            current: None,
            rows: Vec::new().into_iter(),
            row_type: PhantomData,
        })
    }

    /// Number of rows in all shards of the split.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Passes over the first rows without decoding them, to go on where a training run stopped. To be called before
    /// the first row is read.
    #[must_use]
    pub fn skip_rows(mut self, n: u64) -> Self {
        self.skip += n;
        self
    }

    fn next_rows(&mut self) -> Result<bool, ShardError> {
        loop {
            if let Some((path, batches)) = &mut self.current {
                let wrong = |reason: String| ShardError::Rows { path: path.clone(), reason };
                if let Some(batch) = batches.next() {
                    let batch = batch.map_err(|error| wrong(error.to_string()))?;
                    self.rows = rows_of_batch::<R>(&batch).map_err(wrong)?.into_iter();
                    return Ok(true);
                }
                self.current = None;
            }
            let Some((path, rows)) = self.files.pop_front() else { return Ok(false) };
            let skip = self.skip.min(rows);
            self.skip -= skip;
            if skip < rows {
                let offset = usize::try_from(skip).unwrap_or(usize::MAX);
                let reader = builder(&path)?.with_batch_size(BATCH_ROWS).with_offset(offset).build();
                let reader = reader
                    .map_err(|error| ShardError::Rows { path: path.clone(), reason: error.to_string() })?;
                self.current = Some((path, reader));
            }
        }
    }
}

impl<R: ShardRow> Iterator for ShardReader<R> {
    type Item = Result<R, ShardError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(Ok(row));
            }
            match self.next_rows() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // After an error there is nothing more to say.
                    self.files.clear();
                    self.current = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, ShardError> {
    let file = File::open(path).map_err(ShardError::io("read", path))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| ShardError::Rows { path: path.to_owned(), reason: error.to_string() })
}

/// Whether a folder has every file that its list of checksums names. What is in them is not looked at.
pub(crate) fn is_complete(folder: &Path) -> bool {
    let listed = read_checksums(folder);
    listed.is_ok_and(|listed| listed.iter().all(|(name, _)| folder.join(name).is_file()))
}

/// Names and checksums of `checksums.txt`, by name.
fn read_checksums(folder: &Path) -> Result<Vec<(String, String)>, ShardError> {
    let incomplete = |reason: String| ShardError::Incomplete { folder: folder.to_owned(), reason };
    let text = std::fs::read_to_string(folder.join(CHECKSUMS_FILE))
        .map_err(|error| incomplete(format!("{CHECKSUMS_FILE} cannot be read ({error})")))?;
    let line = |line: &str| {
        let (sum, name) = line.split_once("  ")?;
        (sum.len() == 64 && !name.is_empty() && !name.contains('/'))
            .then(|| (name.to_owned(), sum.to_owned()))
    };
    let mut listed: Vec<_> = text
        .lines()
        .map(|text| line(text).ok_or_else(|| incomplete(format!("{CHECKSUMS_FILE} has a line `{text}`"))))
        .collect::<Result<_, _>>()?;
    listed.sort();
    Ok(listed)
}

fn available(listed: &[(String, String)]) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for form in Form::ALL {
        for split in Split::ALL {
            if listed.iter().any(|(name, _)| name.starts_with(&format!("{form}-{split}-"))) {
                kinds.push(format!("{form} {split}"));
            }
        }
    }
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}
