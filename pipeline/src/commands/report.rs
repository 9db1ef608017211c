//! `genome report`

use std::process::ExitCode;

use anyhow::Result;

use super::{block_on, limits, project, refuse_problems};
use crate::cli::{Format, ReportArgs};
use crate::config::Project;
use crate::error::Hinted;
use crate::progress::print;
use crate::run::planned;
use crate::session::{Limits, for_records};
use crate::what_if;

pub(super) fn report(args: &ReportArgs) -> Result<ExitCode> {
    let project = project(&args.config)?;
    refuse_problems(&project)?;
    if let Some(source) = &args.source {
        refuse_unknown(&project, source)?;
    }
    if !args.what_if.is_empty() {
        return estimate(&project, args);
    }
    let planned = planned(&project)?;
    let report = block_on(2, async {
        let session = for_records(Limits { threads: 2, memory_bytes: 512 << 20 })?;
        crate::report::report(&session, &project, &planned, args.source.as_deref()).await
    })?;
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&report)?)?,
        Format::Text => print(&report.to_text())?,
    }
    Ok(if report.accounted { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn estimate(project: &Project, args: &ReportArgs) -> Result<ExitCode> {
    let changed = what_if::changed(project, &args.what_if)?;
    let limits = limits(project, None, None)?;
    let estimate = block_on(limits.threads, async {
        what_if::estimate(limits, &changed, args.sample, args.source.as_deref()).await
    })?;
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&estimate)?)?,
        Format::Text => print(&estimate.to_text())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse_unknown(project: &Project, source: &str) -> Result<()> {
    let names: Vec<&str> = project.config.sources.iter().map(|source| source.name.as_str()).collect();
    if names.contains(&source) {
        return Ok(());
    }
    Err(Hinted::new(
        format!("the config has no source `{source}`"),
        format!("sources are: {}", names.join(", ")),
    )
    .into())
}
