//! Table `events`: one thing a person did, with what they saw.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};

use crate::key::key_type;
use crate::ledger::ledger_fields;
use crate::message::message_list_type;
use crate::table::Table;

/// Table `events`: one thing a person did (post, comment, review), with what they saw when they did it.
///
/// - `key`: content key of the record, see [`crate::Key`];
/// - `source`: name of the source in the config;
/// - `platform`, `kind`: names of [`crate::Platform`] and [`crate::EventKind`];
/// - `author_id`: keyed hash of the handle in 32 hex digits, null where the dump names nobody;
/// - `author_class`: what the handle says of itself: `person`, `deleted`, `bot`, `listed_bot`,
///   `moderator`, `corporate`, `corporate_word`, `unknown`;
/// - `native_id`: the platform's own id of the record, where it has one;
/// - `at`: microseconds UTC; `retrieved_at`: when the dump took the record from the platform, where it says so;
/// - `thread_id`: the conversation it belongs to;
/// - `context`: what the person answered or reviewed, root first;
/// - `title`, `text`: what they wrote; lengths anywhere are in Unicode scalar values;
/// - `item_id`, `rating` (1 to 5): reviews; `engagement`: score, likes or helpful votes; `replies`: answers that it had
///   when the dump was taken;
/// - `link_domain`: of a post that is a link, the domain of the page;
/// - `top_level`: false for an answer to an answer;
/// - `attributes`: what the dump states of the author (age, topic, …) as JSON, for reports, never for prompts;
/// - `source_file`, `source_offset`: where the record stood (byte offset in the decompressed file, or index of
///   the record in its member);
/// - `lossy`: the record had bytes or characters that had to be replaced;
/// - `redactions`: what `pii_scrub` replaced in title and text, `shared_passages` took out and `apply_tags` wrote anew, stage
///   by stage: title or text, the kind, first byte and byte after the last as they came to that stage; never the value;
/// - `split`: `train`, `validation` or `test`, once the split has run.
pub fn events() -> Table {
    let mut fields = vec![
        Field::new("key", key_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("platform", DataType::Utf8, false),
        Field::new("kind", DataType::Utf8, false),
        Field::new("author_id", DataType::Utf8, true),
        Field::new("author_class", DataType::Utf8, false),
        Field::new("native_id", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))), true),
        Field::new("retrieved_at", DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))), true),
        Field::new("thread_id", DataType::Utf8, true),
        Field::new("context", message_list_type(), true),
        Field::new("title", DataType::Utf8, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("item_id", DataType::Utf8, true),
        Field::new("rating", DataType::Float64, true),
        Field::new("engagement", DataType::Int64, true),
        Field::new("replies", DataType::Int64, true),
        Field::new("link_domain", DataType::Utf8, true),
        Field::new("top_level", DataType::Boolean, false),
        Field::new("attributes", DataType::Utf8, true),
        Field::new("source_file", DataType::Utf8, false),
        Field::new("source_offset", DataType::UInt64, false),
        Field::new("lossy", DataType::Boolean, false),
        Field::new("redactions", redaction_list_type(), true),
        Field::new("split", DataType::Utf8, true),
    ];
    fields.extend(ledger_fields());
    Table::new("events", fields)
}

/// Type of the column `redactions`: a list of {field, kind, start, end}.
pub fn redaction_list_type() -> DataType {
    let item = DataType::Struct(
        vec![
            Field::new("field", DataType::Utf8, false),
            Field::new("kind", DataType::Utf8, false),
            Field::new("start", DataType::UInt32, false),
            Field::new("end", DataType::UInt32, false),
        ]
        .into(),
    );
    DataType::List(Arc::new(Field::new("item", item, false)))
}
