//! The decoder of the program: GGUF weights, computed with Candle's and our own kernels.

use std::path::Path;

use super::config::ModelConfig;
use super::host::HostModel;
use super::{Decoder, SequenceId, StepRow};
use crate::KernelError;
use crate::llm::device::{self, DeviceKind};
use crate::llm::gguf::GgufFile;

/// A model of the llama kind, loaded from a GGUF file.
#[derive(Debug)]
pub struct CandleDecoder {
    config: ModelConfig,
    model: HostModel,
}

impl CandleDecoder {
    /// Loads the file onto the device.
    ///
    /// # Errors
    /// The file is missing, cut off or of a family that is not supported; or the device does not answer.
    pub fn load(path: &Path, device: DeviceKind) -> Result<Self, KernelError> {
        let file = GgufFile::open(path)?;
        let config = ModelConfig::from_gguf(&file)?;
        let device = device::pick(device)?;
        if !device.is_cpu() {
            return Err(KernelError::Argument("only the CPU is wired up".into()));
        }
        let model = HostModel::load(&file, &config)?;
        Ok(Self { config, model })
    }

    /// The model's numbers.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn check(&self, rows: &[StepRow]) -> Result<(), KernelError> {
        for (index, row) in rows.iter().enumerate() {
            let id = row.sequence;
            let held = self
                .model
                .cache
                .len(id)
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
        self.model.cache.open(shared)
    }

    fn close(&mut self, sequence: SequenceId) {
        self.model.cache.close(sequence);
    }

    fn len(&self, sequence: SequenceId) -> usize {
        self.model.cache.len(sequence).unwrap_or(0)
    }

    fn step(&mut self, rows: &[StepRow]) -> Result<Vec<Vec<f32>>, KernelError> {
        self.check(rows)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.model.step(rows)
    }
}
