//! Sources: platform dumps read as table `events`, one reader a platform.
//!
//! [`SourceConfig::events`] is the entry: *scan*, then *map*. A scan is an in-memory table of files with one
//! physical operator above it (`read_dumps`) that turns each file into record batches; the map joins what people
//! answered or reviewed, as `context`, and puts the columns into order (`events`). Handles become pseudonyms inside
//! the readers, so no plan ever sees one.
//!
//! A record that cannot be read is a row with outcome `malformed`, the reason as its `rule`, and its place in
//! `source_file` and `source_offset`; what nobody published or did has outcome `notice`. `docs/sources.md` lists the
//! rules and every form that is read. What each file held is counted by itself in [`ReadCounts`].
//!
//! | platform | reader | what it reads |
//! |---|---|---|
//! | Reddit | `reddit` | comments and submissions as JSON in any container, or as Parquet |
//! | Twitter | `twitter` | streams and pages of its interfaces, personal archives, tables |
//! | Blogger | `blogger` | the Blog Authorship Corpus, its table, Atom exports of Blogger and Takeout |
//! | Amazon | `amazon` | reviews and products of 2014, 2018 and 2023, and the older table |

mod amazon;
mod author_class;
mod batches;
mod blogger;
mod bytes;
mod config;
mod counts;
mod csv_rows;
mod evaluation;
mod events;
mod file_group;
mod json_lines;
mod json_objects;
mod listing;
mod members;
mod options;
mod output;
mod parquet_rows;
mod pattern;
mod pseudonym;
mod read_dumps;
mod record;
mod reddit;
mod repeating;
mod scan;
#[cfg(test)]
mod tests;
mod twitter;
mod values;

pub use bytes::location::{Location, is_url};
pub use config::{CsvConfig, DateOrder, Deletions, Format, SourceConfig};
pub use counts::{FileReadCount, ReadCounts};
pub use evaluation::read_evaluation_set;
pub use listing::{InputFile, list_files};
pub use options::{ReaderOptions, SourceContext, TruncatedPolicy};
pub use pseudonym::{AuthorId, Pseudonymizer};
