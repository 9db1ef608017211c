//! `genome run`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::{block_on, limits, project, refuse_problems};
use crate::cli::RunArgs;
use crate::config::Project;
use crate::engines::Engines;
use crate::progress::tell;
use crate::run::{RunSummary, Runner};

pub(super) fn run(args: &RunArgs) -> Result<ExitCode> {
    let project = project(&args.config)?;
    refuse_problems(&project)?;
    let limits = limits(&project, args.threads, args.memory_limit)?;
    let engines = Arc::new(Engines::new(&project));
    let summary = block_on(limits.threads, async {
        stop_on_interrupt(Arc::clone(&engines));
        let runner = Runner::new(&project, Arc::clone(&engines), limits)?;
        runner.run().await
    })?;
    tell(&describe(&project, &summary));
    Ok(if summary.cancelled { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn describe(project: &Project, summary: &RunSummary) -> String {
    let what = format!("{} segments ran, {} were up to date", summary.ran, summary.fresh);
    if summary.cancelled {
        return format!("stopped: {what}; run again to go on");
    }
    format!("done: {what}; see `{}`", project.command("report"))
}

/// The first interrupt lets the run commit what it has; the second ends it at once.
pub(super) fn stop_on_interrupt(engines: Arc<Engines>) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        tell("stopping; interrupt once more to stop at once");
        engines.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}
