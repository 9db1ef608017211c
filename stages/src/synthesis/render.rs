//! Prompts from rows: a recipe's template over what it may see of a row.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::prelude::Expr;
use genome_kernels::llm::{Field, FieldKind};
use serde::Serialize;
use serde_json::Value;

use super::excerpt::excerpt;
use super::recipe::{Over, Recipe, Rubric};
use super::view::{AuthorRow, AuthorView, ContextView, EventRow, EventView, PersonView, row_json};
use super::window::Budget;
use crate::StageError;
use crate::functions::{Call, PromptCounter, ReduceView, Template, array_function, external};

type Result<T, E = DataFusionError> = std::result::Result<T, E>;

/// Place of the prompt in what [`render_recipe`] gives, counted from 1; several prompts with an empty line between them.
pub(super) const PROMPT: i64 = 1;

/// Place of the person's own words that the prompts show.
pub(super) const EVIDENCE: i64 = 2;

/// Place of the number of events that the prompts show.
pub(super) const SHOWN: i64 = 3;

/// Place of the number of those that did not fit.
pub(super) const LEFT_OUT: i64 = 4;

/// Place of the most tokens of events in a prompt; 0 over events.
pub(super) const BUDGET: i64 = 5;

/// Place of the calls as JSON where there are several or none, or a recipe has parts; null where there is one.
pub(super) const CALLS: i64 = 6;

/// What [`render_recipe`] makes of one row.
#[derive(Default)]
struct Rendered {
    calls: Vec<Call>,
    shown: usize,
    left_out: usize,
    budget: usize,
}

/// List of what the constants above name, for each row, given as a struct of type `row_type`; of a recipe with `parts` these
/// are asked, else `parts` is the recipe alone. `counter` counts tokens, and is made when the first row comes.
///
/// A list and not a struct: the planner pushes field accesses of a struct down to the call, and so renders each row
/// once per field.
pub(super) fn render_recipe(
    recipe: &Recipe,
    parts: &[Arc<Recipe>],
    row: Expr,
    row_type: DataType,
    counter: impl Fn() -> Result<PromptCounter, String> + Send + Sync + 'static,
) -> Result<Expr, StageError> {
    let over = recipe.head.over;
    let parts = parts
        .iter()
        .map(|part| Ok((Arc::clone(part), Template::new(&part.head.name, &part.template)?)))
        .collect::<Result<Vec<_>, StageError>>()?;
    let has_parts = parts.len() > 1;
    let made = OnceLock::new();
    let function = array_function(
        &format!("render[{}]", recipe.head.name),
        vec![row_type],
        DataType::new_list(DataType::Utf8, true),
        move |args| {
            let rendered: Vec<Rendered> = match over {
                Over::Authors => {
                    let counter: &Result<PromptCounter, String> = made.get_or_init(&counter);
                    let counter = counter.as_ref().map_err(|e| DataFusionError::Execution(e.clone()))?;
                    let rows = row_json::<AuthorRow>(&args[0])?;
                    rows.iter().map(|row| render_author(&parts, row, counter)).collect::<Result<_>>()?
                }
                Over::Events => row_json::<EventRow>(&args[0])?
                    .iter()
                    .map(|row| render_event(&parts, row))
                    .collect::<Result<_>>()?,
            };
            let mut lists = ListBuilder::new(StringBuilder::new());
            for row in rendered {
                let is_plain = row.calls.len() == 1 && !has_parts;
                let calls = (!is_plain).then(|| serde_json::to_string(&row.calls)).transpose();
                let prompts: Vec<&str> = row.calls.iter().map(|call| call.prompt.as_str()).collect();
                let texts = [
                    Some(prompts.join("\n\n")),
                    Some(evidence(&row.calls)),
                    Some(row.shown.to_string()),
                    Some(row.left_out.to_string()),
                    Some(row.budget.to_string()),
                    calls.map_err(external)?,
                ];
                lists.append_value(texts);
            }
            Ok(Arc::new(lists.finish()) as ArrayRef)
        },
    );
    Ok(function.call(vec![row]))
}

fn render_author(
    parts: &[(Arc<Recipe>, Template)],
    row: &AuthorRow,
    counter: &PromptCounter,
) -> Result<Rendered> {
    let mut all = Rendered::default();
    for (part, (recipe, template)) in parts.iter().enumerate() {
        let windows = Budget { recipe, template, counter }.windows(row)?;
        let shown: usize = windows.views.iter().map(|(view, _)| view.events.len()).sum();
        if shown >= all.shown {
            all.shown = shown;
            all.left_out = windows.views.first().map_or(0, |(view, _)| view.left_out);
        }
        all.budget = all.budget.max(windows.budget);
        // A window without any text, where none fits, is not asked about.
        let views = windows.views.into_iter().filter(|(view, _)| !view.events.is_empty());
        all.calls.extend(views.map(|(view, prompt)| {
            let own: Vec<&str> = view.events.iter().map(|event| event.own.as_str()).collect();
            let shown = u32::try_from(own.len()).unwrap_or(u32::MAX);
            Call { part, prompt, evidence: own.join("\n"), shown }
        }));
    }
    Ok(all)
}

fn render_event(parts: &[(Arc<Recipe>, Template)], row: &EventRow) -> Result<Rendered> {
    let mut calls = Vec::new();
    for (part, (recipe, template)) in parts.iter().enumerate() {
        let view = row.clone().view(recipe.head.max_context_chars);
        calls.push(Call { part, prompt: template.render(&view)?, evidence: view.own, shown: 1 });
    }
    Ok(Rendered { calls, shown: 1, left_out: 0, budget: 0 })
}

/// The person's words of all calls, each text once.
fn evidence(calls: &[Call]) -> String {
    let mut seen = BTreeSet::new();
    let lines = calls.iter().flat_map(|call| call.evidence.lines());
    lines.filter(|line| seen.insert(*line)).collect::<Vec<_>>().join("\n")
}

/// What is wrong with a recipe's template, if it cannot be rendered over a row that has everything.
pub(super) fn template_problem(recipe: &Recipe) -> Option<String> {
    let event = EventView {
        date: "2024-01-31".to_owned(),
        kind: "comment".to_owned(),
        context: vec![ContextView { role: "post".to_owned(), name: None, content: "text".to_owned() }],
        own: "text".to_owned(),
        text: (recipe.head.over == Over::Events).then(|| "text".to_owned()),
        rating: Some(5.0),
    };
    let view = match recipe.head.over {
        Over::Events => PersonView::Event(event),
        Over::Authors => {
            PersonView::Author(AuthorView { platform: "reddit".to_owned(), events: vec![event], left_out: 0 })
        }
    };
    let name = &recipe.head.name;
    let of_template = |what: &str, text: &str, view: &dyn Fn(&Template) -> Option<String>| match Template::new(
        name, text,
    ) {
        Err(error) => Some(error.to_string()),
        Ok(template) => view(&template).map(|problem| format!("{what} of recipe `{name}`: {problem}")),
    };
    let answers = [example(&recipe.head.form.fields)];
    let reduce = recipe.head.reduce.as_deref().and_then(|text| {
        of_template("reduce", text, &|template| template.problem(&ReduceView { answers: &answers }))
    });
    of_template("template", &recipe.template, &|template| template.problem(&view)).or(reduce)
}

/// An object that has every field.
fn example(fields: &[Field]) -> Value {
    let value = |kind: &FieldKind| match kind {
        FieldKind::List { item, .. } => Value::Array(vec![example(item)]),
        FieldKind::Integer { min, .. } => (*min).into(),
        _ => "text".into(),
    };
    Value::Object(fields.iter().map(|field| (field.name.clone(), value(&field.kind))).collect())
}

#[derive(Serialize)]
struct Judged<'a> {
    evidence: &'a str,
    answer: &'a str,
    recipe: &'a str,
}

/// Prompt of a judge from `evidence`, the answer's `fields` and the `recipe` it answers.
pub(super) fn render_rubric(
    rubric: Arc<Rubric>,
    evidence: Expr,
    answer: Expr,
    recipe: Expr,
) -> Result<Expr, StageError> {
    let template = Template::new(&rubric.head.name, &rubric.template)?;
    let function = array_function(
        &format!("render[{}]", rubric.head.name),
        vec![DataType::Utf8View; 3],
        DataType::Utf8,
        move |args| {
            let columns = [
                crate::functions::strings(args, 0)?,
                crate::functions::strings(args, 1)?,
                crate::functions::strings(args, 2)?,
            ];
            let prompts = (0..args[0].len())
                .map(|row| {
                    let (evidence, answer) = (columns[0].value(row), columns[1].value(row));
                    let evidence = excerpt(evidence, answer, rubric.head.max_evidence_chars);
                    template.render(&Judged { evidence: &evidence, answer, recipe: columns[2].value(row) })
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StringArray::from(prompts)) as ArrayRef)
        },
    );
    Ok(function.call(vec![evidence, answer, recipe]))
}

/// Prompt of a judge for one answer.
pub(super) fn render_judged(
    rubric: &Rubric,
    evidence: &str,
    answer: &str,
    recipe: &str,
) -> Result<String, StageError> {
    let evidence = excerpt(evidence, answer, rubric.head.max_evidence_chars);
    let template = Template::new(&rubric.head.name, &rubric.template)?;
    template
        .render(&Judged { evidence: &evidence, answer, recipe })
        .map_err(|e| StageError::Recipe { name: rubric.head.name.clone(), reason: e.to_string() })
}
