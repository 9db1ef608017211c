//! Deduplication: of rows that say the same, one stays.

use datafusion::functions_window::expr_fn::first_value;
use datafusion::logical_expr::ExprFunctionExt;
use datafusion::prelude::{DataFrame, Expr, col, lit};
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::filter::written;
use crate::functions::text_digest;
use crate::mark::{Mark, column, is_kept, mark_rows, rank_kept};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops exact repeats. The earliest event stays; among equals the one with the smallest key, then file and offset,
/// so that the survivors do not depend on the order of files or threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// What counts as the same text.
    #[serde(default)]
    pub exact: Exact,
    /// Among which events it is looked for.
    #[serde(default)]
    pub across: Across,
}

/// What counts as the same text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exact {
    /// Alike after case, Unicode, white space, links and mentions are folded.
    #[default]
    Normalized,
    /// Alike byte for byte.
    Raw,
}

/// Among which events a repeat is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Across {
    /// One author's own.
    Author,
    /// One platform's.
    Platform,
    /// All.
    #[default]
    All,
}

impl Stage for Dedup {
    fn card(&self) -> Card {
        Card {
            name: "dedup",
            version: 1,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::ExactDuplicate],
        }
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const DIGEST: &str = "__digest";
        const RANK: &str = "__rank";
        const FIRST: &str = "__first";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let rows = rows.with_column(DIGEST, text_digest(written(), self.exact == Exact::Normalized))?;
        let mut partition = vec![col(DIGEST)];
        match self.across {
            Across::Author => partition.push(col("author_id")),
            Across::Platform => partition.push(col("platform")),
            Across::All => {}
        }
        let order = || {
            vec![
                col("at").sort(true, false),
                col("key").sort(true, false),
                col("source").sort(true, false),
                col("source_file").sort(true, false),
                col("source_offset").sort(true, false),
            ]
        };
        let mut with_kept = partition.clone();
        with_kept.push(is_kept());
        let first = first_value(col("key")).partition_by(with_kept).order_by(order()).build()?;
        let rank = rank_kept(partition, order())?;
        let rows = rows.window(vec![rank.alias(RANK), first.alias(FIRST)])?;
        let repeat = Mark::new(self.rule(), Outcome::ExactDuplicate, col(RANK).gt(lit(1_u64)))
            .measuring(lit(1.0), 1.0)
            .duplicate_of(col(FIRST));
        Ok(mark_rows(rows, "dedup", &[repeat])?.select(plain)?)
    }
}

impl Dedup {
    const fn rule(&self) -> &'static str {
        match self.across {
            Across::Author => "exact_author",
            Across::Platform => "exact_platform",
            Across::All => "exact_all",
        }
    }
}
