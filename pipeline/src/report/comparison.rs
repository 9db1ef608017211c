//! Answers to two recipes of one form, such as one made for large models and one for small ones, beside each other.

use std::collections::BTreeMap;

use anyhow::Result;
use datafusion::prelude::{SessionContext, col, lit};
use genome_kernels::llm::{AnswerForm, Field, FieldKind};
use serde::Serialize;
use serde_json::Value;

use super::answers::{RecipeReport, share};
use crate::config::Project;
use crate::json_rows::{Row, rows};
use crate::ledger::{Which, whole_table};
use crate::plan::Planned;

/// How often kept answers to a recipe choose the same: a label that everybody gets tells nothing about anybody.
#[derive(Debug, Serialize)]
pub struct LabelShare {
    /// The recipe.
    pub recipe: String,
    /// A choice of its form; in lists, of all items.
    pub field: String,
    /// The option that is chosen most.
    pub option: String,
    /// Its share of what is chosen.
    pub share: f64,
    /// How many choices there are.
    pub choices: u64,
}

/// Answers to two recipes whose form is the same, such as one for large models and one for small ones.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// One recipe.
    pub recipe: String,
    /// The other.
    pub other: String,
    /// People, or events, of whom both gave a kept answer.
    pub both: u64,
    /// Of whom only the first did.
    pub only_recipe: u64,
    /// Of whom only the other did.
    pub only_other: u64,
    /// Items of lists and other fields that say something, for each kept answer of the first.
    pub statements: f64,
    /// The same of the other.
    pub other_statements: f64,
    /// Of choices that both made, the share that is the same; none where there are no choices.
    pub same_choices: Option<f64>,
}

/// Recipes of one form beside each other, and what is chosen most.
pub(super) async fn kept_answers(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    recipes: &[RecipeReport],
) -> Result<(Vec<Comparison>, Vec<LabelShare>)> {
    let library = project.recipes()?;
    let mut asked: Vec<(&str, &AnswerForm, BTreeMap<String, Value>)> = Vec::new();
    for report in recipes {
        let name = report.recipe.as_str();
        if asked.iter().all(|(other, ..)| *other != name) {
            let answers = kept_fields(session, project, planned, name).await?;
            asked.push((name, &library.recipe(name)?.head.form, answers));
        }
    }
    let mut comparisons = Vec::new();
    for (at, (recipe, form, answers)) in asked.iter().enumerate() {
        let same = asked[at + 1..].iter().filter(|(_, other, _)| same_shape(&form.fields, &other.fields));
        comparisons.extend(same.map(|(other, _, others)| compare((recipe, answers), (other, others), form)));
    }
    let labels =
        asked.iter().flat_map(|(recipe, form, answers)| labels(recipe, &form.fields, answers)).collect();
    Ok((comparisons, labels))
}

/// What is chosen most in each choice of a form.
fn labels(recipe: &str, fields: &[Field], answers: &BTreeMap<String, Value>) -> Vec<LabelShare> {
    let is_choice = |field: &&Field| matches!(field.kind, FieldKind::Choice { .. });
    let mut found = Vec::new();
    for field in fields {
        if is_choice(&field) {
            let chosen = answers.values().filter_map(|answer| answer.get(&field.name)?.as_str());
            found.extend(label(recipe, field.name.clone(), chosen));
        } else if let FieldKind::List { item, .. } = &field.kind {
            let lists = answers.values().filter_map(|answer| answer.get(&field.name)?.as_array());
            let items: Vec<&Value> = lists.flatten().collect();
            for choice in item.iter().filter(is_choice) {
                let chosen = items.iter().filter_map(|item| item.get(&choice.name)?.as_str());
                found.extend(label(recipe, format!("{}.{}", field.name, choice.name), chosen));
            }
        }
    }
    found
}

/// What is chosen most, of equals the first by name; none if nothing is chosen.
fn label<'a>(recipe: &str, field: String, chosen: impl Iterator<Item = &'a str>) -> Option<LabelShare> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for option in chosen {
        *counts.entry(option).or_default() += 1;
    }
    let choices: u64 = counts.values().sum();
    let (option, most) = counts.into_iter().rev().max_by_key(|(_, count)| *count)?;
    let share = most as f64 / choices as f64;
    Some(LabelShare { recipe: recipe.to_owned(), field, option: option.to_owned(), share, choices })
}

/// Whether two forms have the same fields of the same kinds, in whatever order and within whatever limits.
fn same_shape(fields: &[Field], others: &[Field]) -> bool {
    let is_like = |field: &Field, other: &Field| {
        field.name == other.name
            && match (&field.kind, &other.kind) {
                (FieldKind::List { item, .. }, FieldKind::List { item: others, .. }) => {
                    same_shape(item, others)
                }
                (FieldKind::Choice { options }, FieldKind::Choice { options: others }) => options == others,
                (kind, other) => std::mem::discriminant(kind) == std::mem::discriminant(other),
            }
    };
    fields.len() == others.len()
        && fields.iter().all(|field| others.iter().any(|other| is_like(field, other)))
}

/// The fields of kept answers to a recipe, by what they are about; of several one, always the same.
async fn kept_fields(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    recipe: &str,
) -> Result<BTreeMap<String, Value>> {
    let Some(answers) = whole_table(session, project, planned, "completions", Which::Kept).await? else {
        return Ok(BTreeMap::new());
    };
    let answers = answers.filter(col("recipe").eq(lit(recipe)))?.sort(vec![col("key").sort(false, false)])?;
    let answers = rows(&answers.select(vec![col("subject_key"), col("fields")])?.collect().await?)?;
    let of = |row: &Row| {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        Some((text("subject_key")?.to_owned(), serde_json::from_str(text("fields")?).ok()?))
    };
    Ok(answers.iter().filter_map(of).collect())
}

fn compare(
    (recipe, answers): (&str, &BTreeMap<String, Value>),
    (other, others): (&str, &BTreeMap<String, Value>),
    form: &AnswerForm,
) -> Comparison {
    let both: Vec<(&Value, &Value)> =
        answers.iter().filter_map(|(subject, answer)| Some((answer, others.get(subject)?))).collect();
    let statements = |answers: &BTreeMap<String, Value>| {
        let all: usize = answers.values().map(|answer| said(form, answer)).sum();
        share(all as f64, answers.len() as f64).unwrap_or(0.0)
    };
    let is_choice = |field: &&Field| matches!(field.kind, FieldKind::Choice { .. });
    let choices: Vec<&Field> = form.fields.iter().filter(is_choice).collect();
    let same: usize = both
        .iter()
        .map(|(a, b)| choices.iter().filter(|choice| a.get(&choice.name) == b.get(&choice.name)).count())
        .sum();
    let both = both.len() as u64;
    Comparison {
        recipe: recipe.to_owned(),
        other: other.to_owned(),
        both,
        only_recipe: answers.len() as u64 - both,
        only_other: others.len() as u64 - both,
        statements: statements(answers),
        other_statements: statements(others),
        same_choices: share(same as f64, (both * choices.len() as u64) as f64),
    }
}

/// Items of lists, and other fields that are not "NA".
fn said(form: &AnswerForm, answer: &Value) -> usize {
    let of = |field: &Field| match answer.get(&field.name) {
        Some(Value::Array(items)) => items.len(),
        Some(value) => usize::from(value != "NA"),
        None => 0,
    };
    form.fields.iter().map(of).sum()
}
