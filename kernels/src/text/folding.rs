//! Case and white space folded in one pass: what almost every text allows, since almost no character acts on its
//! neighbours.
//!
//! What [`normalize`](super::normalize) says of whole texts is worked out here for single characters, a page of 256 when
//! one of them is first met. A text with a character that may compose with others, or that folds to something long, is
//! left to the general way.

use std::sync::OnceLock;

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfkc_quick};

use super::normalize::{fold_once, is_folded, is_invisible};

/// Bytes that a folded character has at most.
const MOST_BYTES: usize = 6;

/// Characters of one page.
const PAGE: u32 = 256;

/// Pages of the first two planes. Beyond them are rare ideographs, tags and private characters.
static PAGES: [OnceLock<Box<Page>>; 512] = [const { OnceLock::new() }; 512];

type Page = [Option<Folded>; PAGE as usize];

/// What a character becomes, whatever stands beside it.
#[derive(Debug, Clone, Copy)]
struct Folded {
    bytes: [u8; MOST_BYTES],
    len: u8,
    is_space: bool,
}

/// A text as [`fold_case`](super::normalize::fold_case) gives it; with `SPACE`, as
/// [`fold_space`](super::normalize::fold_space) gives that. `None` for a text that has to go the general way.
pub(super) fn in_one_pass<const SPACE: bool>(text: &str) -> Option<String> {
    let mut folded = Vec::with_capacity(text.len());
    let mut after_space = SPACE;
    let mut rest = text;
    while !rest.is_empty() {
        let (ascii, others) = rest.split_at(first(rest, |byte| !byte.is_ascii()));
        after_space = push_ascii::<SPACE>(&mut folded, ascii.as_bytes(), after_space);
        let (others, behind) = others.split_at(first(others, |byte| byte.is_ascii()));
        for c in others.chars() {
            let one = Folded::of(c)?;
            if !(SPACE && one.is_space) {
                folded.extend_from_slice(&one.bytes[..usize::from(one.len)]);
                after_space &= one.len == 0;
            } else if !after_space {
                folded.push(b' ');
                after_space = true;
            }
        }
        rest = behind;
    }
    if SPACE && after_space {
        folded.pop();
    }
    // Whole characters were put together, so it is text.
    String::from_utf8(folded).ok()
}

/// Where the first byte of a kind stands, or the end.
fn first(text: &str, is_wanted: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(is_wanted).unwrap_or(text.len())
}

/// Adds ASCII and gives whether a space was the last thing added.
fn push_ascii<const SPACE: bool>(folded: &mut Vec<u8>, ascii: &[u8], mut after_space: bool) -> bool {
    if !SPACE {
        folded.extend(ascii.iter().map(u8::to_ascii_lowercase));
        return after_space;
    }
    let mut at = folded.len();
    folded.resize(at + ascii.len(), 0);
    for byte in ascii {
        // Without a branch: a second space is written over.
        let is_space = !byte.is_ascii_graphic();
        folded[at] = if is_space { b' ' } else { byte.to_ascii_lowercase() };
        at += usize::from(!(is_space && after_space));
        after_space = is_space;
    }
    folded.truncate(at);
    after_space
}

impl Folded {
    /// What a character becomes; `None` if that depends on its neighbours, or is long.
    fn of(c: char) -> Option<Self> {
        let number = u32::from(c);
        let page = PAGES.get((number / PAGE) as usize)?;
        page.get_or_init(|| page_of(number / PAGE))[(number % PAGE) as usize]
    }

    fn work_out(c: char) -> Option<Self> {
        let mut bytes = [0; MOST_BYTES];
        if is_invisible(c) {
            return Some(Self { bytes, len: 0, is_space: false });
        }
        let text = c.to_string();
        let folded = fold_once(&text);
        if !(stands_alone(&text) && stands_alone(&folded) && is_folded(&folded)) {
            return None;
        }
        let is_space = |c: char| c.is_whitespace() || c.is_control();
        if folded.contains(is_space) && !folded.chars().all(is_space) {
            return None;
        }
        bytes.get_mut(..folded.len())?.copy_from_slice(folded.as_bytes());
        Some(Self { bytes, len: u8::try_from(folded.len()).ok()?, is_space: folded.contains(is_space) })
    }
}

fn page_of(number: u32) -> Box<Page> {
    let characters = (number * PAGE..(number + 1) * PAGE).map(char::from_u32);
    let mut page = Box::new([None; PAGE as usize]);
    for (folded, c) in page.iter_mut().zip(characters) {
        *folded = c.and_then(Folded::work_out);
    }
    page
}

/// Whether a text takes nothing from what stands before it: its first character, taken apart, composes with no other and
/// is no mark of one.
fn stands_alone(text: &str) -> bool {
    text.nfkd().next().is_some_and(|c| {
        canonical_combining_class(c) == 0 && is_nfkc_quick(std::iter::once(c)) == IsNormalized::Yes
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::normalize::{fold_every_case, fold_space};
    use super::*;

    fn assert_folds_as_the_general_way(text: &str) {
        let case = fold_every_case(text);
        if let Some(folded) = in_one_pass::<false>(text) {
            assert_eq!(folded, case, "{text:?}");
        }
        if let Some(folded) = in_one_pass::<true>(text) {
            assert_eq!(folded, fold_space(&case), "{text:?}");
        }
    }

    #[test]
    fn most_texts_take_one_pass() {
        for (text, folded) in [
            (" Look,\n\nhere: ", Some("look, here:")),
            ("Это — ПРАВДА…\u{a0}", Some("это — правда...")),
            ("CAFÉ \u{feff}\u{2028} ½ ﬁne", Some("café 1⁄2 fine")),
            ("🙂\u{fe0f} 日本", Some("🙂 日本")),
            ("\u{200b}", Some("")),
            ("cafe\u{301}", None),
            ("İ", None),
            ("\u{a8}", None),
        ] {
            assert_eq!(in_one_pass::<true>(text).as_deref(), folded, "{text:?}");
        }
    }

    #[test]
    fn every_character_folds_as_the_general_way() {
        for c in ('\0'..='\u{1ffff}').chain('\u{e0000}'..='\u{e01ff}') {
            for text in
                [format!("{c}"), format!("A{c}b"), format!("e{c}{c} "), format!("\u{1100}{c}\u{4e00}")]
            {
                assert_folds_as_the_general_way(&text);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn texts_fold_as_the_general_way(text in "(\\PC|[ -~]|[\t\n\r\u{85}\u{a0}\u{2003}\u{2028}\u{3000}]|[À-ſА-яͰ-Ͽ가-힣]|\u{200b}|\u{fe0f}|…){0,40}") {
            assert_folds_as_the_general_way(&text);
        }
    }
}
