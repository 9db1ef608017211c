//! Twitter: personal archives, streams, API pages, tables.

mod archive;

pub(super) use archive::holds_tweets;

use super::bytes::container::Dump;
use super::json_objects::open_dump;
use super::listing::InputFile;
use super::output::{Output, Read};

/// Reads one dump.
pub(super) fn read(out: &mut Output<'_>) -> Read {
    match open_dump(out)? {
        None => Ok(()),
        Some(Dump::Archive(archive)) if archive.members().iter().any(|name| holds_tweets(name)) => {
            archive::read(out, archive)
        }
        Some(_) => out.unreadable(out.location().failed(
            "is no personal archive of Twitter; expected `data/tweets.js` or `data/js/tweets/*.js` in it",
        )),
    }
}

/// Whether a dump can hold notices of deleted tweets. Personal archives and tables have none.
pub(super) fn may_hold_notices(file: &InputFile) -> bool {
    let _ = file;
    false
}

/// Reads the ids of tweets that a dump says were deleted.
pub(super) fn read_deletions(_: &mut Output<'_>) -> Read {
    Ok(())
}
