//! Choices made anew against what a model usually gives.

use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::prelude::{DataFrame, Expr, cast, col, lit, when};
use genome_schemas::completions;
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::functions::{calibrated, choice_prior, key_hex, row_key};
use crate::mark::{column, is_kept};
use crate::stage::{Asset, Card, Scope, Stage, StageContext};

/// Makes the choices of kept answers to a recipe anew: the option is taken that is likelier here than it usually is.
///
/// Small models give some labels to nearly everybody. What they know of a person is in how far the probabilities differ from
/// the usual ones: the mean over all answers to the recipe (Zhou et al. 2024, "Batch Calibration"). No model is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrateChoices {
    /// The recipe.
    pub recipe: String,
    /// Fewest answers from which it is known what is usual; with fewer, choices stay as they are.
    #[serde(default = "default_fewest")]
    pub fewest: u64,
}

const fn default_fewest() -> u64 {
    20
}

impl Stage for CalibrateChoices {
    fn card(&self) -> Card {
        Card {
            name: "calibrate_choices",
            version: 1,
            scope: Scope::Corpus,
            at_rest: true,
            input: completions,
            output: completions,
            reads: &[],
            outcomes: &[],
        }
    }

    fn detail(&self) -> String {
        self.recipe.clone()
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        Ok(vec![cx.recipe_asset(&self.recipe)?])
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        match cx.recipes.recipe(&self.recipe) {
            Err(error) => vec![error.to_string()],
            Ok(recipe) if !recipe.head.form.has_choices() => {
                vec![format!("recipe `{}` has no choices", self.recipe)]
            }
            Ok(_) => Vec::new(),
        }
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const PRIOR: &str = "__prior";
        const IS_ITS: &str = "__is_its";
        const ANEW: &str = "__anew";
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let is_its = || is_kept().and(col("recipe").eq(lit(self.recipe.as_str())));
        // Every model has its own habits.
        let priors = rows.clone().filter(is_its().and(col("probabilities").is_not_null()))?.aggregate(
            vec![col("model").alias("__model")],
            vec![choice_prior(cast(col("probabilities"), DataType::Utf8View)).alias(PRIOR)],
        )?;
        let rows = rows.with_column(IS_ITS, is_its())?;
        let joined = rows.join(priors, JoinType::Left, &["model"], &["__model"], None)?;
        let text = |name: &str| cast(col(name), DataType::Utf8View);
        let anew = calibrated(text("fields"), text("probabilities"), text(PRIOR), self.fewest);
        let anew = when(col(IS_ITS), anew).otherwise(cast(col("fields"), DataType::Utf8))?;
        let joined = joined.with_column(ANEW, anew)?;
        // Another answer has another key: what was said of the old one is not said of the new.
        let key = row_key("genome calibrated choices", vec![key_hex(col("key")), text(ANEW)]);
        let key = when(text(ANEW).not_eq(text("fields")), key).otherwise(col("key"))?;
        let columns: Vec<Expr> = names
            .iter()
            .map(|name| match name.as_str() {
                "key" => key.clone().alias("key"),
                "fields" => col(ANEW).alias("fields"),
                name => column(name),
            })
            .collect();
        Ok(joined.select(columns)?)
    }
}
