//! Reading an answer back.

use serde_json::{Map, Value};

use super::layout::{ITEM, Layout};
use super::{AnswerForm, Field, FieldKind};

/// What is wrong with an answer. A `path` is like `interests[2].quote`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is no JSON, for example because it was cut off.
    #[error("the answer is no JSON: {reason}")]
    NotJson {
        /// The parser's words.
        reason: String,
    },
    /// It is `null` where that is no answer.
    #[error("the answer is null")]
    Null,
    /// A field is missing.
    #[error("{path} is missing")]
    Missing {
        /// The field.
        path: String,
    },
    /// A field is not declared.
    #[error("{path} is not declared")]
    Undeclared {
        /// The field.
        path: String,
    },
    /// A value is of another kind.
    #[error("{path} is no {expected}")]
    WrongKind {
        /// The field.
        path: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A choice is none of the options.
    #[error("{path} is {found:?}, which is no option")]
    NoOption {
        /// The field.
        path: String,
        /// The value.
        found: String,
    },
    /// A number, a number of words or a number of items is out of range.
    #[error("{path} has {found} {unit}, not {min} to {max}")]
    OutOfRange {
        /// The field.
        path: String,
        /// What there is.
        found: i64,
        /// Of what: `words`, `items` or `as value`.
        unit: &'static str,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
}

impl AnswerForm {
    /// Reads an answer: `None` if it is `null` and may be. A code fence around it is taken off; beyond that every
    /// field must be there, of its kind and within its limits, and no other.
    ///
    /// A free text that came to a limit of 20 words or more in the middle of a sentence ends with the sentence before, if
    /// more than half of the limit is left of it. Where the limit is lower, it may be a phrase, which has no end of its own.
    ///
    /// Whether quotations occur in the evidence is not checked here; see [`Self::quotes`].
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(&self, text: &str) -> Result<Option<Value>, AnswerError> {
        let text = without_fence(text.trim());
        let mut value: Value = match self.layout {
            Layout::Tags if text != "null" => read_tags(&self.fields, text, "")?,
            _ => serde_json::from_str(text)
                .map_err(|error| AnswerError::NotJson { reason: error.to_string() })?,
        };
        if value.is_null() {
            return if self.nullable { Ok(None) } else { Err(AnswerError::Null) };
        }
        end_with_sentences(&self.fields, &mut value);
        check_object(&self.fields, &value, "")?;
        Ok(Some(value))
    }

    /// An answer as a model would write it down, which [`Self::parse`] reads back: JSON, or a row of tags.
    pub fn write(&self, answer: &Value) -> String {
        match (self.layout, answer) {
            (Layout::Tags, Value::Object(_)) => tags(&self.fields, answer),
            _ => answer.to_string(),
        }
    }

    /// The quotations in a parsed answer, in the order of the fields.
    pub fn quotes<'v>(&self, answer: &'v Value) -> Vec<&'v str> {
        quotes(&self.fields, answer)
    }

    /// The free texts in a parsed answer, in the order of the fields.
    pub fn texts<'v>(&self, answer: &'v Value) -> Vec<&'v str> {
        texts(&self.fields, answer)
    }
}

/// An object that has these fields, without its quotations.
pub(super) fn without_quotes(fields: &[Field], value: &Value) -> Value {
    let of = |field: &Field| match (&field.kind, value.get(&field.name)?) {
        (FieldKind::Quote { .. }, _) => None,
        (FieldKind::List { item, .. }, Value::Array(items)) => {
            Some((field.name.clone(), items.iter().map(|value| without_quotes(item, value)).collect()))
        }
        (_, value) => Some((field.name.clone(), value.clone())),
    };
    Value::Object(fields.iter().filter_map(of).collect())
}

/// The quotations in an object that has these fields.
pub(super) fn quotes<'v>(fields: &[Field], value: &'v Value) -> Vec<&'v str> {
    let mut quotes = Vec::new();
    collect(fields, value, &|kind| matches!(kind, FieldKind::Quote { .. }), &mut quotes);
    quotes
}

/// The free texts in an object that has these fields.
pub(super) fn texts<'v>(fields: &[Field], value: &'v Value) -> Vec<&'v str> {
    let mut texts = Vec::new();
    collect(fields, value, &|kind| matches!(kind, FieldKind::Text { .. }), &mut texts);
    texts
}

/// The text inside one Markdown code fence, or the text itself.
fn without_fence(text: &str) -> &str {
    let inside = text
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"))
        .and_then(|rest| rest.split_once('\n'))
        .map(|(_language, inside)| inside.trim());
    inside.unwrap_or(text)
}

/// An object that has these fields as a row of tags.
fn tags(fields: &[Field], object: &Value) -> String {
    let tag = |name: &str, inside: &str| format!("<{name}>{inside}</{name}>");
    let of = |field: &Field| {
        let inside = match (&field.kind, object.get(&field.name)) {
            (FieldKind::List { item, .. }, Some(Value::Array(items))) => {
                items.iter().map(|value| tag(ITEM, &tags(item, value))).collect::<Vec<_>>().join("\n")
            }
            (_, Some(Value::String(text))) => text.clone(),
            (_, value) => value.map(Value::to_string).unwrap_or_default(),
        };
        tag(&field.name, &inside)
    };
    fields.iter().map(of).collect::<Vec<_>>().join("\n")
}

/// The values between tags, as an object.
fn read_tags(fields: &[Field], text: &str, path: &str) -> Result<Value, AnswerError> {
    let mut rest = text.trim();
    let mut object = Map::new();
    for field in fields {
        let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
        let inside =
            take_tag(&mut rest, &field.name).ok_or_else(|| AnswerError::Missing { path: path.clone() })?;
        let value = match &field.kind {
            FieldKind::List { item, .. } => {
                let mut items = Vec::new();
                let mut rest = inside.trim();
                while !rest.is_empty() {
                    let path = format!("{path}[{}]", items.len());
                    let inside = take_tag(&mut rest, ITEM);
                    let inside = inside.ok_or_else(|| AnswerError::Missing { path: path.clone() })?;
                    items.push(read_tags(item, inside, &path)?);
                }
                Value::Array(items)
            }
            FieldKind::Integer { .. } => {
                let number: Result<i64, _> = inside.trim().parse();
                number.map_or_else(|_| inside.trim().into(), Value::from)
            }
            _ => inside.trim().into(),
        };
        object.insert(field.name.clone(), value);
    }
    match rest.split_whitespace().next() {
        Some(word) => Err(AnswerError::Undeclared { path: word.to_owned() }),
        None => Ok(Value::Object(object)),
    }
}

/// What stands in the tag that the text begins with; the text goes on behind it.
fn take_tag<'t>(rest: &mut &'t str, name: &str) -> Option<&'t str> {
    let inside = rest.trim_start().strip_prefix(&format!("<{name}>"))?;
    let (inside, behind) = inside.split_once(&format!("</{name}>"))?;
    *rest = behind.trim_start();
    Some(inside)
}

/// Cuts the free texts of an object that has these fields as [`AnswerForm::parse`] says.
fn end_with_sentences(fields: &[Field], value: &mut Value) {
    for field in fields {
        match (&field.kind, value.get_mut(&field.name)) {
            (FieldKind::Text { min_words, max_words }, Some(Value::String(text))) => {
                if let Some(end) = last_sentence_end(text, *min_words, *max_words) {
                    text.truncate(end);
                }
            }
            (FieldKind::List { item, .. }, Some(Value::Array(items))) => {
                for value in items {
                    end_with_sentences(item, value);
                }
            }
            _ => {}
        }
    }
}

/// Smallest limit of words at which a text is made of sentences.
const SHORTEST_LIMIT: usize = 20;

/// Whether a full stop behind a word is as likely one of its own: "St.", "Dr.", "U.S.".
fn is_abbreviation(word: &str) -> bool {
    let Some(stem) = word.strip_suffix('.') else { return false };
    stem.contains('.') || stem.starts_with(char::is_uppercase) && stem.chars().count() <= 3
}

/// Where the last whole sentence ends, in bytes, of a text that is at its limit and goes on behind it.
fn last_sentence_end(text: &str, min_words: usize, max_words: usize) -> Option<usize> {
    let words = || text.split_ascii_whitespace();
    let count = words().count();
    let ends = |word: &str| {
        let word = word.trim_end_matches(['"', '\'', '”', '’', ')', '*']);
        word.ends_with(['.', '!', '?', '…', '。', '！', '？']) && !is_abbreviation(word)
    };
    if max_words < SHORTEST_LIMIT
        || count < max_words
        || count == max_words && words().next_back().is_some_and(ends)
    {
        return None;
    }
    let fewest = min_words.max(max_words / 2 + 1);
    let whole = words().take(max_words).enumerate().filter(|(at, word)| at + 1 >= fewest && ends(word));
    // The word is a part of the text.
    whole.last().map(|(_, word)| word.as_ptr() as usize - text.as_ptr() as usize + word.len())
}

fn check_object(fields: &[Field], value: &Value, path: &str) -> Result<(), AnswerError> {
    let of = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let object: &Map<String, Value> = value.as_object().ok_or_else(|| AnswerError::WrongKind {
        path: if path.is_empty() { "the answer".into() } else { path.into() },
        expected: "object",
    })?;
    for field in fields {
        let path = of(&field.name);
        match object.get(&field.name) {
            Some(value) => check_value(&field.kind, value, path)?,
            None => return Err(AnswerError::Missing { path }),
        }
    }
    match object.keys().find(|key| fields.iter().all(|field| field.name != **key)) {
        Some(key) => Err(AnswerError::Undeclared { path: of(key) }),
        None => Ok(()),
    }
}

fn check_value(kind: &FieldKind, value: &Value, path: String) -> Result<(), AnswerError> {
    match kind {
        FieldKind::Choice { options } => {
            let found = text_of(value, &path)?;
            if options.iter().any(|option| option == found) {
                Ok(())
            } else {
                Err(AnswerError::NoOption { found: found.to_owned(), path })
            }
        }
        FieldKind::Quote { min_words, max_words } | FieldKind::Text { min_words, max_words } => {
            let words = text_of(value, &path)?.split_ascii_whitespace().count();
            check_range(signed(words), "words", signed(*min_words), signed(*max_words), path)
        }
        FieldKind::Integer { min, max } => match value.as_i64() {
            Some(found) => check_range(found, "as value", *min, *max, path),
            None => Err(AnswerError::WrongKind { path, expected: "whole number" }),
        },
        FieldKind::List { min, max, item } => {
            let Some(items) = value.as_array() else {
                return Err(AnswerError::WrongKind { path, expected: "list" });
            };
            for (at, value) in items.iter().enumerate() {
                check_object(item, value, &format!("{path}[{at}]"))?;
            }
            check_range(signed(items.len()), "items", signed(*min), signed(*max), path)
        }
    }
}

fn text_of<'v>(value: &'v Value, path: &str) -> Result<&'v str, AnswerError> {
    value.as_str().ok_or_else(|| AnswerError::WrongKind { path: path.to_owned(), expected: "text" })
}

fn check_range(found: i64, unit: &'static str, min: i64, max: i64, path: String) -> Result<(), AnswerError> {
    if (min..=max).contains(&found) {
        Ok(())
    } else {
        Err(AnswerError::OutOfRange { path, found, unit, min, max })
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The strings of the fields of some kinds.
fn collect<'v>(
    fields: &[Field],
    value: &'v Value,
    wanted: &dyn Fn(&FieldKind) -> bool,
    found: &mut Vec<&'v str>,
) {
    for field in fields {
        match (&field.kind, value.get(&field.name)) {
            (kind, Some(Value::String(text))) if wanted(kind) => found.push(text),
            (FieldKind::List { item, .. }, Some(Value::Array(items))) => {
                for value in items {
                    collect(item, value, wanted, found);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn form() -> AnswerForm {
        serde_json::from_str(
            r#"{"fields": [
                {"name": "mood", "kind": {"choice": {"options": ["good", "bad"]}}},
                {"name": "age", "kind": {"integer": {"min": 0, "max": 120}}},
                {"name": "list", "kind": {"list": {"min": 1, "max": 2, "item": [
                    {"name": "q", "kind": {"quote": {"min_words": 1, "max_words": 2}}}]}}}]}"#,
        )
        .unwrap()
    }

    const GOOD: &str = r#"{"mood": "good", "age": 7, "list": [{"q": "a b"}, {"q": "c"}]}"#;

    #[test]
    fn a_right_answer_is_read_with_its_quotations() {
        let form = form();
        for text in [GOOD.to_owned(), format!("```json\n{GOOD}\n```\n"), format!(" {GOOD}\n")] {
            let value = form.parse(&text).unwrap().unwrap();
            assert_eq!(form.quotes(&value), ["a b", "c"]);
        }
    }

    #[test]
    fn every_mistake_has_its_place() {
        let cases = [
            (GOOD.replace("\"good\"", "\"fine\""), "mood is \"fine\", which is no option"),
            (GOOD.replace("\"good\"", "1"), "mood is no text"),
            (GOOD.replace('7', "121"), "age has 121 as value, not 0 to 120"),
            (GOOD.replace('7', "7.5"), "age is no whole number"),
            (GOOD.replace("a b", "a b c"), "list[0].q has 3 words, not 1 to 2"),
            (GOOD.replace("{\"q\": \"c\"}", "{}"), "list[1].q is missing"),
            (GOOD.replace("{\"q\": \"c\"}", "3"), "list[1] is no object"),
            (GOOD.replace("[{\"q\": \"a b\"}, {\"q\": \"c\"}]", "[]"), "list has 0 items, not 1 to 2"),
            (GOOD.replace("\"age\"", "\"ages\""), "age is missing"),
            (GOOD.replace("\"age\": 7", "\"age\": 7, \"x\": 1"), "x is not declared"),
            ("[]".into(), "the answer is no object"),
            ("null".into(), "the answer is null"),
        ];
        for (text, expected) in cases {
            assert_eq!(form().parse(&text).unwrap_err().to_string(), expected, "{text}");
        }
        assert!(matches!(form().parse(&GOOD[..20]), Err(AnswerError::NotJson { .. })));
        let nullable = AnswerForm { nullable: true, ..form() };
        assert_eq!(nullable.parse("null"), Ok(None));
    }

    #[test]
    fn a_text_at_its_limit_ends_with_a_whole_sentence() {
        let read = |text: &str, max_words: usize| {
            let kind = json!({"list": {"min": 1, "max": 1, "item": [
                {"name": "t", "kind": {"text": {"min_words": 2, "max_words": max_words}}}]}});
            let form: AnswerForm =
                serde_json::from_value(json!({"fields": [{"name": "list", "kind": kind}]})).unwrap();
            let found = form.parse(&json!({"list": [{"t": text}]}).to_string()).ok().flatten();
            found.map(|value| value["list"][0]["t"].as_str().unwrap().to_owned())
        };
        // Fourteen words before what each case ends with, of twenty.
        let before = "It was late and she had a very long way to go before she";
        for (end, expected) in [
            ("slept. He stayed on there alone.", Some("slept. He stayed on there alone.")),
            ("slept at noon. He stayed on", Some("slept at noon.")),
            ("slept “at noon.” He stayedonthereallday and", Some("slept “at noon.”")),
            ("slept at noon! He stayed. Then he left.", Some("slept at noon! He stayed.")),
            ("slept at noon. He saw Dr.", Some("slept at noon.")),
            ("slept in the U.S. and then", Some("slept in the U.S. and then")),
            ("slept. He stayed on there", Some("slept. He stayed on there")),
            ("slept and then he stayed on there again", None),
        ] {
            let expected = expected.map(|end| format!("{before} {end}"));
            assert_eq!(read(&format!("{before} {end}"), 20), expected, "{end}");
        }
        // Too little would be left; and what may be a phrase is never cut.
        let long = format!("She left. {}", "and ".repeat(18).trim_end());
        assert_eq!(read(&long, 20).as_ref(), Some(&long));
        assert_eq!(
            read("a small town outside St. Louis", 6).as_deref(),
            Some("a small town outside St. Louis")
        );
    }

    #[test]
    fn tags_are_read_with_their_places() {
        let tagged = AnswerForm { layout: Layout::Tags, ..form() };
        let good =
            "<mood>good</mood>\n<age>7</age>\n<list><item><q>a b</q></item>\n<item><q>c</q></item></list>";
        assert_eq!(tagged.parse(good), form().parse(GOOD));
        let value = form().parse(GOOD).unwrap().unwrap();
        assert_eq!(tagged.write(&value), good);
        assert_eq!(form().parse(&form().write(&value)).unwrap(), Some(value));
        assert_eq!(tagged.write(&Value::Null), "null");
        let cases = [
            (good.replace(">7<", ">seven<"), "age is no whole number"),
            (good.replace(">good<", ">fine<"), "mood is \"fine\", which is no option"),
            (good.replace("<age>7</age>", ""), "age is missing"),
            (good.replace("<q>c</q>", ""), "list[1].q is missing"),
            (format!("{good} and more"), "and is not declared"),
            ("no tags at all".to_owned(), "mood is missing"),
        ];
        for (text, expected) in cases {
            assert_eq!(tagged.parse(&text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "\\PC*|`{0,3}[a-z]{0,4}\n?[\\[\\]{}\":, a-z0-9]*`{0,3}") {
            let _ = form().parse(&text);
            let _ = AnswerForm { layout: Layout::Tags, ..form() }.parse(&text);
        }
    }
}
