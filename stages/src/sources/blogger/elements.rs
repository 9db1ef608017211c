//! The elements of an entry of an Atom feed, found by their tags alone.

use std::borrow::Cow;

use memchr::memmem;

use crate::sources::values::text::decode_entities;

/// An element of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// Name with its prefix.
    pub(super) name: &'a str,
    attributes: &'a str,
    /// What stands between its tags, as written; empty if it has no end tag.
    pub(super) inner: &'a str,
}

/// Elements that are read as a whole, so that nothing inside them is taken for a part of the entry.
const WHOLE: [&str; 17] = [
    "app:draft",
    "author",
    "blogger:created",
    "blogger:inReplyTo",
    "blogger:parent",
    "blogger:status",
    "blogger:trashed",
    "blogger:type",
    "content",
    "id",
    "name",
    "published",
    "source",
    "summary",
    "title",
    "updated",
    "uri",
];

/// The elements of an entry, or of an element of it, in their order.
pub(super) struct Elements<'a> {
    text: &'a str,
    at: usize,
    /// By element in [`WHOLE`], whether no end tag of it follows any more.
    unclosed: [bool; WHOLE.len()],
}

impl<'a> Elements<'a> {
    /// The elements of `text`.
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0, unclosed: [false; WHOLE.len()] }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let start = self.at + memchr::memchr(b'<', &self.text.as_bytes()[self.at..])? + 1;
            let tag = &self.text[start..];
            self.at = start;
            if !tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
                continue;
            }
            let name_end = tag.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '<'))?;
            let name = &tag[..name_end];
            let Some(close) = tag_end(&tag[name_end..]).map(|end| name_end + end) else { continue };
            let attributes = &tag[name_end..close];
            self.at = start + close + 1;
            let inner = if attributes.ends_with('/') { "" } else { self.inner(name) };
            return Some(Element { name, attributes: attributes.trim_end_matches('/'), inner });
        }
    }
}

impl<'a> Elements<'a> {
    /// What stands from here to the end tag of element `name`, and goes behind it.
    fn inner(&mut self, name: &str) -> &'a str {
        let Some(index) = WHOLE.iter().position(|whole| *whole == name) else { return "" };
        if self.unclosed[index] {
            return "";
        }
        let rest = &self.text[self.at..];
        let end_tag = format!("</{name}");
        let end = memmem::find_iter(rest.as_bytes(), end_tag.as_bytes()).find(|at| {
            let behind = rest.as_bytes().get(at + end_tag.len());
            behind.is_none_or(|byte| *byte == b'>' || byte.is_ascii_whitespace())
        });
        let Some(end) = end else {
            self.unclosed[index] = true;
            return "";
        };
        self.at += end + end_tag.len();
        &rest[..end]
    }
}

/// Where a tag ends: at the first `>` that no quotes enclose, or the first one if quotes are missing.
fn tag_end(attributes: &str) -> Option<usize> {
    let mut quote = None;
    let mut first = None;
    for (at, byte) in attributes.bytes().enumerate() {
        match (byte, quote) {
            (b'>', None) => return Some(at),
            (b'>', Some(_)) => first = first.or(Some(at)),
            // Neither the tag of an element nor its attributes hold one.
            (b'<', _) => return first,
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    first
}

impl<'a> Element<'a> {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        self.attributes.match_indices(name).find_map(|(at, _)| {
            if !self.attributes[..at].ends_with(|c: char| c.is_ascii_whitespace()) {
                return None;
            }
            let value = self.attributes[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            value[1..].split(quote).next().map(decode_entities)
        })
    }

    /// What stands between its tags as text: character references decoded once, CDATA sections as they are.
    pub(super) fn text(&self) -> Cow<'a, str> {
        const OPEN: &str = "<![CDATA[";
        if !self.inner.contains(OPEN) {
            return decode_entities(self.inner);
        }
        let mut out = String::with_capacity(self.inner.len());
        let mut rest = self.inner;
        while let Some((before, section)) = rest.split_once(OPEN) {
            let (inside, after) = section.split_once("]]>").unwrap_or((section, ""));
            out.push_str(&decode_entities(before));
            out.push_str(inside);
            rest = after;
        }
        out.push_str(&decode_entities(rest));
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_tags() {
        for (text, expected) in [
            ("", vec![]),
            ("<id>a&amp;b</id><link href='x'/>", vec!["id a&b", "link "]),
            (
                "<author><name>A</name><id>1</id></author><id>2</id>",
                vec!["author <name>A</name><id>1</id>", "id 2"],
            ),
            ("<content type='html'><![CDATA[<b>&amp;]]> &lt;</content>", vec!["content <b>&amp; <"]),
            ("<title>a<id>2</id>", vec!["title ", "id 2"]),
            ("<x y='>'><id\n>1</id >", vec!["x ", "id 1"]),
            ("<x y='><id>1</id>", vec!["x ", "id 1"]),
            ("< 3 <? ?><!-- - --><id>1</idle></id>", vec!["id 1</idle>"]),
            ("<id", vec![]),
        ] {
            let shown: Vec<_> = Elements::of(text).map(|e| format!("{} {}", e.name, e.text())).collect();
            assert_eq!(shown, expected, "{text}");
        }
        // The time that it takes grows with the length alone.
        for hostile in ["<a", "<id>", "<id '", "<id></idle>", "<title><id>"] {
            Elements::of(&format!("{} >", hostile.repeat(200_000))).for_each(drop);
        }
        let category = Elements::of("<category xterm='no' scheme = \"a&amp;b\" term='c'/>").next().unwrap();
        let values = ["term", "scheme", "label"].map(|name| category.attribute(name));
        assert_eq!(values, [Some("c".into()), Some("a&b".into()), None]);
    }
}
