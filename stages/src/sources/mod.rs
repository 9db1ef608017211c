//! Sources: platform dumps read as table `events`, one reader a platform.
//!
//! [`SourceConfig::events`] is the entry: *scan*, then *map*. A scan is an in-memory table of files with one
//! physical operator above it (`read_dumps`) that turns each file into record batches; the map joins what people
//! answered or reviewed, as `context`, and puts the columns into order (`events`). Handles become pseudonyms inside
//! the readers, so no plan ever sees one.
//!
//! A record that cannot be read is a row with outcome `malformed`, the reason as its `rule`, and its place in
//! `source_file` and `source_offset`; rules are `invalid_json`, `truncated`, `not_a_record`, `nul_bytes`,
//! `line_too_long`, `truncated_file`, and for blogs `no_post`, `unclosed_post`, `unclosed_date`, `not_a_blog`,
//! `unclosed_entry`, `unopened_entry`. What nobody published has outcome `notice`: `blog_settings`, `draft`, `trashed`,
//! `spam`, `spam_comment`, `not_published`.
//! What each file held is counted by itself in [`ReadCounts`].
//!
//! | platform | reader | what it reads |
//! |---|---|---|
//! | Reddit | `reddit` | NDJSON of comments and submissions, `.zst` with windows to 2 GiB, gzip or plain |
//! | Twitter | `twitter` | personal archives, old and new form, zip or folder |
//! | Blogger | `blogger` | the Blog Authorship Corpus in any container, its table, Atom exports of Blogger and Takeout |
//! | Amazon | `amazon` | Amazon Reviews 2023 with product metadata |

mod amazon;
mod author_class;
mod batches;
mod blogger;
mod bytes;
mod config;
mod counts;
mod csv_rows;
mod events;
mod file_group;
mod json_lines;
mod json_objects;
mod listing;
mod members;
mod options;
mod output;
mod parquet_rows;
mod pseudonym;
mod read_dumps;
mod record;
mod reddit;
mod scan;
#[cfg(test)]
mod tests;
mod twitter;
mod values;

pub use bytes::location::{Location, is_url};
pub use config::{CsvConfig, DateOrder, Deletions, Format, SourceConfig};
pub use counts::{FileReadCount, ReadCounts, TypeConflict};
pub use listing::{InputFile, list_files};
pub use options::{ReaderOptions, SourceContext, TruncatedPolicy};
pub use pseudonym::{AuthorId, Pseudonymizer};
