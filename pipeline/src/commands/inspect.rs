//! `genome inspect`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::prelude::{DataFrame, Expr, SessionContext, col, lit};
use datafusion::scalar::ScalarValue;
use genome_schemas::{Freshness, Outcome, Table, all_tables};
use serde_json::Value;

use super::{block_on, project, refuse_problems};
use crate::cli::{Format, InspectArgs};
use crate::config::Project;
use crate::error::Hinted;
use crate::json_rows::{Row, rows as to_json};
use crate::ledger::{self, Which, whole_table};
use crate::plan::Planned;
use crate::progress::{print, tell};
use crate::report::number;
use crate::run::planned;
use crate::session::{Limits, for_records};

pub(super) fn inspect(args: &InspectArgs) -> Result<ExitCode> {
    let project = project(&args.config)?;
    refuse_problems(&project)?;
    let mut tables = all_tables().to_vec();
    tables.push(genome_schemas::ledger());
    let table = tables.iter().find(|t| t.name == args.table).ok_or_else(|| {
        let known: Vec<&str> = tables.iter().map(|t| t.name).collect();
        anyhow!("there is no table `{}`; tables are: {}", args.table, known.join(", "))
    })?;
    if let Some(outcome) = &args.outcome {
        outcome.parse::<Outcome>()?;
    }
    let rows = block_on(2, async {
        let session = for_records(Limits { threads: 2, memory_bytes: 512 << 20 })?;
        sample(&session, &project, table, args).await
    })?;
    for row in rows {
        print(&match args.format {
            Format::Json => serde_json::to_string(&row)?,
            Format::Text => as_text(&row),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Rows by key order, which is as good as random and the same each time: keys are hashes.
async fn sample(
    session: &SessionContext,
    project: &Project,
    table: &Table,
    args: &InspectArgs,
) -> Result<Vec<Row>> {
    let planned = planned(project)?;
    let all = table_rows(session, project, &planned, table).await?;
    let mut wanted = all.clone();
    for (column, value) in filters(args) {
        let Some(value) = value else { continue };
        if table.schema.field_with_name(column).is_err() {
            return Err(anyhow!("table `{}` has no column `{column}`", table.name));
        }
        let is: Expr = col(column).eq(lit(value.as_str()));
        wanted = wanted.filter(is)?;
    }
    let order = ["key", "source_file", "source_offset"];
    let order = order.iter().filter(|name| table.schema.field_with_name(name).is_ok());
    let order = order.map(|name| col(*name).sort(true, false)).collect();
    let batches = wanted.sort(order)?.limit(0, Some(args.sample))?.collect().await?;
    let mut rows = to_json(&batches)?;
    if rows.is_empty() && args.sample > 0 {
        tell_what_is_there(&all, table, args).await?;
    }
    if table.name == "events" && args.format == Format::Text {
        add_survivors(all, &batches, &mut rows).await?;
    }
    if table.name == "events" {
        add_shards(session, project, &planned, &batches, &mut rows).await?;
    }
    Ok(rows)
}

fn filters(args: &InspectArgs) -> [(&'static str, &Option<String>); 5] {
    [
        ("outcome", &args.outcome),
        ("rule", &args.rule),
        ("stage", &args.stage),
        ("source", &args.source),
        ("recipe", &args.recipe),
    ]
}

async fn table_rows(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    table: &Table,
) -> Result<DataFrame> {
    let stale = |name: &str| Hinted::new(format!("{name} is not up to date"), project.command("run"));
    if table.name == "ledger" {
        let ledger = ledger::plan(project, planned)?;
        if ledger.freshness != Freshness::Fresh {
            return Err(stale("the ledger").into());
        }
        return ledger::rows(session, &ledger).await;
    }
    let of_table = planned.iter().filter(|p| p.segment.output.name == table.name);
    if let Some(this) = of_table.clone().find(|p| p.freshness != Freshness::Fresh) {
        return Err(stale(&this.segment.name).into());
    }
    whole_table(session, project, planned, table.name, Which::All)
        .await?
        .ok_or_else(|| anyhow!("no stage of the config writes table `{}`", table.name))
}

/// Says which values the filters could have had.
async fn tell_what_is_there(all: &DataFrame, table: &Table, args: &InspectArgs) -> Result<()> {
    for (column, value) in filters(args) {
        let Some(value) = value else { continue };
        let there = all.clone().select(vec![col(column)])?.distinct()?;
        let there = to_json(&there.sort(vec![col(column).sort(true, false)])?.collect().await?)?;
        let there: Vec<&str> = there.iter().filter_map(|row| row.get(column)?.as_str()).collect();
        if !there.contains(&value.as_str()) {
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            tell(&format!("no row of `{}` has {column} `{value}`; there are: {there}", table.name));
            return Ok(());
        }
    }
    tell(&format!("no row of `{}` has all of these", table.name));
    Ok(())
}

/// Adds the text of the row that each row repeats.
async fn add_survivors(all: DataFrame, batches: &[RecordBatch], rows: &mut [Row]) -> Result<()> {
    let keys = keys(batches, "duplicate_of")?;
    if keys.is_empty() {
        return Ok(());
    }
    let survivors = all
        .filter(col("key").in_list(keys, false).and(col("duplicate_of").is_null()))?
        .select(["key", "title", "text"].map(col).to_vec())?;
    let survivors = by_key(to_json(&survivors.collect().await?)?);
    for row in rows {
        let survivor = row.get("duplicate_of").and_then(Value::as_str).and_then(|key| survivors.get(key));
        for (name, shown) in [("title", "repeated_title"), ("text", "repeated_text")] {
            if let Some(text) = survivor.and_then(|survivor| survivor.get(name)) {
                row.insert(shown.to_owned(), text.clone());
            }
        }
    }
    Ok(())
}

/// Adds where each kept row ended, if there is a ledger.
async fn add_shards(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    batches: &[RecordBatch],
    rows: &mut [Row],
) -> Result<()> {
    let ledger = ledger::plan(project, planned)?;
    let keys = keys(batches, "key")?;
    if keys.is_empty() || ledger.freshness != Freshness::Fresh || project.config.shards.is_none() {
        return Ok(());
    }
    let ended = ledger::rows(session, &ledger)
        .await?
        .filter(col("key").in_list(keys, false).and(col("outcome").eq(lit(Outcome::Kept.as_str()))))?
        .select(["key", "shards", "unused"].map(col).to_vec())?;
    let ended = by_key(to_json(&ended.collect().await?)?);
    for row in rows.iter_mut().filter(|row| row.get("outcome").is_some_and(|o| o == Outcome::Kept.as_str())) {
        let found = row.get("key").and_then(Value::as_str).and_then(|key| ended.get(key));
        for name in ["shards", "unused"] {
            if let Some(value) = found.and_then(|found| found.get(name)) {
                row.insert(name.to_owned(), value.clone());
            }
        }
    }
    Ok(())
}

/// Keys in a column of some rows.
fn keys(batches: &[RecordBatch], column: &str) -> Result<Vec<Expr>> {
    let mut keys = Vec::new();
    for batch in batches {
        let Some(column) = batch.column_by_name(column) else { continue };
        for row in 0..batch.num_rows() {
            let key = ScalarValue::try_from_array(column, row)?;
            if !key.is_null() {
                keys.push(Expr::Literal(key, None));
            }
        }
    }
    Ok(keys)
}

fn by_key(rows: Vec<Row>) -> BTreeMap<String, Row> {
    let key = |row: &Row| row.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
    rows.into_iter().map(|row| (key(&row), row)).collect()
}

fn as_text(row: &Row) -> String {
    let mut lines = vec!["─".repeat(60)];
    lines.extend(verdict(row));
    for (name, value) in row {
        let shown = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(format!("{name}: {shown}"));
    }
    lines.join("\n")
}

/// What became of a dropped row and why, in a line.
pub(super) fn verdict(row: &Row) -> Option<String> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let float = |name: &str| row.get(name).and_then(Value::as_f64).map(number);
    let (outcome, stage, rule) = (text("outcome")?, text("stage")?, text("rule")?);
    let part = |before: &str, name: &str| float(name).map_or_else(String::new, |n| format!("{before} {n}"));
    let matched = text("matched").map_or_else(String::new, |matched| format!(", matched {matched}"));
    Some(format!(
        "{outcome} by {stage}, rule {rule}{}{}{}{matched}",
        part(": measured", "measured"),
        part(", limit", "limit_value"),
        part(", similarity", "similarity")
    ))
}
