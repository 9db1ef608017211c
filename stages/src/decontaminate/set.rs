//! Evaluation sets: files whose texts nobody may learn from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file of evaluation items: JSON lines, packed or not, or Parquet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSet {
    /// Where it lies.
    pub path: PathBuf,
    /// The fields whose texts are looked for, with all that is nested in them; all fields if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// A text of an evaluation item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationText {
    /// The number of the item in its file, from 1.
    pub row: u64,
    /// The field, with those it is nested in: `choices.text`.
    pub field: String,
    /// The text.
    pub text: String,
}

impl EvaluationText {
    /// Whether the text is that of a field, or nested in it.
    pub fn is_of(&self, field: &str) -> bool {
        self.field.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// What the text is called in the ledger: the file as the config has it, row and field.
    pub fn name(&self, set: &EvaluationSet) -> String {
        format!("{} row {}, {}", set.path.display(), self.row, self.field)
    }
}
