//! What the finders share: groups of digits and what joins them, the words around a number, the links of a text.

use std::ops::Range;

/// What stands between two groups of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// One or two blanks.
    Space,
    /// A hyphen or dash, with or without blanks around it.
    Dash,
    /// A full stop, also in brackets (`192[.]0`).
    Dot,
    /// A slash, with or without blanks around it.
    Slash,
    /// An opening bracket: `+44 (20`, `+44(20`.
    Open,
    /// A closing bracket: `(212) 555`, `(212)-555`.
    Close,
    /// Anything else: the groups do not belong together.
    Far,
}

/// A run of ASCII digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    /// Offset of its first digit.
    pub(super) start: usize,
    /// Offset after its last digit.
    pub(super) end: usize,
    /// What stands before the next group; [`Gap::Far`] at the last.
    pub(super) gap: Gap,
}

impl Group {
    /// Number of digits.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// The groups of digits of a text, in order.
pub(super) fn groups(text: &str) -> Vec<Group> {
    let bytes = text.as_bytes();
    let mut groups: Vec<Group> = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|by| at + by) {
        let len = bytes[start..].iter().position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len() - start);
        if let Some(last) = groups.last_mut() {
            last.gap = gap(&text[last.end..start]);
        }
        at = start + len;
        groups.push(Group { start, end: at, gap: Gap::Far });
    }
    groups
}

fn gap(between: &str) -> Gap {
    // Longest: two blanks of three bytes on both sides of a dash of three.
    if between.len() > 9 {
        return Gap::Far;
    }
    let blank = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}');
    let inner = between.trim_matches(blank);
    let n_before = between.chars().take_while(|c| blank(*c)).count();
    if inner.is_empty() {
        return if n_before <= 2 { Gap::Space } else { Gap::Far };
    }
    let n_after = between.chars().rev().take_while(|c| blank(*c)).count();
    if n_before > 2 || n_after > 2 {
        return Gap::Far;
    }
    match (inner, n_before, n_after) {
        ("-" | "\u{2010}" | "\u{2011}" | "\u{2013}" | "\u{2212}", ..) => Gap::Dash,
        ("." | "[.]" | "(.)", 0, 0) => Gap::Dot,
        ("/", ..) => Gap::Slash,
        ("(" | "-(" | ".(", ..) => Gap::Open,
        (")" | ")-" | ") -" | ")." | ")/", ..) => Gap::Close,
        _ => Gap::Far,
    }
}

/// The digits of `groups` in a row, as numbers.
pub(super) fn digits(text: &str, groups: &[Group]) -> Vec<u8> {
    groups.iter().flat_map(|group| text[group.start..group.end].bytes()).map(|b| b - b'0').collect()
}

/// Whether a number is not a piece of a longer one, a price, a tag or a share. `spaced`: blanks join its groups, so
/// that a blank does not set it apart from the digits beside it.
pub(super) fn stands_alone(text: &str, range: &Range<usize>, spaced: bool) -> bool {
    stands_alone_before(text, range.start, spaced) && stands_alone_after(text, range.end, spaced)
}

/// The half of [`stands_alone`] that looks to the left.
pub(super) fn stands_alone_before(text: &str, at: usize, spaced: bool) -> bool {
    let mut before = text[..at].chars().rev();
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    match before.next() {
        Some(c) if joins_word(c) || "#$£€¥+".contains(c) => false,
        Some('_' | '/') => !before.next().is_some_and(joins_word),
        // A comma between short groups is one between thousands, or of a fraction.
        Some(',') => !(1..=3).contains(&digits_before(&text[..at - 1])),
        Some('.' | '-' | ':' | '*' | '=' | '\u{2010}'..='\u{2013}') => !is_digit(before.next()),
        Some(' ' | '\u{a0}') => !(spaced && is_digit(before.find(|c| *c != ' '))),
        _ => true,
    }
}

/// The half of [`stands_alone`] that looks to the right.
pub(super) fn stands_alone_after(text: &str, at: usize, spaced: bool) -> bool {
    let mut after = text[at..].chars();
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    match after.next() {
        Some(c) if joins_word(c) || "%$£€¥元円圆圓원".contains(c) => false,
        Some('_') => !after.next().is_some_and(joins_word),
        Some(',') => {
            let n_after = text[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
            !(matches!(n_after, 1 | 2) || n_after == 3 && digits_before(&text[..at]) <= 3)
        }
        Some('.' | '-' | ':' | '/' | '*' | '=' | '\u{2010}'..='\u{2013}') => !is_digit(after.next()),
        Some(' ' | '\u{a0}') => !(spaced && is_digit(after.find(|c| *c != ' '))),
        _ => true,
    }
}

/// Whether `#` stands before what starts at `at`: it sets a number apart that a word or a check digit vouches for.
pub(super) fn is_behind_hash(text: &str, at: usize) -> bool {
    text[..at].ends_with('#')
}

/// Whether a slash parts what starts at `at` from a number before it: `212-555-0147/212-555-0148`.
pub(super) fn is_behind_slash(text: &str, at: usize) -> bool {
    text[..at].strip_suffix('/').is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit()))
}

/// Whether a slash parts what ends at `at` from a number after it.
pub(super) fn is_before_slash(text: &str, at: usize) -> bool {
    text[at..].strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether what starts at `at` is the rest of a word.
pub(super) fn is_in_word(text: &str, at: usize) -> bool {
    text[..at].ends_with(joins_word)
}

/// Whether a character beside a number or a name makes it a piece of a longer word.
pub(super) fn joins_word(c: char) -> bool {
    c.is_alphanumeric() && (c.is_numeric() || !is_unspaced(c))
}

/// Whether a character is of a script that sets no blanks around numbers and names: Thai, Lao, Myanmar, Khmer, Han
/// and Kana; in Hangul a particle follows without one.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{0e00}'..='\u{0eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1100}'..='\u{11ff}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3005}'..='\u{3007}'
            | '\u{3040}'..='\u{30ff}'
            | '\u{3130}'..='\u{318f}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{a960}'..='\u{a97f}'
            | '\u{ac00}'..='\u{d7ff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff66}'..='\u{ffdc}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

/// The one of `links` that overlaps `range`.
pub(super) fn link_at<'l>(links: &'l [Range<usize>], range: &Range<usize>) -> Option<&'l Range<usize>> {
    let first = links.partition_point(|link| link.end <= range.start);
    links.get(first).filter(|link| link.start < range.end)
}

/// Number of digits that a text ends with.
fn digits_before(text: &str) -> usize {
    text.bytes().rev().take_while(u8::is_ascii_digit).count()
}

/// Whether one of `words` (in lower case) is among the last `n` words before `at`, without a placeholder between.
pub(super) fn said_before(text: &str, at: usize, n: usize, words: &[&str]) -> bool {
    let before = &text[..at];
    before
        .rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '<' || c == '>'))
        .filter(|word| !word.is_empty())
        .take(n)
        .take_while(|word| !word.contains(['<', '>']))
        .any(|word| words.iter().any(|other| same_word(word, other)))
}

/// Whether `word` in lower case is `lower`.
pub(super) fn same_word(word: &str, lower: &str) -> bool {
    if word.is_ascii() {
        word.eq_ignore_ascii_case(lower)
    } else {
        word.chars().flat_map(char::to_lowercase).eq(lower.chars())
    }
}

/// Byte ranges of the links of a text that have a scheme or start with `www.`, up to the next blank, quotation mark
/// or angle bracket.
pub(super) fn links(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut links: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    while let Some(found) = link_sign(&bytes[from..]) {
        let sign = from + found;
        let scheme = bytes[..sign].iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
        let start = if bytes[sign] == b':' { sign - scheme } else { sign };
        let end = link_end(text, sign);
        links.push(start.max(from)..end);
        from = end.max(sign + 1);
    }
    links
}

/// Offset of the next `://` or `www.`.
fn link_sign(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2_iter(b':', b'.', bytes).find_map(|at| match bytes[at] {
        b':' => bytes[at..].starts_with(b"://").then_some(at),
        _ => at.checked_sub(3).filter(|start| bytes[*start..at].eq_ignore_ascii_case(b"www")),
    })
}

/// Offset after the last byte of a link that goes on at `from`; punctuation of the sentence around it is not part.
pub(super) fn link_end(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    let mut depth = 0_i32;
    let end = rest
        .char_indices()
        .find(|(_, c)| {
            depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
            depth < 0 || c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\u{201c}' | '\u{201d}')
        })
        .map_or(rest.len(), |(at, _)| at);
    from + rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '…', '’', '|']).len()
}
