//! Whole sources over dumps that the tests write: bytes in, rows, counts and errors out. Everybody in them is
//! invented.

mod amazon;
mod blogger;
mod blogger_feeds;
mod conflicts;
mod containers;
mod corruption;
mod reddit;
mod remote;
mod tables;
mod twitter;
mod twitter_api;

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use genome_schemas::Platform;
use serde_json::Value;
use tempfile::TempDir;

use super::{CsvConfig, Deletions, FileReadCount, Pseudonymizer, ReaderOptions, SourceConfig, SourceContext};

/// A folder of dumps.
struct Dumps(TempDir);

impl Dumps {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(files: &[(&str, &[u8])]) -> Self {
        let dumps = Self::new();
        for (name, bytes) in files {
            dumps.put(name, bytes);
        }
        dumps
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// How a source is run.
#[derive(Clone)]
struct Run {
    platform: Platform,
    partitions: usize,
    context: bool,
    deletions: Deletions,
    csv: Option<CsvConfig>,
    options: ReaderOptions,
}

impl Run {
    /// Records that were taken back are kept, so that their fields are seen.
    fn of(platform: Platform) -> Self {
        let (deletions, options) = (Deletions::Keep, ReaderOptions::default());
        Self { platform, partitions: 2, context: true, deletions, csv: None, options }
    }

    fn context(&self) -> SourceContext {
        let mut config = SessionConfig::new().with_target_partitions(self.partitions);
        config.options_mut().optimizer.prefer_hash_join = false;
        let session = SessionContext::new_with_config(config);
        SourceContext::new(session, Pseudonymizer::from_secret("test"), self.options.clone(), 1)
    }

    fn source(&self, paths: &[PathBuf]) -> SourceConfig {
        SourceConfig {
            name: "source".into(),
            platform: self.platform,
            paths: paths.iter().map(|path| path.display().to_string()).collect(),
            context: self.context,
            format: None,
            csv: self.csv.clone(),
            deletions: self.deletions,
        }
    }

    fn read(&self, paths: &[PathBuf]) -> Found {
        self.read_in(&self.context(), paths)
    }

    fn read_in(&self, cx: &SourceContext, paths: &[PathBuf]) -> Found {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let result = runtime.block_on(async {
            let frame = self.source(paths).events(cx)?;
            let task = frame.task_ctx();
            let plan = frame.create_physical_plan().await?;
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            let batches = collect(plan, task.into()).await?;
            Ok::<_, crate::StageError>((shown, batches))
        });
        let (plan, batches, error) = match result {
            Ok((plan, batches)) => (plan, batches, None),
            Err(error) => (String::new(), Vec::new(), Some(error.to_string())),
        };
        let mut rows: Vec<Value> = batches.iter().flat_map(json_rows).collect();
        // Row order is not defined, so tests see one of their own.
        rows.sort_by_key(|row| (text(row, "source_file"), row["source_offset"].as_u64(), row.to_string()));
        Found { rows, plan, error, counts: cx.counts.files() }
    }
}

/// What running a source gave.
struct Found {
    rows: Vec<Value>,
    plan: String,
    error: Option<String>,
    counts: Vec<FileReadCount>,
}

impl Found {
    /// The rows as lines of the named columns, after the check that every record counted is a row.
    fn lines(&self, columns: &[&str]) -> Vec<String> {
        assert_eq!(self.error, None);
        let counted: u64 =
            self.counts.iter().filter(|count| count.yields_events).map(|count| count.records).sum();
        assert_eq!(counted, self.rows.len() as u64, "conservation");
        let malformed: u64 =
            self.counts.iter().filter(|count| count.yields_events).map(|c| c.malformed).sum();
        assert_eq!(malformed, self.rows.iter().filter(|row| row["outcome"] == "malformed").count() as u64);
        let lossy: u64 = self.counts.iter().filter(|count| count.yields_events).map(|c| c.lossy).sum();
        assert_eq!(lossy, self.rows.iter().filter(|row| row["lossy"] == true).count() as u64);
        self.rows
            .iter()
            .map(|row| columns.iter().map(|column| shown(row, column)).collect::<Vec<_>>().join(" | "))
            .collect()
    }
}

fn text(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}

fn shown(row: &Value, column: &str) -> String {
    match (&row[column], column) {
        (Value::Null, _) => "-".into(),
        (Value::Array(messages), "context") => {
            let messages = messages.iter().map(|message| {
                assert_eq!(message["learn"], false);
                let name = message["name"].as_str().map_or_else(|| "?".into(), nickname);
                format!("{} {name}: {}", text(message, "role"), text(message, "content"))
            });
            messages.collect::<Vec<_>>().join(" / ")
        }
        (Value::String(id), "author_id") => nickname(id),
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}

/// People of the tests, so that expectations can call them by name.
const PEOPLE: [(Platform, &str); 7] = [
    (Platform::Reddit, "Ada_L"),
    (Platform::Reddit, "grace"),
    (Platform::Reddit, "lin-42"),
    (Platform::Twitter, "ada_tw"),
    (Platform::Twitter, "bob_tw"),
    (Platform::Amazon, "AEXAMPLEUSER0000000000000ADA"),
    (Platform::Blogger, "1234567"),
];

fn nickname(id: &str) -> String {
    let names = Pseudonymizer::from_secret("test");
    PEOPLE
        .iter()
        .find(|(platform, handle)| names.author_id(*platform, handle).as_str() == id)
        .map_or_else(|| format!("unknown {id}"), |(_, handle)| format!("<{handle}>"))
}

/// `@handle` or `u/handle` as texts carry it.
fn mention(platform: Platform, handle: &str) -> String {
    format!("user_{}", Pseudonymizer::from_secret("test").author_id(platform, handle).short())
}

fn json_rows(batch: &RecordBatch) -> Vec<Value> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    let bytes = writer.into_inner();
    if bytes.is_empty() { Vec::new() } else { serde_json::from_slice(&bytes).unwrap() }
}

pub(super) fn zstd(bytes: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.long_distance_matching(window_log > 27).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Numbers one behind the other, of which no part says much about another.
pub(super) fn numbers(range: std::ops::Range<u32>) -> Vec<u8> {
    range.flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_string().into_bytes()).collect()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        writer.append_data(&mut header, name, *bytes).unwrap();
    }
    writer.into_inner().unwrap()
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// No output may hold a handle, however it is written.
fn assert_no_handles(found: &Found, handles: &[&str]) {
    for row in &found.rows {
        let row = row.to_string().to_lowercase();
        for handle in handles {
            assert!(!row.contains(&handle.to_lowercase()), "{handle} in {row}");
        }
    }
}
