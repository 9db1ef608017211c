//! The verbs, one file each: from arguments to an exit code.

mod check;
mod explain_rule;
mod generate;
mod inspect;
mod models;
mod plan;
mod preview;
mod report;
mod run;
mod train;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cli::{Cli, Command, ConfigArgs};
use crate::config::Project;
use crate::session::Limits;

/// Does what the command line says. Exit codes: 0 done, 1 asked to stop or a check failed, 2 error.
///
/// # Errors
/// Whatever stops the command.
pub fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Check(args) => check::check(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Run(args) => run::run(&args),
        Command::Preview(args) => preview::preview(&args),
        Command::Report(args) => report::report(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::ExplainRule(args) => explain_rule::explain_rule(&args),
        Command::Train(args) => train::train(&args),
        Command::Generate(args) => generate::generate(&args),
        Command::Models(args) => models::models(&args),
    }
}

fn project(args: &ConfigArgs) -> Result<Project> {
    let mut project = Project::read(&args.config)?;
    if let Some(model) = &args.model {
        if !project.config.endpoints.contains_key(model) {
            project.model(model)?;
        }
        project.use_model(model);
    }
    Ok(project)
}

/// Stops with every problem of a config, if it has any.
fn refuse_problems(project: &Project) -> Result<()> {
    let problems = project.problems()?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(anyhow::anyhow!("{}: {}", project.path.display(), problems.join("\n  also: ")))
}

fn limits(project: &Project, threads: Option<usize>, memory_mib: Option<usize>) -> Result<Limits> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.or(project.config.session.threads).unwrap_or(cores).max(1);
    let memory =
        memory_mib.or(project.config.session.memory_limit_mib).unwrap_or_else(default_memory_mib).max(64);
    // The decoder's kernels run in rayon's pool, which is sized once.
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .context("cannot start the worker threads")?;
    Ok(Limits { threads, memory_bytes: memory << 20 })
}

/// 60 % of the machine's memory in MiB; 4 GiB where it cannot be told. Text columns share buffers, and the engine
/// counts a shared buffer once per batch that uses it, so a limit is reached long before that much is in use.
fn default_memory_mib() -> usize {
    let total_kib = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<usize>().ok()
    });
    total_kib.map_or(4096, |kib| kib / 1024 * 6 / 10)
}

/// Runs a future to its end on a runtime of its own.
fn block_on<T>(threads: usize, future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(future)
}
