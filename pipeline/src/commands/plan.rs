//! `genome plan`

use std::process::ExitCode;

use anyhow::Result;
use genome_schemas::Freshness;
use serde::Serialize;

use super::{project, refuse_problems};
use crate::cli::{Format, PlanArgs};
use crate::plan::describe;
use crate::progress::print;
use crate::run::planned;

#[derive(Serialize)]
struct Line {
    segment: String,
    table: String,
    stages: Vec<String>,
    folder: String,
    fresh: bool,
    state: String,
    remarks: Vec<String>,
}

pub(super) fn plan(args: &PlanArgs) -> Result<ExitCode> {
    let project = project(&args.config)?;
    refuse_problems(&project)?;
    let lines: Vec<Line> = planned(&project)?
        .into_iter()
        .map(|planned| Line {
            stages: planned
                .segment
                .stages(&project)
                .iter()
                .map(|stage| stage.card().name.to_owned())
                .collect(),
            table: planned.segment.output.name.to_owned(),
            folder: planned.folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            fresh: planned.freshness == Freshness::Fresh,
            state: describe(&planned),
            remarks: planned.segment.stages(&project).iter().flat_map(|stage| stage.remarks()).collect(),
            segment: planned.segment.name,
        })
        .collect();
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&lines)?)?,
        Format::Text => {
            for line in &lines {
                print(&format!("{:<12} {:<36} {}", line.table, line.folder, line.state))?;
                for remark in &line.remarks {
                    print(&format!("{:<12} {remark}", ""))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
