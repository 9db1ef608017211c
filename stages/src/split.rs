//! Split: which events a model may learn from. It comes before any synthesis.

use arrow::datatypes::DataType;
use datafusion::functions_aggregate::min_max::min_udaf;
use datafusion::functions_window::expr_fn::percent_rank;
use datafusion::logical_expr::ExprFunctionExt;
use datafusion::prelude::{DataFrame, Expr, cast, coalesce, col, lit, when};
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::functions::{key_fraction, key_hex};
use crate::mark::{Mark, column, count_where, is_kept, mark_rows, window};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Gives each kept event its split: `train`, `validation` or `test`.
///
/// The default is the leak-safe rule of Humanual (papers' section 2.4): the earliest 90 % of a source's threads
/// train, then 2 % validation, then 8 % test; whole threads stay together; people without train events leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The order in which events are split.
    #[serde(default)]
    pub by: By,
    /// Share of train events.
    #[serde(default = "default_train")]
    pub train: f64,
    /// Share of validation events; the rest is test.
    #[serde(default = "default_validation")]
    pub validation: f64,
}

/// The order in which events are split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The time of the thread within its source (Humanual).
    #[default]
    Time,
    /// The time of the event among the author's own, so that everybody has test events.
    AuthorTime,
    /// No order: a fixed pseudo-random share of rows, as `HumanLLM` does. The same person, and the same thread,
    /// can be on both sides.
    PaperHumanllm,
}

fn default_train() -> f64 {
    0.90
}

fn default_validation() -> f64 {
    0.02
}

impl Stage for Split {
    fn card(&self) -> Card {
        Card {
            name: "split",
            version: 1,
            scope: Scope::Corpus,
            at_rest: false,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::Undated, Outcome::UnseenAuthor],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let in_range = |share: f64| (0.0..=1.0).contains(&share);
        if in_range(self.train) && in_range(self.validation) && self.train + self.validation <= 1.0 {
            return Vec::new();
        }
        vec![format!(
            "split.train ({}) and split.validation ({}) must lie between 0 and 1 and not exceed 1 together",
            self.train, self.validation
        )]
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const THREAD: &str = "__thread";
        const THREAD_AT: &str = "__thread_at";
        const POSITION: &str = "__position";
        const TRAINING: &str = "__training";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let undated = || Mark::new("no_time", Outcome::Undated, col("at").is_null());
        let rows = match self.by {
            By::PaperHumanllm => rows.with_column(POSITION, key_fraction(col("key")))?,
            By::Time => {
                let rows = mark_rows(rows, "split", &[undated()])?;
                let rows = rows.with_column(
                    THREAD,
                    coalesce(vec![cast(col("thread_id"), DataType::Utf8), key_hex(col("key"))]),
                )?;
                let started = window(min_udaf(), col("at"), vec![col("source"), col(THREAD), is_kept()])?;
                let rows = rows.window(vec![started.alias(THREAD_AT)])?;
                let position = percent_rank()
                    .partition_by(vec![col("source"), is_kept()])
                    .order_by(vec![col(THREAD_AT).sort(true, false), col(THREAD).sort(true, false)])
                    .build()?;
                rows.window(vec![position.alias(POSITION)])?
            }
            By::AuthorTime => {
                let rows = mark_rows(rows, "split", &[undated()])?;
                let position = percent_rank()
                    .partition_by(vec![col("author_id"), is_kept()])
                    .order_by(vec![col("at").sort(true, false), col("key").sort(true, false)])
                    .build()?;
                rows.window(vec![position.alias(POSITION)])?
            }
        };
        let split = when(is_kept().is_not_true(), col("split"))
            .when(col(POSITION).lt(lit(self.train)), lit("train"))
            .when(col(POSITION).lt(lit(self.train + self.validation)), lit("validation"))
            .otherwise(lit("test"))?;
        let rows = rows.with_column("split", cast(split, DataType::Utf8))?;
        let trained =
            count_where(is_kept().and(col("split").eq(lit("train"))), vec![col("author_id"), col("source")])?;
        let rows = rows.window(vec![trained.alias(TRAINING)])?;
        let unseen = Mark::new(
            "author_without_train",
            Outcome::UnseenAuthor,
            col("split").not_eq(lit("train")).and(col(TRAINING).eq(lit(0_i64))),
        );
        Ok(mark_rows(rows, "split", &[unseen])?.select(plain)?)
    }
}
