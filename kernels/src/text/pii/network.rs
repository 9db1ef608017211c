//! IP addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::text::links::pattern;

static VERSION_4: LazyLock<Regex> = LazyLock::new(|| pattern(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"));

static VERSION_6: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:[0-9A-Fa-f]{1,4})?(?::[0-9A-Fa-f]{0,4}){2,8}(?:\.[0-9]{1,3}){0,3}"));

/// Words before four numbers with points between them that say that these are no address.
const VERSION_WORDS: [&str; 6] = ["version", "ver", "v", "section", "chapter", "build"];

/// Byte ranges of the IP addresses of a text.
pub(super) fn addresses(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    version_6(text).chain(version_4(text))
}

fn version_4(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    VERSION_4
        .find_iter(text)
        .filter(|found| {
            let before = &text[..found.start()];
            let mut after = text[found.end()..].chars();
            let touches = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let next = after.next();
            let goes_on = next.is_some_and(touches)
                || (next == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit()));
            let in_sequence = before.chars().next_back().is_some_and(|c| touches(c) || c == '.' || c == '$');
            let last_word = before.trim_end().rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
            let is_version = VERSION_WORDS.iter().any(|word| last_word.eq_ignore_ascii_case(word));
            !goes_on && !in_sequence && !is_version && found.as_str().parse().is_ok_and(is_somebodys_4)
        })
        .map(|found| found.range())
}

fn version_6(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    VERSION_6.find_iter(text).filter_map(|found| {
        // A colon after the address belongs to the sentence.
        let address = found.as_str();
        let address = address.strip_suffix(':').filter(|rest| !rest.ends_with(':')).unwrap_or(address);
        let end = found.start() + address.len();
        let touches = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let touched = text[..found.start()].chars().next_back().is_some_and(touches)
            || text[end..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let groups: Vec<&str> = address.split(':').filter(|group| !group.is_empty()).collect();
        // `a::b` is a path in a program as well as an address: ask for more than that.
        let looks_written = address.bytes().any(|b| b.is_ascii_digit())
            && (groups.len() >= 3
                || groups.iter().any(|group| group.len() == 4 && group.starts_with(['2', '3', 'f', 'F'])));
        (!touched && looks_written && address.parse().is_ok_and(is_somebodys_6)).then_some(found.start()..end)
    })
}

fn is_somebodys_4(address: Ipv4Addr) -> bool {
    !(address.is_loopback() || address.is_unspecified() || address.is_broadcast())
}

fn is_somebodys_6(address: Ipv6Addr) -> bool {
    !(address.is_loopback() || address.is_unspecified())
}
