//! Personal identifiers in a text: found, and replaced by placeholders.
//!
//! Identifiers are those that can be told by their form: e-mail addresses, phone numbers, IP addresses, payment
//! cards and bank accounts. Names and postal addresses are not found here. Where a form is ambiguous the check that
//! belongs to it decides (a card's check digit, an account's remainder), so that years, prices, dates and the ids
//! of platforms stay what they are.

mod network;
mod numbers;

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::links::{links, pattern};

/// What kind of identifier a [`PiiSpan`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PiiKind {
    /// An e-mail address, also in the form `name [at] example [dot] org`.
    Email,
    /// A phone number: international with `+`, or as written in the United States, Canada and the United Kingdom.
    Phone,
    /// An IP address, version 4 or 6; those of one's own machine (`127.0.0.1`, `::1`) do not count.
    IpAddress,
    /// The number of a payment card.
    Card,
    /// An international bank account number.
    Iban,
}

impl PiiKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Email, Self::Phone, Self::IpAddress, Self::Card, Self::Iban];

    /// The name in tables and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::IpAddress => "ip_address",
            Self::Card => "card",
            Self::Iban => "iban",
        }
    }

    /// What [`redact`] writes in its place.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "<EMAIL>",
            Self::Phone => "<PHONE>",
            Self::IpAddress => "<IP_ADDRESS>",
            Self::Card => "<CARD>",
            Self::Iban => "<IBAN>",
        }
    }
}

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

impl PiiSpan {
    fn new(kind: PiiKind, range: Range<usize>) -> Self {
        Self { kind, start: range.start, end: range.end }
    }
}

/// The identifiers of a text, in order and disjoint.
pub fn spans(text: &str) -> Vec<PiiSpan> {
    let n_digits = text.bytes().filter(u8::is_ascii_digit).count();
    let mut found: Vec<PiiSpan> = emails(text).map(|range| PiiSpan::new(PiiKind::Email, range)).collect();
    if n_digits > 0 && (text.contains('.') || text.contains(':')) {
        found.extend(network::addresses(text).map(|range| PiiSpan::new(PiiKind::IpAddress, range)));
    }
    if n_digits >= numbers::MIN_DIGITS {
        let links: Vec<Range<usize>> = links(text).collect();
        let outside_links = |range: &Range<usize>| !links.iter().any(|link| overlaps(link, range));
        let accounts = numbers::ibans(text).map(|range| PiiSpan::new(PiiKind::Iban, range));
        found.extend(accounts);
        let cards = numbers::cards(text).filter(outside_links);
        found.extend(cards.map(|range| PiiSpan::new(PiiKind::Card, range)));
        let phones = numbers::phones(text).filter(outside_links);
        found.extend(phones.map(|range| PiiSpan::new(PiiKind::Phone, range)));
    }
    // Kinds were added the surest first; of two that overlap the surer stays.
    let mut kept: Vec<PiiSpan> = Vec::with_capacity(found.len());
    for span in found {
        if !kept.iter().any(|other| overlaps(&(other.start..other.end), &(span.start..span.end))) {
            kept.push(span);
        }
    }
    kept.sort_unstable_by_key(|span| span.start);
    kept
}

/// The text with each identifier replaced by its kind's placeholder.
///
/// ```
/// use genome_kernels::text::pii::redact;
/// assert_eq!(redact("Mail ann@example.org or call +44 1632 960123."), "Mail <EMAIL> or call <PHONE>.");
/// ```
pub fn redact(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut from = 0;
    for span in spans(text) {
        redacted.push_str(&text[from..span.start]);
        redacted.push_str(span.kind.placeholder());
        from = span.end;
    }
    redacted.push_str(&text[from..]);
    redacted
}

/// Whether a text holds any identifier.
pub fn has_pii(text: &str) -> bool {
    !spans(text).is_empty()
}

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)[\p{L}\p{N}_%+-]+(?:\.[\p{L}\p{N}_%+-]+)*(?:@|\s?[\[({]\s?at\s?[\])}]\s?)[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?(?:(?:\.|\s?[\[({]\s?dot\s?[\])}]\s?)[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?)*(?:\.|\s?[\[({]\s?dot\s?[\])}]\s?)\p{L}{2,24}",
    )
});

/// The sign of an address that is spelt out.
static SPELT_OUT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i-u)[\[({]\s?at\s?[\])}]"));

fn emails(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    // Names of pictures for dense screens look like addresses: `icon@2x.png`.
    const FILE_ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "gif", "svg", "webp", "css"];
    let may_hold = text.contains('@') || (text.contains(['[', '(', '{']) && SPELT_OUT.is_match(text));
    let pattern = may_hold.then_some(&*EMAIL);
    pattern.into_iter().flat_map(move |pattern| pattern.find_iter(text)).map(|found| found.range()).filter(
        move |range| {
            let ending = text[range.clone()].rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
            !FILE_ENDINGS.contains(&ending.as_str())
        },
    )
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<(PiiKind, &str)> {
        spans(text).into_iter().map(|span| (span.kind, &text[span.start..span.end])).collect()
    }

    /// Every identifier here is of a range that its registry keeps for examples.
    const POSITIVES: &[(PiiKind, &str)] = &[
        (PiiKind::Email, "ann@example.org"),
        (PiiKind::Email, "First.Last+tag@mail.example.co.uk"),
        (PiiKind::Email, "jürgen@exämple.de"),
        (PiiKind::Email, "ann [at] example [dot] org"),
        (PiiKind::Phone, "+44 1632 960123"),
        (PiiKind::Phone, "+1 (212) 555-0147"),
        (PiiKind::Phone, "+49 30 23125 456"),
        (PiiKind::Phone, "+441632960123"),
        (PiiKind::Phone, "+44 (0)20 7946 0123"),
        (PiiKind::Phone, "(212) 555-0147"),
        (PiiKind::Phone, "212-555-0147"),
        (PiiKind::Phone, "212.555.0147"),
        (PiiKind::Phone, "1-212-555-0147"),
        (PiiKind::Phone, "07700 900123"),
        (PiiKind::Phone, "07700900123"),
        (PiiKind::Phone, "020 7946 0123"),
        (PiiKind::Phone, "(0113) 496 0123"),
        (PiiKind::Phone, "01632 960123"),
        (PiiKind::IpAddress, "192.0.2.17"),
        (PiiKind::IpAddress, "2001:db8::8a2e:370:7334"),
        (PiiKind::IpAddress, "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
        (PiiKind::IpAddress, "fe80::1"),
        (PiiKind::Card, "4111 1111 1111 1111"),
        (PiiKind::Card, "4111-1111-1111-1111"),
        (PiiKind::Card, "5555555555554444"),
        (PiiKind::Card, "378282246310005"),
        (PiiKind::Card, "3782 822463 10005"),
        (PiiKind::Card, "6011111111111117"),
        (PiiKind::Iban, "GB82 WEST 1234 5698 7654 32"),
        (PiiKind::Iban, "DE89370400440532013000"),
        (PiiKind::Iban, "NL91 ABNA 0417 1643 00"),
    ];

    const NEGATIVES: &[&str] = &[
        "in 1999 and 2004-2006, on 2004-08-15 and 15.08.2004, 12/31/1999, at 10:30:45",
        "it costs $1,234,567.89 or 1 200 000 euros, 50-60 % off, $212-555-0147",
        "tweet 1234567890123456789, id 900123456789012345, order 112-1234567-1234567",
        "posted at 1095379200 or 1095379200000 or 4095379200000",
        "isbn 978-3-16-148410-0, ean 4006381333931",
        "version 1.2.3.4 and v10.0.19041.1, section 1.2.3.4.5",
        "localhost is 127.0.0.1, everything is 0.0.0.0, ::1",
        "std::vec::Vec, a::b, Foo::bar, 12:30:45, note: this",
        "4111 1111 1111 1112 fails its check",
        "GB82 WEST 1234 5698 7654 33 fails its check, so does AB12 3456",
        "@ann wrote to user@host, icon@2x.png",
        "https://example.com/212-555-0147/4111111111111111",
        "score 3-2, 100-200 people, 10 000 km, 24/7, 1234-5678",
        "the 555 people, 867-5309, room 212 555",
        "meet me (at noon), or [at] last",
        "0 1 2 3 4 5 6 7 8 9 10 11 12",
        "3.14159265358979, 1e-10, 0.0113 496",
        "#212-555-0147 x212-555-01478",
        "",
    ];

    #[test]
    fn identifiers_are_found_whole() {
        for (kind, text) in POSITIVES {
            assert_eq!(found(text), [(*kind, *text)], "{text}");
            for framed in [
                format!("call {text}."),
                format!("({text})"),
                format!("is it “{text}”?"),
                format!("x: {text}, y"),
            ] {
                assert_eq!(found(&framed), [(*kind, *text)], "{framed}");
            }
        }
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in NEGATIVES {
            assert_eq!(found(text), [], "{text}");
            assert_eq!(redact(text), *text);
        }
    }

    #[test]
    fn links_keep_their_numbers_but_not_their_addresses() {
        assert_eq!(
            redact("http://192.0.2.17/x?mail=ann@example.org 212-555-0147"),
            "http://<IP_ADDRESS>/x?mail=<EMAIL> <PHONE>"
        );
    }

    proptest! {
        #[test]
        fn what_is_planted_is_redacted(
            picks in proptest::collection::vec((0..POSITIVES.len(), "[a-z]{2,8}"), 1..6),
        ) {
            let (mut text, mut expected) = (String::new(), String::new());
            for (at, word) in &picks {
                let (kind, identifier) = POSITIVES[*at];
                text.extend([word.as_str(), " ", identifier, "; "]);
                expected.extend([word.as_str(), " ", kind.placeholder(), "; "]);
            }
            prop_assert_eq!(redact(&text), expected);
        }

        #[test]
        fn nothing_is_found_twice(text in "(\\PC|[0-9+@.:() -]|[0-9]{3}-|\\+44|example\\.org|GB82|2001:db8:){0,40}") {
            let spans = spans(&text);
            prop_assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for span in &spans {
                prop_assert!(span.start < span.end && text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
            }
        }

        #[test]
        fn a_card_with_a_wrong_digit_is_no_card(at in 0_usize..16, by in 1_u8..10) {
            let mut digits: Vec<u8> = b"4111111111111111".to_vec();
            digits[at] = b'0' + (digits[at] - b'0' + by) % 10;
            let text = String::from_utf8(digits).unwrap();
            prop_assert!(!found(&text).iter().any(|(kind, _)| *kind == PiiKind::Card));
        }

        #[test]
        fn an_account_with_a_wrong_digit_is_no_account(at in 2_usize..22, by in 1_u8..10) {
            let mut digits: Vec<u8> = b"DE89370400440532013000".to_vec();
            digits[at] = b'0' + (digits[at] - b'0' + by) % 10;
            let text = String::from_utf8(digits).unwrap();
            prop_assert!(!found(&text).iter().any(|(kind, _)| *kind == PiiKind::Iban));
        }
    }
}
