//! `genome report`

use std::process::ExitCode;

use anyhow::Result;

use super::{block_on, project, refuse_problems};
use crate::cli::{Format, ReportArgs};
use crate::progress::print;
use crate::run::planned;
use crate::session::{Limits, for_records};

pub(super) fn report(args: &ReportArgs) -> Result<ExitCode> {
    let project = project(&args.config)?;
    refuse_problems(&project)?;
    let planned = planned(&project)?;
    let report = block_on(2, async {
        let session = for_records(Limits { threads: 2, memory_bytes: 512 << 20 })?;
        crate::report::report(&session, &project, &planned).await
    })?;
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&report)?)?,
        Format::Text => print(&report.to_text())?,
    }
    Ok(if report.accounted { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
