//! The Blog Authorship Corpus: a zip of one file a blog, its unpacked folder, or single files of it.
//!
//! The files look like XML and are not: most do not parse. They are scanned for the four literal tags
//! `<date>`, `</date>`, `<post>`, `</post>`; each text is decoded by itself, as UTF-8 if it is that, else as the other
//! texts of the blog and its own bytes suggest. A member is named `<blog id>.<gender>.<age>.<topic>.<sign>.xml`. The
//! blog id is a handle, so rows are located by the ordinal of their member in the order of names, or, of
//! a file by itself, by its name with a pseudonym for the handle, and by the index of the post in it.

use std::borrow::Cow;

use genome_schemas::Platform;
use memchr::memmem;

use super::post::{Attributes, Post, stated_age};
use super::unpacked;
use crate::sources::bytes::archive::{file_name, is_blog};
use crate::sources::bytes::container::Stream;
use crate::sources::members::read_whole;
use crate::sources::output::{Output, Read};
use crate::sources::values::encoding::{decode_among, usual_encoding};

/// Reads the blog in the file or member `name`; `bytes` is room for it.
pub(super) fn read(out: &mut Output<'_>, name: &str, mut stream: Stream<'_>, bytes: &mut Vec<u8>) -> Read {
    let broken = read_whole(out, &mut stream, bytes)?;
    // What was unpacked before a break holds whole posts; the cut one is part of the break.
    let index = blog(out, name, bytes, broken.is_some())?;
    match broken {
        Some(error) => out.broken(index, &error),
        None => Ok(()),
    }
}

/// Reads the posts of one blog; gives their number.
///
/// A file that is not named as the corpus names them is a blog by itself, and its name stands for its author.
fn blog(out: &mut Output<'_>, name: &str, bytes: &[u8], cut: bool) -> Read<u64> {
    let unpacked = unpacked(name);
    let mut facts = file_name(unpacked).split('.');
    let id = facts.next().unwrap_or_default();
    let is_named = is_blog(unpacked);
    let mut fact = || facts.next().filter(|_| is_named);
    let (gender, age, topic, sign) = (fact(), fact(), fact(), fact());
    let (age, given_up) = stated_age(age);
    let attributes = Attributes { gender, age, topic, sign }.json();
    if is_named || memmem::find(bytes, b"<post>").is_some() {
        hide_handle(out, name, id);
    }
    let posts = Posts { bytes, at: 0 };
    let usual = match std::str::from_utf8(bytes) {
        Ok(_) => None,
        Err(_) => usual_encoding(posts.clone().filter_map(Result::ok).map(|post| post.text)),
    };
    let mut posts = posts.peekable();
    let mut index = 0;
    while let Some(found) = posts.next() {
        // What the end of a file that breaks off has cut is part of the break.
        if cut && found.is_err() && posts.peek().is_none() {
            break;
        }
        out.found();
        match found {
            Err(rule) => out.malformed(rule, index)?,
            Ok(RawPost { date, text }) => {
                let date = match date {
                    Date::Missing => Cow::Borrowed(""),
                    Date::Whole(date) => decode_among(date, usual),
                    Date::Broken => {
                        out.conflicts(std::iter::once("date"), index);
                        Cow::Borrowed("")
                    }
                };
                let text = decode_among(text, usual);
                Post {
                    author: Some(id),
                    attributes: &attributes,
                    given_up,
                    date: &date,
                    text: &text,
                    offset: index,
                }
                .add(out)?;
            }
        }
        index += 1;
    }
    if index == 0 && !cut && memmem::find(bytes, b"<Blog>").is_none() {
        out.found();
        out.malformed("not_a_blog", 0)?;
    }
    Ok(index)
}

/// Calls a file that rows would call by its author's id by the author's pseudonym. The rest of its name stays, so that
/// the places of its rows are not those of another file of the same author.
fn hide_handle(out: &mut Output<'_>, name: &str, id: &str) {
    let own = file_name(name);
    let Some((before, number)) = out.source_file().rsplit_once(own) else { return };
    // Behind the name there can be a number that sets it apart from a like one.
    if !number.is_empty() && !number.starts_with('#') {
        return;
    }
    let own = out.facts().names.without_handle(Platform::Blogger, own, id);
    let hidden = format!("{before}{own}{number}");
    out.rename_file(&hidden);
    out.set_source_file(hidden);
}

/// What a blog says of when a post was written.
#[derive(Clone, Copy)]
enum Date<'a> {
    /// Nothing.
    Missing,
    /// One of the two tags of a date, so that what the date is cannot be told.
    Broken,
    /// What stands between its tags.
    Whole(&'a [u8]),
}

#[derive(Clone, Copy)]
struct RawPost<'a> {
    date: Date<'a>,
    text: &'a [u8],
}

/// The tags that posts are found by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Date,
    DateEnd,
    Post,
    PostEnd,
}

/// How each of them is written.
const TAGS: [(Tag, &[u8]); 4] =
    [(Tag::Date, b"<date>"), (Tag::DateEnd, b"</date>"), (Tag::Post, b"<post>"), (Tag::PostEnd, b"</post>")];

/// A tag, and where it begins and ends.
#[derive(Clone, Copy)]
struct TagAt {
    tag: Tag,
    start: usize,
    end: usize,
}

/// The next tag at or after `from`.
fn next_tag(bytes: &[u8], from: usize) -> Option<TagAt> {
    memchr::memchr_iter(b'<', &bytes[from..]).find_map(|at| {
        let start = from + at;
        let (tag, written) = TAGS.iter().find(|(_, written)| bytes[start..].starts_with(written))?;
        Some(TagAt { tag: *tag, start, end: start + written.len() })
    })
}

/// The posts of a blog in the order of the file: each one, or the rule by which there should have been one.
///
/// A tag that is missing costs what it encloses and no other post: a date or a post ends at the latest where the next
/// one begins. Tags are looked at one after the other, so the time that it takes grows with the length alone.
#[derive(Clone)]
struct Posts<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Why there is no post, and where to go on.
type NoPost = (&'static str, usize);

impl<'a> Posts<'a> {
    /// The next one of the `wanted` tags at or after `from`.
    fn next_of(&self, wanted: &[Tag], from: usize) -> Option<TagAt> {
        let first = next_tag(self.bytes, from);
        std::iter::successors(first, |found| next_tag(self.bytes, found.end))
            .find(|found| wanted.contains(&found.tag))
    }

    /// The date of the post whose first tag is `first`, and the tag that its text begins behind.
    fn opening(&self, first: TagAt) -> Result<(Date<'a>, TagAt), NoPost> {
        if first.tag == Tag::Post {
            return Ok((Date::Missing, first));
        }
        let nothing = |rule| (rule, self.bytes.len());
        let end = if first.tag == Tag::Date {
            let end = self.next_of(&[Tag::DateEnd, Tag::Date, Tag::Post], first.end);
            end.ok_or(nothing("unclosed_date"))?
        } else {
            first
        };
        let is_closed = end.tag == Tag::DateEnd;
        let next = if is_closed {
            self.next_of(&[Tag::Date, Tag::Post], end.end).ok_or(nothing("no_post"))?
        } else {
            end
        };
        if next.tag == Tag::Date {
            return Err((if is_closed { "no_post" } else { "unclosed_date" }, next.start));
        }
        let is_whole = is_closed && first.tag == Tag::Date;
        Ok((if is_whole { Date::Whole(&self.bytes[first.end..end.start]) } else { Date::Broken }, next))
    }

    /// The text that begins at `start`, and where it ends.
    fn text(&self, start: usize) -> Result<(&'a [u8], usize), NoPost> {
        let mut date = None;
        let mut from = start;
        while let Some(found) = next_tag(self.bytes, from) {
            match found.tag {
                Tag::PostEnd => return Ok((&self.bytes[start..found.start], found.end)),
                // At the date of the post that begins inside this one.
                Tag::Post => return Err(("unclosed_post", date.unwrap_or(found.start))),
                Tag::Date => date = Some(found.start),
                Tag::DateEnd => {}
            }
            from = found.end;
        }
        Err(("unclosed_post", self.bytes.len()))
    }

    /// The post whose first tag is `first`, and where it ends.
    fn post(&self, first: TagAt) -> Result<(RawPost<'a>, usize), NoPost> {
        let (date, open) = self.opening(first)?;
        let (text, end) = self.text(open.end)?;
        Ok((RawPost { date, text }, end))
    }
}

impl<'a> Iterator for Posts<'a> {
    type Item = Result<RawPost<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next_of(&[Tag::Date, Tag::DateEnd, Tag::Post], self.at)?;
        let (found, at) = match self.post(first) {
            Ok((post, end)) => (Ok(post), end),
            Err((rule, resume)) => (Err(rule), resume),
        };
        self.at = at;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::post::unpadded;
    use super::*;
    use crate::sources::values::encoding::decode;
    use crate::sources::values::text::decode_entities;

    fn shown(blog: &[u8]) -> Vec<String> {
        Posts { bytes: blog, at: 0 }
            .map(|found| match found {
                Err(rule) => rule.to_owned(),
                Ok(RawPost { date, text }) => {
                    let date = match date {
                        Date::Missing => Cow::Borrowed("none"),
                        Date::Broken => Cow::Borrowed("broken"),
                        Date::Whole(date) => decode(date),
                    };
                    format!("{date}: {}", unpadded(&decode_entities(&decode(text))))
                }
            })
            .collect()
    }

    #[test]
    fn posts_are_found_by_their_tags_alone() {
        for (blog, expected) in [
            (&b"<Blog>\r\n</Blog>"[..], vec![]),
            (
                b"<Blog><date>1,May,2004</date><post>\r\n\t one &nbsp;<img & two\r\nthree </post></Blog>",
                vec!["1,May,2004: one \u{a0}<img & two\nthree"],
            ),
            (b"<date>a</date><post>x</post><post>y</post>", vec!["a: x", "none: y"]),
            (b"<date>a</date><date>b</date><post>y</post>", vec!["no_post", "b: y"]),
            (b"<date>a</date>text", vec!["no_post"]),
            (b"<date>a</date><post>x<date>b</date><post>y</post>", vec!["unclosed_post", "b: y"]),
            (b"<date>a</date><post>x<post>y</post>", vec!["unclosed_post", "none: y"]),
            (b"<date>a</date><post>x", vec!["unclosed_post"]),
            (b"<date>a</date><post>caf\xe9 \x93q\x94</post>", vec!["a: café “q”"]),
            ("<date>a</date><post>café</post>".as_bytes(), vec!["a: café"]),
            (b"x</post> <date>a</date ></date><post>x</post>", vec!["a</date >: x"]),
        ] {
            assert_eq!(shown(blog), expected, "{}", String::from_utf8_lossy(blog));
        }
    }

    #[test]
    fn a_broken_tag_of_a_date_costs_the_date_alone() {
        for (blog, expected) in [
            (
                "<date>a</dXte><post>x</post><date>b</date><post>y</post><date>c</date><post>z</post>",
                vec!["broken: x", "b: y", "c: z"],
            ),
            ("<dXte>a</date><post>x</post><date>b</date><post>y</post>", vec!["broken: x", "b: y"]),
            ("<date>a<post>x</post>", vec!["broken: x"]),
            ("<date><post>x</post><post>y</post>", vec!["broken: x", "none: y"]),
            ("<date>a</post><date>b</date><post>y</post>", vec!["unclosed_date", "b: y"]),
            ("<date>a<date>b", vec!["unclosed_date", "unclosed_date"]),
            ("a</date><date>b</date><post>y</post>", vec!["no_post", "b: y"]),
            ("a</date>", vec!["no_post"]),
            ("<date>a</dXte><post>x<date>b</date><post>y</post>", vec!["unclosed_post", "b: y"]),
        ] {
            assert_eq!(shown(blog.as_bytes()), expected, "{blog}");
        }
    }

    #[test]
    fn long_blogs_of_any_tags_are_read_to_their_end() {
        // The time that it takes grows with the length alone.
        const TIMES: usize = 100_000;
        for (tags, found) in [
            ("<post>x", TIMES),
            ("<post>x</post>", TIMES),
            ("<date>", TIMES),
            ("<date></date>", TIMES),
            ("<date><post>", TIMES),
            ("</date></post>", 1),
            ("</post>", 0),
            ("<", 0),
        ] {
            let blog = tags.repeat(TIMES);
            assert_eq!(Posts { bytes: blog.as_bytes(), at: 0 }.count(), found, "{tags}");
        }
    }
}
