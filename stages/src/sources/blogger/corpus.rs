//! The Blog Authorship Corpus: a zip of one file a blog, or its unpacked folder.
//!
//! The files look like XML and are not: most do not parse. They are scanned for the four literal tags
//! `<date>`, `</date>`, `<post>`, `</post>`; each text is decoded by itself, as UTF-8 if it is that, else as
//! Windows-1252. A member is named `<blog id>.<gender>.<age>.<topic>.<sign>.xml`. The blog id is a handle, so
//! rows are located by the ordinal of their member in the order of names, and by the index of the post in it.

use std::borrow::Cow;

use genome_schemas::EventKind;
use memchr::memmem;
use serde::Serialize;

use crate::sources::bytes::archive::{Archive, file_name, is_blog};
use crate::sources::bytes::container::decoded;
use crate::sources::members::read_whole;
use crate::sources::output::{Output, Read};
use crate::sources::record::Record;
use crate::sources::values::text::decode_entities;
use crate::sources::values::time::blog_date;

/// What a blog's name states of its author.
#[derive(Serialize)]
struct Attributes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    gender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign: Option<&'a str>,
}

/// Reads one corpus.
pub(super) fn read(out: &mut Output<'_>, mut archive: Archive) -> Read {
    let blogs: Vec<String> = archive.members().iter().filter(|name| is_blog(name)).cloned().collect();
    let archive_name = out.source_file().to_owned();
    let mut bytes = Vec::new();
    for (ordinal, member) in blogs.iter().enumerate() {
        out.set_source_file(format!("{archive_name}!{ordinal}"));
        let location = out.location();
        let mut stream = match archive.read(member).and_then(|stream| decoded(location, stream)) {
            Ok(stream) => stream,
            Err(error) => {
                out.unreadable(error)?;
                continue;
            }
        };
        let broken = read_whole(out, &mut stream, &mut bytes)?;
        // What was unpacked before a break holds whole posts; the cut one is part of the break.
        let index = blog(out, member, &bytes, broken.is_some())?;
        if let Some(error) = broken {
            out.broken(index, &error)?;
        }
    }
    Ok(())
}

/// Reads the posts of one blog; gives their number.
fn blog(out: &mut Output<'_>, member: &str, bytes: &[u8], cut: bool) -> Read<u64> {
    let mut facts = file_name(member).trim_end_matches(".xml").split('.');
    let id = facts.next().unwrap_or_default();
    let attributes = Attributes {
        gender: facts.next(),
        age: facts.next().and_then(|age| age.parse().ok()),
        topic: facts.next(),
        sign: facts.next(),
    };
    let attributes = serde_json::to_string(&attributes).unwrap_or_default();
    let mut index = 0;
    let mut posts = Posts { bytes, at: 0 };
    while let Some(found) = posts.next() {
        if cut && found.is_err() {
            break;
        }
        out.found();
        match found {
            Err(rule) => out.malformed(rule, index)?,
            Ok(Post { date, text }) => {
                let text = as_text(text);
                let date = as_text(date.unwrap_or_default());
                let at = blog_date(&date);
                let stated = date.chars().any(char::is_alphanumeric);
                out.conflicts((at.is_none() && stated).then_some("date").into_iter(), index);
                out.record(Record {
                    kind: EventKind::Post,
                    author: Some(id),
                    at,
                    lossy: text.contains('\u{fffd}'),
                    text: unpadded(&decode_entities(&text)).into(),
                    attributes: attributes.clone(),
                    offset: index,
                    ..Record::default()
                })?;
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

struct Post<'a> {
    date: Option<&'a [u8]>,
    text: &'a [u8],
}

/// The posts of a blog in the order of the file.
struct Posts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Posts<'a> {
    /// The next post, or the rule by which there should have been one.
    fn next(&mut self) -> Option<Result<Post<'a>, &'static str>> {
        let rest = &self.bytes[self.at..];
        let date_tag = memmem::find(rest, b"<date>");
        let post_tag = memmem::find(rest, b"<post>");
        let (date, after_date) = match (date_tag, post_tag) {
            (Some(date), post) if post.is_none_or(|post| date < post) => {
                let start = date + b"<date>".len();
                let Some(end) = memmem::find(&rest[start..], b"</date>").map(|end| start + end) else {
                    self.at = self.bytes.len();
                    return Some(Err("unclosed_date"));
                };
                (Some(&rest[start..end]), end + b"</date>".len())
            }
            (_, Some(post)) => (None, post),
            (_, None) => return None,
        };
        let body = &rest[after_date..];
        let Some(open) = memmem::find(body, b"<post>") else {
            self.at = self.bytes.len();
            return Some(Err("no_post"));
        };
        if memmem::find(&body[..open], b"<date>").is_some() {
            self.at += after_date;
            return Some(Err("no_post"));
        }
        let start = open + b"<post>".len();
        let close = memmem::find(&body[start..], b"</post>").map(|close| start + close);
        let again = memmem::find(&body[start..], b"<post>").map(|again| start + again);
        match close {
            Some(close) if again.is_none_or(|again| close < again) => {
                self.at += after_date + close + b"</post>".len();
                Some(Ok(Post { date, text: &body[start..close] }))
            }
            _ => {
                // Go on at the date of the post that begins inside this one.
                let resume = again.map_or(body.len(), |again| {
                    memmem::rfind(&body[start..again], b"<date>").map_or(again, |date| start + date)
                });
                self.at += after_date + resume;
                Some(Err("unclosed_post"))
            }
        }
    }
}

/// A text as UTF-8 if it is that, else as Windows-1252, in which every byte means something.
fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// A text without the blanks around it, and with LF line ends.
fn unpadded(text: &str) -> String {
    text.trim().replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(blog: &[u8]) -> Vec<String> {
        let mut posts = Posts { bytes: blog, at: 0 };
        std::iter::from_fn(|| posts.next())
            .map(|found| match found {
                Err(rule) => rule.to_owned(),
                Ok(Post { date, text }) => {
                    format!("{:?} {}", date.map(as_text), unpadded(&decode_entities(&as_text(text))))
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
                vec!["Some(\"1,May,2004\") one \u{a0}<img & two\nthree"],
            ),
            (b"<date>a</date><post>x</post><post>y</post>", vec!["Some(\"a\") x", "None y"]),
            (b"<date>a</date><date>b</date><post>y</post>", vec!["no_post", "Some(\"b\") y"]),
            (b"<date>a</date>text", vec!["no_post"]),
            (b"<date>a<post>x</post>", vec!["unclosed_date"]),
            (b"<date>a</date><post>x<date>b</date><post>y</post>", vec!["unclosed_post", "Some(\"b\") y"]),
            (b"<date>a</date><post>x<post>y</post>", vec!["unclosed_post", "None y"]),
            (b"<date>a</date><post>x", vec!["unclosed_post"]),
            (b"<date>a</date><post>caf\xe9 \x93q\x94</post>", vec!["Some(\"a\") café “q”"]),
            ("<date>a</date><post>café</post>".as_bytes(), vec!["Some(\"a\") café"]),
        ] {
            assert_eq!(shown(blog), expected, "{}", String::from_utf8_lossy(blog));
        }
    }
}
