//! `training.json`: what an adapter was trained with, and how it went. Nothing in it depends on when or how fast.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rows::RowCounts;

/// What makes a run this run: the same identity and number of steps give the same adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// `sft` or `grpo`.
    pub(super) method: String,
    /// Name of the base model in the config.
    pub(super) model: String,
    /// SHA-256 of its file.
    pub(super) model_sha256: String,
    /// Names and SHA-256 of the shards it learns from.
    pub(super) shards: BTreeMap<String, String>,
    /// The keys of the config that matter.
    pub(super) config: Value,
}

/// Contents of `training.json`; `S` is a row of the table of steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record<S> {
    #[serde(flatten)]
    pub(super) identity: Identity,
    /// Rows of the shards, by what they are for.
    pub(super) rows: BTreeMap<String, RowCounts>,
    /// Steps done.
    pub(super) steps: usize,
    /// What each step did; the first row is before the first step.
    pub(super) table: Vec<S>,
}

impl Identity {
    /// Where this differs from an older one, in words.
    pub(super) fn differences(&self, older: &Self) -> Vec<String> {
        let (mut now, mut was) = (BTreeMap::new(), BTreeMap::new());
        for (identity, into) in [(self, &mut now), (older, &mut was)] {
            if let Ok(value) = serde_json::to_value(identity) {
                flatten("", &value, into);
            }
        }
        let missing = || "not there".to_owned();
        let keys: std::collections::BTreeSet<_> = now.keys().chain(was.keys()).collect();
        keys.into_iter()
            .filter(|key| now.get(*key) != was.get(*key))
            .map(|key| {
                let of = |values: &BTreeMap<String, String>| values.get(key).cloned().unwrap_or_else(missing);
                let name = key.strip_prefix("config.").unwrap_or(key);
                format!("{name} was {}, is {}", of(&was), of(&now))
            })
            .collect()
    }
}

impl<S: Serialize + DeserializeOwned> Record<S> {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, rows: BTreeMap::new(), steps: 0, table: Vec::new() }
    }

    /// The text of the file.
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, into);
            }
        }
        // A checksum's beginning is enough to see that it is another.
        Value::String(text) if text.len() == 64 => {
            into.insert(path.to_owned(), format!("{}…", text.get(..12).unwrap_or(text)));
        }
        value => {
            into.insert(path.to_owned(), value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_every_value_that_changed() {
        let older = Identity {
            method: "sft".into(),
            model: "tiny".into(),
            model_sha256: "a".repeat(64),
            shards: BTreeMap::from([("a.parquet".to_owned(), "b".repeat(64))]),
            config: serde_json::json!({"sft": {"batch": 4, "seed": 1}, "lora": {"rank": 8}}),
        };
        let mut newer = older.clone();
        assert_eq!(newer.differences(&older), Vec::<String>::new());
        newer.config["sft"]["batch"] = 8.into();
        newer.model_sha256 = "c".repeat(64);
        newer.shards.clear();
        assert_eq!(
            newer.differences(&older),
            [
                "sft.batch was 4, is 8",
                "model_sha256 was aaaaaaaaaaaa…, is cccccccccccc…",
                "shards.a.parquet was bbbbbbbbbbbb…, is not there"
            ]
        );
    }
}
