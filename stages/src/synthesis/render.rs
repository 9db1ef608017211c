//! Prompts from rows: a recipe's template over what it may see of a row.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::Expr;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::recipe::{Over, Recipe, Rubric};
use super::view::{AuthorRow, AuthorView, ContextView, EventRow, EventView, PersonView, row_json, shorten};
use crate::StageError;
use crate::functions::array_function;

/// Place of the prompt in what [`render_recipe`] gives, counted from 1.
pub(super) const PROMPT: i64 = 1;

/// Place of the person's own words that the prompt shows.
pub(super) const EVIDENCE: i64 = 2;

/// Place of the number of events that the prompt shows.
pub(super) const SHOWN: i64 = 3;

/// Place of the number of those that did not fit.
pub(super) const LEFT_OUT: i64 = 4;

/// List of the prompt, the evidence, and the numbers of events shown and left out of a row, given as a struct of type `row_type`.
///
/// A list and not a struct: the planner pushes field accesses of a struct down to the call, and so renders each row
/// once per field.
pub(super) fn render_recipe(recipe: Arc<Recipe>, row: Expr, row_type: DataType) -> Result<Expr, StageError> {
    let template = Template::new(&recipe.head.name, &recipe.template)?;
    let function = array_function(
        &format!("render[{}]", recipe.head.name),
        vec![row_type],
        DataType::new_list(DataType::Utf8, true),
        move |args| {
            let head = &recipe.head;
            let views: Vec<PersonView> = match head.over {
                Over::Authors => row_json::<AuthorRow>(&args[0])?
                    .into_iter()
                    .map(|row| PersonView::Author(row.view(head)))
                    .collect(),
                Over::Events => row_json::<EventRow>(&args[0])?
                    .into_iter()
                    .map(|row| PersonView::Event(row.view(head.max_context_chars)))
                    .collect(),
            };
            let mut parts = ListBuilder::new(StringBuilder::new());
            for view in &views {
                let (shown, left_out) = match view {
                    PersonView::Author(author) => (author.events.len(), author.left_out),
                    PersonView::Event(_) => (1, 0),
                };
                let texts = [template.render(view)?, evidence(view), shown.to_string(), left_out.to_string()];
                parts.append_value(texts.map(Some));
            }
            Ok(Arc::new(parts.finish()) as ArrayRef)
        },
    );
    Ok(function.call(vec![row]))
}

/// What is wrong with a recipe's template, if it cannot be rendered over a row that has everything.
pub(super) fn template_problem(recipe: &Recipe) -> Option<String> {
    let event = EventView {
        date: "2024-01-31".to_owned(),
        kind: "comment".to_owned(),
        context: vec![ContextView { role: "post".to_owned(), name: None, content: "text".to_owned() }],
        own: "text".to_owned(),
        rating: Some(5.0),
    };
    let view = match recipe.head.over {
        Over::Events => PersonView::Event(event),
        Over::Authors => {
            PersonView::Author(AuthorView { platform: "reddit".to_owned(), events: vec![event], left_out: 0 })
        }
    };
    let template = match Template::new(&recipe.head.name, &recipe.template) {
        Ok(template) => template,
        Err(error) => return Some(error.to_string()),
    };
    let rendered = template.0.get_template("prompt").and_then(|template| template.render(&view));
    rendered.err().map(|error| {
        let place = error.range().and_then(|range| recipe.template.get(range)).unwrap_or_default();
        format!("template of recipe `{}`: {error} at `{place}`", recipe.head.name)
    })
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
                    let evidence = shorten(columns[0].value(row), rubric.head.max_evidence_chars);
                    template.render(&Judged {
                        evidence: &evidence,
                        answer: columns[1].value(row),
                        recipe: columns[2].value(row),
                    })
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
    let evidence = shorten(evidence, rubric.head.max_evidence_chars);
    let template = Template::new(&rubric.head.name, &rubric.template)?;
    template
        .render(&Judged { evidence: &evidence, answer, recipe })
        .map_err(|e| StageError::Recipe { name: rubric.head.name.clone(), reason: e.to_string() })
}

fn evidence(view: &PersonView) -> String {
    match view {
        PersonView::Author(author) => {
            author.events.iter().map(|e| e.own.as_str()).collect::<Vec<_>>().join("\n")
        }
        PersonView::Event(event) => event.own.clone(),
    }
}

/// A template that refuses names that are not there, instead of printing nothing for them.
struct Template(Environment<'static>);

impl Template {
    fn new(name: &str, text: &str) -> Result<Self, StageError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        // Before the template is read, so that an error knows its place.
        environment.set_debug(true);
        environment
            .add_template_owned("prompt", text.to_owned())
            .map_err(|e| StageError::Recipe { name: name.to_owned(), reason: e.to_string() })?;
        Ok(Self(environment))
    }

    fn render(&self, view: &impl Serialize) -> Result<String> {
        self.0
            .get_template("prompt")
            .and_then(|template| template.render(view))
            .map_err(|e| DataFusionError::External(Box::new(e)))
    }
}
