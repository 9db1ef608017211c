//! The shards of one form and split, written one after another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::file::HashedFile;
use super::rows::ShardRow;
use super::{ShardError, ShardFile, Split};

/// Rows that are encoded together; also a row group's share of pages, so it is a matter of the bytes written.
const CHUNK_ROWS: usize = 1024;

/// Rows of one row group: few enough that a reader can skip, enough that compression sees repetition.
const ROW_GROUP_ROWS: usize = 10 * CHUNK_ROWS;

/// Who wrote the Parquet files. Fixed, so that equal rows give equal bytes whatever the version of the program;
/// the number is that of the shard format.
const CREATED_BY: &str = "genome version 1 (build 0)";

/// The shards of one form and split.
pub(super) struct Series<R> {
    folder: PathBuf,
    split: Split,
    rows_per_shard: usize,
    file_limit: u64,
    /// Rows not yet encoded.
    pending: Vec<R>,
    last_key: Option<String>,
    n_rows: u64,
    open: Option<OpenShard>,
    done: Vec<[ShardFile; 2]>,
}

/// The two files of the shard that is being written.
struct OpenShard {
    parquet_path: PathBuf,
    parquet: ArrowWriter<HashedFile>,
    json_path: PathBuf,
    json: arrow_json::LineDelimitedWriter<HashedFile>,
    n_rows: usize,
}

impl<R: ShardRow> Series<R> {
    pub(super) fn new(folder: &Path, split: Split, rows_per_shard: usize, file_limit: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            split,
            rows_per_shard: rows_per_shard.max(1),
            file_limit,
            pending: Vec::new(),
            last_key: None,
            n_rows: 0,
            open: None,
            done: Vec::new(),
        }
    }

    /// Number of rows taken so far.
    pub(super) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Takes the next row; keys must grow.
    pub(super) fn push(&mut self, row: R) -> Result<(), ShardError> {
        if let Some(last) = self.last_key.as_deref().filter(|last| *last >= row.key()) {
            let reason = if last == row.key() {
                "it comes twice".to_owned()
            } else {
                format!("it comes after {last}: rows must be in key order")
            };
            return Err(ShardError::Row { key: row.key().to_owned(), reason });
        }
        self.last_key = Some(row.key().to_owned());
        self.n_rows += 1;
        self.pending.push(row);
        let in_shard = self.open.as_ref().map_or(0, |shard| shard.n_rows) + self.pending.len();
        if self.pending.len() == CHUNK_ROWS || in_shard == self.rows_per_shard {
            self.write_pending()?;
        }
        if in_shard == self.rows_per_shard {
            self.close_shard()?;
        }
        Ok(())
    }

    /// Closes the last shard and gives all files their final names, which tell how many shards there are.
    pub(super) fn finish(mut self) -> Result<Vec<ShardFile>, ShardError> {
        self.write_pending()?;
        self.close_shard()?;
        let n = self.done.len();
        let mut files = Vec::with_capacity(2 * n);
        for (at, pair) in self.done.into_iter().enumerate() {
            for mut file in pair {
                let name = format!("{}-{}-{at:05}-of-{n:05}.{}", R::FORM, self.split, file.ending());
                let path = self.folder.join(&file.name);
                std::fs::rename(&path, self.folder.join(&name)).map_err(ShardError::io("write", &path))?;
                file.name = name;
                files.push(file);
            }
        }
        Ok(files)
    }

    fn write_pending(&mut self) -> Result<(), ShardError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let batch = encode(&self.pending)?;
        let shard = match &mut self.open {
            Some(shard) => shard,
            none => none.insert(OpenShard::create::<R>(
                &self.folder,
                self.split,
                self.done.len(),
                self.file_limit,
            )?),
        };
        shard.parquet.write(&batch).map_err(ShardError::writing(&shard.parquet_path))?;
        shard.json.write(&batch).map_err(ShardError::writing(&shard.json_path))?;
        shard.n_rows += batch.num_rows();
        self.pending.clear();
        Ok(())
    }

    fn close_shard(&mut self) -> Result<(), ShardError> {
        let Some(mut shard) = self.open.take() else { return Ok(()) };
        let rows = shard.n_rows as u64;
        let finished = |path: &Path, file: HashedFile| {
            let (sha256, bytes) = file.finish().map_err(ShardError::io("write", path))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(ShardFile { name, form: R::FORM, split: self.split, rows, bytes, sha256 })
        };
        let parquet = shard.parquet.into_inner().map_err(ShardError::writing(&shard.parquet_path))?;
        shard.json.finish().map_err(ShardError::writing(&shard.json_path))?;
        let json = shard.json.into_inner();
        self.done.push([finished(&shard.json_path, json)?, finished(&shard.parquet_path, parquet)?]);
        Ok(())
    }
}

impl OpenShard {
    fn create<R: ShardRow>(
        folder: &Path,
        split: Split,
        number: usize,
        limit: u64,
    ) -> Result<Self, ShardError> {
        let path = |ending: &str| folder.join(format!("{}-{split}-{number:05}.{ending}", R::FORM));
        let (parquet_path, json_path) = (path("parquet"), path("jsonl"));
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let file = HashedFile::create(&parquet_path, limit)?;
        let parquet = ArrowWriter::try_new_with_options(file, R::schema(), options)
            .map_err(ShardError::writing(&parquet_path))?;
        let json = HashedFile::create(&json_path, limit)?;
        // Nulls are written out: a reader that guesses columns from the first rows must see all of them.
        let json = arrow_json::WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, arrow_json::writer::LineDelimited>(json);
        Ok(Self { parquet_path, parquet, json_path, json, n_rows: 0 })
    }
}

/// Rows as a record batch of their form's schema.
fn encode<R: ShardRow>(rows: &[R]) -> Result<RecordBatch, ShardError> {
    let input = |error: arrow::error::ArrowError| ShardError::Input(error.to_string());
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::clone(&R::schema()))
        .with_batch_size(rows.len())
        .build_decoder()
        .map_err(input)?;
    decoder.serialize(rows).map_err(input)?;
    let batch = decoder.flush().map_err(input)?;
    batch.ok_or_else(|| ShardError::Input("no rows were encoded".to_owned()))
}
