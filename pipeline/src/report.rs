//! The report: where every record went. Counts are queries over the ledger columns of the artifacts.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{DataFrame, SessionContext, cast, coalesce, col, lit};
use genome_schemas::Freshness;
use serde::Serialize;

use crate::config::Project;
use crate::plan::Planned;
use crate::run::artifact_rows;
use crate::store::read_manifest;

/// Where the records of a config went.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Input records by source.
    pub sources: Vec<SourceReport>,
    /// Rows that each segment wrote.
    pub segments: Vec<SegmentReport>,
    /// Whether every input record is accounted for.
    pub accounted: bool,
    /// Remarks on the run, such as a judge that judges itself.
    pub remarks: Vec<String>,
}

/// The funnel of one source.
#[derive(Debug, Serialize)]
pub struct SourceReport {
    /// Name in the config.
    pub source: String,
    /// Records that the readers counted.
    pub records: u64,
    /// Rows that left, by stage, outcome and rule.
    pub dropped: Vec<Drop>,
    /// Records that had bytes or characters replaced.
    pub lossy: u64,
    /// Values lost to a conflict of types: file, field, how many, where first.
    pub lost_values: Vec<String>,
    /// Rows that are kept after the last stage over events.
    pub kept: u64,
}

/// Rows that left for one reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Drop {
    /// The stage that dropped them; `source` for records that could not be read.
    pub stage: String,
    /// The outcome.
    pub outcome: String,
    /// The rule.
    pub rule: String,
    /// How many.
    pub rows: u64,
}

/// What one segment made.
#[derive(Debug, Serialize)]
pub struct SegmentReport {
    /// Name.
    pub segment: String,
    /// Table.
    pub table: String,
    /// Rows per source and outcome.
    pub rows: BTreeMap<String, BTreeMap<String, u64>>,
    /// Wall seconds of the run that made it.
    pub seconds: f64,
}

/// Builds the report of a config from its artifacts.
///
/// # Errors
/// The config was not run, or an artifact is damaged.
pub async fn report(session: &SessionContext, project: &Project, planned: &[Planned]) -> Result<Report> {
    let mut sources: BTreeMap<String, SourceReport> = BTreeMap::new();
    let mut segments = Vec::new();
    for this in planned {
        if this.freshness != Freshness::Fresh {
            return Err(crate::error::Hinted::new(
                format!("{} is not up to date: the config was not run, or not to the end", this.segment.name),
                project.command("run"),
            )
            .into());
        }
        let manifest = read_manifest(&this.folder)?
            .ok_or_else(|| anyhow!("internal error: {} has no manifest", this.folder.display()))?;
        let ledger = ledger(artifact_rows(session, project, this, None).await?).await?;
        for file in &manifest.files {
            let report = sources.entry(file.source.clone()).or_insert_with(|| empty(&file.source));
            if file.yields_events {
                report.records += file.records;
            }
            report.lossy += file.lossy;
            for (field, (count, first)) in &file.type_conflicts {
                report
                    .lost_values
                    .push(format!("{}: {count} × `{field}`, first at offset {first}", file.name));
            }
        }
        if this.segment.output.name == "events" {
            for report in sources.values_mut() {
                report.kept = 0;
            }
            for entry in &ledger {
                let report = sources.entry(entry.source.clone()).or_insert_with(|| empty(&entry.source));
                if entry.outcome == "kept" {
                    report.kept += entry.rows;
                } else {
                    report.dropped.push(Drop {
                        stage: entry.stage.clone(),
                        outcome: entry.outcome.clone(),
                        rule: entry.rule.clone(),
                        rows: entry.rows,
                    });
                }
            }
        }
        let mut rows: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for entry in ledger {
            *rows.entry(entry.source).or_default().entry(entry.outcome).or_insert(0) += entry.rows;
        }
        segments.push(SegmentReport {
            segment: this.segment.name.clone(),
            table: this.segment.output.name.to_owned(),
            rows,
            seconds: manifest.seconds,
        });
    }
    let sources: Vec<SourceReport> = sources.into_values().collect();
    let accounted =
        sources.iter().all(|s| s.records == s.kept + s.dropped.iter().map(|d| d.rows).sum::<u64>());
    Ok(Report { sources, segments, accounted, remarks: remarks(project) })
}

impl Report {
    /// The report as text.
    pub fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for source in &self.sources {
            let _ = writeln!(text, "{}: {} records", source.source, source.records);
            for drop in &source.dropped {
                let _ =
                    writeln!(text, "  {:>7}  {:<18} {} ({})", drop.rows, drop.outcome, drop.stage, drop.rule);
            }
            let _ = writeln!(text, "  {:>7}  kept", source.kept);
            let total = source.kept + source.dropped.iter().map(|d| d.rows).sum::<u64>();
            let _ = writeln!(text, "  {total:>7}  accounted for of {}", source.records);
            if source.lossy > 0 {
                let _ = writeln!(text, "  {:>7}  read with characters replaced", source.lossy);
            }
            for lost in &source.lost_values {
                let _ = writeln!(text, "           value of another type: {lost}");
            }
            text.push('\n');
        }
        for segment in self.segments.iter().filter(|s| s.table != "events") {
            let _ = writeln!(text, "{} → {} ({:.1} s)", segment.segment, segment.table, segment.seconds);
            for (source, outcomes) in &segment.rows {
                let counts: Vec<String> = outcomes.iter().map(|(o, n)| format!("{n} {o}")).collect();
                let _ = writeln!(text, "  {source}: {}", counts.join(", "));
            }
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "\nnote: {remark}");
        }
        text
    }
}

fn empty(source: &str) -> SourceReport {
    SourceReport {
        source: source.to_owned(),
        records: 0,
        dropped: Vec::new(),
        lossy: 0,
        lost_values: Vec::new(),
        kept: 0,
    }
}

struct Entry {
    source: String,
    stage: String,
    outcome: String,
    rule: String,
    rows: u64,
}

async fn ledger(rows: DataFrame) -> Result<Vec<Entry>> {
    let text = |name: &str| cast(coalesce(vec![col(name), lit("")]), DataType::Utf8).alias(name);
    let counted = rows
        .select(vec![text("source"), text("stage"), text("outcome"), text("rule")])?
        .aggregate(
            vec![col("source"), col("stage"), col("outcome"), col("rule")],
            vec![count(lit(1_i64)).alias("rows")],
        )?
        .sort(["source", "stage", "outcome", "rule"].map(|name| col(name).sort(true, false)).to_vec())?
        .collect()
        .await?;
    let mut entries = Vec::new();
    for batch in &counted {
        let word = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
        for row in 0..batch.num_rows() {
            let stage = word(1, row);
            entries.push(Entry {
                source: word(0, row),
                stage,
                outcome: word(2, row),
                rule: word(3, row),
                rows: u64::try_from(batch.column(4).as_primitive::<Int64Type>().value(row)).unwrap_or(0),
            });
        }
    }
    Ok(entries)
}

/// What a reader of the numbers must know.
fn remarks(project: &Project) -> Vec<String> {
    use genome_stages::StageConfig::{Judge, Synthesize};
    let writers: std::collections::BTreeSet<&str> = project
        .config
        .stages
        .iter()
        .filter_map(|stage| if let Synthesize(s) = stage { Some(s.model.as_str()) } else { None })
        .collect();
    project
        .config
        .stages
        .iter()
        .filter_map(|stage| match stage {
            Judge(judge) if writers.contains(judge.model.as_str()) => Some(format!(
                "the judge `{}` also wrote answers that it judges; its scores are worth less than another model's",
                judge.model
            )),
            _ => None,
        })
        .collect()
}
