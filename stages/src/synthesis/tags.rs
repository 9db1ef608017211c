//! Answers about single events, brought back into them: tags that drop, and texts that are written anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::prelude::{DataFrame, Expr, cast, character_length, col, lit, when};
use genome_schemas::{Outcome, completions, events};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::recipe::Over;
use crate::StageError;
use crate::functions::{array_function, rewriting, string_at, strings, with_redactions};
use crate::mark::{Mark, column, is_kept, mark_rows, null_of};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Brings the answers to a recipe over events back into the events.
///
/// A field whose value is listed drops its event; `text` names a field that takes the text's place, which `redactions` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyTags {
    /// The recipe whose kept answers are read.
    pub recipe: String,
    /// Values by field that make an event `low_quality`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub low_quality: BTreeMap<String, Vec<String>>,
    /// Values by field that make an event `harmful`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub harmful: BTreeMap<String, Vec<String>>,
    /// Field that takes the place of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Smallest share of the characters of the text that the new text may have (`HumanLLM`: a cleaning may not remove
    /// more than half); where it has fewer, the old text stays.
    #[serde(default = "half")]
    pub min_share: f64,
    /// What becomes of events without a kept answer.
    #[serde(default)]
    pub missing: Missing,
}

/// What becomes of events without a kept answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// They leave as `low_quality`, by rule `not_asked` where the recipe was not asked about them and `no_answer` where no
    /// answer was kept: nobody has vouched for them (`HumanLLM`).
    #[default]
    Drop,
    /// They stay as they are.
    Keep,
}

const fn half() -> f64 {
    0.5
}

/// Column with the key of an event that the recipe was asked about; null for others.
const ASKED: &str = "__subject";

/// Column with the fields of the kept answer; null where there is none.
const FIELDS: &str = "__fields";

impl Stage for ApplyTags {
    fn card(&self) -> Card {
        Card {
            name: "apply_tags",
            version: 3,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: events,
            reads: &[completions],
            outcomes: &[Outcome::LowQuality, Outcome::Harmful],
        }
    }

    fn detail(&self) -> String {
        self.recipe.clone()
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        let recipe = match cx.recipes.recipe(&self.recipe) {
            Err(error) => return vec![error.to_string()],
            Ok(recipe) => recipe,
        };
        let mut problems = Vec::new();
        if recipe.head.over != Over::Events {
            problems.push(format!(
                "recipe `{}` is asked over {:?}, not over events",
                self.recipe, recipe.head.over
            ));
        }
        let known: Vec<&str> = recipe.head.form.fields.iter().map(|field| field.name.as_str()).collect();
        let named = self.low_quality.keys().chain(self.harmful.keys()).chain(&self.text);
        problems.extend(named.filter(|name| !known.contains(&name.as_str())).map(|name| {
            format!("recipe `{}` has no field `{name}`; its fields are: {}", self.recipe, known.join(", "))
        }));
        if !(0.0..=1.0).contains(&self.min_share) {
            problems.push(format!("min_share must be between 0 and 1, not {}", self.min_share));
        }
        problems
    }

    /// Answers that left say that an event was asked about.
    fn reads_dropped(&self) -> bool {
        true
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let names: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
        let is_its = col("recipe").eq(lit(self.recipe.as_str()));
        let kept =
            when(is_kept(), cast(col("fields"), DataType::Utf8)).otherwise(null_of(&DataType::Utf8))?;
        // Asked twice, by two models or seeds: the smaller answer counts, so that nothing depends on an order.
        let answers = cx
            .table(&completions())?
            .filter(is_its)?
            .aggregate(vec![col("subject_key").alias(ASKED)], vec![min(kept).alias(FIELDS)])?;
        let rows = answers.join(rows, JoinType::Right, &[ASKED], &["key"], None)?;
        let rows = mark_rows(rows, "apply_tags", &self.marks())?;
        let schema = rows.schema().clone();
        let columns = names.iter().map(|name| match (name.as_str(), &self.text) {
            ("text", Some(field)) => Ok(self.new_text(field)?.alias("text")),
            ("redactions", Some(field)) => {
                let list_type = schema.field_with_unqualified_name(name)?.data_type();
                with_redactions(&rewriting(col("text"), self.new_text(field)?, list_type)?)
            }
            _ => Ok(column(name)),
        });
        Ok(rows.select(columns.collect::<Result<Vec<_>, StageError>>()?)?)
    }
}

impl ApplyTags {
    fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        if self.missing == Missing::Drop {
            marks.push(Mark::new("not_asked", Outcome::LowQuality, col(ASKED).is_null()));
            marks.push(Mark::new("no_answer", Outcome::LowQuality, col(FIELDS).is_null()));
        }
        for (tags, rule, outcome) in [
            (&self.harmful, "harmful", Outcome::Harmful),
            (&self.low_quality, "low_quality", Outcome::LowQuality),
        ] {
            for (field, values) in tags {
                let listed = values.iter().map(|value| lit(value.as_str())).collect();
                marks.push(Mark::new(rule, outcome, answer_field(field).in_list(listed, false)));
            }
        }
        marks
    }

    /// The new text, where the answer has one that is long enough.
    fn new_text(&self, field: &str) -> Result<Expr, StageError> {
        let new = answer_field(field);
        let chars = |text: Expr| cast(character_length(text), DataType::Float64);
        let is_whole = chars(new.clone()).gt_eq(lit(self.min_share) * chars(col("text")));
        // Without an old text there is nothing that the new one could be a form of.
        let has_old = col("text").not_eq(lit(""));
        Ok(when(has_old.and(is_whole), new).otherwise(col("text"))?)
    }
}

/// A field of the answer as text; null where it is missing.
fn answer_field(name: &str) -> Expr {
    let wanted = name.to_owned();
    array_function(
        &format!("answer_field[{name}]"),
        vec![DataType::Utf8View],
        DataType::Utf8View,
        move |args| {
            let answers = strings(args, 0)?;
            let mut out = StringViewBuilder::with_capacity(args[0].len());
            for row in 0..args[0].len() {
                let fields =
                    string_at(answers, row).and_then(|text| serde_json::from_str::<Value>(text).ok());
                match fields.as_ref().and_then(|fields| fields.get(&wanted)) {
                    Some(Value::String(text)) => out.append_value(text),
                    Some(Value::Null) | None => out.append_null(),
                    Some(other) => out.append_value(other.to_string()),
                }
            }
            Ok(Arc::new(out.finish()) as ArrayRef)
        },
    )
    .call(vec![cast(col(FIELDS), DataType::Utf8View)])
}
