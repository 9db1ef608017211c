//! Parquet files as JSON records, so that one reader reads a record however it is stored.

use std::io::{self, BufReader, Read as _, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use super::bytes::location::ReadSeek;
use super::output::{Output, Read};

/// Rows that are decoded together.
const BATCH_ROWS: usize = 1024;

/// Gives every row of a Parquet file to `read`, as a JSON object without nulls, with its index.
///
/// Of a row group that is damaged nothing can be had; the file ends there by the policy of the options.
pub(super) fn each_row(
    out: &mut Output<'_>,
    file: Box<dyn ReadSeek>,
    mut read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let rows = match json_rows(file) {
        Ok(rows) => rows,
        Err(Unreadable::File(error)) => return out.broken(0, &error),
        Err(Unreadable::Parquet(error)) => {
            return out.unreadable(out.location().failed(format!("is damaged: {error}")));
        }
    };
    let mut index = 0;
    for lines in rows {
        let lines = match lines {
            Ok(lines) => lines,
            Err(error) => return out.broken(index, &error),
        };
        out.read_bytes(lines.len() as u64);
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            out.found();
            read(out, line, index)?;
            index += 1;
        }
    }
    Ok(())
}

/// Why a Parquet file has no rows.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// Its bytes cannot be had.
    #[error(transparent)]
    File(#[from] io::Error),
    /// They are no Parquet.
    #[error("is damaged: {0}")]
    Parquet(#[from] ParquetError),
}

/// The rows of a Parquet file as lines of JSON without nulls, many at once.
///
/// # Errors
/// The file cannot be read, or is damaged.
pub(super) fn json_rows(
    file: Box<dyn ReadSeek>,
) -> Result<impl Iterator<Item = io::Result<Vec<u8>>>, Unreadable> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(SharedFile::new(file)?)?;
    let batches = builder.with_batch_size(BATCH_ROWS).build()?;
    Ok(batches.map(|batch| {
        let mut lines = Vec::new();
        let written = batch.and_then(|batch| {
            let mut writer = LineDelimitedWriter::new(&mut lines);
            writer.write(&batch)?;
            writer.finish()
        });
        written.map(|()| lines).map_err(io::Error::other)
    }))
}

/// Whether the Parquet file has all of `columns`; false if it cannot be read.
pub(super) fn has_columns(file: Box<dyn ReadSeek>, columns: &[&str]) -> bool {
    let Ok(builder) =
        SharedFile::new(file).map_err(Into::into).and_then(ParquetRecordBatchReaderBuilder::try_new)
    else {
        return false;
    };
    columns.iter().all(|column| builder.schema().column_with_name(column).is_some())
}

/// A file that Parquet's reader takes ranges of.
struct SharedFile {
    file: Arc<Mutex<Box<dyn ReadSeek>>>,
    length: u64,
}

impl SharedFile {
    fn new(mut file: Box<dyn ReadSeek>) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        Ok(Self { file: Arc::new(Mutex::new(file)), length })
    }
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for SharedFile {
    type T = BufReader<Section>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(Section { file: Arc::clone(&self.file), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = Vec::new();
        let section = Section { file: Arc::clone(&self.file), at: start };
        section.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends early").into());
        }
        Ok(bytes.into())
    }
}

/// A file from some place on.
struct Section {
    file: Arc<Mutex<Box<dyn ReadSeek>>>,
    at: u64,
}

impl io::Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.at))?;
        let n = file.read(buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}
