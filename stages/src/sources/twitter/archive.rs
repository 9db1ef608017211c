//! Personal archives of Twitter, as a zip or an unpacked folder.
//!
//! The old form (2012 to 2019) has `data/js/tweets/YYYY_MM.js` and `data/js/user_details.js`; the new one has
//! `data/tweets.js` or `data/tweet.js`, `data/community-tweet.js`, further parts of them, `data/account.js`, the only place
//! that names the owner, and `data/note-tweet.js` and its parts with the whole of posts that the others cut. No other member
//! is opened: what was deleted, messages, likes and addresses of connections lie beside them.

use super::status::{Beside, Owner, Tweet, tweet};
use super::without_handle;
use crate::StageError;
use crate::sources::author_class;
use crate::sources::bytes::archive::Archive;
use crate::sources::bytes::elements::{Element, ElementReader};
use crate::sources::json_objects::each_element;
use crate::sources::options::TruncatedPolicy;
use crate::sources::output::{Output, Read, Stop};
use crate::sources::values::fields::{Nested, Text};
use crate::sources::values::json::{Decoded, Decoder, json_record};
use crate::sources::values::text::unescape_api;
use crate::sources::values::time::twitter_time;

json_record! {
    /// `user_details.js` of the old form, or the object inside `account.js` of the new one.
    struct Account<'a> {
        screen_name: Text<'a> = "screen_name",
        username: Text<'a> = "username",
        bio: Text<'a> = "bio",
        wrapped: Nested<Account<'a>> = "account",
    }
}

json_record! {
    /// A long post, as `note-tweet.js` has it.
    struct LongPost<'a> {
        created_at: Text<'a> = "createdAt",
        core: Nested<Core<'a>> = "core",
        wrapped: Nested<LongPost<'a>> = "noteTweet",
    }
}

json_record! {
    struct Core<'a> {
        text: Text<'a> = "text",
    }
}

/// Members that name the owner, by preference.
const ACCOUNT_FILES: [&str; 2] = ["account.js", "user_details.js"];
/// The account files are a few hundred bytes long.
const MAX_ACCOUNT_BYTES: u64 = 1 << 20;

/// Files of the new form that hold tweets, without `.js`.
const TWEET_FILES: [&str; 3] = ["tweets", "tweet", "community-tweet"];
/// The file of the new form that holds the whole texts of long posts.
const LONG_POST_FILES: [&str; 1] = ["note-tweet"];

/// Whether a member of an archive holds tweets.
pub(in crate::sources) fn holds_tweets(member: &str) -> bool {
    script(member).is_some_and(|(folder, name)| {
        let in_months = folder == "data/js/tweets" || folder.ends_with("/data/js/tweets");
        in_months || is_one_of(folder, name, &TWEET_FILES)
    })
}

/// Whether a member of an archive holds whole texts of long posts.
fn holds_long_posts(member: &str) -> bool {
    script(member).is_some_and(|(folder, name)| is_one_of(folder, name, &LONG_POST_FILES))
}

/// The folder and the name of a member that is a script, without `.js`.
fn script(member: &str) -> Option<(&str, &str)> {
    let path = member.strip_suffix(".js")?;
    Some(path.rsplit_once('/').unwrap_or(("", path)))
}

/// Whether a script of the new form is one of `files` or a part of one: `tweets`, `tweets-part1`. Names are compared as a
/// whole, so that `deleted-tweets` is none of `tweets`.
fn is_one_of(folder: &str, name: &str, files: &[&str]) -> bool {
    let in_data = folder.is_empty() || folder == "data" || folder.ends_with("/data");
    let is_number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    let is_part = |part: &str| part.is_empty() || part.strip_prefix("-part").is_some_and(is_number);
    in_data && files.iter().any(|file| name.strip_prefix(*file).is_some_and(is_part))
}

/// Reads one archive.
pub(super) fn read(out: &mut Output<'_>, mut archive: Archive) -> Read {
    let members: Vec<String> = archive.members().iter().filter(|name| holds_tweets(name)).cloned().collect();
    let owner = owner(&mut archive)?;
    let archive_name = without_handle(out, out.source_file(), owner.handle.as_deref());
    out.rename_file(&archive_name);
    let long_posts = long_posts(&mut archive, out.options().max_member_bytes)?;
    for member in &members {
        let member_name = without_handle(out, member, owner.handle.as_deref());
        out.set_source_file(format!("{archive_name}!{member_name}"));
        tweets(out, &mut archive, member, &owner, &long_posts)?;
    }
    Ok(())
}

/// Long posts by when they were written, in seconds, and their text.
type LongPosts = Vec<(i64, String)>;

/// Two clocks can differ by as many seconds.
const SAME_TIME: i64 = 3;

/// The whole texts of long posts, of all parts together at most `limit` bytes. They have no id in common with the tweets
/// that show their beginning.
fn long_posts(archive: &mut Archive, limit: usize) -> Result<LongPosts, StageError> {
    let members: Vec<String> =
        archive.members().iter().filter(|name| holds_long_posts(name)).cloned().collect();
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    let mut left = limit;
    for member in &members {
        let mut bytes = Vec::new();
        // What can be read of it is taken; without it, tweets stay as they are.
        let limited = std::io::Read::take(archive.read(member)?, left as u64);
        let _ = std::io::Read::read_to_end(&mut { limited }, &mut bytes);
        left = left.saturating_sub(bytes.len());
        let mut elements = ElementReader::new(&bytes[..], limit);
        while let Ok(Some(element)) = elements.next() {
            let Element::Whole { bytes, .. } = element else { continue };
            let Ok(Decoded { record, .. }) = decoder.decode::<LongPost<'_>>(bytes) else { continue };
            let post = record.wrapped.get().unwrap_or(&record);
            let at = post.created_at.as_str().and_then(twitter_time);
            if let (Some(at), Some(text)) = (at, post.core.get().and_then(|core| core.text.filled())) {
                found.push((at / 1_000_000, text.to_owned()));
            }
        }
    }
    Ok(found)
}

/// The long post whose beginning a tweet shows. Either text can have `&`, `<` and `>` escaped or not.
fn whole_text<'p>(raw: &Tweet<'_>, long_posts: &'p LongPosts) -> Option<&'p str> {
    let at = raw.created_at()? / 1_000_000;
    let words = unescape_api(raw.words()?);
    let shown = words.trim_end_matches(|c: char| c != '…').trim_end_matches('…').trim_end();
    let begins = |(written, text): &&(i64, String)| {
        (written - at).abs() <= SAME_TIME && !shown.is_empty() && unescape_api(text).starts_with(shown)
    };
    long_posts.iter().find(begins).map(|(_, text)| text.as_str())
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
        let mut decoder = Decoder::default();
        let Ok(Decoded { record, .. }) = decoder.decode::<Account<'_>>(&bytes[start..end]) else {
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

fn tweets(
    out: &mut Output<'_>,
    archive: &mut Archive,
    member: &str,
    owner: &Owner,
    long_posts: &LongPosts,
) -> Read {
    let mut decoder = Decoder::default();
    let stream = match archive.read(member) {
        Ok(stream) => stream,
        Err(error) => return out.unreadable(error),
    };
    let beside = Beside::of(owner);
    each_element(out, stream, |out, bytes, offset| {
        let Decoded { record, lossy } = match decoder.decode::<Tweet<'_>>(bytes) {
            Ok(decoded) => decoded,
            Err(rule) => return out.malformed(rule, offset),
        };
        let mut raw = record.unwrapped();
        if raw.is_tweet() && beside.handle_of(&raw).is_none() {
            if out.options().on_truncated == TruncatedPolicy::Keep {
                return out.malformed("no_owner", offset);
            }
            return Err(Stop::Failed(
                out.location().failed("nothing in the archive names its owner; `data/account.js` is missing"),
            ));
        }
        if let Some(text) = whole_text(&raw, long_posts) {
            raw.set_words(text.to_owned());
        }
        tweet(out, &raw, &beside, offset, lossy)
    })
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
            "data/community-tweet.js",
            "data/community-tweet-part2.js",
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
            "data/note-tweet.js",
            "data/tweets-part.js",
            "data/js/tweets/readme.txt",
        ] {
            assert!(!holds_tweets(member), "{member}");
        }
    }

    #[test]
    fn long_posts_that_were_deleted_are_not_opened() {
        for (member, is_opened) in [
            ("data/note-tweet.js", true),
            ("data/note-tweet-part1.js", true),
            ("twitter-2023/data/note-tweet.js", true),
            ("data/deleted-note-tweet.js", false),
            ("data/note-tweets.js", false),
            ("data/note-tweet-part.js", false),
            ("assets/note-tweet.js", false),
            ("data/tweets.js", false),
        ] {
            assert_eq!(holds_long_posts(member), is_opened, "{member}");
        }
    }
}
