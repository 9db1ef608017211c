//! The decoder seam: what the engine asks of a model, whoever computes it.
//!
//! Tokens of all sequences of a step are packed into one matrix without padding, so that the prefill of one
//! sequence and the decoding of others share a step; only attention knows sequences.
//!
//! [`CandleDecoder`] computes a model in one of two ways. On the host (`host`) activations are plain rows of `f32`,
//! weights are tiles of our own kernels (`quantised`), caches are blocks that sequences share by reference (`cache`),
//! and attention walks the blocks (`attention`). On a graphics card (`card`) all of it is Candle operations (`graph`),
//! and the same graph, with the twins of its operations that keep gradients (`ops`), is what training differentiates.
//!
//! # What holds on the host
//! The logits of a row are the same bits
//! - alone or in a batch, in one step or in chunks, on a prefix of its own or on a shared one: every sum has a fixed
//!   order that depends on the row alone (tested on toy models of every type of tile; it held for SmolLM2-135M and
//!   Qwen2.5-Coder-1.5B as well);
//! - on any number of threads;
//! - on every machine, with or without AVX2, as far as the platform's sine and cosine agree. Candle's own quantised
//!   kernels are not used: which of them runs depends on the number of rows and on the chip.
//!
//! On graphics cards nothing of this is promised.
//!
//! # Memory and speed
//! Weights are kept once, as tiles, beside the embedding as in the file: 6 bits a weight for types of four bits,
//! 8 for `Q6_K`, 9 for 8-bit types. The cache takes `4 * layers * kv_heads * head_dim` bytes a token, in blocks of
//! 64 tokens. `docs/performance.md` has the speed.

mod adapter;
mod attention;
mod cache;
mod candle;
mod card;
mod config;
mod fused;
pub(crate) mod graph;
mod host;
mod linear;
mod math;
mod names;
pub(crate) mod ops;
mod quantised;
pub(crate) mod rng;
mod rope;
mod safetensors;
pub(crate) mod tensor_file;
pub mod toy;
mod weights;

pub use adapter::{Adapter, Factors};
pub(crate) use adapter::{rows_from_gguf, rows_to_gguf};
pub use candle::CandleDecoder;
pub use config::{Family, LocalLayers, ModelConfig};
pub use names::Part;
pub use weights::ModelFiles;
pub(crate) use weights::WeightFile;

use crate::KernelError;

/// Handle of a sequence with its key-value cache inside a [`Decoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// For which positions of a row of a step logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logits {
    /// None: the tokens only fill the cache.
    None,
    /// The last token's.
    Last,
    /// Every token's.
    All,
}

/// New tokens of one sequence in a step.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// The sequence.
    pub sequence: SequenceId,
    /// Token ids to append, at least one.
    pub tokens: Vec<u32>,
    /// Which logits to return.
    pub logits: Logits,
}

/// A language model with a cache per sequence.
///
/// The logits of a row do not depend on which other rows are in the step.
pub trait Decoder: Send {
    /// Width of a row of logits.
    fn vocab_size(&self) -> usize;
    /// Most tokens a sequence can hold.
    fn context_length(&self) -> usize;
    /// Opens a sequence: empty, or sharing the first `len` cached tokens of another (`Some((id, len))`).
    ///
    /// # Errors
    /// The shared sequence is unknown or shorter than `len`.
    fn open(&mut self, shared: Option<(SequenceId, usize)>) -> Result<SequenceId, KernelError>;
    /// Forgets a sequence; unknown ids are ignored.
    fn close(&mut self, sequence: SequenceId);
    /// Number of tokens in the sequence's cache; 0 for unknown ids.
    fn len(&self, sequence: SequenceId) -> usize;
    /// Appends the tokens of each row and returns the wanted logits, rows in order, positions in order:
    /// each a vector of [`Self::vocab_size`] values.
    ///
    /// # Errors
    /// A sequence is unknown, appears twice, or would exceed the context; or the computation fails.
    fn step(&mut self, rows: &[StepRow]) -> Result<Vec<Vec<f32>>, KernelError>;
}

#[cfg(test)]
mod tests;
