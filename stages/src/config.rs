//! The closed list of stages, as a config writes them.

use serde::{Deserialize, Serialize};

use crate::authors::{AuthorActivity, GroupAuthors};
use crate::dedup::Dedup;
use crate::filter::ContentFilter;
use crate::pii_scrub::PiiScrub;
use crate::split::Split;
use crate::stage::Stage;
use crate::synthesis::{Judge, QualityGate, Synthesize};
use crate::tasks::Compose;

/// One stage of a config. The struct behind each name is the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageConfig {
    /// events → events: drops by rules on single records.
    ContentFilter(ContentFilter),
    /// events → events: replaces personal data by placeholders.
    PiiScrub(PiiScrub),
    /// events → events: drops repeats.
    Dedup(Dedup),
    /// events → events: drops authors with too few events.
    AuthorActivity(AuthorActivity),
    /// events → events: gives each event its split.
    Split(Split),
    /// events → authors: one row per person, train events only.
    GroupAuthors(GroupAuthors),
    /// events or authors → completions: asks a model.
    Synthesize(Synthesize),
    /// completions → judgements: asks a judge.
    Judge(Judge),
    /// completions → completions: drops what scored too low.
    QualityGate(QualityGate),
    /// completions and events → examples: training examples.
    Compose(Compose),
}

impl StageConfig {
    /// The stage behind the config.
    pub fn stage(&self) -> &dyn Stage {
        match self {
            Self::ContentFilter(stage) => stage,
            Self::PiiScrub(stage) => stage,
            Self::Dedup(stage) => stage,
            Self::AuthorActivity(stage) => stage,
            Self::Split(stage) => stage,
            Self::GroupAuthors(stage) => stage,
            Self::Synthesize(stage) => stage,
            Self::Judge(stage) => stage,
            Self::QualityGate(stage) => stage,
            Self::Compose(stage) => stage,
        }
    }
}
