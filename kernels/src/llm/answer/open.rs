//! Where an unfinished answer has come to: the choice it stands before.

use super::{AnswerForm, Field, FieldKind, Layout};

/// A choice that an unfinished answer stands before, or in the middle of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChoice {
    /// The field, like `interests[2].label`.
    pub path: String,
    /// The options that what is written still admits, as places among the declared ones.
    pub options: Vec<usize>,
    /// What follows the written text for each of them, to the closing quote.
    pub rest: Vec<String>,
    /// What stands behind the closing quote in any case.
    pub follow: &'static str,
}

/// Why a walk over an answer stops.
enum Stop {
    /// The text ends in a choice.
    Choice(OpenChoice),
    /// The text ends elsewhere, or is not of the form.
    Elsewhere,
}

impl AnswerForm {
    /// The choice that `text`, the beginning of an answer as [`AnswerForm::grammar`] binds it, stands before or in the middle
    /// of; `None` if what comes next is no choice between several options.
    pub fn open_choice(&self, text: &str) -> Option<OpenChoice> {
        let mut walk = Walk { layout: self.layout, rest: text };
        match walk.object(&self.fields, "") {
            Err(Stop::Choice(choice)) if choice.options.len() > 1 => Some(choice),
            _ => None,
        }
    }

    /// Whether there is a choice anywhere in the form.
    pub fn has_choices(&self) -> bool {
        fn any(fields: &[Field]) -> bool {
            fields.iter().any(|field| match &field.kind {
                FieldKind::Choice { options } => options.len() > 1,
                FieldKind::List { item, .. } => any(item),
                _ => false,
            })
        }
        any(&self.fields)
    }

    /// The options of the choice at `path`, as [`OpenChoice::path`] writes it.
    pub fn options_at(&self, path: &str) -> Option<&[String]> {
        let mut fields = self.fields.as_slice();
        for part in path.split('.') {
            let name = part.split('[').next().unwrap_or(part);
            match &fields.iter().find(|field| field.name == name)?.kind {
                FieldKind::Choice { options } => return Some(options),
                FieldKind::List { item, .. } => fields = item,
                _ => return None,
            }
        }
        None
    }
}

/// What of the text has not been walked over.
struct Walk<'t> {
    layout: Layout,
    rest: &'t str,
}

impl Walk<'_> {
    /// Walks over a literal.
    fn pass(&mut self, literal: &str) -> Result<(), Stop> {
        self.rest = self.rest.strip_prefix(literal).ok_or(Stop::Elsewhere)?;
        Ok(())
    }

    fn object(&mut self, fields: &[Field], path: &str) -> Result<(), Stop> {
        for (at, field) in fields.iter().enumerate() {
            let (name, rest) = self.layout.opening(&field.name, at == 0);
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let follow = self.layout.follow(at + 1 == fields.len());
            let closing = self.layout.closing(&field.name);
            self.pass(&name)?;
            if let FieldKind::Choice { options } = &field.kind {
                let layout = self.layout;
                let written =
                    options.iter().map(|option| format!("{rest}{}{closing}", layout.option(option)));
                self.choice(&written.collect::<Vec<_>>(), path, follow)?;
            } else {
                self.pass(rest)?;
                self.value(&field.kind, &path)?;
                self.pass(&closing)?;
            }
        }
        self.pass(self.layout.end())
    }

    /// What stands between the name and the option belongs to it: tokens of an answer may end before or behind it.
    fn choice(&mut self, written: &[String], path: String, follow: &'static str) -> Result<(), Stop> {
        // With its closing quote or tag no option begins another.
        if let Some(rest) = written.iter().find_map(|option| self.rest.strip_prefix(option.as_str())) {
            self.rest = rest;
            return Ok(());
        }
        let open = written
            .iter()
            .enumerate()
            .filter_map(|(at, option)| option.strip_prefix(self.rest).map(|rest| (at, rest.to_owned())));
        let (options, rest): (Vec<usize>, Vec<String>) = open.unzip();
        Err(if options.is_empty() {
            Stop::Elsewhere
        } else {
            Stop::Choice(OpenChoice { path, options, rest, follow })
        })
    }

    fn value(&mut self, kind: &FieldKind, path: &str) -> Result<(), Stop> {
        match kind {
            FieldKind::Choice { .. } => Err(Stop::Elsewhere),
            // Neither holds a quote: the grammar takes care of that.
            FieldKind::Quote { .. } | FieldKind::Text { .. } => {
                let quote = self.layout.quote();
                self.pass(quote)?;
                let end =
                    self.rest.find(if quote.is_empty() { "<" } else { quote }).ok_or(Stop::Elsewhere)?;
                self.rest = &self.rest[end + quote.len()..];
                Ok(())
            }
            FieldKind::Integer { .. } => {
                self.rest = self.rest.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
                Ok(())
            }
            FieldKind::List { item, .. } => {
                let [begin, between, end] = self.layout.list();
                let [open, close] = self.layout.item();
                self.pass(begin)?;
                for place in 0.. {
                    // Of tags, the list is over where its own closing one comes.
                    let is_over =
                        if end.is_empty() { self.rest.starts_with("</") } else { self.pass(end).is_ok() };
                    if is_over {
                        break;
                    }
                    if place > 0 {
                        self.pass(between)?;
                    }
                    self.pass(&open)?;
                    self.object(item, &format!("{path}[{place}]"))?;
                    self.pass(&close)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form() -> AnswerForm {
        serde_json::from_value(json!({"nullable": true, "fields": [
            {"name": "said", "kind": {"quote": {"min_words": 1, "max_words": 3}}},
            {"name": "mood", "kind": {"choice": {"options": ["good", "go", "a \"b\""]}}},
            {"name": "age", "kind": {"integer": {"min": -3, "max": 120}}},
            {"name": "more", "kind": {"list": {"min": 0, "max": 3, "item": [
                {"name": "mood", "kind": {"choice": {"options": ["x", "y"]}}},
                {"name": "one", "kind": {"choice": {"options": ["z"]}}},
            ]}}},
        ]}))
        .unwrap()
    }

    #[test]
    fn the_place_of_an_unfinished_answer_is_found() {
        let whole = r#"{"said": "mood: ", "mood": "go", "age": -3, "more": [{"mood": "x", "one": "z"}, {"mood": "y", "one": "z"}]}"#;
        let form = form();
        form.parse(whole).unwrap();
        let mut seen = Vec::new();
        for end in 0..=whole.len() {
            let Some(open) = form.open_choice(&whole[..end]) else { continue };
            let options = form.options_at(&open.path).unwrap();
            for (at, rest) in open.options.iter().zip(&open.rest) {
                let written = format!("{}{rest}", &whole[..end]);
                assert!(written.ends_with(&json!(options[*at]).to_string()), "{written}");
            }
            assert!(whole[end..].contains(open.follow));
            seen.push((open.path, open.options));
        }
        let of = |path: &str, options: &[usize]| (path.to_owned(), options.to_vec());
        // Before the colon, behind it, behind the space and behind the quote; inside only while two are left.
        let mut expected = vec![of("mood", &[0, 1, 2]); 4];
        expected.extend(vec![of("mood", &[0, 1]); 2]);
        expected.extend(vec![of("more[0].mood", &[0, 1]); 4]);
        expected.extend(vec![of("more[1].mood", &[0, 1]); 4]);
        assert_eq!(seen, expected);
    }

    #[test]
    fn tags_have_choices_too() {
        let form = AnswerForm { layout: Layout::Tags, ..form() };
        let whole = "<said>mood</said>\n<mood>go</mood>\n<age>-3</age>\n<more><item><mood>x</mood>\n<one>z</one></item>\n<item><mood>y";
        let paths: Vec<String> =
            (0..whole.len()).filter_map(|end| Some(form.open_choice(&whole[..end])?.path)).collect();
        let count = |path: &str| paths.iter().filter(|found| *found == path).count();
        // Before the closing bracket of the tag and behind it, and inside while two are left.
        assert_eq!((count("mood"), count("more[0].mood"), count("more[1].mood")), (4, 2, 2), "{paths:?}");
    }

    #[test]
    fn what_is_no_choice_is_none() {
        let form = form();
        for text in ["", "null", "{", "{\"said\": \"a", "no JSON", "{\"said\": \"a\", \"mood\": \"bad"] {
            assert_eq!(form.open_choice(text), None, "{text}");
        }
        assert!(form.has_choices());
        assert_eq!(form.options_at("said"), None);
        assert_eq!(form.options_at("more[7].mood").unwrap(), ["x", "y"]);
    }
}
