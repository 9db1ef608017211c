//! Real dumps, where they are: every record of every file is accounted for, by counts that share no code with the
//! readers, and no name of an author is left where a pseudonym should be.
//!
//! They are looked for in `$GENOME_REAL_DATA`, else in `../shared/data`. Nothing that is read is ever printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::project::Project;
use crate::support::rows::{Row, read_parquet};
use crate::support::{files, root};

/// Enough of each platform for a minute: months with 2 GiB windows, a subreddit, archives old and new, a whole blog
/// corpus, reviews with their products.
const SOURCES: [(&str, &str, &[&str]); 4] = [
    (
        "reddit",
        "reddit",
        &[
            "reddit/RC_2005-12.zst",
            "reddit/RC_2006-01.zst",
            "reddit/RS_2020-0*.zst",
            "reddit/CollegeAdvice_*.zst",
        ],
    ),
    ("twitter", "twitter", &["twitter/twitter-archive_andreruffert.zip", "twitter/archive_hotoo.zip"]),
    ("blogger", "blogger", &["blogger/blogs.zip"]),
    ("amazon", "amazon", &["amazon/2023"]),
];

const STAGES: &str = r#"
[[stage]]
content_filter.rules = ["deleted", "bot_author", { min_chars = 20 }]

[[stage]]
pii_scrub = {}

[[stage]]
dedup = { across = "platform" }

[[stage]]
author_activity.min_events = 3

[[stage]]
split = { by = "author_time" }
"#;

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

/// The files that a pattern with one star in its last part means.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let path = folder.join(pattern);
    if path.is_dir() {
        return files(&path, ".gz");
    }
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let Some((head, tail)) = name.split_once('*') else { return vec![path] };
    let all = files(path.parent().unwrap(), tail);
    all.into_iter().filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(head)).collect()
}

/// Records of a file that are somebody's doing, counted by their outermost form alone; and who did them.
fn count(path: &Path, authors: &mut BTreeSet<String>) -> u64 {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let file = File::open(path).unwrap();
    let ends_with = |name: &str, ending: &str| name.rsplit('.').next() == Some(ending);
    if ends_with(&name, "zst") {
        let mut decoder = zstd::Decoder::new(file).unwrap();
        decoder.window_log_max(31).unwrap();
        return lines(decoder, "author", authors);
    }
    if ends_with(&name, "gz") {
        let is_product = name.starts_with("meta_");
        let n = lines(flate2::read::MultiGzDecoder::new(file), "user_id", authors);
        return if is_product { 0 } else { n };
    }
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut records = 0;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).unwrap();
        let name = member.name().to_owned();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        if ends_with(&name, "xml") {
            records += bytes.windows(6).filter(|tag| *tag == b"<post>").count() as u64;
        } else if name.ends_with("data/tweets.js")
            || (name.contains("data/js/tweets/") && ends_with(&name, "js"))
        {
            let start = bytes.iter().position(|byte| *byte == b'[').unwrap();
            records += serde_json::from_slice::<Vec<Value>>(&bytes[start..]).unwrap().len() as u64;
        }
    }
    records
}

/// Lines that are not blank; one in seven is asked for its author.
fn lines(stream: impl Read, author: &str, authors: &mut BTreeSet<String>) -> u64 {
    let mut records = 0;
    for line in BufReader::new(stream).split(b'\n') {
        let line = line.unwrap();
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        records += 1;
        if records % 7 == 1
            && let Ok(record) = serde_json::from_slice::<Value>(&line)
            && let Some(name) = record[author].as_str()
            // A name that is a word would be found by accident.
            && name.len() >= 6
            && name.bytes().any(|b| b.is_ascii_digit() || b == b'_')
        {
            authors.insert(name.to_lowercase());
        }
    }
    records
}

#[test]
fn every_record_is_accounted_for() {
    let Some(data) = real_data() else { return };
    let mut config = "[store]\npath = \"store\"\n\n[authors]\nkey = \"of a test\"\n".to_owned();
    let mut counted = BTreeMap::new();
    let mut authors = BTreeSet::new();
    for (name, platform, patterns) in SOURCES {
        let paths: Vec<String> =
            patterns.iter().map(|pattern| data.join(pattern).display().to_string()).collect();
        let _ =
            write!(config, "\n[[source]]\nname = \"{name}\"\nplatform = \"{platform}\"\npaths = {paths:?}\n");
        let found: Vec<PathBuf> = patterns.iter().flat_map(|pattern| matching(&data, pattern)).collect();
        let records: u64 = found.iter().map(|path| count(path, &mut authors)).sum();
        counted.insert(name.to_owned(), records);
    }
    let project = Project::new(&(config + STAGES));
    project.genome(&["run", "genome.toml"]).succeeded();
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    assert_eq!(report["accounted"], true);
    let mut reported = BTreeMap::new();
    for source in report["sources"].as_array().unwrap() {
        let dropped = source["dropped"].as_array().unwrap().iter().map(|drop| drop["rows"].as_u64().unwrap());
        let (records, kept) = (source["records"].as_u64().unwrap(), source["kept"].as_u64().unwrap());
        assert_eq!(records, kept + dropped.sum::<u64>(), "{}", source["source"]);
        assert!(kept > 0, "nothing is kept of {}", source["source"]);
        reported.insert(source["source"].as_str().unwrap().to_owned(), records);
    }
    assert_eq!(reported, counted, "records by the readers, and counted apart");
    assert!(counted.values().all(|records| *records > 500), "{counted:?}");
    assert!(authors.len() > 100, "only {} names", authors.len());
    for path in files(&project.path("store"), ".parquet") {
        for row in read_parquet(&path) {
            no_name_is_left(&row, &authors);
        }
    }
}

/// No column but the person's own words holds a name; in those, no mention is one.
fn no_name_is_left(row: &Row, authors: &BTreeSet<String>) {
    let place = format!("{} at {}", row["source_file"], row["source_offset"]);
    for (column, value) in row.iter().filter(|(column, _)| *column != "title" && *column != "text") {
        let values: Vec<&str> = match value {
            Value::String(value) => vec![value],
            Value::Array(messages) => {
                messages.iter().filter_map(|message| message["name"].as_str()).collect()
            }
            _ => continue,
        };
        for word in values.iter().flat_map(|value| value.split(|c| !is_name(c))) {
            assert!(!authors.contains(&word.to_lowercase()), "`{column}` of {place} has a name");
        }
    }
    let messages = row.get("context").and_then(Value::as_array).into_iter().flatten();
    let contents = messages.map(|message| &message["content"]);
    for text in ["title", "text"].iter().filter_map(|name| row.get(*name)).chain(contents) {
        let text = text.as_str().unwrap_or_default().to_lowercase();
        for mention in text.split("u/").skip(1) {
            let name = mention.split(|c| !is_name(c)).next().unwrap_or_default();
            assert!(!authors.contains(name), "a text of {place} mentions a name");
        }
    }
}

/// Whether a character can stand in a handle.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}
