//! The quality gate: answers whose scores are missing or too low leave.

use std::collections::BTreeMap;

use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::prelude::{DataFrame, Expr, coalesce, col, lit, nullif};
use genome_schemas::{Outcome, completions, judgements};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::mark::{Mark, column, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops the answers of a recipe that did not reach every threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityGate {
    /// The recipe whose answers are gated.
    pub recipe: String,
    /// The rubric whose scores count.
    pub rubric: String,
    /// Lowest score per metric (`HumanLLM`'s persona gate: papers' section 1.4). A missing score fails.
    pub thresholds: BTreeMap<String, f64>,
}

impl Stage for QualityGate {
    fn card(&self) -> Card {
        Card {
            name: "quality_gate",
            version: 1,
            scope: Scope::Corpus,
            at_rest: true,
            input: completions,
            output: completions,
            reads: &[judgements],
            outcomes: &[Outcome::BelowThreshold],
        }
    }

    fn detail(&self) -> String {
        self.recipe.clone()
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(cx.recipes.recipe(&self.recipe).err().map(|e| e.to_string()));
        match cx.recipes.rubric(&self.rubric) {
            Err(error) => problems.push(error.to_string()),
            Ok(rubric) => problems.extend(
                self.thresholds.keys().filter(|metric| !rubric.head.metrics.contains(metric)).map(|metric| {
                    format!(
                        "rubric `{}` has no score `{metric}`; its scores are: {}",
                        self.rubric,
                        rubric.head.metrics.join(", ")
                    )
                }),
            ),
        }
        problems
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let scores = cx.table(&judgements())?;
        let mut rows = rows;
        for (metric, threshold) in &self.thresholds {
            let score = format!("__score_{metric}");
            let judged = format!("__judged_{metric}");
            let of_metric = scores
                .clone()
                .filter(
                    col("rubric").eq(lit(self.rubric.as_str())).and(col("metric").eq(lit(metric.as_str()))),
                )?
                // Several judges: the lowest score counts, and one that gave none fails.
                .aggregate(
                    vec![col("completion_key").alias(&judged)],
                    vec![min(coalesce(vec![col("score"), lit(f64::NEG_INFINITY)])).alias(&score)],
                )?;
            rows = rows.join(of_metric, JoinType::Left, &["key"], &[judged.as_str()], None)?;
            let failed = col("recipe")
                .eq(lit(self.recipe.as_str()))
                .and(column(&score).is_null().or(column(&score).lt(lit(*threshold))));
            let mark = Mark::new("threshold", Outcome::BelowThreshold, failed)
                .measuring(nullif(column(&score), lit(f64::NEG_INFINITY)), *threshold);
            rows = mark_rows(rows, "quality_gate", &[mark])?.select(plain.clone())?;
        }
        Ok(rows)
    }
}
