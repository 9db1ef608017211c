//! The ledger of a run, read with nothing but a Parquet reader, and held against what the readers counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::AsArray as _;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::files;
use super::project::Project;
use super::rows::{Row, read_parquet};

/// The file of a project's only ledger.
#[track_caller]
pub(crate) fn ledger_file(project: &Project) -> PathBuf {
    project.artifact("ledger", "ledger").join("rows.parquet")
}

/// The rows of a project's only ledger.
#[track_caller]
pub(crate) fn ledger_rows(project: &Project) -> Vec<Row> {
    read_parquet(&ledger_file(project))
}

/// After a run: every ledger in the store has as many rows of each source as the readers counted records, and as many of
/// each outcome as its manifest says; and at least one of them is about what is in the store now.
#[track_caller]
pub(crate) fn accounts_for_everything(store: &Path) {
    let mut checked = 0;
    for path in files(&store.join("ledger"), "manifest.json") {
        let manifest = json(&path);
        let rows = path.with_file_name("rows.parquet");
        assert_eq!(counts(&rows, "outcome"), numbers(&manifest["rows"]), "{}", rows.display());
        let by_source = counts(&rows, "source");
        assert_eq!(by_source.values().sum::<u64>(), manifest["rows_read"]["records"].as_u64().unwrap());
        if let Some(read) = records_read(store, &manifest) {
            assert_eq!(by_source, read, "{}", rows.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "no ledger is about the present run: {}", store.display());
}

/// Records by source that the readers counted for the artifact that a ledger is about, if that is still there.
fn records_read(store: &Path, ledger: &Value) -> Option<BTreeMap<String, u64>> {
    let components = ledger["components"].as_array().unwrap().iter();
    let inputs: Vec<&Value> = components
        .filter(|component| component["label"].as_str().unwrap().starts_with("input:events/"))
        .map(|component| &component["value"])
        .collect();
    assert!(!inputs.is_empty(), "{ledger}");
    let artifacts = files(&store.join("events"), "manifest.json");
    let ingest = artifacts.iter().map(|path| json(path)).find(|manifest| {
        inputs.contains(&&manifest["fingerprint"]) && !manifest["files"].as_array().unwrap().is_empty()
    })?;
    let mut records = BTreeMap::new();
    for file in ingest["files"].as_array().unwrap() {
        if file["yields_events"] == true && file["records"] != 0 {
            *records.entry(file["source"].as_str().unwrap().to_owned()).or_insert(0) +=
                file["records"].as_u64().unwrap();
        }
    }
    Some(records)
}

/// How often each value of a column of strings occurs.
fn counts(path: &Path, column: &str) -> BTreeMap<String, u64> {
    let file = std::fs::File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let wanted = ProjectionMask::columns(builder.parquet_schema(), [column]);
    let mut counts = BTreeMap::new();
    for batch in builder.with_projection(wanted).build().unwrap() {
        for value in batch.unwrap().column(0).as_string::<i32>().iter().flatten() {
            *counts.entry(value.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

fn numbers(object: &Value) -> BTreeMap<String, u64> {
    object.as_object().unwrap().iter().map(|(name, n)| (name.clone(), n.as_u64().unwrap())).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
