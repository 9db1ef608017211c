//! `genome report --what-if`: what another limit would drop, from a sample and before any run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::project::Project;
use crate::support::session::Session;

const CONFIG: &str = r#"
[store]
path = "store"

[authors]
key = "nobody here is real"

[[source]]
name = "harbour"
platform = "reddit"
paths = ["dump.jsonl"]

[[stage]]
content_filter.rules = ["deleted", { min_chars = 40 }, { max_links = 0.5 }]

[[stage]]
dedup = {}

[[stage]]
author_activity.min_events = 2
"#;

/// Some hundred people of one to nine texts; lengths, copies and gaps by arithmetic.
fn dump() -> String {
    let mut lines = Vec::new();
    let mut mixed = 7_u64;
    let mut next = || {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        mixed >> 33
    };
    for author in 0..400 {
        for number in 0..=next() % 9 {
            let word =
                ["harbour", "mast", "oar", "tide", "rope", "gull"][usize::try_from(next() % 6).unwrap()];
            let mut body = format!(
                "{author} {number} {}",
                format!("{word} ").repeat(usize::try_from(next() % 12).unwrap())
            );
            if next() % 15 == 0 {
                body = "the same words that everybody says about the weather".to_owned();
            }
            if next() % 20 == 0 {
                body = "[deleted]".to_owned();
            }
            lines.push(
                json!({
                    "id": format!("c{}", lines.len()), "author": format!("sailor_{author}"), "body": body, "link_id": "t3_p",
                    "parent_id": "t3_p", "created_utc": 1_680_000_000 + 100 * lines.len(), "subreddit": "boats", "score": 1,
                })
                .to_string(),
            );
        }
    }
    lines.push("{\"id\": \"cut\", \"body\": \"off in the mi".to_owned());
    lines.join("\n") + "\n"
}

fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("dump.jsonl", dump());
    project
}

/// Records by stage and rule, and kept ones, as a run of the config as it stands counts them.
fn truth(project: &Project) -> BTreeMap<(String, String), i64> {
    project.genome(&["run", "genome.toml"]).succeeded();
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    let source = &report["sources"][0];
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    for drop in source["dropped"].as_array().unwrap() {
        let text = |name: &str| drop[name].as_str().unwrap().to_owned();
        counts.insert((text("stage"), text("rule")), drop["rows"].as_i64().unwrap());
    }
    counts.insert((String::new(), String::new()), source["kept"].as_i64().unwrap());
    counts
}

fn changes(estimate: &Value) -> Vec<((String, String), Value)> {
    let dropped = estimate["dropped"].as_array().unwrap().iter();
    dropped
        .chain([&estimate["kept"]])
        .map(|change| {
            let text = |name: &str| change[name].as_str().unwrap().to_owned();
            ((text("stage"), text("rule")), change.clone())
        })
        .collect()
}

const WHAT_IF: [&str; 6] = [
    "report",
    "genome.toml",
    "--what-if",
    "content_filter.min_chars=25",
    "--what-if",
    "author_activity.min_events=4",
];

#[test]
fn an_estimate_is_near_what_a_run_finds() {
    let project = project();
    let estimate = |sample: &str| {
        let arguments = [&WHAT_IF[..], &["--format", "json", "--sample", sample]].concat();
        project.genome(&arguments).succeeded().json()
    };
    let (whole, sampled) = (estimate("1.0"), estimate("0.4"));
    let by_number = estimate("800");
    assert!(!project.path("store").exists(), "nothing is written");

    let now = truth(&project);
    project.change_config("min_chars = 40", "min_chars = 25");
    project.change_config("min_events = 2", "min_events = 4");
    let then = truth(&project);
    assert_ne!(now, then);
    let of = |counts: &BTreeMap<(String, String), i64>, way: &(String, String)| {
        counts.get(way).copied().unwrap_or(0)
    };

    // All records: no estimate at all, and no interval.
    for (way, change) in changes(&whole) {
        for (when, counts) in [("now", &now), ("then", &then)] {
            for end in ["estimate", "low", "high"] {
                assert_eq!(change[when][end], of(counts, &way), "{way:?} {when}");
            }
        }
        assert_eq!(change["difference"]["estimate"], of(&then, &way) - of(&now, &way), "{way:?}");
    }
    assert_eq!(
        changes(&whole).len(),
        now.keys().chain(then.keys()).collect::<std::collections::BTreeSet<_>>().len()
    );

    for (estimate, most) in [(&sampled, 1.0), (&by_number, 800.0)] {
        let records = estimate["sample"]["records"].as_f64().unwrap();
        let all = estimate["sample"]["of_records"].as_f64().unwrap();
        assert!(records < 0.6 * all && records > 200.0, "{}", estimate["sample"]);
        assert!(most <= 1.0 || records <= most, "{}", estimate["sample"]);
        for (way, change) in changes(estimate) {
            // Copies by authors outside the sample are not seen.
            if way.0 == "dedup" {
                assert!(change["now"]["low"].as_i64().unwrap() <= of(&now, &way), "{change}");
                continue;
            }
            let difference = of(&then, &way) - of(&now, &way);
            let (low, high) = (change["difference"]["low"].as_i64(), change["difference"]["high"].as_i64());
            let slack = 20;
            assert!(
                low.unwrap() - slack <= difference && difference <= high.unwrap() + slack,
                "{way:?}: {difference} is not in {}",
                change["difference"]
            );
        }
        let total = |when: &str| {
            changes(estimate).iter().map(|(_, c)| c[when]["estimate"].as_i64().unwrap()).sum::<i64>() as f64
        };
        assert!((total("now") - all).abs() <= 5.0 && (total("then") - all).abs() <= 5.0);
    }
}

#[test]
fn transcript() {
    let project = project();
    let mut session = Session::new(&project);
    session.note("Before any run.");
    session.genome(&WHAT_IF).succeeded();
    session.genome(&[&WHAT_IF[..4], &["--sample", "500"]].concat()).succeeded();
    session.genome(&["report", "genome.toml", "--what-if", "content_filter.max_links=off"]).succeeded();
    session.note("What cannot be asked.");
    session.genome(&["report", "genome.toml", "--what-if", "content_filter.min_char=30"]).failed();
    session.genome(&["report", "genome.toml", "--what-if", "min_chars"]).failed();
    session.genome(&["report", "genome.toml", "--what-if", "author_activity.min_events=few"]).failed();
    session.genome(&["report", "genome.toml", "--sample", "500"]).failed();
    session.genome(&[&WHAT_IF[..4], &["--sample", "0"]].concat()).failed();
    session.genome(&[&WHAT_IF[..4], &["--sample", "0.000001"]].concat()).failed();
    session.ends_as("what_if");
    assert!(!project.path("store").exists(), "nothing is written");
}
