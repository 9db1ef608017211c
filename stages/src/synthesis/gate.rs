//! The quality gate: answers whose scores are missing or too low leave, and of several to one prompt all but the best.

use std::collections::BTreeMap;

use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::prelude::{DataFrame, Expr, coalesce, col, lit, nullif};
use genome_schemas::{Outcome, completions, judgements};
use serde::{Deserialize, Serialize};

use super::score_trace;
use crate::StageError;
use crate::mark::{Mark, column, mark_rows, rank_kept};
use crate::stage::{Asset, Card, RejectionLimit, Scope, Stage, StageContext};

/// Drops the answers of a recipe that did not reach every threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityGate {
    /// The recipe whose answers are gated.
    pub recipe: String,
    /// The rubric whose scores count; `trace` for those of `score_trace`.
    pub rubric: String,
    /// Lowest score per metric; a missing score fails. Without any, those that the recipe names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, f64>,
    /// Of several answers to one prompt that reach all thresholds only the one with the best score by this metric is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_best: Option<String>,
    /// The run stops where more than this share of the answers is rejected. What leaves as `not_best` is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rejected: Option<f64>,
}

impl Stage for QualityGate {
    fn card(&self) -> Card {
        Card {
            name: "quality_gate",
            version: 3,
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

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        if !self.thresholds.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![cx.recipe_asset(&self.recipe)?])
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        let mut problems = Vec::new();
        let thresholds = match self.thresholds(cx) {
            Err(error) => return vec![error.to_string()],
            Ok(thresholds) => thresholds,
        };
        if thresholds.is_empty() && self.keep_best.is_none() {
            problems.push(format!(
                "quality_gate.thresholds is empty, and recipe `{}` names no gate of its own",
                self.recipe
            ));
        }
        let known: Vec<&str> = if self.rubric == score_trace::RUBRIC {
            score_trace::METRICS.to_vec()
        } else {
            match cx.recipes.rubric(&self.rubric) {
                Err(error) => return vec![error.to_string()],
                Ok(rubric) => rubric.head.metrics.iter().map(String::as_str).collect(),
            }
        };
        problems.extend(
            thresholds
                .iter()
                .filter(|(_, threshold)| !threshold.is_finite())
                .map(|(metric, threshold)| format!("thresholds.{metric} is {threshold}, which is no number")),
        );
        let named = thresholds.keys().chain(&self.keep_best);
        problems.extend(named.filter(|metric| !known.contains(&metric.as_str())).map(|metric| {
            format!("rubric `{}` has no score `{metric}`; its scores are: {}", self.rubric, known.join(", "))
        }));
        if self.max_rejected.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            problems.push("max_rejected must lie between 0 and 1".to_owned());
        }
        problems
    }

    fn idle_keys(&self) -> &'static [&'static str] {
        &["max_rejected"]
    }

    fn rejection_limit(&self) -> Option<RejectionLimit<'_>> {
        self.max_rejected.map(|max_rejected| RejectionLimit { recipe: &self.recipe, max_rejected })
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const RANK: &str = "__rank";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let mut rows = rows;
        for (metric, threshold) in self.thresholds(cx)? {
            let (joined, score) = self.with_score(cx, rows, &metric)?;
            let failed = self.is_gated().and(column(&score).is_null().or(column(&score).lt(lit(threshold))));
            let mark = Mark::new("threshold", Outcome::BelowThreshold, failed)
                .measuring(nullif(column(&score), lit(f64::NEG_INFINITY)), threshold);
            rows = mark_rows(joined, "quality_gate", &[mark])?.select(plain.clone())?;
        }
        let Some(metric) = &self.keep_best else { return Ok(rows) };
        let (joined, score) = self.with_score(cx, rows, metric)?;
        // What nobody gave a score cannot be the best.
        let is_missing = column(&score).is_null().or(column(&score).eq(lit(f64::NEG_INFINITY)));
        let missing = Mark::new("threshold", Outcome::BelowThreshold, self.is_gated().and(is_missing));
        let joined = mark_rows(joined, "quality_gate", &[missing])?;
        let order = vec![column(&score).sort(false, false), col("key").sort(true, false)];
        let rank = rank_kept(vec![col("subject_key"), col("recipe"), col("source")], order)?;
        let ranked = joined.window(vec![rank.alias(RANK)])?;
        let is_worse = self.is_gated().and(col(RANK).gt(lit(1_u64)));
        let mark = Mark {
            measured: Some(nullif(column(&score), lit(f64::NEG_INFINITY))),
            ..Mark::new(Self::NOT_BEST, Outcome::BelowThreshold, is_worse)
        };
        Ok(mark_rows(ranked, "quality_gate", &[mark])?.select(plain)?)
    }
}

impl QualityGate {
    /// The rule by which answers leave that reached every threshold, where another answer to their prompt is better. Nobody
    /// rejected them, so that they count in no rate of rejected answers, on neither side.
    pub const NOT_BEST: &'static str = "not_best";

    fn thresholds(&self, cx: &StageContext) -> Result<BTreeMap<String, f64>, StageError> {
        let recipe = cx.recipes.recipe(&self.recipe)?;
        Ok(if self.thresholds.is_empty() { recipe.head.gate.clone() } else { self.thresholds.clone() })
    }

    fn is_gated(&self) -> Expr {
        col("recipe").eq(lit(self.recipe.as_str()))
    }

    /// The rows with their score by a metric, and the name of its column. It is null where there is no judgement, and
    /// minus infinity where a judge gave none: several judges have their lowest score counted.
    fn with_score(
        &self,
        cx: &StageContext,
        rows: DataFrame,
        metric: &str,
    ) -> Result<(DataFrame, String), StageError> {
        let score = format!("__score_{metric}");
        let judged = format!("__judged_{metric}");
        let is_metric = col("rubric").eq(lit(self.rubric.as_str())).and(col("metric").eq(lit(metric)));
        let scores = cx.table(&judgements())?.filter(is_metric)?.aggregate(
            vec![col("completion_key").alias(&judged)],
            vec![min(coalesce(vec![col("score"), lit(f64::NEG_INFINITY)])).alias(&score)],
        )?;
        Ok((rows.join(scores, JoinType::Left, &["key"], &[judged.as_str()], None)?, score))
    }
}
