//! What a history remembers of one post: hashes of its words, never the words.

use std::borrow::Cow;

use super::bytes::{Reader, Writer};
use super::{hash_text, pair};
use crate::mix::mix;
use crate::text::automation::without_quoted_lines;
use crate::text::links::links;
use crate::text::normalize::{LINK_PLACEHOLDER, MENTION_PLACEHOLDER, normalize_handles};

/// Numbers of words at the beginning and at the end by which posts are compared.
pub(super) const STRETCHES: [usize; 4] = [6, 12, 24, 48];

/// Hashes in the sketch of a post's runs of words (Broder 1997, minimum-wise hashing).
pub(super) const SHINGLES: usize = 8;

/// Words of a run.
const RUN: usize = 3;

/// The minute of posts without one.
pub(super) const UNTIMED: i32 = i32::MIN;

/// A post as hashes. Order is by the draw, which makes any set of posts a sample of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Post {
    /// Decides whether it is drawn: a hash of time and text.
    pub(super) draw: u64,
    /// Minute since 1970, [`UNTIMED`] where it is not known.
    pub(super) minute: i32,
    /// Of the words of the normal form, without quoted lines and without punctuation.
    pub(super) normal: u32,
    /// Of the words with numbers, links, names and quotations masked.
    pub(super) skeleton: u32,
    /// Number of these words.
    pub(super) words: u16,
    /// Of the first words, by [`STRETCHES`]; 0 where there are not as many.
    pub(super) starts: [u32; STRETCHES.len()],
    /// Of the last words, likewise.
    pub(super) ends: [u32; STRETCHES.len()],
    /// The smallest hashes of its runs of words.
    pub(super) shingles: [u16; SHINGLES],
    /// Of the site it links to; 0 for none.
    pub(super) site: u32,
}

impl Post {
    pub(super) fn new(at: Option<i64>, text: &str) -> Self {
        let own = without_quoted_lines(text);
        let normal = normalize_handles(&own);
        let masked = without_quotations(&normal);
        let words: Vec<u64> = masked.split(' ').flat_map(mask).map(hash_text).collect();
        let plain = plain_words(&normal);
        let of_normal = plain.iter().fold(2, |hash, word| pair(hash, *word));
        let time = at.map_or(0, |at| mix(at.cast_unsigned()) | 1);
        Self {
            draw: pair(time, of_normal),
            minute: at.and_then(|at| i32::try_from(at.div_euclid(60_000_000)).ok()).unwrap_or(UNTIMED),
            normal: short(of_normal),
            skeleton: short(words.iter().fold(1, |hash, word| pair(hash, *word))),
            words: u16::try_from(words.len()).unwrap_or(u16::MAX),
            starts: stretches(words.iter()),
            ends: stretches(words.iter().rev()),
            shingles: shingles(&plain),
            site: site_of(&own),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u64(self.draw);
        writer.i32(self.minute);
        for number in [self.normal, self.skeleton, self.site].iter().chain(&self.starts).chain(&self.ends) {
            writer.u32(*number);
        }
        for number in [self.words].iter().chain(&self.shingles) {
            writer.u16(*number);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            draw: reader.u64()?,
            minute: reader.i32()?,
            normal: reader.u32()?,
            skeleton: reader.u32()?,
            site: reader.u32()?,
            starts: reader.each(Reader::u32)?,
            ends: reader.each(Reader::u32)?,
            words: reader.u16()?,
            shingles: reader.each(Reader::u16)?,
        })
    }
}

/// The text with what stands between double quotation marks as one mark.
fn without_quotations(text: &str) -> Cow<'_, str> {
    if !text.contains(['"', '“']) {
        return Cow::Borrowed(text);
    }
    let last_close = text.rfind('”');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(['"', '“']) {
        let (before, quoted) = rest.split_at(open);
        let mut after = quoted.chars();
        let close = if after.next() == Some('“') { '”' } else { '"' };
        let after = after.as_str();
        out.push_str(before);
        out.push('"');
        // A mark that is never closed quotes nothing. Many can be open and none closed, so none is looked for in vain.
        let may_close = close == '"' || last_close.is_some_and(|at| at >= text.len() - after.len());
        let closed = if may_close { after.split_once(close) } else { None };
        rest = closed.map_or(after, |(_, rest)| rest);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A word of a normal form as up to two words of the skeleton: letters only, and one sign for whatever changes.
fn mask(word: &str) -> impl Iterator<Item = &str> {
    const LINK: &str = "/";
    const NAME: &str = "@";
    const NUMBER: &str = "#";
    // Looking for one byte first is what makes this quick.
    let has = |byte: u8| word.as_bytes().contains(&byte);
    let (text, target) = match has(b']').then(|| word.find("](")).flatten() {
        // Markdown's link within the site: only what it is called stays.
        Some(at) => (&word[..at], Some(LINK)),
        None => (word, None),
    };
    let is_forum = text.starts_with("r/") || text.starts_with("/r/");
    let text = if has(b'<') && text.contains(LINK_PLACEHOLDER) {
        LINK
    } else if is_forum || has(b'<') && text.contains(MENTION_PLACEHOLDER) {
        NAME
    } else if text.bytes().any(|b| b.is_ascii_digit()) || !text.is_ascii() && text.contains(char::is_numeric)
    {
        NUMBER
    } else {
        text.trim_matches(|c: char| !c.is_alphanumeric())
    };
    (!text.is_empty()).then_some(text).into_iter().chain(target)
}

/// Hashes of the first words, as many as each of [`STRETCHES`] says.
fn stretches<'a>(words: impl Iterator<Item = &'a u64>) -> [u32; STRETCHES.len()] {
    let mut hashes = [0; STRETCHES.len()];
    let (mut hash, mut next) = (3, 0);
    for (index, word) in words.enumerate() {
        hash = pair(hash, *word);
        if STRETCHES.get(next) == Some(&(index + 1)) {
            hashes[next] = short(hash);
            next += 1;
            if next == STRETCHES.len() {
                break;
            }
        }
    }
    hashes
}

/// Hashes of the words of a normal form, without the punctuation around them.
fn plain_words(normal: &str) -> Vec<u64> {
    let words = normal.split(' ').map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    words.filter(|word| !word.is_empty()).map(hash_text).collect()
}

/// The sketch of the runs of some words; of fewer words than a run has, of all of them as one.
fn shingles(words: &[u64]) -> [u16; SHINGLES] {
    let mut smallest = [u32::MAX; SHINGLES];
    for run in words.windows(RUN.min(words.len()).max(1)) {
        let mut hash = run.iter().fold(5, |hash, word| pair(hash, *word));
        for smallest in &mut smallest {
            // One more round of mixing for each further hash function.
            hash = mix(hash.wrapping_add(0x9e37_79b9_7f4a_7c15));
            *smallest = (*smallest).min(short(hash));
        }
    }
    // The lower halves: the upper bits of smallest hashes are all zero.
    smallest.map(|hash| u16::try_from(hash & 0xffff).unwrap_or(u16::MAX))
}

/// Sites that everybody links to, and those behind which any site can stand.
const SHARED_SITES: [&str; 36] = [
    "amazon.com",
    "amzn.to",
    "bit.ly",
    "buff.ly",
    "dlvr.it",
    "en.wikipedia.org",
    "facebook.com",
    "fb.me",
    "flic.kr",
    "flickr.com",
    "giphy.com",
    "github.com",
    "goo.gl",
    "google.com",
    "gph.is",
    "gyazo.com",
    "i.imgur.com",
    "i.redd.it",
    "ift.tt",
    "imgur.com",
    "instagr.am",
    "instagram.com",
    "is.gd",
    "np.reddit.com",
    "old.reddit.com",
    "ow.ly",
    "pic.twitter.com",
    "redd.it",
    "reddit.com",
    "t.co",
    "tinyurl.com",
    "twitter.com",
    "v.redd.it",
    "x.com",
    "youtu.be",
    "youtube.com",
];

/// A hash of the first site that a text links to, 0 if there is none.
fn site_of(text: &str) -> u32 {
    let site = links(text).find_map(|link| {
        let link = &text[link];
        let start = link.find("://").map_or(0, |at| at + 3);
        let host = link[start..].split(['/', '?', '#', ':']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default().to_lowercase();
        let host = ["www.", "m.", "mobile."].iter().find_map(|sub| host.strip_prefix(sub)).unwrap_or(&host);
        let is_site = host.contains('.') && SHARED_SITES.binary_search(&host).is_err();
        is_site.then(|| short(hash_text(host)))
    });
    site.unwrap_or(0)
}

/// The upper half of a hash, never 0.
fn short(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_sites_are_in_order() {
        assert!(SHARED_SITES.is_sorted());
    }

    #[test]
    fn what_changes_is_masked() {
        let skeleton = |text| Post::new(None, text).skeleton;
        for (one, other, alike) in [
            ("It is 12 degrees in r/leeds now", "It is 3.5 degrees in r/york now", true),
            ("by u/ann_b: https://example.com/1", "by u/bob_c: https://example.org/2", true),
            ("It says \"one thing\" here", "It says \"something else\" here", true),
            ("> a question\nAn answer", "> another one\nAn answer", true),
            ("see [the rules](/r/a/wiki) first", "see [the rules](/r/b/wiki) first", true),
            ("Say “this” now", "Say “that thing” now", true),
            ("It is warm", "It is cold", false),
            ("5\" pipes", "6\" pipes", true),
            ("say \"a", "say \"b", false),
            ("Say “this” and “never close", "Say “that thing” and “never close", true),
            ("Say “this” and “never close", "Say “this” and “never open", false),
        ] {
            assert_eq!(skeleton(one) == skeleton(other), alike, "{one} | {other}");
        }
    }

    #[test]
    fn sites_are_those_of_somebody() {
        for (text, other, same) in [
            ("see https://www.shop.example/a?b", "http://shop.example:80/c", true),
            ("https://shop.example/a", "https://other.example/a", false),
            ("https://t.co/a", "nothing", true),
            ("https://youtube.com/a", "nothing", true),
            ("https://t.co/a and https://shop.example", "https://shop.example", true),
        ] {
            assert_eq!(site_of(text) == site_of(other), same, "{text} | {other}");
        }
        assert_eq!(site_of("https://youtu.be/abc"), 0);
    }

    #[test]
    fn nearly_the_same_words_share_shingles() {
        let shared = |a: &str, b: &str| {
            let (a, b) = (Post::new(None, a).shingles, Post::new(None, b).shingles);
            a.iter().zip(&b).filter(|(a, b)| a == b).count()
        };
        let text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen";
        assert_eq!(shared(text, &text.to_uppercase()), SHINGLES);
        assert!(shared(text, &format!("{text} sixteen")) >= SHINGLES - 2);
        assert_eq!(shared(text, "not a word of this is in the other text at all"), 0);
    }
}
