//! What models made of the recipes over the invented people, whose facts are known:
//!
//! ```sh
//! genome run examples/configs/quality.toml
//! genome inspect examples/configs/quality.toml completions --sample 100000 --format json > answers.jsonl
//! genome report examples/configs/quality.toml --format json > report.json
//! cargo run --release --example measure_quality -- answers.jsonl report.json
//! ```
//!
//! A planted fact counts as shown where its quotation stands in the person's words that the prompt shows, and as
//! recovered where half of the content words of its value stand in the answer (of an age, a number or range that fits).
//! One whose value has no such words can neither be found nor missed, and does not count.
//! Stated names and numbers count as false where the prompt does not show them.
#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use genome_kernels::llm::{AnswerForm, quotable};
use genome_kernels::text::claims::{Given, content_words};
use genome_stages::synthesis::RecipeLibrary;
use serde_json::Value;

#[derive(Default)]
struct Counts {
    shown: usize,
    recovered: usize,
    stated: usize,
    unsupported: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [answers, report] = &arguments[..] else {
        return Err("usage: measure_quality ANSWERS.jsonl REPORT.json".into());
    };
    let truth: Value = serde_json::from_str(include_str!("data/truth.json"))?;
    let facts = facts(&truth);
    let library = RecipeLibrary::default();
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for line in std::fs::read_to_string(answers)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let count = counts.entry(text("recipe").to_owned()).or_default();
        let Ok(fields) = serde_json::from_str::<Value>(text("fields")) else { continue };
        let recipe = library.recipe(text("recipe"))?;
        let (given, nothing) =
            (Given::of(&library.checks(recipe)?.instructions.shown(text("prompt"))), Given::default());
        for free in recipe.head.form.texts(&fields) {
            count.stated += nothing.unsupported(free).len();
            count.unsupported += given.unsupported(free).len();
        }
        let answer = said(&recipe.head.form, &fields);
        for (_, value) in facts.iter().filter(|(quote, _)| text("evidence").contains(quote)) {
            count.shown += 1;
            count.recovered += usize::from(holds(&answer, value));
        }
    }
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report)?)?;
    println!(
        "| recipe | answers | null | checks passed | gates passed | kept | planted facts found | names and numbers false | tokens a kept row | seconds a kept row |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for recipe in report["recipes"].as_array().into_iter().flatten() {
        let name = recipe["recipe"].as_str().unwrap_or_default();
        let share = |value: &Value| {
            value.as_f64().map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share))
        };
        let number =
            |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{number:.0}"));
        let empty = Counts::default();
        let count = counts.get(name).unwrap_or(&empty);
        println!(
            "| `{name}` | {} | {} | {} | {} | {} | {} of {} | {} of {} | {} | {} |",
            recipe["answers"],
            share(&recipe["null_rate"]),
            share(&recipe["check_rate"]),
            share(&recipe["gate_rate"]),
            recipe["kept"],
            count.recovered,
            count.shown,
            count.unsupported,
            count.stated,
            number(&recipe["tokens_per_kept"]),
            number(&recipe["seconds_per_kept"]),
        );
    }
    Ok(())
}

/// Quotation and value of every planted fact that can be told from an answer.
fn facts(truth: &Value) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    for person in truth["people"].as_array().into_iter().flatten() {
        for name in ["age_group", "place", "job", "interests", "values", "opinions"] {
            let one = [&person[name]];
            let many = person[name].as_array().map_or_else(|| one.to_vec(), |many| many.iter().collect());
            for fact in many {
                let mut quotes = fact["stated"].as_array().into_iter().flatten();
                let quote = quotes.find_map(|stated| stated["quote"].as_str());
                if let (Some(value), Some(quote)) = (fact["value"].as_str(), quote)
                    && (range(value).is_some() || content_words(value) > 0)
                {
                    facts.push((quotable(quote), value.to_owned()));
                }
            }
        }
    }
    facts
}

/// Everything that an answer says in words of its own: labels and free text, no quotations.
fn said(form: &AnswerForm, fields: &Value) -> String {
    let quotes = form.quotes(fields);
    let mut all = Vec::new();
    strings(fields, &mut all);
    all.retain(|text| !quotes.contains(text));
    all.join("\n")
}

fn strings<'v>(value: &'v Value, all: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => all.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, all)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, all)),
        _ => {}
    }
}

/// The ages of a group: `25 to 34`.
fn range(value: &str) -> Option<RangeInclusive<u32>> {
    let (least, most) = value.split_once(" to ")?;
    Some(least.parse().ok()?..=most.parse().ok()?)
}

/// Whether an answer has a fact.
fn holds(answer: &str, value: &str) -> bool {
    let given = Given::of(answer);
    match range(value) {
        Some(mut ages) => {
            answer.contains(value) || ages.any(|age| given.unsupported(&age.to_string()).is_empty())
        }
        None => given.support(value) >= 0.5,
    }
}
