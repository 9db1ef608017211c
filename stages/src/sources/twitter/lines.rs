//! Tweets as the interfaces of Twitter sent them: streams, search results and pages, of v1.1 and v2.
//!
//! A line is a tweet, a notice of the platform, or a page of tweets. A page gives one record for each of its tweets; a
//! page without any is one notice. Where the first line of a file is a brace, its objects are laid out over many lines,
//! and each of them is read as a line is.

use super::Named;
use super::status::{Beside, Tweet, User, embedded_messages, tweet};
use crate::sources::batches::Produces;
use crate::sources::bytes::elements::{Element, ElementReader, rest_of_object};
use crate::sources::bytes::peek::beginning;
use crate::sources::json_objects::objects;
use crate::sources::members::{Member, read_whole};
use crate::sources::output::{Output, Read};
use crate::sources::record::Record;
use crate::sources::values::fields::{List, Nested, Seen, Text};
use crate::sources::values::json::{Decoded, Decoder, json_record};
use crate::sources::values::outline::{first_object, value_of};

json_record! {
    /// What a line holds that is no tweet.
    struct Envelope<'a> {
        delete: Nested<Delete<'a>> = "delete",
        status_withheld: Nested<Subject<'a>> = "status_withheld",
        user_withheld: Seen = "user_withheld",
        user_delete: Seen = "user_delete",
        limit: Seen = "limit",
        scrub_geo: Seen = "scrub_geo",
        disconnect: Seen = "disconnect",
        warning: Seen = "warning",
        friends: Seen = "friends",
        action: Text<'a> = "action",
        id: Text<'a> = "id",
        data: Seen = "data",
        statuses: Seen = "statuses",
        errors: Seen = "errors",
        meta: Seen = "meta",
        includes: Nested<Includes<'a>> = "includes",
    }
}

json_record! {
    struct Delete<'a> {
        status: Nested<Subject<'a>> = "status",
    }
}

json_record! {
    /// The tweet that a notice is about.
    struct Subject<'a> {
        id: Text<'a> = "id_str",
        bare_id: Text<'a> = "id",
    }
}

json_record! {
    /// The accounts and tweets that the tweets of a page refer to.
    struct Includes<'a> {
        users: List<User<'a>> = "users",
        tweets: List<Tweet<'a>> = "tweets",
    }
}

/// A notice of the platform: what it is, and which tweet it is about.
struct Notice<'a> {
    rule: &'static str,
    about: Option<&'a str>,
    /// Whether the tweet may not be shown any more.
    takes_away: bool,
}

impl Subject<'_> {
    fn id(&self) -> Option<&str> {
        self.id.filled().or(self.bare_id.filled())
    }
}

impl Envelope<'_> {
    fn notice(&self) -> Option<Notice<'_>> {
        if let Some(delete) = self.delete.get() {
            let about = delete.status.get().and_then(Subject::id);
            return Some(Notice { rule: "delete_notice", about, takes_away: true });
        }
        if let Some(withheld) = self.status_withheld.get() {
            return Some(Notice { rule: "status_withheld", about: withheld.id(), takes_away: true });
        }
        if self.action.filled().is_some() && self.id.filled().is_some() {
            let takes_away = self.action.as_str() == Some("delete");
            return Some(Notice { rule: "compliance_notice", about: self.id.filled(), takes_away });
        }
        let rule = [
            (&self.user_withheld, "user_withheld"),
            (&self.user_delete, "user_delete"),
            (&self.limit, "limit_notice"),
            (&self.scrub_geo, "scrub_geo"),
            (&self.disconnect, "disconnect_notice"),
            (&self.warning, "warning_notice"),
            (&self.friends, "friends_list"),
        ];
        let (_, rule) = rule.into_iter().find(|(field, _)| field.is_there())?;
        Some(Notice { rule, about: None, takes_away: false })
    }

    fn is_page(&self) -> bool {
        [&self.data, &self.statuses, &self.errors, &self.meta].into_iter().any(Seen::is_there)
    }
}

/// Fields of a page that hold its tweets.
const PAGE_FIELDS: [&str; 2] = ["data", "statuses"];

/// Fields of a page that can stand behind its tweets.
const PAGE_FOLLOWERS: [&str; 8] =
    ["includes", "meta", "errors", "__twarc", "matching_rules", "search_metadata", "data", "statuses"];

/// Decoders of what a line can be.
#[derive(Default)]
struct Decoders {
    tweets: Decoder,
    envelopes: Decoder,
}

/// Reads one file of JSON.
pub(super) fn read(out: &mut Output<'_>, member: Member<'_>, named: &mut Named) -> Read {
    let mut decoders = Decoders::default();
    // What stands before the first tweet is to be named without its author too.
    if let Some(author) = first_author(member.stream.head()) {
        named.hide(out, &author);
    }
    each_object(out, member, &mut |out, bytes, offset| line(out, bytes, offset, &mut decoders, named))
}

/// Who wrote the first tweet that stands whole in the beginning of a file.
fn first_author(head: &[u8]) -> Option<String> {
    let mut decoder = Decoder::default();
    memchr::memchr_iter(b'{', head).find_map(|brace| {
        let object = first_object(&head[brace..])?;
        let Decoded { record, .. } = decoder.decode::<Tweet<'_>>(object).ok()?;
        let raw = record.unwrapped();
        let beside = Beside::default();
        let author = beside.handle_of(&raw).filter(|_| raw.is_tweet());
        author.map(str::to_owned)
    })
}

/// Gives every object of a file to `read`, however it is laid out.
fn each_object(
    out: &mut Output<'_>,
    mut member: Member<'_>,
    read: &mut impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    if !is_laid_out(member.stream.head()) {
        return objects(out, member, read);
    }
    let mut bytes = Vec::new();
    let broken = read_whole(out, &mut member.stream, &mut bytes)?;
    let mut start = 0;
    // What is damaged in one object costs none of the next.
    let objects = memchr::memchr_iter(b'{', &bytes).filter(|brace| begins_object(&bytes, *brace));
    for end in objects.chain([bytes.len()]) {
        documents(out, &bytes[start..end], start as u64, read)?;
        start = end;
    }
    match broken {
        Some(error) => out.broken(bytes.len() as u64, &error),
        None => Ok(()),
    }
}

/// Whether the objects of a file are laid out over many lines: its first line is an opening brace and nothing else.
fn is_laid_out(head: &[u8]) -> bool {
    let first = beginning(head).split(|b| *b == b'\n').next().unwrap_or_default();
    first.trim_ascii() == b"{" && memchr::memchr(b'\n', head).is_some()
}

/// Whether the brace at `brace` opens an object of its own behind another. Inside of JSON, no object follows anything but a
/// comma, a bracket or a colon, and a string holds no line end, so that a brace that begins a line is in none; elsewhere in a
/// line it has to open a page.
fn begins_object(bytes: &[u8], brace: usize) -> bool {
    let (before, object) = bytes.split_at(brace);
    if matches!(before.trim_ascii_end().last(), None | Some(b',' | b'[' | b':')) {
        return false;
    }
    if before.ends_with(b"\n") {
        return true;
    }
    let fields = object.strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
    PAGE_FOLLOWERS.iter().any(|name| {
        let rest = fields.strip_prefix(b"\"").and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.starts_with(b"\""))
    })
}

/// Gives the objects that `bytes` are, one behind the other, to `read`. What is no object any more is one damaged page,
/// or else lines. `offset` is where `bytes` begin in the file.
fn documents(
    out: &mut Output<'_>,
    bytes: &[u8],
    offset: u64,
    read: &mut impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let mut decoder = Decoder::default();
    let mut unread = beginning(bytes);
    while !unread.is_empty() {
        let at = offset + (bytes.len() - unread.len()) as u64;
        let whole = first_document(unread, &mut decoder);
        if whole.is_none() && !is_page(unread) {
            return lines_of(out, unread, at, read);
        }
        let (object, behind) = whole.unwrap_or((unread, &[]));
        out.found();
        read(out, object, at)?;
        unread = behind;
    }
    Ok(())
}

/// The object that `bytes` begin with and what follows it, if it is whole and nothing but objects can follow.
fn first_document<'b>(bytes: &'b [u8], decoder: &mut Decoder) -> Option<(&'b [u8], &'b [u8])> {
    let object = first_object(bytes)?;
    let behind = bytes[object.len()..].trim_ascii_start();
    let behind = beginning(behind.strip_prefix(b",").unwrap_or(behind).trim_ascii_start());
    let is_followed = behind.is_empty() || behind.starts_with(b"{");
    (is_followed && decoder.decode::<Envelope<'_>>(object).is_ok()).then_some((object, behind))
}

fn is_page(bytes: &[u8]) -> bool {
    PAGE_FIELDS.iter().any(|field| field_of(bytes, field).is_some())
}

/// Gives bytes that turned out to be no objects to `read`, line by line.
fn lines_of(
    out: &mut Output<'_>,
    bytes: &[u8],
    offset: u64,
    read: &mut impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let mut at = offset;
    for bytes in bytes.split_inclusive(|b| *b == b'\n') {
        if !bytes.trim_ascii().is_empty() {
            out.found();
            read(out, bytes.trim_ascii_end(), at)?;
        }
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Reads one line, one element of a list, or one object that is laid out, which was counted as found.
fn line(out: &mut Output<'_>, bytes: &[u8], offset: u64, decoders: &mut Decoders, named: &mut Named) -> Read {
    let rule = match decoders.tweets.decode::<Tweet<'_>>(bytes) {
        Ok(Decoded { record, lossy }) => {
            let raw = record.unwrapped();
            if raw.is_tweet() {
                let beside = Beside::default();
                named.written_by(out, beside.handle_of(&raw));
                return one(out, &raw, &beside, offset, lossy);
            }
            "not_a_record"
        }
        Err(rule) => rule,
    };
    match decoders.envelopes.decode::<Envelope<'_>>(bytes) {
        Ok(Decoded { record: envelope, .. }) => {
            if let Some(notice) = envelope.notice() {
                return out.notice(notice.rule, offset, notice.about);
            }
            if !envelope.is_page() {
                return out.malformed(rule, offset);
            }
            page(out, bytes, offset, envelope.includes.get(), None, &mut decoders.tweets, named)
        }
        // A damaged page still has tweets that are whole.
        Err(rule) => {
            let found = field_of(bytes, "includes").and_then(|at| first_object(&bytes[at..]));
            let mut decoder = Decoder::default();
            let decoded = found.and_then(|includes| decoder.decode::<Includes<'_>>(includes).ok());
            let includes = decoded.map(|Decoded { record, .. }| record);
            page(out, bytes, offset, includes.as_ref(), Some(rule), &mut decoders.tweets, named)
        }
    }
}

/// Reads one tweet; where context is wanted, those that it refers to as well.
fn one(out: &mut Output<'_>, raw: &Tweet<'_>, beside: &Beside<'_>, offset: u64, lossy: bool) -> Read {
    if out.produces() == Produces::Messages {
        embedded_messages(out, raw)?;
    }
    tweet(out, raw, beside, offset, lossy)
}

/// Where the list or object begins that is the value of `field`.
fn field_of(bytes: &[u8], field: &str) -> Option<usize> {
    let opens = |at: &usize| matches!(bytes.get(*at), Some(b'[' | b'{'));
    value_of(bytes, field).filter(opens).or_else(|| {
        // Behind a quote that is missing, keys cannot be told from values.
        let key = format!("\"{field}\"");
        let behind = memchr::memmem::find(bytes, key.as_bytes())? + key.len();
        let value = bytes[behind..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        Some(bytes.len() - value.len()).filter(opens)
    })
}

/// Reads the tweets of a page, which was counted as one record. `damaged` is what is wrong with the page, if anything.
fn page(
    out: &mut Output<'_>,
    bytes: &[u8],
    offset: u64,
    includes: Option<&Includes<'_>>,
    damaged: Option<&'static str>,
    decoder: &mut Decoder,
    named: &mut Named,
) -> Read {
    let beside = includes.map_or_else(Beside::default, |includes| {
        Beside::included(includes.users.as_slice(), includes.tweets.as_slice())
    });
    let start = PAGE_FIELDS.iter().find_map(|field| field_of(bytes, field));
    let mut rows = Rows { found: 0, named };
    let mut broken = Vec::new();
    let mut behind = bytes.len();
    match start {
        Some(at) if bytes[at] == b'{' => {
            if let Some(object) = first_object(&bytes[at..]) {
                element(out, object, &beside, offset + at as u64, &mut rows, &mut broken, decoder)?;
                behind = at + object.len();
            }
        }
        None if damaged.is_none() => {}
        _ => {
            // The rest of a page whose beginning is elsewhere begins in the midst of its list.
            let begin = start.map_or(0, |at| at + 1);
            let mut elements = ElementReader::within(&bytes[begin..], &PAGE_FOLLOWERS);
            // Reading from memory cannot fail.
            while let Ok(Some(found)) = elements.next() {
                let Element::Whole { bytes: object, offset: at } = found else {
                    broken.push(("invalid_json", offset + begin as u64 + found.offset()));
                    continue;
                };
                let at = begin + usize::try_from(at).unwrap_or_default();
                let (length, so_far) = (object.len(), broken.len());
                if !follows_in_list(&bytes[..at]) {
                    elements.go_back(length);
                    continue;
                }
                element(out, object, &beside, offset + at as u64, &mut rows, &mut broken, decoder)?;
                if broken.len() > so_far {
                    elements.go_back(length);
                }
            }
            behind = begin + usize::try_from(elements.offset()).unwrap_or_default();
        }
    }
    if damaged.is_some()
        && let Some(at) = behind_page(bytes, behind)
    {
        broken.push(("invalid_json", offset + at as u64));
    }
    if out.produces() == Produces::Messages {
        for included in includes.into_iter().flat_map(|includes| includes.tweets.as_slice()) {
            tweet(out, included, &beside, offset, false)?;
        }
    }
    if rows.found == 0 {
        return match damaged {
            Some(rule) => out.malformed(rule, offset),
            None => out.notice("page_without_tweets", offset, None),
        };
    }
    // In a damaged page, what is whole and no tweet is a part of one.
    let broken = broken.into_iter().filter(|(rule, _)| damaged.is_none() || *rule != "not_a_record");
    for (rule, offset) in broken {
        rows.next(out);
        out.malformed(rule, offset)?;
    }
    Ok(())
}

/// Rows of a page so far. The first one was counted with the page.
struct Rows<'n> {
    found: usize,
    named: &'n mut Named,
}

impl Rows<'_> {
    fn next(&mut self, out: &mut Output<'_>) {
        if self.found > 0 {
            out.found();
        }
        self.found += 1;
    }
}

/// Reads one element of a page, or notes what is wrong with it.
fn element(
    out: &mut Output<'_>,
    object: &[u8],
    beside: &Beside<'_>,
    offset: u64,
    rows: &mut Rows<'_>,
    broken: &mut Vec<(&'static str, u64)>,
    decoder: &mut Decoder,
) -> Read {
    match decoder.decode::<Tweet<'_>>(object) {
        Ok(Decoded { record, lossy }) => {
            let raw = record.unwrapped();
            if raw.is_tweet() {
                rows.named.written_by(out, beside.handle_of(&raw));
                rows.next(out);
                return one(out, &raw, beside, offset, lossy);
            }
            broken.push(("not_a_record", offset));
        }
        Err(rule) => broken.push((rule, offset)),
    }
    Ok(())
}

/// Where something stands behind a page whose fields go on at `from`: if it is not closed, where another list begins.
fn behind_page(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let Some(end) = rest_of_object(rest) else {
        return PAGE_FIELDS.iter().find_map(|field| field_of(rest, field)).map(|at| from + at);
    };
    let behind = rest.get(end..)?.trim_ascii_start();
    (!behind.is_empty()).then_some(bytes.len() - behind.len())
}

/// Whether what follows `before` can be an element of a list, and not the value of a field.
fn follows_in_list(before: &[u8]) -> bool {
    matches!(before.trim_ascii_end().last(), None | Some(b',' | b'['))
}

/// Reads the ids of tweets that a file says are not to be shown any more, as messages.
pub(super) fn read_deletions(out: &mut Output<'_>, member: Member<'_>) -> Read {
    let mut decoder = Decoder::default();
    each_object(out, member, &mut |out, bytes, _| {
        let has = |key: &[u8]| memchr::memmem::find(bytes, key).is_some();
        if !has(b"\"delete\"") && !has(b"\"status_withheld\"") {
            return Ok(());
        }
        let Ok(Decoded { record: envelope, .. }) = decoder.decode::<Envelope<'_>>(bytes) else {
            return Ok(());
        };
        match envelope.notice() {
            Some(Notice { rule, about: Some(id), takes_away: true }) => {
                out.record(Record { own_id: Some(id.into()), text: rule.into(), ..Record::default() })
            }
            _ => Ok(()),
        }
    })
}
