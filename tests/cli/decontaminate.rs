//! Evaluation sets as files: what overlaps with one leaves, and the ledger says with which row of it.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::support::ledger::ledger_rows;
use crate::support::project::Project;
use crate::support::rows::Row;
use crate::support::session::Session;
use crate::support::{configs, files};

const OARS: &str = "The tide took my second oar, so I rowed home in circles like a duck.";

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// The tiny config with a stage before the scrubbing, and one over examples.
fn config(over_events: &str, over_examples: &str) -> String {
    let stage = |table: &str| format!("[[stage]]\ndecontaminate = {table}\n\n");
    let config =
        configs::TINY.replacen("[[stage]]\npii_scrub", &(stage(over_events) + "[[stage]]\npii_scrub"), 1);
    if over_examples.is_empty() {
        return config;
    }
    config.replacen("[shards]", &(stage(over_examples) + "[shards]"), 1)
}

#[test]
fn sets_of_every_kind_of_file() {
    let project = Project::new(&config(
        r#"{ against = [{ path = "sets/oars.jsonl.gz", fields = ["story"] }, { path = "sets/loaf.parquet" }] }"#,
        r#"{ over = "examples", against = [{ path = "sets/mast.jsonl.zst" }] }"#,
    ));
    project.write("dump.jsonl", configs::tiny_dump());
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writeln!(gz, "{{\"story\": \"Nothing like it at all.\", \"other\": \"My rye loaf fell flat again, and I blame the cold kitchen for all of it.\"}}\n").unwrap();
    writeln!(gz, "{{\"story\": {{\"parts\": [\"{OARS}\"]}}}}").unwrap();
    project.write("sets/oars.jsonl.gz", gz.finish().unwrap());
    let mast = "{\"q\": \"I mended the mast this morning before the rain came in from the west.\"}";
    project.write("sets/mast.jsonl.zst", zstd::encode_all(mast.as_bytes(), 1).unwrap());
    let column: ArrayRef = Arc::new(StringArray::from(vec![
        "Why?",
        "It was my rye loaf fell flat again and I blame the cold kitchen for it",
    ]));
    let batch = RecordBatch::try_from_iter([("question", column)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    project.write("sets/loaf.parquet", writer.into_inner().unwrap());

    project.genome(&["check", "genome.toml"]).succeeded();
    project.genome(&["run", "genome.toml"]).succeeded();
    let rows = ledger_rows(&project);
    let contaminated: Vec<&Row> = rows.iter().filter(|row| text(row, "outcome") == "contaminated").collect();
    let matched: Vec<&str> = contaminated.iter().map(|row| text(row, "matched")).collect();
    // The loaf was posted twice.
    assert_eq!(matched.len(), 3, "{matched:?}");
    assert!(
        matched
            .iter()
            .any(|m| m.starts_with("sets/oars.jsonl.gz row 3, story.parts in `text`: the tide took")),
        "{matched:?}"
    );
    assert!(
        matched.iter().any(|m| m.starts_with("sets/loaf.parquet row 2, question in `text`: my rye loaf")),
        "{matched:?}"
    );
    assert!(contaminated.iter().all(|row| row["measured"].as_f64().unwrap() >= 13.0));

    // The mast is in examples of its author's history, and in those alone that quote it.
    let unused = rows.iter().filter(|row| text(row, "unused").contains("contaminated")).count();
    assert!(unused > 0, "{rows:?}");
    let shards = files(&project.path("shards"), ".jsonl");
    assert!(!shards.is_empty());
    for shard in shards {
        let lines = std::fs::read_to_string(shard).unwrap();
        assert!(!lines.contains("mended the mast this morning"), "{lines}");
    }

    let again = project.genome(&["run", "genome.toml"]).succeeded();
    assert!(!again.stderr.contains("kept of"), "nothing new, and yet: {}", again.stderr);
    project.write(
        "sets/oars.jsonl.gz",
        b"{\"story\": \"Nothing that anybody of these people has ever written.\"}",
    );
    project.genome(&["run", "genome.toml"]).succeeded();
}

#[test]
fn examples_of_several_stages_are_looked_through() {
    let tasks = r#"compose.tasks = ["profile_generation", "reply", "inner_thought", "rl_response"]"#;
    let two = "compose.tasks = [\"reply\"]\n\n[[stage]]\ncompose.tasks = [\"rl_response\"]";
    let over_examples = r#"{ over = "examples", against = [{ path = "set.jsonl" }], near = "off" }"#;
    let config = config(r#"{ against = [{ path = "set.jsonl" }] }"#, over_examples).replace(tasks, two);
    let config = config.replace(
        "decontaminate = { against = [{ path = \"set.jsonl\" }] }",
        "kept_threads.platforms = [\"blogger\"]",
    );
    let project = Project::new(&config);
    project.write("dump.jsonl", configs::tiny_dump());
    project.write("set.jsonl", format!("{{\"q\": \"{OARS}\"}}\n"));
    project.genome(&["run", "genome.toml"]).succeeded();
    let lines = files(&project.path("shards"), ".jsonl")
        .into_iter()
        .map(|path| std::fs::read_to_string(path).unwrap());
    let lines: String = lines.collect();
    assert!(lines.contains("My rye loaf fell flat again"), "{lines}");
    assert!(!lines.contains("The tide took my second oar"), "{lines}");
}

#[test]
fn sets_that_cannot_be_read() {
    let project = Project::new(&config(r#"{ against = [{ path = "set.jsonl", fields = ["story"] }] }"#, ""));
    project.write("dump.jsonl", configs::tiny_dump());
    let mut session = Session::new(&project);
    session.note("no such file");
    session.genome(&["check", "genome.toml"]).failed();
    for (note, bytes) in [
        ("no JSON", "{\"story\": \"a\"}\n{\"story\": \n"),
        ("no objects", "[1]\n"),
        ("another field", "{\"question\": \"a\"}\n"),
        ("nothing that is long enough", "{\"story\": \"It rained.\"}\n"),
    ] {
        project.write("set.jsonl", bytes);
        session.note(note);
        session.genome(&["check", "genome.toml"]).failed();
    }
    session.note("a field of which nothing is long enough");
    project.write("set.jsonl", format!("{{\"story\": \"It rained.\", \"tale\": \"{OARS}\"}}\n"));
    session.genome(&["check", "genome.toml"]).failed();
    session.note("behind what it should look at");
    project.change_config(
        "[shards]",
        "[[stage]]\ndecontaminate.against = [{ path = \"set.jsonl\" }]\n\n[shards]",
    );
    session.genome(&["check", "genome.toml"]).failed();
    session.note("values that cannot be");
    project.change_config("fields = [\"story\"] }]", "fields = [\"story\"] }], passage = { words = 5 }");
    session.genome(&["check", "genome.toml"]).failed();
    session.ends_as("evaluation_sets");
}
