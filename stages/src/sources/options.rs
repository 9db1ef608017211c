//! What a source is read with: session, pseudonym key, limits.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::counts::ReadCounts;
use super::pseudonym::Pseudonymizer;

/// What to do with a compressed file that breaks off or is corrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TruncatedPolicy {
    /// Stop with an error that names the file and the place.
    #[default]
    Fail,
    /// Keep the complete records before a break and what can be read behind it, and give one `malformed` row with rule
    /// `truncated_file` for each break.
    Keep,
}

/// Limits of reading.
///
/// Memory of one open file: its decompression window (2 GiB for the dumps that ask for it, 8 MiB as a rule), one
/// line or archive member, 2 MiB that were decompressed ahead, 384 KiB of packed bytes, and four batches; of a file in an object store two ranges
/// of 8 MiB beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReaderOptions {
    /// What to do with a file that breaks off.
    pub on_truncated: TruncatedPolicy,
    /// Longest line or array element in bytes; a longer one is `malformed` with rule `line_too_long`.
    pub max_line_bytes: usize,
    /// Largest blog file in bytes, which is read as a whole; a larger one is an error.
    pub max_member_bytes: usize,
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// Bytes of text after which a batch is closed.
    pub batch_bytes: usize,
    /// Characters of a post, comment or tweet that is somebody's context; the rest is cut with an ellipsis.
    pub context_chars: usize,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            on_truncated: TruncatedPolicy::Fail,
            max_line_bytes: 64 << 20,
            max_member_bytes: 256 << 20,
            batch_rows: 2048,
            batch_bytes: 16 << 20,
            context_chars: 20_000,
        }
    }
}

/// What every source of a run shares.
#[derive(Clone)]
pub struct SourceContext {
    /// The session that plans and runs.
    pub session: SessionContext,
    /// Turns handles into pseudonyms.
    pub pseudonymizer: Pseudonymizer,
    /// Limits of reading.
    pub options: ReaderOptions,
    /// Where the readers leave their counts.
    pub counts: Arc<ReadCounts>,
    pub(super) wide_windows: Arc<Semaphore>,
}

impl SourceContext {
    /// A context with fresh counts. At most `wide_windows` files (and at least one) whose decompression window is over
    /// 128 MiB are open at the same time; each can take 2 GiB.
    pub fn new(
        session: SessionContext,
        pseudonymizer: Pseudonymizer,
        options: ReaderOptions,
        wide_windows: usize,
    ) -> Self {
        let wide_windows = Arc::new(Semaphore::new(wide_windows.max(1)));
        Self { session, pseudonymizer, options, counts: Arc::default(), wide_windows }
    }
}
