//! The record batches that records become: rows of `events`, or messages that can be context of one.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int64Builder, RecordBatch,
    StringViewBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use genome_schemas::{EventKind, KeyDomain, KeyHasher, Outcome, Platform};

use super::author_class::AuthorClass;
use super::bytes::frames::SpareContext;
use super::config::{Deletions, SourceConfig};
use super::pseudonym::{AuthorId, Pseudonymizer};
use super::record::{EventIdentity, Record, event_key};
use super::repeating::Repeating;
use super::values::text::{shortened, without_nul};
use crate::filter::is_placeholder;

/// What a scan produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Produces {
    /// Rows of `events` without context, and the ids to find it and notices by.
    Events,
    /// Messages that can be context of an event, by id.
    Messages,
}

impl Produces {
    pub(super) fn schema(self) -> SchemaRef {
        Arc::clone(match self {
            Self::Events => &EVENT_SCHEMA,
            Self::Messages => &MESSAGE_SCHEMA,
        })
    }
}

fn text_field(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8View, nullable)
}

static EVENT_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("key", genome_schemas::key_type(), false),
        text_field("source", false),
        text_field("platform", false),
        text_field("kind", false),
        text_field("author_id", true),
        text_field("author_class", false),
        text_field("native_id", true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))), true),
        Field::new("retrieved_at", DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))), true),
        text_field("thread_id", true),
        text_field("title", true),
        text_field("text", true),
        text_field("item_id", true),
        Field::new("rating", DataType::Float64, true),
        Field::new("engagement", DataType::Int64, true),
        Field::new("replies", DataType::Int64, true),
        text_field("link_domain", true),
        Field::new("top_level", DataType::Boolean, false),
        text_field("attributes", true),
        text_field("source_file", false),
        Field::new("source_offset", DataType::UInt64, false),
        Field::new("lossy", DataType::Boolean, false),
        text_field("outcome", false),
        text_field("stage", true),
        text_field("rule", true),
        text_field("parent_id", true),
        text_field("root_id", true),
        text_field("own_id", true),
        text_field("quoted_id", true),
        text_field("quoted_name", true),
        text_field("quoted_content", true),
    ]))
});

static MESSAGE_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        text_field("own_id", false),
        text_field("name", true),
        text_field("content", false),
        Field::new("retrieved", DataType::Int64, false),
        Field::new("tie", DataType::UInt64, false),
    ]))
});

/// What does not change within a file.
pub(super) struct FileFacts<'a> {
    pub(super) config: &'a SourceConfig,
    pub(super) platform: Platform,
    pub(super) names: &'a Pseudonymizer,
    pub(super) context_chars: usize,
    pub(super) spare: &'a SpareContext,
}

/// Something in a dump that is no record of a person's doing.
pub(super) struct Refused<'a> {
    /// Why: malformed, or a notice.
    pub(super) outcome: Outcome,
    pub(super) rule: &'static str,
    pub(super) offset: u64,
    /// The record that a notice is about.
    pub(super) native_id: Option<&'a str>,
}

fn honoured(facts: &FileFacts<'_>) -> bool {
    facts.config.deletions == Deletions::Honour
}

/// Name of the stage in the ledger of rows that the reader itself marks.
pub(super) const READER_STAGE: &str = "source";
/// Name of the rule by which records that were taken back are marked.
pub(super) const DELETED_RULE: &str = "deletions";

/// Collects rows of `events`.
pub(super) struct EventBuilder {
    /// Rows that it has room for.
    rows: usize,
    key: FixedSizeBinaryBuilder,
    source: Repeating,
    platform: Repeating,
    kind: Repeating,
    author_id: StringViewBuilder,
    author_class: Repeating,
    native_id: StringViewBuilder,
    at: TimestampMicrosecondBuilder,
    retrieved_at: TimestampMicrosecondBuilder,
    thread_id: StringViewBuilder,
    title: StringViewBuilder,
    text: StringViewBuilder,
    item_id: StringViewBuilder,
    rating: Float64Builder,
    engagement: Int64Builder,
    replies: Int64Builder,
    link_domain: StringViewBuilder,
    top_level: BooleanBuilder,
    attributes: StringViewBuilder,
    source_file: Repeating,
    source_offset: UInt64Builder,
    lossy: BooleanBuilder,
    outcome: Repeating,
    stage: Repeating,
    rule: Repeating,
    parent_id: StringViewBuilder,
    root_id: StringViewBuilder,
    own_id: StringViewBuilder,
    quoted_id: StringViewBuilder,
    quoted_name: StringViewBuilder,
    quoted_content: StringViewBuilder,
}

impl EventBuilder {
    /// A builder with room for `rows`; growing costs a tenth of reading otherwise.
    pub(super) fn new(rows: usize) -> Self {
        let text = || StringViewBuilder::with_capacity(rows);
        let time = || TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC");
        Self {
            rows,
            key: FixedSizeBinaryBuilder::with_capacity(rows, 16),
            source: Repeating::new(rows),
            platform: Repeating::new(rows),
            kind: Repeating::new(rows),
            author_id: text(),
            author_class: Repeating::new(rows),
            native_id: text(),
            at: time(),
            retrieved_at: time(),
            thread_id: text(),
            title: text(),
            text: text(),
            item_id: text(),
            rating: Float64Builder::with_capacity(rows),
            engagement: Int64Builder::with_capacity(rows),
            replies: Int64Builder::with_capacity(rows),
            link_domain: text(),
            top_level: BooleanBuilder::with_capacity(rows),
            attributes: text(),
            source_file: Repeating::new(rows),
            source_offset: UInt64Builder::with_capacity(rows),
            lossy: BooleanBuilder::with_capacity(rows),
            outcome: Repeating::new(rows),
            stage: Repeating::new(rows),
            rule: Repeating::new(rows),
            parent_id: text(),
            root_id: text(),
            own_id: text(),
            quoted_id: text(),
            quoted_name: text(),
            quoted_content: text(),
        }
    }

    /// Adds a record that was read; tells the bytes of text it took, and whether anything was replaced.
    pub(super) fn record(
        &mut self,
        facts: &FileFacts<'_>,
        source_file: &str,
        record: Record<'_>,
    ) -> Result<(usize, bool), ArrowError> {
        let author = record.author.map(|handle| facts.names.author_id(facts.platform, handle));
        let (text, nul_in_text) = without_nul(record.text);
        let text = facts.names.mentions(facts.platform, &text);
        let (title, nul_in_title) = without_nul(record.title.unwrap_or_default());
        let title = facts.names.mentions(facts.platform, &title);
        let title = Some(title.as_ref()).filter(|title| !title.is_empty());
        let lossy = record.lossy || nul_in_text || nul_in_title;

        let key = event_key(&EventIdentity {
            platform: facts.platform,
            kind: record.kind,
            native_id: record.native_id,
            author: author.as_ref().map(AuthorId::as_str),
            item_id: record.item_id,
            rating: record.rating,
            at: record.at,
            title,
            text: &text,
        });
        self.key.append_value(key.0)?;
        self.common(facts, source_file, record.kind, record.author_class, record.offset);
        self.author_id.append_option(author.as_ref().map(AuthorId::as_str));
        self.native_id.append_option(record.native_id);
        self.at.append_option(record.at);
        self.retrieved_at
            .append_option((record.retrieved > 0).then(|| record.retrieved.saturating_mul(1_000_000)));
        self.thread_id.append_option(record.thread_id.as_deref());
        self.title.append_option(title);
        self.text.append_value(&text);
        self.item_id.append_option(record.item_id);
        self.rating.append_option(record.rating);
        self.engagement.append_option(record.engagement);
        self.replies.append_option(record.replies);
        self.link_domain.append_option(record.link_domain);
        self.top_level.append_value(record.top_level);
        self.attributes.append_option(Some(record.attributes.as_str()).filter(|json| !json.is_empty()));
        self.lossy.append_value(lossy);
        let is_taken_back = record.author_class == AuthorClass::Deleted
            || is_placeholder(&text)
            || title.is_some_and(is_placeholder);
        if is_taken_back && honoured(facts) {
            self.outcome.append(Outcome::Deleted.as_str());
            self.stage.append(READER_STAGE);
            self.rule.append(DELETED_RULE);
        } else {
            self.outcome.append(Outcome::Kept.as_str());
            self.stage.append_null();
            self.rule.append_null();
        }
        self.parent_id.append_option(record.parent_id);
        self.root_id.append_option(record.root_id);
        self.own_id.append_option(record.own_id.as_deref());
        self.quoted_id.append_option(record.quoted_id);
        let quoted = record.quoted.map(|(handle, content)| {
            let name = handle.map(|handle| facts.names.author_id(facts.platform, &handle));
            (name, without_nul(shortened(content, facts.context_chars)).0)
        });
        let name = quoted.as_ref().and_then(|(name, _)| name.as_ref());
        self.quoted_name.append_option(name.map(AuthorId::as_str));
        let content = quoted.as_ref().map(|(_, content)| facts.names.mentions(facts.platform, content));
        self.quoted_content.append_option(content.as_deref());
        let quoted_bytes = content.map_or(0, |content| content.len());
        Ok((text.len() + title.map_or(0, str::len) + record.attributes.len() + quoted_bytes + 200, lossy))
    }

    /// Adds a row for something that is no record of a person's doing.
    pub(super) fn refused(
        &mut self,
        facts: &FileFacts<'_>,
        source_file: &str,
        refused: &Refused<'_>,
    ) -> Result<(), ArrowError> {
        let key = KeyHasher::new("genome malformed record")
            .part(facts.platform.as_str())
            .part(source_file)
            .part(refused.offset.to_le_bytes())
            .part(refused.rule)
            .finish();
        self.key.append_value(key.0)?;
        self.common(facts, source_file, EventKind::Unknown, AuthorClass::Unknown, refused.offset);
        self.native_id.append_option(refused.native_id);
        for column in [
            &mut self.author_id,
            &mut self.thread_id,
            &mut self.title,
            &mut self.text,
            &mut self.item_id,
            &mut self.link_domain,
            &mut self.attributes,
            &mut self.parent_id,
            &mut self.root_id,
            &mut self.own_id,
            &mut self.quoted_id,
            &mut self.quoted_name,
            &mut self.quoted_content,
        ] {
            column.append_null();
        }
        self.at.append_null();
        self.retrieved_at.append_null();
        self.rating.append_null();
        self.engagement.append_null();
        self.replies.append_null();
        self.top_level.append_value(true);
        self.lossy.append_value(false);
        self.outcome.append(refused.outcome.as_str());
        self.stage.append(READER_STAGE);
        self.rule.append(refused.rule);
        Ok(())
    }

    fn common(
        &mut self,
        facts: &FileFacts<'_>,
        file: &str,
        kind: EventKind,
        class: AuthorClass,
        offset: u64,
    ) {
        self.source.append(&facts.config.name);
        self.platform.append(facts.platform.as_str());
        self.kind.append(kind.as_str());
        self.author_class.append(class.as_str());
        self.source_file.append(file);
        self.source_offset.append_value(offset);
    }

    /// The rows so far as a batch; the builder is empty after it.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.key.finish()),
            self.source.finish()?,
            self.platform.finish()?,
            self.kind.finish()?,
            Arc::new(self.author_id.finish()),
            self.author_class.finish()?,
            Arc::new(self.native_id.finish()),
            Arc::new(self.at.finish()),
            Arc::new(self.retrieved_at.finish()),
            Arc::new(self.thread_id.finish()),
            Arc::new(self.title.finish()),
            Arc::new(self.text.finish()),
            Arc::new(self.item_id.finish()),
            Arc::new(self.rating.finish()),
            Arc::new(self.engagement.finish()),
            Arc::new(self.replies.finish()),
            Arc::new(self.link_domain.finish()),
            Arc::new(self.top_level.finish()),
            Arc::new(self.attributes.finish()),
            self.source_file.finish()?,
            Arc::new(self.source_offset.finish()),
            Arc::new(self.lossy.finish()),
            self.outcome.finish()?,
            self.stage.finish()?,
            self.rule.finish()?,
            Arc::new(self.parent_id.finish()),
            Arc::new(self.root_id.finish()),
            Arc::new(self.own_id.finish()),
            Arc::new(self.quoted_id.finish()),
            Arc::new(self.quoted_name.finish()),
            Arc::new(self.quoted_content.finish()),
        ];
        *self = Self::new(self.rows);
        RecordBatch::try_new(Arc::clone(&EVENT_SCHEMA), columns)
    }
}

static MESSAGES: KeyDomain = KeyDomain::new("genome message");

/// Collects messages that can be somebody's context.
pub(super) struct MessageBuilder {
    own_id: StringViewBuilder,
    name: StringViewBuilder,
    content: StringViewBuilder,
    retrieved: Int64Builder,
    tie: UInt64Builder,
}

impl MessageBuilder {
    pub(super) fn new() -> Self {
        Self {
            own_id: StringViewBuilder::new(),
            name: StringViewBuilder::new(),
            content: StringViewBuilder::new(),
            retrieved: Int64Builder::new(),
            tie: UInt64Builder::new(),
        }
    }

    /// Adds the message that `record` is to others, if it has an id and anything to say; tells the bytes it took.
    pub(super) fn record(&mut self, facts: &FileFacts<'_>, record: &Record<'_>) -> Option<usize> {
        let own_id = record.own_id.as_deref()?;
        if record.author_class == AuthorClass::Deleted && record.author.is_some() && honoured(facts) {
            return None;
        }
        let parts = [record.title.as_deref().unwrap_or_default(), &record.text];
        let parts = parts.map(|part| if is_placeholder(part) { "" } else { part });
        let content = match parts {
            ["", ""] => return None,
            [title, ""] => Cow::Borrowed(title),
            ["", text] => Cow::Borrowed(text),
            [title, text] => Cow::Owned(format!("{title}\n\n{text}")),
        };
        let content = without_nul(shortened(content, facts.context_chars)).0;
        let content = facts.names.mentions(facts.platform, &content);
        let name = record.author.map(|handle| facts.names.author_id(facts.platform, handle));
        let name = name.as_ref().map(AuthorId::as_str);
        self.own_id.append_value(own_id);
        self.name.append_option(name);
        self.content.append_value(&content);
        self.retrieved.append_value(record.retrieved);
        let tie = MESSAGES.hasher().part(&*content).part(name.unwrap_or_default()).finish();
        self.tie.append_value(tie.seed());
        Some(own_id.len() + content.len() + 100)
    }

    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.own_id.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.content.finish()),
            Arc::new(self.retrieved.finish()),
            Arc::new(self.tie.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&MESSAGE_SCHEMA), columns)
    }
}
