//! The funnel of a source: what came in, what each stage left, and by which rule the rest went.

use std::collections::BTreeMap;

use anyhow::Result;
use datafusion::arrow::array::{Array as _, AsArray as _};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::functions_aggregate::expr_fn::{count, median};
use datafusion::prelude::{DataFrame, Expr, cast, coalesce, col, lit};
use genome_schemas::{Outcome, Platform};
use genome_stages::StageConfig;
use serde::Serialize;

use crate::config::Project;

/// The stage of what the readers themselves mark.
const READERS: &str = "source";

/// Rows that left for one reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drop {
    /// The stage that dropped them, as [`Step::stage`] has it; `source` for what the readers mark.
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
    /// Name of the stage, the second of a name with its number: `author_activity#2`. The ledger has names alone: of several
    /// stages that can have dropped a row, by their platforms, rules and limits, it is shown under the first.
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
    /// Records that are only context, could not be read, and are no rows: file, rule, how many, where first.
    pub unread: Vec<String>,
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
    pub(super) unread: Vec<String>,
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
                unread: read.unread,
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
    let places = places(project);
    let arrange = |report: SourceReport| {
        let source = project.config.sources.iter().find(|source| source.name == report.source);
        arranged(report, &places, source.map(|source| source.platform))
    };
    Ok(sources.into_values().map(arrange).collect())
}

/// A stage over events, or the readers.
struct Place<'a> {
    /// The name in the ledger.
    name: &'static str,
    /// The name in the report: that of the second and later stages of a name has their number.
    label: String,
    /// `None` for the readers.
    config: Option<&'a StageConfig>,
}

/// The stages over events in the order in which they run, readers first.
fn places(project: &Project) -> Vec<Place<'_>> {
    let mut places = vec![Place { name: READERS, label: READERS.to_owned(), config: None }];
    for config in &project.config.stages {
        let card = config.stage().card();
        if (card.output)().name == "events" {
            let label = match places.iter().filter(|place| place.name == card.name).count() {
                0 => card.name.to_owned(),
                before => format!("{}#{}", card.name, before + 1),
            };
            places.push(Place { name: card.name, label, config: Some(config) });
        }
    }
    places
}

/// The stage that dropped rows of a platform: of several of the name the first that can have.
fn place_of<'a>(places: &'a [Place<'a>], platform: Option<Platform>, drop: &Drop) -> Option<&'a Place<'a>> {
    let named: Vec<&Place<'a>> = places.iter().filter(|place| place.name == drop.stage).collect();
    let can_have = |place: &&Place<'_>| place.config.is_some_and(|config| can_drop(config, platform, drop));
    named.iter().copied().find(can_have).or_else(|| named.first().copied())
}

/// Whether a stage can have dropped rows of a platform by this rule and limit.
fn can_drop(config: &StageConfig, platform: Option<Platform>, drop: &Drop) -> bool {
    let holds = |platforms: &[Platform]| {
        platforms.is_empty() || platform.is_none_or(|platform| platforms.contains(&platform))
    };
    // Limits went to the ledger and back as they are.
    let is_limit = |limit: Option<f64>| limit.map(f64::to_bits) == drop.limit.map(f64::to_bits);
    match config {
        StageConfig::ContentFilter(filter) => {
            let groups = filter.groups();
            let mut there = groups.iter().filter(|(scope, _)| holds(&scope.platforms));
            holds(&filter.platforms)
                && there.any(|(_, rules)| {
                    let mut named = rules.iter().filter(|rule| rule.name() == drop.rule);
                    named.any(|rule| {
                        is_limit(rule.limit())
                            || rule.replies_limit().is_some_and(|limit| is_limit(Some(limit)))
                    })
                })
        }
        StageConfig::AuthorActivity(activity) => {
            holds(&activity.platforms)
                && match drop.rule.as_str() {
                    "min_events" => is_limit(Some(f64::from(activity.min_events))),
                    "min_active_days" => is_limit(activity.min_active_days.map(f64::from)),
                    "all_dated" => activity.all_dated,
                    _ => true,
                }
        }
        StageConfig::KeptThreads(threads) => holds(&threads.platforms),
        _ => true,
    }
}

/// The report with its drops in order, its steps and shares.
fn arranged(mut report: SourceReport, places: &[Place<'_>], platform: Option<Platform>) -> SourceReport {
    let records = report.records as f64;
    let share = |rows: u64| if records > 0.0 { rows as f64 / records } else { 0.0 };
    for drop in &mut report.dropped {
        drop.share = share(drop.rows);
        if let Some(place) = place_of(places, platform, drop) {
            drop.stage.clone_from(&place.label);
        }
    }
    let place = |stage: &str| places.iter().position(|place| place.label == stage).unwrap_or(places.len());
    report.dropped.sort_by(|a, b| {
        let by = |drop: &Drop| (place(&drop.stage), std::cmp::Reverse(drop.rows));
        by(a).cmp(&by(b)).then_with(|| (&a.outcome, &a.rule).cmp(&(&b.outcome, &b.rule)))
    });
    let mut left = report.records;
    for Place { label, .. } in places {
        let dropped = report.dropped.iter().filter(|drop| drop.stage == *label).map(|drop| drop.rows).sum();
        let kept = left.saturating_sub(dropped);
        report.steps.push(Step { stage: label.clone(), rows_in: left, kept, share: share(kept), dropped });
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
        unread: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        store.path = "store"
        [[source]]
        name = "posts"
        platform = "reddit"
        paths = ["dump.jsonl"]
        [[source]]
        name = "blogs"
        platform = "blogger"
        paths = ["blogs.zip"]
        [[stage]]
        content_filter.preset = "paper_humanllm"
        [[stage]]
        author_activity = { platforms = ["reddit"], kinds = ["post"], min_events = 6 }
        [[stage]]
        kept_threads.platforms = ["reddit"]
        [[stage]]
        author_activity = { platforms = ["blogger"], min_events = 1, all_dated = true }
        [[stage]]
        content_filter.rules = [{ min_chars = 400 }, "advertisement"]
        [[stage]]
        author_activity.min_events = 2
    "#;

    #[test]
    fn stages_of_one_name_are_told_apart_by_platform_rule_and_limit() {
        let config = toml::from_str(CONFIG).unwrap();
        let project = Project { config, path: "genome.toml".into(), model_override: None };
        let drop = |stage: &str, rule: &str, limit: Option<f64>, rows: u64| Drop {
            stage: stage.to_owned(),
            outcome: "of no matter".to_owned(),
            rule: rule.to_owned(),
            rows,
            share: 0.0,
            median: None,
            limit,
        };
        let steps = |source: &str, platform: Platform, dropped: Vec<Drop>| -> Vec<(String, u64)> {
            let n_dropped: u64 = dropped.iter().map(|drop| drop.rows).sum();
            let report = SourceReport { records: 1000, kept: 1000 - n_dropped, dropped, ..empty(source) };
            let report = arranged(report, &places(&project), Some(platform));
            assert!(report.accounted, "{report:?}");
            report.steps.into_iter().map(|step| (step.stage, step.dropped)).collect()
        };
        let expected = |dropped: [u64; 7]| -> Vec<(String, u64)> {
            let names = [
                "source",
                "content_filter",
                "author_activity",
                "kept_threads",
                "author_activity#2",
                "content_filter#2",
                "author_activity#3",
            ];
            names.map(str::to_owned).into_iter().zip(dropped).collect()
        };
        let filter = |rule: &str, limit: f64, rows: u64| drop("content_filter", rule, Some(limit), rows);
        let activity = |rule: &str, limit: Option<f64>, rows: u64| drop("author_activity", rule, limit, rows);
        let posts = vec![
            drop("source", "truncated", None, 1),
            filter("min_chars", 200.0, 2),
            filter("min_chars", 300.0, 3),
            filter("min_chars", 400.0, 4),
            filter("engagement_any", 2.0, 5),
            drop("content_filter", "advertisement", None, 6),
            drop("kept_threads", "post_not_kept", None, 7),
            activity("min_events", Some(6.0), 8),
            activity("min_events", Some(2.0), 9),
        ];
        assert_eq!(steps("posts", Platform::Reddit, posts), expected([1, 10, 8, 7, 0, 10, 9]));
        let blogs = vec![
            filter("min_chars", 301.0, 1),
            filter("min_chars", 400.0, 2),
            activity("all_dated", Some(0.0), 3),
            activity("no_author", None, 4),
            activity("min_events", Some(2.0), 5),
        ];
        assert_eq!(steps("blogs", Platform::Blogger, blogs), expected([0, 1, 0, 0, 7, 2, 5]));
    }
}
