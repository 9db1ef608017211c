//! Weights of a decoder by the names that GGUF files have for them, whatever file holds them.

use std::path::PathBuf;

use candle_core::Device;
use candle_core::quantized::QTensor;

use super::config::{ModelConfig, linear_factor};
use super::safetensors::SafetensorsFile;
use crate::KernelError;
use crate::llm::gguf::GgufFile;

/// The files of a decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// The weights: a GGUF file, or a safetensors file.
    pub weights: PathBuf,
    /// A `tokenizer.json`, in place of the tokenizer in a GGUF file; safetensors need one.
    pub tokenizer: Option<PathBuf>,
    /// The `config.json` beside safetensors.
    pub config: Option<PathBuf>,
    /// The `tokenizer_config.json` beside safetensors, for its chat template; without it the template is `ChatML`.
    pub chat: Option<PathBuf>,
}

impl ModelFiles {
    /// A GGUF file, which has everything.
    pub fn gguf(weights: impl Into<PathBuf>) -> Self {
        Self { weights: weights.into(), tokenizer: None, config: None, chat: None }
    }

    /// Whether the weights are a safetensors file.
    pub(crate) fn is_safetensors(&self) -> bool {
        self.weights.extension().is_some_and(|ending| ending == "safetensors") || self.config.is_some()
    }
}

/// An open file of weights.
#[derive(Debug)]
pub(crate) enum WeightFile {
    /// With types of blocks, and everything else about the model.
    Gguf(GgufFile),
    /// Under Hugging Face's names, in `f32`, `bf16` or `f16`.
    Safetensors(SafetensorsFile),
}

impl WeightFile {
    /// Opens the weights and reads the model's numbers.
    pub(crate) fn open(files: &ModelFiles) -> Result<(Self, ModelConfig), KernelError> {
        if files.is_safetensors() {
            let Some(config) = &files.config else {
                return Err(KernelError::Model {
                    path: files.weights.clone(),
                    reason: "safetensors need their `config.json` and `tokenizer.json`".into(),
                });
            };
            let (file, config) = SafetensorsFile::open(&files.weights, config)?;
            return Ok((Self::Safetensors(file), config));
        }
        let file = GgufFile::open(&files.weights)?;
        let config = ModelConfig::from_gguf(&file)?;
        Ok((Self::Gguf(file), config))
    }

    /// Reads a tensor that must have this shape (outermost dimension first).
    pub(crate) fn tensor(
        &self,
        name: &str,
        shape: &[usize],
        device: &Device,
    ) -> Result<QTensor, KernelError> {
        match self {
            Self::Gguf(file) => file.tensor(name, shape, device),
            Self::Safetensors(file) => file.tensor(name, shape, device),
        }
    }

    /// A tensor of one dimension as `f32`.
    pub(crate) fn vector(&self, name: &str, width: usize) -> Result<Vec<f32>, KernelError> {
        Ok(self.tensor(name, &[width], &Device::Cpu)?.dequantize(&Device::Cpu)?.to_vec1()?)
    }

    /// The divisors of the rotary frequencies, if the model has them.
    pub(crate) fn rope_factors(&self, config: &ModelConfig) -> Result<Option<Vec<f32>>, KernelError> {
        let pairs = config.head_dim / 2;
        match self {
            Self::Gguf(file) => {
                let linear = linear_factor(file, config.family)?;
                if file.shape("rope_freqs.weight").is_none() {
                    return Ok(linear.map(|linear| vec![linear; pairs]));
                }
                let factors = self.vector("rope_freqs.weight", pairs)?;
                Ok(Some(factors.into_iter().map(|factor| factor * linear.unwrap_or(1.0)).collect()))
            }
            Self::Safetensors(file) => Ok(file.rope_factors().map(<[f32]>::to_vec)),
        }
    }

    /// What the model calls itself; empty where it does not.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Gguf(file) => file.string("general.name").unwrap_or_default().to_owned(),
            Self::Safetensors(_) => String::new(),
        }
    }
}
