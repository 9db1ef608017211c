//! Deduplication by meaning: texts as vectors of a local encoder, and of those that say the same, one stays.

mod dedup;
mod embed;

pub use dedup::SemanticDedup;
pub use embed::Embed;
