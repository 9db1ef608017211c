//! The normal form under which two texts count as the same.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem;
use regex::{Captures, Regex};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfkc_quick};

use super::folding::in_one_pass;
use super::links::{BEHIND_LINK, glued_mentions, link_from, links, pattern};

/// What a link is folded to.
pub const LINK_PLACEHOLDER: &str = "<link>";

/// What a mention of a person is folded to.
pub const MENTION_PLACEHOLDER: &str = "<mention>";

/// The normal form of a text for duplicate hashing: NFKC, lower case, invisible characters left out, each link in one
/// form of those that lead to the same page, white space folded, trimmed.
///
/// Two texts with one normal form say the same to a reader. Punctuation stays: "no" and "no?" differ. Of a link the
/// scheme, `www.`, what only follows the reader around (`utm_source=…`), the place in the page, and a final slash do not
/// count; a fragment that begins with `!` or `/` is no place but tells a program which page to show, and stays. The form of
/// a form is itself.
///
/// ```
/// use genome_kernels::text::normalize::normalize;
/// assert_eq!(normalize("  Look:\nhttps://www.example.com/1/?utm_source=x "), normalize("look: http://Example.com/1"));
/// ```
pub fn normalize(text: &str) -> String {
    replace_all(fold(text), one_form_of_links)
}

/// The normal form of a text in which each link and each mention of a person is one placeholder word: texts with one such
/// form differ at most in whom they are said to and where their links lead.
///
/// ```
/// use genome_kernels::text::normalize::normalize_handles;
/// assert_eq!(normalize_handles("Look, ＠Ann: https://example.com/1"), normalize_handles("look, @bob: http://example.com/2"));
/// ```
pub fn normalize_handles(text: &str) -> String {
    replace_all(fold(text), placeholders)
}

/// Case and white space folded.
fn fold(text: &str) -> String {
    in_one_pass::<true>(text).unwrap_or_else(|| fold_space(&fold_every_case(text)).into_owned())
}

/// The text with every run of white space and control characters as one space, trimmed.
pub fn fold_space(text: &str) -> Cow<'_, str> {
    if has_folded_space(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    let is_space = |c: char| c.is_whitespace() || c.is_control();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    Cow::Owned(folded)
}

/// Whether folding white space changes nothing. It says no of texts that are not ASCII.
fn has_folded_space(text: &[u8]) -> bool {
    text.iter().all(|byte| (b' '..=b'~').contains(byte))
        && text.first() != Some(&b' ')
        && text.last() != Some(&b' ')
        && memmem::find(text, b"  ").is_none()
}

/// What a name is folded to where it is mentioned.
const NAME: &str = "name";

/// Mentions whose names readers replace, in lower case; the groups are what stands before the names. `@name` and links to
/// profiles are Twitter's; `u/name`, `user/name`, `u/[name]`, `r/u_name` and `[name](/u/name)` are Reddit's, with Markdown's
/// backslashes.
static MENTIONED: LazyLock<Regex> = LazyLock::new(|| {
    const TWITTER: &str = r"(@|(?-u:\b)(?:twitter|x)\.com/(?:#!/)?@?)[a-z0-9_]+";
    const PROFILE: &str = r"(?-u:\b)(?:u(?:ser)?/|r/u\\?_)";
    const HANDLE: &str = r"(?:\\?[_-]|[a-z0-9]){3,}";
    // Not longer, so that no text is gone through again for each bracket in it.
    const HOST: &str = "[a-z0-9:/.-]{0,40}?";
    pattern(&format!(r"{TWITTER}|({PROFILE}\[?){HANDLE}|(\[){HANDLE}(\]\({HOST}{PROFILE}){HANDLE}"))
});

/// Folded mentions in a row. They count as one, as lists of names have nothing in common but their length.
static REPEATED_NAMES: LazyLock<Regex> = LazyLock::new(|| {
    const MENTION: &str = r"(?:@|/?(?-u:\b)u(?:ser)?/)name(?-u:\b)";
    pattern(&format!(r"({MENTION})(?:[\s,]+{MENTION})+"))
});

/// A text whose case is folded, with `name` for each name that is mentioned in it: so it is the same whether readers put
/// pseudonyms in the places of these names or not. What looks like a mention counts as one, the host of an e-mail address
/// too.
pub(crate) fn fold_names(folded: Cow<'_, str>) -> Cow<'_, str> {
    if !folded.contains(['@', '/']) || !MENTIONED.is_match(&folded) {
        return folded;
    }
    let named = MENTIONED.replace_all(&folded, |found: &Captures<'_>| {
        let before = found.iter().skip(1).flatten();
        before.flat_map(|before| [before.as_str(), NAME]).collect::<String>()
    });
    Cow::Owned(REPEATED_NAMES.replace_all(&named, "${1}").into_owned())
}

/// NFKC in lower case, without invisible characters.
pub(crate) fn fold_case(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    in_one_pass::<false>(text).map_or_else(|| fold_every_case(text), Cow::Owned)
}

/// As [`fold_case`], of texts whose characters may act on one another.
pub(super) fn fold_every_case(text: &str) -> Cow<'_, str> {
    if is_folded(text) {
        return Cow::Borrowed(text);
    }
    let mut folded = fold_once(text);
    // Lower case may decompose ('İ' becomes two characters) and reorder marks; it is stable after few rounds.
    for _ in 0..3 {
        if is_folded(&folded) {
            break;
        }
        folded = fold_once(&folded);
    }
    Cow::Owned(folded)
}

/// Whether folding changes nothing. It may say no of a text that is folded, never yes of one that is not.
pub(super) fn is_folded(text: &str) -> bool {
    let is_lower = |c: char| {
        if c.is_ascii() {
            return !c.is_ascii_uppercase();
        }
        let mut lower = c.to_lowercase();
        lower.next() == Some(c) && lower.next().is_none() && !is_invisible(c) && c != 'ς'
    };
    text.chars().all(is_lower) && is_nfkc_quick(text.chars()) == IsNormalized::Yes
}

/// One round of folding.
pub(super) fn fold_once(text: &str) -> String {
    let visible = visible(text);
    if is_nfkc_quick(visible.clone()) == IsNormalized::Yes {
        lower(text.len(), visible)
    } else {
        lower(text.len(), visible.nfkc())
    }
}

/// Characters in lower case; `len` is about how many bytes there will be.
fn lower(len: usize, characters: impl Iterator<Item = char>) -> String {
    let mut lower = String::with_capacity(len);
    for c in characters {
        match c {
            c if c.is_ascii() => lower.push(c.to_ascii_lowercase()),
            // The final sigma is a matter of position, not of meaning.
            'ς' => lower.push('σ'),
            c => lower.extend(c.to_lowercase()),
        }
    }
    lower
}

/// The characters of a text that a reader sees. Tags are among them behind a black flag, which they make one of a country
/// such as Scotland.
fn visible(text: &str) -> impl Iterator<Item = char> + Clone + '_ {
    let mut in_flag = false;
    text.chars().filter(move |&c| {
        let is_of_flag = in_flag && ('\u{e0020}'..='\u{e007f}').contains(&c);
        in_flag = c == '\u{1f3f4}' || is_of_flag && c != '\u{e007f}';
        is_of_flag || !is_invisible(c)
    })
}

/// Characters that a reader does not see, tags only where they stand in no flag: joiners, direction marks, variation
/// selectors, soft hyphen, byte order mark.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Replaces handles until nothing changes: what stands beside a replaced one may only then count as one.
fn replace_all(mut text: String, once: impl Fn(&str) -> Option<String>) -> String {
    while let Some(again) = once(&text).filter(|again| *again != text) {
        text = again;
    }
    text
}

fn placeholders(text: &str) -> Option<String> {
    if !text.contains(['/', '@']) && !text.contains("www.") {
        return None;
    }
    // A placeholder parts what stands on its two sides as the ends of a text do. So what stands behind a handle is looked
    // at as if that were replaced, and the text is gone through once however many handles it has.
    let mut handles = Vec::new();
    let mut from = 0;
    loop {
        let link = link_from(text, from);
        let until = link.as_ref().map_or(text.len(), |link| link.start);
        let mentions = glued_mentions(&text[from..until]).map(|range| from + range.start..from + range.end);
        handles.extend(mentions.map(|range| (range, Cow::Borrowed(MENTION_PLACEHOLDER))));
        let Some(link) = link else { break };
        from = link.end;
        handles.push((link, Cow::Borrowed(LINK_PLACEHOLDER)));
    }
    with_replaced(text, &handles)
}

fn one_form_of_links(text: &str) -> Option<String> {
    if !text.contains('/') && !text.contains("www.") {
        return None;
    }
    let handles: Vec<_> =
        links(text).map(|range| (range.clone(), Cow::Owned(one_form(&text[range])))).collect();
    with_replaced(text, &handles)
}

/// Parameters of links that tell where a reader came from, not what is read.
const TRACKING: [&str; 6] = ["fbclid", "gclid", "igshid", "mc_cid", "mc_eid", "ref_src"];

/// A link in lower case in one form of those that lead to the same page. Punctuation that comes to stand at its end, where
/// what stood behind it does not count, stays, and is no part of the link any more.
fn one_form(link: &str) -> String {
    let mut bare = link.trim_start_matches("https://");
    while let Some(rest) = bare.strip_prefix("http://").or_else(|| bare.strip_prefix("www.")) {
        bare = rest;
    }
    let (page, fragment) = bare.split_once('#').unwrap_or((bare, ""));
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let mut path = path.trim_end_matches('/');
    let mut parameters: Vec<&str> = query.split('&').filter(|parameter| counts(parameter)).collect();
    if fragment.starts_with(['!', '/']) {
        return link_of(path, &parameters, &["#", fragment].concat());
    }
    // That punctuation, the last piece first: all of it now, not a piece each time that the text is gone through.
    let mut behind = Vec::new();
    while let Some(last) = parameters.pop() {
        let parameter = last.trim_end_matches(BEHIND_LINK);
        behind.push(&last[parameter.len()..]);
        if counts(parameter) {
            parameters.push(parameter);
            break;
        }
        if parameter.is_empty() && parameters.is_empty() {
            behind.push("?");
        }
    }
    while parameters.is_empty() && path.ends_with(BEHIND_LINK) {
        let shorter = path.trim_end_matches(BEHIND_LINK);
        behind.push(&path[shorter.len()..]);
        path = shorter.trim_end_matches('/');
    }
    let behind: String = behind.into_iter().rev().collect();
    link_of(path, &parameters, &behind)
}

fn link_of(path: &str, parameters: &[&str], behind: &str) -> String {
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("http://{path}{mark}{}{behind}", parameters.join("&"))
}

/// Whether a parameter of a link tells what is read.
fn counts(parameter: &str) -> bool {
    let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
    !parameter.is_empty() && !name.starts_with("utm_") && !TRACKING.contains(&name)
}

fn with_replaced(text: &str, handles: &[(Range<usize>, Cow<'_, str>)]) -> Option<String> {
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    for (range, form) in handles {
        replaced.push_str(&text[from..range.start]);
        replaced.push_str(form);
        from = range.end;
    }
    replaced.push_str(&text[from..]);
    (!handles.is_empty()).then_some(replaced)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_to_one_page_have_one_form() {
        for (text, form) in [
            ("See https://www.Example.com/A/?utm_source=x&b=c#top.", "see http://example.com/a?b=c."),
            ("t.co/abc and WWW.example.com/", "http://t.co/abc and http://example.com"),
            ("[x](http://example.com/?gclid=1) @Ann", "[x](http://example.com) @ann"),
            ("http://http://example.com", "http://example.com"),
            ("www.http://www.example.com/", "http://example.com"),
            ("www.https://example.com", "http://https://example.com"),
            ("http://example.com/a./!/?utm_source=x#top", "http://example.com/a.!"),
            ("http://example.com/?a!&b!&gclid!&?!", "http://example.com?a!&b!!?!"),
            ("http://example.com/.?!&gclid", "http://example.com.?!"),
            ("www.example.com?gclid!&utm_x", "http://example.com!"),
            ("either/or www. http://", "either/or www. http://"),
            ("http://example.com/forum/?gclid=1#!topic/AAA.", "http://example.com/forum#!topic/aaa."),
            ("https://example.com/#/a?utm_source=x#b", "http://example.com#/a?utm_source=x#b"),
            ("http://example.com/a.?utm_source=(#!b!) #!c", "http://example.com/a.#!b!) #!c"),
            ("http://example.com/?utm_source=(#!)", "http://example.com!)"),
            ("http://example.com/#!", "http://example.com!"),
            ("http://example.com/a#b/#!c", "http://example.com/a"),
            ("http:///#!a", "http://#!a"),
        ] {
            assert_eq!(normalize(text), form, "{text:?}");
            assert_eq!(normalize(form), form, "{text:?}");
        }
    }

    #[test]
    fn tags_are_seen_in_flags_alone() {
        let [england, scotland] = ["gbeng", "gbsct"].map(|country| {
            let tags = country.bytes().filter_map(|letter| char::from_u32(0xe0000 + u32::from(letter)));
            format!("\u{1f3f4}{}\u{e007f}", tags.collect::<String>())
        });
        for (text, form) in [
            (format!("Up {england}!"), format!("up {england}!")),
            (format!("CAFE\u{301} {scotland}{england}"), format!("café {scotland}{england}")),
            (format!("{scotland}\u{e0041}b"), format!("{scotland}b")),
            ("\u{1f3f4}\u{e0067} \u{e0062}".to_owned(), "\u{1f3f4}\u{e0067}".to_owned()),
            ("\u{1f3f4}\u{200d}\u{e0067}".to_owned(), "\u{1f3f4}".to_owned()),
            ("a\u{e0067}\u{e0001}b".to_owned(), "ab".to_owned()),
        ] {
            for normalize in [normalize, normalize_handles] {
                assert_eq!(normalize(&text), form, "{text:?}");
                assert_eq!(normalize(&form), form, "{text:?}");
            }
        }
        assert_ne!(normalize(&england), normalize(&scotland));
    }

    #[test]
    fn names_are_one_name() {
        for (text, form) in [
            ("hi @ann_1, RT@bob: @a@b", "hi @name, rt@name: @name@name"),
            ("@ann @bob, @cat hi @dan", "@name hi @name"),
            ("u/ann_1 u/bob_2 and @namely", "u/name and @name"),
            ("\u{5199}@ann or \u{ff20}Bob", "\u{5199}@name or @name"),
            ("u/one and /U/some-one, (user/a\\_b)", "u/name and /u/name, (user/name)"),
            ("u/[Ann\\_B](/u/ann_b) r/u_ann r/math", "u/[name](/u/name) r/u_name r/math"),
            (
                "[ann](https://example.com/user/Ann) [ann](b) u/c",
                "[name](https://example.com/user/name) [ann](b) u/c",
            ),
            (
                "twitter.com/#!/Ann x.com/ann/status/1 fedex.com/ann",
                "twitter.com/#!/name x.com/name/status/1 fedex.com/ann",
            ),
            ("mail/u/0/ menu/ann @ é@é", "mail/u/0/ menu/ann @ é@é"),
            ("either and or", "either and or"),
        ] {
            let folded = fold_names(fold_case(text));
            assert_eq!(folded, form, "{text:?}");
            assert_eq!(fold_names(Cow::Borrowed(form)), form, "{text:?}");
        }
    }

    #[test]
    fn the_same_words_have_the_same_form() {
        for (text, form) in [
            ("Hello   World", "hello world"),
            ("\u{feff}caf\u{e9} CAFE\u{301}", "café café"),
            ("ﬁne ①", "fine 1"),
            ("a\u{200b}b\tc\u{0}d", "ab c d"),
            ("Σίσυφος ΣΊΣΥΦΟΣ", "σίσυφοσ σίσυφοσ"),
            ("see https://Example.com/A?b=c.", "see <link>."),
            ("@Ann: (www.example.com)", "<mention>: (<link>)"),
            ("\u{a0} \n ", ""),
            ("no?", "no?"),
            ("@u/u/http://\u{200b}", "<mention><mention>://"),
            ("@a@b u/one/u/two x@a@b", "<mention><mention> <mention><mention> x@a@b"),
            ("www.a)www.b)@c.www.d", "<link>)<link>)<mention>.<link>"),
            ("u/onehttp://a", "<mention><link>"),
        ] {
            assert_eq!(normalize_handles(text), form, "{text:?}");
        }
    }

    #[test]
    fn long_chains_are_folded_at_once() {
        const LINKS: usize = 100_000;
        for (link, placeholder) in
            [("@a", MENTION_PLACEHOLDER), ("/u/one", MENTION_PLACEHOLDER), ("www.a)", "<link>)")]
        {
            let form = normalize_handles(&link.repeat(LINKS));
            assert!(form == placeholder.repeat(LINKS), "{link}: {}", &form[..100]);
            assert!(normalize_handles(&form) == form, "{link}");
        }
        for (text, form) in [
            (format!("http://a{}", "/.".repeat(LINKS)), format!("http://a{}", ".".repeat(LINKS))),
            (format!("http://a?b&{}", "gclid!&".repeat(LINKS)), format!("http://a?b{}", "!".repeat(LINKS))),
            (format!("{}a", "www.http://".repeat(LINKS)), "http://a".to_owned()),
        ] {
            assert!(normalize(&text) == form, "{}", &text[..30]);
            assert!(normalize(&form) == form, "{}", &text[..30]);
        }
    }

    #[test]
    fn the_form_of_every_character_is_stable() {
        // Beyond the second plane there are only tags, private characters and ideographs without a case.
        for c in ('\0'..='\u{1ffff}').chain('\u{e0000}'..='\u{e01ff}') {
            for text in [format!("{c}"), format!("a{c}b"), format!("a\u{301}{c}\u{323}")] {
                let form = normalize(&text);
                assert_eq!(normalize(&form), form, "{text:?} ({:x})", u32::from(c));
            }
        }
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(text in "(\\PC|[ @/:.?&#=a-z]|http://|www.|utm_|u/|\u{200b}|\n){0,40}") {
            for normalize in [normalize, normalize_handles] {
                let form = normalize(&text);
                prop_assert_eq!(normalize(&form), form);
            }
        }

        #[test]
        fn case_and_space_do_not_matter(words in proptest::collection::vec("[a-zA-Z0-9,.é]{1,8}", 0..12)) {
            prop_assert_eq!(normalize(&words.join(" ")), normalize(&format!("\t{}\n", words.join("  \u{a0}")).to_uppercase()));
        }

        #[test]
        fn folded_space_keeps_the_words(text in "(\\PC|[ \t\n\r\u{a0}]){0,40}|[a ~\u{7f}]{0,6}") {
            let folded = fold_space(&text);
            let spaced = text.replace(char::is_control, " ");
            prop_assert_eq!(&*folded, spaced.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
