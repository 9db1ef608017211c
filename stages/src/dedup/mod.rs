//! Deduplication: of rows that say the same, one stays.

use datafusion::functions_window::expr_fn::first_value;
use datafusion::logical_expr::{ExprFunctionExt, SortExpr};
use datafusion::prelude::{DataFrame, Expr, coalesce, col, concat, lit, when};
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::filter::written;
use crate::functions::{is_removed, key_hex, text_digest};
use crate::mark::{Mark, column, is_kept, mark_rows, rank_kept};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops exact repeats: first the other versions of a record of the platform (rule `same_record`), then other records
/// of the same text. The earliest event stays; among equals the one with the smallest key, then file and offset,
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
            version: 3,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::ExactDuplicate],
        }
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let rows = same_records(rows)?.select(plain.clone())?;
        Ok(self.same_texts(rows)?.select(plain)?)
    }
}

const RANK: &str = "__rank";
const FIRST: &str = "__first";

/// Where rows stood, which sets apart those that are alike in everything else.
fn by_place() -> [SortExpr; 4] {
    ["key", "source", "source_file", "source_offset"].map(|name| col(name).sort(true, false))
}

/// `rows` with the place of each among those that are kept and equal in `partition`, and the key of the first of them.
fn ranked(rows: DataFrame, partition: Vec<Expr>, order: Vec<SortExpr>) -> Result<DataFrame, StageError> {
    let mut with_kept = partition.clone();
    with_kept.push(is_kept());
    let first = first_value(col("key")).partition_by(with_kept).order_by(order.clone()).build()?;
    let rank = rank_kept(partition, order)?;
    Ok(rows.window(vec![rank.alias(RANK), first.alias(FIRST)])?)
}

/// Drops all versions of one record of a platform but one: a text that is still there before one that was taken away,
/// then the version that was retrieved last.
fn same_records(rows: DataFrame) -> Result<DataFrame, StageError> {
    // A record without an id of the platform is only itself.
    let id = coalesce(vec![col("native_id"), concat(vec![lit("key "), key_hex(col("key"))])]);
    let partition = vec![col("platform"), col("kind"), id];
    let taken_away = col("author_class").eq(lit("deleted")).or(is_removed(written()));
    let mut order = vec![taken_away.sort(true, false), col("retrieved_at").sort(false, false)];
    order.extend(by_place());
    let rows = ranked(rows, partition, order)?;
    // A version has the key of another only if its text is the same.
    let same = when(col("key").eq(col(FIRST)), lit(1.0)).end()?;
    let version = Mark::new("same_record", Outcome::ExactDuplicate, col(RANK).gt(lit(1_u64)))
        .duplicate_of(col(FIRST))
        .similar(same);
    mark_rows(rows, "dedup", &[version])
}

impl Dedup {
    /// Drops all rows of one text but the first.
    fn same_texts(&self, rows: DataFrame) -> Result<DataFrame, StageError> {
        const DIGEST: &str = "__digest";
        let rows = rows.with_column(DIGEST, text_digest(written(), self.exact == Exact::Normalized))?;
        let mut partition = vec![col(DIGEST)];
        match self.across {
            Across::Author => partition.push(col("author_id")),
            Across::Platform => partition.push(col("platform")),
            Across::All => {}
        }
        let mut order = vec![col("at").sort(true, false)];
        order.extend(by_place());
        let rows = ranked(rows, partition, order)?;
        let repeat = Mark::new(self.rule(), Outcome::ExactDuplicate, col(RANK).gt(lit(1_u64)))
            .measuring(lit(1.0), 1.0)
            .duplicate_of(col(FIRST))
            .similar(lit(1.0));
        mark_rows(rows, "dedup", &[repeat])
    }

    const fn rule(&self) -> &'static str {
        match self.across {
            Across::Author => "exact_author",
            Across::Platform => "exact_platform",
            Across::All => "exact_all",
        }
    }
}
