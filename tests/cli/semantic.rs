//! Deduplication by meaning, with an encoder whose weights are made up.

use std::path::Path;

use genome_kernels::llm::encoder::toy::{ENCODER_FILES, write_encoder};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::ledger::ledger_rows;
use crate::support::project::Project;
use crate::support::rows::read_parquet;
use crate::support::session::Session;
use crate::support::{configs, files, hex};

/// The filters of the tiny config, with an encoder of files in the project's folder.
fn config(project: &Path, threshold: f64) -> String {
    let file = |name: &str| {
        let path = project.join(name);
        let sha256 = hex(&Sha256::digest(std::fs::read(&path).unwrap()));
        format!("source = \"file:{}\", sha256 = \"{sha256}\"", path.display())
    };
    let [weights, tokenizer, shape] = ENCODER_FILES.map(file);
    let stages = configs::TINY.split("[[stage]]\nsplit").next().unwrap();
    format!(
        "{stages}\n[[stage]]\nembed = {{ model = \"tiny\" }}\n\n[[stage]]\nsemantic_dedup = {{ model = \"tiny\", threshold = {threshold} }}\n\n\
         [models.tiny]\n{}\ntokenizer = {{ {tokenizer} }}\nconfig = {{ {shape} }}\n",
        weights.replace(", ", "\n"),
    )
}

#[test]
fn texts_of_one_vector_leave_and_none_is_asked_twice() {
    let project = Project::new("");
    write_encoder(&project.path("")).unwrap();
    project.set_config(&config(&project.path(""), 0.9));
    project.write("dump.jsonl", configs::tiny_dump());
    project.genome(&["check", "genome.toml"]).succeeded();
    project.genome(&["run", "genome.toml"]).succeeded();
    let rows = ledger_rows(&project);
    let count = |outcome: &str| rows.iter().filter(|row| row["outcome"] == outcome).count();
    // The encoder knows four words, so that nearly all texts are the same to it.
    assert!(count("semantic_duplicate") > 3 && count("kept") > 0, "{rows:?}");
    for row in rows.iter().filter(|row| row["outcome"] == "semantic_duplicate") {
        let survivor = rows.iter().find(|other| other["key"] == row["duplicate_of"]).unwrap();
        assert_eq!(survivor["outcome"], "kept");
        assert!(row["similarity"].as_f64().unwrap() >= 0.9);
    }
    let embedded: Vec<_> = files(&project.artifact("embeddings", "embed-tiny"), ".parquet")
        .iter()
        .filter(|path| path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("part-")))
        .flat_map(|path| read_parquet(path))
        .collect();
    assert_eq!(embedded.len(), count("semantic_duplicate") + count("kept"));
    for row in &embedded {
        let vector: Vec<f64> = row["vector"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert!((vector.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-5, "{vector:?}");
    }
    // Another threshold asks nothing anew, a further text one.
    project.change_config("threshold = 0.9", "threshold = 0.99");
    let again = project.genome(&["run", "genome.toml"]).succeeded();
    assert!(!again.stderr.contains("embed-tiny"), "{}", again.stderr);
    let line = configs::tiny_dump().lines().nth(1).unwrap().replace("mended the mast", "sat on the cat");
    project.write("dump.jsonl", configs::tiny_dump() + &line.replace("\"id\":\"", "\"id\":\"z") + "\n");
    project.genome(&["run", "genome.toml"]).succeeded();
    let parts = files(&project.artifact("embeddings", "embed-tiny"), ".parquet");
    let parts = parts.iter().filter(|path| path.to_string_lossy().contains("/part-"));
    assert_eq!(parts.count(), embedded.len() + 1, "one part a text, and one text more");
}

#[test]
fn what_is_no_encoder() {
    let project = Project::new("");
    write_encoder(&project.path("")).unwrap();
    project.write("dump.jsonl", configs::tiny_dump());
    let right = config(&project.path(""), 0.9);
    let mut session = Session::new(&project);
    session.note("nobody asks the encoder");
    project
        .set_config(&right.replace("embed = { model = \"tiny\" }", "embed = { model = \"smollm2-135m\" }"));
    session.genome(&["check", "genome.toml"]).failed();
    session.note("a cosine over one");
    project.set_config(&right.replace("threshold = 0.9", "threshold = 1.9"));
    session.genome(&["check", "genome.toml"]).failed();
    session.note("a model without a tokenizer");
    let lines = right.lines().filter(|line| !line.starts_with("tokenizer = "));
    project.set_config(&lines.collect::<Vec<_>>().join("\n"));
    session.genome(&["check", "genome.toml"]).failed();
    session.ends_as("encoders");
}
