//! Named model files: where they come from, and how they get into the cache whole.
//!
//! A model is a name, a [`ModelSource`] and a [`Checksum`]. [`fetch`] answers with a local file that has this
//! checksum: from the cache if it is there, else downloaded, verified and only then given its name. What is cut off
//! stays in a folder of its own and is gone on with the next time.

mod assembly;
mod builtin;
mod cache;
mod checksum;
mod download;
mod error;
mod fetch;
mod pypi;
mod source;
#[cfg(test)]
mod tests;

use genome_kernels::llm::device::DeviceKind;
use serde::{Deserialize, Serialize};

pub use builtin::{BUILTIN_MODELS, BuiltinModel, builtin};
pub use cache::cache_dir;
pub use checksum::Checksum;
pub use error::ModelError;
pub use fetch::{FetchPhase, FetchProgress, Fetcher, fetch};
pub use source::{ModelSource, SourceError};

/// A further file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Where it comes from, as the weights.
    pub source: ModelSource,
    /// SHA-256 of the whole file in 64 hex digits.
    pub sha256: Checksum,
}

impl ModelFile {
    /// The file as one that can be fetched by itself.
    pub fn alone(&self) -> ModelConfig {
        ModelConfig {
            source: self.source.clone(),
            sha256: self.sha256.clone(),
            family: None,
            device: DeviceKind::Auto,
            mirrors: Vec::new(),
            tokenizer: None,
            chat: None,
            config: None,
            license: None,
        }
    }
}

impl ModelConfig {
    /// Whether it makes vectors of texts: it has the files of an encoder, and `family` does not name a decoder's.
    pub fn is_encoder(&self) -> bool {
        let is_other = self.family.as_deref().is_some_and(|family| family != "bert");
        self.tokenizer.is_some() && self.config.is_some() && !is_other
    }

    /// What the model is known by: the checksum of its weights, and of its further files if it has any.
    pub fn digest(&self) -> String {
        let further = [&self.tokenizer, &self.config, &self.chat].into_iter().flatten();
        further.fold(self.sha256.as_str().to_owned(), |digest, file| digest + "+" + file.sha256.as_str())
    }
}

/// One `[models.<name>]` table of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Where the file comes from: `pypi:…`, `hf:…` or `file:…`, see [`ModelSource`].
    pub source: ModelSource,
    /// SHA-256 of the whole file in 64 hex digits.
    pub sha256: Checksum,
    /// The architecture (`llama`, `qwen2`, `qwen3`, `gemma3`, `bert`), for readers of the config: what is loaded is what the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Where it runs.
    #[serde(default)]
    pub device: DeviceKind,
    /// Further sources of the same file, tried in order when the first one fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<ModelSource>,
    /// The tokenizer (`tokenizer.json`) of an encoder, or of a decoder in safetensors, whose weights come without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<ModelFile>,
    /// The shape (`config.json`) of such a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ModelFile>,
    /// The `tokenizer_config.json` of a decoder in safetensors, for its chat template; without it the template is `ChatML`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ModelFile>,
    /// The licence, as it shall be named in the dataset card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}
