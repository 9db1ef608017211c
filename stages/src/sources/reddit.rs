//! Reddit dumps: NDJSON of comments and submissions, monthly or per subreddit.
//!
//! A record is a comment if it has `body` and `link_id`, and a submission if it has `title`, `is_self` or a
//! `name` that begins with `t3_`; the name of the file says nothing. Field types changed over the years
//! (`created_utc` is a string from 2007 to 2015, `score` can be null): see [`super::values::json`].

use std::borrow::Cow;

use genome_schemas::{EventKind, Platform};
use memchr::memmem;
use serde::Serialize;

use super::author_class::{self, AuthorClass};
use super::batches::Produces;
use super::json_objects::each_object;
use super::output::{Output, Read};
use super::pseudonym::Pseudonymizer;
use super::record::Record;
use super::values::fields::{Epoch, Flag, Nested, Number, Text};
use super::values::json::{Decoded, Decoder, JsonRecord, json_record};
use super::values::text::{decode_entities, then, unescape_api};
use super::values::time::epoch_micros;

/// Which records of a file are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All, as events.
    All,
    /// Submissions only, as context.
    Submissions,
    /// Comments only, as context.
    Comments,
}

json_record! {
    struct RedditRecord<'a> {
        id: Text<'a> = "id",
        name: Text<'a> = "name",
        author: Text<'a> = "author",
        author_flair: Text<'a> = "author_flair_text",
        body: Text<'a> = "body",
        link_id: Text<'a> = "link_id",
        parent_id: Text<'a> = "parent_id",
        title: Text<'a> = "title",
        selftext: Text<'a> = "selftext",
        is_self: Flag = "is_self",
        domain: Text<'a> = "domain",
        over_18: Flag = "over_18",
        subreddit: Text<'a> = "subreddit",
        created: Epoch = "created_utc",
        retrieved_on: Epoch = "retrieved_on",
        retrieved_utc: Epoch = "retrieved_utc",
        score: Number = "score",
        num_comments: Number = "num_comments",
        distinguished: Text<'a> = "distinguished",
        meta: Nested<Meta<'a>> = "_meta",
    }
}

json_record! {
    /// What Arctic Shift noted when it came a second time, 36 hours later.
    struct Meta<'a> {
        was_deleted_later: Flag = "was_deleted_later",
        removal_type: Text<'a> = "removal_type",
        retrieved_again: Epoch = "retrieved_2nd_on",
    }
}

/// What a Reddit record states of its author and place.
#[derive(Serialize)]
struct Attributes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subreddit: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flair: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    over_18: Option<bool>,
}

/// Reads one file.
pub(super) fn read(out: &mut Output<'_>, wanted: Wanted) -> Read {
    let file = without_profiles(out.facts().names, out.source_file());
    out.rename_file(&file);
    out.set_source_file(file);
    // Every comment has this key, and a quotation of it inside a text has its quotes escaped, so the bytes tell
    // comments from submissions without decoding them.
    let comment_key = memmem::Finder::new(b"\"link_id\"");
    let mut decoder = Decoder::default();
    each_object(out, |out, line, offset| {
        let is_wanted = match wanted {
            Wanted::All => true,
            Wanted::Submissions => comment_key.find(line).is_none(),
            Wanted::Comments => comment_key.find(line).is_some(),
        };
        if is_wanted { record(out, line, offset, &mut decoder) } else { Ok(()) }
    })
}

/// What tools write behind a handle in the name of what they export.
const EXPORTS: [&str; 3] = ["_comments", "_submissions", "_posts"];

/// The name of a file without the handles of profiles: `u_grace_comments.zst` becomes `u_user_1a2b3c4d_comments.zst`.
pub(super) fn without_profiles(names: &Pseudonymizer, name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let mut shown = String::with_capacity(name.len());
    let mut copied = 0;
    for (at, profile) in lower.match_indices(PROFILE) {
        let start = at + profile.len();
        let length = handle_length(&lower[start..]);
        if at < copied || length == 0 || lower[..at].ends_with(char::is_alphanumeric) {
            continue;
        }
        shown.push_str(&name[copied..start]);
        copied = start + length;
        shown.push_str("user_");
        shown.push_str(names.author_id(Platform::Reddit, &lower[start..copied]).short());
    }
    shown + &name[copied..]
}

/// Length of the handle that the rest of a file's name begins with.
fn handle_length(rest: &str) -> usize {
    let is_in_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let length = rest.bytes().take_while(is_in_name).count();
    let handle = EXPORTS.iter().find_map(|export| rest[..length].strip_suffix(*export));
    handle.map_or(length, str::len)
}

/// What the name of a subreddit begins with that is somebody's profile; the handle follows.
const PROFILE: &str = "u_";

/// The name of a subreddit, of a profile with its owner's pseudonym.
fn subreddit_name<'t>(names: &Pseudonymizer, name: &'t str) -> Cow<'t, str> {
    match name.split_at_checked(PROFILE.len()) {
        Some((start, handle)) if start.eq_ignore_ascii_case(PROFILE) => {
            Cow::Owned(format!("{PROFILE}user_{}", names.author_id(Platform::Reddit, handle).short()))
        }
        _ => Cow::Borrowed(name),
    }
}

/// The domain of a link. Where it leads to Reddit itself, that is `self.` and the name of a subreddit.
fn domain_name<'t>(names: &Pseudonymizer, domain: &'t str) -> Cow<'t, str> {
    match domain.split_once('.') {
        Some((start, subreddit)) if start.eq_ignore_ascii_case("self") => {
            Cow::Owned(format!("{start}.{}", subreddit_name(names, subreddit)))
        }
        _ => Cow::Borrowed(domain),
    }
}

fn record(out: &mut Output<'_>, line: &[u8], offset: u64, decoder: &mut Decoder) -> Read {
    let Decoded { record: raw, lossy } = match decoder.decode::<RedditRecord<'_>>(line) {
        Ok(decoded) => decoded,
        Err(rule) => return out.malformed(rule, offset),
    };
    let is_comment = raw.body.is_present() && raw.link_id.is_present();
    let is_submission = raw.title.is_present()
        || raw.is_self.get().is_some()
        || raw.name.as_str().is_some_and(|name| name.starts_with("t3_"));
    if !is_comment && !is_submission {
        return out.malformed("not_a_record", offset);
    }
    let at = raw.created.get().and_then(epoch_micros);
    let untimely = (at.is_none() && raw.created.get().is_some()).then_some("created_utc");
    out.conflicts(raw.conflicts().chain(untimely), offset);
    let names = out.facts().names;
    let author = raw.author.filled().filter(|author| *author != "[deleted]");
    let id = raw.id.filled().or_else(|| raw.name.filled().map(bare_id));
    // A comment's is only asked for by those that answer it.
    let named = id.filter(|_| !is_comment || out.produces() == Produces::Messages);
    let full_id = named.map(|id| [if is_comment { "t1_" } else { "t3_" }, id].concat());
    let attributes = Attributes {
        // Profile posts stand in a subreddit that has the author's name.
        subreddit: raw.subreddit.filled().map(|subreddit| subreddit_name(names, subreddit)),
        flair: raw.author_flair.filled().map(|flair| names.mentions(Platform::Reddit, flair)),
        over_18: raw.over_18.get().filter(|over| *over),
    };
    let taken_back = raw.meta.get().is_some_and(|meta| {
        meta.was_deleted_later.get() == Some(true) && meta.removal_type.as_str() == Some("deleted")
    });
    let base = Record {
        author,
        author_class: if taken_back {
            AuthorClass::Deleted
        } else {
            author_class::reddit(author, raw.distinguished.as_str())
        },
        native_id: id,
        at,
        engagement: raw.score.int(),
        attributes: serde_json::to_string(&attributes).unwrap_or_default(),
        retrieved: retrieved(&raw),
        offset,
        lossy,
        ..Record::default()
    };
    if is_comment {
        let link = raw.link_id.as_str();
        let parent = raw.parent_id.filled().map(parent_name);
        let parent = parent.as_deref();
        return out.record(Record {
            kind: EventKind::Comment,
            own_id: full_id.map(Cow::Owned),
            parent_id: parent.filter(|parent| Some(*parent) != link),
            root_id: link,
            thread_id: link.map(Cow::Borrowed),
            text: clean(raw.body.as_str().unwrap_or_default()),
            top_level: parent.is_none() || parent == link,
            ..base
        });
    }
    let link = raw.is_self.get() == Some(false);
    let link_domain = link.then(|| domain_name(names, raw.domain.as_str().unwrap_or_default()));
    out.record(Record {
        kind: EventKind::Post,
        own_id: full_id.as_deref().map(Cow::Borrowed),
        thread_id: full_id.as_deref().map(Cow::Borrowed),
        replies: raw.num_comments.int(),
        link_domain: link_domain.as_deref(),
        title: raw.title.filled().map(clean),
        text: clean(raw.selftext.as_str().unwrap_or_default()),
        ..base
    })
}

fn retrieved(raw: &RedditRecord<'_>) -> i64 {
    let again = raw.meta.get().and_then(|meta| meta.retrieved_again.int());
    again.max(raw.retrieved_on.int()).max(raw.retrieved_utc.int()).unwrap_or_default()
}

/// The full name of a parent. Pushshift's interface of 2022 and 2023 gave the comment's id alone, as a number in base 10.
fn parent_name(parent: &str) -> Cow<'_, str> {
    let Some(mut number) = parent.parse::<u64>().ok().filter(|number| *number > 0) else {
        return parent.into();
    };
    let mut digits = Vec::new();
    while number > 0 {
        digits.extend(char::from_digit(u32::try_from(number % 36).unwrap_or_default(), 36));
        number /= 36;
    }
    let id: String = digits.into_iter().rev().collect();
    Cow::Owned(format!("t1_{id}"))
}

/// `t3_abc` without its prefix.
fn bare_id(name: &str) -> &str {
    name.split_once('_').map_or(name, |(_, id)| id)
}

/// A text as its author typed it: without the interface's escaping, with Markdown's character references
/// decoded, and without the zero-width spaces that the editor puts into empty paragraphs.
fn clean(text: &str) -> Cow<'_, str> {
    const SPACE: &str = "\u{200b}";
    // Rare in other characters than this one.
    let last_byte = SPACE.as_bytes()[SPACE.len() - 1];
    // Most texts have neither; one look finds that out.
    if memchr::memchr2(b'&', last_byte, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    then(then(unescape_api(text), decode_entities), |text| {
        if text.contains(SPACE) { Cow::Owned(text.replace(SPACE, "")) } else { Cow::Borrowed(text) }
    })
}
