//! Passages of a text: its lines, each by what it says, so that those which stand elsewhere too can be counted and taken out.

use std::ops::Range;

use super::normalize::normalize;
use crate::mix::mix;

/// A line of a text that is long enough to be known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Where it stands, in bytes, without its line end.
    pub range: Range<usize>,
    /// Words, which are separated by white space.
    pub words: usize,
    /// What it says: case, Unicode, white space, forms of links and marks of quotation (`>`) folded.
    pub form: String,
}

impl Passage {
    /// A number for what it says, in one scope.
    pub fn key(&self, scope: u64) -> u64 {
        let bytes = blake3::hash(self.form.as_bytes());
        let mut head = [0; 8];
        head.copy_from_slice(&bytes.as_bytes()[..8]);
        mix(u64::from_le_bytes(head) ^ scope)
    }
}

/// The passages of a text of at least `min_words` words, in order.
pub fn passages(text: &str, min_words: usize) -> impl Iterator<Item = Passage> + '_ {
    let mut start = 0;
    text.split('\n').filter_map(move |line| {
        let range = start..start + line.len();
        start = range.end + 1;
        let own = unquoted(line);
        let words = own.split_whitespace().count();
        (words >= min_words.max(1)).then(|| Passage { range, words, form: normalize(own) })
    })
}

/// A line without marks of quotation before it.
fn unquoted(line: &str) -> &str {
    let mut line = line.trim();
    while let Some(rest) = line.strip_prefix('>').or_else(|| line.strip_prefix("&gt;")) {
        line = rest.trim_start();
    }
    line
}

/// The share of a text's words that stand in some of its passages, `0.0..=1.0`; 0 for a text without words.
pub fn share<'a>(text: &str, of: impl Iterator<Item = &'a Passage>) -> f64 {
    let words = text.lines().map(|line| unquoted(line).split_whitespace().count()).sum::<usize>();
    let of: usize = of.map(|passage| passage.words).sum();
    if words == 0 { 0.0 } else { of as f64 / words as f64 }
}

/// A text without some of its passages, which are in order: their lines are gone, and no more than one empty line stands
/// between others.
pub fn without<'a>(text: &str, passages: impl Iterator<Item = &'a Passage>) -> String {
    let mut rest = String::with_capacity(text.len());
    let mut from = 0;
    let mut is_trimmed = false;
    for passage in passages {
        rest.push_str(&text[from..passage.range.start]);
        from = (passage.range.end + 1).min(text.len());
        is_trimmed = true;
    }
    rest.push_str(&text[from..]);
    if !is_trimmed {
        return rest;
    }
    let mut trimmed = String::with_capacity(rest.len());
    let mut is_after_empty = true;
    for line in rest.lines() {
        let is_empty = line.trim().is_empty();
        if !(is_empty && is_after_empty) {
            trimmed.push_str(line);
            trimmed.push('\n');
        }
        is_after_empty = is_empty;
    }
    trimmed.truncate(trimmed.trim_end().len());
    trimmed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POST: &str = "Hello there.\n\n> The tide took my second oar\n&gt;&gt; the TIDE  took my second oar\n\nI know.\nThe tide took mine.";

    #[test]
    fn lines_are_known_again_whatever_quotes_them() {
        let found: Vec<Passage> = passages(POST, 4).collect();
        let forms: Vec<&str> = found.iter().map(|passage| passage.form.as_str()).collect();
        let tide = "the tide took my second oar";
        assert_eq!(forms, [tide, tide, "the tide took mine."]);
        assert_eq!(&POST[found[1].range.clone()], "&gt;&gt; the TIDE  took my second oar");
        assert_eq!(found[0].key(1), found[1].key(1));
        assert_ne!(found[0].key(1), found[0].key(2));
        assert_ne!(found[0].key(1), found[2].key(1));
        // 2 + 6 + 6 + 2 + 4 words.
        assert!((share(POST, found[..2].iter()) - 0.6).abs() < 1e-12);
        assert_eq!(without(POST, found[..2].iter()), "Hello there.\n\nI know.\nThe tide took mine.");
        assert_eq!(without(POST, found.iter()), "Hello there.\n\nI know.");
        assert_eq!(without(POST, [].iter()), POST);
        assert!(share("", [].iter()).abs() < 1e-12);
        let all: Vec<Passage> = passages("one two\n\n> three four", 1).collect();
        assert_eq!(without("one two\n\n> three four", all.iter()), "");
        assert!((share("one two\n\n> three four", all.iter()) - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn what_stays_has_the_words_that_are_not_taken_out(
            lines in proptest::collection::vec("[>ab é]{0,12}", 0..9),
            min_words in 0_usize..4,
        ) {
            let text = lines.join("\n");
            let all: Vec<Passage> = passages(&text, min_words).collect();
            let taken: Vec<&Passage> = all.iter().step_by(2).collect();
            let words = |text: &str| text.lines().map(|line| unquoted(line).split_whitespace().count()).sum::<usize>();
            let gone: usize = taken.iter().map(|passage| passage.words).sum();
            let rest = without(&text, taken.iter().copied());
            prop_assert_eq!(words(&rest), words(&text) - gone);
            prop_assert!(share(&text, taken.into_iter()) <= 1.0);
        }
    }
}
