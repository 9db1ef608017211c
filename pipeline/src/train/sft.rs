//! Supervised training: the messages marked `learn` are to become likelier.

use std::time::Instant;

use anyhow::{Result, anyhow};
use genome_kernels::train::{OptimConfig, Sequence, SftTrainer};
use serde::{Deserialize, Serialize};

use super::config::{Schedule, SftConfig};
use super::encoder::Encoder;
use super::record::{Identity, Record};
use super::rows::{Fate, Rows, read};
use super::setup::Setup;
use super::table::{StepRow, Table, number};
use crate::cli::TrainRunArgs;
use crate::config::Project;
use crate::engines::Engines;
use crate::error::Hinted;
use crate::progress::{Task, tell};
use crate::shards::{Form, SftRow, Split};

/// What a step did; step 0 is before the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SftStep {
    pub(super) step: usize,
    /// Mean cross-entropy of the learnt tokens of the step's rows before the step, in nats.
    pub(super) loss: Option<f32>,
    /// The same of the held-out rows after the step, where it was measured.
    pub(super) held_out_loss: Option<f32>,
    /// Norm of the gradient before clipping.
    pub(super) grad_norm: Option<f32>,
    pub(super) learning_rate: Option<f32>,
    /// Learnt tokens.
    pub(super) tokens: usize,
}

impl StepRow for SftStep {
    fn columns(&self) -> Vec<String> {
        ["step", "loss", "held-out loss", "grad norm", "rate", "tokens"].map(String::from).to_vec()
    }

    fn cells(&self) -> Vec<String> {
        let rate = self.learning_rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1e}"));
        vec![
            self.step.to_string(),
            number(self.loss),
            number(self.held_out_loss),
            number(self.grad_norm),
            rate,
            self.tokens.to_string(),
        ]
    }
}

/// Trains an adapter on the supervised shards of a config.
///
/// # Errors
/// The config is wrong, model or shards cannot be had, the output holds another run's adapter, or the disk refuses.
pub fn sft(project: &Project, args: &TrainRunArgs) -> Result<()> {
    let engines = Engines::new(project);
    let setup = Setup::new(project, args, &engines, (Form::Sft, "sft"))?;
    let sft = &setup.config.sft;
    let steps = args.steps.unwrap_or(sft.steps);
    if sft.schedule == Schedule::Cosine && steps > sft.steps {
        return Err(Hinted::new(
            format!(
                "the learning rate falls to zero over train.sft.steps = {}, not over {steps} steps",
                sft.steps
            ),
            "set train.sft.steps, or schedule = \"constant\"",
        )
        .into());
    }
    let identity = identity(&setup);
    let mut record: Record<SftStep> =
        setup.folder.earlier(&identity)?.unwrap_or_else(|| Record::new(identity));
    if !record.table.is_empty() && record.steps >= steps {
        let path = setup.folder.path().display();
        tell(&format!("{path} has been trained for {} steps; nothing is left to do", record.steps));
        return Ok(());
    }
    let encoder = Encoder::load(&setup.model.files)?;
    let longest = sft.max_tokens.min(encoder.context_length());
    let fate = |row: &SftRow| match encoder.sequence(&row.messages, &row.learn) {
        Err(error) => Fate::Unfit(format!("{error:#}")),
        Ok(None) => Fate::NotWanted,
        Ok(Some(sequence)) if sequence.tokens.len() > longest => Fate::TooLong,
        Ok(Some(sequence)) => Fate::Fits(sequence),
    };
    let mut rows = read(&setup.shards, &[Split::Train], (sft.seed, steps.saturating_mul(sft.batch)), fate)?;
    let held_out = [Split::Validation, Split::Test];
    let held_out = read(&setup.shards, &held_out, (sft.seed, sft.evaluation_rows), fate)?;
    if rows.is_empty() {
        return Err(Hinted::new(
            format!("{} has nothing to train on: {}", setup.shards.display(), rows.describe()),
            format!("rows of more than {longest} tokens are left out; train.sft.max_tokens sets the limit"),
        )
        .into());
    }
    record.rows = [("train".to_owned(), rows.counts()), ("held_out".to_owned(), held_out.counts())].into();

    let mut trainer = SftTrainer::new(
        &setup.model.files,
        setup.model.device,
        &setup.config.lora.lora(sft.seed),
        optim(sft),
    )?;
    if record.steps > 0 {
        trainer.restore(&setup.folder.state())?;
        tell(&format!("going on from step {} of {}", record.steps, setup.folder.path().display()));
    }
    let mut table = Table::new(args.format);
    let mut task = Task::begin("sft", steps as u64);
    let mut session = Session { trainer: &mut trainer, rows: &mut rows, held_out: &held_out, config: sft };
    if record.table.is_empty() {
        task.update(0, "measuring the held-out loss");
        let row = session.start()?;
        table.print(&task, &row)?;
        record.table.push(row);
    }
    let mut speed = Speed::new();
    while record.steps < steps {
        let step = record.steps + 1;
        let save = step.is_multiple_of(sft.evaluate_every) || step == steps;
        let (row, tokens) = session.step(step, save)?;
        speed.add(tokens);
        table.print(&task, &row)?;
        task.update(step as u64, &speed.describe());
        record.table.push(row);
        record.steps = step;
        if save {
            setup
                .folder
                .commit(&session.trainer.adapter()?, &record, |folder| session.trainer.save(folder))?;
        }
    }
    task.end(&format!("{} steps, {}; {}", record.steps, speed.describe(), setup.folder.path().display()));
    Ok(())
}

/// A trainer with its rows.
struct Session<'a> {
    trainer: &'a mut SftTrainer,
    rows: &'a mut Rows<Sequence>,
    held_out: &'a Rows<Sequence>,
    config: &'a SftConfig,
}

impl Session<'_> {
    /// The row before the first step.
    fn start(&self) -> Result<SftStep> {
        let held_out_loss = self.held_out_loss()?;
        Ok(SftStep { step: 0, loss: None, held_out_loss, grad_norm: None, learning_rate: None, tokens: 0 })
    }

    /// Does a step, counted from 1. Returns its row, and the tokens that went through the model.
    fn step(&mut self, step: usize, evaluate: bool) -> Result<(SftStep, usize)> {
        let batch = self.rows.take((step - 1) * self.config.batch, self.config.batch);
        let keys = batch.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ");
        let sequences: Vec<Sequence> = batch.iter().map(|(_, sequence)| (*sequence).clone()).collect();
        let report =
            self.trainer.step(&sequences).map_err(|e| anyhow!("step {step} on examples {keys}: {e}"))?;
        #[expect(clippy::cast_possible_truncation, reason = "for people to read")]
        let (grad_norm, learning_rate) = (report.grad_norm as f32, report.learning_rate as f32);
        let row = SftStep {
            step,
            loss: Some(report.loss),
            held_out_loss: if evaluate { self.held_out_loss()? } else { None },
            grad_norm: Some(grad_norm),
            learning_rate: Some(learning_rate),
            tokens: report.tokens,
        };
        Ok((row, sequences.iter().map(|sequence| sequence.tokens.len()).sum()))
    }

    fn held_out_loss(&self) -> Result<Option<f32>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let sequences: Vec<Sequence> = self.held_out.all().cloned().collect();
        Ok(Some(self.trainer.loss(&sequences)?))
    }
}

fn optim(config: &SftConfig) -> OptimConfig {
    OptimConfig {
        learning_rate: config.learning_rate,
        total_steps: if config.schedule == Schedule::Cosine { config.steps } else { 0 },
        warmup_steps: config.warmup,
        ..OptimConfig::default()
    }
}

fn identity(setup: &Setup<'_>) -> Identity {
    let mut sft = serde_json::json!(setup.config.sft);
    // A constant rate does not know how long the run will be, so it may become longer.
    if let (Schedule::Constant, Some(fields)) = (setup.config.sft.schedule, sft.as_object_mut()) {
        fields.remove("steps");
    }
    Identity {
        method: "sft".to_owned(),
        model: setup.model.name.clone(),
        model_sha256: setup.model.sha256.clone(),
        shards: setup.checksums.clone(),
        config: serde_json::json!({ "lora": setup.config.lora, "sft": sft }),
    }
}

/// Tokens a second, for standard error only.
pub(super) struct Speed {
    since: Instant,
    tokens: usize,
    steps: u32,
}

impl Speed {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), tokens: 0, steps: 0 }
    }

    pub(super) fn add(&mut self, tokens: usize) {
        self.tokens += tokens;
        self.steps += 1;
    }

    pub(super) fn describe(&self) -> String {
        let seconds = self.since.elapsed().as_secs_f64();
        let each = seconds / f64::from(self.steps.max(1));
        format!("{:.0} tokens/s, {each:.1} s a step", self.tokens as f64 / seconds.max(1e-9))
    }
}
