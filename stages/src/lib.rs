//! The curation logic: sources, stages and recipes as DataFusion plans over the kernels.
//!
//! A stage turns one [`DataFrame`](datafusion::prelude::DataFrame) into another and runs nothing itself.
//! [`StageConfig`] is the list of all stages there are.

pub mod author_language;
pub mod authors;
mod config;
pub mod decontaminate;
pub mod dedup;
mod error;
pub mod filter;
mod frames;
pub mod functions;
pub mod kept_threads;
pub mod mark;
pub mod pii_scrub;
pub mod semantic;
pub mod shared_passages;
pub mod sources;
pub mod split;
mod stage;
pub mod synthesis;
pub mod tasks;

pub use config::StageConfig;
pub use error::StageError;
pub use frames::union_all;
pub use stage::{Asset, Card, ModelStage, Outside, RejectionLimit, Scope, Stage, StageContext};
