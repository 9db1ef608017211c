//! Personal archives of Twitter, as a zip or an unpacked folder.
//!
//! The old form (2012 to 2019) has `data/js/tweets/YYYY_MM.js` and `data/js/user_details.js`; the new one has
//! `data/tweets.js` or `data/tweet.js`, further parts of it, and `data/account.js`, the only place that names
//! the owner. No other member is opened: messages, likes and addresses of connections lie beside them.
//!
//! Retweets are somebody else's words. A tweet that is nothing but one has kind `repost` and an empty text; in
//! one that puts words before `RT @name: …`, these words are its text. What was passed on is context.

use std::borrow::Cow;

use genome_schemas::EventKind;
use serde::Serialize;

use crate::StageError;
use crate::sources::author_class::{self, AuthorClass};
use crate::sources::bytes::archive::Archive;
use crate::sources::json_objects::each_element;
use crate::sources::output::{Output, Read, Stop};
use crate::sources::record::Record;
use crate::sources::values::fields::{Nested, Number, Text};
use crate::sources::values::json::{Decoded, JsonRecord, decode, json_record};
use crate::sources::values::text::{decode_entities, unescape_api};
use crate::sources::values::time::twitter_time;

json_record! {
    struct Tweet<'a> {
        id: Text<'a> = "id_str",
        bare_id: Text<'a> = "id",
        text: Text<'a> = "text",
        full_text: Text<'a> = "full_text",
        created_at: Text<'a> = "created_at",
        source: Text<'a> = "source",
        lang: Text<'a> = "lang",
        user: Nested<User<'a>> = "user",
        retweeted: Nested<Tweet<'a>> = "retweeted_status",
        reply_to: Text<'a> = "in_reply_to_status_id_str",
        bare_reply_to: Text<'a> = "in_reply_to_status_id",
        reply_to_user: Text<'a> = "in_reply_to_user_id_str",
        reply_to_name: Text<'a> = "in_reply_to_screen_name",
        favorites: Number = "favorite_count",
        wrapped: Nested<Tweet<'a>> = "tweet",
    }
}

json_record! {
    struct User<'a> {
        screen_name: Text<'a> = "screen_name",
    }
}

json_record! {
    /// `user_details.js` of the old form, or the object inside `account.js` of the new one.
    struct Account<'a> {
        screen_name: Text<'a> = "screen_name",
        username: Text<'a> = "username",
        bio: Text<'a> = "bio",
        wrapped: Nested<Account<'a>> = "account",
    }
}

/// What a tweet states of its author's device and language.
#[derive(Serialize)]
struct Attributes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<&'a str>,
}

/// Whose archive it is.
#[derive(Default)]
struct Owner {
    handle: Option<String>,
    bio: String,
    class: Option<AuthorClass>,
}

impl Owner {
    /// The class of who wrote a tweet, which is the owner as a rule.
    fn class_of(&self, author: &str) -> AuthorClass {
        match self.class {
            Some(class) if self.handle.as_deref() == Some(author) => class,
            _ => author_class::twitter(author, &self.bio),
        }
    }
}

/// Members that name the owner, by preference.
const ACCOUNT_FILES: [&str; 2] = ["account.js", "user_details.js"];
/// The account files are a few hundred bytes long.
const MAX_ACCOUNT_BYTES: u64 = 1 << 20;

/// Whether a member of an archive holds tweets.
pub(in crate::sources) fn holds_tweets(member: &str) -> bool {
    let (folder, name) = member.rsplit_once('/').unwrap_or(("", member));
    let Some(stem) = name.strip_suffix(".js") else { return false };
    if folder == "data/js/tweets" || folder.ends_with("/data/js/tweets") {
        return true;
    }
    // `deleted-tweets.js` and the like begin otherwise.
    let part = stem.strip_prefix("tweets").or_else(|| stem.strip_prefix("tweet"));
    let is_part = part.is_some_and(|part| {
        part.is_empty()
            || part
                .strip_prefix("-part")
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    });
    is_part && (folder.is_empty() || folder == "data" || folder.ends_with("/data"))
}

/// Reads one archive.
pub(super) fn read(out: &mut Output<'_>, mut archive: Archive) -> Read {
    let members: Vec<String> = archive.members().iter().filter(|name| holds_tweets(name)).cloned().collect();
    let owner = owner(&mut archive)?;
    let archive_name = without_handle(out, out.source_file(), owner.handle.as_deref());
    out.rename_file(&archive_name);
    for member in &members {
        out.set_source_file(format!("{archive_name}!{member}"));
        tweets(out, &mut archive, member, &owner)?;
    }
    Ok(())
}

/// People name their archives after themselves.
fn without_handle(out: &Output<'_>, name: &str, handle: Option<&str>) -> String {
    let Some(handle) = handle.filter(|handle| !handle.is_empty()) else { return name.to_owned() };
    let id = out.facts().names.author_id(out.facts().platform, handle);
    let (lower, handle) = (name.to_ascii_lowercase(), handle.to_ascii_lowercase());
    let mut shown = String::with_capacity(name.len());
    let mut copied = 0;
    for (at, _) in lower.match_indices(&handle) {
        shown.push_str(&name[copied..at]);
        shown.push_str("user_");
        shown.push_str(id.short());
        copied = at + handle.len();
    }
    shown + &name[copied..]
}

fn owner(archive: &mut Archive) -> Result<Owner, StageError> {
    let mut owner = Owner::default();
    for wanted in ACCOUNT_FILES {
        let names_owner = |member: &&String| {
            let folder = member.strip_suffix(wanted).map(|folder| folder.trim_end_matches('/'));
            folder.is_some_and(|f| f.is_empty() || f.ends_with("data") || f.ends_with("data/js"))
        };
        let Some(member) = archive.members().iter().find(names_owner).cloned() else { continue };
        let mut bytes = Vec::new();
        // A profile that cannot be read is like none: tweets of the old form name their author themselves.
        let read = std::io::Read::read_to_end(
            &mut std::io::Read::take(archive.read(&member)?, MAX_ACCOUNT_BYTES),
            &mut bytes,
        );
        let Some(start) = memchr::memchr(b'{', &bytes).filter(|_| read.is_ok()) else { continue };
        let end = memchr::memrchr(b'}', &bytes).map_or(start, |end| end + 1);
        let mut scratch = Vec::new();
        let Ok(Decoded { record, .. }) = decode::<Account<'_>>(&bytes[start..end], &mut scratch) else {
            continue;
        };
        let account = record.wrapped.get().unwrap_or(&record);
        if let Some(handle) = account.username.filled().or(account.screen_name.filled()) {
            let bio = account.bio.as_str().unwrap_or_default().to_owned();
            owner = Owner {
                handle: Some(handle.to_owned()),
                class: Some(author_class::twitter(handle, &bio)),
                bio,
            };
            break;
        }
    }
    Ok(owner)
}

fn tweets(out: &mut Output<'_>, archive: &mut Archive, member: &str, owner: &Owner) -> Read {
    let mut scratch = Vec::new();
    let stream = match archive.read(member) {
        Ok(stream) => stream,
        Err(error) => return out.unreadable(error),
    };
    each_element(out, stream, |out, bytes, offset| tweet(out, bytes, offset, owner, &mut scratch))
}

fn tweet(out: &mut Output<'_>, bytes: &[u8], offset: u64, owner: &Owner, scratch: &mut Vec<u8>) -> Read {
    let Decoded { record: mut raw, lossy } = match decode::<Tweet<'_>>(bytes, scratch) {
        Ok(decoded) => decoded,
        Err(rule) => return out.malformed(rule, offset),
    };
    if raw.wrapped.get().is_some() {
        raw = std::mem::take(&mut raw.wrapped).into_inner().unwrap_or_default();
    }
    let id = raw.id.filled().or(raw.bare_id.filled());
    let Some(text) = raw.full_text.as_str().or(raw.text.as_str()).filter(|_| id.is_some()) else {
        return out.malformed("not_a_record", offset);
    };
    let author = raw.user.get().and_then(|user| user.screen_name.filled()).or(owner.handle.as_deref());
    if author.is_none() {
        return Err(Stop::Failed(StageError::Input {
            path: out.location().to_string(),
            reason: "nothing in the archive names its owner; `data/account.js` is missing".into(),
        }));
    }
    let created = raw.created_at.as_str();
    let at = created.and_then(twitter_time);
    let undated = (at.is_none() && raw.created_at.filled().is_some()).then_some("created_at");
    out.conflicts(raw.conflicts().chain(undated), offset);

    let reply_to = raw.reply_to.filled().or(raw.bare_reply_to.filled());
    let is_reply =
        reply_to.is_some() || raw.reply_to_user.filled().is_some() || raw.reply_to_name.filled().is_some();
    let text = unescape_api(text);
    let parts = parts(&text, raw.retweeted.get());
    let own = if is_reply { without_leading_mentions(parts.own) } else { parts.own };
    let kind = match (&parts.quoted, own.is_empty()) {
        (Some(_), true) => EventKind::Repost,
        (Some(_), false) => EventKind::Comment,
        (None, _) if is_reply => EventKind::Comment,
        (None, _) => EventKind::Post,
    };
    let attributes = Attributes { app: raw.source.filled().and_then(app_name), lang: raw.lang.filled() };
    out.record(Record {
        kind,
        author,
        author_class: author.map_or(AuthorClass::Person, |handle| owner.class_of(handle)),
        native_id: id,
        own_id: id.map(Cow::Borrowed),
        parent_id: reply_to,
        thread_id: reply_to.or(id).map(Cow::Borrowed),
        at,
        text: Cow::Borrowed(own),
        quoted: parts.quoted,
        engagement: raw.favorites.int(),
        attributes: serde_json::to_string(&attributes).unwrap_or_default(),
        offset,
        lossy,
        ..Record::default()
    })
}

/// A tweet's text, taken apart by whose words they are.
struct Parts<'a> {
    own: &'a str,
    /// Handle and words of somebody else.
    quoted: Option<(Option<Cow<'a, str>>, Cow<'a, str>)>,
}

fn parts<'a>(text: &'a str, retweeted: Option<&'a Tweet<'_>>) -> Parts<'a> {
    let manual = manual_retweet(text);
    if let Some(original) = retweeted {
        let handle = original.user.get().and_then(|user| user.screen_name.filled());
        let words = original.full_text.as_str().or(original.text.as_str()).unwrap_or_default();
        let handle = handle.map(Cow::Borrowed).or(manual.as_ref().map(|m| Cow::Borrowed(m.handle)));
        return Parts { own: "", quoted: Some((handle, unescape_api(words))) };
    }
    match manual {
        Some(Manual { own, handle, words }) => {
            Parts { own, quoted: Some((Some(Cow::Borrowed(handle)), Cow::Borrowed(words))) }
        }
        None => Parts { own: text.trim(), quoted: None },
    }
}

/// A retweet made by hand: `own words RT @name: their words`.
struct Manual<'a> {
    own: &'a str,
    handle: &'a str,
    words: &'a str,
}

fn manual_retweet(text: &str) -> Option<Manual<'_>> {
    text.match_indices("RT").find_map(|(at, rt)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(char::is_alphanumeric) {
            return None;
        }
        let rest = text[at + rt.len()..].trim_start().strip_prefix('@')?;
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let (handle, words) = rest.split_at(length);
        let own = text[..at].trim().trim_end_matches(['"', '“', '(', '/', '|', '\\']).trim_end();
        (length > 0).then(|| Manual { own, handle, words: words.trim_start_matches([':', ' ']).trim() })
    })
}

/// A reply without the names it is addressed to.
fn without_leading_mentions(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(name) = rest.strip_prefix('@') {
        let length = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if length == 0 {
            break;
        }
        rest = name[length..].trim_start();
    }
    rest
}

/// The name in `<a href="…">name</a>`, or the bare word that old tweets have.
fn app_name(source: &str) -> Option<Cow<'_, str>> {
    let name = match source.split_once('>') {
        Some((_, rest)) => rest.split('<').next().unwrap_or_default(),
        None => source,
    };
    let name = name.trim();
    (!name.is_empty()).then(|| decode_entities(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tweets_are_opened() {
        for member in [
            "data/tweets.js",
            "data/tweet.js",
            "data/tweets-part1.js",
            "twitter-2022/data/tweets-part12.js",
            "data/js/tweets/2011_01.js",
            "me/data/js/tweets/2011_01.js",
            "tweet.js",
        ] {
            assert!(holds_tweets(member), "{member}");
        }
        for member in [
            "data/deleted-tweets.js",
            "data/tweetdeck.js",
            "data/tweet-headers.js",
            "data/tweets_media/x.js",
            "data/like.js",
            "data/direct-messages.js",
            "data/js/tweet_index.js",
            "data/tweets.json",
            "assets/js/tweets.js",
        ] {
            assert!(!holds_tweets(member), "{member}");
        }
    }

    #[test]
    fn whose_words_are_whose() {
        for (text, own, quoted) in [
            ("hello", "hello", None),
            ("RT @ada: hello", "", Some(("ada", "hello"))),
            ("so true RT @ada: hello", "so true", Some(("ada", "hello"))),
            ("so true “RT @ada hello”", "so true", Some(("ada", "hello”"))),
            ("RT@ada: RT @bob: hi", "", Some(("ada", "RT @bob: hi"))),
            ("ALERT @ada: hi", "ALERT @ada: hi", None),
            ("please RT this", "please RT this", None),
        ] {
            let parts = parts(text, None);
            let shown = parts
                .quoted
                .as_ref()
                .map(|(handle, words)| (handle.as_deref().unwrap_or(""), words.as_ref()));
            assert_eq!((parts.own, shown), (own, quoted), "{text}");
        }
    }

    #[test]
    fn replies_lose_their_address() {
        for (text, own) in
            [("@ada @bob_1 yes @carl", "yes @carl"), ("@ada", ""), ("no @ada", "no @ada"), ("@ x", "@ x")]
        {
            assert_eq!(without_leading_mentions(text), own);
        }
    }

    #[test]
    fn apps() {
        assert_eq!(
            app_name("<a href=\"http://x.example\" rel=\"nofollow\">Bird &amp; Co</a>").as_deref(),
            Some("Bird & Co")
        );
        assert_eq!(app_name("web").as_deref(), Some("web"));
        assert_eq!(app_name("<a></a>"), None);
    }
}
