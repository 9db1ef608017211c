//! The manifest of an artifact: what it was made from, what is in it. Written last; without it there is no artifact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;

/// One input of a fingerprint, kept so that a rebuild can be explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is: `config:<stage>`, `version:<stage>`, `asset:<path>`, `input:<table>`, `file:<path>`.
    pub label: String,
    /// Its value, or a digest of it.
    pub value: String,
}

/// Values or records that were lost in one way: how many, and where the first of them stands.
///
/// Manifests of older stores have a pair of the first two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many.
    pub count: u64,
    /// Where the first of them stands: byte offset in the decompressed file or member, or index in it.
    pub first_offset: u64,
    /// The file or member that this is in, as rows name it; empty where it was not noted.
    #[serde(default)]
    pub first_file: String,
}

/// How many records a reader took from a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCount {
    /// Name of the source.
    pub source: String,
    /// What rows call the file, without handles: the beginning of their `source_file`.
    pub name: String,
    /// Records counted by the reader, before any plan saw them.
    pub records: u64,
    /// Decompressed bytes.
    pub bytes: u64,
    /// Whether its records become events; false for product metadata, which is only context.
    pub yields_events: bool,
    /// Records that could not be read.
    pub malformed: u64,
    /// Records that had bytes or characters replaced.
    pub lossy: u64,
    /// Values lost because they had another type than their field can hold, by field.
    #[serde(default)]
    pub type_conflicts: BTreeMap<String, Lost>,
    /// Of a file whose records become no events, those that could not be read, by rule: no row says so.
    #[serde(default)]
    pub unread: BTreeMap<String, Lost>,
}

/// Description of an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The artifact's fingerprint.
    pub fingerprint: Fingerprint,
    /// Table it holds.
    pub table: String,
    /// Stages that made it, in order.
    pub stages: Vec<String>,
    /// What the fingerprint was made from.
    pub components: Vec<Component>,
    /// Rows per outcome.
    pub rows: BTreeMap<String, u64>,
    /// Rows that the segment read, per table.
    pub rows_read: BTreeMap<String, u64>,
    /// Records per dump file, for a segment that reads dumps.
    #[serde(default)]
    pub files: Vec<FileCount>,
    /// Wall seconds it took.
    pub seconds: f64,
    /// Version of the program.
    pub program: String,
}

/// Whether an artifact can be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// It can.
    Fresh,
    /// It has to be made, for this reason.
    Stale(StaleReason),
}

/// Why an artifact has to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaleReason {
    /// There is none of this name yet.
    NeverBuilt,
    /// A value of the config changed.
    ConfigChanged {
        /// The stage whose config it is.
        stage: String,
        /// Its config before, as JSON.
        old: String,
        /// Its config now, as JSON.
        new: String,
    },
    /// The stage's code answers differently now.
    VersionBumped {
        /// The stage.
        stage: String,
    },
    /// A table or dump it reads changed.
    InputChanged {
        /// The table or file.
        input: String,
    },
    /// A prompt, word list or model changed.
    AssetChanged {
        /// The asset.
        asset: String,
    },
}

impl StaleReason {
    /// The first difference between what an artifact was made from and what it would be made from now.
    pub fn between(old: &[Component], new: &[Component]) -> Option<Self> {
        let before: BTreeMap<&str, &str> = old.iter().map(|c| (c.label.as_str(), c.value.as_str())).collect();
        let now: BTreeMap<&str, &str> = new.iter().map(|c| (c.label.as_str(), c.value.as_str())).collect();
        let labels = new.iter().chain(old).map(|c| c.label.as_str());
        labels.into_iter().find_map(|label| {
            let (was, is) = (before.get(label).copied(), now.get(label).copied());
            (was != is).then(|| {
                let (kind, name) = label.split_once(':').unwrap_or(("input", label));
                let name = name.to_owned();
                match kind {
                    "config" => Self::ConfigChanged {
                        stage: name,
                        old: was.unwrap_or("none").to_owned(),
                        new: is.unwrap_or("none").to_owned(),
                    },
                    "version" => Self::VersionBumped { stage: name },
                    "asset" => Self::AssetChanged { asset: name },
                    _ => Self::InputChanged { input: name },
                }
            })
        })
    }
}

impl std::fmt::Display for StaleReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NeverBuilt => f.write_str("never built"),
            Self::ConfigChanged { stage, old, new } => {
                write!(f, "config of `{stage}` changed from {old} to {new}")
            }
            Self::VersionBumped { stage } => write!(f, "`{stage}` has a new version"),
            Self::InputChanged { input } => write!(f, "input `{input}` changed"),
            Self::AssetChanged { asset } => write!(f, "asset `{asset}` changed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_older_manifests_are_read() {
        let file = r#"{"source":"s","name":"a.zip","records":3,"bytes":9,"yields_events":true,"malformed":0,"lossy":0"#;
        let read = |more: &str| -> FileCount { serde_json::from_str(&format!("{file}{more}}}")).unwrap() };
        let lost = |first_file: &str| Lost { count: 2, first_offset: 7, first_file: first_file.to_owned() };
        assert_eq!((read("").type_conflicts, read("").unread), (BTreeMap::new(), BTreeMap::new()));
        assert_eq!(read(r#","type_conflicts":{"score":[2,7]}"#).type_conflicts["score"], lost(""));
        let now =
            FileCount { unread: BTreeMap::from([("invalid_json".to_owned(), lost("a.zip!b"))]), ..read("") };
        assert_eq!(serde_json::from_value::<FileCount>(serde_json::to_value(&now).unwrap()).unwrap(), now);
    }

    #[test]
    fn the_first_difference_is_told() {
        let component = |label: &str, value: &str| Component { label: label.into(), value: value.into() };
        let old = [component("config:dedup", "{}"), component("input:events", "a")];
        assert_eq!(StaleReason::between(&old, &old), None);
        let new = [component("config:dedup", "{\"scope\":\"all\"}"), component("input:events", "a")];
        let reason = StaleReason::between(&old, &new).unwrap();
        assert_eq!(reason.to_string(), "config of `dedup` changed from {} to {\"scope\":\"all\"}");
        assert_eq!(
            StaleReason::between(&old, &old[..1]),
            Some(StaleReason::InputChanged { input: "events".into() })
        );
    }
}
