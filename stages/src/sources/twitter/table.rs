//! Tables of tweets: CSV files of academic tools, and the Parquet files of `twitter100m`.

use std::borrow::Cow;

use genome_schemas::EventKind;

use super::without_handle;
use super::words::{Parts, app_name, parts, without_leading_mentions};
use crate::StageError;
use crate::sources::author_class::{self, AuthorClass};
use crate::sources::bytes::location::ReadSeek;
use crate::sources::config::{CsvConfig, Format};
use crate::sources::csv_rows::{CsvRow, each_csv_row};
use crate::sources::members::Member;
use crate::sources::options::TruncatedPolicy;
use crate::sources::output::{Output, Read, Stop};
use crate::sources::parquet_rows;
use crate::sources::record::Record;
use crate::sources::values::fields::{Field, Number, Text};
use crate::sources::values::json::{Decoded, Decoder, JsonRecord, json_record};
use crate::sources::values::text::unescape_api;
use crate::sources::values::time::table_time;

/// What a table can say of a tweet, and the usual names of its columns.
const COLUMNS: [(&str, &[&str]); 10] = [
    ("id", &["id_str", "tweet_id", "tweetid", "status_id", MERE_ID]),
    ("url", &["url", "permalink", "tweet_url", "link"]),
    (
        "author",
        &["screen_name", "username", "user_name", "user_screen_name", "handle", "user", "author", "name"],
    ),
    ("text", &["full_text", "text", "tweet", "tweet_text", "content", "body"]),
    ("at", &["created_at", "tweet_created", "timestamp", "datetime", "date", "time"]),
    ("reply_to", &["in_reply_to_status_id_str", "in_reply_to_status_id", "in_reply_to_tweet_id"]),
    ("lang", &["lang", "language"]),
    ("engagement", &["favorite_count", "favorites", "likes", "like_count"]),
    ("replies", &["reply_count", "replies", "replies_count"]),
    ("app", &["source", "tweet_source"]),
];

/// The name of a column that tells nothing of tweets: it often numbers the rows of its table.
const MERE_ID: &str = "id";

/// Figures of the ids that are believed of such a column. Only the earliest tweets have fewer.
const ID_FIGURES: usize = 8;

/// Fields that `csv.columns` of a source can name.
pub(in crate::sources) fn csv_fields() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|(field, _)| *field)
}

/// Reads one table with separated values. One without a column of texts is an error; where the policy is to keep what
/// can be read, each of its rows is malformed by rule `not_a_record`.
pub(super) fn read(out: &mut Output<'_>, member: Member<'_>, format: Format) -> Read {
    let config = out.source().csv.clone().unwrap_or_default();
    hide_handle(out, config.author.as_deref());
    let mut checked = false;
    each_csv_row(out, member.stream, format, |out, row, offset| {
        if !checked {
            if out.options().on_truncated == TruncatedPolicy::Fail {
                check_header(out, row, &config)?;
            }
            let owner = config.author.as_deref().map(bare_handle);
            let is_other =
                |author: &&str| owner.is_none_or(|owner| !owner.eq_ignore_ascii_case(bare_handle(author)));
            hide_handle(out, value(row, &config, "author").as_deref().filter(is_other));
            checked = true;
        }
        csv_row(out, row, &config, offset)
    })
}

/// Takes the handle of `author` out of the file's name: people name files after whose tweets they hold.
fn hide_handle(out: &mut Output<'_>, author: Option<&str>) {
    let name = without_handle(out, out.source_file(), author.map(bare_handle));
    out.rename_file(&name);
    out.set_source_file(name);
}

/// A handle as a column or the config writes it, without blanks and the sign before it.
fn bare_handle(name: &str) -> &str {
    name.trim().trim_start_matches('@')
}

fn value<'r>(row: &'r CsvRow<'_>, config: &CsvConfig, field: &str) -> Option<Cow<'r, str>> {
    config.columns.get(field).map_or_else(|| row.get(usual_names(field)), |column| row.get(&[column]))
}

fn usual_names(field: &str) -> &'static [&'static str] {
    COLUMNS.iter().find(|(name, _)| *name == field).map(|&(_, names)| names).unwrap_or_default()
}

fn has_column(row: &CsvRow<'_>, column: &str) -> bool {
    row.header().iter().any(|name| name.eq_ignore_ascii_case(column))
}

/// Stops at a table that has no column of texts, or lacks one that the config names.
fn check_header(out: &Output<'_>, row: &CsvRow<'_>, config: &CsvConfig) -> Read {
    let columns = || row.header().join("`, `");
    let failed = |reason: String| Err(Stop::Failed(out.location().failed(reason)));
    if let Some((field, column)) = config.columns.iter().find(|(_, column)| !has_column(row, column)) {
        return failed(format!("has no column `{column}` for `{field}`; its columns are `{}`", columns()));
    }
    let has_texts = || usual_names("text").iter().any(|name| has_column(row, name));
    if !config.columns.contains_key("text") && !has_texts() {
        return failed(format!(
            "has no column of texts; name it as `csv.columns.text` of the source; its columns are `{}`",
            columns()
        ));
    }
    Ok(())
}

/// The longest identifiers have 19 figures. Spreadsheets write them as `5.70306E+17`, which is none any more.
fn whole_id(id: &str) -> Option<&str> {
    let id = id.trim();
    (!id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())).then_some(id)
}

/// The id of a row's tweet. What stands in a column that is found by the name [`MERE_ID`] is none if it is too short for one:
/// rows of the same number in two tables would be taken for versions of one tweet.
fn tweet_id<'i>(row: &CsvRow<'_>, config: &CsvConfig, id: &'i str) -> Option<&'i str> {
    let id = whole_id(id)?;
    let is_named = || {
        let mut others = usual_names("id").iter().filter(|name| **name != MERE_ID);
        config.columns.contains_key("id") || others.any(|name| has_column(row, name))
    };
    (id.trim_start_matches('0').len() >= ID_FIGURES || is_named()).then_some(id)
}

/// What R and pandas write for no value, in lower case.
const MISSING: [&str; 4] = ["na", "nan", "none", "null"];

/// Whether a value is anything but blanks or a word for no value.
fn is_written(value: Option<&str>) -> bool {
    let is_missing =
        |value: &str| value.is_empty() || MISSING.iter().any(|word| value.eq_ignore_ascii_case(word));
    value.is_some_and(|value| !is_missing(value.trim()))
}

/// The id in `https://twitter.com/name/status/123`.
fn id_of_url(url: &str) -> Option<&str> {
    let (_, id) = url.split_once("/status/").or_else(|| url.split_once("/statuses/"))?;
    whole_id(id.split(|c: char| !c.is_ascii_digit()).next()?)
}

fn csv_row(out: &mut Output<'_>, row: &CsvRow<'_>, config: &CsvConfig, offset: u64) -> Read {
    let Some(text) = value(row, config, "text") else { return out.malformed("not_a_record", offset) };
    let author = value(row, config, "author").or(config.author.as_deref().map(Cow::Borrowed));
    let author = author.as_deref().map(bare_handle);
    let (id, url) = (value(row, config, "id"), value(row, config, "url"));
    let whole = id.as_deref().and_then(|id| tweet_id(row, config, id));
    let whole = whole.or(url.as_deref().and_then(id_of_url));
    let written_at = value(row, config, "at");
    let at = written_at.as_deref().and_then(|at| table_time(at, config.dates));
    let (answered, lang, app) =
        (value(row, config, "reply_to"), value(row, config, "lang"), value(row, config, "app"));
    let reply_to = answered.as_deref().and_then(whole_id);
    let number = |field| {
        let value = value(row, config, field);
        value.as_deref().filter(|value| is_written(Some(value))).map_or_else(Number::default, Number::parse)
    };
    let (engagement, replies) = (number("engagement"), number("replies"));
    let given_up = [
        ("id", id.is_some() && whole.is_none()),
        ("at", written_at.is_some() && at.is_none()),
        ("reply_to", is_written(answered.as_deref()) && reply_to.is_none()),
        ("engagement", engagement.is_conflict()),
        ("replies", replies.is_conflict()),
    ];
    out.conflicts(given_up.into_iter().filter_map(|(field, lost)| lost.then_some(field)), offset);
    let attributes = super::status::Attributes {
        app: app.as_deref().and_then(app_name).map(|app| without_handle(out, &app, author).into()),
        lang: lang.as_deref().filter(|lang| !lang.is_empty()),
    };
    let facts =
        Facts { id: whole, author, at, reply_to, engagement: engagement.int(), replies: replies.int() };
    let attributes = serde_json::to_string(&attributes).unwrap_or_default();
    row_record(out, &facts, &text, attributes, offset, row.is_guessed() || text.contains('\u{fffd}'))
}

/// What a row of either kind says beside its text.
struct Facts<'a> {
    id: Option<&'a str>,
    author: Option<&'a str>,
    at: Option<i64>,
    reply_to: Option<&'a str>,
    engagement: Option<i64>,
    replies: Option<i64>,
}

fn row_record(
    out: &mut Output<'_>,
    facts: &Facts<'_>,
    text: &str,
    attributes: String,
    offset: u64,
    lossy: bool,
) -> Read {
    let text = unescape_api(text);
    let Parts { own, quoted } = parts(&text);
    // Without the id of what is answered, a leading name is the only sign of an answer.
    let is_reply = facts.reply_to.is_some() || own.starts_with('@');
    let own = if is_reply { without_leading_mentions(own) } else { own };
    let kind = match (&quoted, own.is_empty()) {
        (Some(_), true) => EventKind::Repost,
        (Some(_), false) => EventKind::Comment,
        (None, _) if is_reply => EventKind::Comment,
        (None, _) => EventKind::Post,
    };
    out.record(Record {
        kind,
        author: facts.author,
        author_class: facts.author.map_or(AuthorClass::Unknown, |handle| author_class::twitter(handle, "")),
        native_id: facts.id,
        own_id: facts.id.map(Cow::Borrowed),
        parent_id: facts.reply_to,
        thread_id: facts.reply_to.or(facts.id).map(Cow::Borrowed),
        at: facts.at,
        text: Cow::Borrowed(own),
        quoted,
        engagement: facts.engagement,
        replies: facts.replies,
        attributes,
        offset,
        lossy,
        ..Record::default()
    })
}

json_record! {
    /// A row of `twitter100m`, of its tweets or of its users.
    struct Row<'a> {
        user: Text<'a> = "user",
        id: Text<'a> = "id",
        tweet: Text<'a> = "tweet",
        likes: Number = "likes",
        replies: Number = "replies",
        date: Text<'a> = "date",
        description: Text<'a> = "description",
    }
}

/// Reads a Parquet file of tweets.
pub(super) fn read_tweets(out: &mut Output<'_>, file: Box<dyn ReadSeek>) -> Read {
    let mut decoder = Decoder::default();
    parquet_rows::each_row(out, file, |out, bytes, offset| {
        let Decoded { record: raw, lossy } = match decoder.decode::<Row<'_>>(bytes) {
            Ok(decoded) => decoded,
            Err(rule) => return out.malformed(rule, offset),
        };
        let Some(text) = raw.tweet.as_str() else { return out.malformed("not_a_record", offset) };
        let at = raw.date.filled().and_then(|date| table_time(date, None));
        let undated = (at.is_none() && raw.date.filled().is_some()).then_some("date");
        let id = raw.id.filled().and_then(whole_id);
        let ruined = (id.is_none() && is_written(raw.id.filled())).then_some("id");
        out.conflicts(raw.conflicts().chain(undated).chain(ruined), offset);
        let facts = Facts {
            id,
            author: raw.user.filled(),
            at,
            reply_to: None,
            engagement: raw.likes.int(),
            replies: raw.replies.int(),
        };
        row_record(out, &facts, text, String::new(), offset, lossy)
    })
}

/// Reads a Parquet file of users: the class of each by what it says of itself, as a message under its pseudonym.
pub(super) fn read_users(out: &mut Output<'_>, file: Box<dyn ReadSeek>) -> Read {
    let mut decoder = Decoder::default();
    parquet_rows::each_row(out, file, |out, bytes, offset| {
        let Ok(Decoded { record: raw, .. }) = decoder.decode::<Row<'_>>(bytes) else {
            return out.malformed("invalid_json", offset);
        };
        let Some(handle) = raw.user.filled() else { return out.malformed("not_a_record", offset) };
        out.conflicts(raw.conflicts(), offset);
        let class = author_class::twitter(handle, raw.description.as_str().unwrap_or_default());
        let id = out.facts().names.author_id(out.facts().platform, handle);
        out.record(Record {
            own_id: Some(Cow::Borrowed(id.as_str())),
            text: Cow::Borrowed(class.as_str()),
            offset,
            ..Record::default()
        })
    })
}

/// The error for a table that is neither.
pub(super) fn neither(out: &Output<'_>) -> StageError {
    out.location().failed(
        "is Parquet without the columns `user` and `tweet`, or `user` and `description`, of twitter100m",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_whole_or_none() {
        for (id, whole) in [("570306133677760513", true), (" 12 ", true), ("5.70306E+17", false), ("", false)]
        {
            assert_eq!(whole_id(id).is_some(), whole, "{id}");
        }
        for (url, id) in [
            ("https://twitter.com/ada/status/123", Some("123")),
            ("https://x.com/ada/status/123?s=20", Some("123")),
            ("https://example.org/", None),
        ] {
            assert_eq!(id_of_url(url), id, "{url}");
        }
    }
}
