//! Dumps, models and stores that are damaged, missing or in use.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;

use crate::support::configs;
use crate::support::project::Project;
use crate::support::rows::read_parquet;
use crate::support::session::Session;
use crate::support::toy::toy_model;
use crate::support::{files, hex};

/// A config of one source and a filter.
fn one_source(platform: &str, path: &str) -> String {
    format!(
        "[store]\npath = \"store\"\n\n[authors]\nkey = \"nobody here is real\"\n\n[[source]]\nname = \"dumps\"\n\
         platform = \"{platform}\"\npaths = [\"{path}\"]\n\n[[stage]]\ncontent_filter.rules = [\"deleted\"]\n"
    )
}

/// Runs a config that must fail with a clear message and without an artifact.
fn fails(name: &str, platform: &str, path: &str, bytes: Option<&[u8]>) {
    let project = Project::new(&one_source(platform, path));
    if let Some(bytes) = bytes {
        project.write(path, bytes);
    }
    let mut session = Session::new(&project);
    session.genome(&["run", "genome.toml"]).failed();
    session.genome(&["report", "genome.toml"]).failed();
    session.ends_as(name);
    assert_eq!(project.manifests(), Vec::<String>::new());
    if project.path("store").exists() {
        let parts = files(&project.path("store"), ".parquet");
        assert!(parts.is_empty(), "{parts:?}");
    }
}

#[test]
fn a_truncated_zst() {
    let lines = configs::tiny_dump().repeat(40);
    let whole = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    fails("truncated_zst", "reddit", "RC_2023-05.zst", Some(&whole[..whole.len() / 2]));
}

/// As the message of the truncated file advises: what came before the break, and a row that says so.
#[test]
fn a_truncated_zst_that_is_wanted_all_the_same() {
    let mut config = one_source("reddit", "RC_2023-05.zst");
    config += "\n[reader]\non_truncated = \"keep\"\n";
    let project = Project::new(&config);
    let lines = configs::tiny_dump().repeat(400);
    let whole = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    project.write("RC_2023-05.zst", &whole[..whole.len() - 20]);
    project.genome(&["run", "genome.toml"]).succeeded();
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    let source = &report["sources"][0];
    assert_eq!(report["accounted"], true);
    assert!(source["records"].as_u64().unwrap() > 1000, "{source}");
    let broken = source["dropped"].as_array().unwrap().iter().find(|drop| drop["rule"] == "truncated_file");
    assert_eq!(broken.unwrap()["rows"], 1, "{source}");
}

#[test]
fn a_zip_that_is_none() {
    fails("no_zip", "blogger", "blogs.zip", Some(b"<html>not found</html>"));
}

#[test]
fn dumps_that_are_not_there() {
    fails("missing_dump", "reddit", "RC_2023-05.zst", None);
    fails("missing_pattern", "amazon", "reviews/*.jsonl.gz", None);
    fails("wrong_kind", "reddit", "RC_2023-05.zst", Some(b"BZh91AY&SY"));
}

/// A member that is not XML is one row that says so; the others are read.
#[test]
fn a_zip_with_a_broken_member() {
    let blog = |text: &str| format!("<Blog>\n<date>14,May,2004</date>\n<post>\n{text}\n</post>\n</Blog>\n");
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [
        ("1.male.25.Arts.Leo.xml", blog("The first blog is whole.")),
        (
            "2.male.25.Arts.Leo.xml",
            "<Blog>\n<date>14,May,2004</date>\n<post>\nThis one ends in the mid".to_owned(),
        ),
        ("3.male.25.Arts.Leo.xml", blog("The third blog is whole too.")),
        ("4.male.25.Arts.Leo.xml", "no blog at all".to_owned()),
    ] {
        archive.start_file(format!("blogs/{name}"), SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    let project = Project::new(&one_source("blogger", "blogs.zip"));
    project.write("blogs.zip", archive.finish().unwrap().into_inner());
    let mut session = Session::new(&project);
    session.genome(&["run", "genome.toml"]).succeeded();
    session.genome(&["report", "genome.toml"]).succeeded();
    session.genome(&["inspect", "genome.toml", "events", "--outcome", "malformed"]).succeeded();
    session.ends_as("broken_member");
}

/// A truncated file is told whichever thread reads it, and the rows read before it are not kept.
#[test]
fn a_truncated_file_among_whole_ones() {
    let project = Project::new(&one_source("reddit", "*.zst"));
    let whole = zstd::encode_all(configs::tiny_dump().repeat(40).as_bytes(), 3).unwrap();
    for number in 0..4 {
        project.write(&format!("{number}.zst"), &whole);
    }
    project.write("2.zst", &whole[..whole.len() - 30]);
    let ran = project.genome(&["run", "genome.toml", "--threads", "2"]).failed();
    assert!(ran.stderr.contains("2.zst: breaks off or is corrupt"), "{}", ran.stderr);
    assert_eq!(project.manifests(), Vec::<String>::new());
    project.write("2.zst", &whole);
    project.genome(&["run", "genome.toml", "--threads", "2"]).succeeded();
    assert_eq!(project.manifests().len(), 2, "events and the ledger");
}

#[test]
fn a_model_that_is_not_there() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    let toy = toy_model();
    let mut session = Session::new(&project);
    session.note("no such file");
    project.change_config(&toy.path.display().to_string(), "nowhere/toy.gguf");
    session.genome(&["run", "genome.toml"]).failed();
    session.note("another checksum");
    project.set_config(configs::TINY);
    project.change_config(&toy.sha256, &"0".repeat(64));
    session.genome(&["run", "genome.toml"]).failed();
    session.note("a file that is no model");
    project.set_config(configs::TINY);
    project.write("toy.gguf", "GGUF no model");
    project.change_config(&toy.path.display().to_string(), &project.path("toy.gguf").display().to_string());
    let digest = <sha2::Sha256 as sha2::Digest>::digest("GGUF no model");
    project.change_config(&toy.sha256, &hex(&digest));
    session.genome(&["run", "genome.toml"]).failed();
    session.note("a model from a service that does not answer");
    project.set_config(configs::TINY);
    project.change_config(&format!("file:{}", toy.path.display()), "hf:nobody/nothing/toy.gguf");
    project.change_config(&toy.sha256, &"0".repeat(64));
    session.genome(&["run", "genome.toml"]).failed();
    session.ends_as("no_model");
    // What needs no model may be there, and nothing else.
    let made: Vec<String> =
        project.manifests().iter().map(|m| m.split('/').next().unwrap().to_owned()).collect();
    assert!(
        made.iter().all(|table| ["events", "signatures", "authors"].contains(&table.as_str())),
        "{made:?}"
    );
}

#[test]
fn a_store_that_is_held() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    project.write("store/.lock", "");
    let lock = std::fs::File::open(project.path("store/.lock")).unwrap();
    lock.lock().unwrap();
    let mut session = Session::new(&project);
    session.genome(&["run", "genome.toml"]).failed();
    session.note("Looking is allowed.");
    session.genome(&["plan", "genome.toml"]).succeeded();
    session.ends_as("held_store");
    drop(lock);
    project.genome(&["run", "genome.toml"]).succeeded();
}

#[test]
fn a_store_that_cannot_be_made() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    project.write("store", "a file where the folder should be");
    let mut session = Session::new(&project);
    session.genome(&["run", "genome.toml"]).failed();
    session.ends_as("no_store");
    assert_eq!(std::fs::read_to_string(project.path("store")).unwrap(), "a file where the folder should be");
}

#[test]
fn an_artifact_that_was_damaged() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    project.genome(&["run", "genome.toml"]).succeeded();
    let part = files(&project.artifact("events", "split"), ".parquet").pop().unwrap();
    let bytes = std::fs::read(&part).unwrap();
    assert!(!read_parquet(&part).is_empty());
    std::fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
    let mut session = Session::new(&project);
    session.note("half a file of rows");
    let report = session.genome(&["report", "genome.toml"]).failed();
    assert!(report.stderr.contains("error: "), "{}", report.stderr);
    std::fs::write(&part, bytes).unwrap();
    session.note("half a manifest");
    let manifest = project.artifact("events", "split").join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, "{\"fingerprint\": \"").unwrap();
    session.genome(&["report", "genome.toml"]).failed();
    session.genome(&["run", "genome.toml"]).failed();
    session.ends_as("damaged");
    std::fs::write(&manifest, text).unwrap();
    project.genome(&["report", "genome.toml"]).succeeded();
}
