//! Amazon reviews and products: the releases of 2014, 2018 and 2023, and the table of the old public set.
//!
//! | release | reviews | products |
//! |---|---|---|
//! | 2014 | `reviews_<Category>.json.gz` | `meta_<Category>.json.gz`, Python literals |
//! | 2018 | `<Category>.json.gz` | `meta_<Category>.json.gz` |
//! | 2023 | `<Category>.jsonl.gz`, times in milliseconds | `meta_<Category>.jsonl.gz` |
//! | table | `amazon_reviews_<country>_<Category>.tsv.gz` | in the reviews |

mod table;

use std::borrow::Cow;

use genome_schemas::EventKind;
use serde::Serialize;

use super::author_class::AuthorClass;
use super::bytes::container::{Dump, open};
use super::config::Format;
use super::json_lines::each_line_in;
use super::json_objects::{is_json, objects, open_dump};
use super::listing::InputFile;
use super::members::each_member;
use super::output::{Output, Read};
use super::parquet_rows;
use super::record::Record;
use super::values::fields::{Epoch, Flag, Number, Text, Texts};
use super::values::json::{Decoded, Decoder, JsonRecord, json_record};
use super::values::python;
use super::values::text::{decode_entities, shortened, then};
use super::values::time::{epoch_micros, review_date};

json_record! {
    struct Review<'a> {
        rating: Number = "rating" | "overall" | "star_rating",
        title: Text<'a> = "title" | "summary" | "review_headline",
        text: Text<'a> = "text" | "reviewText" | "review_body",
        asin: Text<'a> = "asin" | "product_id",
        parent_asin: Text<'a> = "parent_asin",
        user_id: Text<'a> = "user_id" | "reviewerID" | "customer_id",
        native_id: Text<'a> = "review_id",
        timestamp: Epoch = "timestamp" | "unixReviewTime",
        date: Text<'a> = "reviewTime" | "review_date",
        helpful_vote: Number = "helpful_vote" | "helpful_votes",
        vote: Text<'a> = "vote",
        helpful: Texts<'a> = "helpful",
        verified: Flag = "verified_purchase" | "verified",
        product_title: Text<'a> = "product_title",
    }
}

json_record! {
    struct Item<'a> {
        asin: Text<'a> = "asin",
        parent_asin: Text<'a> = "parent_asin",
        title: Text<'a> = "title",
        subtitle: Text<'a> = "subtitle",
        main_category: Text<'a> = "main_category" | "main_cat",
        categories: Texts<'a> = "categories" | "category",
        features: Texts<'a> = "features" | "feature",
        description: Texts<'a> = "description",
    }
}

#[derive(Serialize)]
struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
}

/// Characters of categories, features and description that a review's context carries beside the product's title.
const ITEM_CHARS: usize = 600;

/// Whether a file holds products and not reviews: by its name, else by the fields of its first records.
pub(super) fn holds_items(file: &InputFile) -> bool {
    if file.location.name().contains("meta_") {
        return true;
    }
    if file.location.local().is_none() {
        return false;
    }
    let stream = match open(&file.location) {
        Ok(Dump::File(stream)) => stream,
        Ok(Dump::Archive(archive)) => {
            let mut read = archive.members().iter().filter(|name| is_json(name)).peekable();
            return read.peek().is_some() && read.all(|name| name.contains("meta_"));
        }
        _ => return false,
    };
    let has = |field: &[u8]| memchr::memmem::find(stream.head(), field).is_some();
    has(b"asin") && ![&b"reviewerID"[..], b"user_id", b"customer_id"].into_iter().any(has)
}

/// Reads one file of reviews.
pub(super) fn read_reviews(out: &mut Output<'_>) -> Read {
    let mut decoder = Decoder::default();
    each_record(out, |out, line, offset| review_line(out, line, offset, &mut decoder))
}

/// Gives every record of the dump to `read`, as JSON.
fn each_record(out: &mut Output<'_>, mut read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read) -> Read {
    if let Some(range) = out.range() {
        return each_line_in(out, range, read);
    }
    let wanted = |name: &str| is_json(name) || name.contains(".tsv");
    match open_dump(out)? {
        None => Ok(()),
        Some(Dump::Parquet(file)) => parquet_rows::each_row(out, file, read),
        Some(dump) => each_member(out, dump, wanted, |out, member| match member.format(out) {
            Format::Tsv | Format::Csv => table::reviews(out, member.stream),
            _ => objects(out, member, &mut read),
        }),
    }
}

fn review_line(out: &mut Output<'_>, line: &[u8], offset: u64, decoder: &mut Decoder) -> Read {
    match decoder.decode::<Review<'_>>(line) {
        Ok(Decoded { record, lossy }) => review(out, &record, offset, lossy),
        Err(rule) => out.malformed(rule, offset),
    }
}

fn review(out: &mut Output<'_>, raw: &Review<'_>, offset: u64, lossy: bool) -> Read {
    let item = raw.parent_asin.filled().or(raw.asin.filled());
    if raw.user_id.filled().is_none() && (item.is_none() || !raw.text.is_present()) {
        return out.malformed("not_a_record", offset);
    }
    // The scale is 1 to 5; a 0 stands where nothing was rated.
    let rating = raw.rating.get().filter(|rating| (1.0..=5.0).contains(rating));
    let out_of_scale = (rating.is_none() && raw.rating.get().is_some()).then_some("rating");
    let (at, untimely) = time(raw);
    let votes = votes(raw);
    let uncounted = (votes.is_none() && raw.vote.filled().is_some()).then_some("vote");
    out.conflicts(raw.conflicts().chain(out_of_scale).chain(untimely).chain(uncounted), offset);
    let author = raw.user_id.filled();
    let attributes = Attributes { verified: raw.verified.get() };
    out.record(Record {
        kind: EventKind::Review,
        author,
        author_class: if author.is_some() { AuthorClass::Person } else { AuthorClass::Deleted },
        native_id: raw.native_id.filled(),
        at,
        title: raw.title.filled().map(clean),
        text: clean(raw.text.as_str().unwrap_or_default()),
        quoted: raw.product_title.filled().map(|title| (None, clean(title))),
        item_id: item,
        root_id: item,
        rating,
        engagement: votes,
        attributes: serde_json::to_string(&attributes).unwrap_or_default(),
        offset,
        lossy,
        ..Record::default()
    })
}

/// The first review stood there in 1995, and epochs in seconds reach this one in 2096.
const EPOCHS: std::ops::Range<f64> = 7.9e8..4e9;
/// Two days in microseconds: the date of a review is midnight somewhere.
const SAME_DAY: i64 = 2 * 86_400_000_000;

/// When a review was written, and the field that is wrong about it, if one is.
///
/// Where a date is written out beside the epoch and they differ, the date is right: one file of 2018 has its epochs
/// wrong by a factor of ten. Without a date, such an epoch is put right by that factor.
fn time(raw: &Review<'_>) -> (Option<i64>, Option<&'static str>) {
    let date = raw.date.filled().and_then(review_date);
    let undated = (date.is_none() && raw.date.filled().is_some()).then_some("reviewTime");
    let Some(epoch) = raw.timestamp.get() else { return (date, undated) };
    let exact = epoch_micros(epoch);
    if let (Some(date), Some(exact)) = (date, exact) {
        return if (date - exact).abs() <= SAME_DAY {
            (Some(exact), None)
        } else {
            (Some(date), Some("timestamp"))
        };
    }
    let scaled = [epoch / 10.0, epoch * 10.0].into_iter().find(|epoch| EPOCHS.contains(epoch));
    let is_seconds = epoch < 1e11;
    match scaled {
        Some(seconds) if is_seconds && !EPOCHS.contains(&epoch) => (epoch_micros(seconds), Some("timestamp")),
        _ => (exact, undated),
    }
}

/// How many found a review helpful: a number, a string with commas in the thousands, or the first of a pair.
fn votes(raw: &Review<'_>) -> Option<i64> {
    raw.helpful_vote
        .int()
        .or_else(|| raw.vote.filled().and_then(|vote| vote.replace(',', "").parse().ok()))
        .or_else(|| raw.helpful.iter().next().and_then(|up| up.parse().ok()))
}

/// Reads one file of products, as context.
pub(super) fn read_items(out: &mut Output<'_>) -> Read {
    let mut decoder = Decoder::default();
    each_record(out, |out, line, offset| item_line(out, line, offset, &mut decoder))
}

fn item_line(out: &mut Output<'_>, line: &[u8], offset: u64, decoder: &mut Decoder) -> Read {
    // Most dicts of Python begin like this, and no JSON does, so that need not be tried.
    let rule = if line.starts_with(b"{'") {
        "invalid_json"
    } else {
        match decoder.decode::<Item<'_>>(line) {
            Ok(Decoded { record, lossy }) => return item(out, &record, offset, lossy),
            Err(rule) => rule,
        }
    };
    let is_dict = line.trim_ascii_start().starts_with(b"{");
    let Some(json) = is_dict.then(|| python::to_json(line)).flatten() else {
        return out.malformed(rule, offset);
    };
    match decoder.decode::<Item<'_>>(&json) {
        Ok(Decoded { record, lossy }) => {
            let invalid = std::str::from_utf8(line).is_err();
            item(out, &record, offset, lossy || invalid)
        }
        Err(rule) => out.malformed(rule, offset),
    }
}

fn item(out: &mut Output<'_>, raw: &Item<'_>, offset: u64, lossy: bool) -> Read {
    let id = raw.parent_asin.filled().or(raw.asin.filled());
    let Some(id) = id else { return out.malformed("not_a_record", offset) };
    out.conflicts(raw.conflicts(), offset);
    let categories = match joined(&raw.categories, " > ") {
        // The category of 2018 is a picture for some products.
        none if none.is_empty() => {
            raw.main_category.as_str().filter(|name| !name.contains('<')).unwrap_or_default().to_owned()
        }
        some => some,
    };
    let about = [
        raw.subtitle.as_str().unwrap_or_default(),
        &categories,
        &joined(&raw.features, "; "),
        &joined(&raw.description, " "),
    ];
    let about: Vec<&str> = about.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect();
    out.record(Record {
        own_id: Some(Cow::Borrowed(id)),
        title: raw.title.filled().map(clean),
        text: shortened(Cow::Owned(clean(&about.join("\n")).into_owned()), ITEM_CHARS),
        offset,
        lossy,
        ..Record::default()
    })
}

fn joined(texts: &Texts<'_>, separator: &str) -> String {
    texts.iter().map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(separator)
}

/// A text without the markup that Amazon's editor left in it: line breaks, character references, video and
/// product placeholders.
fn clean(text: &str) -> Cow<'_, str> {
    // A single byte is found faster, and is rarely there.
    let holds = |text: &str, mark: &str| {
        memchr::memchr(mark.as_bytes()[0], text.as_bytes()).is_some_and(|at| text[at..].contains(mark))
    };
    let text = then(text.into(), |text| if holds(text, "<br") { break_lines(text) } else { text.into() });
    then(
        then(text, decode_entities),
        |text| if holds(text, "[[") { without_markers(text) } else { text.into() },
    )
}

fn break_lines(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("<br") {
        let tag = &rest[start + 3..];
        let inside = tag.trim_start_matches([' ', '/']);
        let Some(after) = inside.strip_prefix('>') else {
            out.push_str(&rest[..start + 3]);
            rest = tag;
            continue;
        };
        out.push_str(&rest[..start]);
        out.push('\n');
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Drops `[[VIDEOID:…]]`, and keeps the name in `[[ASIN:B000000000 name]]`.
fn without_markers(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("[[") {
        let marker = &rest[start + 2..];
        let known = ["VIDEOID:", "ASIN:"].iter().find_map(|kind| marker.strip_prefix(kind));
        let Some((inside, after)) = known.and_then(|inside| inside.split_once("]]")) else {
            out.push_str(&rest[..start + 2]);
            rest = marker;
            continue;
        };
        out.push_str(&rest[..start]);
        out.push_str(inside.split_once(' ').map_or("", |(_, name)| name));
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_taken_out() {
        for (text, expected) in [
            ("plain <b>text</b>", "plain <b>text</b>"),
            ("one<br />two<br>three<br/>four <brave>", "one\ntwo\nthree\nfour <brave>"),
            ("4&#34; wide &amp; good", "4\" wide & good"),
            ("[[VIDEOID:abc123]] Look", "Look"),
            ("like [[ASIN:B000000000 Blue Kettle]] but red", "like Blue Kettle but red"),
            ("[[1, 2], [3]]", "[[1, 2], [3]]"),
        ] {
            assert_eq!(clean(text), expected, "{text}");
        }
    }
}
