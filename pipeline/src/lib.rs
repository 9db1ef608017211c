//! The machine around the stages.

pub mod models;
pub mod shards;
