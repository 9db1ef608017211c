//! What can go wrong while a stage is planned or run, by whose fault it is.

use datafusion::error::DataFusionError;
use genome_kernels::KernelError;
use genome_schemas::ContractError;

/// A failure of a stage or source.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A frame does not keep its table's contract.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// A value of the config is out of range or refers to nothing.
    #[error("{0}")]
    Config(String),
    /// A recipe or rubric file is wrong.
    #[error("recipe `{name}`: {reason}")]
    Recipe {
        /// Name of the recipe or rubric.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A dump cannot be read at all.
    #[error("{path}: {reason}")]
    Input {
        /// The file.
        path: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// A kernel failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// DataFusion failed.
    #[error(transparent)]
    Plan(#[from] DataFusionError),
}

impl From<arrow::error::ArrowError> for StageError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Plan(error.into())
    }
}
