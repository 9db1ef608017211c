//! Amazon Reviews 2023: `<Category>.jsonl.gz` of reviews and `meta_<Category>.jsonl.gz` of products.

use std::borrow::Cow;

use genome_schemas::EventKind;
use serde::Serialize;

use super::author_class::AuthorClass;
use super::fields::{Flag, Number, Text, Texts};
use super::json::{Decoded, JsonRecord, decode, json_record};
use super::json_lines::each_line;
use super::output::{Output, Read};
use super::record::Record;
use super::text::{decode_entities, shortened, then};
use super::time::epoch_micros;

json_record! {
    struct Review<'a> {
        rating: Number = "rating",
        title: Text<'a> = "title",
        text: Text<'a> = "text",
        asin: Text<'a> = "asin",
        parent_asin: Text<'a> = "parent_asin",
        user_id: Text<'a> = "user_id",
        timestamp: Number = "timestamp",
        helpful_vote: Number = "helpful_vote",
        verified: Flag = "verified_purchase",
    }
}

json_record! {
    struct Item<'a> {
        parent_asin: Text<'a> = "parent_asin",
        title: Text<'a> = "title",
        subtitle: Text<'a> = "subtitle",
        main_category: Text<'a> = "main_category",
        categories: Texts<'a> = "categories",
        features: Texts<'a> = "features",
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

/// Whether a file of this name holds products and not reviews.
pub(super) fn is_item_file(name: &str) -> bool {
    name.starts_with("meta_")
}

/// Reads one file of reviews.
pub(super) fn read_reviews(out: &mut Output<'_>) -> Read {
    let mut scratch = Vec::new();
    each_line(out, |out, line, offset| review(out, line, offset, &mut scratch))
}

fn review(out: &mut Output<'_>, line: &[u8], offset: u64, scratch: &mut Vec<u8>) -> Read {
    let Decoded { record: raw, lossy } = match decode::<Review<'_>>(line, scratch) {
        Ok(decoded) => decoded,
        Err(rule) => return out.malformed(rule, offset),
    };
    let item = raw.parent_asin.filled().or(raw.asin.filled());
    if raw.user_id.filled().is_none() && (item.is_none() || !raw.text.is_present()) {
        return out.malformed("not_a_record", offset);
    }
    // The scale is 1 to 5; a 0 stands where nothing was rated.
    let rating = raw.rating.get().filter(|rating| (1.0..=5.0).contains(rating));
    let out_of_scale = (rating.is_none() && raw.rating.get().is_some()).then_some("rating");
    out.conflicts(raw.conflicts().chain(out_of_scale), offset);
    let author = raw.user_id.filled();
    let attributes = Attributes { verified: raw.verified.get() };
    out.record(Record {
        kind: EventKind::Review,
        author,
        author_class: if author.is_some() { AuthorClass::Person } else { AuthorClass::Deleted },
        at: raw.timestamp.get().and_then(epoch_micros),
        title: raw.title.filled().map(clean),
        text: clean(raw.text.as_str().unwrap_or_default()),
        item_id: item,
        root_id: item,
        rating,
        engagement: raw.helpful_vote.int(),
        attributes: serde_json::to_string(&attributes).unwrap_or_default(),
        offset,
        lossy,
        ..Record::default()
    })
}

/// Reads one file of products, as context.
pub(super) fn read_items(out: &mut Output<'_>) -> Read {
    let mut scratch = Vec::new();
    each_line(out, |out, line, offset| item(out, line, offset, &mut scratch))
}

fn item(out: &mut Output<'_>, line: &[u8], offset: u64, scratch: &mut Vec<u8>) -> Read {
    let Decoded { record: raw, lossy } = match decode::<Item<'_>>(line, scratch) {
        Ok(decoded) => decoded,
        Err(rule) => return out.malformed(rule, offset),
    };
    let Some(id) = raw.parent_asin.filled() else { return out.malformed("not_a_record", offset) };
    out.conflicts(raw.conflicts(), offset);
    let categories = match joined(&raw.categories, " > ") {
        none if none.is_empty() => raw.main_category.as_str().unwrap_or_default().to_owned(),
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
    let text =
        then(Cow::Borrowed(text), |text| if text.contains("<br") { break_lines(text) } else { text.into() });
    then(
        then(text, decode_entities),
        |text| if text.contains("[[") { without_markers(text) } else { text.into() },
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
