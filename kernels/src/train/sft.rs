//! Supervised training: the learnt tokens are to become likelier.

use std::path::Path;

use super::Sequence;
use super::lora::LoraConfig;
use super::loss::cross_entropy;
use super::optim::OptimConfig;
use super::policy::{Policy, With};
use crate::KernelError;
use crate::llm::decoder::Adapter;
use crate::llm::decoder::ModelFiles;
use crate::llm::device::DeviceKind;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Number of the step, counted from 1.
    pub step: usize,
    /// Mean cross-entropy of the learnt tokens before the step, in nats.
    pub loss: f32,
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Number of learnt tokens.
    pub tokens: usize,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// Trains an adapter to predict the learnt tokens of sequences.
#[derive(Debug)]
pub struct SftTrainer {
    policy: Policy,
}

impl SftTrainer {
    /// Loads the base model from a GGUF file and starts a new adapter.
    ///
    /// # Errors
    /// The file cannot be used, the device does not answer, or the configuration is impossible.
    pub fn new(
        files: &ModelFiles,
        device: DeviceKind,
        lora: &LoraConfig,
        optim: OptimConfig,
    ) -> Result<Self, KernelError> {
        Ok(Self { policy: Policy::load(files, device, lora, optim)? })
    }

    /// One step along the mean gradient of the learnt tokens of all sequences.
    ///
    /// # Errors
    /// A sequence is malformed or longer than the model's context, no token is learnt, or a gradient is not finite.
    pub fn step(&mut self, sequences: &[Sequence]) -> Result<StepReport, KernelError> {
        let tokens = self.policy.check(sequences.iter())?;
        let mut gradients = self.policy.gradients();
        let mut loss = 0.0;
        for sequence in sequences {
            loss += self
                .policy
                .backward(sequence, |log_probs| cross_entropy(log_probs, tokens), &mut gradients)?
                .0;
        }
        let (grad_norm, learning_rate) = self.policy.apply(gradients)?;
        Ok(StepReport { step: self.policy.steps(), loss, grad_norm, tokens, learning_rate })
    }

    /// Mean cross-entropy of the learnt tokens, in nats, without a step.
    ///
    /// # Errors
    /// As for [`Self::step`].
    pub fn loss(&self, sequences: &[Sequence]) -> Result<f32, KernelError> {
        let tokens = self.policy.check(sequences.iter())?;
        let mut sum = 0.0;
        for sequence in sequences {
            sum += self
                .policy
                .log_probs(sequence, With::Own)?
                .iter()
                .map(|&value| f64::from(value))
                .sum::<f64>();
        }
        #[expect(clippy::cast_possible_truncation, reason = "a mean of a few nats")]
        let mean = (-sum / tokens as f64) as f32;
        Ok(mean)
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

    /// Takes over an adapter's weights to train on from, with a fresh optimiser.
    ///
    /// # Errors
    /// It belongs to another base model, or has another rank, scale or targets.
    pub fn start_from(&mut self, adapter: &Adapter) -> Result<(), KernelError> {
        self.policy.set_adapter(adapter)
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

    /// Goes on from what [`Self::save`] wrote, exactly as if there had been no interruption.
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
}
