//! The declared form of an answer: fields with kinds and limits.
//!
//! One declaration serves three ends. [`AnswerForm::grammar`] binds the model to it while it writes,
//! [`AnswerForm::parse`] reads what came out, whoever wrote it, and [`AnswerForm::quotes`] finds what claims to be
//! copied from the evidence. An answer is one line of JSON with the separators `", "` and `": "`, or a row of tags
//! ([`Layout`]), its fields in the declared order.

mod checks;
mod evidence;
mod integer;
mod lark;
mod layout;
mod open;
mod parse;
mod schema;

use serde::{Deserialize, Serialize};

pub use checks::{AnswerChecks, Hidden, Instructions, Verdict};
pub use evidence::{is_quotation, quotable};
pub use layout::Layout;
pub use open::OpenChoice;
pub use parse::AnswerError;

use crate::KernelError;

/// Largest size of an integer in an answer: what every JSON reader keeps exactly.
const LARGEST_INTEGER: i64 = 1_000_000_000_000_000;

/// The form of an answer: one object, or `null` where that is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerForm {
    /// The fields, in the order in which they are written.
    pub fields: Vec<Field>,
    /// Whether `null` is an answer: "nothing can be said".
    #[serde(default)]
    pub nullable: bool,
    /// How it is written down.
    #[serde(default)]
    pub layout: Layout,
}

/// A named part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Name: letters, digits and underscores.
    pub name: String,
    /// What it may hold.
    pub kind: FieldKind,
}

/// What a field may hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FieldKind {
    /// One of the given texts.
    Choice {
        /// The texts, all different.
        options: Vec<String>,
    },
    /// Whole words copied from one line of the evidence.
    Quote {
        /// Fewest words, at least 1.
        min_words: usize,
        /// Most words.
        max_words: usize,
    },
    /// Free text of one line; words are what spaces separate.
    Text {
        /// Fewest words, at least 1.
        #[serde(default = "one")]
        min_words: usize,
        /// Most words.
        max_words: usize,
    },
    /// A whole number.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A list of objects.
    List {
        /// Fewest items.
        min: usize,
        /// Most items.
        max: usize,
        /// The fields of an item.
        item: Vec<Field>,
    },
}

fn one() -> usize {
    1
}

impl AnswerForm {
    /// Checks the declaration itself.
    ///
    /// # Errors
    /// Every mistake in it, one a line, each with the path of its field.
    pub fn validate(&self) -> Result<(), KernelError> {
        let mut findings = Vec::new();
        validate_fields(&self.fields, "answer", &mut findings);
        if self.layout == Layout::Tags {
            validate_tags(&self.fields, &mut vec![layout::ITEM], &mut findings);
        }
        if findings.is_empty() { Ok(()) } else { Err(KernelError::Argument(findings.join("\n"))) }
    }
}

/// Tags end where their name is closed, so that a name may stand only once, and an option may not look like a tag.
fn validate_tags<'f>(fields: &'f [Field], taken: &mut Vec<&'f str>, findings: &mut Vec<String>) {
    for field in fields {
        let name = field.name.as_str();
        if taken.contains(&name) {
            findings.push(format!("answer: with tags, `{name}` can be the name of one field only"));
        }
        taken.push(name);
        match &field.kind {
            FieldKind::Choice { options } => {
                let tags = options.iter().filter(|option| option.contains('<') || option.trim() != **option);
                findings.extend(tags.map(|option| {
                    format!(
                        "answer.{name}: with tags, option {option:?} may have no `<` and no space at its ends"
                    )
                }));
            }
            FieldKind::List { item, .. } => validate_tags(item, taken, findings),
            _ => {}
        }
    }
}

fn validate_fields(fields: &[Field], path: &str, findings: &mut Vec<String>) {
    if fields.is_empty() {
        findings.push(format!("{path}: no fields"));
    }
    for (at, field) in fields.iter().enumerate() {
        let name = &field.name;
        let path = format!("{path}.{name}");
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            findings.push(format!("{path}: a name has letters, digits and underscores"));
        }
        if fields[..at].iter().any(|other| &other.name == name) {
            findings.push(format!("{path}: declared twice"));
        }
        match &field.kind {
            FieldKind::Choice { options } => {
                if options.is_empty() {
                    findings.push(format!("{path}: no options"));
                }
                for (at, option) in options.iter().enumerate() {
                    if option.chars().any(char::is_control) {
                        findings.push(format!("{path}: option {option:?} has a control character"));
                    }
                    if options[..at].contains(option) {
                        findings.push(format!("{path}: option {option:?} is there twice"));
                    }
                }
            }
            FieldKind::Quote { min_words, max_words } | FieldKind::Text { min_words, max_words } => {
                if *min_words == 0 || min_words > max_words {
                    findings.push(format!("{path}: {min_words} to {max_words} words is no range from 1"));
                }
            }
            FieldKind::Integer { min, max } => {
                if min > max || min.abs() > LARGEST_INTEGER || max.abs() > LARGEST_INTEGER {
                    findings.push(format!("{path}: {min} to {max} is no range within 10^15"));
                }
            }
            FieldKind::List { min, max, item } => {
                if min > max {
                    findings.push(format!("{path}: {min} to {max} items is no range"));
                }
                validate_fields(item, &path, findings);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_of_a_declaration_is_found_at_once() {
        let field = |name: &str, kind| Field { name: name.into(), kind };
        let form = AnswerForm {
            fields: vec![
                field("a b", FieldKind::Integer { min: 2, max: 1 }),
                field("x", FieldKind::Choice { options: vec!["y".into(), "y".into(), "z\n".into()] }),
                field("x", FieldKind::Text { min_words: 0, max_words: 3 }),
                field("l", FieldKind::List { min: 1, max: 0, item: vec![] }),
            ],
            ..AnswerForm::default()
        };
        let message = form.validate().unwrap_err().to_string();
        assert_eq!(message.lines().count(), 8, "{message}");
        assert!(message.contains("answer.l: no fields"), "{message}");
    }

    #[test]
    fn declarations_are_read_strictly() {
        let json = r#"{"fields": [{"name": "a", "kind": {"text": {"max_words": 3}}},
                       {"name": "b", "kind": {"list": {"min": 0, "max": 2, "item":
                           [{"name": "c", "kind": {"choice": {"options": ["x"]}}}]}}}]}"#;
        let form: AnswerForm = serde_json::from_str(json).unwrap();
        assert_eq!(form.fields[0].kind, FieldKind::Text { min_words: 1, max_words: 3 });
        assert!(!form.nullable);
        form.validate().unwrap();
        for wrong in [json.replace("max_words", "max_word"), json.replace("\"c\",", "\"c\", \"d\": 1,")] {
            assert!(serde_json::from_str::<AnswerForm>(&wrong).is_err(), "{wrong}");
        }
    }
}
