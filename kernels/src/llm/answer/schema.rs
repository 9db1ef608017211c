//! The form of an answer as a JSON schema, for engines that are bound by one.

use serde_json::{Map, Value, json};

use super::{AnswerForm, Field, FieldKind};

/// Most words of a text that are counted by a pattern. Engines write a repetition out, and look through what they wrote at
/// every token.
const MOST_BOUND_WORDS: usize = 64;

/// A word of a text that is bound by a pattern. Without quotes and backslashes, since some engines hold the pattern against
/// the JSON and not against the text in it.
const WORD: &str = r#"[^ "\\\t\r\n]+"#;

impl AnswerForm {
    /// The form as a JSON schema. What a schema cannot say, that a quotation is of the person's own text, stands in
    /// descriptions, and is checked when the answer is read; so are numbers of words, where more than 64 are allowed.
    pub fn json_schema(&self) -> Value {
        let object = object(&self.fields);
        if self.nullable { json!({"anyOf": [object, {"type": "null"}]}) } else { object }
    }
}

fn object(fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.clone(), kind(&field.kind))).collect();
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}

fn kind(kind: &FieldKind) -> Value {
    match kind {
        FieldKind::Choice { options } => json!({"type": "string", "enum": options}),
        FieldKind::Quote { min_words, max_words } => {
            words(*min_words, *max_words, ", copied from one line of the person's own text")
        }
        FieldKind::Text { min_words, max_words } => words(*min_words, *max_words, " on one line"),
        FieldKind::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        FieldKind::List { min, max, item } => {
            json!({"type": "array", "minItems": min, "maxItems": max, "items": object(item)})
        }
    }
}

fn words(min: usize, max: usize, what: &str) -> Value {
    let mut schema = json!({"type": "string", "description": format!("{min} to {max} words{what}")});
    if max <= MOST_BOUND_WORDS {
        let (fewest, most) = (min.saturating_sub(1), max.saturating_sub(1));
        schema["pattern"] = format!("^{WORD}( {WORD}){{{fewest},{most}}}$").into();
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_schema() {
        let form: AnswerForm = serde_json::from_value(json!({"nullable": true, "fields": [
            {"name": "mood", "kind": {"choice": {"options": ["good", "bad"]}}},
            {"name": "age", "kind": {"integer": {"min": 1, "max": 120}}},
            {"name": "traits", "kind": {"list": {"min": 1, "max": 3, "item": [
                {"name": "quote", "kind": {"quote": {"min_words": 2, "max_words": 6}}},
                {"name": "why", "kind": {"text": {"max_words": 9}}},
            ]}}},
            {"name": "story", "kind": {"text": {"max_words": 65}}},
        ]}))
        .unwrap();
        let text = |description: &str, times: &str| {
            let pattern = format!(r#"^[^ "\\\t\r\n]+( [^ "\\\t\r\n]+){{{times}}}$"#);
            json!({"type": "string", "description": description, "pattern": pattern})
        };
        let expected = json!({"anyOf": [{
            "type": "object", "additionalProperties": false, "required": ["mood", "age", "traits", "story"],
            "properties": {
                "mood": {"type": "string", "enum": ["good", "bad"]},
                "age": {"type": "integer", "minimum": 1, "maximum": 120},
                "traits": {"type": "array", "minItems": 1, "maxItems": 3, "items": {
                    "type": "object", "additionalProperties": false, "required": ["quote", "why"],
                    "properties": {
                        "quote": text("2 to 6 words, copied from one line of the person's own text", "1,5"),
                        "why": text("1 to 9 words on one line", "0,8"),
                    },
                }},
                "story": {"type": "string", "description": "1 to 65 words on one line"},
            },
        }, {"type": "null"}]});
        assert_eq!(form.json_schema(), expected);
    }
}
