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

/// Whether `quote` is a run of whole words of one line of `evidence`, both taken as [`quotable`]. Signs at the ends of the
/// quotation do not count: who copies words leaves out the full stop behind them, or a bracket before.
pub fn is_quotation(evidence: &str, quote: &str) -> bool {
    let quote = quotable(quote);
    let is_sign = |c: char| !c.is_alphanumeric();
    let words = quote.trim_matches(is_sign);
    // Of signs alone, such as a face, all of them count, up to one that begins a tag.
    let ends_signs = |c: char| c.is_whitespace() || c == '<';
    let (wanted, ends) =
        if words.is_empty() { (&*quote, ends_signs as fn(char) -> bool) } else { (words, is_sign as _) };
    !wanted.is_empty()
        && passages(evidence).iter().any(|passage| {
            passage.match_indices(wanted).any(|(at, _)| {
                passage[..at].chars().next_back().is_none_or(ends)
                    && passage[at + wanted.len()..].chars().next().is_none_or(ends)
            })
        })
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
        for quote in ["I said 'no' to him.", "said \"no\"", "Then I left", "left", "him", "(to him!", "no"] {
            assert!(is_quotation(evidence, quote), "{quote}");
        }
        for quote in ["aid", "hi", "him. Then", "", " ", "then I left", "...", "sai"] {
            assert!(!is_quotation(evidence, quote), "{quote}");
        }
        // In tags a quotation ends where a tag would begin.
        assert!(is_quotation("so :<", ":") && is_quotation("{<", "{") && !is_quotation(":-( no", ":"));
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
