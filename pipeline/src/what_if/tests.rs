//! Paths of configs, and samples that do not depend on order.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use genome_schemas::key_type;
use genome_stages::StageConfig;

use super::sample::{SampleSize, Sampler};
use super::{Setting, changed};
use crate::config::{Config, Project};

const CONFIG: &str = r#"
    [store]
    path = "store"
    [authors]
    key = "of a test"
    [[source]]
    name = "r"
    platform = "reddit"
    paths = ["dump.jsonl"]
    [[stage]]
    content_filter.rules = ["deleted", { min_chars = 180 }, { language = { allow = ["eng"] } }]
    [[stage]]
    dedup = {}
    [[stage]]
    author_activity.min_events = 6
    [[stage]]
    split = { by = "author_time", train = 0.8, validation = 0.1 }
    [[stage]]
    content_filter.preset = "short_posts"
    [[stage]]
    group_authors = {}
    [[stage]]
    synthesize = { recipe = "persona", over = "authors", model = "smollm2-135m" }
    [[stage]]
    quality_gate = { recipe = "persona", rubric = "grounding", thresholds = { hallucination = 6 } }
"#;

fn project(config: &str) -> Project {
    let config: Config = toml::from_str(config).unwrap();
    Project { config, path: "genome.toml".into(), model_override: None }
}

/// What a change does to a config, or what is said about it.
fn change(change: &str) -> Result<(Setting, String), String> {
    change_of(&project(CONFIG), change)
}

fn change_of(project: &Project, change: &str) -> Result<(Setting, String), String> {
    let changed = changed(project, &[change.to_owned()]).map_err(|e| crate::error::describe(&e))?;
    let stages = |project: &Project| {
        let stages = project.config.stages.iter();
        stages.map(|stage| serde_json::to_string(stage).unwrap()).collect::<Vec<_>>()
    };
    let (now, then) = (stages(&changed.now), stages(&changed.then));
    assert_eq!(now, stages(project));
    let different: Vec<&String> = then.iter().zip(&now).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
    assert!(different.len() <= 1, "{different:?}");
    let setting = changed.settings[0].clone();
    Ok((setting, different.first().map(|stage| (*stage).clone()).unwrap_or_default()))
}

#[test]
fn a_path_leads_to_a_value() {
    let rules = |rules: &str| format!(r#"{{"content_filter":{{"rules":[{rules}]}}}}"#);
    let language = r#"{"language":{"allow":["eng"],"min_chars":20}}"#;
    for (path, now, then) in [
        (
            "1.content_filter.min_chars=30",
            "180",
            rules(&format!(r#""deleted",{{"min_chars":30}},{language}"#)),
        ),
        (
            "1.content_filter.language.min_chars = 40",
            "20",
            rules(r#""deleted",{"min_chars":180},{"language":{"allow":["eng"],"min_chars":40}}"#),
        ),
        (
            r#"1.content_filter.language.allow=["eng", "deu"]"#,
            r#"["eng"]"#,
            rules(r#""deleted",{"min_chars":180},{"language":{"allow":["eng","deu"],"min_chars":20}}"#),
        ),
        ("1.content_filter.deleted=off", "on", rules(&format!(r#"{{"min_chars":180}},{language}"#))),
        ("1.content_filter.min_chars=off", "180", rules(&format!(r#""deleted",{language}"#))),
        (
            "1.content_filter.repost=on",
            "not set",
            rules(&format!(r#""deleted",{{"min_chars":180}},{language},"repost""#)),
        ),
        (
            "1.content_filter.max_links=0.3",
            "not set",
            rules(&format!(r#""deleted",{{"min_chars":180}},{language},{{"max_links":0.3}}"#)),
        ),
        ("author_activity.min_events=3", "6", r#"{"author_activity":{"min_events":3}}"#.to_owned()),
        (
            "split.by=time",
            r#""author_time""#,
            r#"{"split":{"by":"time","train":0.8,"validation":0.1}}"#.to_owned(),
        ),
        (
            "dedup.across=author",
            r#""all""#,
            r#"{"dedup":{"exact":"normalized","near":{"threshold":0.8,"shingle":{"words":5},"recall":0.99},"across":"author"}}"#.to_owned(),
        ),
        (
            "dedup.near.threshold=0.9",
            "0.8",
            r#"{"dedup":{"exact":"normalized","near":{"threshold":0.9,"shingle":{"words":5},"recall":0.99},"across":"all"}}"#.to_owned(),
        ),
    ] {
        let (setting, found) = change(path).unwrap();
        assert_eq!((setting.now.as_str(), found.as_str()), (now, then.as_str()), "{path}");
    }
}

#[test]
fn a_preset_has_values_too() {
    let (setting, found) = change("5.content_filter.max_links=0.25").unwrap();
    assert_ne!(setting.now, "not set");
    assert!(found.contains(r#"{"max_links":0.25}"#) && !found.contains("preset"), "{found}");
}

#[test]
fn a_preset_with_rules_for_each_platform_has_values_too() {
    let project = project(&CONFIG.replace("short_posts", "paper_humanllm"));
    for (path, now, then) in [
        ("5.content_filter.min_chars=250", "300, 200, 301", r#"{"min_chars":250}"#),
        ("5.content_filter.min_text_words=9", "6", r#"{"min_text_words":9}"#),
        (
            "5.content_filter.engagement_any.engagement=3",
            "2",
            r#"{"engagement_any":{"engagement":3,"replies":2}}"#,
        ),
        ("5.content_filter.max_links=0.3", "not set", r#"{"max_links":0.3}"#),
    ] {
        let (setting, found) = change_of(&project, path).unwrap();
        assert_eq!(setting.now, now, "{path}");
        assert!(found.contains(then) && found.contains("paper_humanllm"), "{path}: {found}");
    }
    for path in ["5.content_filter.advertisement=off", "5.content_filter.min_text_words=off"] {
        let error = change_of(&project, path).unwrap_err();
        assert!(error.contains("changed but not taken away"), "{path}: {error}");
    }
    // What is named beside the preset for the sake of a change has no effect of its own.
    let (_, found) = change_of(&project, "5.content_filter.min_text_words=6").unwrap();
    let groups = |text: &str| match serde_json::from_str::<StageConfig>(text).unwrap() {
        StageConfig::ContentFilter(filter) => filter.groups(),
        other => panic!("{other:?}"),
    };
    assert_eq!(groups(&found), groups(r#"{"content_filter":{"preset":"paper_humanllm"}}"#));
}

#[test]
fn a_path_that_leads_nowhere_says_where_it_could_lead() {
    for (change_, said) in [
        ("min_chars", "`min_chars` is no change"),
        ("min_chars=3", "`min_chars` is no value of a stage over events before the first `synthesize`"),
        (
            "1.content_filter.min_char=3",
            "`1.content_filter.min_char` cannot have this value: unknown variant `min_char`",
        ),
        ("author_activity.min_events=many", "cannot have this value: invalid type"),
        ("author_activity.min_events=-1", "cannot have this value: invalid value"),
        ("author_activity.most=3", "unknown field `most`"),
        ("quality_gate.thresholds.hallucination=7", "is no value of a stage over events before the first"),
        ("content_filter.min_chars=30", "several stages have `content_filter.min_chars`"),
        ("split.train=0.95", "the changed config is wrong"),
    ] {
        let error = change(change_).unwrap_err();
        assert!(error.contains(said), "{change_}: {error}");
    }
    let error = change("author_activity.most=3").unwrap_err();
    for value in
        ["content_filter.min_chars = 180", "content_filter.deleted = on", "author_activity.min_events = 6"]
    {
        assert!(error.contains(value), "{value} is missing: {error}");
    }
}

#[test]
fn sizes_are_numbers_or_shares() {
    assert_eq!("20000".parse(), Ok(SampleSize::Records(20_000)));
    assert_eq!("0.1".parse(), Ok(SampleSize::Share(0.1)));
    assert_eq!("1.0".parse(), Ok(SampleSize::Share(1.0)));
    for wrong in ["0", "0.0", "1.5", "-3", "a lot", ""] {
        assert!(wrong.parse::<SampleSize>().unwrap_err().to_string().contains(wrong), "{wrong}");
    }
}

/// Records of some authors, every tenth of whom is nobody.
fn records(authors: impl Iterator<Item = u64>) -> RecordBatch {
    let (mut keys, mut names) = (Vec::new(), Vec::new());
    for author in authors {
        for number in 0..=author % 7 {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&(author * 100 + number).to_le_bytes());
            keys.push(key);
            names.push((author % 10 > 0).then(|| format!("author {author}")));
        }
    }
    let sources: StringArray =
        keys.iter().map(|key| Some(if key[0] % 2 == 0 { "even" } else { "odd" })).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.iter().map(Some), 16).unwrap()),
        Arc::new(sources),
        Arc::new(names.into_iter().collect::<StringArray>()),
    ];
    let schema = Schema::new(vec![
        Field::new("key", key_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("author_id", DataType::Utf8, true),
    ]);
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

#[test]
fn a_sample_is_whole_authors_whatever_the_order() {
    let sample = |size, batches: &[RecordBatch]| {
        let mut sampler = Sampler::new(size);
        for batch in batches {
            sampler.push(batch).unwrap();
        }
        let sample = sampler.finish();
        let mut keys: Vec<(Vec<u8>, Option<String>)> = Vec::new();
        for batch in &sample.batches {
            let column = |name: &str| batch.column_by_name(name).unwrap().to_data();
            let (names, found) =
                (StringArray::from(column("author_id")), FixedSizeBinaryArray::from(column("key")));
            keys.extend((0..batch.num_rows()).map(|row| {
                let name = arrow::array::Array::is_valid(&names, row).then(|| names.value(row).to_owned());
                (found.value(row).to_vec(), name)
            }));
        }
        keys.sort();
        (keys, sample.share, sample.records)
    };
    let forward: Vec<RecordBatch> = (0..40).map(|n| records(n * 25..n * 25 + 25)).collect();
    let mut backward = forward.clone();
    backward.reverse();
    backward.push(records([].into_iter()));
    let all: usize = forward.iter().map(RecordBatch::num_rows).sum();
    for size in [
        SampleSize::Records(500),
        SampleSize::Share(0.2),
        SampleSize::Records(1),
        SampleSize::Records(100_000),
    ] {
        let (keys, share, counts) = sample(size, &forward);
        assert_eq!(sample(size, &backward), (keys.clone(), share, counts.clone()), "{size:?}");
        assert_eq!(counts.values().sum::<u64>(), all as u64);
        match size {
            SampleSize::Records(most) => assert!(keys.len() <= most, "{size:?}: {}", keys.len()),
            SampleSize::Share(_) => {
                assert!((all / 8..all / 3).contains(&keys.len()), "{} of {all}", keys.len());
            }
        }
        for (_, name) in keys.iter().filter(|(_, name)| name.is_some()) {
            let author: u64 = name.as_ref().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
            let of_author = keys.iter().filter(|(_, other)| other == name).count() as u64;
            assert_eq!(of_author, 1 + author % 7, "{name:?} is not whole");
        }
    }
    let (keys, share, _) = sample(SampleSize::Records(500), &forward);
    assert!(keys.len() > 300 && share < 0.5, "{} of a share of {share}", keys.len());
    assert!((sample(SampleSize::Records(100_000), &forward).1 - 1.0).abs() < 1e-12);
}
