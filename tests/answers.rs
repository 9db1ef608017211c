//! Checks that need no judge, against answers written by hand and the same answers spoiled in every way that they are for.
//!
//! `cargo test --test it -- answers --nocapture` prints the shares that docs/quality.md gives.

use std::collections::BTreeMap;

use genome_kernels::llm::{AnswerChecks, Field, FieldKind, Verdict, quotable};
use genome_schemas::Outcome;
use genome_stages::synthesis::RecipeLibrary;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::support::root;

/// Fewest characters of free text of which a language is told.
const LANGUAGE_CHARS: usize = 60;

/// As many words as the free text of any answer has, in another language.
const GERMAN: &str = "Die Person wohnt seit vielen Jahren allein in einem kleinen Haus am Rand der Stadt und arbeitet \
    mehr, als ihr gut tut. Am Morgen trinkt sie Tee und schaut lange aus dem Fenster, bevor sie mit irgendwem spricht. \
    Sie mag Leute, die wenig reden und ihre Sachen in Ordnung halten, und ärgert sich über jeden, der zu spät kommt. \
    Früher wollte sie gern am Meer leben, aber daraus ist nichts geworden, weil das Geld nie gereicht hat. Abends liest \
    sie alte Briefe, hört leise Musik und denkt darüber nach, was morgen wird. Wenn der Garten blüht, lädt sie die \
    Nachbarn ein und kocht für alle eine große Suppe, obwohl ihr danach die Hände weh tun.";

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
    /// Names that stand in its free text, marked by hand.
    #[serde(default)]
    names: Vec<String>,
    /// Numbers and ages that stand in its free text, as they are written, with their values; marked by hand.
    #[serde(default)]
    numbers: BTreeMap<String, u32>,
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

fn is_text(kind: &FieldKind) -> bool {
    matches!(kind, FieldKind::Text { .. })
}

fn is_quote(kind: &FieldKind) -> bool {
    matches!(kind, FieldKind::Quote { .. })
}

/// Changes the strings of some kind in an object that has these fields, those in lists too.
fn change_each(
    fields: &[Field],
    object: &mut Map<String, Value>,
    is_wanted: fn(&FieldKind) -> bool,
    change: &mut dyn FnMut(&str) -> Option<String>,
) {
    for field in fields {
        match (&field.kind, object.get_mut(&field.name)) {
            (FieldKind::List { item, .. }, Some(Value::Array(items))) => {
                for object in items.iter_mut().filter_map(Value::as_object_mut) {
                    change_each(item, object, is_wanted, change);
                }
            }
            (kind, Some(value)) if is_wanted(kind) => {
                if let Some(changed) = change(value.as_str().unwrap()) {
                    *value = changed.into();
                }
            }
            _ => {}
        }
    }
}

/// Puts a text before another one.
fn before(said: &str) -> impl Fn(&str) -> Option<String> {
    move |text: &str| Some(format!("{said} {text}"))
}

/// A text with other words in place of some whole words, where these stand first.
fn swapped(text: &str, old: &str, new: &str) -> Option<String> {
    let is_end = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let (at, _) = text.match_indices(old).find(|(at, _)| {
        is_end(text[..*at].chars().next_back()) && is_end(text[at + old.len()..].chars().next())
    })?;
    Some(format!("{}{new}{}", &text[..at], &text[at + old.len()..]))
}

/// What is put in place of a name or a number: values from answers about other people, one after the other.
struct Draw<'a> {
    answers: &'a [Right],
    turn: usize,
}

impl Draw<'_> {
    fn others(&self, right: &Right) -> impl Iterator<Item = &Right> {
        self.answers.iter().filter(move |other| other.person != right.person)
    }

    fn name(&mut self, right: &Right) -> String {
        let names = self.others(right).flat_map(|other| other.names.iter().cloned());
        let names = names.filter(|name| !right.names.contains(name)).collect();
        self.one_of(names)
    }

    /// A number of another value: of somebody else, or a small one, as dates, ratings and counts are.
    fn number(&mut self, right: &Right) -> String {
        let of_others = self.others(right).flat_map(|other| &other.numbers);
        let of_others = of_others.map(|(text, value)| (text.clone(), *value));
        let small = (1..=31).map(|value: u32| (value.to_string(), value));
        let all = of_others.chain(small).filter(|(_, value)| right.numbers.values().all(|own| own != value));
        let texts = all.map(|(text, _)| text).collect();
        self.one_of(texts)
    }

    fn one_of(&mut self, mut values: Vec<String>) -> String {
        // A step that has no factor in common with how many there are, for nearly all numbers.
        self.turn += 29;
        values.swap_remove(self.turn % values.len())
    }
}

impl Right {
    /// What becomes of some fields as an answer about this one's text.
    fn verdict(&self, checks: &AnswerChecks, fields: &Map<String, Value>) -> Verdict {
        let (evidence, prompt) = shown(&self.person, self.post);
        checks.check(&Value::Object(fields.clone()).to_string(), "stop", &evidence, &prompt)
    }

    /// The fields with each string of a kind changed for which there is a change; none if there is none.
    fn changed(
        &self,
        checks: &AnswerChecks,
        is_wanted: fn(&FieldKind) -> bool,
        mut change: impl FnMut(&str) -> Option<String>,
    ) -> Option<Map<String, Value>> {
        let mut fields = self.fields.clone();
        change_each(&checks.form.fields, &mut fields, is_wanted, &mut change);
        (fields != self.fields).then_some(fields)
    }

    /// As [`Self::changed`], of the first of these strings alone.
    fn first_changed(
        &self,
        checks: &AnswerChecks,
        is_wanted: fn(&FieldKind) -> bool,
        change: impl Fn(&str) -> Option<String>,
    ) -> Option<Map<String, Value>> {
        let mut is_done = false;
        self.changed(checks, is_wanted, |text| {
            let changed = if is_done { None } else { change(text) };
            is_done |= changed.is_some();
            changed
        })
    }

    /// The answer spoiled in every way it can be: what was done, and the fields.
    fn spoiled(
        &self,
        checks: &AnswerChecks,
        instruction: &str,
        draw: &mut Draw<'_>,
    ) -> Vec<(&'static str, Map<String, Value>)> {
        let mut spoiled = Vec::new();
        let mut add =
            |what, fields: Option<Map<String, Value>>| spoiled.extend(fields.map(|fields| (what, fields)));
        for name in &self.names {
            let new = draw.name(self);
            let fields = self.first_changed(checks, is_text, |text| swapped(text, name, &new));
            assert!(fields.is_some(), "{} {}: no name {name}", self.person, self.recipe);
            add("swapped names", fields);
        }
        for number in self.numbers.keys() {
            let new = draw.number(self);
            let fields = self.first_changed(checks, is_text, |text| swapped(text, number, &new));
            assert!(fields.is_some(), "{} {}: no number {number}", self.person, self.recipe);
            add("swapped numbers", fields);
        }
        // What is said stands before the rest, so that it is not what is left out where the answer is over its limit.
        for (what, said) in [
            ("refusals", "I'm sorry, but I can't help with that request."),
            ("out of role", "I hope this helps, as an AI language model."),
            ("echoes", instruction),
            ("mail addresses", "Write to marta.k@example.org about it."),
        ] {
            add(what, self.first_changed(checks, is_text, before(said)));
        }
        let mut german = GERMAN.split(' ');
        let translated = self.changed(checks, is_text, |text| {
            let words = german.by_ref().take(text.split(' ').count());
            Some(words.collect::<Vec<_>>().join(" "))
        });
        let is_long = |fields: &Map<String, Value>| {
            let free = checks.form.texts(&Value::Object(fields.clone())).concat();
            free.chars().count() >= LANGUAGE_CHARS
        };
        add("another language", translated.filter(is_long));
        if checks.max_copied_words.is_some() {
            let (own, _) = shown(&self.person, self.post);
            let copied = self.first_changed(checks, is_text, |text| {
                let words = own.split_whitespace().take(text.split(' ').count());
                Some(words.collect::<Vec<_>>().join(" "))
            });
            add("copied texts", copied);
        }
        let misquoted = self.first_changed(checks, is_quote, |quote| {
            let mut words: Vec<&str> = quote.split(' ').collect();
            let middle = words.len() / 2;
            words[middle] = "never";
            Some(words.join(" "))
        });
        add("changed quotations", misquoted);
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
    let mut draw = Draw { answers: &answers, turn: 0 };
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
        let mut spoiled = right.spoiled(&checks, instruction, &mut draw);
        // The next answer that is about somebody else, held against this person's texts.
        let other = (1..answers.len()).map(|step| &answers[(at + step) % answers.len()]);
        let other =
            other.into_iter().find(|other| other.person != right.person && other.recipe == right.recipe);
        spoiled.extend(other.map(|other| ("of another person", other.fields.clone())));
        for (what, fields) in spoiled {
            let verdict = right.verdict(&checks, &fields);
            // What is no answer of this form any more is no test of the other checks.
            if verdict.outcome == Outcome::Unparseable {
                continue;
            }
            let (found, of) = caught.entry(what).or_default();
            *of += 1;
            if verdict.outcome == Outcome::Kept {
                missed.push(format!("{what}: {} {}: {fields:?}", right.person, right.recipe));
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
    assert!(answers.len() >= 40 && of >= 300, "{} answers, {of} spoiled", answers.len());
    assert!(found * 100 >= of * 95, "{found} of {of} caught: {missed:#?}");
    assert!(wrongly.len() * 20 < answers.len(), "{wrongly:#?}");
}
