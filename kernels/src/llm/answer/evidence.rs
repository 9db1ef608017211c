//! The text that quotations are copied from.

/// The text as it can be quoted: double quotes become single ones, backslashes slashes, line breaks and control
/// characters spaces, and runs of spaces one; no space at either end. A quotation of it needs no escapes in JSON.
/// Applying it twice changes nothing.
pub fn quotable(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => result.push('\''),
            '\\' => result.push('/'),
            c if c.is_whitespace() || c.is_control() => {
                if !result.is_empty() && !result.ends_with(' ') {
                    result.push(' ');
                }
            }
            c => result.push(c),
        }
    }
    if result.ends_with(' ') {
        result.pop();
    }
    result
}

/// Whether `quote` is a run of whole words of one line of `evidence`, both taken as [`quotable`].
pub fn is_quotation(evidence: &str, quote: &str) -> bool {
    let quote = quotable(quote);
    let wanted = format!(" {quote} ");
    !quote.is_empty() && passages(evidence).iter().any(|passage| format!(" {passage} ").contains(&wanted))
}

/// The lines of the evidence as they can be quoted, empty ones left out.
pub(super) fn passages(evidence: &str) -> Vec<String> {
    evidence.lines().map(quotable).filter(|passage| !passage.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotation_is_by_whole_words_of_one_line() {
        let evidence = "I said \"no\"\tto\u{a0}him.\nThen I  left";
        for quote in ["I said 'no' to him.", "said \"no\"", "Then I left", "left"] {
            assert!(is_quotation(evidence, quote), "{quote}");
        }
        for quote in ["aid", "him", "him. Then", "", " ", "then I left"] {
            assert!(!is_quotation(evidence, quote), "{quote}");
        }
    }

    proptest! {
        #[test]
        fn quotable_text_needs_no_escape_and_is_stable(text in "\\PC*|(.|\\s){0,40}") {
            let once = quotable(&text);
            prop_assert_eq!(serde_json::to_string(&once).unwrap(), format!("\"{once}\""));
            prop_assert_eq!(quotable(&once), once.clone());
            prop_assert!(!once.contains("  ") && once.trim() == once);
        }
    }
}
