//! The ledger as a table on disk: one row for every input record, written when everything else is done.
//!
//! ```text
//! store/ledger/ledger-51c0a7f2/rows.parquet     in order of source, file and place in it
//!                              manifest.json    written last
//! ```

mod decode;
mod endings;
mod places;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use arrow::compute::BatchCoalescer;
use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext, col};
use futures::StreamExt as _;
use genome_schemas::{Component, Fingerprint, FingerprintHasher, Freshness, Manifest, Outcome, StaleReason};
use genome_stages::union_all;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};

use crate::config::Project;
use crate::plan::Planned;
use crate::progress::Task;
use crate::run::artifact_rows;
use crate::session::{self, Limits};
use crate::store::{Store, commit_manifest, read_manifest, remove_artifact, writer_properties};

use decode::Decoder;
use places::ShardPlaces;

/// Raised when the ledger says the same facts differently.
const VERSION: u32 = 2;

/// Name of the table, of its folder in the store and of the step in what a run tells.
const NAME: &str = "ledger";

/// File of the rows.
const ROWS: &str = "rows.parquet";

/// Rows that are encoded together. Fixed, so that equal rows give equal bytes.
const CHUNK_ROWS: usize = 8192;

/// Rows of one row group.
const ROW_GROUP_ROWS: usize = 64 * CHUNK_ROWS;

/// Who wrote the file. Fixed, for the same reason; the number is that of the table's format.
const CREATED_BY: &str = "genome version 1 (build 0)";

/// Bytes that sorts and joins of the ledger hold before they spill: its rows are narrow, and come when a run is over, so
/// that they must not be what decides its memory. Where that is too little to merge what was spilled, it gets twice as
/// much, and again, up to the run's limit.
const MEMORY_BYTES: usize = 96 << 20;

/// The ledger of a config with its place in the store and its state.
#[derive(Debug, Clone)]
pub struct PlannedLedger {
    /// Folder of its artifact.
    pub folder: PathBuf,
    /// Fingerprint that the artifact must have.
    pub fingerprint: Fingerprint,
    /// What the fingerprint is made from.
    pub components: Vec<Component>,
    /// Whether the artifact that is there can be used.
    pub freshness: Freshness,
}

/// Plans the ledger of a config whose segments are planned.
///
/// # Errors
/// The ledger's manifest is damaged.
pub fn plan(project: &Project, planned: &[Planned]) -> Result<PlannedLedger> {
    let version = Component { label: format!("version:{NAME}"), value: VERSION.to_string() };
    let shards = project.config.shards.as_ref().map_or(0, |shards| shards.rows_per_shard);
    let shards = Component { label: "config:shards".to_owned(), value: shards.to_string() };
    let mut identity = FingerprintHasher::new("genome ledger");
    identity.part(&version.label, &version.value).part(&shards.label, &shards.value);
    let mut components = vec![version, shards];
    for this in planned {
        let label = format!("input:{}/{}", this.segment.output.name, this.segment.name);
        let folder = this.folder.file_name().unwrap_or_default().to_string_lossy();
        identity.part(&label, folder.as_bytes());
        components.push(Component { label, value: this.fingerprint.to_string() });
    }
    let mut fingerprint = FingerprintHasher::new("genome artifact");
    for component in &components {
        fingerprint.part(&component.label, &component.value);
    }
    let fingerprint = fingerprint.finish();
    let store = Store::read_only(&project.config.store.path);
    let folder = store.folder(NAME, &format!("{NAME}-{}", identity.finish().short()));
    let freshness = match read_manifest(&folder)? {
        Some(manifest) if manifest.fingerprint == fingerprint => Freshness::Fresh,
        Some(manifest) => Freshness::Stale(
            StaleReason::between(&manifest.components, &components).unwrap_or(StaleReason::NeverBuilt),
        ),
        None => Freshness::Stale(StaleReason::NeverBuilt),
    };
    Ok(PlannedLedger { folder, fingerprint, components, freshness })
}

/// The rows of a ledger that is there.
///
/// # Errors
/// The file is damaged.
pub async fn rows(session: &SessionContext, planned: &PlannedLedger) -> Result<DataFrame> {
    let file = planned.folder.join(ROWS);
    Ok(session.read_parquet(file.display().to_string(), ParquetReadOptions::default()).await?)
}

/// Writes the ledger of a config, all of whose artifacts and shards are there, unless it is there as well.
///
/// # Errors
/// The rows are not as many as the readers counted, an artifact is damaged, or the disk refuses.
pub async fn write(limits: Limits, project: &Project, planned: &[Planned]) -> Result<()> {
    let this = plan(project, planned)?;
    if this.freshness == Freshness::Fresh {
        return Ok(());
    }
    let started = Instant::now();
    let task = Task::begin(NAME, 0);
    let mut memory_bytes = limits.memory_bytes.min(MEMORY_BYTES);
    let rows = loop {
        let session = session::for_narrow_rows(Limits { memory_bytes, ..limits })?;
        match write_rows(&session, project, planned, &this.folder).await {
            Err(error) if memory_bytes < limits.memory_bytes && is_out_of_memory(&error) => {
                memory_bytes = limits.memory_bytes.min(2 * memory_bytes);
            }
            done => break done.context("while writing the ledger")?,
        }
    };
    let total = rows.values().sum();
    let manifest = Manifest {
        fingerprint: this.fingerprint,
        table: NAME.to_owned(),
        stages: vec![NAME.to_owned()],
        components: this.components,
        rows,
        rows_read: BTreeMap::from([("records".to_owned(), total)]),
        files: Vec::new(),
        seconds: started.elapsed().as_secs_f64(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    commit_manifest(&this.folder, &manifest)?;
    task.end(&format!("{total} records accounted for"));
    Ok(())
}

/// Whether a plan failed because its session has too little memory.
pub(crate) fn is_out_of_memory(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<DataFusionError>());
    causes.into_iter().any(|cause| matches!(cause.find_root(), DataFusionError::ResourcesExhausted(_)))
}

/// Which rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those that are still in.
    Kept,
    /// Those that left.
    Dropped,
}

/// The rows of a table over all artifacts of a config that hold it: dropped ones lie where they were dropped, kept ones
/// in the last artifact that refined them. None if the config writes no such table.
///
/// # Errors
/// A file is damaged.
pub async fn whole_table(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    table: &str,
    which: Which,
) -> Result<Option<DataFrame>> {
    let of_table: Vec<&Planned> = planned.iter().filter(|p| p.segment.output.name == table).collect();
    let mut all = Vec::with_capacity(of_table.len());
    for (position, this) in of_table.iter().enumerate() {
        let refined = of_table[position + 1..].iter().any(|later| later.segment.refines());
        let wanted = |outcome: Outcome| match which {
            Which::All => outcome != Outcome::Kept || !refined,
            Which::Kept => outcome == Outcome::Kept && !refined,
            Which::Dropped => outcome != Outcome::Kept,
        };
        let outcomes: Vec<&str> =
            Outcome::ALL.iter().filter(|o| wanted(**o)).map(|outcome| outcome.as_str()).collect();
        all.push(artifact_rows(session, project, this, Some(&outcomes)).await?);
    }
    Ok(union_all(all)?)
}

/// Records of each source that the readers counted and that must be rows of the ledger.
///
/// # Errors
/// A manifest is missing or damaged.
pub fn records_read(planned: &[Planned]) -> Result<BTreeMap<String, u64>> {
    let mut records = BTreeMap::new();
    for this in planned.iter().filter(|p| p.segment.ingests) {
        let manifest = read_manifest(&this.folder)?
            .ok_or_else(|| anyhow!("internal error: {} has no manifest", this.folder.display()))?;
        for file in manifest.files.iter().filter(|file| file.yields_events) {
            *records.entry(file.source.clone()).or_insert(0) += file.records;
        }
    }
    Ok(records)
}

/// Writes the rows and gives their number by outcome.
async fn write_rows(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    folder: &Path,
) -> Result<BTreeMap<String, u64>> {
    remove_artifact(folder)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Under another name until it is whole: a folder without a manifest is no artifact, but a half-written file is
    // better not taken for a table either.
    let building = folder.join(format!(".building-{ROWS}"));
    let written = stream_rows(session, project, planned, &building).await;
    match written {
        Ok(counts) => {
            std::fs::rename(&building, folder.join(ROWS))?;
            Ok(counts)
        }
        Err(error) => {
            drop(std::fs::remove_dir_all(folder));
            Err(error)
        }
    }
}

async fn stream_rows(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    path: &Path,
) -> Result<BTreeMap<String, u64>> {
    let shards = match &project.config.shards {
        Some(shards) => Some(ShardPlaces::of(&shards.path)?),
        None => None,
    };
    let rows = endings::rows(session, project, planned, shards.as_ref()).await?;
    let order = ["source", "source_file", "source_offset", "key", "outcome"];
    let mut stream =
        rows.sort(order.map(|name| col(name).sort(true, false)).to_vec())?.execute_stream().await?;
    let decoder = Decoder::new(shards);
    let mut chunks = BatchCoalescer::new(stream.schema(), CHUNK_ROWS);
    let mut writer = RowWriter::create(path)?;
    while let Some(batch) = stream.next().await {
        chunks.push_batch(batch?)?;
        while let Some(chunk) = chunks.next_completed_batch() {
            writer.write(&decoder.decode(&chunk)?)?;
        }
    }
    chunks.finish_buffered_batch()?;
    while let Some(chunk) = chunks.next_completed_batch() {
        writer.write(&decoder.decode(&chunk)?)?;
    }
    writer.finish(&records_read(planned)?)
}

/// Writes rows of the ledger and counts them.
struct RowWriter {
    path: PathBuf,
    writer: ArrowWriter<File>,
    by_source: BTreeMap<String, u64>,
    by_outcome: BTreeMap<String, u64>,
}

impl RowWriter {
    fn create(path: &Path) -> Result<Self> {
        let schema = Arc::clone(&genome_schemas::ledger().schema);
        let properties = writer_properties(&schema)?
            .set_created_by(CREATED_BY.to_owned())
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let file = File::options().create(true).truncate(true).write(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let writer = ArrowWriter::try_new_with_options(file, schema, options)?;
        Ok(Self { path: path.to_owned(), writer, by_source: BTreeMap::new(), by_outcome: BTreeMap::new() })
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        for (name, counts) in [("source", &mut self.by_source), ("outcome", &mut self.by_outcome)] {
            let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            for value in column.into_iter().flatten().flatten() {
                match counts.get_mut(value) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(value.to_owned(), 1)),
                }
            }
        }
        self.writer.write(rows).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Ends the file, if every record that was read is in it.
    fn finish(self, read: &BTreeMap<String, u64>) -> Result<BTreeMap<String, u64>> {
        let sources = read.keys().chain(self.by_source.keys());
        for source in sources {
            let of = |counts: &BTreeMap<String, u64>| counts.get(source).copied().unwrap_or(0);
            let (read, written) = (of(read), of(&self.by_source));
            if read != written {
                return Err(anyhow!(
                    "internal error (please report it): of source `{source}` {read} records were read, and \
                     {written} are in the ledger"
                ));
            }
        }
        let file =
            self.writer.into_inner().with_context(|| format!("cannot write {}", self.path.display()))?;
        file.sync_all()?;
        Ok(self.by_outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_seen_below_its_context() {
        let lack = DataFusionError::ResourcesExhausted("no room".to_owned()).context("while sorting");
        assert!(is_out_of_memory(&anyhow::Error::from(lack).context("while writing")));
        assert!(!is_out_of_memory(&anyhow::Error::from(DataFusionError::Internal("no".to_owned()))));
        assert!(!is_out_of_memory(&anyhow!("no room")));
    }
}
