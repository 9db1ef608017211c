//! Group-relative policy optimisation (Shao et al. 2024, arXiv 2402.03300): rollouts that were rewarded above their
//! group are to become likelier, those below it less likely, near to a reference.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Sequence;
use super::lora::{Lora, LoraConfig};
use super::loss::{Surrogate, policy_loss};
use super::optim::OptimConfig;
use super::policy::{Policy, With};
use crate::KernelError;
use crate::llm::decoder::Adapter;
use crate::llm::decoder::ModelFiles;
use crate::llm::device::DeviceKind;

/// Added to the standard deviation of a group's rewards, as in verl.
const DEVIATION_FLOOR: f64 = 1e-6;

/// How far and how freely the policy may move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpoConfig {
    /// The ratio of new to old probability counts only within `1 - clip ..= 1 + clip` (PPO and verl: 0.2).
    pub clip: f64,
    /// Weight of the divergence from the reference in the loss (`HumanLM`'s training: 0.001, none in the reward).
    pub kl_coefficient: f64,
    /// Temperature at which the rollouts were drawn, above 0: logits are divided by it, so that all probabilities are
    /// those of the draws (as in verl); 1 leaves them as they are.
    pub temperature: f64,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        Self { clip: 0.2, kl_coefficient: 0.001, temperature: 1.0 }
    }
}

/// A generated sequence with its reward relative to its group.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Prompt and generated tokens; the generated ones are learnt.
    pub sequence: Sequence,
    /// Log-probabilities of the learnt tokens under the policy that generated them.
    pub old_log_probs: Vec<f32>,
    /// Log-probabilities of the learnt tokens under the reference.
    pub reference_log_probs: Vec<f32>,
    /// Advantage of the rollout; see [`group_advantages`].
    pub advantage: f32,
}

/// What a step did. Means are over learnt tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrpoReport {
    /// Number of the step, counted from 1.
    pub step: usize,
    /// Loss before the step.
    pub loss: f32,
    /// Mean estimated divergence from the reference, in nats, at least 0.
    pub kl: f32,
    /// Share of tokens whose ratio was clipped, `0.0..=1.0`.
    pub clip_fraction: f32,
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Number of learnt tokens.
    pub tokens: usize,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// The advantages of the rollouts of one prompt: rewards less their mean, over their standard deviation (that of a
/// sample, as in verl). All zero if the rewards are equal or there is only one.
pub fn group_advantages(rewards: &[f32]) -> Vec<f32> {
    let count = rewards.len() as f64;
    if rewards.len() < 2 {
        return vec![0.0; rewards.len()];
    }
    let mean = rewards.iter().map(|&reward| f64::from(reward)).sum::<f64>() / count;
    let squares: f64 = rewards.iter().map(|&reward| (f64::from(reward) - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "a few standard deviations")]
    let advantage = |&reward: &f32| ((f64::from(reward) - mean) / (deviation + DEVIATION_FLOOR)) as f32;
    rewards.iter().map(advantage).collect()
}

/// Trains an adapter on rewarded rollouts.
#[derive(Debug)]
pub struct GrpoTrainer {
    policy: Policy,
    config: GrpoConfig,
    reference: Option<Lora>,
}

impl GrpoTrainer {
    /// Loads the base model from a GGUF file and starts a new adapter; the reference is the base model.
    ///
    /// # Errors
    /// The file cannot be used, the device does not answer, or the configuration is impossible.
    pub fn new(
        files: &ModelFiles,
        device: DeviceKind,
        lora: &LoraConfig,
        optim: OptimConfig,
        config: GrpoConfig,
    ) -> Result<Self, KernelError> {
        let policy = Policy::load(files, device, lora, optim)?.at_temperature(config.temperature)?;
        Ok(Self { policy, config, reference: None })
    }

    /// Starts from an adapter, which becomes the reference as well.
    ///
    /// # Errors
    /// It belongs to another base model, or has another rank, scale or targets.
    pub fn start_from(&mut self, adapter: &Adapter) -> Result<(), KernelError> {
        let reference = self.policy.other(adapter)?;
        self.policy.set_adapter(adapter)?;
        self.reference = Some(reference);
        Ok(())
    }

    /// Log-probabilities of the learnt tokens under the policy, one vector for each sequence.
    ///
    /// # Errors
    /// A sequence is malformed or longer than the model's context, or no token is learnt.
    pub fn log_probs(&self, sequences: &[Sequence]) -> Result<Vec<Vec<f32>>, KernelError> {
        self.policy.check(sequences.iter())?;
        sequences.iter().map(|sequence| self.policy.log_probs(sequence, With::Own)).collect()
    }

    /// Log-probabilities of the learnt tokens under the reference: the base model, or what was started from.
    ///
    /// # Errors
    /// As for [`Self::log_probs`].
    pub fn reference_log_probs(&self, sequences: &[Sequence]) -> Result<Vec<Vec<f32>>, KernelError> {
        self.policy.check(sequences.iter())?;
        let with = With::Other(self.reference.as_ref());
        sequences.iter().map(|sequence| self.policy.log_probs(sequence, with)).collect()
    }

    /// One step along the mean gradient of all learnt tokens of the rollouts.
    ///
    /// # Errors
    /// A rollout is malformed or longer than the model's context, no token is learnt, or a gradient is not finite.
    pub fn step(&mut self, rollouts: &[Rollout]) -> Result<GrpoReport, KernelError> {
        let tokens = self.policy.check(rollouts.iter().map(|rollout| &rollout.sequence))?;
        for rollout in rollouts {
            let expected = rollout.sequence.learnt_count();
            let given = (rollout.old_log_probs.len(), rollout.reference_log_probs.len());
            if given != (expected, expected) || !rollout.advantage.is_finite() {
                return Err(KernelError::Argument(format!(
                    "a rollout of {expected} learnt tokens has {} old and {} reference log-probabilities, advantage {}",
                    given.0, given.1, rollout.advantage
                )));
            }
        }
        let mut gradients = self.policy.gradients();
        let (mut loss, mut kl, mut clipped) = (0.0, 0.0, 0usize);
        for rollout in rollouts {
            let terms = Surrogate {
                old: &rollout.old_log_probs,
                reference: &rollout.reference_log_probs,
                advantage: rollout.advantage,
                clip: self.config.clip,
                kl_coefficient: self.config.kl_coefficient,
            };
            let loss_of = |log_probs: &candle_core::Tensor| policy_loss(log_probs, &terms, tokens);
            let (part, log_probs) = self.policy.backward(&rollout.sequence, loss_of, &mut gradients)?;
            loss += part;
            kl += rollout
                .reference_log_probs
                .iter()
                .zip(&log_probs)
                .map(|(reference, own)| divergence(reference - own))
                .sum::<f64>();
            clipped += rollout
                .old_log_probs
                .iter()
                .zip(&log_probs)
                .filter(|(old, own)| self.is_clipped(**own - **old, rollout.advantage))
                .count();
        }
        let (grad_norm, learning_rate) = self.policy.apply(gradients)?;
        #[expect(clippy::cast_possible_truncation, reason = "a mean of a few nats")]
        let kl = (kl / tokens as f64) as f32;
        let clip_fraction = clipped as f32 / tokens as f32;
        Ok(GrpoReport {
            step: self.policy.steps(),
            loss,
            kl,
            clip_fraction,
            grad_norm,
            tokens,
            learning_rate,
        })
    }

    /// Number of steps taken, over all resumed runs.
    pub fn steps(&self) -> usize {
        self.policy.steps()
    }

    /// The adapter as it stands.
    ///
    /// # Errors
    /// The weights cannot be read back from the device.
    pub fn adapter(&self) -> Result<Adapter, KernelError> {
        self.policy.adapter()
    }

    /// Writes adapter, moments and step number into the existing folder `dir`.
    ///
    /// The folder is not written atomically: give a temporary one and rename it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), KernelError> {
        self.policy.save(dir)
    }

    /// Goes on from what [`Self::save`] wrote. A reference other than the base model is not part of it: call
    /// [`Self::start_from`] first.
    ///
    /// # Errors
    /// The files are missing or malformed, or belong to another configuration.
    pub fn restore(&mut self, dir: &Path) -> Result<(), KernelError> {
        self.policy.restore(dir)
    }

    #[cfg(test)]
    pub(super) fn policy(&mut self) -> &mut Policy {
        &mut self.policy
    }

    fn is_clipped(&self, log_ratio: f32, advantage: f32) -> bool {
        let ratio = f64::from(log_ratio).exp();
        (advantage > 0.0 && ratio > 1.0 + self.config.clip)
            || (advantage < 0.0 && ratio < 1.0 - self.config.clip)
    }
}

/// The low-variance estimate of the divergence from `d = ln p_ref - ln p`.
fn divergence(distance: f32) -> f64 {
    let distance = f64::from(distance).clamp(-20.0, 20.0);
    distance.exp() - distance - 1.0
}
