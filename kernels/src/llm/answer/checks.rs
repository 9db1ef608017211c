//! What an answer is worth before any judge sees it: read strictly, then held against checks that need no model.

use genome_schemas::Outcome;
use serde_json::Value;

use super::parse::{quotes, texts, without_quotes};
use super::{AnswerForm, Field, FieldKind, is_quotation};
use crate::text::assistant::{Lapse, lapse};
use crate::text::claims::{ClaimKind, Given, content_words};
use crate::text::sentences::{Runs, words};
use crate::text::{language, pii, repetition};

/// Words in a row that an answer may not have in common with the instructions of its prompt.
const ECHO_WORDS: usize = 8;

/// Words in a row that a hidden field may not have in common with the fields it is hidden from.
const LEAK_WORDS: usize = 6;

/// Share of the content words of a hidden field from which on what it is hidden from tells it.
const LEAK_SHARE: f64 = 0.8;

/// Fewest content words of a hidden field of which a share is taken.
const LEAK_LEAST: usize = 4;

/// Letters of a word beyond which it is several: the longest of the common English words have 17, of German compounds that
/// people write about 30.
const LONGEST_WORD: usize = 32;

/// Fewest characters of free text of which a language is told.
const LANGUAGE_CHARS: usize = 60;

/// Fewest characters of a line of a template by which it is known again in a prompt.
const LITERAL_CHARS: usize = 12;

/// A field whose content others of the answer may not tell: the answer of a question, in its scenario.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hidden {
    /// The field.
    pub field: String,
    /// The fields that may not tell it.
    pub from: Vec<String>,
}

/// What answers to one recipe are held against.
#[derive(Debug, Clone, Default)]
pub struct AnswerChecks {
    /// The declared form.
    pub form: AnswerForm,
    /// The words of the prompt that are the same for everybody.
    pub instructions: Instructions,
    /// What free text may state that the prompt does not show, such as names where the recipe asks for pseudonyms.
    pub may_invent: Vec<ClaimKind>,
    /// Least share of the content words of all free text that must stand in what the prompt shows, `0.0..=1.0`.
    pub min_support: f64,
    /// Fewest items of all lists together; one whose free text only repeats its quotation does not count.
    pub min_items: usize,
    /// ISO 639-3 code of the language of free text; none if it does not matter.
    pub language: Option<String>,
    /// Fields that others may not tell.
    pub hidden: Vec<Hidden>,
    /// Most words in a row that free text may have in common with a text of the person; none if it may copy.
    pub max_copied_words: Option<usize>,
}

/// The fixed part of a recipe's prompts.
#[derive(Debug, Clone, Default)]
pub struct Instructions {
    /// Lines of the template between its tags, those that are long enough to be known again.
    lines: Vec<String>,
    /// Runs of as many words as make an echo.
    runs: Runs,
}

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The fields as canonical JSON; none where the answer cannot be read or is `null`.
    pub fields: Option<String>,
    /// [`Outcome::Kept`], or why it leaves.
    pub outcome: Outcome,
    /// The check that it fails.
    pub rule: Option<&'static str>,
    /// What the check measured.
    pub measured: Option<f64>,
    /// The limit it is held against.
    pub limit: Option<f64>,
    /// The words it stumbled over.
    pub matched: Option<String>,
}

impl Verdict {
    fn kept() -> Self {
        Self { rule: None, ..Self::dropped(Outcome::Kept, "") }
    }

    fn dropped(outcome: Outcome, rule: &'static str) -> Self {
        Self { fields: None, outcome, rule: Some(rule), measured: None, limit: None, matched: None }
    }

    fn over(self, matched: &str) -> Self {
        Self { matched: Some(matched.to_owned()), ..self }
    }

    fn measuring(self, measured: f64, limit: f64) -> Self {
        Self { measured: Some(measured), limit: Some(limit), ..self }
    }
}

impl Instructions {
    /// Of a Jinja template and the system message before it.
    pub fn new(template: &str, system: &str) -> Self {
        let mut lines = Vec::new();
        let literals = || literals(template).into_iter().chain([system]);
        for literal in literals() {
            let long = literal.lines().map(str::trim).filter(|line| line.chars().count() >= LITERAL_CHARS);
            lines.extend(long.map(str::to_owned));
        }
        // A line that stands in another is taken out after it.
        lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
        Self { lines, runs: Runs::of(ECHO_WORDS, literals()) }
    }

    /// What a prompt shows beside the instructions.
    pub fn shown(&self, prompt: &str) -> String {
        self.lines.iter().fold(prompt.to_owned(), |prompt, line| prompt.replace(line.as_str(), "\n"))
    }
}

/// The parts of a template outside of its tags.
fn literals(template: &str) -> Vec<&str> {
    let mut literals = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min() {
        literals.push(&rest[..open]);
        let close = match rest.as_bytes()[open + 1] {
            b'{' => "}}",
            b'%' => "%}",
            _ => "#}",
        };
        rest = rest[open..].find(close).map_or("", |at| &rest[open + at + 2..]);
    }
    literals.push(rest);
    literals
}

/// Items of a list whose free text does not only repeat what they quote.
fn statements(field: &Field, value: &Value) -> usize {
    let FieldKind::List { item: fields, .. } = &field.kind else { return 0 };
    let says = |item: &&Value| {
        let (texts, quotes) = (texts(fields, item), quotes(fields, item));
        let quoted = |text: &&str| quotes.iter().any(|quote| words(quote) == words(text));
        texts.is_empty() || !texts.iter().all(quoted)
    };
    value.get(&field.name).and_then(Value::as_array).into_iter().flatten().filter(says).count()
}

/// A word that is longer than words are and that the prompt does not have: a model that must keep to a number of words leaves
/// out the spaces between them. A link is none.
fn run_together<'t>(text: &'t str, prompt: &str) -> Option<&'t str> {
    let is_long = |part: &&str| part.chars().count() > LONGEST_WORD && part.chars().all(char::is_alphabetic);
    let mut parts = text
        .split_whitespace()
        .filter(|word| !word.contains("://"))
        .flat_map(|word| word.split(|c: char| !c.is_alphanumeric()));
    parts.find(|part| is_long(part) && !prompt.contains(part))
}

impl AnswerChecks {
    /// Holds an answer against everything, in this order: the engine's own failures, the form, `null`, items, quotations,
    /// leaks between fields, copies of the person's own text, loops, refusals and other lapses, echoes of the instructions,
    /// words run together, personal data, language, unsupported names and numbers, support as a whole.
    ///
    /// `finish` is how the engine ended (`stop`, `length`, `context`, `unasked`, …), `evidence` what may be quoted and
    /// `prompt` all that the model was shown.
    pub fn check(&self, text: &str, finish: &str, evidence: &str, prompt: &str) -> Verdict {
        let drop = Verdict::dropped;
        match finish {
            "stop" => {}
            "length" => return drop(Outcome::Truncated, "max_tokens"),
            "unasked" => return drop(Outcome::NoAnswer, "too_short_to_quote"),
            "context" => return drop(Outcome::ContextTooLong, "context_length"),
            _ => return drop(Outcome::EngineError, "engine"),
        }
        let value = match self.form.parse(text) {
            Err(error) => return drop(Outcome::Unparseable, "form").over(&error.to_string()),
            Ok(None) => return drop(Outcome::NoAnswer, "null"),
            Ok(Some(value)) => value,
        };
        let failed = self.of_value(&value, text, evidence, prompt);
        let fields = Some(value.to_string());
        Verdict { fields, ..failed.unwrap_or_else(Verdict::kept) }
    }

    fn of_value(&self, value: &Value, text: &str, evidence: &str, prompt: &str) -> Option<Verdict> {
        let drop = Verdict::dropped;
        let items = self.form.fields.iter().map(|field| statements(field, value)).sum::<usize>();
        if items < self.min_items {
            let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
            let found = drop(Outcome::NoAnswer, "too_few_items");
            return Some(found.measuring(count(items), count(self.min_items)));
        }
        let quotes = self.form.quotes(value);
        if let Some(quote) = quotes.into_iter().find(|quote| !is_quotation(evidence, quote)) {
            return Some(drop(Outcome::Ungrounded, "quotation").over(quote));
        }
        let texts = self.form.texts(value);
        if let Some(leak) = self.leak(value).or_else(|| self.copied(&texts, evidence)) {
            return Some(leak);
        }
        if self.is_loop(value) {
            return Some(drop(Outcome::Degenerate, "repetition_loop"));
        }
        for text in &texts {
            if let Some((kind, words)) = lapse(text, evidence) {
                let rule = if kind == Lapse::Refusal { "refusal" } else { "role" };
                return Some(drop(Outcome::Refused, rule).over(words));
            }
            if let Some(words) = self.instructions.runs.first_in(text) {
                return Some(drop(Outcome::Echo, "instructions").over(&words));
            }
            if let Some(word) = run_together(text, prompt) {
                return Some(drop(Outcome::Degenerate, "words_run_together").over(word));
            }
        }
        if pii::has_pii(text) {
            return Some(drop(Outcome::PersonalData, "personal_data"));
        }
        let free = texts.join("\n");
        let in_other = self.language.as_deref().filter(|_| free.chars().count() >= LANGUAGE_CHARS);
        if let Some(language) = in_other {
            let detected = language::detect(&free);
            if detected.reliable && detected.code != language {
                return Some(drop(Outcome::OtherLanguage, "answer_language").over(detected.code));
            }
        }
        self.grounding(&texts, &free, prompt)
    }

    /// Whether a free text runs in a loop, or the answer says the same three times and more in a row. What it quotes does
    /// not count: a label that has the words of its quotation is poor, but no loop.
    fn is_loop(&self, value: &Value) -> bool {
        let whole = without_quotes(&self.form.fields, value).to_string();
        let says_it_again = repetition::repetition_loop(&whole).is_some_and(|found| found.repeats >= 3.0);
        says_it_again
            || self.form.texts(value).into_iter().any(|text| repetition::repetition_loop(text).is_some())
    }

    fn grounding(&self, texts: &[&str], free: &str, prompt: &str) -> Option<Verdict> {
        if free.is_empty() {
            return None;
        }
        let given = Given::of(&self.instructions.shown(prompt));
        let is_english = self.language.as_deref().is_none_or(|language| language == "eng");
        let unsupported =
            |text| if is_english { given.unsupported(text) } else { given.unsupported_digits(text) };
        let mut claims: Vec<_> = texts.iter().copied().flat_map(unsupported).collect();
        claims.retain(|claim| !self.may_invent.contains(&claim.kind));
        if let Some(first) = claims.first() {
            let rule = if first.kind == ClaimKind::Name { "name" } else { "number" };
            let all: Vec<&str> = claims.iter().map(|claim| claim.text).collect();
            let count = f64::from(u32::try_from(claims.len()).unwrap_or(u32::MAX));
            return Some(
                Verdict::dropped(Outcome::Ungrounded, rule).measuring(count, 0.0).over(&all.join(", ")),
            );
        }
        let support = given.support(free);
        (support < self.min_support)
            .then(|| Verdict::dropped(Outcome::Ungrounded, "support").measuring(support, self.min_support))
    }

    fn leak(&self, value: &Value) -> Option<Verdict> {
        let text_of = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        for hidden in &self.hidden {
            let secret = text_of(&hidden.field);
            let shown: Vec<&str> = hidden.from.iter().map(|field| text_of(field)).collect();
            if let Some(run) = Runs::of(LEAK_WORDS, shown.iter().copied()).first_in(secret) {
                return Some(Verdict::dropped(Outcome::Leaked, "hidden_passage").over(&run));
            }
            let share = Given::of(&shown.join("\n")).support(secret);
            if content_words(secret) >= LEAK_LEAST && share >= LEAK_SHARE {
                return Some(Verdict::dropped(Outcome::Leaked, "hidden_words").measuring(share, LEAK_SHARE));
            }
        }
        None
    }

    /// A trace that has the words of what it is for says nothing of what led to them.
    fn copied(&self, texts: &[&str], evidence: &str) -> Option<Verdict> {
        let runs = Runs::of(self.max_copied_words?.saturating_add(1), evidence.lines());
        let run = texts.iter().find_map(|text| runs.first_in(text))?;
        Some(Verdict::dropped(Outcome::Leaked, "own_passage").over(&run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "Texts by one person:\n{% for event in events %}\n[{{ event.date }}] {{ event.own }}\n\
                            {% endfor %}\nSay in one sentence what this person does for a living and where.";

    fn checks() -> AnswerChecks {
        let form = r#"{"fields": [{"name": "quote", "kind": {"quote": {"min_words": 2, "max_words": 8}}},
            {"name": "scenario", "kind": {"text": {"max_words": 60}}},
            {"name": "answer", "kind": {"text": {"max_words": 60}}}], "nullable": true}"#;
        AnswerChecks {
            form: serde_json::from_str(form).unwrap(),
            instructions: Instructions::new(
                TEMPLATE,
                "You stay with what the person's own words really show.",
            ),
            may_invent: Vec::new(),
            min_support: 0.2,
            min_items: 0,
            language: Some("eng".to_owned()),
            hidden: vec![Hidden { field: "answer".to_owned(), from: vec!["scenario".to_owned()] }],
            max_copied_words: None,
        }
    }

    const OWN: &str =
        "I'm forty-three and I've fixed bikes in Tucson since my uncle Ray left me the shop and the dog.";

    fn verdict(scenario: &str, answer: &str) -> (Outcome, Option<&'static str>, Option<String>) {
        let text =
            serde_json::json!({"quote": "fixed bikes in Tucson", "scenario": scenario, "answer": answer});
        let prompt = format!(
            "Texts by one person:\n[2023-05-01] {OWN}\nSay in one sentence what this person does for a living and where."
        );
        let found = checks().check(&text.to_string(), "stop", OWN, &prompt);
        assert!(found.fields.is_some());
        (found.outcome, found.rule, found.matched)
    }

    #[test]
    fn a_supported_answer_stays() {
        let scenario = "A man of 43 runs a bike shop in Tucson that his uncle left him.";
        assert_eq!(verdict(scenario, "He keeps the dog since Ray is gone.").0, Outcome::Kept);
    }

    #[test]
    fn every_fault_has_its_rule() {
        let good = "A man runs a bike shop in Tucson that his uncle left him.";
        for (scenario, answer, outcome, rule, matched) in [
            (good, "He moved to Denver for the dog.", Outcome::Ungrounded, "name", "Denver"),
            (good, "He is thirty-four and keeps the dog.", Outcome::Ungrounded, "number", "thirty-four"),
            (
                good,
                "He keepsthedogsincehisuncleisgonefromhere.",
                Outcome::Degenerate,
                "words_run_together",
                "keepsthedogsincehisuncleisgonefromhere",
            ),
            (
                good,
                "I'm sorry, but I can't help with that.",
                Outcome::Refused,
                "refusal",
                "I'm sorry, but I can't help",
            ),
            (good, "As an AI I have no shop.", Outcome::Refused, "role", "As an AI"),
            (
                "Say in one sentence what this person does for a living.",
                "Keeps the dog.",
                Outcome::Echo,
                "instructions",
                "say in one sentence what this person does",
            ),
            (
                good,
                "It is a bike shop in Tucson that his uncle left him",
                Outcome::Leaked,
                "hidden_passage",
                "a bike shop in tucson that",
            ),
            (good, "He keeps the dog, mail dog@example.com", Outcome::PersonalData, "personal_data", ""),
            (
                "Der Mann führt eine Werkstatt für Fahrräder und hat einen alten Hund, den er sehr liebt.",
                "Er will nicht aufgeben, weil ihm die Arbeit gefällt.",
                Outcome::OtherLanguage,
                "answer_language",
                "deu",
            ),
        ] {
            let found = verdict(scenario, answer);
            assert_eq!((found.0, found.1), (outcome, Some(rule)), "{answer}: {:?}", found.2);
            assert_eq!(found.2.unwrap_or_default(), matched, "{answer}");
        }
        let baker = "Somebody kneads sourdough every morning before sunrise, hoping for customers.";
        assert_eq!(verdict(baker, "Fears losing the bakery lease.").1, Some("support"));
        assert_eq!(verdict(good, "His uncle left that Tucson bike shop").1, Some("hidden_words"));
    }

    /// What becomes of one free text, under a language and a limit of copied words.
    fn of_text(language: &str, most: Option<usize>, text: &str) -> (Option<&'static str>, String) {
        let form = r#"{"fields": [{"name": "thought", "kind": {"text": {"max_words": 60}}}]}"#;
        let checks = AnswerChecks {
            form: serde_json::from_str(form).unwrap(),
            language: Some(language.to_owned()).filter(|code| !code.is_empty()),
            max_copied_words: most,
            ..AnswerChecks::default()
        };
        let prompt = format!("[2023-05-24] {OWN}\n[2023-05-25] Hope this helps, I'm an AI engineer.");
        let evidence = format!("{OWN}\nHope this helps, I'm an AI engineer.");
        let answer = serde_json::json!({"thought": text}).to_string();
        let found = checks.check(&answer, "stop", &evidence, &prompt);
        (found.rule, found.matched.unwrap_or_default())
    }

    #[test]
    fn a_trace_may_not_copy_what_it_is_for() {
        let (seven, eight) = (
            "I want to say that my uncle Ray left me the shop.",
            "I want to say that since my uncle Ray left me the shop.",
        );
        assert_eq!(of_text("eng", Some(7), seven), (None, String::new()));
        assert_eq!(
            of_text("eng", Some(7), eight),
            (Some("own_passage"), "since my uncle ray left me the shop".to_owned())
        );
        assert_eq!(of_text("eng", Some(8), eight), (None, String::new()));
        assert_eq!(of_text("eng", None, OWN), (None, String::new()));
        // Words of two texts in a row are no passage.
        assert_eq!(of_text("eng", Some(2), "Shop, dog: hope this helped."), (None, String::new()));
    }

    #[test]
    fn dates_of_texts_are_no_numbers_to_take_from() {
        let found = of_text("eng", None, "A man of 24 with five children.");
        assert_eq!(found, (Some("number"), "24, five".to_owned()));
        assert_eq!(of_text("eng", None, "In May 2023 he was 43."), (None, String::new()));
    }

    #[test]
    fn what_the_person_says_is_out_of_no_role() {
        for text in ["He says: hope this helps.", "I'm an AI engineer with a shop."] {
            assert_eq!(of_text("eng", None, text), (None, String::new()), "{text}");
        }
        assert_eq!(of_text("eng", None, "As an AI I fix bikes.").0, Some("role"));
    }

    #[test]
    fn of_other_languages_only_numbers_in_digits_are_held_against_the_prompt() {
        let text = "Der Mann hat einen Hund und eine Werkstatt, in der er seit dem Tod des Onkels Fahrräder repariert.";
        assert_eq!(of_text("deu", None, text), (None, String::new()));
        assert_eq!(of_text("deu", None, &format!("{text} Er ist 34.")), (Some("number"), "34".to_owned()));
        assert_eq!(of_text("", None, "Bought in Denver.").0, Some("name"));
    }

    #[test]
    fn what_only_repeats_its_quotation_says_nothing_and_is_no_loop() {
        let list = |name: &str| {
            serde_json::json!({"name": name, "kind": {"list": {"min": 0, "max": 4, "item": [
                {"name": "quote", "kind": {"quote": {"min_words": 1, "max_words": 9}}},
                {"name": "phrase", "kind": {"text": {"max_words": 30}}}]}}})
        };
        let form = serde_json::json!({"fields": [list("likes"), list("values")]});
        let checks = AnswerChecks {
            form: serde_json::from_value(form).unwrap(),
            min_items: 2,
            ..AnswerChecks::default()
        };
        let own = "I have fixed bikes in Tucson for so long";
        let item = |phrase: &str| serde_json::json!({"quote": own, "phrase": phrase});
        let found = |likes: &[&str], values: &[&str]| {
            let items = |phrases: &[&str]| phrases.iter().map(|phrase| item(phrase)).collect::<Value>();
            let text = serde_json::json!({"likes": items(likes), "values": items(values)}).to_string();
            checks.check(&text, "stop", own, own).rule
        };
        assert_eq!(found(&["bikes"], &["fixed bikes"]), None);
        assert_eq!(found(&["bikes", own], &[own]), Some("too_few_items"));
        assert_eq!(found(&["bikes", own], &["I fixed bikes in Tucson", own]), None);
        let same = "fixed bikes in Tucson";
        assert_eq!(found(&[same, same, same], &[]), Some("repetition_loop"));
        assert_eq!(found(&[same, same], &[same, same]), None);
        // The first once more is no text that breaks off in its second round.
        let ten = "enjoys long slow walks by the rivers of the desert";
        assert_eq!(found(&[ten, "old paper maps", ten], &[]), None);
        let round = format!("{ten} and {ten}");
        assert_eq!(found(&[&round, "bikes"], &[]), Some("repetition_loop"));
    }

    #[test]
    fn literals_are_what_stands_between_tags() {
        assert_eq!(literals("a {{ b }} c {# d #}{% if e %}f{% endif %}"), ["a ", " c ", "", "f", ""]);
        assert_eq!(literals("a {{ never closed"), ["a ", ""]);
        let instructions = Instructions::new(TEMPLATE, "");
        assert_eq!(instructions.shown("Texts by one person:\n[2023] tea").trim(), "[2023] tea");
    }
}
