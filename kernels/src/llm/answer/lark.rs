//! The declared form as a grammar.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

use super::evidence::passages;
use super::integer::range_pattern;
use super::{AnswerForm, Field, FieldKind, Layout, quotable};
use crate::KernelError;
use crate::llm::grammar::Grammar;

impl AnswerForm {
    /// The grammar of answers over the given evidence. What it allows, [`AnswerForm::parse`] accepts, and its
    /// quotations pass [`super::is_quotation`].
    ///
    /// A quotation never crosses a line of the evidence. Where the evidence has no line long enough for a quotation,
    /// a list that may be empty is empty, and an answer that may be `null` is `null`.
    ///
    /// # Errors
    /// The declaration is wrong, or the evidence allows no answer at all.
    pub fn grammar(&self, evidence: &str) -> Result<Grammar, KernelError> {
        self.validate()?;
        let mut writer = Writer::new(self.layout, passages(evidence));
        let start = match (writer.object(&self.fields), self.nullable) {
            (Some(object), true) => format!("{object} | \"null\""),
            (Some(object), false) => object,
            (None, true) => "\"null\"".to_owned(),
            (None, false) => {
                return Err(KernelError::Argument(
                    "the evidence has no line with enough words for the quotation the answer needs".into(),
                ));
            }
        };
        writer.rule("start", &start);
        Ok(Grammar::Form { lark: writer.finish(), form: Arc::new(self.clone()) })
    }
}

/// Writes rules; every method gives the name of what it wrote, or `None` where nothing can match.
struct Writer {
    layout: Layout,
    rules: String,
    count: usize,
    passages: Vec<String>,
    most_words: usize,
    has_evidence: bool,
    has_word: bool,
}

impl Writer {
    fn new(layout: Layout, mut passages: Vec<String>) -> Self {
        if layout == Layout::Tags {
            // A tag in the evidence would end the quotation.
            passages = passages.iter().flat_map(|passage| passage.split('<')).map(quotable).collect();
            passages.retain(|passage| !passage.is_empty());
        }
        let most_words = passages.iter().map(|passage| passage.split(' ').count()).max().unwrap_or(0);
        Self {
            layout,
            rules: String::new(),
            count: 0,
            passages,
            most_words,
            has_evidence: false,
            has_word: false,
        }
    }

    fn finish(self) -> String {
        self.rules
    }

    fn rule(&mut self, name: &str, body: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.rules, "{name}: {body}");
    }

    /// Rules are lower case, terminals upper case.
    fn numbered(&mut self, prefix: &str, body: &str) -> String {
        self.count += 1;
        let name = format!("{prefix}{}{}", if prefix.ends_with('_') { "" } else { "_" }, self.count);
        self.rule(&name, body);
        name
    }

    fn object(&mut self, fields: &[Field]) -> Option<String> {
        let mut body = String::new();
        for (at, field) in fields.iter().enumerate() {
            let value = self.value(&field.kind)?;
            let (name, rest) = self.layout.opening(&field.name, at == 0);
            let closing = optional_literal(&self.layout.closing(&field.name));
            let _ = write!(body, "{} {value} {closing} ", literal(&format!("{name}{rest}")));
        }
        body.push_str(&optional_literal(self.layout.end()));
        Some(self.numbered("object", &body))
    }

    fn value(&mut self, kind: &FieldKind) -> Option<String> {
        match kind {
            FieldKind::Choice { options } => {
                let options: Vec<String> =
                    options.iter().map(|option| literal(&self.layout.option(option))).collect();
                Some(self.numbered("CHOICE", &options.join(" | ")))
            }
            FieldKind::Quote { min_words, max_words } => {
                if *min_words > self.most_words {
                    return None;
                }
                self.write_evidence();
                let word = self.layout.quoted_word();
                let more = repeated(&format!("( {word})"), min_words - 1, max_words - 1);
                let words = format!("/{word}{more}/");
                let quote = optional_literal(self.layout.quote());
                Some(self.numbered("QUOTE", &format!("{quote} (EVIDENCE & {words}) {quote}")))
            }
            FieldKind::Text { min_words, max_words } => {
                self.write_word();
                let more = repeated("(\" \" WORD)", min_words - 1, max_words - 1);
                let quote = optional_literal(self.layout.quote());
                Some(self.numbered("TEXT", &format!("{quote} WORD {more} {quote}")))
            }
            FieldKind::Integer { min, max } => {
                Some(self.numbered("INTEGER", &format!("/{}/", range_pattern(*min, *max))))
            }
            FieldKind::List { min, max, item } => {
                let item = if *max == 0 { None } else { self.object(item) };
                let [begin, between, end] = self.layout.list().map(optional_literal);
                match item {
                    Some(item) => {
                        let [open, close] = self.layout.item().map(|tag| optional_literal(&tag));
                        let item = format!("{open} {item} {close}");
                        let more = repeated(&format!("({between} {item})"), min.saturating_sub(1), max - 1);
                        let items = format!("{item} {more}");
                        let optional = if *min == 0 { "?" } else { "" };
                        Some(self.numbered("list", &format!("{begin} ({items}){optional} {end}")))
                    }
                    // Nothing at all cannot be a rule of its own.
                    None if *min == 0 => Some(self.numbered("list", &format!("{begin} {end} \"\""))),
                    None => None,
                }
            }
        }
    }

    /// Any run of words, spaces and line breaks of the evidence. A quotation is that and, at once, words with single
    /// spaces between them, which keeps it to whole words of one line.
    fn write_evidence(&mut self) {
        if self.has_evidence {
            return;
        }
        self.has_evidence = true;
        let mut chunks: Vec<&str> = Vec::new();
        for (at, passage) in self.passages.iter().enumerate() {
            if at > 0 {
                chunks.push("\n");
            }
            for (at, word) in passage.split(' ').enumerate() {
                if at > 0 {
                    chunks.push(" ");
                }
                chunks.push(word);
            }
        }
        let body = format!("%regex {}", json!({ "substring_chunks": chunks }));
        self.rule("EVIDENCE", &body);
    }

    fn write_word(&mut self) {
        if !self.has_word {
            self.has_word = true;
            self.rule("WORD", self.layout.word());
        }
    }
}

/// A repeated part; Lark has no way to write "zero times".
fn repeated(part: &str, min: usize, max: usize) -> String {
    if max == 0 { String::new() } else { format!("{part}{{{min},{max}}}") }
}

/// A literal, or nothing for an empty one.
fn optional_literal(text: &str) -> String {
    if text.is_empty() { String::new() } else { literal(text) }
}

/// A literal of Lark, which is written like a string of JSON.
fn literal(text: &str) -> String {
    json!(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::is_quotation;
    use super::*;
    use crate::llm::grammar::GrammarCompiler;
    use crate::llm::test_support::{Walk, toy_tokenizer};

    fn field(name: &str, kind: FieldKind) -> Field {
        Field { name: name.into(), kind }
    }

    fn full_form() -> AnswerForm {
        AnswerForm {
            fields: vec![
                field(
                    "mood",
                    FieldKind::Choice {
                        options: ["the", "the end", "a \"b\\\"", "ü"].map(Into::into).into(),
                    },
                ),
                field("said", FieldKind::Quote { min_words: 2, max_words: 4 }),
                field("why", FieldKind::Text { min_words: 1, max_words: 3 }),
                field("age", FieldKind::Integer { min: -3, max: 120 }),
                field(
                    "more",
                    FieldKind::List {
                        min: 0,
                        max: 3,
                        item: vec![
                            field("quote", FieldKind::Quote { min_words: 1, max_words: 2 }),
                            field("yes", FieldKind::Choice { options: vec!["y".into(), "n".into()] }),
                        ],
                    },
                ),
            ],
            nullable: true,
            ..AnswerForm::default()
        }
    }

    const EVIDENCE: &str =
        "The cat sat on the mat, the cat said \"the end\".\nÄpfel \\ Birnen 🍏 sind gut\n\nthe the the";

    #[test]
    fn whatever_the_mask_allows_parses_and_quotes_the_evidence() {
        let tokenizer = Arc::new(toy_tokenizer());
        let compiler = GrammarCompiler::new(Arc::clone(&tokenizer), tokenizer.vocab_size()).unwrap();
        let form = full_form();
        let prototype = compiler.compile(&form.grammar(EVIDENCE).unwrap()).unwrap().unwrap();
        let (mut nulls, mut quotes, mut empty) = (0, 0, 0);
        for seed in 0..300 {
            let text = Walk::new(seed).run(&tokenizer, &mut prototype.clone(), 2000).unwrap();
            let Some(value) = form.parse(&text).unwrap_or_else(|error| panic!("{error}: {text}")) else {
                nulls += 1;
                continue;
            };
            assert!(!text.contains('\n') && text.starts_with("{\"mood\": \""), "{text}");
            for quote in form.quotes(&value) {
                quotes += 1;
                assert!(is_quotation(EVIDENCE, quote), "{quote} is not in the evidence: {text}");
            }
            empty += usize::from(value["more"].as_array().unwrap().is_empty());
        }
        // The walk has seen all branches.
        assert!(nulls > 10 && quotes > 300 && empty > 10, "{nulls} {quotes} {empty}");
    }

    #[test]
    fn tags_hold_the_same_values() {
        let tokenizer = Arc::new(toy_tokenizer());
        let compiler = GrammarCompiler::new(Arc::clone(&tokenizer), tokenizer.vocab_size()).unwrap();
        let form = AnswerForm { layout: Layout::Tags, ..full_form() };
        let evidence = format!("{EVIDENCE}\na <b>bold</b> claim");
        let prototype = compiler.compile(&form.grammar(&evidence).unwrap()).unwrap().unwrap();
        let (mut quotes, mut empty) = (0, 0);
        for seed in 0..200 {
            let text = Walk::new(seed).run(&tokenizer, &mut prototype.clone(), 2000).unwrap();
            let Some(value) = form.parse(&text).unwrap_or_else(|error| panic!("{error}: {text}")) else {
                continue;
            };
            assert!(text.starts_with("<mood>") && text.ends_with("</more>"), "{text}");
            for quote in form.quotes(&value) {
                quotes += 1;
                assert!(is_quotation(&evidence, quote), "{quote} is not in the evidence: {text}");
            }
            empty += usize::from(value["more"].as_array().unwrap().is_empty());
        }
        assert!(quotes > 200 && empty > 5, "{quotes} {empty}");
    }

    #[test]
    fn evidence_without_a_long_enough_line() {
        let form = full_form();
        assert!(lark(&form, "one\ntwo").ends_with("start: \"null\"\n"));
        let strict = AnswerForm { nullable: false, ..form };
        assert!(strict.grammar("one\ntwo").is_err());
        assert!(strict.grammar("one two").is_ok());
        let list = AnswerForm { fields: strict.fields[4..].to_vec(), ..AnswerForm::default() };
        assert_eq!(walk(&list, "", 3), "{\"more\": []}");
    }

    fn lark(form: &AnswerForm, evidence: &str) -> String {
        let Grammar::Form { lark, .. } = form.grammar(evidence).unwrap() else { panic!("no form") };
        lark
    }

    fn walk(form: &AnswerForm, evidence: &str, seed: u64) -> String {
        let tokenizer = Arc::new(toy_tokenizer());
        let compiler = GrammarCompiler::new(Arc::clone(&tokenizer), tokenizer.vocab_size()).unwrap();
        let mut matcher = compiler.compile(&form.grammar(evidence).unwrap()).unwrap().unwrap();
        Walk::new(seed).run(&tokenizer, &mut matcher, 5000).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_evidence_any_limits(
            evidence in "([a-c\"\\\\]{1,3}[ \\n]){0,12}|\\PC{0,40}",
            min_words in 1_usize..4,
            extra in 0_usize..4,
            seed in any::<u64>(),
            tags in any::<bool>(),
        ) {
            let form = AnswerForm {
                fields: vec![
                    field("quote", FieldKind::Quote { min_words, max_words: min_words + extra }),
                    field("text", FieldKind::Text { min_words, max_words: min_words + extra }),
                ],
                nullable: true,
                layout: if tags { Layout::Tags } else { Layout::Json },
            };
            let text = walk(&form, &evidence, seed);
            if let Some(value) = form.parse(&text).unwrap() {
                for quote in form.quotes(&value) {
                    prop_assert!(is_quotation(&evidence, quote), "{} in {}", quote, evidence);
                }
            }
        }
    }

    #[test]
    fn every_span_within_the_limits_can_be_written() {
        let tokenizer = Arc::new(toy_tokenizer());
        let compiler = GrammarCompiler::new(Arc::clone(&tokenizer), tokenizer.vocab_size()).unwrap();
        let form = AnswerForm {
            fields: vec![field("q", FieldKind::Quote { min_words: 2, max_words: 3 })],
            ..AnswerForm::default()
        };
        let prototype = compiler.compile(&form.grammar("a b c a d\nb d").unwrap()).unwrap().unwrap();
        let allows = |quote: &str| {
            let mut matcher = prototype.clone();
            let ids = tokenizer.encode(&format!("{{\"q\": \"{quote}\"}}")).unwrap();
            ids.iter().all(|&id| matcher.consume(id).is_ok()) && matcher.is_complete()
        };
        for quote in ["a b", "b c", "c a", "a d", "b d", "a b c", "b c a", "c a d"] {
            assert!(allows(quote), "{quote}");
        }
        for quote in ["a", "a c", "d b", "a b c a", " a b", "a b ", "d\nb", ""] {
            assert!(!allows(quote), "{quote}");
        }
    }
}
