//! Personal identifiers in a text: found, and replaced by placeholders.
//!
//! Identifiers are those that can be told by their form: e-mail addresses, phone numbers, IP addresses, payment
//! cards, bank accounts, numbers of persons, street addresses, links to profiles, names of accounts. Names of people
//! are not found here. Where a form is ambiguous the check that belongs to it decides (a card's check digit, an
//! account's remainder, a number plan), or a word before it (`call`, `ssn`, `live at`), so that years, prices, dates
//! and the ids of platforms stay what they are.
//!
//! The pseudonyms that readers write for the names of a platform (`@user_1a2b3c4d`, `u/user_17`) are no identifiers.

mod account;
mod address;
mod checksum;
mod continental;
mod email;
mod handle;
mod kind;
mod lettered_id;
mod national_id;
mod network;
mod normal;
mod personal_url;
mod phone;
mod plans;
mod scan;
mod signs;
mod street;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use kind::{PiiKind, PiiKinds};
pub use normal::normal_form;
use scan::Group;
use signs::Signs;

/// An identifier and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PiiSpan {
    /// What it is.
    pub kind: PiiKind,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset after its last byte.
    pub end: usize,
}

/// The identifiers of a text, of every kind, in order and disjoint.
pub fn spans(text: &str) -> Vec<PiiSpan> {
    spans_of(text, PiiKinds::ALL)
}

/// The identifiers of a text that are of one of `kinds`, in order and disjoint: all that are found before a text
/// with placeholders in their stead holds none.
pub fn spans_of(text: &str, kinds: PiiKinds) -> Vec<PiiSpan> {
    let mut spans = scan_once(text, kinds);
    let mut fresh = !spans.is_empty();
    // A number beside another counts once that one is gone.
    while fresh {
        let (redacted, places) = replaced(text, &spans, &|_, _| None);
        let more = scan_once(&redacted, kinds);
        let known = spans.len();
        for span in more {
            // Places are in order: the last one at or before the span tells how far text has moved.
            let before = places.partition_point(|place| place.start <= span.start);
            let next = places.get(before).is_some_and(|place| place.start < span.end);
            let inside = before.checked_sub(1).is_some_and(|last| span.start < places[last].end);
            if next || inside {
                continue;
            }
            let (from, to) = before.checked_sub(1).map_or((0, 0), |last| (places[last].end, spans[last].end));
            spans.push(PiiSpan { start: span.start - from + to, end: span.end - from + to, ..span });
        }
        fresh = spans.len() > known;
        spans.sort_unstable_by_key(|span| span.start);
    }
    spans
}

/// Whether a text holds any identifier.
pub fn has_pii(text: &str) -> bool {
    !scan_once(text, PiiKinds::ALL).is_empty()
}

/// The text with each identifier replaced by its kind's placeholder. Of a text that was redacted nothing more is
/// replaced.
///
/// ```
/// use genome_kernels::text::pii::redact;
/// assert_eq!(redact("Mail ann@example.org or call +44 1632 960123."), "Mail <EMAIL> or call <PHONE>.");
/// ```
pub fn redact(text: &str) -> String {
    let spans = spans(text);
    if spans.is_empty() { text.to_owned() } else { replaced(text, &spans, &|_, _| None).0 }
}

/// The text with each identifier of one of `kinds` replaced, and where those stood in `text`.
///
/// `number` is asked for the number of each value, given in its [`normal_form`]: `Some(417)` makes `<EMAIL_417>`,
/// `None` makes `<EMAIL>`. So a caller can give one value of one author the same number everywhere.
///
/// ```
/// use genome_kernels::text::pii::{PiiKinds, redact_with};
/// let (text, spans) = redact_with("Mail ann@example.org.", PiiKinds::ALL, &|_, _| Some(417));
/// assert_eq!(text, "Mail <EMAIL_417>.");
/// assert_eq!((spans[0].start, spans[0].end), (5, 20));
/// ```
pub fn redact_with(
    text: &str,
    kinds: PiiKinds,
    number: &dyn Fn(PiiKind, &str) -> Option<u32>,
) -> (String, Vec<PiiSpan>) {
    let spans = spans_of(text, kinds);
    if spans.is_empty() {
        return (text.to_owned(), spans);
    }
    let named = |kind, value: &str| number(kind, &normal_form(kind, value));
    (replaced(text, &spans, &named).0, spans)
}

/// The text with placeholders instead of `spans`, and where those stand in it. `number` is given values as they
/// are written.
fn replaced(
    text: &str,
    spans: &[PiiSpan],
    number: &dyn Fn(PiiKind, &str) -> Option<u32>,
) -> (String, Vec<Range<usize>>) {
    let mut redacted = String::with_capacity(text.len() + 8 * spans.len());
    let mut places = Vec::with_capacity(spans.len());
    let mut from = 0;
    for span in spans {
        redacted.push_str(&text[from..span.start]);
        let start = redacted.len();
        let placeholder = span.kind.placeholder();
        match number(span.kind, &text[span.start..span.end]) {
            Some(number) => {
                redacted.push_str(placeholder.trim_end_matches('>'));
                redacted.push('_');
                redacted.push_str(&number.to_string());
                redacted.push('>');
            }
            None => redacted.push_str(placeholder),
        }
        places.push(start..redacted.len());
        from = span.end;
    }
    redacted.push_str(&text[from..]);
    (redacted, places)
}

/// One pass over a text: identifiers in order and disjoint; of two that overlap the surer kind stays.
fn scan_once(text: &str, kinds: PiiKinds) -> Vec<PiiSpan> {
    let signs = Signs::of(text);
    if signs.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<PiiSpan> = Vec::new();
    if signs.any(Signs::AT | Signs::BRACKET | Signs::DOT | Signs::SPOKEN) {
        email::addresses(text, signs, &mut found);
        found.retain(|span| kinds.contains(span.kind));
    }
    let links =
        if signs.any(Signs::SLASH | Signs::DIGIT | Signs::AT) { scan::links(text) } else { Vec::new() };
    let groups =
        if signs.any(Signs::DIGIT) && kinds.meets(NUMBERED) { scan::groups(text) } else { Vec::new() };
    let mut add = |kind: PiiKind, range: Range<usize>| {
        found.push(PiiSpan { kind, start: range.start, end: range.end });
    };

    if kinds.contains(PiiKind::IpAddress) && signs.any(Signs::DIGIT) {
        (0..groups.len())
            .filter_map(|at| network::version_4(text, &groups[at..]))
            .for_each(|range| add(PiiKind::IpAddress, range));
        network::version_6(text).for_each(|range| add(PiiKind::IpAddress, range));
    }
    if kinds.contains(PiiKind::PersonalUrl) && signs.any(Signs::SLASH) {
        for range in personal_url::personal_links(text, &links) {
            add(PiiKind::PersonalUrl, range);
        }
    }
    // Numbers inside links are of pages.
    let outside = |range: &Range<usize>| scan::link_at(&links, range).is_none();
    let mut each = |kind: PiiKind, find: &dyn Fn(&[Group]) -> Option<Range<usize>>| {
        if kinds.contains(kind) {
            let ranges = (0..groups.len()).filter_map(|at| find(&groups[at..])).filter(outside);
            ranges.for_each(|range| add(kind, range));
        }
    };
    each(PiiKind::Iban, &|groups| account::iban(text, &groups[0]));
    each(PiiKind::Card, &|groups| account::card(text, groups));
    each(PiiKind::NationalId, &|groups| {
        national_id::number(text, groups).or_else(|| lettered_id::lettered(text, groups))
    });
    each(PiiKind::StreetAddress, &|groups| {
        address::address(text, &groups[0]).or_else(|| continental::address(text, &groups[0]))
    });
    each(PiiKind::Phone, &|groups| phone::phone(text, groups));
    if signs.any(Signs::HASH) {
        each(PiiKind::Handle, &|groups| handle::numbered(text, groups));
    }
    if kinds.contains(PiiKind::Handle) {
        if signs.any(Signs::AT) {
            handle::at_names(text).filter(outside).for_each(|range| add(PiiKind::Handle, range));
        }
        if signs.any(Signs::SLASH) {
            handle::u_names(text).filter(outside).for_each(|range| add(PiiKind::Handle, range));
        }
    }
    disjoint(found)
}

/// Kinds that are looked for around groups of digits.
const NUMBERED: PiiKinds = PiiKinds::ALL.without(PiiKind::Email).without(PiiKind::PersonalUrl);

/// Those of `found` that overlap none before them, in the order of the text. Finders ran the surest first.
fn disjoint(found: Vec<PiiSpan>) -> Vec<PiiSpan> {
    if found.len() < 2 {
        return found;
    }
    let mut kept: std::collections::BTreeMap<usize, PiiSpan> = std::collections::BTreeMap::new();
    for span in found {
        let before = kept.range(..span.end).next_back();
        if before.is_none_or(|(_, other)| other.end <= span.start) {
            kept.insert(span.start, span);
        }
    }
    kept.into_values().collect()
}
