//! Every verb on a config that is right.

use serde_json::Value;

use crate::support::project::Project;
use crate::support::session::Session;
use crate::support::{configs, files};

fn tiny() -> Project {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    project
}

#[test]
fn no_handle_of_a_config_or_file_name_is_stored() {
    let project = Project::new(
        r#"
        [store]
        path = "store"
        [authors]
        key = "of a test"
        [[source]]
        name = "tweets"
        platform = "twitter"
        paths = ["queen_of_tables.csv"]
        csv = { author = "queen_of_tables" }
        [[source]]
        name = "blog"
        platform = "blogger"
        paths = ["8642097.female.17.Student.Leo.xml"]
        [[stage]]
        content_filter.rules = [{ min_chars = 3 }]
        "#,
    );
    project.write("queen_of_tables.csv", "text,created_at\nhello out there,2017-08-27 00:05:34\n");
    let blog = "<Blog><date>1,May,2004</date><post>hello again</post></Blog>";
    project.write("8642097.female.17.Student.Leo.xml", blog);
    project.genome(&["run", "genome.toml"]).succeeded();
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    assert_eq!(report["accounted"], true);
    assert!(project.manifests().len() == 2, "events and the ledger: {:?}", project.manifests());
    for path in files(&project.path("store"), "") {
        let bytes = std::fs::read(&path).unwrap();
        for handle in ["queen_of_tables", "8642097"] {
            let found = bytes.windows(handle.len()).any(|window| window == handle.as_bytes());
            assert!(!found, "{handle} in {}", path.display());
        }
    }
}

#[test]
fn help() {
    let project = Project::new("");
    for verb in ["check", "plan", "run", "preview", "report", "inspect", "train", "generate", "models"] {
        let mut session = Session::new(&project);
        session.genome(&[verb, "--help"]).succeeded();
        if verb == "train" {
            for method in ["sft", "grpo"] {
                session.genome(&["train", method, "--help"]).succeeded();
            }
        }
        session.ends_as(&format!("help/{verb}"));
    }
    let mut session = Session::new(&project);
    session.genome(&["--help"]).succeeded();
    session.genome(&["--version"]).succeeded();
    session.genome(&[]);
    session.genome(&["rnu", "genome.toml"]);
    session.ends_as("help/genome");
}

#[test]
fn the_whole_way() {
    let project = tiny();
    let mut session = Session::new(&project);
    session.note("Nothing was run yet.");
    session.genome(&["check", "genome.toml"]).succeeded();
    session.genome(&["plan", "genome.toml"]).succeeded();
    session.genome(&["report", "genome.toml"]).failed();
    session.genome(&["inspect", "genome.toml", "events"]).failed();
    session.note("The first run makes everything, the second nothing.");
    session.genome(&["run", "genome.toml"]).succeeded();
    session.genome(&["plan", "genome.toml"]).succeeded();
    session.genome(&["run", "genome.toml", "--threads", "1"]).succeeded();
    session.genome(&["report", "genome.toml"]).succeeded();
    session.genome(&["report", "genome.toml", "--source", "harbor"]).failed();
    session.ends_as("the_whole_way");

    let one = project.genome(&["report", "genome.toml", "--source", "harbour"]).succeeded();
    assert_eq!(one.stdout, project.genome(&["report", "genome.toml"]).succeeded().stdout, "the only source");
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    assert_eq!(report["accounted"], true);
    for source in report["sources"].as_array().unwrap() {
        let dropped = source["dropped"].as_array().unwrap();
        let dropped: u64 = dropped.iter().map(|drop| drop["rows"].as_u64().unwrap()).sum();
        assert_eq!(source["records"], source["kept"].as_u64().unwrap() + dropped, "{source}");
        assert_eq!(source["records"], configs::tiny_dump().lines().count(), "{source}");
        let steps = source["steps"].as_array().unwrap();
        let names: Vec<&str> = steps.iter().map(|step| step["stage"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["source", "content_filter", "pii_scrub", "dedup", "author_activity", "split"],
            "{source}"
        );
        assert_eq!(steps[0]["rows_in"], source["records"]);
        for (step, next) in steps.iter().zip(&steps[1..]) {
            assert_eq!(step["kept"], next["rows_in"]);
        }
        assert_eq!(steps.last().unwrap()["kept"], source["kept"]);
        assert_eq!(source["shards"]["records"], source["kept"]);
        let short = source["dropped"].as_array().unwrap().iter().find(|drop| drop["rule"] == "min_chars");
        assert_eq!((&short.unwrap()["median"], &short.unwrap()["limit"]), (&9.0.into(), &30.0.into()));
    }
    assert_eq!(report["segments"].as_array().unwrap().len(), 9);

    let plan = project.genome(&["plan", "genome.toml", "--format", "json"]).succeeded().json();
    let lines = plan.as_array().unwrap();
    assert!(lines.iter().all(|line| line["fresh"] == Value::Bool(true)), "{plan}");
    assert_eq!(lines[0]["stages"], serde_json::json!(["content_filter", "pii_scrub"]));

    let mut session = Session::new(&project);
    session.genome(&["inspect", "genome.toml", "events", "--outcome", "malformed"]).succeeded();
    session
        .genome(&["inspect", "genome.toml", "events", "--rule", "own_repost", "--format", "json"])
        .succeeded();
    session
        .genome(&["inspect", "genome.toml", "completions", "--recipe", "persona", "--sample", "1"])
        .succeeded();
    session.note("The table is `events` if none is named; of a repeat, what it repeats is shown.");
    session.genome(&["inspect", "genome.toml", "--stage", "dedup"]).succeeded();
    session.genome(&["inspect", "genome.toml", "ledger", "--outcome", "kept", "--sample", "1"]).succeeded();
    session.note("What nobody has.");
    session.genome(&["inspect", "genome.toml", "events", "--source", "nobody"]).succeeded();
    session.genome(&["inspect", "genome.toml", "events", "--rule", "min_char"]).succeeded();
    session.genome(&["inspect", "genome.toml", "--stage", "dedup", "--outcome", "kept"]).succeeded();
    session.note("What does not exist.");
    session.genome(&["inspect", "genome.toml", "happenings"]).failed();
    session.genome(&["inspect", "genome.toml", "events", "--outcome", "lost"]).failed();
    session.genome(&["inspect", "genome.toml", "events", "--recipe", "persona"]).failed();
    session.ends_as("inspect");
    inspected_rows(&project);
}

/// Rows of `inspect` are each row once, whatever artifact it lies in, and the same ones each time.
fn inspected_rows(project: &Project) {
    let inspect = |more: &[&str]| {
        let arguments = [&["inspect", "genome.toml", "events", "--format", "json"], more].concat();
        project.genome(&arguments).succeeded().json_lines()
    };
    let all = inspect(&["--sample", "1000"]);
    assert_eq!(all.len(), configs::tiny_dump().lines().count());
    let kept = inspect(&["--sample", "1000", "--outcome", "kept"]);
    assert_eq!(kept.len(), 9);
    assert!(kept.iter().all(|row| row["outcome"] == "kept" && row["split"].is_string()));
    assert_eq!(inspect(&["--sample", "3"]), all[..3]);
    assert_eq!(inspect(&["--sample", "0"]), [Value::Null; 0]);
    assert_eq!(inspect(&[]).len(), 5);
    let short = inspect(&["--rule", "min_chars"]);
    assert_eq!(short.len(), 1);
    assert_eq!((&short[0]["outcome"], &short[0]["limit_value"]), (&"too_short".into(), &30.0.into()));
    assert_eq!(inspect(&["--stage", "content_filter", "--sample", "9"]).len(), 2);
    for row in kept.iter().take(3) {
        assert!(!row["shards"].as_array().unwrap().is_empty(), "{row}");
    }
    let ledger =
        project.genome(&["inspect", "genome.toml", "ledger", "--sample", "1000", "--format", "json"]);
    let ledger = ledger.succeeded().json_lines();
    let keys = |rows: &[Value]| rows.iter().map(|row| row["key"].clone()).collect::<Vec<_>>();
    assert_eq!(keys(&ledger), keys(&all), "the same records, in the same order");
}

#[test]
fn a_model_by_name() {
    let project = tiny();
    let mut session = Session::new(&project);
    session.genome(&["models"]).succeeded();
    session.genome(&["models", "--config", "genome.toml", "--fetch", "toy"]).succeeded();
    session.genome(&["models", "--config", "genome.toml", "--fetch", "toi"]).failed();
    session.ends_as("models");
    let models =
        project.genome(&["models", "--config", "genome.toml", "--format", "json"]).succeeded().json();
    assert!(models.as_object().unwrap().contains_key("toy"));
    assert!(models.as_object().unwrap().contains_key("smollm2-135m"));

    let generate = |more: &[&str]| {
        let toy = ["generate", "hello", "--config", "genome.toml", "--model", "toy", "--max-tokens", "8"];
        project.genome(&[&toy, more].concat())
    };
    let first = generate(&[]).succeeded();
    assert!(!first.stdout.is_empty());
    assert_eq!(first.stdout, generate(&[]).succeeded().stdout, "the likeliest tokens are the same each time");
    let sampled = |seed: &str| generate(&["--temperature", "1", "--seed", seed]).succeeded().stdout;
    assert_eq!(sampled("1"), sampled("1"));
    assert_ne!(sampled("1"), sampled("2"));
    let json = generate(&["--format", "json"]).succeeded().json();
    assert_eq!(json["completion_tokens"], 8, "{json}");
    assert_eq!(json["finish"], "length");
    assert!(
        json["prompt_tokens"].as_u64().unwrap() > 5 && json["log_prob"].as_f64().unwrap() < 0.0,
        "{json}"
    );
    let mut session = Session::new(&project);
    session.genome(&["generate", "hello", "--config", "genome.toml", "--model", "toi"]).failed();
    session
        .genome(&["generate", "hello", "--config", "genome.toml", "--model", "toy", "--adapter", "nowhere"])
        .failed();
    let long = "word ".repeat(2000);
    let too_long = project.genome(&["generate", &long, "--config", "genome.toml", "--model", "toy"]).failed();
    session.add(&["generate", "…", "--config", "genome.toml", "--model", "toy"], &too_long);
    session.ends_as("generate");
}

/// Shards are learned from, and what was learned changes what is said.
#[test]
fn an_adapter() {
    let project = tiny();
    project.genome(&["run", "genome.toml"]).succeeded();
    let train = "train sft genome.toml --model toy --steps 4 --output learned --format json";
    let trained = project.genome(&train.split(' ').collect::<Vec<_>>()).succeeded();
    assert!(trained.json_lines().len() >= 4, "{trained:?}");
    let adapter = files(&project.path("learned"), "adapter_config.json").pop().unwrap();
    let adapter = adapter.parent().unwrap().display().to_string();
    let log_prob = |more: &[&str]| {
        let toy = ["generate", "Paint it?", "--config", "genome.toml", "--model", "toy", "--format", "json"];
        project.genome(&[&toy, more].concat()).succeeded().json()["log_prob"].as_f64().unwrap()
    };
    let (before, after) = (log_prob(&[]), log_prob(&["--adapter", &adapter]));
    assert!((before - after).abs() > 1e-6, "four steps changed nothing: {before} and {after}");
}

/// `--model` stands for the model of every stage.
#[test]
fn another_model_for_all_stages() {
    let project = tiny();
    project.change_config("model = \"toy\"", "model = \"smollm2-135m\"");
    project.genome(&["run", "genome.toml", "--model", "toy"]).succeeded();
    let fresh = project.genome(&["plan", "genome.toml", "--model", "toy"]).succeeded();
    assert!(!fresh.stdout.contains("will run"), "{}", fresh.stdout);
    let other = project.genome(&["plan", "genome.toml"]).succeeded();
    assert!(other.stdout.contains("will run"), "{}", other.stdout);
    project.genome(&["check", "genome.toml", "--model", "toi"]).failed();
}
