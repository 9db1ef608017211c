//! The shape of the source: crate arrows, who may write, lengths of files, outcomes that are really given.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use genome_schemas::Outcome;
use genome_stages::StageConfig;
use regex::Regex;
use serde_json::Value;

use crate::support::{files, root};

const CRATES: [&str; 4] = ["genome-schemas", "genome-kernels", "genome-stages", "genome"];

/// Packages each crate needs to build, directly or not; dependencies of tests and build scripts are not followed.
fn needed() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Packages of other platforms need not be there.
    let host = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name_of: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let normal = |dependency: &&Value| {
            dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
        };
        let dependencies = node["deps"].as_array().unwrap().iter().filter(normal);
        let ids = dependencies.map(|dependency| dependency["pkg"].as_str().unwrap()).collect();
        needs.insert(node["id"].as_str().unwrap(), ids);
    }
    let mut all = BTreeMap::new();
    for (id, name) in name_of.iter().filter(|(_, name)| CRATES.contains(name)) {
        let mut seen = BTreeSet::new();
        let mut open = vec![*id];
        while let Some(id) = open.pop() {
            open.extend(needs[id].iter().filter(|needed| seen.insert(**needed)));
        }
        all.insert((*name).to_owned(), seen.into_iter().map(|id| name_of[id].to_owned()).collect());
    }
    all
}

#[test]
fn arrows_go_one_way() {
    let needed = needed();
    assert_eq!(needed.len(), CRATES.len(), "{:?}", needed.keys());
    for (position, name) in CRATES.iter().enumerate() {
        let ours: Vec<&str> = CRATES.iter().copied().filter(|other| needed[*name].contains(*other)).collect();
        assert_eq!(ours, CRATES[..position], "{name}");
    }
    let forbidden: [(&str, &[&str]); 3] = [
        ("genome-schemas", &["datafusion", "candle-core", "tokio", "clap"]),
        ("genome-kernels", &["datafusion", "tokio", "clap", "indicatif", "ureq", "chrono"]),
        ("genome-stages", &["clap", "indicatif", "ureq"]),
    ];
    for (name, packages) in forbidden {
        for package in packages {
            assert!(!needed[name].contains(*package), "{name} must not need {package}");
        }
    }
    for (name, package) in
        [("genome-kernels", "candle-core"), ("genome-stages", "datafusion"), ("genome", "clap")]
    {
        assert!(
            needed[name].contains(package),
            "the reading of the metadata is wrong: {name} needs {package}"
        );
    }
}

/// A source file without its tests, which stand at the end.
fn without_tests(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
}

fn is_test_source(name: &str) -> bool {
    ["/tests/", "tests.rs", "test_support.rs"].iter().any(|mark| name.contains(mark))
}

#[test]
fn only_the_pipeline_writes() {
    let writing = r"\bfs::(write|rename|copy|hard_link|create_dir|create_dir_all|remove_file|remove_dir|remove_dir_all)\b|File::create|File::options|OpenOptions|\btempfile\b";
    // Model files: an adapter is saved by the kernel that knows its format, a toy model is made for tests.
    let allowed = ["kernels/src/llm/decoder/tensor_file.rs", "kernels/src/llm/decoder/toy.rs"];
    let found = holding(&["schemas", "kernels", "stages"], writing);
    assert_eq!(found, allowed, "files outside `pipeline` that write");
    let adapter = without_tests(&root().join("kernels/src/llm/decoder/adapter.rs"));
    assert!(adapter.contains("tensor_file"), "the exception for `Adapter::save` is not used any more");
}

/// Names of the files of some crates, without tests, that hold a pattern.
fn holding(crates: &[&str], pattern: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    let mut found = Vec::new();
    for path in crates.iter().flat_map(|krate| files(&root().join(krate).join("src"), ".rs")) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if !is_test_source(&name) && pattern.is_match(&without_tests(&path)) {
            found.push(name);
        }
    }
    found
}

#[test]
fn stages_open_files_through_sources_only() {
    let found = holding(&["stages"], r"\bfs::|\bFile::");
    assert!(found.iter().all(|name| name.starts_with("stages/src/sources/")), "{found:?}");
    assert!(!found.is_empty());
}

#[test]
fn one_operator_and_one_place_for_devices() {
    let all = ["schemas", "kernels", "stages", "pipeline"];
    assert_eq!(holding(&all, "impl ExecutionPlan for"), ["stages/src/sources/read_dumps.rs"]);
    let devices = holding(&all, r#"feature = "(cuda|metal)""#);
    assert_eq!(devices, ["kernels/src/llm/device.rs"], "the only file that knows how the program was built");
}

#[test]
fn kernels_and_stages_have_no_clock() {
    let clock = r"SystemTime|\bInstant\b|Utc::now|Local::now|thread_rng|rand::rng";
    assert_eq!(holding(&["schemas", "kernels", "stages"], clock), [""; 0]);
    assert!(!holding(&["pipeline"], clock).is_empty(), "the pattern finds nothing at all");
}

#[test]
fn no_source_file_is_over_600_lines() {
    let mut seen = 0;
    for folder in ["schemas", "kernels", "stages", "pipeline", "examples", "tests"] {
        for path in files(&root().join(folder), ".rs") {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 600, "{} has {lines} lines", path.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} files were looked at");
}

/// One stage of each kind, with the least that its config takes; recipes are built in, the model is called `m`.
pub(crate) fn one_of_each() -> Vec<StageConfig> {
    #[derive(serde::Deserialize)]
    struct Stages {
        stage: Vec<StageConfig>,
    }
    let text = r#"
        stage = [
            { content_filter = { rules = [] } },
            { author_language = { allow = ["eng"] } },
            { kept_threads = { platforms = ["reddit"] } },
            { pii_scrub = {} },
            { dedup = {} },
            { shared_passages = {} },
            { embed = { model = "m" } },
            { semantic_dedup = { model = "m" } },
            { decontaminate = { against = [{ path = "e" }] } },
            { author_history = {} },
            { k_core = {} },
            { author_activity = { min_events = 1 } },
            { split = {} },
            { group_authors = {} },
            { synthesize = { recipe = "persona", over = "authors", model = "m" } },
            { synthesize = { recipe = "inner_thought", over = "events", model = "m" } },
            { apply_tags = { recipe = "quality_harmless" } },
            { calibrate_choices = { recipe = "persona" } },
            { answer_repeats = { recipe = "inner_thought" } },
            { answer_leaks = { recipe = "persona" } },
            { judge = { rubric = "grounding", recipes = ["persona"], model = "m" } },
            { score_trace = { recipe = "inner_thought", field = "thought", model = "m" } },
            { quality_gate = { recipe = "persona", rubric = "grounding", thresholds = {} } },
            { compose = { tasks = ["reply"] } },
        ]
    "#;
    toml::from_str::<Stages>(text).unwrap().stage
}

/// The kinds that a config can name, as serde lists them for one that it cannot.
fn kinds_of_stages() -> BTreeSet<String> {
    let error = serde_json::from_str::<StageConfig>(r#"{ "no_such_stage": {} }"#).unwrap_err().to_string();
    let names = Regex::new("`([a-z0-9_]+)`").unwrap();
    names.captures_iter(&error).skip(1).map(|name| name[1].to_owned()).collect()
}

#[test]
fn every_outcome_is_given_by_somebody() {
    // Of readers, which have no card.
    let mut given = BTreeSet::from([Outcome::Kept, Outcome::Malformed, Outcome::Notice]);
    for config in one_of_each() {
        given.extend(config.stage().card().outcomes);
    }
    let nobody: Vec<&str> = Outcome::ALL.iter().filter(|o| !given.contains(o)).map(|o| o.as_str()).collect();
    // A limit per task is the next thing `compose` learns.
    assert!(nobody.is_empty(), "outcomes that no stage gives: {nobody:?}");
}

#[test]
fn cards_are_filled_in() {
    let mut kinds = BTreeSet::new();
    for config in one_of_each() {
        let card = config.stage().card();
        let kind = serde_json::to_value(&config).unwrap().as_object().unwrap().keys().next().unwrap().clone();
        assert_eq!(card.name, kind, "a stage is called the same in configs and on its card");
        kinds.insert(kind);
        assert!(card.version >= 1, "{}", card.name);
        assert!(!card.outcomes.contains(&Outcome::Kept), "{}: kept is no reason to drop", card.name);
        let unique: BTreeSet<_> = card.outcomes.iter().collect();
        assert_eq!(unique.len(), card.outcomes.len(), "{}: an outcome is there twice", card.name);
    }
    assert_eq!(kinds, kinds_of_stages(), "left the kinds in `one_of_each`, right those of configs");
}

/// Paths of this repository between backquotes, but for placeholders.
#[test]
fn the_documents_name_files_that_are_there() {
    let path = Regex::new(r"`((?:kernels|stages|pipeline|schemas|tests|examples|docs)/[\w./-]+)`").unwrap();
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let roots = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    let mut gone = Vec::new();
    for document in docs.chain(roots).filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = std::fs::read_to_string(&document).unwrap();
        let named = path.captures_iter(&text).map(|found| found[1].to_owned());
        gone.extend(
            named.filter(|named| !root().join(named).exists()).map(|named| (document.clone(), named)),
        );
    }
    assert!(gone.is_empty(), "{gone:#?}");
}

#[test]
fn the_documents_name_every_crate() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root().join(document))
            .unwrap_or_else(|e| panic!("{document}: {e}; every repository begins with one"));
        for folder in ["schemas", "kernels", "stages", "pipeline"] {
            assert!(text.contains(folder), "{document} does not name `{folder}`");
        }
    }
}
