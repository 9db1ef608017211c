//! The curation logic: sources, stages and recipes as DataFusion plans over the kernels.

mod error;
pub mod sources;

pub use error::StageError;
