//! A run that was stopped, by whatever and whenever, goes on where it was: the same shards, the same ledger, and no
//! answer twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::ledger::ledger_file;
use crate::support::project::Project;
use crate::support::rows::read_parquet;
use crate::support::{configs, files};

/// What a run that nothing stopped leaves: checksums of the shards, and the ledger.
fn straight() -> (String, Vec<u8>) {
    let project = tiny();
    project.genome(&["run", "genome.toml"]).succeeded();
    results(&project)
}

fn results(project: &Project) -> (String, Vec<u8>) {
    (project.checksums(), std::fs::read(ledger_file(project)).unwrap())
}

fn tiny() -> Project {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    project
}

/// Starts a run and waits until the second question has its first part.
fn run_to_the_first_part(project: &Project) -> Child {
    let mut child = project.command(&["run", "genome.toml", "--threads", "1"]).spawn().unwrap();
    let started = Instant::now();
    loop {
        let folders = project.artifacts("completions", "synthesize-inner_thought");
        if folders.iter().any(|folder| folder.join("part-00000").is_dir()) {
            return child;
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its first part");
        assert!(started.elapsed() < Duration::from_mins(2), "no part after two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes of every file in the parts of a folder.
fn parts(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    files(folder, ".parquet")
        .iter()
        .map(|path| (path.strip_prefix(folder).unwrap().display().to_string(), std::fs::read(path).unwrap()))
        .filter(|(name, _)| name.starts_with("part-"))
        .collect()
}

fn goes_on_after(stop: impl Fn(Child)) {
    let project = tiny();
    stop(run_to_the_first_part(&project));
    let folder = project.artifact("completions", "synthesize-inner_thought");
    assert!(!folder.join("manifest.json").exists(), "stopped in the middle, and yet it is whole");
    let before = parts(&folder);
    assert!(!before.is_empty() && before.len() < 9, "{:?}", before.keys());
    assert!(!project.path("shards").exists());
    let report = project.genome(&["report", "genome.toml"]).failed();
    assert!(report.stderr.contains("is not up to date"), "{}", report.stderr);

    project.genome(&["run", "genome.toml"]).succeeded();
    let after = parts(&folder);
    for (name, bytes) in &before {
        assert!(after.get(name) == Some(bytes), "{name} was made again");
    }
    let mut keys = BTreeSet::new();
    for path in files(&folder, ".parquet").iter().filter(|path| path.to_string_lossy().contains("/part-")) {
        for row in read_parquet(path) {
            assert!(keys.insert(row["key"].to_string()), "{} was asked twice", row["key"]);
        }
    }
    assert_eq!(keys.len(), 9);
    assert!(results(&project) == straight(), "not what a run leaves that nothing stopped");
}

#[test]
fn after_a_kill() {
    goes_on_after(|mut child| {
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn after_an_interrupt() {
    goes_on_after(|child| {
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("stopping; interrupt once more to stop at once"), "{said}");
        assert!(said.contains("stopped; what is done stays"), "{said}");
        assert!(said.contains("run again to go on"), "{said}");
    });
}

/// Whatever a kill leaves behind, the next run gets past it.
#[test]
fn after_a_kill_at_any_time() {
    let project = tiny();
    let mut kills = 0;
    for milliseconds in [60, 120, 200, 300, 450, 600, 800, 1000] {
        let mut child = project.command(&["run", "genome.toml"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills > 0, "every run was over before it was killed");
    project.genome(&["run", "genome.toml"]).succeeded();
    assert!(results(&project) == straight(), "not what a run leaves that nothing stopped");
    let leftovers: Vec<_> = files(&project.path("store"), "")
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(".building"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}
