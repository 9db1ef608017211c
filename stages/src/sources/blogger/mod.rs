//! Blogger: the Blog Authorship Corpus, its table, and exports of blogs.

mod corpus;

use super::bytes::archive::is_blog;
use super::bytes::container::Dump;
use super::json_objects::open_dump;
use super::output::{Output, Read};

/// Reads one dump.
pub(super) fn read(out: &mut Output<'_>) -> Read {
    match open_dump(out)? {
        None => Ok(()),
        Some(Dump::Archive(archive)) if archive.members().iter().any(|name| is_blog(name)) => {
            corpus::read(out, archive)
        }
        Some(_) => out.unreadable(
            out.location()
                .failed("has no blog in it; expected files named `<id>.<gender>.<age>.<topic>.<sign>.xml`"),
        ),
    }
}

/// Reads the posts of a dump as context of the comments on them.
pub(super) fn read_posts(out: &mut Output<'_>) -> Read {
    read(out)
}
