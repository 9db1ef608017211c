//! The store: artifacts as folders of Parquet, each complete or not there at all.
//!
//! ```text
//! store/events/split-7f3a09c2/part-00000/outcome=kept/*.parquet
//!                             part-00000/outcome=inactive_author/*.parquet
//!                             manifest.json            written last
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::config::{ParquetColumnOptions, TableParquetOptions};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{DataFrame, Expr, ParquetReadOptions, SessionContext, col};
use genome_schemas::{Manifest, Table};
use genome_stages::union_all;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::error::Hinted;

/// File that makes a folder an artifact.
pub const MANIFEST: &str = "manifest.json";

/// A folder of artifacts, held by one run at a time.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    _lock: Option<File>,
}

impl Store {
    /// Opens a store for writing, and holds it until dropped.
    ///
    /// # Errors
    /// The folder cannot be made, or another run holds it.
    pub fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot make the store {}", root.display()))?;
        let path = root.join(".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        lock.try_lock().map_err(|_| {
            Hinted::new(
                format!("another run holds the store {}", root.display()),
                "wait for it to end, or give this run another store.path",
            )
        })?;
        Ok(Self { root: root.to_path_buf(), _lock: Some(lock) })
    }

    /// Opens a store for reading.
    pub fn read_only(root: &Path) -> Self {
        Self { root: root.to_path_buf(), _lock: None }
    }

    /// Folder of an artifact.
    pub fn folder(&self, table: &str, name: &str) -> PathBuf {
        self.root.join(table).join(name)
    }

    /// Folder for files that one run needs and nobody else.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn scratch(&self) -> Result<PathBuf> {
        let path = self.root.join(".scratch");
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Manifests of the artifacts of `table` whose folder name starts with `prefix`, by folder name.
    ///
    /// # Errors
    /// A manifest is there but cannot be read.
    pub fn manifests(&self, table: &str, prefix: &str) -> Result<BTreeMap<String, Manifest>> {
        let folder = self.root.join(table);
        let mut found = BTreeMap::new();
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(found) };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix)
                && let Some(manifest) = read_manifest(&entry.path())?
            {
                found.insert(name, manifest);
            }
        }
        Ok(found)
    }
}

/// The manifest of a folder, none if it is not an artifact.
///
/// # Errors
/// There is a manifest, but it cannot be read.
pub fn read_manifest(folder: &Path) -> Result<Option<Manifest>> {
    let path = folder.join(MANIFEST);
    match fs::read_to_string(&path) {
        Ok(text) => {
            Ok(Some(serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a manifest, by which its folder becomes an artifact.
///
/// # Errors
/// The disk refuses.
pub fn commit_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let text = serde_json::to_string_pretty(manifest)?;
    write_atomically(&folder.join(MANIFEST), text.as_bytes())
}

/// Writes a whole file under a temporary name, then renames it.
///
/// # Errors
/// The disk refuses.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("genome-tmp");
    let write = || -> std::io::Result<()> {
        let mut file = File::options().create(true).truncate(true).write(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write()
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Runs a plan and stores its rows as one part, a folder per outcome; `folder` appears whole or not at all.
///
/// # Errors
/// The plan fails, or the disk refuses.
pub async fn write_part(rows: DataFrame, table: &Table, folder: &Path) -> Result<BTreeMap<String, u64>> {
    table.check(rows.schema().as_arrow())?;
    let rows = rows.select(table.columns().map(col).collect::<Vec<_>>())?;
    let building = beside(folder, "building");
    if building.exists() {
        fs::remove_dir_all(&building)?;
    }
    fs::create_dir_all(&building).with_context(|| format!("cannot make {}", building.display()))?;
    let parquet = parquet_options(&table.schema);
    let options = DataFrameWriteOptions::new().with_partition_by(vec!["outcome".to_owned()]);
    let target = format!("{}/", building.display());
    let written = rows.write_parquet(&target, options, Some(parquet)).await;
    let counted = written.map_err(anyhow::Error::from).and_then(|_| count_rows(&building));
    match counted {
        Ok(counts) => {
            fs::rename(&building, folder).with_context(|| format!("cannot finish {}", folder.display()))?;
            Ok(counts)
        }
        Err(error) => {
            clear(&building, a_moment).await;
            Err(error.context(format!("while writing {}", folder.display())))
        }
    }
}

/// Removes a folder of a plan that failed. Writes that had begun cannot be called back: for a moment more they may
/// add files, and make the folder anew, so it is held to be gone only once it stays away for ten moments.
async fn clear(folder: &Path, mut moment: impl AsyncFnMut()) {
    let mut absent = 0;
    for _ in 0..200 {
        if folder.exists() {
            absent = 0;
            // What comes in between makes this fail; then the next turn removes it.
            drop(fs::remove_dir_all(folder));
        } else {
            absent += 1;
        }
        if absent == 10 {
            break;
        }
        moment().await;
    }
}

async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// How Parquet files of a store are written.
fn parquet_options(schema: &Schema) -> TableParquetOptions {
    let mut parquet = TableParquetOptions::default();
    // With the encodings below, files are as small as with level 3 and dictionaries.
    parquet.global.compression = Some("zstd(1)".to_owned());
    // What is being written is held in memory until its group of rows is whole, in every outcome's folder; and one group is
    // read by one thread.
    parquet.global.max_row_group_size = 16_384;
    for field in schema.fields() {
        if let Some(options) = column_options(field) {
            parquet.column_specific_options.insert(field.name().clone(), options);
        }
    }
    parquet
}

/// The same for a writer of single rows.
///
/// # Errors
/// Only if DataFusion refuses its own options, which would be a bug here.
pub fn writer_properties(schema: &Schema) -> Result<WriterPropertiesBuilder> {
    // The writer adds the schema itself.
    let options = parquet_options(schema).with_skip_arrow_metadata(true);
    Ok(WriterPropertiesBuilder::try_from(&options)?)
}

/// Columns of strings that hardly occur twice.
const UNLIKE: [&str; 2] = ["native_id", "text"];

/// How a column of values that hardly occur twice is written; `None` for the others, which have a dictionary.
fn column_options(field: &Field) -> Option<ParquetColumnOptions> {
    let without_dictionary =
        ParquetColumnOptions { dictionary_enabled: Some(false), ..ParquetColumnOptions::default() };
    let encoded = |encoding: &str| ParquetColumnOptions {
        encoding: Some(encoding.to_owned()),
        ..without_dictionary.clone()
    };
    match field.data_type() {
        // Hashes, which nothing makes smaller.
        DataType::FixedSizeBinary(_) | DataType::Binary | DataType::BinaryView => {
            Some(ParquetColumnOptions { compression: Some("uncompressed".to_owned()), ..without_dictionary })
        }
        // Times and offsets, each near the one before.
        DataType::Timestamp(..) | DataType::UInt64 => Some(encoded("delta_binary_packed")),
        DataType::Utf8 | DataType::Utf8View if UNLIKE.contains(&field.name().as_str()) => {
            Some(encoded("delta_length_byte_array"))
        }
        _ => None,
    }
}

/// The hidden folder beside another one, for what is being done with it.
fn beside(folder: &Path, doing: &str) -> PathBuf {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    folder.with_file_name(format!(".{doing}-{name}"))
}

/// Parts of an artifact, in order.
///
/// # Errors
/// The folder cannot be read.
pub fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut parts = entries.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    parts.retain(|p| p.is_dir() && p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-")));
    parts.sort();
    Ok(parts)
}

/// Rows per outcome in a part, from the footers of its files.
///
/// # Errors
/// A file is damaged.
pub fn count_rows(part: &Path) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for file in parquet_files(part)? {
        let outcome = file
            .parent()
            .and_then(Path::file_name)
            .and_then(|n| n.to_string_lossy().strip_prefix("outcome=").map(str::to_owned))
            .ok_or_else(|| anyhow!("{} is not in an outcome folder", file.display()))?;
        let opened = File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
        let reader =
            SerializedFileReader::new(opened).with_context(|| format!("{} is damaged", file.display()))?;
        let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        *counts.entry(outcome).or_insert(0) += rows;
    }
    Ok(counts)
}

/// All Parquet files below a folder, in order.
///
/// # Errors
/// A folder cannot be read.
pub fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The rows of some parts as a frame of `table`; of `outcomes` only, if given.
///
/// # Errors
/// A file is damaged.
pub async fn read_parts(
    session: &SessionContext,
    table: &Table,
    parts: &[PathBuf],
    outcomes: Option<&[&str]>,
) -> Result<DataFrame> {
    let mut folders = Vec::new();
    for part in parts {
        let Ok(entries) = fs::read_dir(part) else { continue };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let wanted =
                name.strip_prefix("outcome=").is_some_and(|o| outcomes.is_none_or(|all| all.contains(&o)));
            if wanted && !parquet_files(&path)?.is_empty() {
                folders.push(path);
            }
        }
    }
    folders.sort();
    let mut all = Vec::new();
    // One listing per outcome: the folder's name is the outcome, whatever the files are called.
    let mut by_outcome: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in folders {
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let outcome = name.trim_start_matches("outcome=").to_owned();
        by_outcome.entry(outcome).or_default().push(format!("{}/", folder.display()));
    }
    for (outcome, folders) in by_outcome {
        let rows = session.read_parquet(folders, ParquetReadOptions::default()).await?;
        let columns = table.schema.fields().iter().map(|field| {
            let name = field.name().as_str();
            Ok(if name == "outcome" {
                datafusion::prelude::lit(outcome.as_str()).alias("outcome")
            } else if field.is_nullable() && !rows.schema().has_column_with_unqualified_name(name) {
                // A pool keeps its parts when a later version of the program adds a column.
                Expr::Literal(ScalarValue::try_from(field.data_type())?, None).alias(name)
            } else {
                col(name)
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        all.push(rows.select(columns)?);
    }
    union_all(all)?.map_or_else(|| empty(session, table), Ok)
}

/// A frame of `table` without rows.
///
/// # Errors
/// Only if DataFusion refuses an empty table, which would be a bug here.
pub fn empty(session: &SessionContext, table: &Table) -> Result<DataFrame> {
    let batch = arrow::record_batch::RecordBatch::new_empty(table.schema.clone());
    debug_assert!(table.schema.field_with_name("outcome").is_ok_and(|f| f.data_type() == &DataType::Utf8));
    Ok(session.read_batch(batch)?)
}

/// Removes an artifact, its manifest first, so that a half-removed folder is not taken for a whole one.
///
/// # Errors
/// The disk refuses.
pub fn remove_artifact(folder: &Path) -> Result<()> {
    let remove = || -> std::io::Result<()> {
        if folder.join(MANIFEST).exists() {
            fs::remove_file(folder.join(MANIFEST))?;
        }
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        Ok(())
    };
    remove().with_context(|| format!("cannot remove {}", folder.display()))
}

/// Removes the folders inside `folder` whose names begin with `prefix`, but for one.
///
/// # Errors
/// The disk refuses.
pub fn keep_only(folder: &Path, prefix: &str, kept: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let named = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix));
        if named && path != kept {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Writes rows in the order of a column into a folder of their own; it appears whole or not at all. Gives the number
/// of rows.
///
/// # Errors
/// The plan fails, or the disk refuses.
pub async fn write_sorted(rows: DataFrame, order: &str, folder: &Path) -> Result<u64> {
    let building = build_sorted(rows, order, folder).await?;
    let rows = building.rows();
    building.commit()?;
    Ok(rows)
}

/// A folder that is complete but for what its writer adds, and has not got its name yet; if dropped, it goes away.
#[derive(Debug)]
pub struct Building {
    place: PathBuf,
    target: PathBuf,
    rows: u64,
}

impl Building {
    /// Where it is until it gets its name.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Number of its rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Gives it its name; what had this name before goes away.
    ///
    /// # Errors
    /// The disk refuses; then an older folder stays as it was.
    pub fn commit(self) -> Result<()> {
        replace_folder(&self.place, &self.target, &beside(&self.target, "replaced"))
            .with_context(|| format!("cannot finish {}", self.target.display()))
    }
}

/// Gives a complete folder the name `target`; what had this name before is at `aside` for a moment, and goes away.
///
/// # Errors
/// The disk refuses; then what had the name has it still.
pub(crate) fn replace_folder(complete: &Path, target: &Path, aside: &Path) -> std::io::Result<()> {
    if aside.exists() {
        fs::remove_dir_all(aside)?;
    }
    // A folder cannot be renamed onto one that has files: the old one steps aside, and back if that fails.
    let had_old = target.exists();
    if had_old {
        fs::rename(target, aside)?;
    }
    if let Err(error) = fs::rename(complete, target) {
        if had_old {
            fs::rename(aside, target)?;
        }
        return Err(error);
    }
    if had_old { fs::remove_dir_all(aside) } else { Ok(()) }
}

impl Drop for Building {
    fn drop(&mut self) {
        // Where it has got its name, there is nothing left at this place.
        drop(fs::remove_dir_all(&self.place));
    }
}

/// The first half of [`write_sorted`]: the rows are written, and the folder has not got its name yet.
///
/// # Errors
/// The plan fails, or the disk refuses.
pub async fn build_sorted(rows: DataFrame, order: &str, folder: &Path) -> Result<Building> {
    let mut building = Building { place: beside(folder, "building"), target: folder.to_path_buf(), rows: 0 };
    let written = write_rows(rows, order, &building.place).await;
    if written.is_err() {
        clear(&building.place, a_moment).await;
    }
    building.rows = written.with_context(|| format!("while writing {}", folder.display()))?;
    Ok(building)
}

/// Writes rows in the order of a column into a new folder; gives their number.
async fn write_rows(rows: DataFrame, order: &str, folder: &Path) -> Result<u64> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let parquet = parquet_options(rows.schema().as_arrow());
    let options = DataFrameWriteOptions::new().with_single_file_output(true);
    let schema = std::sync::Arc::clone(rows.schema().inner());
    let rows = rows.sort(vec![col(order).sort(true, false)])?;
    let file = folder.join("rows.parquet");
    rows.write_parquet(&file.display().to_string(), options, Some(parquet)).await?;
    if !file.exists() {
        // A plan without rows writes no file.
        let out = File::options().create(true).truncate(true).write(true).open(&file)?;
        parquet::arrow::ArrowWriter::try_new(out, schema, None)?.close()?;
    }
    let rows = SerializedFileReader::new(File::open(&file)?)?.metadata().file_metadata().num_rows();
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// The rows of a folder written by [`write_sorted`] or [`build_sorted`].
///
/// # Errors
/// The file is damaged.
pub async fn read_plain(session: &SessionContext, folder: &Path) -> Result<DataFrame> {
    let file = folder.join("rows.parquet");
    Ok(session.read_parquet(file.display().to_string(), ParquetReadOptions::default()).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};

    use super::*;

    fn rows(session: &SessionContext, digests: &[&str]) -> DataFrame {
        let digests: ArrayRef = Arc::new(StringArray::from(digests.to_vec()));
        session.read_batch(RecordBatch::try_from_iter([("digest", digests)]).unwrap()).unwrap()
    }

    /// Names in a folder, hidden ones as well.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_written_for_a_moment_more_is_removed_as_well() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join(".building-part");
        fs::create_dir_all(folder.join("outcome=kept")).unwrap();
        let mut moments = 0;
        let moment = async || {
            moments += 1;
            if moments < 9 {
                fs::create_dir_all(folder.join("outcome=kept")).unwrap();
            }
        };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(clear(&folder, moment));
        assert!(!folder.exists());
    }

    #[test]
    fn a_folder_gets_its_name_when_all_of_it_is_written() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("known");
        let manifest = |folder: &Path| fs::read_to_string(folder.join(MANIFEST)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let session = SessionContext::new();
            assert_eq!(write_sorted(rows(&session, &["b", "a"]), "digest", &folder).await.unwrap(), 2);
            write_atomically(&folder.join(MANIFEST), b"old").unwrap();
            // As killed runs leave them.
            fs::create_dir_all(beside(&folder, "building").join("half")).unwrap();
            fs::create_dir_all(beside(&folder, "replaced").join("older")).unwrap();

            let abandoned = build_sorted(rows(&session, &["c"]), "digest", &folder).await.unwrap();
            assert_eq!(names(abandoned.place()), ["rows.parquet"]);
            drop(abandoned);
            assert_eq!(names(parent.path()), [".replaced-known", "known"]);
            assert_eq!((manifest(&folder).as_str(), names(&folder).len()), ("old", 2));

            let building = build_sorted(rows(&session, &["c", "b", "a"]), "digest", &folder).await.unwrap();
            write_atomically(&building.place().join(MANIFEST), b"new").unwrap();
            assert_eq!((manifest(&folder).as_str(), building.rows()), ("old", 3));
            building.commit().unwrap();
            assert_eq!(names(parent.path()), ["known"]);
            assert_eq!((manifest(&folder).as_str(), names(&folder).len()), ("new", 2));
        });
    }
}
