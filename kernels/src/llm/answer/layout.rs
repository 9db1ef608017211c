//! How an answer is written down: the literals around its values.

use serde::{Deserialize, Serialize};
use serde_json::json;

/// How an answer is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One line of JSON with the separators `", "` and `": "`.
    #[default]
    Json,
    /// A pair of tags for each field, one after the other: `<goal>…</goal>`; items of a list stand in `<item>`.
    Tags,
}

/// The tag around an item of a list.
pub(super) const ITEM: &str = "item";

impl Layout {
    /// What stands before a value, cut where a token may end: the field's name, and what follows it in any case.
    pub(super) fn opening(self, name: &str, is_first: bool) -> (String, &'static str) {
        match (self, is_first) {
            (Self::Json, true) => (format!("{{\"{name}\""), ": "),
            (Self::Json, false) => (format!(", \"{name}\""), ": "),
            (Self::Tags, true) => (format!("<{name}"), ">"),
            (Self::Tags, false) => (format!("\n<{name}"), ">"),
        }
    }

    /// What stands behind a value.
    pub(super) fn closing(self, name: &str) -> String {
        match self {
            Self::Json => String::new(),
            Self::Tags => format!("</{name}>"),
        }
    }

    /// What stands behind the last field of an object.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Json => "}",
            Self::Tags => "",
        }
    }

    /// What a field is followed by.
    pub(super) fn follow(self, is_last: bool) -> &'static str {
        match (self, is_last) {
            (Self::Json, true) => "}",
            (Self::Json, false) => ", \"",
            (Self::Tags, true) => "",
            (Self::Tags, false) => "\n<",
        }
    }

    /// What stands around a text.
    pub(super) fn quote(self) -> &'static str {
        match self {
            Self::Json => "\"",
            Self::Tags => "",
        }
    }

    /// An option as it is written.
    pub(super) fn option(self, option: &str) -> String {
        match self {
            Self::Json => json!(option).to_string(),
            Self::Tags => option.to_owned(),
        }
    }

    /// What a list begins with, what stands between its items, what it ends with.
    pub(super) fn list(self) -> [&'static str; 3] {
        match self {
            Self::Json => ["[", ", ", "]"],
            Self::Tags => ["", "\n", ""],
        }
    }

    /// What stands around an item of a list.
    pub(super) fn item(self) -> [String; 2] {
        match self {
            Self::Json => [String::new(), String::new()],
            Self::Tags => [format!("<{ITEM}>"), format!("</{ITEM}>")],
        }
    }

    /// A word of a free text, as a pattern: no space, and nothing that would end the text. It has no longest length: a bound
    /// inside the bounded number of words makes masks five times as slow, one of the last word alone twice.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Json => r#"/[^"\\\x00-\x20\x7F]+/"#,
            Self::Tags => r"/[^<\x00-\x20\x7F]+/",
        }
    }

    /// A word of a quotation, as a part of a pattern.
    pub(super) fn quoted_word(self) -> &'static str {
        match self {
            Self::Json => "[^ \\n]+",
            Self::Tags => "[^ \\n<]+",
        }
    }
}
