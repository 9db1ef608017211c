//! Records a second of reading dumps as `events`, each batch dropped as it comes:
//! `cargo bench --bench read_dumps -- PLATFORM [--context] [--threads N] PATH...`
//!
//! Paths are as in a config; relative ones start from this package's folder, where cargo runs a bench. Without
//! `--context` nothing is joined and every file is read once. With it, files are read again to find what people
//! answered or reviewed, which the decompressed bytes do not count. On a busy machine the rate per second of processor
//! time is the one to compare.
#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]

use std::error::Error;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Instant;

use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use genome_schemas::Platform;
use genome_stages::sources::{Deletions, Pseudonymizer, ReaderOptions, SourceConfig, SourceContext};

const USAGE: &str = "usage: cargo bench --bench read_dumps -- PLATFORM [--context] [--threads N] PATH...";

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo itself adds `--bench`.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(Arguments { source, threads }) = Arguments::parse(arguments) else {
        println!("{USAGE}");
        return Ok(());
    };
    let cx = SourceContext::new(
        session(threads),
        Pseudonymizer::from_secret("bench"),
        ReaderOptions::default(),
        threads,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let clock = Clock::start();
    let rows = runtime.block_on(rows(&source, &cx))?;
    let (wall, processor) = clock.elapsed();

    let files: Vec<_> = cx.counts.files().into_iter().filter(|file| file.yields_events).collect();
    let records: u64 = files.iter().map(|file| file.records).sum();
    let malformed: u64 = files.iter().map(|file| file.malformed).sum();
    let megabytes = files.iter().map(|file| file.bytes).sum::<u64>() as f64 / 1e6;
    let context = if source.context { "with" } else { "without" };
    println!("{}, {context} context, {} files, {threads} threads", source.platform.as_str(), files.len());
    println!("{records} records ({malformed} malformed), {rows} rows, {megabytes:.1} MB decompressed");
    for (what, seconds) in [("wall", wall), ("processor", processor)] {
        let (records, megabytes) = (records as f64 / seconds, megabytes / seconds);
        println!("{what}: {seconds:.2} s, {records:.0} records/s, {megabytes:.1} MB/s");
    }
    println!("peak {} MB", peak_megabytes());
    Ok(())
}

/// What is asked for on the command line.
struct Arguments {
    source: SourceConfig,
    threads: usize,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let name = arguments.next()?;
        let platform = Platform::ALL.into_iter().find(|platform| platform.as_str() == name)?;
        let mut threads = available_parallelism().map_or(1, NonZero::get);
        let (mut context, mut paths) = (false, Vec::new());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--context" => context = true,
                "--threads" => threads = arguments.next()?.parse().ok().filter(|threads| *threads > 0)?,
                option if option.starts_with('-') => return None,
                _ => paths.push(argument),
            }
        }
        let deletions = Deletions::Honour;
        let source = SourceConfig { name, platform, paths, context, format: None, csv: None, deletions };
        (!source.paths.is_empty()).then_some(Self { source, threads })
    }
}

/// A session as the program plans records with, without its limit on memory.
fn session(threads: usize) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(threads);
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    options.execution.collect_statistics = false;
    SessionContext::new_with_config(config)
}

/// Reads all of `source`, and counts its rows.
async fn rows(source: &SourceConfig, cx: &SourceContext) -> Result<usize, Box<dyn Error>> {
    let mut batches = source.events(cx)?.execute_stream().await?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

/// Wall and processor time since some moment.
struct Clock {
    wall: Instant,
    processor: f64,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), processor: processor_seconds() }
    }

    fn elapsed(&self) -> (f64, f64) {
        (self.wall.elapsed().as_secs_f64(), processor_seconds() - self.processor)
    }
}

/// Processor time of all threads so far, ended ones too, where the system tells it.
fn processor_seconds() -> f64 {
    /// Linux gives every program hundredths of a second, whatever its kernel counts in.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name stands in brackets and may hold spaces. Fields 14 and 15 are the times of user and system.
    let after_name = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = after_name.split_whitespace().skip(11).take(2);
    times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// Largest resident size so far, where the system tells it.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes =
        line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}
