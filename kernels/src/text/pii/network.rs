//! IP addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::scan::{Gap, Group, is_unspaced, joins_word, said_before};

/// Words before four numbers with points between them that say that these are no address.
const VERSION_WORDS: [&str; 12] = [
    "version",
    "ver",
    "v",
    "section",
    "chapter",
    "build",
    "release",
    "firmware",
    "ios",
    "paragraph",
    "§",
    "rule",
];

/// What says the same right before the numbers in scripts without blanks.
const VERSION_ENDS: [&str; 4] = ["版本", "バージョン", "버전", "第"];

/// Words before an address.
const ADDRESS_WORDS: [&str; 6] = ["ip", "ipv4", "address", "server", "host", "ping"];

/// Resolvers that everybody uses: they say nothing about anybody.
const PUBLIC_RESOLVERS: [[u8; 4]; 6] =
    [[8, 8, 8, 8], [8, 8, 4, 4], [1, 1, 1, 1], [1, 0, 0, 1], [9, 9, 9, 9], [208, 67, 222, 222]];

/// The address of version 4 that starts with the first of `groups`, which all belong to `text`.
pub(super) fn version_4(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    let quad = groups.get(..4)?;
    if quad[..3].iter().any(|group| group.gap != Gap::Dot) || quad.iter().any(|group| group.len() > 3) {
        return None;
    }
    let range = quad[0].start..quad[3].end;
    let octet = |at: usize| text[quad[at].start..quad[at].end].parse::<u8>().ok();
    let address = [octet(0)?, octet(1)?, octet(2)?, octet(3)?];

    let touches = |c: char| joins_word(c) || c == '_';
    let mut before = text[..range.start].chars().rev();
    let joined_before = match before.next() {
        Some('-') => before.next().is_some_and(char::is_alphabetic),
        Some('.') => before.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => touches(c) || c == '$',
        None => false,
    };
    let mut after = text[range.end..].chars();
    let joined_after = match after.next() {
        Some('-') => after.next().is_some_and(char::is_alphabetic),
        Some('.') => after.next().is_some_and(|c| c.is_ascii_digit()),
        next => next.is_some_and(touches),
    };
    let head = text[..range.start].trim_end_matches([' ', ':', '：']);
    let is_version = said_before(text, range.start, 1, &VERSION_WORDS)
        || VERSION_ENDS.iter().any(|end| head.ends_with(*end));
    // Versions of programs have small numbers (`4.0.207.0`), an address has them by chance only.
    // Beside letters without spaces before numbers, more of them are versions.
    let beside = text[..range.start].ends_with(is_unspaced) || text[range.end..].starts_with(is_unspaced);
    let least = if beside { 32 } else { 10 };
    let small = address[0] < least && address[1..].iter().filter(|octet| **octet < 32).count() >= 2;
    let meant =
        !small || text[..range.start].ends_with("://") || said_before(text, range.start, 3, &ADDRESS_WORDS);
    (!joined_before && !joined_after && !is_version && meant && is_somebodys_4(address)).then_some(range)
}

/// The addresses of version 6 of a text.
pub(super) fn version_6(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let bytes = text.as_bytes();
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let colon = from + memchr::memchr(b':', &bytes[from..])?;
            let part = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
            let start = colon - bytes[from..colon].iter().rev().take_while(|b| part(b)).count();
            let end = colon + bytes[colon..].iter().take_while(|b| part(b)).count();
            from = end.max(colon + 1);
            if let Some(range) = address_6(text, start..end) {
                return Some(range);
            }
        }
    })
}

fn address_6(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    // A colon or a full stop after the address belongs to the sentence.
    let address = text[range.clone()].trim_end_matches('.');
    let address = address.strip_suffix(':').filter(|rest| !rest.ends_with(':')).unwrap_or(address);
    let end = range.start + address.len();
    let touches = |c: char| joins_word(c) || c == '_';
    let touched = text[..range.start].chars().next_back().is_some_and(|c| touches(c) || c == ':')
        || text[end..].chars().next().is_some_and(touches);
    let groups = || address.split(':').filter(|group| !group.is_empty());
    // `a::b` is a path in a program as well as an address: ask for more than that.
    let looks_written = address.bytes().any(|b| b.is_ascii_digit())
        && (groups().count() >= 3
            || groups().any(|group| group.len() == 4 && group.starts_with(['2', '3', 'f', 'F'])));
    (!touched && looks_written && address.parse().is_ok_and(is_somebodys_6)).then_some(range.start..end)
}

fn is_somebodys_4(octets: [u8; 4]) -> bool {
    let address = Ipv4Addr::from(octets);
    let is_mask = octets[0] == 255;
    !(address.is_loopback() || address.is_unspecified() || is_mask || PUBLIC_RESOLVERS.contains(&octets))
}

fn is_somebodys_6(address: Ipv6Addr) -> bool {
    !(address.is_loopback() || address.is_unspecified())
}
