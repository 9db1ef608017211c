//! The decoder of the program: weights of a file, computed with Candle's and our own kernels.

use super::adapter::Adapter;
use super::card::CardModel;
use super::config::ModelConfig;
use super::host::HostModel;
use super::weights::{ModelFiles, WeightFile};
use super::{Decoder, SequenceId, StepRow};
use crate::KernelError;
use crate::llm::device::{self, DeviceKind};

/// A model of the llama kind, loaded from a GGUF file or from safetensors.
#[derive(Debug)]
pub struct CandleDecoder {
    config: ModelConfig,
    model: Model,
}

#[derive(Debug)]
enum Model {
    Host(HostModel),
    Card(CardModel),
}

impl CandleDecoder {
    /// Loads the files onto the device.
    ///
    /// # Errors
    /// The file is missing, cut off or of a family that is not supported; or the device does not answer.
    pub fn load(files: &ModelFiles, device: DeviceKind) -> Result<Self, KernelError> {
        let (file, config) = WeightFile::open(files)?;
        let device = device::pick(device)?;
        let model = if device.is_cpu() {
            Model::Host(HostModel::load(&file, &config)?)
        } else {
            Model::Card(CardModel::load(&file, &config, &device)?)
        };
        Ok(Self { config, model })
    }

    /// The way of computing that graphics cards take, on the host: slow, for comparisons.
    #[cfg(test)]
    pub(super) fn load_as_on_a_card(files: &ModelFiles) -> Result<Self, KernelError> {
        let (file, config) = WeightFile::open(files)?;
        let model = Model::Card(CardModel::load(&file, &config, &candle_core::Device::Cpu)?);
        Ok(Self { config, model })
    }

    /// The same with attention in one kernel, or what stands for it on the host.
    #[cfg(test)]
    pub(super) fn load_as_with_a_kernel(files: &ModelFiles) -> Result<Self, KernelError> {
        let (file, config) = WeightFile::open(files)?;
        let card = CardModel::load(&file, &config, &candle_core::Device::Cpu)?;
        Ok(Self { config, model: Model::Card(card.with_kernel(super::fused::spelled_out)) })
    }

    /// The model's numbers.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Adds a low-rank adapter to the weights, in place of an earlier one, or takes it away.
    ///
    /// Sequences that are open keep what was cached with the weights before; close them first.
    ///
    /// # Errors
    /// The adapter does not fit the model.
    pub fn set_adapter(&mut self, adapter: Option<&Adapter>) -> Result<(), KernelError> {
        if let Some(adapter) = adapter {
            adapter.check(&self.config)?;
        }
        match &mut self.model {
            Model::Host(model) => {
                model.set_adapter(adapter);
                Ok(())
            }
            Model::Card(model) => model.set_adapter(adapter),
        }
    }

    fn held(&self, id: SequenceId) -> Option<usize> {
        match &self.model {
            Model::Host(model) => model.cache.len(id),
            Model::Card(model) => model.len(id),
        }
    }

    fn check(&self, rows: &[StepRow]) -> Result<(), KernelError> {
        for (index, row) in rows.iter().enumerate() {
            let id = row.sequence;
            let held = self
                .held(id)
                .ok_or_else(|| KernelError::Argument(format!("sequence {} is not open", id.0)))?;
            if row.tokens.is_empty() {
                return Err(KernelError::Argument(format!("no tokens for sequence {}", id.0)));
            }
            if let Some(token) = row.tokens.iter().find(|&&token| token as usize >= self.config.vocab_size) {
                return Err(KernelError::Argument(format!(
                    "token {token} of sequence {} is outside the vocabulary of {}",
                    id.0, self.config.vocab_size
                )));
            }
            if held + row.tokens.len() > self.config.context_length {
                return Err(KernelError::Argument(format!(
                    "{} more tokens in sequence {} of {held} would exceed the model's context of {}",
                    row.tokens.len(),
                    id.0,
                    self.config.context_length
                )));
            }
            if rows[..index].iter().any(|other| other.sequence == id) {
                return Err(KernelError::Argument(format!("sequence {} appears twice in a step", id.0)));
            }
        }
        Ok(())
    }
}

impl Decoder for CandleDecoder {
    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn context_length(&self) -> usize {
        self.config.context_length
    }

    fn open(&mut self, shared: Option<(SequenceId, usize)>) -> Result<SequenceId, KernelError> {
        match &mut self.model {
            Model::Host(model) => model.cache.open(shared),
            Model::Card(model) => model.open(shared),
        }
    }

    fn close(&mut self, sequence: SequenceId) {
        match &mut self.model {
            Model::Host(model) => model.cache.close(sequence),
            Model::Card(model) => model.close(sequence),
        }
    }

    fn len(&self, sequence: SequenceId) -> usize {
        self.held(sequence).unwrap_or(0)
    }

    fn step(&mut self, rows: &[StepRow]) -> Result<Vec<Vec<f32>>, KernelError> {
        self.check(rows)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.model {
            Model::Host(model) => model.step(rows),
            Model::Card(model) => model.step(rows),
        }
    }
}
