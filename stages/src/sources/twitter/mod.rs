//! Twitter: personal archives, streams and pages of its interfaces, tables.
//!
//! | form | reader |
//! |---|---|
//! | personal archive, old and new, zip or folder | `archive` |
//! | archive.org stream: tar or zip of one file a minute; search results; pages of v2, flattened or not | `lines` |
//! | CSV of academic tools; Parquet of `twitter100m` | `table` |

mod archive;
mod lines;
mod status;
mod table;
mod words;

pub(super) use archive::holds_tweets;
pub(super) use table::csv_fields;

use super::bytes::archive::Archive;
use super::bytes::container::{Dump, open};
use super::bytes::location::Location;
use super::config::Format;
use super::json_objects::{is_json, open_dump};
use super::listing::InputFile;
use super::members::each_member;
use super::output::{Output, Read};
use super::parquet_rows::has_columns;

/// Reads one dump.
pub(super) fn read(out: &mut Output<'_>) -> Read {
    match open_dump(out)? {
        None => Ok(()),
        Some(Dump::Archive(archive)) if is_personal(&archive) => archive::read(out, archive),
        Some(Dump::Archive(archive)) if !archive.members().iter().any(|name| is_read(name)) => {
            out.unreadable(out.location().failed(
                "is no personal archive of Twitter (which has `data/tweets.js` or `data/js/tweets/*.js`), and holds no \
                 *.json, *.jsonl or *.csv either",
            ))
        }
        Some(Dump::Parquet(file)) if table_kind(out.location()) == Some(Table::Tweets) => {
            table::read_tweets(out, file)
        }
        Some(Dump::Parquet(_)) => out.unreadable(table::neither(out)),
        Some(dump) => {
            let mut named = Named::default();
            each_member(out, dump, is_read, |out, member| {
                named.next_member(out);
                match member.format(out) {
                    format @ (Format::Csv | Format::Tsv) => table::read(out, member, format),
                    _ => lines::read(out, member, &mut named),
                }
            })
        }
    }
}

fn is_personal(archive: &Archive) -> bool {
    archive.members().iter().any(|name| holds_tweets(name))
}

/// Whether a member of an archive is read.
fn is_read(name: &str) -> bool {
    is_json(name) || name.to_ascii_lowercase().ends_with(".csv")
}

/// What a Parquet file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Tweets,
    Users,
}

fn table_kind(location: &Location) -> Option<Table> {
    let has = |columns: &[&str]| location.open().is_ok_and(|file| has_columns(file, columns));
    if has(&["user", "tweet"]) {
        Some(Table::Tweets)
    } else {
        has(&["user", "description"]).then_some(Table::Users)
    }
}

/// Whether a file holds accounts and not tweets.
pub(super) fn holds_users(file: &InputFile) -> bool {
    file.location.name().to_ascii_lowercase().ends_with(".parquet")
        && table_kind(&file.location) == Some(Table::Users)
}

/// Reads accounts, as messages that say what class of author each is.
pub(super) fn read_users(out: &mut Output<'_>) -> Read {
    match open_dump(out)? {
        Some(Dump::Parquet(file)) => table::read_users(out, file),
        _ => Ok(()),
    }
}

/// Whether a dump can hold notices of tweets that were deleted. Personal archives and tables have none.
pub(super) fn may_hold_notices(file: &InputFile) -> bool {
    let name = file.location.name().to_ascii_lowercase();
    let ends_with = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if file.location.is_folder() || ends_with(&[".csv", ".parquet", ".tsv"]) {
        return false;
    }
    !ends_with(&[".zip"])
        || matches!(open(&file.location), Ok(Dump::Archive(archive)) if !is_personal(&archive))
}

/// Reads the ids of tweets that a dump says were deleted.
pub(super) fn read_deletions(out: &mut Output<'_>) -> Read {
    match open_dump(out)? {
        None | Some(Dump::Parquet(_)) => Ok(()),
        // One whose name does not end like that of a zip file is only known for it when it is open.
        Some(Dump::Archive(archive)) if is_personal(&archive) => Ok(()),
        Some(dump) => each_member(out, dump, is_read, |out, member| match member.format(out) {
            Format::Csv | Format::Tsv => Ok(()),
            _ => lines::read_deletions(out, member),
        }),
    }
}

/// Whom a file and its members are named after: people name both after whose tweets they hold.
#[derive(Default)]
struct Named {
    /// Handles that stood in names so far.
    handles: Vec<String>,
    /// Whether the author of the member's first tweet is known.
    is_told: bool,
}

impl Named {
    /// Takes the handles that are known out of the name of the next member.
    fn next_member(&mut self, out: &mut Output<'_>) {
        self.is_told = false;
        for handle in &self.handles {
            let place = without_handle(out, out.source_file(), Some(handle.as_str()));
            out.set_source_file(place);
        }
    }

    /// Notes who wrote a tweet. Whoever wrote the first one of a member may be whom it is named after.
    fn written_by(&mut self, out: &mut Output<'_>, author: Option<&str>) {
        if let Some(author) = author.filter(|_| !self.is_told) {
            self.is_told = true;
            self.hide(out, author);
        }
    }

    /// Takes a handle out of the names, if they are named after it.
    fn hide(&mut self, out: &mut Output<'_>, handle: &str) {
        if !is_named_after(out.source_file(), handle) {
            return;
        }
        if self.handles.iter().any(|known| known.eq_ignore_ascii_case(handle)) {
            return;
        }
        let place = without_handle(out, out.source_file(), Some(handle));
        out.rename_file(&place);
        out.set_source_file(place);
        self.handles.push(handle.to_owned());
    }
}

/// Whether a handle stands in a name as a word of its own. The first tweet of a stream may be by anybody, also by somebody
/// whose handle is a number or a word of every name.
fn is_named_after(name: &str, handle: &str) -> bool {
    const SHORTEST: usize = 4;
    let (name, handle) = (name.to_ascii_lowercase(), handle.to_ascii_lowercase());
    let is_alone = |at: usize| {
        !name[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
            && !name[at + handle.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    let is_word = handle.len() >= SHORTEST
        && !matches!(handle.as_str(), "json" | "jsonl" | "tweets" | "twitter" | "user");
    is_word
        && handle.bytes().any(|b| !b.is_ascii_digit())
        && name.match_indices(handle.as_str()).any(|(at, _)| is_alone(at))
}

/// The name of a file or program with the handle in it replaced by its pseudonym: people name both after themselves.
fn without_handle(out: &Output<'_>, name: &str, handle: Option<&str>) -> String {
    let facts = out.facts();
    let hidden = handle.map(|handle| facts.names.without_handle(facts.platform, name, handle));
    hidden.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_hold_handles_as_words() {
        for (name, handle, is_named) in [
            ("grace_tweets.jsonl", "Grace", true),
            ("data.zip!tweets-of-grace.json", "grace", true),
            ("grace-2019.json", "grace", true),
            ("graceful.json", "grace", false),
            ("stream-2017.tar!2017/00.json", "2017", false),
            ("stream-2017.tar!2017/00.json", "json", false),
            ("anna.json", "ann", false),
            ("user_1a2b3c4d.json", "user", false),
        ] {
            assert_eq!(is_named_after(name, handle), is_named, "{name} {handle}");
        }
    }
}
