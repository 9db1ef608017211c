//! Blogger: the Blog Authorship Corpus, its table, and exports of blogs.
//!
//! | form | reader | what it reads |
//! |---|---|---|
//! | corpus | `corpus` | `<id>.<gender>.<age>.<topic>.<sign>.xml`, in an archive, a folder or by themselves |
//! | table | `table` | `blogtext.csv` of Kaggle |
//! | export | `atom` | `blog-MM-DD-YYYY.xml` of Blogger, `feed.atom` of Takeout |

mod atom;
mod corpus;
mod elements;
mod entries;
mod post;
mod table;

use super::batches::Produces;
use super::bytes::archive::{file_name, is_blog, unpacked};
use super::bytes::container::{Dump, open};
use super::config::Format;
use super::json_objects::open_dump;
use super::listing::InputFile;
use super::members::{Member, each_member};
use super::output::{Output, Read};

/// Reads one dump. Messages are the posts that comments can refer to, which only feeds have.
pub(super) fn read(out: &mut Output<'_>) -> Read {
    let feeds_only = out.produces() == Produces::Messages;
    let Some(dump) = open_dump(out)? else { return Ok(()) };
    let mut feeds = false;
    if let Dump::Archive(archive) = &dump {
        feeds = holds_feeds(archive.members());
        if !archive.members().iter().any(|name| is_wanted(name, feeds)) {
            return out.unreadable(out.location().failed(EXPECTED));
        }
    }
    let file = out.location().name();
    let mut bytes = Vec::new();
    each_member(
        out,
        dump,
        |name| is_wanted(name, feeds),
        |out, member| match format(out, &member) {
            Format::Atom => atom::read(out, member.stream),
            _ if feeds_only => Ok(()),
            format @ (Format::Csv | Format::Tsv) => table::read(out, member.stream, format),
            Format::Corpus => corpus::read(out, member.name.unwrap_or(&file), member.stream, &mut bytes),
            Format::Json => out.unreadable(out.location().failed(EXPECTED)),
        },
    )
}

const EXPECTED: &str = "has no blog in it; expected files named `<id>.<gender>.<age>.<topic>.<sign>.xml`, a table with \
                        the columns `id`, `date` and `text`, or an Atom feed";

/// How a stream is written; the name decides where the beginning of a text could mislead.
fn format(out: &Output<'_>, member: &Member<'_>) -> Format {
    let file = out.location().name();
    let name = member.name.unwrap_or(&file);
    match out.source().format {
        None if is_blog(unpacked(name)) => Format::Corpus,
        None if has_ending(name, &[".atom"]) => Format::Atom,
        _ => member.format(out),
    }
}

/// Whether comments can stand in a file, so that its posts are worth a look-up: in feeds. The corpus and its table have
/// none. What cannot be told from the name or the beginning of a file may.
pub(super) fn may_hold_comments(file: &InputFile) -> bool {
    let name = file.location.name();
    if is_blog(unpacked(&name)) || has_ending(&name, &[".csv", ".tsv"]) {
        return false;
    }
    if file.location.local().is_none() {
        return true;
    }
    match open(&file.location) {
        Ok(Dump::Archive(archive)) => {
            let feeds = holds_feeds(archive.members());
            archive.members().iter().any(|name| {
                is_wanted(name, feeds) && !is_blog(unpacked(name)) && !has_ending(name, &[".csv", ".tsv"])
            })
        }
        Ok(Dump::File(stream)) => {
            let has = |tag: &[u8]| memchr::memmem::find(stream.head(), tag).is_some();
            has(b"<feed") || has(b"<entry")
        }
        Ok(Dump::Tar(_)) => true,
        Ok(Dump::Parquet(_)) | Err(_) => false,
    }
}

/// Whether an archive is of Takeout, or otherwise of feeds, beside which only settings and themes lie.
fn holds_feeds(members: &[String]) -> bool {
    members.iter().any(|name| has_ending(name, &[".atom"]))
}

/// Whether a member of an archive can be a blog.
fn is_wanted(name: &str, feeds: bool) -> bool {
    let in_takeout = name.split('/').rev().skip(1).any(|folder| folder == "Blogger");
    if feeds || in_takeout {
        return has_ending(name, &[".atom"]);
    }
    let own = file_name(name);
    has_ending(own, &[".xml", ".csv", ".tsv", ".atom"]) && !own.starts_with("theme-") && own != "settings.csv"
}

/// Whether a name, without the ending of a packer, ends in one of `endings`.
fn has_ending(name: &str, endings: &[&str]) -> bool {
    let name = unpacked(name).to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}
