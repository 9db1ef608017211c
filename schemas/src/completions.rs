//! Table `completions`: one answer of a model.

use arrow_schema::{DataType, Field};

use crate::key::key_type;
use crate::ledger::ledger_fields;
use crate::table::Table;

/// Table `completions`: one answer of a model to one recipe about one author or event.
///
/// - `key`: of (recipe, recipe digest, model digest, subject, prompt), so a row that exists is never asked again;
/// - `subject_key`: the author or event it is about;
/// - `recipe`, `model`: names in the config, `model_digest` the SHA-256 of its weights;
/// - `prompt`: the text the model was given; `evidence`: the person's own words it may quote;
/// - `text`: the raw answer; `fields`: the parsed answer as canonical JSON, null if it could not be parsed;
/// - `finish_reason`: `stop`, `length`, `context` (prompt too long), `error`, or `unasked` (nothing to quote from);
///   token counts, over all `attempts` where a cut-off answer was asked for again; the sampling `seed`;
/// - `n_calls`: prompts whose answers were made one, for a long history or a recipe with parts;
/// - `n_shown`, `n_left_out`: events of the author that the prompts show, and that did not fit: at most `budget_tokens` tokens
///   of events a prompt (0 over events); those of a window without an answer count as left out;
/// - `probabilities`: of all options of each choice, by its path, as JSON; null where there is no choice, where one answer
///   was made of several, and behind endpoints.
pub fn completions() -> Table {
    let mut fields = vec![
        Field::new("key", key_type(), false),
        Field::new("subject_key", key_type(), false),
        Field::new("author_id", DataType::Utf8, false),
        Field::new("platform", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("split", DataType::Utf8, true),
        Field::new("recipe", DataType::Utf8, false),
        Field::new("model", DataType::Utf8, false),
        Field::new("model_digest", DataType::Utf8, false),
        Field::new("prompt", DataType::Utf8, false),
        Field::new("evidence", DataType::Utf8, false),
        Field::new("text", DataType::Utf8, false),
        Field::new("fields", DataType::Utf8, true),
        Field::new("finish_reason", DataType::Utf8, false),
        Field::new("prompt_tokens", DataType::UInt32, false),
        Field::new("completion_tokens", DataType::UInt32, false),
        Field::new("seed", DataType::UInt64, false),
        Field::new("attempts", DataType::UInt32, false),
        Field::new("n_calls", DataType::UInt32, false),
        Field::new("n_shown", DataType::UInt32, false),
        Field::new("n_left_out", DataType::UInt32, false),
        Field::new("budget_tokens", DataType::UInt32, false),
        Field::new("probabilities", DataType::Utf8, true),
    ];
    fields.extend(ledger_fields());
    Table::new("completions", fields)
}
