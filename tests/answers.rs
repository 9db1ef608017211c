//! Checks that need no judge, against answers written by hand and the same answers spoiled in every way that they are for.
//!
//! `cargo test --test it -- answers --nocapture` prints the shares that docs/quality.md gives.

use std::collections::BTreeMap;

use genome_kernels::llm::{AnswerChecks, Verdict, quotable};
use genome_kernels::text::claims::{ClaimKind, Given};
use genome_schemas::Outcome;
use genome_stages::synthesis::RecipeLibrary;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::support::root;

#[derive(Deserialize)]
struct File {
    answer: Vec<Right>,
}

/// A right answer about an invented person.
#[derive(Deserialize)]
struct Right {
    person: String,
    #[serde(default)]
    post: Option<usize>,
    recipe: String,
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
struct Person {
    posts: Vec<Post>,
}

#[derive(Deserialize)]
struct Post {
    at: String,
    #[serde(default)]
    title: String,
    /// Empty for what is planted for the filters.
    #[serde(default)]
    text: String,
}

/// What a model would be shown: the person's own texts, as prompts have them.
fn shown(person: &str, post: Option<usize>) -> (String, String) {
    let path = root().join("examples/make_dumps/people").join(person).with_extension("toml");
    let person: Person = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let wanted = person.posts.iter().enumerate();
    let wanted = wanted.filter(|(at, own)| !own.text.is_empty() && post.is_none_or(|post| post == *at));
    let texts = wanted.map(|(_, post)| {
        let title = if post.title.is_empty() { String::new() } else { format!("{}. ", post.title) };
        (post.at.get(..10).unwrap_or_default(), quotable(&format!("{title}{}", post.text)))
    });
    let texts: Vec<(&str, String)> = texts.collect();
    assert!(!texts.is_empty(), "no such post");
    let evidence: Vec<&str> = texts.iter().map(|(_, own)| own.as_str()).collect();
    let prompt: Vec<String> = texts.iter().map(|(date, own)| format!("[{date}] {own}")).collect();
    (evidence.join("\n"), prompt.join("\n"))
}

impl Right {
    /// What becomes of some fields as an answer about this one's text.
    fn verdict(&self, checks: &AnswerChecks, fields: &Map<String, Value>) -> Verdict {
        let (evidence, prompt) = shown(&self.person, self.post);
        checks.check(&Value::Object(fields.clone()).to_string(), "stop", &evidence, &prompt)
    }

    /// The fields with free text, changed.
    fn with_text(
        &self,
        checks: &AnswerChecks,
        change: impl Fn(&str) -> String,
    ) -> Option<Map<String, Value>> {
        let value = Value::Object(self.fields.clone());
        let texts = checks.form.texts(&value);
        let mut changed = self.fields.clone();
        for (_, field) in &mut changed {
            if let Some(text) = field.as_str().filter(|text| texts.contains(text)) {
                *field = change(text).into();
            }
        }
        (changed != self.fields).then_some(changed)
    }

    /// The answer spoiled in every way it can be: what was done, and the fields.
    fn spoiled(&self, checks: &AnswerChecks, instruction: &str) -> Vec<(&'static str, Map<String, Value>)> {
        let claims = |text: &str, kind: ClaimKind| -> Vec<String> {
            let claims = Given::default().unsupported(text);
            claims.into_iter().filter(|claim| claim.kind == kind).map(|claim| claim.text.to_owned()).collect()
        };
        let swap = |kind: ClaimKind, others: &'static [&'static str]| {
            move |text: &str| {
                let found = claims(text, kind);
                let swapped = found.iter().enumerate();
                swapped.fold(text.to_owned(), |text, (at, claim)| {
                    text.replace(claim.as_str(), others[(at + claim.len()) % others.len()])
                })
            }
        };
        let end = |said: &'static str| move |text: &str| format!("{text} {said}");
        let mut spoiled = Vec::new();
        let mut add =
            |what, fields: Option<Map<String, Value>>| spoiled.extend(fields.map(|fields| (what, fields)));
        add(
            "swapped names",
            self.with_text(checks, swap(ClaimKind::Name, &["Bergen", "Marta", "Toledo", "Kyoto"])),
        );
        add(
            "swapped numbers",
            self.with_text(checks, swap(ClaimKind::Number, &["84", "seventeen", "677", "ninety-one"])),
        );
        add(
            "refusals",
            self.with_text(checks, |_| "I'm sorry, but I can't help with that request.".to_owned()),
        );
        add("out of role", self.with_text(checks, end("I hope this helps, as an AI language model.")));
        add("echoes", self.with_text(checks, |text| format!("{text} {instruction}")));
        add("mail addresses", self.with_text(checks, end("Write to marta.k@example.org about it.")));
        let german =
            "Die Person lebt gern allein, arbeitet viel und denkt oft darüber nach, was morgen wird.";
        add(
            "another language",
            self.with_text(checks, |text| format!("{german} {}", german.repeat(text.len() / 300))),
        );
        if let Some(quote) = self.fields.get("quote").and_then(Value::as_str) {
            let mut words: Vec<&str> = quote.split(' ').collect();
            let middle = words.len() / 2;
            words[middle] = "never";
            let mut changed = self.fields.clone();
            changed.insert("quote".to_owned(), words.join(" ").into());
            add("changed quotations", Some(changed));
        }
        if let (Some(scenario), Some(answer)) = (self.fields.get("scenario"), self.fields.get("answer")) {
            let told = format!("{} {}", scenario.as_str().unwrap(), answer.as_str().unwrap());
            let mut changed = self.fields.clone();
            changed.insert("scenario".to_owned(), told.into());
            add("told answers", Some(changed));
        }
        spoiled
    }
}

#[test]
fn spoiled_ones_are_caught_and_right_ones_are_not() {
    let text = std::fs::read_to_string(root().join("tests/answers/right.toml")).unwrap();
    let answers = toml::from_str::<File>(&text).unwrap().answer;
    let library = RecipeLibrary::default();
    let mut wrongly = Vec::new();
    // Caught, of how many, by kind.
    let mut caught: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    for (at, right) in answers.iter().enumerate() {
        let recipe = library.recipe(&right.recipe).unwrap();
        let checks = library.checks(recipe).unwrap();
        let verdict = right.verdict(&checks, &right.fields);
        if verdict.outcome != Outcome::Kept {
            wrongly
                .push(format!("{} {}: {:?} {:?}", right.person, right.recipe, verdict.rule, verdict.matched));
        }
        let lines = recipe.template.lines().filter(|line| !line.contains('{'));
        let instruction = lines.max_by_key(|line| line.len()).unwrap();
        let mut spoiled: Vec<(&str, Verdict)> = right
            .spoiled(&checks, instruction)
            .into_iter()
            .map(|(what, fields)| (what, right.verdict(&checks, &fields)))
            .collect();
        // The next answer that is about somebody else, held against this person's texts.
        let other = (1..answers.len()).map(|step| &answers[(at + step) % answers.len()]);
        let other =
            other.into_iter().find(|other| other.person != right.person && other.recipe == right.recipe);
        if let Some(other) = other {
            spoiled.push(("of another person", right.verdict(&checks, &other.fields)));
        }
        for (what, verdict) in spoiled {
            let (found, of) = caught.entry(what).or_default();
            *of += 1;
            if verdict.outcome == Outcome::Kept {
                missed.push(format!("{what}: {} {}", right.person, right.recipe));
            } else {
                *found += 1;
            }
        }
    }
    for (what, (found, of)) in &caught {
        println!("| {what} | {found} of {of} |");
    }
    let (found, of) = caught.values().fold((0, 0), |sum, kind| (sum.0 + kind.0, sum.1 + kind.1));
    println!("| all | {found} of {of} |\n{} of {} right ones rejected", wrongly.len(), answers.len());
    println!("rejected: {wrongly:#?}\nmissed: {missed:#?}");
    assert!(answers.len() >= 36 && of >= 250, "{} answers, {of} spoiled", answers.len());
    assert!(found * 100 >= of * 95, "{found} of {of} caught: {missed:#?}");
    assert!(wrongly.len() * 20 < answers.len(), "{wrongly:#?}");
}
