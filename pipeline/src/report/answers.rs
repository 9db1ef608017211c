//! What models answered, by recipe and model, and how far judges agree.

use std::collections::BTreeMap;

use anyhow::Result;
use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::functions::math::expr_fn::abs;
use datafusion::functions_aggregate::expr_fn::{avg, corr, count, sum};
use datafusion::prelude::{DataFrame, Expr, SessionContext, cast, coalesce, col, lit, when};
use genome_schemas::Outcome;
use genome_stages::StageConfig;
use genome_stages::synthesis::QualityGate;
use serde::{Deserialize, Serialize};

use crate::config::Project;
use crate::json_rows::rows;
use crate::ledger::{Which, whole_table};
use crate::plan::Planned;

/// Answers of one model to one recipe.
#[derive(Debug, Default, Serialize)]
pub struct RecipeReport {
    /// Name of the recipe.
    pub recipe: String,
    /// Name of the model.
    pub model: String,
    /// Answers in all.
    pub answers: u64,
    /// Those that every check and gate let through.
    pub kept: u64,
    /// Share of the answers that say that nothing can be said.
    pub null_rate: f64,
    /// Share of the answers that passed the checks that need no judge, of those that say something.
    pub check_rate: Option<f64>,
    /// Share of those that passed every gate, where there is one; answers that passed it and are only not the best of several
    /// count on neither side.
    pub gate_rate: Option<f64>,
    /// Answers that left, by outcome and rule.
    pub dropped: BTreeMap<String, u64>,
    /// Tokens of prompts and answers, all attempts counted.
    pub tokens: u64,
    /// Tokens for each kept answer.
    pub tokens_per_kept: Option<f64>,
    /// Wall seconds of the runs that asked, for each kept answer; of the last run that asked anything.
    pub seconds_per_kept: Option<f64>,
}

/// How far two judges agree.
#[derive(Debug, Serialize, Deserialize)]
pub struct Agreement {
    /// The rubric.
    pub rubric: String,
    /// The score.
    pub metric: String,
    /// One judge.
    pub judge: String,
    /// The other.
    pub other: String,
    /// Answers that both gave this score.
    pub answers: u64,
    /// Mean of the differences between the two scores, sign dropped.
    pub mean_difference: f64,
    /// Share of the answers whose scores differ by at most 1.
    pub within_one: f64,
    /// Pearson's correlation; none where one judge always says the same.
    #[serde(default)]
    pub correlation: Option<f64>,
}

/// Answers as they are counted.
#[derive(Deserialize)]
struct Counted {
    recipe: String,
    model: String,
    outcome: String,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    rule: String,
    answers: u64,
    tokens: u64,
}

/// What the rates of a report are made of, beside its own counts.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Answers that are `null`.
    nulls: u64,
    /// Answers that a stage behind the question rejected.
    rejected: u64,
    /// Answers that nobody rejected, but another answer to their prompt is better.
    not_best: u64,
}

impl Tally {
    /// Adds answers that left.
    fn add(&mut self, counted: &Counted) {
        if counted.outcome == Outcome::NoAnswer.as_str() && counted.rule == "null" {
            self.nulls += counted.answers;
        }
        if counted.rule == QualityGate::NOT_BEST {
            self.not_best += counted.answers;
        } else if counted.stage != "synthesize" {
            self.rejected += counted.answers;
        }
    }

    /// Share of the answers that passed the checks, of those that say something.
    fn check_rate(self, kept: u64, answers: u64) -> Option<f64> {
        share((kept + self.rejected + self.not_best) as f64, answers as f64 - self.nulls as f64)
    }

    /// Share of the answers that passed every gate.
    fn gate_rate(self, kept: u64) -> Option<f64> {
        share(kept as f64, (kept + self.rejected) as f64)
    }
}

/// Every recipe that was asked, in the order of the stages.
pub(super) async fn recipes(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
) -> Result<Vec<RecipeReport>> {
    let mut reports: Vec<RecipeReport> = Vec::new();
    let mut seconds: BTreeMap<(String, String), f64> = BTreeMap::new();
    for this in planned {
        let [at] = this.segment.stages[..] else { continue };
        let StageConfig::Synthesize(stage) = &project.config.stages[at] else { continue };
        let name = (stage.recipe.clone(), stage.model.clone());
        if !seconds.contains_key(&name) {
            let (recipe, model) = name.clone();
            reports.push(RecipeReport { recipe, model, ..RecipeReport::default() });
        }
        *seconds.entry(name).or_default() += this.manifest.as_ref().map_or(0.0, |manifest| manifest.seconds);
    }
    let Some(answers) = whole_table(session, project, planned, "completions", Which::All).await? else {
        return Ok(reports);
    };
    let mut tallies = vec![Tally::default(); reports.len()];
    for counted in counted(answers).await? {
        let is_its = |report: &RecipeReport| report.recipe == counted.recipe && report.model == counted.model;
        let Some(at) = reports.iter().position(is_its) else { continue };
        let report = &mut reports[at];
        report.answers += counted.answers;
        report.tokens += counted.tokens;
        if counted.outcome == Outcome::Kept.as_str() {
            report.kept += counted.answers;
        } else {
            *report.dropped.entry(format!("{} ({})", counted.outcome, counted.rule)).or_default() +=
                counted.answers;
            tallies[at].add(&counted);
        }
    }
    for (report, tally) in reports.iter_mut().zip(tallies) {
        report.null_rate = share(tally.nulls as f64, report.answers as f64).unwrap_or(0.0);
        report.check_rate = tally.check_rate(report.kept, report.answers);
        let has_gate = project.config.stages.iter().any(|stage| match stage {
            StageConfig::QualityGate(gate) => gate.recipe == report.recipe,
            StageConfig::AnswerRepeats(repeats) => repeats.recipe == report.recipe,
            StageConfig::AnswerLeaks(leaks) => leaks.recipe == report.recipe,
            _ => false,
        });
        report.gate_rate = if has_gate { tally.gate_rate(report.kept) } else { None };
        let kept = report.kept as f64;
        report.tokens_per_kept = share(report.tokens as f64, kept);
        let name = (report.recipe.clone(), report.model.clone());
        report.seconds_per_kept = share(seconds.get(&name).copied().unwrap_or(0.0), kept);
    }
    Ok(reports)
}

pub(super) fn share(part: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| part / of)
}

async fn counted(answers: DataFrame) -> Result<Vec<Counted>> {
    let text = |name: &str| {
        cast(coalesce(vec![cast(col(name), DataType::Utf8), lit("")]), DataType::Utf8).alias(name)
    };
    let names = ["recipe", "model", "outcome", "stage", "rule"];
    let tokens =
        cast(col("prompt_tokens"), DataType::Int64) + cast(col("completion_tokens"), DataType::Int64);
    let mut columns: Vec<Expr> = names.map(text).to_vec();
    columns.push(tokens.alias("tokens"));
    let counted = answers.select(columns)?.aggregate(
        names.map(col).to_vec(),
        vec![count(lit(1_i64)).alias("answers"), sum(col("tokens")).alias("tokens")],
    )?;
    parsed(counted).await
}

/// Every pair of judges that scored the same answers.
pub(super) async fn agreements(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
) -> Result<Vec<Agreement>> {
    let Some(scores) = whole_table(session, project, planned, "judgements", Which::All).await? else {
        return Ok(Vec::new());
    };
    let columns = ["completion_key", "rubric", "metric", "judge", "score"];
    let scores = scores.filter(col("score").is_not_null())?.select(columns.map(col).to_vec())?;
    let others =
        scores.clone().select(columns.map(|name| col(name).alias(format!("other_{name}"))).to_vec())?;
    let pairs = scores.join(
        others,
        JoinType::Inner,
        &["completion_key", "rubric", "metric"],
        &["other_completion_key", "other_rubric", "other_metric"],
        Some(col("judge").lt(col("other_judge"))),
    )?;
    let names = ["rubric", "metric", "judge"];
    let difference = || abs(col("score") - col("other_score"));
    let text = |name: &str| cast(col(name), DataType::Utf8);
    let mut groups: Vec<Expr> = names.map(|name| text(name).alias(name)).to_vec();
    groups.push(text("other_judge").alias("other"));
    let within = when(difference().lt_eq(lit(1.0)), lit(1.0)).otherwise(lit(0.0))?;
    let found = pairs.aggregate(
        groups,
        vec![
            count(lit(1_i64)).alias("answers"),
            avg(difference()).alias("mean_difference"),
            avg(within).alias("within_one"),
            corr(col("score"), col("other_score")).alias("correlation"),
        ],
    )?;
    let order = ["rubric", "metric", "judge", "other"].map(|name| col(name).sort(true, false)).to_vec();
    parsed(found.sort(order)?).await
}

async fn parsed<T: serde::de::DeserializeOwned>(frame: DataFrame) -> Result<Vec<T>> {
    let rows = rows(&frame.collect().await?)?;
    rows.into_iter().map(|row| Ok(serde_json::from_value(row.into())?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_not_the_best_passed_checks_and_gates() {
        let counted = |outcome: &str, stage: &str, rule: &str, answers: u64| Counted {
            recipe: "thought".to_owned(),
            model: "toy".to_owned(),
            outcome: outcome.to_owned(),
            stage: stage.to_owned(),
            rule: rule.to_owned(),
            answers,
            tokens: 0,
        };
        let mut tally = Tally::default();
        tally.add(&counted("no_answer", "synthesize", "null", 10));
        tally.add(&counted("truncated", "synthesize", "max_tokens", 10));
        tally.add(&counted("below_threshold", "quality_gate", "not_best", 60));
        assert_eq!((tally.check_rate(20, 100), tally.gate_rate(20)), (Some(80.0 / 90.0), Some(1.0)));
        tally.add(&counted("below_threshold", "quality_gate", "threshold", 5));
        assert_eq!((tally.check_rate(15, 100), tally.gate_rate(15)), (Some(80.0 / 90.0), Some(0.75)));
        assert_eq!(Tally::default().gate_rate(0), None);
    }
}
