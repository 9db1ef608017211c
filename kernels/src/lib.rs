//! The arithmetic of the Cognitive Genome builder. A kernel takes values and gives values: it knows no DataFusion,
//! no config file and no clock, and opens no file except the model weights it is given.

pub mod dedup;
mod error;
pub mod history;
pub mod kcore;
pub mod llm;
mod mix;
pub mod text;
pub mod train;

pub use error::KernelError;
