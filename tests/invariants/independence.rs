//! The same shards and the same ledger, byte for byte, with one thread and with two, and from moved and reordered
//! files; and nothing at all for a second run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use crate::support::ledger::ledger_file;
use crate::support::project::Project;
use crate::support::{configs, files, root};

/// Every file below a folder: when it was written, and what is in it.
fn contents(folder: &Path) -> BTreeMap<String, (SystemTime, Vec<u8>)> {
    let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
    let read =
        |path: &Path| (std::fs::metadata(path).unwrap().modified().unwrap(), std::fs::read(path).unwrap());
    files(folder, "").iter().map(|path| (name(path), read(path))).collect()
}

#[test]
fn threads_places_and_order_of_files_do_not_matter() {
    let config = configs::quickstart();
    let one = Project::new(&config);
    let ran = one.genome(&["run", "genome.toml", "--threads", "1"]).succeeded();
    assert!(ran.stderr.contains("segments ran"), "{}", ran.stderr);
    let expected = one.checksums();
    assert!(expected.lines().count() > 8, "{expected}");
    for (form, least) in [("sft", 30), ("rl", 100)] {
        let rows: usize = files(&one.path("shards"), ".jsonl")
            .iter()
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(form))
            .map(|path| std::fs::read_to_string(path).unwrap().lines().count())
            .sum();
        assert!(rows >= least, "only {rows} rows of {form}");
    }

    let two = Project::new(&config);
    two.genome(&["run", "genome.toml", "--threads", "2"]).succeeded();
    assert_eq!(two.checksums(), expected, "another number of threads");
    let ledger = std::fs::read(ledger_file(&one)).unwrap();
    assert!(ledger == std::fs::read(ledger_file(&two)).unwrap(), "another number of threads, another ledger");

    // Each file in a folder of its own, so that their paths sort the other way round.
    let moved = Project::new(&config);
    let data = root().join("examples/data");
    let mut sources = Vec::new();
    for (platform, ending) in
        [("reddit", ".zst"), ("blogger", ".zip"), ("twitter", ".zip"), ("amazon", ".gz")]
    {
        let found = files(&data.join(platform), ending);
        let paths: Vec<String> = (0_usize..)
            .zip(&found)
            .map(|(number, path)| {
                let place =
                    format!("elsewhere/{}/{}", found.len() - number, path.file_name().unwrap().display());
                moved.write(&place, std::fs::read(path).unwrap());
                place
            })
            .collect();
        sources.push((platform, paths));
    }
    let mut table: toml::Table =
        toml::from_str(&std::fs::read_to_string(moved.path("genome.toml")).unwrap()).unwrap();
    for source in table["source"].as_array_mut().unwrap() {
        let name = source["name"].as_str().unwrap().to_owned();
        let (_, paths) = sources.iter().find(|(platform, _)| *platform == name).unwrap();
        source["paths"] = toml::Value::try_from(paths).unwrap();
    }
    moved.write("genome.toml", toml::to_string(&table).unwrap());
    moved.genome(&["run", "genome.toml", "--threads", "2"]).succeeded();
    let data = |checksums: &str| -> Vec<String> {
        checksums.lines().filter(|line| !line.ends_with("  README.md")).map(str::to_owned).collect()
    };
    assert_eq!(data(&moved.checksums()), data(&expected), "other places, another order");
    assert!(ledger == std::fs::read(ledger_file(&moved)).unwrap(), "other places, another ledger");
}

#[test]
fn the_order_of_files_does_not_change_a_fingerprint() {
    let plan = |paths: &str| {
        let project = Project::new(configs::TINY);
        let config = std::fs::read_to_string(project.path("genome.toml")).unwrap();
        project.write("genome.toml", config.replace("[\"dump.jsonl\"]", paths));
        for name in ["1/a.jsonl", "2/b.jsonl", "1/b.jsonl", "2/a.jsonl"] {
            project.write(name, name.split('/').next_back().unwrap());
        }
        project.genome(&["plan", "genome.toml"]).succeeded().stdout
    };
    assert_eq!(plan(r#"["1/a.jsonl", "2/b.jsonl"]"#), plan(r#"["1/b.jsonl", "2/a.jsonl"]"#));
}

#[test]
fn a_second_run_does_nothing() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    project.genome(&["run", "genome.toml"]).succeeded();
    let (store, shards) = (contents(&project.path("store")), contents(&project.path("shards")));
    let again = project.genome(&["run", "genome.toml", "--threads", "1"]).succeeded();
    assert!(again.stderr.contains("0 segments ran, 9 were up to date"), "{}", again.stderr);
    assert!(contents(&project.path("store")) == store, "the store was touched");
    assert!(contents(&project.path("shards")) == shards, "the shards were touched");
}

/// Name and state of each segment.
fn states(project: &Project) -> Vec<(String, String)> {
    let plan = project.genome(&["plan", "genome.toml", "--format", "json"]).succeeded().json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    plan.as_array().unwrap().iter().map(|line| (text(&line["segment"]), text(&line["state"]))).collect()
}

#[test]
fn a_change_runs_again_what_it_touches() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    assert!(states(&project).iter().all(|(_, state)| state == "will run: never built"));
    project.genome(&["run", "genome.toml"]).succeeded();
    let stale = || -> Vec<(String, String)> {
        states(&project).into_iter().filter(|(_, state)| !state.starts_with("fresh")).collect()
    };
    assert_eq!(stale(), []);

    // How a plan runs changes nothing.
    project.change_config("part_rows = 1", "part_rows = 3\nthreads = 1");
    assert_eq!(stale(), []);

    // The last stage alone.
    project.change_config("\"inner_thought\", \"rl_response\"", "\"rl_response\"");
    let changed = stale();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0].0, "compose");
    assert!(changed[0].1.starts_with("will run: config of `compose` changed from"), "{changed:?}");
    project.change_config("\"rl_response\"", "\"inner_thought\", \"rl_response\"");
    assert_eq!(stale(), [], "back to what was built");

    // A rule at the front: it says so itself, and what comes after says what it reads.
    project.change_config("min_chars = 30", "min_chars = 31");
    let changed = stale();
    assert_eq!(changed.len(), 9, "{changed:?}");
    assert!(changed[0].1.starts_with("will run: config of `content_filter` changed from"), "{changed:?}");
    assert_eq!(changed[1].1, "will run: input `events/pii_scrub` changed");
    assert_eq!(changed.last().unwrap().1, "will run: input `completions/quality_gate-persona` changed");
    let ran = project.genome(&["run", "genome.toml"]).succeeded();
    assert!(ran.stderr.contains("9 segments ran"), "{}", ran.stderr);
    // No text is between 30 and 31 characters long: everything was asked before.
    for (table, name) in [("completions", "synthesize-inner_thought"), ("judgements", "judge-grounding")] {
        let manifest = std::fs::read_to_string(project.artifact(table, name).join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["rows_read"]["asked"], 0, "{name}: {}", manifest["rows_read"]);
    }

    // Another dump of the same name.
    project.write("dump.jsonl", configs::tiny_dump().replace("ten years", "five years"));
    assert_eq!(stale()[0].1, "will run: input `harbour/dump.jsonl` changed");

    // Another recipe: what asks it, and what reads its answers.
    project.write("dump.jsonl", configs::tiny_dump());
    let recipes = root().join("tests/recipes");
    for path in files(&recipes, ".md") {
        let name = path.strip_prefix(&recipes).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        project.write(
            &format!("recipes/{name}"),
            text.replace("What does this person like?", "What do they like?"),
        );
    }
    project.change_config(&recipes.display().to_string(), "recipes");
    let changed = stale();
    let names: Vec<&str> = changed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["synthesize-persona", "judge-grounding", "quality_gate-persona", "compose"]);
    assert_eq!(changed[0].1, "will run: asset `recipe persona` changed");
}
