//! `genome preview`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};

use super::inspect::verdict;
use super::run::stop_on_interrupt;
use super::{block_on, limits, project, refuse_problems};
use crate::cli::{Format, PreviewArgs};
use crate::engines::Engines;
use crate::json_rows::Row;
use crate::preview::Preview;
use crate::progress::print;
use crate::report::number;
use crate::run::Runner;

pub(super) fn preview(args: &PreviewArgs) -> Result<ExitCode> {
    let project = project(&args.config)?;
    refuse_problems(&project)?;
    let limits = limits(&project, args.threads, None)?;
    let engines = Arc::new(Engines::new(&project));
    let previews = block_on(limits.threads, async {
        stop_on_interrupt(Arc::clone(&engines));
        let runner = Runner::new(&project, Arc::clone(&engines), limits)?;
        runner.preview(&args.recipe, args.n).await
    })?;
    for preview in &previews {
        print(&match args.format {
            Format::Json => {
                json!({"completion": preview.completion, "judgements": preview.judgements}).to_string()
            }
            Format::Text => as_text(preview),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prompt, raw answer, fields, the check that failed, and the scores.
fn as_text(preview: &Preview) -> String {
    let row = &preview.completion;
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let count = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut lines = vec!["═".repeat(60), text("prompt").to_owned(), format!("── answer {}", "─".repeat(50))];
    lines.push(text("text").to_owned());
    if let Some(Value::Object(fields)) = row.get("fields").and_then(Value::as_str).and_then(parsed) {
        lines.push("── fields".to_owned());
        lines.extend(fields.iter().map(|(name, value)| format!("{name}: {}", shown(value))));
    }
    lines.push("── checks".to_owned());
    lines.push(verdict(row).unwrap_or_else(|| "kept".to_owned()));
    lines.push(format!(
        "{} prompt tokens, {} answer tokens, {} attempts, {} calls, {} events shown, {} left out",
        count("prompt_tokens"),
        count("completion_tokens"),
        count("attempts"),
        count("n_calls"),
        count("n_shown"),
        count("n_left_out"),
    ));
    if let Some(Value::Object(choices)) = row.get("probabilities").and_then(Value::as_str).and_then(parsed) {
        lines.push("── choices".to_owned());
        lines.extend(choices.iter().map(|(path, options)| format!("{path}: {}", likeliest(options))));
    }
    lines.extend(preview.judgements.iter().map(score));
    lines.join("\n")
}

/// The options of a choice that have a tenth of the probability and more, likeliest first.
fn likeliest(options: &Value) -> String {
    let options = options.as_object().into_iter().flatten();
    let mut likely: Vec<(&String, f64)> =
        options.filter_map(|(option, p)| Some((option, p.as_f64()?))).filter(|(_, p)| *p >= 0.1).collect();
    likely.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let shown = likely.iter().map(|(option, p)| format!("{option} {p:.2}"));
    shown.collect::<Vec<_>>().join(", ")
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn score(row: &Row) -> String {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let score = row.get("score").and_then(Value::as_f64).map_or_else(|| "none".to_owned(), number);
    format!("{} by {} ({}): {score}", text("metric"), text("judge"), text("rubric"))
}
