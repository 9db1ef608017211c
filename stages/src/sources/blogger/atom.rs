//! Exports of a blog as an Atom feed: Blogger's own (`blog-MM-DD-YYYY.xml`), and Takeout's (`feed.atom`).
//!
//! Blogger's own says what an entry is by a category whose scheme ends in `#kind`, Takeout by `<blogger:type>`. Pages
//! are posts. Settings and templates are nobody's writing, drafts and spam nobody published: they are notices.
//!
//! Whoever owns a blog exports the comments of others with it, so an author is who an entry names, by the number of the
//! profile, else by the name. Anonymous comments have no author.

use std::borrow::Cow;

use genome_schemas::EventKind;
use serde::Serialize;

use super::elements::{Element, Elements};
use super::entries::{Entry, EntryReader};
use crate::sources::author_class::AuthorClass;
use crate::sources::bytes::container::Stream;
use crate::sources::output::{Output, Read};
use crate::sources::record::Record;
use crate::sources::values::encoding::decode;
use crate::sources::values::html::html_text;
use crate::sources::values::time::feed_time;

/// Reads one feed. Nothing refers to comments, so as messages they are nothing.
pub(super) fn read(out: &mut Output<'_>, stream: Stream<'_>) -> Read {
    each_entry(out, stream, entry)
}

/// Gives every entry of a feed to `read`, with its offset in bytes.
///
/// One that is not closed before the next one begins is malformed by rule `unclosed_entry`, and reading goes on at the
/// next one. A feed that breaks off ends by the policy of the options.
fn each_entry(
    out: &mut Output<'_>,
    stream: Stream<'_>,
    mut read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let mut entries = EntryReader::new(stream, out.options().max_line_bytes);
    let ends = |reason| std::io::Error::new(std::io::ErrorKind::UnexpectedEof, reason);
    let broken = loop {
        let (rule, offset) = match entries.next() {
            Ok(Some(Entry::Whole { bytes, offset })) => {
                out.found();
                read(out, bytes, offset)?;
                continue;
            }
            Ok(Some(Entry::Unclosed { offset })) => ("unclosed_entry", offset),
            Ok(Some(Entry::Unopened { offset })) => ("unopened_entry", offset),
            Ok(Some(Entry::TooLong { offset })) => ("line_too_long", offset),
            Ok(Some(Entry::Cut { offset })) => {
                break Some((Some(offset), ends("the feed ends inside an entry")));
            }
            Ok(None) => break None,
            Err(error) => break Some((None, error)),
        };
        out.found();
        out.malformed(rule, offset)?;
    };
    let end = entries.offset();
    out.read_bytes(end);
    match broken {
        Some((offset, error)) => out.broken(offset.unwrap_or(end), &error),
        None if entries.is_open() => out.broken(end, &ends("the feed is not closed")),
        None => Ok(()),
    }
}

/// What an entry states, as it is written there.
#[derive(Default)]
struct Fields<'a> {
    id: Option<Element<'a>>,
    published: Option<Element<'a>>,
    created: Option<Element<'a>>,
    title: Option<Element<'a>>,
    content: Option<Element<'a>>,
    summary: Option<Element<'a>>,
    author: Option<Element<'a>>,
    status: Option<Element<'a>>,
    parent: Option<Element<'a>>,
    in_reply_to: Option<Element<'a>>,
    r#type: Option<Element<'a>>,
    draft: Option<Element<'a>>,
    trashed: Option<Element<'a>>,
    /// The post that a comment answers, in Blogger's own exports.
    reference: Option<Cow<'a, str>>,
    kind: Option<String>,
    labels: Vec<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    fn of(entry: &'a str) -> Self {
        let mut fields = Self::default();
        for element in Elements::of(entry) {
            let field = match element.name {
                "category" => {
                    let term = element.attribute("term").unwrap_or_default();
                    if element.attribute("scheme").is_some_and(|scheme| scheme.ends_with("#kind")) {
                        fields.kind = term.rsplit('#').next().map(str::to_ascii_lowercase);
                    } else if !term.is_empty() {
                        fields.labels.push(term);
                    }
                    continue;
                }
                "thr:in-reply-to" => {
                    fields.reference = fields.reference.or_else(|| element.attribute("ref"));
                    continue;
                }
                "id" => &mut fields.id,
                "published" => &mut fields.published,
                "blogger:created" => &mut fields.created,
                "title" => &mut fields.title,
                "content" => &mut fields.content,
                "summary" => &mut fields.summary,
                "author" => &mut fields.author,
                "blogger:status" => &mut fields.status,
                "blogger:parent" => &mut fields.parent,
                "blogger:inReplyTo" => &mut fields.in_reply_to,
                "blogger:type" => &mut fields.r#type,
                "blogger:trashed" => &mut fields.trashed,
                "app:draft" => &mut fields.draft,
                _ => continue,
            };
            // Of several authors, the first one counts.
            field.get_or_insert(element);
        }
        fields
    }

    /// What the entry is: `post`, `page`, `comment`, or something else that Blogger keeps in feeds. Feeds that do not say
    /// it have posts, and comments that refer to one.
    fn kind(&self) -> Option<String> {
        self.kind.clone().or_else(|| {
            let said = text_of(self.r#type).to_ascii_lowercase();
            if !said.is_empty() {
                return Some(said);
            }
            let answers = self.reference.is_some() || self.parent.is_some();
            self.content.or(self.summary)?;
            Some(if answers { "comment" } else { "post" }.into())
        })
    }

    /// Why nobody but its author could read the entry, if so.
    fn withheld(&self, is_comment: bool) -> Option<&'static str> {
        let status = text_of(self.status).to_ascii_uppercase();
        if text_of(self.draft).eq_ignore_ascii_case("yes") || matches!(&*status, "DRAFT" | "SCHEDULED") {
            Some("draft")
        } else if status.contains("SPAM") {
            Some(if is_comment { "spam_comment" } else { "spam" })
        } else if status.contains("TRASHED") || status == "EMPTIED" || !text_of(self.trashed).is_empty() {
            Some("trashed")
        } else if status.is_empty() || status == "LIVE" {
            None
        } else {
            Some("not_published")
        }
    }
}

/// What an export states of a post beside its text.
#[derive(Serialize)]
struct Attributes<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    labels: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    page: bool,
}

fn entry(out: &mut Output<'_>, bytes: &[u8], offset: u64) -> Read {
    let decoded = decode(bytes);
    // Behind the name of the entry's own tag.
    let fields = Fields::of(decoded.split_once('>').map_or("", |(_, inside)| inside));
    let id = fields.id.map(|id| id.text());
    let native_id = id.as_deref().and_then(local_id);
    let kind = fields.kind();
    let is_comment = match kind.as_deref() {
        Some("post" | "page") => false,
        Some("comment") => true,
        Some("settings" | "template") => return out.notice("blog_settings", offset, None),
        _ => return out.malformed("not_a_record", offset),
    };
    if let Some(rule) = fields.withheld(is_comment) {
        return out.notice(rule, offset, native_id);
    }
    let published = text_of(fields.published.or(fields.created));
    let at = feed_time(&published);
    out.conflicts((at.is_none() && !published.is_empty()).then_some("published").into_iter(), offset);
    let author = fields.author.and_then(handle);
    let content = fields.content.or(fields.summary);
    let text = content.map(plain_text).unwrap_or_default();
    let title = fields.title.map(plain_text).filter(|title| !title.is_empty());
    let lossy = [&text, title.as_deref().unwrap_or_default()].iter().any(|text| text.contains('\u{fffd}'));
    let base = Record {
        author: author.as_deref(),
        author_class: if author.is_some() { AuthorClass::Person } else { AuthorClass::Deleted },
        native_id,
        at,
        text: text.into(),
        offset,
        lossy,
        ..Record::default()
    };
    if is_comment {
        let parent = fields.parent.map(|parent| parent.text()).filter(|parent| !parent.is_empty());
        let parent = parent.or(fields.reference);
        let parent = parent.as_deref().and_then(local_id);
        return out.record(Record {
            kind: EventKind::Comment,
            parent_id: parent,
            thread_id: parent.map(Cow::Borrowed),
            top_level: text_of(fields.in_reply_to).is_empty(),
            // The title of a comment is the beginning of its text.
            ..base
        });
    }
    let page = kind.as_deref() == Some("page");
    let attributes = Attributes { labels: &fields.labels, page };
    out.record(Record {
        kind: EventKind::Post,
        own_id: native_id.map(Cow::Borrowed),
        thread_id: native_id.map(Cow::Borrowed),
        title: title.map(Cow::Owned),
        attributes: if page || !fields.labels.is_empty() {
            serde_json::to_string(&attributes).unwrap_or_default()
        } else {
            String::new()
        },
        ..base
    })
}

/// The text of an element that may be missing, without blanks around it.
fn text_of(element: Option<Element<'_>>) -> String {
    element.map(|element| element.text().trim().to_owned()).unwrap_or_default()
}

/// The text of a title or content, by its type: plain, escaped HTML, or HTML as part of the feed.
fn plain_text(element: Element<'_>) -> String {
    match element.attribute("type").as_deref() {
        Some("xhtml") => html_text(element.inner),
        Some("html" | "text/html") => html_text(&element.text()),
        _ => element.text().trim().replace("\r\n", "\n").replace('\r', "\n"),
    }
}

/// The number of a post, page or comment in the address that stands for it everywhere, `tag:blogger.com,1999:blog-1.post-2`.
fn local_id(uri: &str) -> Option<&str> {
    let uri = uri.trim();
    let behind = [".post-", ".page-", ".comment-"].iter().find_map(|kind| uri.rsplit_once(kind));
    behind.map(|(_, id)| id).filter(|id| !id.is_empty())
}

/// Names that stand for nobody, in the languages whose speakers blogged most.
const NOBODY: [&str; 12] = [
    "anonymous",
    "anónimo",
    "anônimo",
    "anonyme",
    "anonym",
    "anonimo",
    "anoniem",
    "anonim",
    "аноним",
    "匿名",
    "익명",
    "unknown",
];

/// The raw handle of an author: the number of the profile, else the name.
fn handle(author: Element<'_>) -> Option<String> {
    let (mut name, mut uri, mut kind) = (None, None, None);
    for element in Elements::of(author.inner) {
        match element.name {
            "name" => name = name.or(Some(element)),
            "uri" => uri = uri.or(Some(element)),
            "blogger:type" => kind = kind.or(Some(element)),
            _ => {}
        }
    }
    let uri = text_of(uri);
    let number = ["blogger.com/profile/", "plus.google.com/", "/profile/"].iter().find_map(|profile| {
        let (_, behind) = uri.split_once(profile)?;
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 0).then(|| behind[..digits].to_owned())
    });
    let name = text_of(name);
    let names_nobody = text_of(kind).eq_ignore_ascii_case("anonymous")
        || NOBODY.contains(&name.to_lowercase().as_str())
        // Whoever calls himself by a number is not who has that number.
        || name.bytes().all(|byte| byte.is_ascii_digit());
    number.or_else(|| (!names_nobody).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle_of(author: &str) -> Option<String> {
        handle(Elements::of(author).next().unwrap())
    }

    #[test]
    fn authors_are_numbers_before_names() {
        for (author, expected) in [
            ("<author><name>Ada</name><uri>http://www.blogger.com/profile/0123</uri></author>", Some("0123")),
            ("<author><name>Ada</name><uri>https://plus.google.com/45?x</uri></author>", Some("45")),
            (
                "<author><name>Ada &amp; Co</name><uri>http://ada.example/2004/</uri></author>",
                Some("Ada & Co"),
            ),
            ("<author><name>Anonymous</name><email>noreply@blogger.com</email></author>", None),
            ("<author><name>Grace</name><blogger:type>ANONYMOUS</blogger:type></author>", None),
            ("<author><name>0123</name></author>", None),
            ("<author><name/></author>", None),
            ("<author/>", None),
        ] {
            assert_eq!(handle_of(author).as_deref(), expected, "{author}");
        }
    }

    #[test]
    fn ids_are_what_stands_behind_the_kind() {
        for (uri, id) in [
            ("tag:blogger.com,1999:blog-1.post-2", Some("2")),
            (" tag:blogger.com,1999:blog-1.page-3\n", Some("3")),
            ("tag:blogger.com,1999:blog-1.settings.BLOG_NAME", None),
            ("http://ada.example/1", None),
            ("", None),
        ] {
            assert_eq!(local_id(uri), id, "{uri}");
        }
    }
}
