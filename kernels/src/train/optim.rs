//! AdamW with warm-up, cosine decay and clipping by the global norm.

use std::path::Path;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::lora::Parameter;
use crate::KernelError;
use crate::llm::decoder::tensor_file::{self, Named};

const MOMENTS_FILE: &str = "optimizer.safetensors";
const STATE_FILE: &str = "trainer_state.json";

/// How to step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimConfig {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of the whole run, over which the cosine falls to zero; 0 for a constant rate after the warm-up.
    pub total_steps: usize,
    /// Steps over which the rate rises from zero.
    pub warmup_steps: usize,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub epsilon: f64,
    /// Decay of the weights themselves (Loshchilov and Hutter 2019, arXiv 1711.05101).
    pub weight_decay: f64,
    /// Largest global norm of the gradients; longer ones are scaled down to it. 0 for no limit.
    pub clip_norm: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            learning_rate: 2e-4,
            total_steps: 0,
            warmup_steps: 0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
        }
    }
}

impl OptimConfig {
    /// The learning rate of a step, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        let (total, warmup, step) = (self.total_steps as f64, self.warmup_steps as f64, step as f64);
        if step < warmup {
            return self.learning_rate * (step + 1.0) / warmup;
        }
        if self.total_steps == 0 {
            return self.learning_rate;
        }
        let progress = ((step - warmup) / (total - warmup).max(1.0)).min(1.0);
        self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

/// The state of the optimiser.
#[derive(Debug)]
pub(super) struct AdamW {
    config: OptimConfig,
    /// First and second moment of each parameter.
    moments: Vec<(Tensor, Tensor)>,
    step: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    step: usize,
}

impl AdamW {
    pub(super) fn new(config: OptimConfig, parameters: &[Parameter]) -> Result<Self, KernelError> {
        let moments = parameters
            .iter()
            .map(|parameter| Ok((parameter.var.zeros_like()?.detach(), parameter.var.zeros_like()?.detach())))
            .collect::<Result<_, KernelError>>()?;
        Ok(Self { config, moments, step: 0 })
    }

    /// Number of steps taken.
    pub(super) fn steps(&self) -> usize {
        self.step
    }

    /// Takes a step along these gradients, one for each parameter. Returns the norm before clipping and the rate.
    pub(super) fn step(
        &mut self,
        parameters: &[Parameter],
        gradients: &[Tensor],
    ) -> Result<(f64, f64), KernelError> {
        let mut squares = 0.0;
        for gradient in gradients {
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Err(KernelError::Argument(format!("the gradient of step {} is not finite", self.step)));
        }
        let config = &self.config;
        let clip =
            if config.clip_norm > 0.0 && norm > config.clip_norm { config.clip_norm / norm } else { 1.0 };
        let rate = config.rate(self.step);
        self.step += 1;
        let steps = i32::try_from(self.step).unwrap_or(i32::MAX);
        let (correct1, correct2) = (1.0 - config.beta1.powi(steps), 1.0 - config.beta2.powi(steps));
        for ((parameter, gradient), (first, second)) in
            parameters.iter().zip(gradients).zip(&mut self.moments)
        {
            let gradient = (gradient * clip)?;
            *first = ((&*first * config.beta1)? + (&gradient * (1.0 - config.beta1))?)?;
            *second = ((&*second * config.beta2)? + (gradient.sqr()? * (1.0 - config.beta2))?)?;
            let root = ((&*second / correct2)?.sqrt()? + config.epsilon)?;
            let change = ((&*first / correct1)? / root)?;
            let kept = (parameter.var.as_detached_tensor() * (1.0 - rate * config.weight_decay))?;
            parameter.var.set(&(kept - (change * rate)?)?)?;
        }
        Ok((norm, rate))
    }

    /// Writes moments and step number into the folder.
    pub(super) fn save(&self, parameters: &[Parameter], dir: &Path) -> Result<(), KernelError> {
        let mut tensors = Named::new();
        for (parameter, (first, second)) in parameters.iter().zip(&self.moments) {
            for (kind, moment) in [("first", first), ("second", second)] {
                let values = moment.flatten_all()?.to_vec1()?;
                tensors.insert(format!("{}.{kind}", parameter.name), (moment.dims().to_vec(), values));
            }
        }
        tensor_file::save(&dir.join(MOMENTS_FILE), &tensors)?;
        let state = serde_json::to_vec_pretty(&State { step: self.step })
            .map_err(|error| KernelError::Internal(error.to_string()))?;
        tensor_file::write(&dir.join(STATE_FILE), &state)
    }

    /// Reads what [`Self::save`] wrote.
    pub(super) fn load(&mut self, parameters: &[Parameter], dir: &Path) -> Result<(), KernelError> {
        let path = dir.join(MOMENTS_FILE);
        let mut tensors = tensor_file::load(&path)?;
        let mut take = |parameter: &Parameter, kind: &str| -> Result<Tensor, KernelError> {
            let name = format!("{}.{kind}", parameter.name);
            match tensors.remove(&name) {
                Some((shape, values)) if shape == parameter.var.dims() => {
                    Ok(Tensor::from_vec(values, shape, parameter.var.device())?)
                }
                _ => Err(KernelError::Model {
                    path: path.clone(),
                    reason: format!("no tensor {name} of shape {:?}", parameter.var.dims()),
                }),
            }
        };
        let moments = parameters
            .iter()
            .map(|parameter| Ok((take(parameter, "first")?, take(parameter, "second")?)))
            .collect::<Result<_, KernelError>>()?;
        let path = dir.join(STATE_FILE);
        let fail = |reason: String| KernelError::Model { path: path.clone(), reason };
        let text = std::fs::read(&path).map_err(|error| fail(error.to_string()))?;
        let state: State = serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))?;
        self.moments = moments;
        self.step = state.step;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_rises_then_falls_to_zero() {
        let config =
            OptimConfig { learning_rate: 1.0, total_steps: 100, warmup_steps: 10, ..OptimConfig::default() };
        assert!((config.rate(0) - 0.1).abs() < 1e-12);
        assert!((config.rate(9) - 1.0).abs() < 1e-12);
        assert!((config.rate(10) - 1.0).abs() < 1e-12);
        assert!((config.rate(55) - 0.5).abs() < 1e-12);
        assert!(config.rate(100) < 1e-12 && config.rate(1000) < 1e-12);
        assert!((10..100).all(|step| config.rate(step + 1) < config.rate(step)));
        let constant = OptimConfig { total_steps: 0, ..config };
        assert!((constant.rate(4) - 0.5).abs() < 1e-12);
        assert!((constant.rate(10) - 1.0).abs() < 1e-12 && (constant.rate(9999) - 1.0).abs() < 1e-12);
    }
}
