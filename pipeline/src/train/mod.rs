//! Training loops: shards in, an adapter folder out.
//!
//! [`sft`] makes the messages marked `learn` likelier (`HumanLLM`'s training, as a low-rank adapter); [`grpo`] lets
//! the model answer in groups and makes the better answers likelier (`HumanLM`'s training, thin). Both write the
//! same folder, go on where an earlier run of the same config stopped, and give the same adapter, byte for byte, whatever
//! the number of threads and however often they were stopped. `docs/training.md` tells it from the outside.

mod answer;
mod config;
mod encoder;
mod folder;
mod grader;
mod grpo;
mod record;
mod rollout;
mod rows;
mod setup;
mod sft;
mod table;
#[cfg(test)]
mod tests;

pub use config::{AdapterConfig, GrpoRunConfig, RewardKind, Schedule, SftConfig, TrainConfig};
pub use grpo::grpo;
pub use sft::sft;
