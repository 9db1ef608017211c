//! The ledger: a row for every record, with where it stood, why it left or where it ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::ledger::{ledger_file, ledger_rows};
use crate::support::project::Project;
use crate::support::rows::{Row, read_parquet};
use crate::support::{configs, files, root};

fn tiny(change: impl Fn(&str) -> String) -> Project {
    let project = Project::new(&change(configs::TINY));
    project.write("dump.jsonl", configs::tiny_dump());
    project.genome(&["run", "genome.toml"]).succeeded();
    project
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn shards_of(row: &Row) -> Vec<(String, u64, String)> {
    let place = |place: &Value| {
        let text = |name: &str| place[name].as_str().unwrap().to_owned();
        (text("shard"), place["row"].as_u64().unwrap(), text("task"))
    };
    row.get("shards").map(|list| list.as_array().unwrap().iter().map(place).collect()).unwrap_or_default()
}

#[test]
fn every_record_is_in_it_once_and_in_order() {
    let rows = ledger_rows(&tiny(str::to_owned));
    let dump = configs::tiny_dump();
    let lines = dump.lines().scan(0, |offset, line| {
        let start = *offset;
        *offset += line.len() as u64 + 1;
        Some(start)
    });
    let offsets: Vec<u64> = lines.collect();
    let found: Vec<u64> = rows.iter().map(|row| row["source_offset"].as_u64().unwrap()).collect();
    assert_eq!(found, offsets, "one row a record, in the order of the file");
    assert!(
        rows.iter().all(|row| text(row, "source") == "harbour" && text(row, "source_file") == "dump.jsonl")
    );
    let of = |rule: &str| rows.iter().find(|row| text(row, "rule") == rule).unwrap();
    let short = of("min_chars");
    assert_eq!((&short["measured"], &short["limit_value"]), (&9.0.into(), &30.0.into()));
    assert_eq!((text(short, "outcome"), text(short, "stage")), ("too_short", "content_filter"));
    let repeat = of("own_repost");
    assert_eq!(repeat["similarity"], 1.0);
    let survivor = rows.iter().find(|row| row["key"] == repeat["duplicate_of"]).unwrap();
    assert_eq!(text(survivor, "outcome"), "kept");
    assert!(rows.iter().all(|row| !row.contains_key("similarity") || row["key"] == repeat["key"]));
    for row in rows.iter().filter(|row| text(row, "outcome") != "kept") {
        assert!(!row.contains_key("shards") && !row.contains_key("unused") && !row.contains_key("split"));
    }
}

/// Each way round: a place in the ledger is a row of that shard, and a row of a shard is in the ledger at its event, or
/// at every train event of its author.
#[test]
fn places_in_shards_are_true() {
    // Two rows a shard, so that there are several.
    let project = tiny(|config| config.replace("[shards]", "[shards]\nrows_per_shard = 2"));
    let ledger = ledger_rows(&project);
    let mut author_of: BTreeMap<String, String> = BTreeMap::new();
    for path in files(&project.artifact("events", "split"), ".parquet") {
        for row in read_parquet(&path) {
            author_of.insert(text(&row, "key").to_owned(), text(&row, "author_id").to_owned());
        }
    }
    let mut expected: BTreeMap<String, BTreeSet<(String, u64, String)>> = BTreeMap::new();
    let (mut n_shards, mut n_shared) = (0, 0);
    for path in files(&project.path("shards"), ".parquet") {
        n_shards += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for (number, row) in (0_u64..).zip(read_parquet(&path)) {
            let place = (name.clone(), number, text(&row, "task").to_owned());
            let about: Vec<&str> = if row.contains_key("event_key") {
                vec![text(&row, "event_key")]
            } else {
                n_shared += 1;
                let history = |event: &&Row| {
                    text(event, "split") == "train"
                        && author_of.get(text(event, "key")).is_some_and(|a| a == text(&row, "author_id"))
                };
                ledger.iter().filter(history).map(|event| text(event, "key")).collect()
            };
            assert!(!about.is_empty(), "{row:?}");
            for key in about {
                expected.entry(key.to_owned()).or_default().insert(place.clone());
            }
        }
    }
    assert!(n_shards > 8 && n_shared > 0, "{n_shards} shards, {n_shared} rows about a person");
    for row in &ledger {
        let found = shards_of(row);
        assert!(found.is_sorted(), "{found:?}");
        let set: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(set.len(), found.len(), "{found:?}");
        assert_eq!(set, expected.remove(text(row, "key")).unwrap_or_default(), "{row:?}");
    }
    assert!(expected.is_empty(), "shard rows about events that nobody read: {expected:?}");
}

#[test]
fn a_kept_record_that_ends_nowhere_says_why() {
    let tasks = r#"compose.tasks = ["profile_generation", "reply", "inner_thought", "rl_response"]"#;
    let unused = |change: &dyn Fn(&str) -> String| {
        let mut unused: BTreeMap<String, usize> = BTreeMap::new();
        for row in ledger_rows(&tiny(change)).iter().filter(|row| text(row, "outcome") == "kept") {
            assert_eq!(shards_of(row).is_empty(), row.contains_key("unused"), "{row:?}");
            *unused.entry(text(row, "unused").to_owned()).or_default() += 1;
        }
        unused
    };
    let of = |pairs: &[(&str, usize)]| pairs.iter().map(|(why, n)| ((*why).to_owned(), *n)).collect();
    // Everybody's last texts are not in what their profile is made from.
    let profiles = |config: &str| config.replace(tasks, r#"compose.tasks = ["profile_generation"]"#);
    assert_eq!(unused(&profiles), of(&[("", 6), ("no example", 3)]));
    // An answer of one token is cut off.
    let recipes = tempfile::tempdir().unwrap();
    let limit = regex::Regex::new(r"max_tokens = \d+").unwrap();
    for path in files(&root().join("tests/recipes"), ".md") {
        let name = path.strip_prefix(root().join("tests/recipes")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = if name.ends_with("inner_thought.md") {
            limit.replace(&text, "max_tokens = 1").into_owned()
        } else {
            text
        };
        std::fs::create_dir_all(recipes.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(recipes.path().join(name), text).unwrap();
    }
    let cut_off = |config: &str| {
        let config = config.replace("<root>/tests/recipes", &recipes.path().display().to_string());
        config.replace(tasks, r#"compose.tasks = ["inner_thought"]"#)
    };
    assert_eq!(unused(&cut_off), of(&[("inner_thought: truncated", 9)]));
}

/// Without shards nothing can end in them; everything else is the same.
#[test]
fn a_config_of_filters_only() {
    let whole = ledger_rows(&tiny(str::to_owned));
    let project = tiny(|config| {
        let end = config.find("[[stage]]\ngroup_authors").unwrap();
        config[..end].to_owned()
    });
    let without: Vec<Row> =
        whole.into_iter().map(|row| row.into_iter().filter(|(name, _)| name != "shards").collect()).collect();
    assert_eq!(ledger_rows(&project), without);
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    assert_eq!(report["accounted"], true);
    assert!(report["sources"][0].get("shards").is_none(), "{report}");
}

/// Each deduplication looks at signatures of what reaches it, and at no others.
#[test]
fn two_deduplications() {
    let once = ledger_rows(&tiny(str::to_owned));
    let project = tiny(|config| {
        let at = config.find("[[stage]]\ndedup").unwrap();
        let first = "[[stage]]\ndedup = { exact = \"raw\", near = \"off\", across = \"author\" }\n";
        format!("{}{first}{}", &config[..at], &config[at..])
    });
    assert_eq!(ledger_rows(&project), once);
    let again = project.genome(&["run", "genome.toml"]).succeeded();
    assert!(again.stderr.contains("0 segments ran, 11 were up to date"), "{}", again.stderr);
}

/// Against the number of records that the made-up dumps were written with.
#[test]
fn records_of_the_made_up_dumps() {
    let project = Project::new(&configs::quickstart_filters());
    project.genome(&["run", "genome.toml"]).succeeded();
    let truth = std::fs::read_to_string(root().join("examples/data/truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let records = |platform: &str| -> u64 {
        let files = truth["files"].as_array().unwrap().iter();
        let of_platform = files.filter(|file| file["path"].as_str().unwrap().starts_with(platform));
        of_platform.map(|file| file["records"].as_u64().unwrap()).sum()
    };
    let mut sources: BTreeMap<String, u64> = BTreeMap::new();
    for row in ledger_rows(&project) {
        *sources.entry(text(&row, "source").to_owned()).or_default() += 1;
    }
    for (source, rows) in &sources {
        assert_eq!(*rows, records(source), "{source}");
    }
    assert_eq!(sources.len(), 4);
}

/// A ledger that is gone, or that an earlier version of the program did not write, is made by the next run alone.
#[test]
fn a_missing_ledger_is_made_again() {
    let project = tiny(str::to_owned);
    let bytes = std::fs::read(ledger_file(&project)).unwrap();
    std::fs::remove_file(project.artifact("ledger", "ledger").join("manifest.json")).unwrap();
    let report = project.genome(&["report", "genome.toml"]).failed();
    assert!(report.stderr.contains("the ledger is not up to date"), "{}", report.stderr);
    let ran = project.genome(&["run", "genome.toml"]).succeeded();
    assert!(ran.stderr.contains("ledger: 14 records accounted for"), "{}", ran.stderr);
    assert!(ran.stderr.contains("0 segments ran, 9 were up to date"), "{}", ran.stderr);
    assert!(std::fs::read(ledger_file(&project)).unwrap() == bytes);
}
