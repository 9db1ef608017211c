//! Shards: kept examples as numbered files that trainers read, with checksums and a dataset card.
//!
//! A shard folder is written under another name and gets its own only when everything in it is complete; equal rows
//! under an equal card give equal bytes. What each file and column means is told in `docs/shards.md`.

mod card;
mod error;
mod example;
mod file;
mod reader;
mod rows;
mod series;
#[cfg(test)]
mod tests;
mod writer;

use serde::{Deserialize, Serialize};

pub use card::{CardFacts, ModelFacts, ModelRole, SourceFacts};
pub use error::ShardError;
pub use reader::ShardReader;
pub(crate) use reader::is_complete;
pub use rows::{ExtraInfo, RewardModel, RlRow, SftRow, ShardRow, Turn};
pub(crate) use writer::check_replaceable;
pub use writer::{RowCount, ShardFile, ShardSummary, ShardWriter, write_shards};

/// Version of what a shard folder holds: raised when equal examples make other files, or another card.
pub const SHARDS_VERSION: u32 = 1;

/// Name of the file with the checksums of all others.
pub const CHECKSUMS_FILE: &str = "checksums.txt";

/// Name of the dataset card.
pub const CARD_FILE: &str = "README.md";

/// Name of the description that LLaMA-Factory reads.
pub const DATASET_INFO_FILE: &str = "dataset_info.json";

/// How shards are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShardConfig {
    /// Most rows of one shard; at least 1.
    pub rows_per_shard: usize,
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self { rows_per_shard: 10_000 }
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            /// Every one, in the order of the shard folder's description.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in tables and file names.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The one with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// What a row is for.
    Form {
        /// Supervised fine-tuning: messages, some of which carry loss.
        Sft = "sft",
        /// Reinforcement learning: a prompt, and what the answer is rewarded against.
        Rl = "rl",
    }
}

names! {
    /// Which part of the data a row belongs to.
    Split {
        /// To learn from.
        Train = "train",
        /// To choose by.
        Validation = "validation",
        /// To report on.
        Test = "test",
        /// The test rows once more, with less of the personas.
        TestDropout = "test_dropout",
    }
}
