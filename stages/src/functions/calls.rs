//! What is asked for one row: one prompt, or several whose answers become one.

use std::collections::BTreeSet;

use genome_kernels::llm::{AnswerForm, Field, FieldKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One of several prompts for one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Which of the ways of asking it is for, counted from 0.
    pub(crate) part: usize,
    /// The prompt.
    pub(crate) prompt: String,
    /// What quotations in its answer may be taken from.
    pub(crate) evidence: String,
    /// Events that it shows.
    pub(crate) shown: u32,
}

/// What a field holds where nothing can be said (`HumanLM`'s rule for demographics).
const NOT_STATED: &str = "NA";

/// One answer of several, in their order, each an object or `null`: lists are joined, with what is said twice once and at
/// most as many items as the form allows, taken in turns, so that every window has its share; of other fields the first
/// counts that says something. `None` if all are `null`.
pub(crate) fn merge(form: &AnswerForm, answers: &[Value]) -> Option<Value> {
    let objects: Vec<&Map<String, Value>> = answers.iter().filter_map(Value::as_object).collect();
    if objects.is_empty() {
        return None;
    }
    let field = |field: &Field| {
        let values: Vec<&Value> = objects.iter().filter_map(|object| object.get(&field.name)).collect();
        let value = match &field.kind {
            FieldKind::List { max, .. } => Value::Array(take_turns(&values, *max)),
            kind => {
                let says = |value: &&&Value| value.as_str() != Some(NOT_STATED);
                let first = values.iter().find(says).or(values.first()).map(|value| Value::clone(value));
                first.unwrap_or_else(|| nothing(kind))
            }
        };
        (field.name.clone(), value)
    };
    Some(Value::Object(form.fields.iter().map(field).collect()))
}

/// What stands for a field that no answer has.
fn nothing(kind: &FieldKind) -> Value {
    match kind {
        FieldKind::Text { .. } | FieldKind::Choice { .. } => NOT_STATED.into(),
        FieldKind::List { .. } => Value::Array(Vec::new()),
        // No answer then, since the form does not allow it.
        FieldKind::Quote { .. } | FieldKind::Integer { .. } => Value::Null,
    }
}

/// The first items of all lists, then the second ones, and so on, up to `most`; put back into the order of the lists.
fn take_turns(lists: &[&Value], most: usize) -> Vec<Value> {
    let lists: Vec<&Vec<Value>> = lists.iter().filter_map(|list| list.as_array()).collect();
    let longest = lists.iter().map(|list| list.len()).max().unwrap_or(0);
    let mut seen = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for turn in 0..longest {
        for (place, list) in lists.iter().enumerate() {
            if let Some(item) = list.get(turn)
                && taken.len() < most
                && seen.insert(identity(item))
            {
                taken.insert((place, turn));
            }
        }
    }
    taken.into_iter().filter_map(|(place, turn)| lists[place].get(turn).cloned()).collect()
}

/// What makes two items the same: their texts, letters and digits alone.
fn identity(item: &Value) -> String {
    let letters =
        |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    match item {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}={}", identity(value)))
            .collect::<Vec<_>>()
            .join("|"),
        Value::String(text) => letters(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form() -> AnswerForm {
        serde_json::from_value(json!({"fields": [
            {"name": "city", "kind": {"text": {"max_words": 3}}},
            {"name": "likes", "kind": {"list": {"min": 0, "max": 3, "item": [
                {"name": "what", "kind": {"text": {"max_words": 3}}}]}}},
        ]}))
        .unwrap()
    }

    fn likes(city: &str, what: &[&str]) -> Value {
        let items: Vec<Value> = what.iter().map(|what| json!({"what": what})).collect();
        json!({"city": city, "likes": items})
    }

    #[test]
    fn every_window_has_its_share_and_nothing_is_said_twice() {
        let windows = [likes("NA", &["tea", "rain", "boats"]), Value::Null, likes("Oslo", &["Tea!", "snow"])];
        assert_eq!(merge(&form(), &windows), Some(likes("Oslo", &["tea", "rain", "snow"])));
        assert_eq!(merge(&form(), &[Value::Null]), None);
    }

    #[test]
    fn parts_have_a_field_each() {
        let parts = [json!({"likes": [{"what": "tea"}]}), Value::Null];
        assert_eq!(merge(&form(), &parts), Some(likes("NA", &["tea"])));
    }
}
