//! A month after another: texts that an earlier run published, and lists of hashes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::project::Project;
use crate::support::rows::{Row, read_parquet};
use crate::support::session::Session;
use crate::support::{files, hex};

/// The config of a month: its own dump and store.
fn month(name: &str, dedup: &str) -> String {
    format!(
        r#"
[store]
path = "store-{name}"
[authors]
key = "nobody here is real"
[[source]]
name = "harbour"
platform = "reddit"
paths = ["{name}.jsonl"]
[[stage]]
content_filter.rules = ["deleted"]
[[stage]]
[stage.dedup]
{dedup}
"#
    )
}

fn dump(texts: &[(&str, &str)]) -> String {
    let lines = (0_u32..).zip(texts).map(|(number, (id, text))| {
        let record = json!({
            "id": id, "author": format!("person{}", number % 3), "created_utc": 1_700_000_000 + number,
            "subreddit": "smallboats", "body": text, "link_id": "t3_p", "parent_id": "t3_p", "score": 2,
        });
        format!("{record}\n")
    });
    lines.collect()
}

const OARS: &str =
    "The tide took my second oar, so I rowed home in circles like a duck and nobody on the quay laughed";
const OARS_AGAIN: &str =
    "The tide took my second oar, so I rowed home in circles like a duck and nobody on the quay minded";

#[test]
fn a_month_is_held_against_those_before() {
    let project = Project::new(&month("may", "publish = \"known/may\""));
    let rye = "My rye loaf fell flat again.";
    project.write("may.jsonl", dump(&[("a", OARS), ("b", rye), ("c", rye)]));
    project.genome(&["run", "genome.toml"]);
    let index = files(&project.path("known/may"), "rows.parquet");
    let bytes = std::fs::read(&index[0]).unwrap();

    let listed = hex(&Sha256::digest(b"a text that was sold."));
    project.write("sold.txt", format!("{listed}\n\n{}\n", listed.to_uppercase()));
    project.write(
        "june.jsonl",
        dump(&[
            ("d", OARS_AGAIN),
            ("e", "my RYE loaf fell flat again."),
            ("f", "A  text that was sold."),
            ("g", "Something new."),
            ("h", "something new."),
        ]),
    );
    let known = "known = [{ index = \"known/may\" }, { sha256 = \"sold.txt\" }]\npublish = \"known/june\"";
    project.set_config(&month("june", known));
    project.genome(&["check", "genome.toml"]).succeeded();
    project.genome(&["run", "genome.toml"]);

    let ledger = files(&project.path("store-june/ledger"), "rows.parquet");
    let rows = read_parquet(&ledger[0]);
    let ending = |row: &Row| {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let survivor = row.get("duplicate_of").is_some();
        (text("native_id"), (text("outcome"), text("rule"), text("matched"), survivor))
    };
    let endings: BTreeMap<_, _> = rows.iter().map(ending).collect();
    let of = |outcome: &str, rule: &str, matched: &str, survivor: bool| {
        (outcome.to_owned(), rule.to_owned(), matched.to_owned(), survivor)
    };
    let expected = [
        ("d", of("near_duplicate", "known", "known/may", true)),
        ("e", of("exact_duplicate", "known", "known/may", true)),
        ("f", of("exact_duplicate", "known", "sold.txt", false)),
        ("g", of("kept", "-", "-", false)),
        ("h", of("exact_duplicate", "cross_user_copy", "-", true)),
    ];
    for (id, expected) in expected {
        let found = endings.iter().find(|(key, _)| key.ends_with(id)).unwrap();
        assert_eq!(*found.1, expected, "{id}: {endings:?}");
    }

    // Nothing new: nothing runs, and nothing is written.
    let again = project.genome(&["run", "genome.toml"]).succeeded();
    assert!(!again.stderr.contains("text index"), "{}", again.stderr);
    // The index of May is the same whoever looks at it, and that of June has one text.
    assert_eq!(std::fs::read(&index[0]).unwrap(), bytes);
    let june = read_parquet(&project.path("known/june/rows.parquet"));
    assert_eq!(june.len(), 1);
}

/// Whatever a killed run left beside it, and where the older index had stepped aside.
#[test]
fn an_index_is_replaced_as_a_whole() {
    let project = Project::new(&month("may", "publish = \"known/may\""));
    let index = || -> (Vec<String>, usize) {
        let known = project.path("known");
        let names = files(&known, "").into_iter();
        let names = names.map(|path| path.strip_prefix(&known).unwrap().display().to_string()).collect();
        (names, read_parquet(&known.join("may/rows.parquet")).len())
    };
    let whole = |rows: usize| (vec!["may/manifest.json".to_owned(), "may/rows.parquet".to_owned()], rows);
    project.write("may.jsonl", dump(&[("a", OARS)]));
    project.genome(&["run", "genome.toml"]).succeeded();
    assert_eq!(index(), whole(1));

    project.write("known/.building-may/rows.parquet", "half of it");
    project.write("may.jsonl", dump(&[("a", OARS), ("b", "My rye loaf fell flat again.")]));
    project.genome(&["run", "genome.toml"]).succeeded();
    assert_eq!(index(), whole(2));

    std::fs::rename(project.path("known/may"), project.path("known/.replaced-may")).unwrap();
    project.genome(&["run", "genome.toml"]).succeeded();
    assert_eq!(index(), whole(2));

    project.write("known/.replaced-may/rows.parquet", "an older one");
    project.write("may.jsonl", dump(&[("a", OARS)]));
    project.genome(&["run", "genome.toml"]).succeeded();
    assert_eq!(index(), whole(1));
}

#[test]
fn what_is_known_must_be_there_and_comparable() {
    let project = Project::new(&month("june", "known = [{ index = \"known/may\" }]"));
    project.write("june.jsonl", dump(&[("a", "Something new.")]));
    let mut session = Session::new(&project);
    session.note("no index yet");
    session.genome(&["check", "genome.toml"]).failed();
    session.note("a list that is not there");
    project.set_config(&month("june", "known = [{ sha256 = \"sold.txt\" }]"));
    session.genome(&["check", "genome.toml"]).failed();
    session.note("a list of something else");
    project.write("sold.txt", "# sold in May\n");
    session.genome(&["check", "genome.toml"]).failed();
    session.note("an index of other shingles");
    project.set_config(&month("june", "publish = \"known/may\"\nnear = { shingle = { words = 3 } }"));
    project.genome(&["run", "genome.toml"]);
    project.set_config(&month("june", "known = [{ index = \"known/may\" }]"));
    session.genome(&["check", "genome.toml"]).failed();
    session.note("published over what is known");
    project.set_config(&month(
        "june",
        "known = [{ index = \"known/may\" }]\npublish = \"known/may\"\nnear = { shingle = { words = 3 } }",
    ));
    session.genome(&["check", "genome.toml"]).failed();
    session.note("published over something else");
    project.set_config(&month("june", "publish = \"known\""));
    session.genome(&["check", "genome.toml"]).failed();
    session.genome(&["run", "genome.toml"]).failed();
    session.ends_as("known_texts");
    assert!(project.path("known/may/rows.parquet").exists());
}
