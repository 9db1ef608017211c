//! Random events through all stages that mark, against a slow and plain account of what each row must become.

use std::collections::{BTreeMap, BTreeSet};

use genome::session::{Limits, for_lookups};
use genome_stages::{StageConfig, StageContext};
use serde_json::{Value, json};

use crate::support::block_on;
use crate::support::rows::{Row, from_batches, key_of, to_batch};

const STAGES: &str = r#"
    [[stage]]
    content_filter.rules = ["bot_author", { min_chars = 5 }, { max_chars = 7 }, "top_level_only", { min_engagement = 2 }]
    [[stage]]
    pii_scrub = {}
    [[stage]]
    dedup = { exact = "raw", across = "ACROSS" }
    [[stage]]
    author_activity.min_events = 2
    [[stage]]
    split = { by = "author_time", train = 0.5, validation = 0.25 }
"#;

#[derive(serde::Deserialize)]
struct Stages {
    stage: Vec<StageConfig>,
}

/// Numbers that look random and are the same on every machine (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn one_of<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[usize::try_from(self.below(values.len() as u64)).unwrap()]
    }
}

/// An event, and what becomes of it.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    key: String,
    author: Option<String>,
    platform: &'static str,
    day: Option<u64>,
    title: &'static str,
    text: &'static str,
    class: &'static str,
    top_level: bool,
    engagement: Option<u64>,
    outcome: String,
    stage: Option<String>,
    rule: Option<String>,
    measured: Option<f64>,
    limit: Option<f64>,
    duplicate_of: Option<String>,
    similarity: Option<f64>,
    split: Option<String>,
}

impl Event {
    fn random(random: &mut Random, number: usize) -> Self {
        let malformed = random.below(20) == 0;
        Self {
            key: format!("{:04}-{number}", random.below(10_000)),
            author: (random.below(10) > 0).then(|| format!("author{}", random.below(12))),
            platform: random.one_of(&["reddit", "twitter"]),
            day: (random.below(12) > 0).then(|| 1 + random.below(28)),
            title: random.one_of(&["a", "bb"]),
            text: random.one_of(&["x", "xy", "xyz", "wxyz", "vwxyz", "uvwxyz", "other", "more"]),
            class: random.one_of(&["person", "person", "person", "person", "person", "bot"]),
            top_level: random.below(10) > 0,
            engagement: (random.below(3) > 0).then(|| random.below(10)),
            outcome: if malformed { "malformed" } else { "kept" }.to_owned(),
            stage: malformed.then(|| "source".to_owned()),
            rule: malformed.then(|| "invalid_json".to_owned()),
            measured: None,
            limit: None,
            duplicate_of: None,
            similarity: None,
            split: None,
        }
    }

    fn row(&self) -> Row {
        let value = json!({
            "key": key_of(&self.key), "source": self.platform, "platform": self.platform, "kind": "comment",
            "author_id": self.author, "author_class": self.class, "native_id": null,
            "at": self.day.map(|day| format!("2023-05-{day:02}T00:00:00Z")), "thread_id": null, "context": null,
            "title": self.title, "text": self.text, "item_id": null, "rating": null, "engagement": self.engagement,
            "top_level": self.top_level, "attributes": null, "source_file": self.key, "source_offset": 0, "lossy": false, "retrieved_at": null,
            "replies": null, "link_domain": null, "redactions": null,
            "split": null, "outcome": self.outcome, "stage": self.stage, "rule": self.rule, "measured": null,
            "limit_value": null, "duplicate_of": null, "similarity": null,
        });
        value.as_object().unwrap().clone()
    }

    /// The event with what a row says became of it.
    fn with_ledger_of(&self, row: &Row) -> Self {
        let text = |column: &str| row.get(column).and_then(Value::as_str).map(str::to_owned);
        let number = |column: &str| row.get(column).and_then(Value::as_f64);
        Self {
            outcome: text("outcome").unwrap(),
            stage: text("stage"),
            rule: text("rule"),
            measured: number("measured"),
            limit: number("limit_value"),
            duplicate_of: text("duplicate_of"),
            similarity: number("similarity"),
            split: text("split"),
            ..self.clone()
        }
    }

    fn is_kept(&self) -> bool {
        self.outcome == "kept"
    }

    fn drop(&mut self, outcome: &str, stage: &str, rule: &str, measures: Option<(f64, f64)>) {
        if self.is_kept() {
            outcome.clone_into(&mut self.outcome);
            self.stage = Some(stage.to_owned());
            self.rule = Some(rule.to_owned());
            (self.measured, self.limit) = measures.unzip();
        }
    }
}

/// What must become of the events, one rule and one row at a time.
fn slow_truth(events: &mut [Event], across: &str) {
    for event in events.iter_mut() {
        let stage = "content_filter";
        let chars = (event.title.len() + event.text.len()) as f64;
        if event.class == "bot" {
            event.drop("bot_author", stage, "bot_author", None);
        }
        if chars < 5.0 {
            event.drop("too_short", stage, "min_chars", Some((chars, 5.0)));
        }
        if chars > 7.0 {
            event.drop("too_long", stage, "max_chars", Some((chars, 7.0)));
        }
        if !event.top_level {
            event.drop("not_top_level", stage, "top_level_only", None);
        }
        if let Some(votes) = event.engagement.filter(|votes| *votes < 2) {
            event.drop("low_engagement", stage, "min_engagement", Some((votes as f64, 2.0)));
        }
    }
    let before = events.to_vec();
    let earlier = |a: &Event, b: &Event| {
        let day = |event: &Event| event.day.unwrap_or(u64::MAX);
        (day(a), key_of(&a.key)) < (day(b), key_of(&b.key))
    };
    for event in events.iter_mut() {
        let same = before.iter().filter(|other| {
            other.is_kept()
                && (other.title, other.text) == (event.title, event.text)
                && match across {
                    // What nobody wrote has no other of its author.
                    "author" => other.author.is_some() && other.author == event.author,
                    "platform" => other.platform == event.platform,
                    _ => true,
                }
        });
        let first = same.reduce(|a, b| if earlier(b, a) { b } else { a });
        if let Some(first) = first.filter(|first| event.is_kept() && first.key != event.key) {
            let is_own = event.author.is_some() && first.author == event.author;
            let rule = if is_own { "own_repost" } else { "cross_user_copy" };
            event.drop("exact_duplicate", "dedup", rule, Some((1.0, 1.0)));
            event.duplicate_of = Some(key_of(&first.key));
            event.similarity = Some(1.0);
        }
    }
    let before = events.to_vec();
    for event in events.iter_mut() {
        let count =
            before.iter().filter(|other| other.is_kept() && other.author == event.author).count() as f64;
        if event.author.is_none() {
            event.drop("inactive_author", "author_activity", "no_author", None);
        }
        if count < 2.0 {
            event.drop("inactive_author", "author_activity", "min_events", Some((count, 2.0)));
        }
    }
    for event in events.iter_mut().filter(|event| event.day.is_none()) {
        event.drop("undated", "split", "no_time", None);
    }
    let before = events.to_vec();
    for event in events.iter_mut().filter(|event| event.is_kept()) {
        let own = before.iter().filter(|other| other.is_kept() && other.author == event.author);
        let (all, earlier) = own.fold((0, 0), |(n, m), o| (n + 1, m + usize::from(earlier(o, event))));
        let position = if all > 1 { earlier as f64 / f64::from(all - 1) } else { 0.0 };
        let split = match position {
            p if p < 0.5 => "train",
            p if p < 0.75 => "validation",
            _ => "test",
        };
        event.split = Some(split.to_owned());
    }
    let before = events.to_vec();
    for event in events.iter_mut().filter(|event| event.is_kept()) {
        let trains = |other: &&Event| {
            let train = other.is_kept() && other.split.as_deref() == Some("train");
            train && (&other.author, other.platform) == (&event.author, event.platform)
        };
        if event.split.as_deref() != Some("train") && !before.iter().any(|other| trains(&other)) {
            event.drop("unseen_author", "split", "author_without_train", None);
        }
    }
}

/// The ledger of every event after the stages, by key.
async fn through_stages(events: &[Event], across: &str, partitions: usize) -> BTreeMap<String, Row> {
    let session = for_lookups(Limits { threads: partitions, memory_bytes: 64 << 20 }).unwrap();
    let rows: Vec<Row> = events.iter().map(Event::row).collect();
    let mut frame = session.read_batch(to_batch(&genome_schemas::events().schema, &rows)).unwrap();
    let stages: Stages = toml::from_str(&STAGES.replace("ACROSS", across)).unwrap();
    for config in &stages.stage {
        assert!(config.stage().card().refines());
        frame = config.stage().plan(&StageContext::default(), frame).unwrap();
    }
    let rows = from_batches(&frame.collect().await.unwrap());
    assert_eq!(rows.len(), events.len(), "a row was lost or doubled");
    rows.into_iter().map(|row| (row["key"].as_str().unwrap().to_owned(), row)).collect()
}

#[test]
fn every_row_leaves_for_its_first_reason() {
    let mut outcomes = BTreeSet::new();
    for (round, across) in (0_u64..).zip(["author", "platform", "all", "all", "author", "platform"]) {
        let mut random = Random(round);
        let mut input: Vec<Event> = (0..120).map(|number| Event::random(&mut random, number)).collect();
        let mut expected = input.clone();
        slow_truth(&mut expected, across);
        let found = block_on(through_stages(&input, across, 1));
        input.reverse();
        assert_eq!(found, block_on(through_stages(&input, across, 3)), "it depends on order or partitions");
        for event in &expected {
            assert_eq!(*event, event.with_ledger_of(&found[&key_of(&event.key)]), "round {round}");
            outcomes.insert(event.outcome.clone());
        }
    }
    // Rounds in which nothing happens would prove nothing.
    assert_eq!(outcomes.len(), 11, "{outcomes:?}");
}
