//! Real dumps, where they are: every record of every file is accounted for, by counts that share no code with the
//! readers, and no name of an author is left where a pseudonym should be.
//!
//! They are looked for in `$GENOME_REAL_DATA`, else in `../shared/data`. Nothing that is read is ever printed.

mod count;
mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::count::count;
use crate::support::project::Project;
use crate::support::rows::{Row, read_columns, read_some};
use crate::support::{files, root};

/// One source of a config.
struct Source {
    name: &'static str,
    platform: &'static str,
    paths: Vec<PathBuf>,
    /// Further keys.
    keys: &'static str,
}

impl Source {
    fn new(platform: &'static str, paths: Vec<PathBuf>) -> Self {
        Self { name: platform, platform, paths, keys: "" }
    }
}

/// The folder of real dumps, if there is one.
fn real_data() -> Option<PathBuf> {
    let named = std::env::var_os("GENOME_REAL_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root().join("../shared/data"));
    let found = folder.join("blogger/blogs.zip").is_file();
    if !found {
        println!("SKIPPED: there are no real dumps in {} (set GENOME_REAL_DATA)", folder.display());
    }
    found.then_some(folder)
}

/// A config that reads these sources and marks little, so that it is quick.
fn config(sources: &[Source], more: &str) -> String {
    let mut config = format!("[store]\npath = \"store\"\n\n[authors]\nkey = \"of a test\"\n{more}\n");
    for Source { name, platform, paths, keys } in sources {
        let _ = write!(
            config,
            "\n[[source]]\nname = \"{name}\"\nplatform = \"{platform}\"\npaths = {paths:?}\n{keys}\n"
        );
    }
    config
}

/// The stage that is stored together with what the readers give.
const FIRST_STAGE: &str =
    "\n[[stage]]\ncontent_filter.rules = [\"deleted\", \"bot_author\", { min_chars = 20 }]\n";
const LATER_STAGES: &str =
    "\n[[stage]]\ndedup = { across = \"platform\" }\n\n[[stage]]\nauthor_activity.min_events = 3\n";

/// Files of the rows that the readers gave, each with the outcome that the name of its folder tells.
fn first_rows(project: &Project) -> Vec<(String, PathBuf)> {
    let folder = project.artifact("events", "content_filter");
    let outcome = |path: &Path| {
        let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy();
        folder.strip_prefix("outcome=").unwrap().to_owned()
    };
    files(&folder, ".parquet").into_iter().map(|path| (outcome(&path), path)).collect()
}

/// Runs all sources of a platform, and compares its account with one made apart.
fn account_for(sources: &[Source]) {
    let mut names = BTreeSet::new();
    let mut counted: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    let mut products = 0;
    for source in sources {
        for path in &source.paths {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let records = count(path, &mut names);
            assert!(records > 0, "nothing in {name}");
            if name.contains("meta_") {
                products += records;
            } else {
                counted.entry(source.name).or_default().insert(name, records);
            }
        }
    }
    let project = Project::new(&(config(sources, "") + FIRST_STAGE + LATER_STAGES));
    project.genome(&["run", "genome.toml"]).succeeded();

    // The manifest: records by file, as the readers counted them.
    let manifest = std::fs::read(project.artifact("events", "content_filter").join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let mut read: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    let mut products_read = 0;
    for file in manifest["files"].as_array().unwrap() {
        let records = file["records"].as_u64().unwrap();
        if file["yields_events"] == true {
            let source = read.entry(file["source"].as_str().unwrap()).or_default();
            source.insert(file["name"].as_str().unwrap().to_owned(), records);
        } else {
            products_read += records;
        }
    }
    assert_eq!(products_read, products, "products");

    // The table: rows by file.
    let mut rows: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (_, path) in first_rows(&project) {
        for row in read_columns(&path, &["source", "source_file"]) {
            let file = row["source_file"].as_str().unwrap();
            let file = file.split_once('!').map_or(file, |(file, _)| file);
            let source = rows.entry(row["source"].as_str().unwrap().to_owned()).or_default();
            *source.entry(file.to_owned()).or_default() += 1;
        }
    }
    for (source, counted) in &counted {
        same_by_file(source, counted, &read[source], "the readers counted");
        same_by_file(source, counted, &rows[*source], "the table has rows");
    }

    // The report: records that the readers counted, and where they went.
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    assert_eq!(report["accounted"], true);
    for source in report["sources"].as_array().unwrap() {
        let name = source["source"].as_str().unwrap();
        let dropped = source["dropped"].as_array().unwrap();
        let rows: u64 = dropped.iter().map(|drop| drop["rows"].as_u64().unwrap()).sum();
        let (records, kept) = (source["records"].as_u64().unwrap(), source["kept"].as_u64().unwrap());
        assert_eq!(records, kept + rows, "{name}");
        assert_eq!(records, counted[name].values().sum::<u64>(), "{name}");
        assert!(kept > 0, "nothing is kept of {name}");
        assert!(dropped.iter().all(|drop| drop["outcome"] != "malformed"), "{name}: {dropped:?}");
    }

    assert!(names.len() > 20, "only {} names", names.len());
    let mut left = Left::new();
    for path in files(&project.path("store"), ".parquet") {
        for row in read_some(&path, 6) {
            names_left(&row, &names, &mut left);
        }
    }
    assert!(left.is_empty(), "names are left, by column how many and where first: {left:?}");
}

/// Compares counts by file. A file that is named after its author has another name on the right side; such files are
/// told apart by their counts alone.
fn same_by_file(source: &str, counted: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>, what: &str) {
    for (name, records) in counted {
        if let Some(found) = found.get(name) {
            assert_eq!(found, records, "{source}: {name}, {what}");
        }
    }
    let only_in = |one: &BTreeMap<String, u64>, other: &BTreeMap<String, u64>| {
        let only = one.iter().filter(|(name, _)| !other.contains_key(*name));
        let mut counts: Vec<u64> = only.map(|(_, count)| *count).collect();
        counts.sort_unstable();
        counts
    };
    let renamed = only_in(counted, found);
    assert_eq!(renamed, only_in(found, counted), "{source}: files under another name, {what}");
}

/// Every file of a folder that ends in one of `endings`, but those in `faults`.
fn dumps(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = endings.iter().flat_map(|ending| files(folder, ending)).collect();
    found.retain(|path| !path.components().any(|part| part.as_os_str() == "faults"));
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_record_of_reddit() {
    let Some(data) = real_data() else { return };
    let paths = dumps(&data.join("reddit"), &[""]);
    assert!(paths.len() > 20, "{paths:?}");
    account_for(&[Source::new("reddit", paths)]);
}

#[test]
fn every_record_of_twitter() {
    let Some(data) = real_data() else { return };
    let folder = data.join("twitter");
    let is_stream = |path: &PathBuf| path.to_string_lossy().contains("twitter-stream-");
    let (streams, others): (Vec<PathBuf>, Vec<PathBuf>) =
        dumps(&folder, &[".tar", ".zip", ".json", ".jsonl"]).into_iter().partition(is_stream);
    let read = streams.len() + others.len() + 2;
    assert_eq!(read, dumps(&folder, &[""]).len(), "there are files that are not read");
    let source = |name, paths, keys| Source { name, platform: "twitter", paths, keys };
    account_for(&[
        // Minutes of a hundredth of all tweets hold next to nothing of what is answered.
        source("streams", streams, "context = false"),
        source("others", others, ""),
        source("airlines", vec![folder.join("Tweets.csv")], "csv = { dates = \"day_first\" }"),
        source("president", vec![folder.join("BarackObama.csv")], "csv = { dates = \"month_first\" }"),
    ]);
}

#[test]
fn every_record_of_blogger() {
    let Some(data) = real_data() else { return };
    let paths = dumps(&data.join("blogger"), &[""]);
    assert!(paths.len() > 3, "{paths:?}");
    account_for(&[Source::new("blogger", paths)]);
}

#[test]
fn every_record_of_amazon() {
    let Some(data) = real_data() else { return };
    let paths = dumps(&data.join("amazon"), &[""]);
    assert!(paths.len() > 20, "{paths:?}");
    account_for(&[Source::new("amazon", paths)]);
}

/// Names that were found, by column: how many, and the place of the first.
type Left = BTreeMap<String, (u64, String)>;

/// Looks for names: no column but the person's own words may hold one; in those, no mention may be one.
fn names_left(row: &Row, names: &BTreeSet<String>, left: &mut Left) {
    let mut leaks = |column: &str| {
        let place = || (0, format!("{} at {}", row["source_file"], row["source_offset"]));
        left.entry(column.to_owned()).or_insert_with(place).0 += 1;
    };
    for (column, value) in row.iter().filter(|(column, _)| *column != "title" && *column != "text") {
        let values: Vec<&str> = match value {
            Value::String(value) => vec![value],
            Value::Array(messages) => {
                messages.iter().filter_map(|message| message["name"].as_str()).collect()
            }
            _ => continue,
        };
        let mut words = values.iter().flat_map(|value| value.split(|c| !is_name(c)));
        if words.any(|word| names.contains(&word.to_lowercase())) {
            leaks(column);
        }
    }
    let messages = row.get("context").and_then(Value::as_array).into_iter().flatten();
    let contents = messages.map(|message| &message["content"]);
    let sigil = if row.get("platform").is_some_and(|platform| platform == "twitter") { "@" } else { "u/" };
    for text in ["title", "text"].iter().filter_map(|name| row.get(*name)).chain(contents) {
        let text = text.as_str().unwrap_or_default().to_lowercase();
        let mut mentions = text.split(sigil).skip(1).map(|rest| rest.split(|c| !is_name(c)).next());
        if mentions.any(|name| names.contains(name.unwrap_or_default())) {
            leaks("a mention in a text");
        }
    }
}

/// Whether a character can stand in a handle.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}
