//! The trainer.
use crate::cli::TrainRunArgs;
use crate::config::Project;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
/// x
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {}
impl TrainConfig {
    /// x
    pub fn resolve(&mut self, _absolute: &dyn Fn(&Path) -> PathBuf) {}
    /// x
    pub fn use_model(&mut self, _model: &str) {}
}
/// x
pub fn sft(_p: &Project, _a: &TrainRunArgs) -> anyhow::Result<()> {
    Ok(())
}
/// x
pub fn grpo(_p: &Project, _a: &TrainRunArgs) -> anyhow::Result<()> {
    Ok(())
}
