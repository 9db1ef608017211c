//! The normal form under which two texts count as the same.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfkc_quick};

use super::links::{links, mentions};

/// What a link is folded to.
pub const LINK_PLACEHOLDER: &str = "<link>";

/// What a mention of a person is folded to.
pub const MENTION_PLACEHOLDER: &str = "<mention>";

/// The normal form of a text for duplicate hashing: NFKC, lower case, invisible characters left out, each link and
/// each mention folded to one placeholder word, white space folded, trimmed.
///
/// Two texts with one normal form say the same to a reader. Punctuation stays: "no" and "no?" differ.
/// The form of a form is itself.
///
/// ```
/// use genome_kernels::text::normalize::normalize;
/// assert_eq!(normalize("  Look,  ＠Ann:\nhttps://example.com/1 "), normalize("look, @bob: http://example.com/2"));
/// ```
pub fn normalize(text: &str) -> String {
    fold_space(&replace_handles(&fold_case(text)))
}

/// The text with every run of white space and control characters as one space, trimmed.
pub fn fold_space(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let is_space = |c: char| c.is_whitespace() || c.is_control();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

/// NFKC in lower case, without invisible characters.
fn fold_case(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    let mut folded = fold_once(text);
    // Lower case may decompose ('İ' becomes two characters) and reorder marks; it is stable after few rounds.
    for _ in 0..3 {
        let again = fold_once(&folded);
        if again == folded {
            break;
        }
        folded = again;
    }
    Cow::Owned(folded)
}

fn fold_once(text: &str) -> String {
    let visible = text.chars().filter(|c| !is_invisible(*c));
    let lower: String = if is_nfkc_quick(visible.clone()) == unicode_normalization::IsNormalized::Yes {
        visible.flat_map(char::to_lowercase).collect()
    } else {
        visible.nfkc().flat_map(char::to_lowercase).collect()
    };
    // The final sigma is a matter of position, not of meaning.
    if lower.contains('ς') { lower.replace('ς', "σ") } else { lower }
}

/// Characters that a reader does not see: joiners, direction marks, variation selectors, soft hyphen, byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Puts placeholders in the place of links and mentions, until there are none: what stands beside a placeholder may
/// only then count as one.
fn replace_handles(text: &str) -> Cow<'_, str> {
    let mut placed = Cow::Borrowed(text);
    while let Some(replaced) = replace_once(&placed) {
        placed = Cow::Owned(replaced);
    }
    placed
}

fn replace_once(text: &str) -> Option<String> {
    if !text.contains(['/', '@']) && !text.contains("www.") {
        return None;
    }
    let mut handles: Vec<_> = links(text).map(|range| (range, LINK_PLACEHOLDER)).collect();
    handles.extend(mentions(text).map(|range| (range, MENTION_PLACEHOLDER)));
    handles.sort_unstable_by_key(|(range, _)| range.start);
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    for (range, placeholder) in &handles {
        replaced.push_str(&text[from..range.start]);
        replaced.push_str(placeholder);
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
        ] {
            assert_eq!(normalize(text), form, "{text:?}");
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
        fn the_form_of_a_form_is_itself(text in "(\\PC|[ @/:.a-z]|http://|u/|\u{200b}|\n){0,40}") {
            let form = normalize(&text);
            prop_assert_eq!(normalize(&form), form);
        }

        #[test]
        fn case_and_space_do_not_matter(words in proptest::collection::vec("[a-zA-Z0-9,.é]{1,8}", 0..12)) {
            prop_assert_eq!(normalize(&words.join(" ")), normalize(&format!("\t{}\n", words.join("  \u{a0}")).to_uppercase()));
        }

        #[test]
        fn folded_space_keeps_the_words(text in "(\\PC|[ \t\n\r\u{a0}]){0,40}") {
            let folded = fold_space(&text);
            prop_assert!(!folded.contains("  "));
            prop_assert_eq!(folded.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>(),
                text.split_whitespace().collect::<Vec<_>>());
        }
    }
}
