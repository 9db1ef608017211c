//! The funnel of a source: what came in, what each stage left, and by which rule the rest went.

use std::collections::BTreeMap;

use anyhow::Result;
use datafusion::arrow::array::{Array as _, AsArray as _};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::functions_aggregate::expr_fn::{count, median};
use datafusion::prelude::{DataFrame, Expr, cast, coalesce, col, lit};
use genome_schemas::Outcome;
use serde::Serialize;

use crate::config::Project;

/// The stage of what the readers themselves mark.
const READERS: &str = "source";

/// Rows that left for one reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drop {
    /// The stage that dropped them; `source` for what the readers mark.
    pub stage: String,
    /// The outcome.
    pub outcome: String,
    /// The rule.
    pub rule: String,
    /// How many.
    pub rows: u64,
    /// Their share of the source's records, `0.0..=1.0`.
    pub share: f64,
    /// Median of what the rule measured on them, where it measures a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median: Option<f64>,
    /// The limit that it was held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// What one stage did to the records of a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Name of the stage; stages of one name count as one, at the place of the first.
    pub stage: String,
    /// Records that came in.
    pub rows_in: u64,
    /// Records that are still in after it.
    pub kept: u64,
    /// Their share of the source's records, `0.0..=1.0`.
    pub share: f64,
    /// Records that it dropped.
    pub dropped: u64,
}

/// The funnel of one source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceReport {
    /// Name in the config.
    pub source: String,
    /// Records that the readers counted.
    pub records: u64,
    /// Files that they were read from.
    pub files: usize,
    /// What was left after the readers and after each stage over events, in the order in which they run.
    pub steps: Vec<Step>,
    /// Rows that left, in the order of the steps and by number.
    pub dropped: Vec<Drop>,
    /// Rows that are kept after the last stage over events.
    pub kept: u64,
    /// Whether kept and dropped rows are as many as the records that were read.
    pub accounted: bool,
    /// Where the kept rows ended, if the config writes shards and they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<Ended>,
    /// Records that had bytes or characters replaced.
    pub lossy: u64,
    /// Values lost to a conflict of types: file, field, how many, where first.
    pub lost_values: Vec<String>,
}

/// Where kept records ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// Records that are in at least one row of the shards.
    pub records: u64,
    /// Records that are in none, by reason.
    pub unused: BTreeMap<String, u64>,
}

/// What the readers counted of a source.
#[derive(Debug, Clone, Default)]
pub(super) struct Read {
    pub(super) records: u64,
    pub(super) files: usize,
    pub(super) lossy: u64,
    pub(super) lost_values: Vec<String>,
}

/// The funnels of all sources, from rows with the ledger columns and `source`; `read` is the readers' own count. With
/// `ended`, the rows are those of table `ledger` and say where they ended.
pub(super) async fn funnels(
    project: &Project,
    read: BTreeMap<String, Read>,
    rows: DataFrame,
    ended: bool,
) -> Result<Vec<SourceReport>> {
    let mut sources: BTreeMap<String, SourceReport> = read
        .into_iter()
        .map(|(source, read)| {
            let report = SourceReport {
                records: read.records,
                files: read.files,
                lossy: read.lossy,
                lost_values: read.lost_values,
                shards: ended.then(Ended::default),
                ..empty(&source)
            };
            (source, report)
        })
        .collect();
    for entry in entries(rows, ended).await? {
        let report = sources.entry(entry.source.clone()).or_insert_with(|| empty(&entry.source));
        if entry.drop.outcome != Outcome::Kept.as_str() {
            report.dropped.push(entry.drop);
            continue;
        }
        report.kept += entry.drop.rows;
        if let Some(ended) = &mut report.shards {
            if entry.unused.is_empty() {
                ended.records += entry.drop.rows;
            } else {
                *ended.unused.entry(entry.unused).or_insert(0) += entry.drop.rows;
            }
        }
    }
    let order = stages(project);
    Ok(sources.into_values().map(|report| arranged(report, &order)).collect())
}

/// Names of the stages over events in the order in which they run, readers first.
fn stages(project: &Project) -> Vec<&'static str> {
    let mut names = vec![READERS];
    for config in &project.config.stages {
        let card = config.stage().card();
        if (card.output)().name == "events" && !names.contains(&card.name) {
            names.push(card.name);
        }
    }
    names
}

/// The report with its drops in order, its steps and shares.
fn arranged(mut report: SourceReport, order: &[&str]) -> SourceReport {
    let records = report.records as f64;
    let share = |rows: u64| if records > 0.0 { rows as f64 / records } else { 0.0 };
    let place = |stage: &str| order.iter().position(|name| *name == stage).unwrap_or(order.len());
    report.dropped.sort_by(|a, b| {
        let by = |drop: &Drop| (place(&drop.stage), std::cmp::Reverse(drop.rows));
        by(a).cmp(&by(b)).then_with(|| (&a.outcome, &a.rule).cmp(&(&b.outcome, &b.rule)))
    });
    for drop in &mut report.dropped {
        drop.share = share(drop.rows);
    }
    let mut left = report.records;
    for stage in order {
        let dropped = report.dropped.iter().filter(|drop| drop.stage == *stage).map(|drop| drop.rows).sum();
        let kept = left.saturating_sub(dropped);
        report.steps.push(Step {
            stage: (*stage).to_owned(),
            rows_in: left,
            kept,
            share: share(kept),
            dropped,
        });
        left = kept;
    }
    let dropped: u64 = report.dropped.iter().map(|drop| drop.rows).sum();
    // By two ways: every row is counted, and every row was dropped by a stage that there is.
    report.accounted = report.records == report.kept + dropped && left == report.kept;
    report
}

fn empty(source: &str) -> SourceReport {
    SourceReport {
        source: source.to_owned(),
        records: 0,
        files: 0,
        steps: Vec::new(),
        dropped: Vec::new(),
        kept: 0,
        accounted: false,
        shards: None,
        lossy: 0,
        lost_values: Vec::new(),
    }
}

/// Rows of one source that ended alike.
struct Entry {
    source: String,
    /// Why kept rows are in no shard; empty for those that are.
    unused: String,
    drop: Drop,
}

async fn entries(rows: DataFrame, ended: bool) -> Result<Vec<Entry>> {
    let text = |name: &str| cast(coalesce(vec![col(name), lit("")]), DataType::Utf8).alias(name);
    let mut columns: Vec<Expr> = ["source", "stage", "outcome", "rule"].map(text).to_vec();
    columns.push(if ended { text("unused") } else { lit("").alias("unused") });
    columns.extend([col("measured"), col("limit_value")]);
    let groups = ["source", "stage", "outcome", "rule", "unused", "limit_value"];
    let counted = rows
        .select(columns)?
        .aggregate(
            groups.map(col).to_vec(),
            vec![count(lit(1_i64)).alias("rows"), median(col("measured")).alias("median")],
        )?
        .sort(groups.map(|name| col(name).sort(true, false)).to_vec())?
        .collect()
        .await?;
    let mut entries = Vec::new();
    for batch in &counted {
        let word = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
        let number = |column: usize, row: usize| {
            let column = batch.column(column).as_primitive::<Float64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        for row in 0..batch.num_rows() {
            entries.push(Entry {
                source: word(0, row),
                unused: word(4, row),
                drop: Drop {
                    stage: word(1, row),
                    outcome: word(2, row),
                    rule: word(3, row),
                    rows: u64::try_from(batch.column(6).as_primitive::<Int64Type>().value(row)).unwrap_or(0),
                    share: 0.0,
                    median: number(7, row),
                    limit: number(5, row),
                },
            });
        }
    }
    Ok(entries)
}
