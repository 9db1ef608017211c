//! Judging: a model scores answers by a rubric.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::prelude::{DataFrame, Expr, coalesce, col, get_field, lit};
use genome_kernels::llm::{AnswerForm, Sampling};
use genome_schemas::{completions, judgements};
use serde::{Deserialize, Serialize};

use super::recipe::Rubric;
use super::render::render_rubric;
use crate::StageError;
use crate::functions::{
    CallSpec, PartSpec, answer_parts, array_function, generate, key_hex, list_array, row_key, strings,
};
use crate::mark::{fresh_ledger, is_kept, null_of};
use crate::stage::{Asset, Card, ModelStage, Scope, Stage, StageContext};

/// Has a judge score the kept answers of some recipes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// Name of the rubric.
    pub rubric: String,
    /// Recipes whose answers are scored.
    pub recipes: Vec<String>,
    /// Name of the judge's model; best another than the one that answered.
    pub model: String,
}

impl Stage for Judge {
    fn card(&self) -> Card {
        Card {
            name: "judge",
            version: 2,
            scope: Scope::Row,
            at_rest: true,
            input: completions,
            output: judgements,
            reads: &[],
            outcomes: &[],
        }
    }

    fn detail(&self) -> String {
        self.rubric.clone()
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        let rubric = cx.recipes.rubric(&self.rubric)?;
        Ok(vec![
            Asset { name: format!("rubric {}", self.rubric), digest: rubric.digest.clone() },
            cx.model_asset(&self.model)?,
        ])
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        let mut problems: Vec<String> = self
            .recipes
            .iter()
            .filter_map(|name| cx.recipes.recipe(name).err())
            .map(|e| e.to_string())
            .collect();
        problems.extend(cx.recipes.rubric(&self.rubric).err().map(|e| e.to_string()));
        problems.extend(cx.model_digest(&self.model).err().map(|e| e.to_string()));
        if self.recipes.is_empty() {
            problems.push("judge.recipes must name at least one recipe".to_owned());
        }
        problems
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        self.answers(cx, self.prompts(cx, rows)?)
    }

    fn model_stage(&self) -> Option<&dyn ModelStage> {
        Some(self)
    }
}

impl ModelStage for Judge {
    fn prompts(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let rubric = cx.recipes.rubric(&self.rubric)?;
        let recipes = self.recipes.iter().map(|r| lit(r.as_str())).collect();
        let prompt = render_rubric(
            Arc::clone(rubric),
            col("evidence"),
            coalesce(vec![col("fields"), lit("")]),
            col("recipe"),
        )?;
        Ok(rows.filter(is_kept().and(col("recipe").in_list(recipes, false)))?.select(vec![
            col("key"),
            col("source"),
            prompt.alias("prompt"),
        ])?)
    }

    fn answers(&self, cx: &StageContext, prompts: DataFrame) -> Result<DataFrame, StageError> {
        let rubric = cx.recipes.rubric(&self.rubric)?;
        let part = PartSpec {
            system: rubric.head.system.clone(),
            form: rubric.form(),
            // A score is a few tokens and a name; the grammar ends the answer.
            max_tokens: 24 * rubric.head.metrics.len(),
        };
        let spec = CallSpec::single(&self.model, part, Sampling::default(), 0);
        let no_calls = null_of(&DataType::Utf8View);
        let call = generate(spec, cx.engines.clone(), col("key"), col("prompt"), lit(""), no_calls);
        let answered = prompts.with_column("__answer", call.alias("__answer"))?;
        let answer = |name: &str| get_field(answer_parts(col("__answer")), name);
        let scored = answered
            .select(vec![
                col("key"),
                col("source"),
                answer("completion_tokens").alias("completion_tokens"),
                scores(rubric, answer("text")).alias(SCORES),
            ])?
            .unnest_columns(&[SCORES])?;
        judgement_rows(scored, &self.rubric, &rubric.digest, (&self.model, cx.model_digest(&self.model)?))
    }

    fn call_column(&self) -> &'static str {
        "completion_key"
    }

    fn models(&self) -> Vec<&str> {
        vec![&self.model]
    }
}

/// Column with one score as a struct of `metric` and `score`.
pub(super) const SCORES: &str = "__scores";

/// Rows of table `judgements` from `key` and `source` of the answer, `completion_tokens` and [`SCORES`]. `judge` is the name
/// of a model and its digest.
pub(super) fn judgement_rows(
    scored: DataFrame,
    rubric: &str,
    rubric_digest: &str,
    judge: (&str, &str),
) -> Result<DataFrame, StageError> {
    let part = |name: &str| get_field(col(SCORES), name);
    let (judge, digest) = judge;
    let named = vec![key_hex(col("key")), lit(rubric_digest), lit(digest), part("metric")];
    let mut columns = vec![
        row_key("genome judgements", named).alias("key"),
        col("key").alias("completion_key"),
        col("source"),
        lit(rubric).alias("rubric"),
        lit(judge).alias("judge"),
        part("metric").alias("metric"),
        part("score").alias("score"),
        col("completion_tokens"),
    ];
    columns.extend(fresh_ledger());
    Ok(scored.select(columns)?)
}

/// A score as a row of Arrow, with the fields of [`score_fields`].
#[derive(Serialize)]
struct ScoreRow<'a> {
    metric: &'a str,
    score: Option<f64>,
}

fn score_fields() -> Fields {
    Fields::from(vec![
        Field::new("metric", DataType::Utf8, false),
        Field::new("score", DataType::Float64, true),
    ])
}

/// List of (metric, score) from a judge's answer; a score that is not there is null, and will fail its gate.
fn scores(rubric: &Rubric, answer: Expr) -> Expr {
    let form = rubric.form();
    let metrics = rubric.head.metrics.clone();
    let item = Arc::new(Field::new("item", DataType::Struct(score_fields()), true));
    array_function(
        &format!("scores[{}]", rubric.head.name),
        vec![DataType::Utf8View],
        DataType::List(Arc::clone(&item)),
        move |args| {
            let answers = strings(args, 0)?;
            let rows: Vec<Vec<ScoreRow>> = (0..answers.len())
                .map(|row| {
                    let scores = read_scores(&form, &metrics, answers.value(row));
                    metrics.iter().zip(scores).map(|(metric, score)| ScoreRow { metric, score }).collect()
                })
                .collect();
            list_array(&item, &rows)
        },
    )
    .call(vec![answer])
}

/// The scores in an answer, one per metric; none where it is missing.
pub(super) fn read_scores(form: &AnswerForm, metrics: &[String], answer: &str) -> Vec<Option<f64>> {
    let value = form.parse(answer).ok().flatten();
    metrics
        .iter()
        .map(|metric| value.as_ref().and_then(|v| v.get(metric)).and_then(serde_json::Value::as_f64))
        .collect()
}
