//! What templates see of a row: the person's own words and what they answered, cleaned and cut to a budget.

use arrow::array::{ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::LineDelimitedWriter;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, Expr, lit, named_struct};
use genome_kernels::llm::quotable;
use genome_kernels::text::claims::content_words;
use genome_kernels::text::pii;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::recipe::{Packing, RecipeHead};
use crate::StageError;
use crate::mark::column;

/// What a person answered: one message of an event's context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextView {
    /// `post`, `comment`, `tweet` or `item`.
    pub role: String,
    /// Pseudonym of the writer, where it is known.
    #[serde(default)]
    pub name: Option<String>,
    /// What it says.
    pub content: String,
}

/// One event as a template sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// Day as `YYYY-MM-DD`, empty if unknown.
    pub date: String,
    /// Kind of event: `post`, `comment`, `review`.
    pub kind: String,
    /// What the person answered, root first.
    pub context: Vec<ContextView>,
    /// The person's own words, title first, such that a quotation can be copied from them letter by letter.
    pub own: String,
    /// Stars of a review.
    pub rating: Option<f64>,
}

/// One author as a template sees them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuthorView {
    /// Platform.
    pub platform: String,
    /// Train events that fit the budget, oldest first.
    pub events: Vec<EventView>,
    /// How many train events did not fit.
    pub left_out: usize,
}

/// A row of table `events` or `authors` as a template sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PersonView {
    /// An author.
    Author(AuthorView),
    /// An event.
    Event(EventView),
}

#[derive(Deserialize)]
pub(crate) struct EventRow {
    #[serde(default)]
    at: Option<String>,
    kind: String,
    #[serde(default)]
    context: Option<Vec<ContextView>>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    rating: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct AuthorRow {
    platform: String,
    #[serde(default)]
    events: Vec<EventRow>,
}

impl EventRow {
    pub(crate) fn view(self, max_context_chars: usize) -> EventView {
        let own = [self.title, self.text].into_iter().flatten().filter(|t| !t.trim().is_empty());
        let own = own.collect::<Vec<_>>().join(". ");
        EventView {
            date: self.at.map(|at| at.chars().take(10).collect()).unwrap_or_default(),
            kind: self.kind,
            context: self
                .context
                .unwrap_or_default()
                .into_iter()
                .map(|message| ContextView {
                    content: shorten(&quotable(&pii::redact(&message.content)), max_context_chars),
                    ..message
                })
                .collect(),
            own: quotable(&own),
            rating: self.rating,
        }
    }
}

impl AuthorRow {
    pub(super) fn view(self, head: &RecipeHead) -> AuthorView {
        let mut rows = self.events;
        if head.hold_out_last {
            rows.pop();
        }
        let total = rows.len();
        let events: Vec<EventView> = rows.into_iter().map(|row| row.view(head.max_context_chars)).collect();
        let mut order: Vec<usize> = (0..total).filter(|&at| !events[at].own.is_empty()).collect();
        match head.packing {
            Packing::Oldest => {}
            Packing::Latest => order.reverse(),
            Packing::Informative => order.sort_by_key(|&at| Reverse(content_words(&events[at].own))),
        }
        let mut used = 0;
        let mut shown = BTreeSet::new();
        for at in order {
            let chars = events[at].own.chars().count();
            // Whole texts only; a long one that does not fit leaves room for short ones.
            if used + chars <= head.max_own_chars && head.max_events.is_none_or(|most| shown.len() < most) {
                used += chars;
                shown.insert(at);
            }
        }
        let events =
            events.into_iter().enumerate().filter(|(at, _)| shown.contains(at)).map(|(_, event)| event);
        AuthorView { platform: self.platform, left_out: total - shown.len(), events: events.collect() }
    }
}

/// The columns of an event that can be read as [`EventRow`], as one struct, and its type.
pub(crate) fn event_struct(events: &DataFrame) -> Result<(Expr, DataType), StageError> {
    row_struct(events, &["at", "kind", "context", "title", "text", "rating"])
}

/// Some columns as one struct, and its type.
pub(super) fn row_struct(rows: &DataFrame, names: &[&str]) -> Result<(Expr, DataType), StageError> {
    let mut members = Vec::new();
    let mut fields = Vec::new();
    for name in names {
        let field = rows.schema().field_with_unqualified_name(name)?;
        members.extend([lit(*name), column(name)]);
        fields.push(Field::new(*name, field.data_type().clone(), true));
    }
    Ok((named_struct(members), DataType::Struct(fields.into())))
}

/// Cuts at a word boundary, with an ellipsis where something was cut.
pub(super) fn shorten(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let cut: String = text.chars().take(max_chars).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{} …", cut[..end].trim_end())
}

/// Each row of a struct array as one line of JSON.
pub(crate) fn rows_json(rows: &StructArray) -> datafusion::error::Result<Vec<String>> {
    let batch = RecordBatch::try_new_with_options(
        Arc::new(Schema::new(rows.fields().clone())),
        rows.columns().to_vec(),
        &arrow::array::RecordBatchOptions::new().with_row_count(Some(arrow::array::Array::len(rows))),
    )?;
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let bytes = writer.into_inner();
    let text = String::from_utf8(bytes).map_err(|e| DataFusionError::External(Box::new(e)))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Each row of a struct column, read as `T`.
pub(crate) fn row_json<T: serde::de::DeserializeOwned>(rows: &ArrayRef) -> datafusion::error::Result<Vec<T>> {
    use arrow::array::AsArray;
    let rows = rows
        .as_struct_opt()
        .ok_or_else(|| DataFusionError::Internal("a row should be a struct".to_owned()))?;
    rows_json(rows)?
        .iter()
        .map(|line| serde_json::from_str(line).map_err(|e| DataFusionError::External(Box::new(e))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> EventRow {
        EventRow {
            at: Some("2023-05-01T10:00:00Z".into()),
            kind: "post".into(),
            context: Some(vec![ContextView {
                role: "post".into(),
                name: None,
                content: "write to a.person@example.com about the long thing".into(),
            }]),
            title: None,
            text: Some(text.into()),
            rating: None,
        }
    }

    #[test]
    fn whole_texts_fill_the_budget_and_the_rest_is_counted() {
        let shown = |keys: &str| {
            let events = ["five5", "longer text", "abc", "last"].map(event).into();
            let view = AuthorRow { platform: "reddit".into(), events }.view(&head(keys));
            assert_eq!(view.events.len() + view.left_out, 4 - usize::from(keys.contains("hold_out_last")));
            view.events.iter().map(|e| e.own.clone()).collect::<Vec<_>>().join("|")
        };
        assert_eq!(shown("max_own_chars = 9"), "five5|abc");
        assert_eq!(shown("max_own_chars = 9\npacking = 'latest'"), "abc|last");
        assert_eq!(shown("max_own_chars = 16\npacking = 'informative'"), "five5|longer text");
        assert_eq!(shown("max_own_chars = 99\nmax_events = 2\npacking = 'latest'"), "abc|last");
        assert_eq!(shown("max_own_chars = 99\nhold_out_last = true"), "five5|longer text|abc");
    }

    fn head(keys: &str) -> RecipeHead {
        let fixed = "name = 'r'\nabout = ''\nover = 'authors'\nsystem = ''\nmax_tokens = 1\nform.fields = []";
        toml::from_str(&format!("{keys}\n{fixed}")).unwrap()
    }

    #[test]
    fn other_peoples_data_is_not_shown_and_long_context_ends_at_a_word() {
        let view = event("own").view(24);
        assert!(!view.context[0].content.contains("example.com"), "{:?}", view.context);
        assert!(view.context[0].content.ends_with('…'));
        assert_eq!(view.date, "2023-05-01");
    }
}
