//! `genome inspect`

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::prelude::{Expr, SessionContext, col, lit};
use genome_schemas::{Freshness, Outcome, Table, all_tables};
use genome_stages::union_all;

use super::{block_on, project, refuse_problems};
use crate::cli::{Format, InspectArgs};
use crate::config::Project;
use crate::progress::print;
use crate::run::{artifact_rows, planned};
use crate::session::{Limits, for_records};

pub(super) fn inspect(args: &InspectArgs) -> Result<ExitCode> {
    let project = project(&args.config)?;
    refuse_problems(&project)?;
    let tables = all_tables();
    let table = tables.iter().find(|t| t.name == args.table).ok_or_else(|| {
        let known: Vec<&str> = tables.iter().map(|t| t.name).collect();
        anyhow!("there is no table `{}`; tables are: {}", args.table, known.join(", "))
    })?;
    if let Some(outcome) = &args.outcome {
        outcome.parse::<Outcome>()?;
    }
    let lines = block_on(2, async {
        let session = for_records(Limits { threads: 2, memory_bytes: 512 << 20 })?;
        sample(&session, &project, table, args).await
    })?;
    match args.format {
        Format::Json => {
            for line in &lines {
                print(&serde_json::to_string(line)?)?;
            }
        }
        Format::Text => {
            for line in &lines {
                print(&as_text(line))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Rows by key order, which is as good as random and the same each time.
async fn sample(
    session: &SessionContext,
    project: &Project,
    table: &Table,
    args: &InspectArgs,
) -> Result<Vec<serde_json::Value>> {
    let mut all = Vec::new();
    let planned = planned(project)?;
    let of_table: Vec<_> = planned.iter().filter(|p| p.segment.output.name == table.name).collect();
    if let Some(stale) = of_table.iter().find(|p| p.freshness != Freshness::Fresh) {
        return Err(crate::error::Hinted::new(
            format!("{} is not up to date", stale.segment.name),
            project.command("run"),
        )
        .into());
    }
    // Dropped rows lie where they were dropped; kept ones only in the last artifact that refined them.
    for (position, this) in of_table.iter().enumerate() {
        let refined = of_table[position + 1..].iter().any(|later| later.segment.refines());
        let mut rows = artifact_rows(session, project, this, None).await?;
        if refined {
            rows = rows.filter(col("outcome").not_eq(lit("kept")))?;
        }
        all.push(rows);
    }
    let mut rows =
        union_all(all)?.ok_or_else(|| anyhow!("no stage of the config writes table `{}`", table.name))?;
    let wanted = [
        ("outcome", &args.outcome),
        ("rule", &args.rule),
        ("source", &args.source),
        ("recipe", &args.recipe),
    ];
    for (column, value) in wanted {
        if let Some(value) = value {
            if table.schema.field_with_name(column).is_err() {
                return Err(anyhow!("table `{}` has no column `{column}`", table.name));
            }
            let is: Expr = col(column).eq(lit(value.as_str()));
            rows = rows.filter(is)?;
        }
    }
    let batches =
        rows.sort(vec![col("key").sort(true, false)])?.limit(0, Some(args.sample))?.collect().await?;
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in &batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn as_text(row: &serde_json::Value) -> String {
    let mut lines = vec!["─".repeat(60)];
    for (name, value) in row.as_object().into_iter().flatten() {
        let shown = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(format!("{name}: {shown}"));
    }
    lines.join("\n")
}
