//! The command line. The doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::what_if::SampleSize;

/// Turns platform dumps into training data for models of individual people, and trains on it.
#[derive(Debug, Parser)]
#[command(name = "genome", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a config without reading any data: values, recipes, and every plan against empty tables
    Check(ConfigArgs),
    /// Say what a run would do, and why
    Plan(PlanArgs),
    /// Bring every artifact of a config up to date, and write its shards
    Run(RunArgs),
    /// Ask a recipe of a few rows: prompt, answer, checks and scores; stored is only what it is asked over
    Preview(PreviewArgs),
    /// Account for every input record: what was kept, what was dropped, by which rule
    Report(ReportArgs),
    /// Show rows of a table, for a human to disagree with
    Inspect(InspectArgs),
    /// Say what a filter rule measures, what it drops and where it comes from
    ExplainRule(ExplainRuleArgs),
    /// Train on the shards of a config
    Train(TrainArgs),
    /// Let a model answer one prompt
    Generate(GenerateArgs),
    /// List models, or fetch one
    Models(ModelsArgs),
}

/// The config that a command is about.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The config (TOML)
    pub config: PathBuf,
    /// Let every stage that calls a model call this one instead
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
}

/// A size in MiB.
fn mebibytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = text[digits.len()..].trim().to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "m" | "mib" => Some(1),
        "g" | "gib" => Some(1024),
        _ => None,
    };
    let size = factor.and_then(|factor| digits.parse::<usize>().ok()?.checked_mul(factor));
    size.ok_or_else(|| "give a whole number of MiB or GiB, such as 512MiB or 4GiB".to_owned())
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Worker threads, all cores if not given; the result is the same
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Memory that sorts, joins and windows may hold before they spill: 256MiB, 4GiB, or a number of MiB
    #[arg(long, value_name = "SIZE", value_parser = mebibytes)]
    pub memory_limit: Option<usize>,
}

/// Arguments of `preview`.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The recipe, which a stage of the config asks
    pub recipe: String,
    /// How many rows, the same ones each time
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub n: usize,
    /// Worker threads, all cores if not given; the result is the same
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only records of this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Estimate, before any run, what another value would drop: `content_filter.min_chars=30`,
    /// `author_activity.min_events=3`; `=off` takes a rule away. Can be given several times
    #[arg(long, value_name = "PATH=VALUE")]
    pub what_if: Vec<String>,
    /// Sample of --what-if: most records, or with a point the share of authors, `0.1`; `1.0` is all
    #[arg(long, value_name = "SIZE", default_value = "20000", requires = "what_if")]
    pub sample: SampleSize,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Table to look at: events, embeddings, authors, completions, judgements, examples, ledger
    #[arg(default_value = "events")]
    pub table: String,
    /// Only rows of this outcome
    #[arg(long)]
    pub outcome: Option<String>,
    /// Only rows that this rule dropped
    #[arg(long)]
    pub rule: Option<String>,
    /// Only rows that this stage dropped
    #[arg(long)]
    pub stage: Option<String>,
    /// Only rows of this source
    #[arg(long)]
    pub source: Option<String>,
    /// Only answers to this recipe
    #[arg(long)]
    pub recipe: Option<String>,
    /// How many rows, the same ones each time
    #[arg(long, default_value_t = 5)]
    pub sample: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// How to train.
    #[command(subcommand)]
    pub method: TrainMethod,
}

/// Ways to train.
#[derive(Debug, Subcommand)]
pub enum TrainMethod {
    /// Supervised: low-rank adapters, loss on the messages marked `learn`
    Sft(TrainRunArgs),
    /// Reinforcement: groups of answers, rewarded against the person's real words (GRPO)
    Grpo(TrainRunArgs),
}

/// Arguments of a training run.
#[derive(Debug, Args)]
pub struct TrainRunArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Steps, instead of the config's
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Folder of the adapter, instead of the config's
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Worker threads, all cores if not given; the result is the same
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `explain-rule`.
#[derive(Debug, Args)]
pub struct ExplainRuleArgs {
    /// Name of a rule or of an outcome; without one, all rules are listed
    pub name: Option<String>,
}

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to say to the model
    pub prompt: String,
    /// The model: a built-in name, or one of --config
    #[arg(long, value_name = "NAME", default_value = "qwen2.5-coder-1.5b")]
    pub model: String,
    /// Config that names further models
    #[arg(long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of an adapter that `genome train` wrote
    #[arg(long, value_name = "FOLDER")]
    pub adapter: Option<PathBuf>,
    /// System message
    #[arg(long, default_value = "")]
    pub system: String,
    /// Most tokens of the answer
    #[arg(long, default_value_t = 128)]
    pub max_tokens: usize,
    /// Sampling temperature; 0 takes the likeliest token
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f32,
    /// Sampling seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Fetch this model into the cache
    #[arg(long, value_name = "NAME")]
    pub fetch: Option<String>,
    /// Config that names further models
    #[arg(long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}
