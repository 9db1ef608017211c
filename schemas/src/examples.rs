//! Table `examples`: one training example.

use arrow_schema::{DataType, Field};

use crate::key::key_type;
use crate::ledger::ledger_fields;
use crate::message::message_list_type;
use crate::table::Table;

/// Table `examples`: one training example.
///
/// `messages` alone is a supervised row (the messages with `learn` carry loss); with `reference` it is an RL
/// prompt, rewarded against the person's real words under `rubric`.
///
/// - `form`: `sft` or `rl`; `task`: which training task;
/// - `dimension`: latent-state dimension that an RL row asks for, or `response` (`HumanLM`, papers' section 2.2);
/// - `subject_key`: the completion or event it was made from; `event_key`: the event, where there is one;
/// - `n_chars`: characters over all messages.
pub fn examples() -> Table {
    let mut fields = vec![
        Field::new("key", key_type(), false),
        Field::new("form", DataType::Utf8, false),
        Field::new("task", DataType::Utf8, false),
        Field::new("author_id", DataType::Utf8, false),
        Field::new("platform", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("subject_key", key_type(), false),
        Field::new("event_key", key_type(), true),
        Field::new("split", DataType::Utf8, false),
        Field::new("messages", message_list_type(), false),
        Field::new("reference", DataType::Utf8, true),
        Field::new("dimension", DataType::Utf8, true),
        Field::new("rubric", DataType::Utf8, true),
        Field::new("n_chars", DataType::Int64, false),
    ];
    fields.extend(ledger_fields());
    Table::new("examples", fields)
}
