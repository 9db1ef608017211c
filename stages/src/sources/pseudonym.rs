//! Pseudonyms: keyed hashes that stand for handles, in author columns and inside texts.

use std::borrow::Cow;
use std::fmt;

use genome_schemas::Platform;

const ID_CHARS: usize = 32;
const SHORT_CHARS: usize = 8;

/// Turns handles into pseudonyms with a secret key, which stays with the operator.
///
/// Equal handles of a platform get equal pseudonyms under one key, so mentions inside texts still point to the
/// right author. Reddit and Twitter handles are compared without case, as the platforms do.
#[derive(Clone)]
pub struct Pseudonymizer {
    key: [u8; 32],
}

impl fmt::Debug for Pseudonymizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonymizer(secret)")
    }
}

/// The pseudonym of one author: 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorId([u8; ID_CHARS]);

impl AuthorId {
    /// All 32 digits.
    pub fn as_str(&self) -> &str {
        // Hex digits are always UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The first 8 digits, as mentions in texts carry them.
    pub fn short(&self) -> &str {
        &self.as_str()[..SHORT_CHARS]
    }
}

impl Pseudonymizer {
    /// Derives the key from a secret of any length.
    pub fn from_secret(secret: impl AsRef<[u8]>) -> Self {
        Self { key: blake3::derive_key("genome 2026 author pseudonyms", secret.as_ref()) }
    }

    /// The pseudonym of `handle` on `platform`.
    pub fn author_id(&self, platform: Platform, handle: &str) -> AuthorId {
        // Platform, a zero byte, handle; most handles fit into the buffer, and hashing them is one call.
        let mut buffer = [0; 64];
        let name = platform.as_str().as_bytes();
        let length = name.len() + 1 + handle.len();
        let mut longer = Vec::new();
        let input = if length <= buffer.len() {
            &mut buffer[..length]
        } else {
            longer.resize(length, 0);
            &mut longer[..]
        };
        input[..name.len()].copy_from_slice(name);
        input[name.len() + 1..].copy_from_slice(handle.as_bytes());
        if matches!(platform, Platform::Reddit | Platform::Twitter) {
            input[name.len() + 1..].make_ascii_lowercase();
        }
        let digest = blake3::keyed_hash(&self.key, input);
        let mut hex = [0; ID_CHARS];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(digest.as_bytes()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        AuthorId(hex)
    }

    /// `text` with the handles it mentions replaced: `@name` becomes `@user_1a2b3c4d` on Twitter, `u/name` becomes
    /// `u/user_1a2b3c4d` on Reddit; links to profiles likewise, and on Reddit their labels that are the name. Other
    /// platforms have no mentions.
    pub fn mentions<'t>(&self, platform: Platform, text: &'t str) -> Cow<'t, str> {
        match platform {
            Platform::Twitter => {
                let mut signs = Ahead::of(text, next_at_sign);
                let mut links = Ahead::of(text, next_profile_link);
                self.replaced(platform, text, |from| {
                    earlier(signs.at_or_after(from), links.at_or_after(from))
                })
            }
            Platform::Reddit => self.replaced(platform, text, |from| next_reddit_mention(text, from)),
            Platform::Blogger | Platform::Amazon => Cow::Borrowed(text),
        }
    }

    /// `text` with pseudonyms for the handles that `next` finds, each the first one at or after a place.
    fn replaced<'t>(
        &self,
        platform: Platform,
        text: &'t str,
        mut next: impl FnMut(usize) -> Option<Mention>,
    ) -> Cow<'t, str> {
        let Some(mut mention) = next(0) else { return Cow::Borrowed(text) };
        let mut out = String::with_capacity(text.len() + 16);
        let mut copied = 0;
        loop {
            out.push_str(&text[copied..mention.start]);
            out.push_str("user_");
            let handle = unescaped(&text[mention.start..mention.end]);
            out.push_str(self.author_id(platform, &handle).short());
            copied = mention.end;
            match next(mention.end) {
                Some(later) => mention = later,
                None => break,
            }
        }
        out.push_str(&text[copied..]);
        Cow::Owned(out)
    }

    /// The name of a file with `handle` replaced wherever it stands in it, in any case: people name files after
    /// themselves.
    pub(super) fn without_handle(&self, platform: Platform, name: &str, handle: &str) -> String {
        if handle.is_empty() {
            return name.to_owned();
        }
        let id = self.author_id(platform, handle);
        let (lower, wanted) = (name.to_ascii_lowercase(), handle.to_ascii_lowercase());
        let mut shown = String::with_capacity(name.len() + 16);
        let mut copied = 0;
        for (at, _) in lower.match_indices(&wanted) {
            shown.push_str(&name[copied..at]);
            shown.push_str("user_");
            shown.push_str(id.short());
            copied = at + wanted.len();
        }
        shown + &name[copied..]
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Byte range of a handle in a text, without its sigil.
#[derive(Clone, Copy)]
struct Mention {
    start: usize,
    end: usize,
}

/// The first of two mentions, if there are any.
fn earlier(one: Option<Mention>, other: Option<Mention>) -> Option<Mention> {
    match (one, other) {
        (Some(a), Some(b)) => Some(if a.start <= b.start { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// A mention, and where stands what it is found by.
#[derive(Clone, Copy)]
struct Announced {
    at: usize,
    mention: Mention,
}

/// The mentions of one kind in a text, in their order. The next one is remembered until it is passed: of two kinds that
/// are looked for by turns, a rare one would else be searched for in the whole rest of the text again and again.
struct Ahead<'t> {
    text: &'t str,
    /// The first one that is announced at or after a place.
    find: fn(&str, usize) -> Option<Announced>,
    next: Option<Announced>,
}

impl<'t> Ahead<'t> {
    fn of(text: &'t str, find: fn(&str, usize) -> Option<Announced>) -> Self {
        Self { text, find, next: find(text, 0) }
    }

    /// The first mention that is announced at or after `from`, which lies behind that of earlier calls.
    fn at_or_after(&mut self, from: usize) -> Option<Mention> {
        if self.next.is_some_and(|next| next.at < from) {
            self.next = (self.find)(self.text, from);
        }
        self.next.map(|next| next.mention)
    }
}

/// Length of the Twitter handle that `text` begins with.
pub(super) fn twitter_handle_len(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

/// Length of the Reddit handle that `text` begins with, with the backslashes that Markdown has before `_` and `-`.
fn reddit_handle_len(text: &str) -> usize {
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [b'\\', b'_' | b'-', rest @ ..] | [b'_' | b'-', rest @ ..] => rest,
            [byte, rest @ ..] if byte.is_ascii_alphanumeric() => rest,
            _ => return text.len() - rest.len(),
        };
    }
}

/// A handle without the backslashes of Markdown.
fn unescaped(handle: &str) -> Cow<'_, str> {
    if handle.contains('\\') { Cow::Owned(handle.replace('\\', "")) } else { Cow::Borrowed(handle) }
}

fn is_word(byte: Option<u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn byte_before(text: &str, at: usize) -> Option<u8> {
    at.checked_sub(1).map(|i| text.as_bytes()[i])
}

/// The next `@name` whose sign stands at or after `from`.
fn next_at_sign(text: &str, from: usize) -> Option<Announced> {
    // U+FF20 is the full-width sign that East Asian keyboards type; Twitter takes both.
    text[from..].match_indices(['@', '\u{ff20}']).find_map(|(i, sign)| {
        let at = from + i;
        let start = at + sign.len();
        let end = start + twitter_handle_len(&text[start..]);
        let after = &text.as_bytes()[end..];
        let mail =
            is_word(byte_before(text, at)) && after.first() == Some(&b'.') && is_word(after.get(1).copied());
        (end > start && !mail).then_some(Announced { at, mention: Mention { start, end } })
    })
}

/// First path segments of twitter.com that are no handles.
const NOT_HANDLES: [&str; 12] = [
    "search", "i", "hashtag", "intent", "share", "home", "statuses", "download", "settings", "about",
    "login", "tos",
];

/// The next name in a link to a profile whose host ends at or after `from`.
fn next_profile_link(text: &str, from: usize) -> Option<Announced> {
    text[from..].match_indices(".com/").find_map(|(i, _)| {
        let host_end = from + i;
        let head = &text.as_bytes()[..host_end];
        let host = ["twitter", "x"].iter().find(|host| {
            head.len() >= host.len()
                && head[head.len() - host.len()..].eq_ignore_ascii_case(host.as_bytes())
                && !is_word(byte_before(text, host_end - host.len()))
        });
        host?;
        let mut start = host_end + ".com/".len();
        for prefix in ["#!/", "@"] {
            if text[start..].starts_with(prefix) {
                start += prefix.len();
            }
        }
        let end = start + twitter_handle_len(&text[start..]);
        let name = &text[start..end];
        (end > start && !NOT_HANDLES.iter().any(|word| word.eq_ignore_ascii_case(name)))
            .then_some(Announced { at: host_end, mention: Mention { start, end } })
    })
}

/// The next `u/name`, `u/[name]`, `user/name` or profile subreddit `r/u_name` at or after `from`; where a link leads
/// there, its label before it.
fn next_reddit_mention(text: &str, from: usize) -> Option<Mention> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'/', &bytes[from..]).find_map(|i| {
        let slash = from + i;
        let start = reddit_handle_start(bytes, slash)?;
        let end = start + reddit_handle_len(&text[start..]);
        let name = unescaped(&text[start..end]);
        let is_label = byte_before(text, start) == Some(b'[');
        let is_other_label = is_label && (bytes.get(end) != Some(&b']') || is_nobody(&name));
        // Reddit names have 3 to 20 characters; shorter runs are paths such as /u/0/.
        if name.len() < 3 || is_other_label {
            return None;
        }
        Some(label_of_link(text, from, slash, &name).unwrap_or(Mention { start, end }))
    })
}

/// What a profile subreddit's name begins with, as it is and in Markdown.
const PROFILES: [&[u8]; 2] = [b"u_", b"u\\_"];

/// Where the handle begins that the slash at `slash` announces, if it does.
fn reddit_handle_start(bytes: &[u8], slash: usize) -> Option<usize> {
    let after = slash + 1;
    if ends_with_word(bytes, slash, b"u") || ends_with_word(bytes, slash, b"user") {
        return Some(after + usize::from(bytes.get(after) == Some(&b'[')));
    }
    if !ends_with_word(bytes, slash, b"r") {
        return None;
    }
    let rest = bytes.get(after..)?;
    let begins = |start: &[u8]| rest.get(..start.len()).is_some_and(|b| b.eq_ignore_ascii_case(start));
    PROFILES.iter().find(|start| begins(start)).map(|start| after + start.len())
}

/// Whether a label stands for an account that is gone: `u/[deleted]`.
fn is_nobody(label: &str) -> bool {
    ["deleted", "removed"].iter().any(|word| word.eq_ignore_ascii_case(label))
}

/// The label of the Markdown link that leads to `name` over the slash at `slash`, if it is that name:
/// `[name](https://www.reddit.com/user/name)`. In `[u/name](…)` it is a mention by itself.
fn label_of_link(text: &str, from: usize, slash: usize, name: &str) -> Option<Mention> {
    let (before, target) = text.get(from..slash)?.rsplit_once("](")?;
    // Behind these the link has ended.
    if target.contains([' ', '\n', ')']) {
        return None;
    }
    let (_, label) = before.rsplit_once('[')?;
    let end = from + before.len();
    unescaped(label).eq_ignore_ascii_case(name).then(|| Mention { start: end - label.len(), end })
}

fn ends_with_word(bytes: &[u8], end: usize, word: &[u8]) -> bool {
    end >= word.len()
        && bytes[end - word.len()..end].eq_ignore_ascii_case(word)
        && !is_word(end.checked_sub(word.len() + 1).map(|i| bytes[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(platform: Platform, text: &str, expected: &str) {
        let names = Pseudonymizer::from_secret("test");
        let shown = ["Ada_L", "grace", "lin-42", "_kim_"].iter().fold(expected.to_owned(), |text, name| {
            let id = names.author_id(platform, name);
            text.replace(&format!("<{name}>"), &format!("user_{}", id.short()))
        });
        assert_eq!(names.mentions(platform, text), shown, "{text}");
    }

    #[test]
    fn twitter_mentions() {
        for (text, expected) in [
            ("no mention", "no mention"),
            ("@ada_l hi @GRACE!", "@<Ada_L> hi @<grace>!"),
            ("写@grace 和\u{ff20}grace", "写@<grace> 和\u{ff20}<grace>"),
            ("RT@grace: hi", "RT@<grace>: hi"),
            ("mail me at ada@grace.example please", "mail me at ada@grace.example please"),
            ("thanks @grace.", "thanks @<grace>."),
            ("a @ b @", "a @ b @"),
            ("http://twitter.com/grace/statuses/1", "http://twitter.com/<grace>/statuses/1"),
            (
                "https://twitter.com/#!/Ada_L and fedex.com/grace",
                "https://twitter.com/#!/<Ada_L> and fedex.com/grace",
            ),
            ("https://twitter.com/search?q=@grace", "https://twitter.com/search?q=@<grace>"),
        ] {
            check(Platform::Twitter, text, expected);
        }
    }

    #[test]
    fn reddit_mentions() {
        for (text, expected) in [
            ("u/Ada_L said", "u/<Ada_L> said"),
            ("(/u/lin-42)", "(/u/<lin-42>)"),
            ("https://www.reddit.com/user/GRACE/", "https://www.reddit.com/user/<grace>/"),
            ("r/u_grace and r/math", "r/u_<grace> and r/math"),
            ("menu/grace mail.google.com/mail/u/0/", "menu/grace mail.google.com/mail/u/0/"),
            ("u/", "u/"),
        ] {
            check(Platform::Reddit, text, expected);
        }
    }

    #[test]
    fn reddit_mentions_in_markdown() {
        for (text, expected) in [
            ("u/Ada\\_L and /user/lin\\-42/ say", "u/<Ada_L> and /user/<lin-42>/ say"),
            ("u/\\_kim\\_, u/_kim\\_.", "u/<_kim_>, u/<_kim_>."),
            ("r/u\\_Ada\\_L", "r/u\\_<Ada_L>"),
            ("u/grace\\* u/a\\_ u/\\", "u/<grace>\\* u/a\\_ u/\\"),
            (
                "u/[Ada_L](https://www.reddit.com/user/Ada_L/)!",
                "u/[<Ada_L>](https://www.reddit.com/user/<Ada_L>/)!",
            ),
            ("/u/[Ada\\_L](/u/ada_l) u/[grace]", "/u/[<Ada_L>](/u/<Ada_L>) u/[<grace>]"),
            ("[u/Ada\\_L](/user/Ada_L)", "[u/<Ada_L>](/user/<Ada_L>)"),
            ("[/u/lin-42](/u/lin-42)", "[/u/<lin-42>](/u/<lin-42>)"),
            (
                "[GRACE](https://www.reddit.com/user/grace) é [Ada\\_L](https://reddit.com/r/u_Ada_L \"her\")",
                "[<grace>](https://www.reddit.com/user/<grace>) é [<Ada_L>](https://reddit.com/r/u_<Ada_L> \"her\")",
            ),
            ("[grace](u/grace)[grace](u/grace)", "[<grace>](u/<grace>)[<grace>](u/<grace>)"),
            // Labels that are no names.
            ("[her page](/u/grace)", "[her page](/u/<grace>)"),
            ("[grace](https://example.org) or /u/grace", "[grace](https://example.org) or /u/<grace>"),
            ("[grace](https://example.org),/u/grace", "[grace](https://example.org),/u/<grace>"),
            ("u/[deleted] u/[someone else](/u/grace)", "u/[deleted] u/[someone else](/u/<grace>)"),
            ("grace](u/grace [](u/grace", "grace](u/<grace> [](u/<grace>"),
        ] {
            check(Platform::Reddit, text, expected);
        }
    }

    #[test]
    fn many_mentions_are_found_as_if_each_were_looked_for_alone() {
        let names = Pseudonymizer::from_secret("test");
        let parts = [
            "@ada_l ",
            "@@",
            "写\u{ff20}grace ",
            "a@b.c ",
            "x.com/grace",
            "twitter.com/#!/ada_l ",
            ".com/@kim ",
        ];
        for (one, two) in parts.iter().flat_map(|one| parts.map(|two| (*one, two))) {
            for three in parts {
                let text = format!("{one}{two}{three}{two}{two}").repeat(4) + one;
                let expected = names.replaced(Platform::Twitter, &text, |from| {
                    let (sign, link) = (next_at_sign(&text, from), next_profile_link(&text, from));
                    earlier(sign.map(|found| found.mention), link.map(|found| found.mention))
                });
                assert_eq!(names.mentions(Platform::Twitter, &text), expected, "{text}");
            }
        }
        // The time that it takes grows with the length alone.
        let hidden = format!("user_{}", names.author_id(Platform::Twitter, "ada").short());
        for (before, behind) in [("@", " "), ("x.com/", " "), ("a@b.c @", "\n")] {
            let [text, expected] =
                ["ada", hidden.as_str()].map(|name| format!("{before}{name}{behind}").repeat(50_000));
            assert!(names.mentions(Platform::Twitter, &text) == expected, "{before}ada{behind}");
        }
    }

    #[test]
    fn names_of_files_are_shown_without_a_handle() {
        let names = Pseudonymizer::from_secret("test");
        let of = |name: &str| format!("user_{}", names.author_id(Platform::Blogger, name).short());
        for (name, handle, expected) in [
            ("grace.2003.xml", "grace", format!("{}.2003.xml", of("grace"))),
            ("grace.by_Grace.xml", "grace", format!("{0}.by_{0}.xml", of("grace"))),
            ("é.xml", "é", format!("{}.xml", of("é"))),
            (".xml", "", ".xml".to_owned()),
            ("2003.xml", "grace", "2003.xml".to_owned()),
        ] {
            assert_eq!(names.without_handle(Platform::Blogger, name, handle), expected, "{name}");
        }
    }

    #[test]
    fn the_key_decides_and_is_never_shown() {
        let (a, b) = (Pseudonymizer::from_secret("a"), Pseudonymizer::from_secret("b"));
        let of = |p: &Pseudonymizer, platform, name| p.author_id(platform, name).as_str().to_owned();
        assert_ne!(of(&a, Platform::Reddit, "grace"), of(&b, Platform::Reddit, "grace"));
        assert_ne!(of(&a, Platform::Reddit, "grace"), of(&a, Platform::Twitter, "grace"));
        assert_eq!(of(&a, Platform::Reddit, "grace"), of(&a, Platform::Reddit, "Grace"));
        assert_ne!(of(&a, Platform::Amazon, "AE4"), of(&a, Platform::Amazon, "ae4"));
        assert_eq!(of(&a, Platform::Amazon, "AE4").len(), ID_CHARS);
        assert_eq!(format!("{a:?}"), "Pseudonymizer(secret)");
    }
}
