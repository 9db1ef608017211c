//! Training by reinforcement: the better answers of a group are to become likelier (GRPO).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use genome_kernels::llm::EngineHandle;
use genome_kernels::llm::decoder::Adapter;
use genome_kernels::train::{GrpoConfig, GrpoTrainer, OptimConfig, Rollout, Sequence, group_advantages};
use genome_stages::synthesis::RecipeLibrary;
use serde::{Deserialize, Serialize};

use super::config::{GrpoRunConfig, RewardKind};
use super::encoder::Encoder;
use super::grader::{Grade, Grader, LikelihoodScorer, RubricScorer, TagGrader};
use super::record::{Identity, Record};
use super::rollout::{Group, Prompt, RESPONSE, dimension, roll_out};
use super::rows::{Fate, Rows, read};
use super::setup::Setup;
use super::table::{StepRow, Table, number};
use crate::cli::TrainRunArgs;
use crate::config::Project;
use crate::engines::Engines;
use crate::error::Hinted;
use crate::progress::{Task, tell};
use crate::shards::{Form, RlRow, Split};

/// Every dimension a row can ask for, in the order of the papers' section 2.2.
pub(super) const DIMENSIONS: [&str; 7] =
    ["stance", "emotion", "belief", "value", "goal", "communication", RESPONSE];

/// What a round did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct GrpoStep {
    pub(super) step: usize,
    /// Mean reward of all answers.
    pub(super) reward: f32,
    /// Mean reward of the answers of each dimension; none for those that were not asked.
    pub(super) rewards: BTreeMap<String, Option<f32>>,
    /// Share of answers without their tags.
    pub(super) malformed: f32,
    /// Standard deviation of the rewards of a group, meant over groups: 0 if there was nothing to learn.
    pub(super) spread: f32,
    /// Means over the learnt tokens of all updates of the round.
    pub(super) loss: f32,
    /// Estimated divergence from the reference, in nats a token.
    pub(super) kl: f32,
    /// Share of tokens whose ratio was clipped.
    pub(super) clip_fraction: f32,
    /// Tokens of the answers.
    pub(super) tokens: usize,
}

impl StepRow for GrpoStep {
    fn columns(&self) -> Vec<String> {
        let asked = DIMENSIONS.iter().filter(|name| self.rewards.contains_key(**name)).copied();
        let columns = ["step", "reward"].into_iter().chain(asked);
        columns.chain(["malformed", "spread", "loss", "kl", "clipped", "tokens"]).map(String::from).collect()
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.step.to_string(), number(Some(self.reward))];
        cells.extend(
            DIMENSIONS.iter().filter_map(|name| self.rewards.get(*name)).map(|reward| number(*reward)),
        );
        cells.extend(
            [self.malformed, self.spread, self.loss, self.kl, self.clip_fraction]
                .map(|value| number(Some(value))),
        );
        cells.push(self.tokens.to_string());
        cells
    }
}

/// Trains an adapter on the RL shards of a config.
///
/// # Errors
/// The config is wrong, models or shards cannot be had, the output holds another run's adapter, an engine fails, or
/// the disk refuses.
pub fn grpo(project: &Project, args: &TrainRunArgs) -> Result<()> {
    let engines = Engines::new(project);
    let setup = Setup::new(project, args, &engines, (Form::Rl, "grpo"))?;
    let grpo = &setup.config.grpo;
    let steps = args.steps.unwrap_or(grpo.steps);
    let start = grpo.start_from.as_ref().map(|folder| Adapter::load(folder).map(|adapter| (adapter, folder)));
    let start = start.transpose().with_context(|| "train.grpo.start_from")?;
    let encoder = Encoder::load(&setup.model.files)?;
    let (mut prompts, rubrics) = read_prompts(&setup, &encoder, steps)?;
    let library = project.stage_context()?.recipes;
    let identity = identity(&setup, project, &library, &rubrics)?;
    let mut record: Record<GrpoStep> =
        setup.folder.earlier(&identity)?.unwrap_or_else(|| Record::new(identity));
    if record.steps >= steps {
        let path = setup.folder.path().display();
        tell(&format!("{path} has been trained for {} steps; nothing is left to do", record.steps));
        return Ok(());
    }
    record.rows = [("train".to_owned(), prompts.counts())].into();

    let mut trainer = GrpoTrainer::new(
        &setup.model.files,
        setup.model.device,
        &setup.config.lora.lora(grpo.seed),
        OptimConfig { learning_rate: grpo.learning_rate, ..OptimConfig::default() },
        GrpoConfig { clip: grpo.clip, kl_coefficient: grpo.kl, temperature: f64::from(grpo.temperature) },
    )?;
    if let Some((adapter, folder)) = &start {
        trainer.start_from(adapter).with_context(|| format!("train.grpo.start_from {}", folder.display()))?;
    }
    if record.steps > 0 {
        trainer.restore(&setup.folder.state())?;
        tell(&format!("going on from step {} of {}", record.steps, setup.folder.path().display()));
    }
    let engine = engines.engine(&setup.model.name).map_err(|reason| anyhow!(reason))?;
    let grader: Box<dyn Grader + '_> = match grpo.reward {
        RewardKind::Likelihood => Box::new(TagGrader(LikelihoodScorer { engine: engine.clone() })),
        RewardKind::Rubric => {
            let judge = grpo.judge.as_ref().unwrap_or(&setup.model.name);
            let judge = engines.engine(judge).map_err(|reason| anyhow!("train.grpo.judge: {reason}"))?;
            Box::new(TagGrader(RubricScorer::new(judge, &library, rubrics.iter().map(String::as_str))?))
        }
    };
    let dimensions: Vec<String> = DIMENSIONS
        .iter()
        .filter(|name| prompts.all().any(|prompt| prompt.dimension == **name))
        .map(|name| (*name).to_owned())
        .collect();
    let mut table = Table::new(args.format);
    let mut task = Task::begin("grpo", steps as u64);
    let round = Round { engine, encoder: &encoder, grader: grader.as_ref(), config: grpo, dimensions };
    let since = Instant::now();
    let first = record.steps;
    while record.steps < steps {
        let step = record.steps + 1;
        let row =
            round.step(&mut trainer, &mut prompts, step, &mut |doing| task.update(step as u64 - 1, doing))?;
        table.print(&task, &row)?;
        record.table.push(row);
        record.steps = step;
        if step.is_multiple_of(grpo.checkpoint_every) || step == steps {
            setup.folder.commit(&trainer.adapter()?, &record, |folder| trainer.save(folder))?;
        }
    }
    let each = since.elapsed().as_secs_f64() / (steps - first) as f64;
    task.end(&format!("{} steps, {each:.1} s a step; {}", record.steps, setup.folder.path().display()));
    Ok(())
}

/// The prompts of the run, and the rubrics that fitting rows name.
fn read_prompts(
    setup: &Setup<'_>,
    encoder: &Encoder,
    steps: usize,
) -> Result<(Rows<Prompt>, BTreeSet<String>)> {
    let grpo = &setup.config.grpo;
    // The text of a token that is no whole character comes back as three.
    let room = encoder.context_length().saturating_sub(3 * grpo.max_tokens + 1);
    let longest = grpo.max_prompt_tokens.min(room);
    let rubrics = Mutex::new(BTreeSet::new());
    let fate = |row: &RlRow| {
        let wanted = grpo.dimensions.as_ref();
        if wanted.is_some_and(|names| names.iter().all(|name| name != dimension(row))) {
            return Fate::NotWanted;
        }
        match Prompt::new(row, encoder) {
            Err(error) => Fate::Unfit(format!("{error:#}")),
            Ok(prompt) if prompt.tokens.len() > longest => Fate::TooLong,
            Ok(prompt) => {
                let mut rubrics = rubrics.lock().unwrap_or_else(PoisonError::into_inner);
                if !rubrics.contains(&prompt.rubric) {
                    rubrics.insert(prompt.rubric.clone());
                }
                Fate::Fits(prompt)
            }
        }
    };
    let limit = steps.saturating_mul(grpo.prompts);
    let prompts = read(&setup.shards, &[Split::Train], (grpo.seed, limit), fate)?;
    if prompts.is_empty() {
        return Err(Hinted::new(
            format!("{} has nothing to train on: {}", setup.shards.display(), prompts.describe()),
            format!(
                "prompts of more than {longest} tokens are left out (train.grpo.max_prompt_tokens), and so are \
                 rows of other dimensions (train.grpo.dimensions)"
            ),
        )
        .into());
    }
    Ok((prompts, rubrics.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// What a round of answering and learning needs beside the trainer.
pub(super) struct Round<'a> {
    pub(super) engine: EngineHandle,
    pub(super) encoder: &'a Encoder,
    pub(super) grader: &'a dyn Grader,
    pub(super) config: &'a GrpoRunConfig,
    /// Dimensions that rows ask for.
    pub(super) dimensions: Vec<String>,
}

impl Round<'_> {
    /// Does a round, counted from 1.
    pub(super) fn step(
        &self,
        trainer: &mut GrpoTrainer,
        prompts: &mut Rows<Prompt>,
        step: usize,
        doing: &mut dyn FnMut(&str),
    ) -> Result<GrpoStep> {
        let batch = prompts.take((step - 1) * self.config.prompts, self.config.prompts);
        let batch: Vec<&Prompt> = batch.into_iter().map(|(_, prompt)| prompt).collect();
        doing("answering");
        self.engine.set_adapter(Some(trainer.adapter()?))?;
        let groups = roll_out(&self.engine, self.encoder, self.config, step, &batch)?;
        // Whoever scores is the base model or another, not the policy.
        self.engine.set_adapter(None)?;
        doing("scoring");
        let answered: Vec<(&Prompt, &[String])> =
            batch.iter().zip(&groups).map(|(prompt, group)| (*prompt, group.texts.as_slice())).collect();
        let grades = self.grader.grade(&answered)?;
        doing("learning");
        let rollouts = rollouts(trainer, &groups, &grades)?;
        let mut row = self.row(step, &batch, &grades);
        row.tokens = rollouts.iter().flatten().map(|rollout| rollout.sequence.learnt_count()).sum();
        let share = 1.0 / row.tokens.max(1) as f32;
        for update in 0..self.config.updates {
            let place = |update: usize| update * rollouts.len() / self.config.updates;
            let part: Vec<Rollout> = rollouts[place(update)..place(update + 1)].concat();
            let report = trainer.step(&part)?;
            let weight = report.tokens as f32 * share;
            row.loss += weight * report.loss;
            row.kl += weight * report.kl;
            row.clip_fraction += weight * report.clip_fraction;
        }
        Ok(row)
    }

    /// The row of a round, as far as rewards go.
    fn row(&self, step: usize, batch: &[&Prompt], grades: &[Vec<Grade>]) -> GrpoStep {
        let of = |name: Option<&str>| -> Vec<Grade> {
            let wanted =
                batch.iter().zip(grades).filter(|(prompt, _)| name.is_none_or(|n| prompt.dimension == n));
            wanted.flat_map(|(_, grades)| grades.iter().copied()).collect()
        };
        let reward = |grades: &[Grade]| {
            (!grades.is_empty())
                .then(|| grades.iter().map(|grade| grade.reward).sum::<f32>() / grades.len() as f32)
        };
        let all = of(None);
        let malformed = all.iter().filter(|grade| grade.malformed).count() as f32 / all.len().max(1) as f32;
        let spread = grades.iter().map(|group| deviation(group)).sum::<f32>() / grades.len().max(1) as f32;
        let rewards = self.dimensions.iter().map(|name| (name.clone(), reward(&of(Some(name))))).collect();
        GrpoStep {
            step,
            reward: reward(&all).unwrap_or(0.0),
            rewards,
            malformed,
            spread,
            loss: 0.0,
            kl: 0.0,
            clip_fraction: 0.0,
            tokens: 0,
        }
    }
}

/// The rollouts of each prompt, with what the update needs to know of them.
fn rollouts(trainer: &GrpoTrainer, groups: &[Group], grades: &[Vec<Grade>]) -> Result<Vec<Vec<Rollout>>> {
    let mut rollouts = Vec::with_capacity(groups.len());
    for (group, grades) in groups.iter().zip(grades) {
        let rewards: Vec<f32> = grades.iter().map(|grade| grade.reward).collect();
        let old = trainer.log_probs(&group.sequences)?;
        let reference = trainer.reference_log_probs(&group.sequences)?;
        let parts = group.sequences.iter().zip(old).zip(reference).zip(group_advantages(&rewards));
        let rollout = |(((sequence, old), reference), advantage): (((&Sequence, _), _), _)| Rollout {
            sequence: sequence.clone(),
            old_log_probs: old,
            reference_log_probs: reference,
            advantage,
        };
        rollouts.push(parts.map(rollout).collect());
    }
    Ok(rollouts)
}

/// Standard deviation of the rewards of a group, that of a sample.
fn deviation(group: &[Grade]) -> f32 {
    let count = group.len() as f32;
    if group.len() < 2 {
        return 0.0;
    }
    let mean = group.iter().map(|grade| grade.reward).sum::<f32>() / count;
    (group.iter().map(|grade| (grade.reward - mean).powi(2)).sum::<f32>() / (count - 1.0)).sqrt()
}

/// Raised when a step does something else for the same config: what was begun before is not gone on with.
const VERSION: u32 = 3;

fn identity(
    setup: &Setup<'_>,
    project: &Project,
    library: &RecipeLibrary,
    rubrics: &BTreeSet<String>,
) -> Result<Identity> {
    let mut grpo = serde_json::json!(setup.config.grpo);
    if let Some(fields) = grpo.as_object_mut() {
        fields.insert("version".to_owned(), VERSION.into());
        fields.remove("steps");
        fields.remove("checkpoint_every");
        // What an adapter or a model is matters, not where it lies.
        if let Some(folder) = &setup.config.grpo.start_from {
            let path = folder.join("adapter_model.safetensors");
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            fields.insert("start_from".to_owned(), blake3::hash(&bytes).to_hex().as_str().into());
        }
        if setup.config.grpo.reward == RewardKind::Rubric {
            for name in rubrics {
                fields.insert(format!("rubric {name}"), library.rubric(name)?.digest.as_str().into());
            }
        }
        if let Some(judge) = &setup.config.grpo.judge {
            fields.insert("judge_sha256".to_owned(), project.model(judge)?.sha256.as_str().into());
        }
    }
    Ok(Identity {
        method: "grpo".to_owned(),
        model: setup.model.name.clone(),
        model_sha256: setup.model.sha256.clone(),
        shards: setup.checksums.clone(),
        config: serde_json::json!({ "lora": setup.config.lora, "grpo": grpo }),
    })
}
