//! Names of accounts: `@name`, `u/name`, `name#1234`.
//!
//! Pseudonyms (`@user_1a2b3c4d`, `u/user_17`), which readers write for the names of a platform, stay.

use std::ops::Range;

use super::scan::{Gap, Group, joins_word, said_before};

/// Words behind `@` that name nobody: everybody, a stand-in, a place, or an annotation of a program.
const NOBODY: [&str; 48] = [
    "anonymous",
    "anon",
    "user",
    "username",
    "usr",
    "someone",
    "somebody",
    "name",
    "mention",
    "handle",
    "all",
    "everyone",
    "here",
    "channel",
    "home",
    "work",
    "school",
    "media",
    "import",
    "param",
    "return",
    "returns",
    "override",
    "deprecated",
    "test",
    "author",
    "throws",
    "since",
    "see",
    "link",
    "property",
    "component",
    "font",
    "keyframes",
    "include",
    "extend",
    "mixin",
    "interface",
    "end",
    "the",
    "my",
    "your",
    "this",
    "that",
    "about",
    "least",
    "once",
    "midnight",
];

/// Words before `#1234` that count things.
const COUNTED: [&str; 40] = [
    "issue", "issues", "pr", "bug", "ticket", "order", "case", "page", "item", "no", "post", "comment",
    "line", "part", "model", "chapter", "episode", "number", "room", "unit", "apt", "suite", "ste", "lot",
    "box", "route", "id", "ref", "invoice", "store", "shop", "rule", "figure", "fig", "task", "job", "ch",
    "ep", "rev", "thread",
];

/// Whether a name is a pseudonym: `user_` and a number in decimal or hexadecimal form.
pub(super) fn is_pseudonym(name: &str) -> bool {
    let tail = name.get(..5).filter(|head| head.eq_ignore_ascii_case("user_")).map(|_| &name[5..]);
    tail.is_some_and(|tail| (1..=16).contains(&tail.len()) && tail.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The names behind `@`.
pub(super) fn at_names(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.match_indices('@').filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let len = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let name = rest[..len].trim_end_matches('.');
        let end = at + 1 + name.len();
        let before = text[..at].chars().next_back();
        let joined = before.is_some_and(|c| joins_word(c) || "_@/.-+%<>=&".contains(c))
            || text[end..].starts_with(|c: char| joins_word(c) || "@-/(=:".contains(c) && c != ':');
        let usable = (3..=30).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.contains(|c: char| c.is_ascii_alphanumeric())
            && !name.contains("..")
            && !is_domain(name);
        let nobody = NOBODY.iter().any(|word| name.eq_ignore_ascii_case(word)) || is_pseudonym(name);
        (!joined && usable && !nobody).then_some(at..end)
    })
}

/// Whether what stands behind `@` is the domain of an address.
fn is_domain(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ["com", "org", "net", "edu", "gov", "co", "io", "uk", "de", "fr", "it", "es", "ru"]
        .iter()
        .any(|other| ending.eq_ignore_ascii_case(other))
}

/// The names behind `u/`.
pub(super) fn u_names(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.match_indices("u/").filter_map(|(at, _)| {
        let rest = &text[at + 2..];
        let len =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
        let name = &rest[..len];
        let end = at + 2 + len;
        let start = if text[..at].ends_with('/') { at - 1 } else { at };
        let joined = text[..start].ends_with(|c: char| joins_word(c) || "_@/.-<>=".contains(c))
            || text[end..].starts_with(|c: char| joins_word(c) || c == '/' || c == '<');
        let usable = (3..=20).contains(&len)
            && !is_pseudonym(name)
            && name.contains(|c: char| c.is_ascii_alphanumeric());
        (!joined && usable).then_some(start..end)
    })
}

/// The name with a number behind `#` (Discord, Battle.net) whose number is the first of `groups`.
pub(super) fn numbered(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    let group = groups.first()?;
    // In `card#4111 1111 1111 1111` it is the beginning of a longer number.
    let joined = |at: usize| groups.get(at).is_some_and(|group| group.gap != Gap::Far);
    let is_long = |at: usize| groups.get(at).is_some_and(|group| group.len() >= 4);
    if joined(0) && joined(1) && is_long(1) && is_long(2) {
        return None;
    }
    if !(4..=5).contains(&group.len()) || text.as_bytes().get(group.start.checked_sub(1)?) != Some(&b'#') {
        return None;
    }
    let before = &text[..group.start - 1];
    // A name of Han letters is taken as far as they go; behind others they are the sentence around it.
    let spaced = before.ends_with(|c: char| joins_word(c) || matches!(c, '_' | '.'));
    let joins = |c: char| joins_word(c) || !spaced && c.is_alphanumeric();
    let part = |c: char| joins(c) || matches!(c, '_' | '.');
    let start =
        before.rfind(|c| !part(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let name = before[start..].trim_start_matches('.');
    let start = group.start - 1 - name.len();
    let joined = text[..start].ends_with(['/', '@', '#', '<', '>', '=', '&', '-'])
        || text[group.end..].starts_with(|c: char| joins(c) || "_#/-<".contains(c));
    let counted = COUNTED.iter().any(|word| name.eq_ignore_ascii_case(word))
        || name.chars().all(|c| c.is_ascii_digit());
    let said = said_before(text, start, 4, &["discord", "battletag", "tag", "blizzard", "battlenet"]);
    let usable = (2..=32).contains(&name.chars().count()) && (!counted || said) && !is_pseudonym(name);
    (usable && !joined).then_some(start..group.end)
}
