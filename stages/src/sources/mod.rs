//! Sources: platform dumps read as table `events`, one reader a platform.
//!
//! [`SourceConfig::events`] is the entry: *scan*, then *map*. A scan is an in-memory table of files with one
//! physical operator above it (`read_dumps`) that turns each file into record batches; the map joins what people
//! answered or reviewed, as `context`, and puts the columns into order (`events`). Handles become pseudonyms inside
//! the readers, so no plan ever sees one.
//!
//! A record that cannot be read is a row with outcome `malformed`, the reason as its `rule`, and its place in
//! `source_file` and `source_offset`; rules are `invalid_json`, `truncated`, `not_a_record`, `nul_bytes`,
//! `line_too_long`, `truncated_file`, and for blogs `no_post`, `unclosed_post`, `unclosed_date`, `not_a_blog`.
//! What each file held is counted by itself in [`ReadCounts`].
//!
//! | platform | reader | what it reads |
//! |---|---|---|
//! | Reddit | `reddit` | NDJSON of comments and submissions, `.zst` with windows to 2 GiB, gzip or plain |
//! | Twitter | `twitter` | personal archives, old and new form, zip or folder |
//! | Blogger | `blogger` | the Blog Authorship Corpus, zip or folder |
//! | Amazon | `amazon` | Amazon Reviews 2023 with product metadata |

mod amazon;
mod archive;
mod author_class;
mod batches;
mod blogger;
mod config;
mod container;
mod counts;
mod elements;
mod events;
mod fields;
mod file_group;
mod json;
mod json_lines;
mod lines;
mod options;
mod output;
mod pseudonym;
mod read_ahead;
mod read_dumps;
mod record;
mod reddit;
mod scan;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod twitter;

pub use config::{SourceConfig, list_files};
pub use counts::{FileReadCount, ReadCounts, TypeConflict};
pub use options::{ReaderOptions, SourceContext, TruncatedPolicy};
pub use pseudonym::{AuthorId, Pseudonymizer};
