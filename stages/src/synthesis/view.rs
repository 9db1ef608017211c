//! What templates see of a row: the person's own words and what they answered, cleaned and cut to a budget.

use arrow::array::{ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::LineDelimitedWriter;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, Expr, lit, named_struct};
use genome_kernels::llm::quotable;
use genome_kernels::text::pii;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
    /// The text alone, as it stands, for recipes that write it anew. Over events only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
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

#[derive(Clone, Deserialize)]
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
    pub(super) platform: String,
    #[serde(default)]
    pub(super) events: Vec<EventRow>,
}

impl EventRow {
    pub(crate) fn view(self, max_context_chars: usize) -> EventView {
        let own = [&self.title, &self.text].into_iter().flatten().filter(|t| !t.trim().is_empty());
        let own = own.map(String::as_str).collect::<Vec<_>>().join(". ");
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
            text: Some(self.text.unwrap_or_default()),
            rating: self.rating,
        }
    }
}

impl AuthorRow {
    /// The events as templates see them, the last one left out if it is held out.
    pub(super) fn views(&self, max_context_chars: usize, hold_out_last: bool) -> Vec<EventView> {
        let shown = self.events.len().saturating_sub(usize::from(hold_out_last));
        let view = |row: &EventRow| EventView { text: None, ..row.clone().view(max_context_chars) };
        self.events[..shown].iter().map(view).collect()
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
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn event(text: &str, context: Option<&str>) -> EventRow {
        let message =
            |content: &str| ContextView { role: "post".into(), name: None, content: content.into() };
        EventRow {
            at: Some("2023-05-01T10:00:00Z".into()),
            kind: "post".into(),
            context: context.map(|content| vec![message(content)]),
            title: None,
            text: Some(text.into()),
            rating: None,
        }
    }

    #[test]
    fn other_peoples_data_is_not_shown_and_long_context_ends_at_a_word() {
        let view = event("own", Some("write to a.person@example.com about the long thing")).view(24);
        assert!(!view.context[0].content.contains("example.com"), "{:?}", view.context);
        assert!(view.context[0].content.ends_with('…'));
        assert_eq!(view.date, "2023-05-01");
    }
}
