//! `genome train`

use std::process::ExitCode;

use anyhow::Result;

use super::{limits, project};
use crate::cli::{TrainArgs, TrainMethod};

pub(super) fn train(args: &TrainArgs) -> Result<ExitCode> {
    let (run, method): (_, fn(&_, &_) -> _) = match &args.method {
        TrainMethod::Sft(run) => (run, crate::train::sft),
        TrainMethod::Grpo(run) => (run, crate::train::grpo),
    };
    let project = project(&run.config)?;
    limits(&project, run.threads, None)?;
    method(&project, run)?;
    Ok(ExitCode::SUCCESS)
}
