//! E-mail addresses, and names of accounts at other servers (`@name@example.org`).

use std::ops::Range;

use super::scan::{is_unspaced, joins_word, said_before};
use super::signs::Signs;
use super::{PiiKind, PiiSpan};

/// Names of pictures for dense screens and of assets look like addresses: `icon@2x.png`.
const FILE_ENDINGS: [&str; 10] = ["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "html", "php"];

/// Words before an address that is spelt out without brackets.
const MAIL_WORDS: [&str; 11] = [
    "mail", "email", "mails", "emails", "contact", "write", "reach", "gmail", "address", "correo", "courriel",
];

/// Providers of mailboxes: `name at gmail dot com` needs no other sign.
const PROVIDERS: [&str; 20] = [
    "gmail",
    "googlemail",
    "yahoo",
    "ymail",
    "hotmail",
    "outlook",
    "live",
    "msn",
    "icloud",
    "aol",
    "gmx",
    "web",
    "proton",
    "protonmail",
    "tutanota",
    "fastmail",
    "mail",
    "yandex",
    "zoho",
    "example",
];

/// Words that stand before `at` or `@` in a sentence rather than name a mailbox.
const NO_NAMES: [&str; 38] = [
    "account",
    "accounts",
    "address",
    "addresses",
    "inbox",
    "mailbox",
    "service",
    "support",
    "team",
    "free",
    "work",
    "morning",
    "day",
    "provider",
    "me",
    "us",
    "him",
    "her",
    "them",
    "it",
    "is",
    "are",
    "was",
    "look",
    "looks",
    "here",
    "there",
    "online",
    "out",
    "now",
    "site",
    "page",
    "website",
    "blog",
    "found",
    "available",
    "mail",
    "email",
];

/// Endings of domains that are written out with `dot`.
const SPOKEN_ENDINGS: [&str; 26] = [
    "com", "org", "net", "edu", "gov", "io", "co", "info", "me", "uk", "de", "fr", "es", "it", "nl", "pl",
    "br", "in", "au", "ru", "jp", "ca", "ch", "at", "se", "eu",
];

/// How `@` or a dot is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// As itself.
    Plain,
    /// As a word in brackets.
    Bracketed,
    /// As a word, or with blanks around it.
    Loose,
}

/// The addresses of a text, in order and disjoint.
pub(super) fn addresses(text: &str, signs: Signs, found: &mut Vec<PiiSpan>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut at = 0;
    while let Some(step) = bytes[at..].iter().position(|b| match b {
        b'@' => true,
        b'[' | b'(' | b'{' => signs.any(Signs::BRACKET),
        b' ' => signs.any(Signs::DOT | Signs::SPOKEN),
        _ => false,
    }) {
        at += step;
        if let Some(sign) = sign(text, at)
            && let Some(span) = address(text, from, &sign)
        {
            at = span.end;
            from = span.end;
            found.push(span);
        } else {
            at += 1;
        }
    }
}

struct Sign {
    range: Range<usize>,
    written: Written,
}

/// The sign `@`, in whatever way it is written, whose mark stands at `at`.
fn sign(text: &str, at: usize) -> Option<Sign> {
    let blank_before = usize::from(text[..at].ends_with(' '));
    match text.as_bytes()[at] {
        b'@' => {
            let blank_after = usize::from(text[at + 1..].starts_with(' '));
            let (range, written) = match (blank_before, blank_after) {
                (0, 0) => (at..at + 1, Written::Plain),
                (before, after) => (at - before..at + 1 + after, Written::Loose),
            };
            Some(Sign { range, written })
        }
        b' ' => {
            let rest = text.get(at..at + 4)?;
            rest.eq_ignore_ascii_case(" at ").then_some(Sign { range: at..at + 4, written: Written::Loose })
        }
        _ => bracketed(text, at, "at").map(|end| {
            let blank_after = usize::from(text[end..].starts_with(' '));
            Sign { range: at - blank_before..end + blank_after, written: Written::Bracketed }
        }),
    }
}

/// The offset after `[word]` that starts at `at`.
fn bracketed(text: &str, at: usize, word: &str) -> Option<usize> {
    let rest = text[at..].strip_prefix(['[', '(', '{'])?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let inside = rest.get(..word.len())?;
    let rest = rest.get(word.len()..)?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest).strip_prefix([']', ')', '}'])?;
    inside.eq_ignore_ascii_case(word).then_some(text.len() - rest.len())
}

fn address(text: &str, from: usize, sign: &Sign) -> Option<PiiSpan> {
    let start = name_start(text, from, sign.range.start, sign.written != Written::Plain)?;
    let (end, last, dots) = domain(text, sign.range.end, sign.written)?;
    let name = &text[start..sign.range.start];
    let ending = &text[last..end];
    if FILE_ENDINGS.iter().any(|other| ending.eq_ignore_ascii_case(other)) {
        return None;
    }
    // `git@host.org:path` is the address of a repository.
    if name == "git" && text[end..].starts_with(':') {
        return None;
    }
    if is_message_id(text, start, name) {
        return None;
    }
    let loose = sign.written == Written::Loose;
    if loose && !spelt_out(text, start, name, &text[sign.range.end..end], ending, dots) {
        return None;
    }
    // `@name@example.org` is the name of an account at a server of the Fediverse.
    if text[..start].ends_with('@') && sign.written == Written::Plain {
        return Some(PiiSpan { kind: PiiKind::Handle, start: start - 1, end });
    }
    Some(PiiSpan { kind: PiiKind::Email, start, end })
}

/// Whether what reads like a mailbox is the id of a message (RFC 5322): it starts with the time of sending, or with
/// a number and is quoted as a source (`in <1234@example.org>`).
fn is_message_id(text: &str, start: usize, name: &str) -> bool {
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &name[digits..];
    let day = |rest: &str| rest.bytes().skip(3).take_while(u8::is_ascii_digit).count();
    let timed = digits >= 10 && rest.starts_with('.')
        || digits == 4
            && rest.bytes().take(3).all(|b| b.is_ascii_alphabetic())
            && (1..=2).contains(&day(rest))
            && rest.contains('.');
    let quoted = text[..start].ends_with(['<', ';', '['])
        && said_before(
            &text[..start - 1],
            start - 1,
            1,
            &["in", "message", "article", "msgid", "id", "references"],
        );
    timed || digits > 0 && quoted
}

/// Whether words that read like an address are one.
fn spelt_out(text: &str, start: usize, name: &str, domain: &str, ending: &str, dots: Written) -> bool {
    let host = domain.split(|c: char| !(c.is_alphanumeric() || c == '-')).next().unwrap_or_default();
    let is = |words: &[&str], word: &str| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    let named = name.chars().any(|c| c.is_ascii_digit() || matches!(c, '.' | '_'))
        && name.chars().any(char::is_alphabetic);
    let announced = said_before(text, start, 4, &MAIL_WORDS);
    // `2 @ example.com` and `see me at example.com`: without `dot` more has to be said.
    let sure = if dots == Written::Plain { is(&PROVIDERS, host) && (named || announced) } else { true };
    sure && is(&SPOKEN_ENDINGS, ending)
        && name.chars().any(char::is_alphabetic)
        && !is(&NO_NAMES, name)
        && (named || announced || is(&PROVIDERS, host))
}

/// Where the name of a mailbox starts that ends at `end`.
fn name_start(text: &str, from: usize, end: usize, spelt: bool) -> Option<usize> {
    let before = &text[from..end];
    let is_sign = |c: char| matches!(c, '_' | '%' | '+' | '-' | '.' | '\'');
    // A name of Han letters is taken as far as they go; behind others they are the sentence around it.
    let spaced = spelt || before.ends_with(|c: char| joins_word(c) || is_sign(c));
    let part = |c: char| joins_word(c) || is_sign(c) || !spaced && c.is_alphanumeric();
    let start =
        before.rfind(|c| !part(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    // Points are between parts, and an apostrophe is a quotation mark unless it is inside.
    let name = before[start..].trim_start_matches(['.', '\'', '-', '+', '%']);
    let usable = !name.is_empty() && !name.ends_with(['.', '\'']) && name.len() <= 64;
    // What comes before `[at]` may be a long word of a sentence.
    let usable = usable && !(spelt && name.len() > 40);
    usable.then_some(end - name.len())
}

/// End of the domain that starts at `from`, start of its last label, and how its dots are written.
fn domain(text: &str, from: usize, sign: Written) -> Option<(usize, usize, Written)> {
    let mut label = from;
    let mut dots = Written::Plain;
    // The last place where the domain may end: after two or more letters behind a dot.
    let mut best = None;
    let mut unspaced = false;
    for n_labels in 1..=10 {
        let rest = &text[label..];
        let was_unspaced = unspaced;
        unspaced = rest.starts_with(is_unspaced);
        // In `ann@example.org.よろしく` a sentence starts behind the dot.
        if unspaced && !was_unspaced && n_labels > 1 {
            break;
        }
        // `ann@example.orgまで` ends where another script goes on.
        let part = |c: char| c == '-' || joins_word(c) || unspaced && c.is_alphanumeric();
        let len = rest.find(|c: char| !part(c)).unwrap_or(rest.len());
        let end = label + rest[..len].trim_end_matches('-').len();
        if end == label || rest.starts_with('-') {
            break;
        }
        let is_ending = n_labels > 1
            && (2..=24).contains(&text[label..end].chars().count())
            && (text[label..end].chars().all(char::is_alphabetic) || text[label..end].starts_with("xn--"));
        if is_ending {
            best = Some((end, label, dots));
        }
        if end != label + len {
            break;
        }
        let Some((next, written)) = dot(text, end, sign) else { break };
        if written != Written::Plain {
            dots = written;
        }
        label = next;
    }
    best
}

/// The dot at `at`: the offset after it.
fn dot(text: &str, at: usize, sign: Written) -> Option<(usize, Written)> {
    let rest = &text[at..];
    if rest.starts_with('.') {
        return Some((at + 1, Written::Plain));
    }
    let open = at + usize::from(rest.starts_with(' '));
    for mark in ["dot", "."] {
        if let Some(end) = bracketed(text, open, mark) {
            return Some((end + usize::from(text[end..].starts_with(' ')), Written::Bracketed));
        }
    }
    let spoken =
        sign != Written::Plain && rest.get(..5).is_some_and(|rest| rest.eq_ignore_ascii_case(" dot "));
    spoken.then_some((at + 5, Written::Loose))
}
