//! Answers that tell what was held out, or what they are to hide themselves.

use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::array_agg;
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::prelude::{DataFrame, Expr, cast, col, lit, when};
use genome_schemas::{Outcome, completions, events};
use serde::{Deserialize, Serialize};

use super::recipe::Over;
use crate::StageError;
use crate::filter::written;
use crate::functions::{LeakSpec, RULE, SIMILARITY, WORDS, leaks};
use crate::mark::{Mark, column, is_kept, mark_rows, null_of};
use crate::stage::{Asset, Card, Scope, Stage, StageContext};

/// Drops the answers of a recipe whose free text tells what the person wrote later, in validation or test, or whose fields
/// tell what another one hides.
///
/// Words in a row are found without a model, the same in other words with an encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerLeaks {
    /// The recipe whose answers are looked at.
    pub recipe: String,
    /// Name of an encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Cosine from which two sentences count as saying the same; what the default finds is measured in docs/quality.md.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
}

const fn default_threshold() -> f64 {
    0.75
}

impl Stage for AnswerLeaks {
    fn card(&self) -> Card {
        Card {
            name: "answer_leaks",
            version: 2,
            scope: Scope::Corpus,
            at_rest: true,
            input: completions,
            output: completions,
            reads: &[events],
            outcomes: &[Outcome::Leaked],
        }
    }

    fn detail(&self) -> String {
        self.recipe.clone()
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        let model = self.model.as_ref().map(|model| cx.model_asset(model));
        [cx.recipe_asset(&self.recipe)].into_iter().chain(model).collect()
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        let mut problems = Vec::new();
        match cx.recipes.recipe(&self.recipe) {
            Err(error) => problems.push(error.to_string()),
            Ok(recipe) if recipe.head.over == Over::Events && recipe.head.hidden.is_empty() => {
                problems.push(format!(
                    "recipe `{}` is asked over events and hides nothing, so that there is nothing to leak",
                    self.recipe
                ));
            }
            Ok(recipe) if recipe.head.over == Over::Events && self.model.is_none() => problems.push(format!(
                "recipe `{}` is checked for the words of what it hides when it is asked; name a model for its meaning",
                self.recipe
            )),
            Ok(_) => {}
        }
        if let Some(Err(error)) = self.model.as_ref().map(|model| cx.model_digest(model)) {
            problems.push(error.to_string());
        }
        if !(self.threshold > 0.0 && self.threshold <= 1.0) {
            problems.push(format!("threshold must be above 0 and at most 1, not {}", self.threshold));
        }
        problems
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const HELD_OUT: &str = "__held_out";
        const LEAK: &str = "__leak";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let recipe = cx.recipes.recipe(&self.recipe)?;
        let spec = LeakSpec {
            form: recipe.head.form.clone(),
            hidden: recipe.head.hidden.clone(),
            model: self.model.clone(),
            threshold: self.threshold,
        };
        let is_looked_at = is_kept().and(col("recipe").eq(lit(self.recipe.as_str())));
        let lists = DataType::new_list(DataType::Utf8View, true);
        let rows = if recipe.head.over == Over::Authors {
            let held_out = col("split").in_list(vec![lit("validation"), lit("test")], false);
            let texts = cx.table(&events())?.filter(is_kept().and(held_out))?.select(vec![
                col("author_id").alias("__author"),
                col("source").alias("__source"),
                cast(written(), DataType::Utf8View).alias("__text"),
            ])?;
            let texts = texts.aggregate(
                vec![col("__author"), col("__source")],
                vec![array_agg(col("__text")).alias(HELD_OUT)],
            )?;
            rows.join(texts, JoinType::Left, &["author_id", "source"], &["__author", "__source"], None)?
        } else {
            rows.with_column(HELD_OUT, null_of(&lists))?
        };
        let no_fields = null_of(&DataType::Utf8View);
        let fields = when(is_looked_at, cast(col("fields"), DataType::Utf8View)).otherwise(no_fields)?;
        let leak = leaks(&self.recipe, spec, cx.engines.clone(), fields, cast(col(HELD_OUT), lists));
        let rows = rows.with_column(LEAK, leak)?;
        let part = |place: i64| array_element(col(LEAK), lit(place));
        let mark = |rule| Mark::new(rule, Outcome::Leaked, part(RULE).eq(lit(rule))).matching(part(WORDS));
        let similarity = || cast(part(SIMILARITY), DataType::Float64);
        let marks = [
            mark("held_out_passage"),
            mark("held_out_meaning").measuring(similarity(), self.threshold),
            mark("hidden_meaning").measuring(similarity(), self.threshold),
        ];
        Ok(mark_rows(rows, "answer_leaks", &marks)?.select(plain)?)
    }
}
