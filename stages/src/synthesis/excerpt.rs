//! What of a person's texts a judge is shown, where not all of them fit.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use genome_kernels::text::sentences::words;

use super::view::shorten;

/// Fewest letters of a word by which a line and an answer are held together.
const FEWEST_LETTERS: usize = 4;

/// Evidence of at most `max_chars` characters: all of it, or the lines that have most words in common with the answer, in
/// their order; the first of these is cut if it is too long by itself. An answer may lean on any of the texts, and not on
/// the first ones more than on others.
pub(super) fn excerpt(evidence: &str, answer: &str, max_chars: usize) -> String {
    let mut left = max_chars;
    if evidence.chars().count() <= left {
        return evidence.to_owned();
    }
    let said = content(answer);
    let lines: Vec<&str> = evidence.lines().collect();
    let mut order: Vec<(usize, usize)> =
        lines.iter().enumerate().map(|(at, line)| (content(line).intersection(&said).count(), at)).collect();
    order.sort_by_key(|&(common, at)| (Reverse(common), at));
    let mut shown = BTreeMap::new();
    for (_, at) in order {
        let cost = lines[at].chars().count() + 1;
        if cost <= left {
            left -= cost;
            shown.insert(at, lines[at].to_owned());
        } else if shown.is_empty() {
            shown.insert(at, shorten(lines[at], left));
            break;
        }
    }
    shown.into_values().collect::<Vec<_>>().join("\n")
}

fn content(text: &str) -> BTreeSet<String> {
    words(text).into_iter().filter(|word| word.chars().count() >= FEWEST_LETTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_the_answer_leans_on_are_shown() {
        let evidence =
            "The weather was fine today.\nI sold my boat in April.\nNothing happened at all.\nBoats leak.";
        for (answer, max_chars, expected) in [
            ("anything", 200, evidence),
            (r#"{"story": "Sold a boat"}"#, 30, "I sold my boat in April."),
            (r#"{"story": "Sold a boat; boats leak."}"#, 40, "I sold my boat in April.\nBoats leak."),
            ("of none of them", 40, "The weather was fine today.\nBoats leak."),
            ("I sold it", 20, "I sold my boat in …"),
            ("I sold it", 5, "I …"),
        ] {
            assert_eq!(excerpt(evidence, answer, max_chars), expected, "{answer} {max_chars}");
        }
    }
}
