//! What can go wrong in a kernel, by whose fault it is.

use std::path::PathBuf;

/// A failure of a kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A model file cannot be used: missing, cut off, of another family, or with tensors of unexpected shape.
    #[error("model file {path}: {reason}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// A grammar or schema that the decoder cannot be bound by.
    #[error("grammar: {0}")]
    Grammar(String),
    /// A value that the caller passed is out of range.
    #[error("{0}")]
    Argument(String),
    /// A failure inside Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A failure inside the tokenizer.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A bug in this crate.
    #[error("internal error (please report it): {0}")]
    Internal(String),
}
