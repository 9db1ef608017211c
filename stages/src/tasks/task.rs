//! The closed list of training tasks.

use serde::{Deserialize, Serialize};

/// A kind of training example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Supervised: a person's texts → their persona, each statement with its quotation (`HumanLLM`, profile level).
    ProfileGeneration,
    /// Supervised: persona and what they answer → their real reply (`HumanLLM`, personalised commenting).
    Reply,
    /// Supervised: persona and what they wrote → the thought behind it (`HumanLLM`, thoughts).
    InnerThought,
    /// Supervised: persona and what they answer → one latent state of their reply (warm-up for `HumanLM`'s RL).
    LatentState,
    /// Reinforcement: the same prompt, rewarded against the real reply, one row per dimension (`HumanLM`).
    RlState,
    /// Reinforcement: persona and what they answer, rewarded against the real reply (`HumanLM`).
    RlResponse,
}

impl Task {
    /// The name in configs, tables and shards.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProfileGeneration => "profile_generation",
            Self::Reply => "reply",
            Self::InnerThought => "inner_thought",
            Self::LatentState => "latent_state",
            Self::RlState => "rl_state",
            Self::RlResponse => "rl_response",
        }
    }

    /// `sft` or `rl`.
    pub const fn form(self) -> &'static str {
        match self {
            Self::RlState | Self::RlResponse => "rl",
            _ => "sft",
        }
    }

    /// The recipe whose kept answers the task is made from, if it is made from answers.
    pub(super) const fn recipe(self) -> Option<&'static str> {
        match self {
            Self::ProfileGeneration => Some("persona"),
            Self::InnerThought => Some("inner_thought"),
            Self::LatentState => Some("latent_states"),
            Self::Reply | Self::RlState | Self::RlResponse => None,
        }
    }

    /// Whether the answers are about a whole person, and not about an event.
    pub(super) const fn is_over_authors(self) -> bool {
        matches!(self, Self::ProfileGeneration)
    }

    /// Rubric that an RL row is scored by.
    pub(super) const fn rubric(self) -> Option<&'static str> {
        match self {
            Self::RlState | Self::RlResponse => Some("state_alignment"),
            _ => None,
        }
    }
}
