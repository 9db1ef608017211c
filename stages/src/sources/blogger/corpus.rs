//! The Blog Authorship Corpus: a zip of one file a blog, its unpacked folder, or single files of it.
//!
//! The files look like XML and are not: most do not parse. They are scanned for the four literal tags
//! `<date>`, `</date>`, `<post>`, `</post>`; each text is decoded by itself, as UTF-8 if it is that, else as the other
//! texts of the blog and its own bytes suggest. A member is named `<blog id>.<gender>.<age>.<topic>.<sign>.xml`. The
//! blog id is a handle, so rows are located by the ordinal of their member in the order of names, or by a pseudonym for
//! a file by itself, and by the index of the post in it.

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
    let all = Posts { bytes, at: 0 };
    let usual = match std::str::from_utf8(bytes) {
        Ok(_) => None,
        Err(_) => usual_encoding(all.clone().filter_map(Result::ok).map(|found| found.text)),
    };
    let mut index = 0;
    for found in all {
        if cut && found.is_err() {
            break;
        }
        out.found();
        match found {
            Err(rule) => out.malformed(rule, index)?,
            Ok(RawPost { date, text }) => {
                let date = decode_among(date.unwrap_or_default(), usual);
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

/// Calls a file that rows would call by its author's id by the author's pseudonym.
fn hide_handle(out: &mut Output<'_>, name: &str, id: &str) {
    let place = out.source_file().to_owned();
    let Some(folder) = place.strip_suffix(file_name(name)) else { return };
    let pseudonym = out.facts().names.author_id(Platform::Blogger, id);
    let hidden = format!("{folder}user_{}.xml", pseudonym.short());
    if !place.contains('!') {
        out.rename_file(&hidden);
    }
    out.set_source_file(hidden);
}

#[derive(Clone, Copy)]
struct RawPost<'a> {
    date: Option<&'a [u8]>,
    text: &'a [u8],
}

/// The posts of a blog in the order of the file: each one, or the rule by which there should have been one.
#[derive(Clone)]
struct Posts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Posts<'a> {
    type Item = Result<RawPost<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
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
                Some(Ok(RawPost { date, text: &body[start..close] }))
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
                    format!("{:?} {}", date.map(decode), unpadded(&decode_entities(&decode(text))))
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
