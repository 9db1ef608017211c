//! The numbers of a text, in digits and in words.

use std::sync::LazyLock;

use regex::Regex;

use crate::text::links::pattern;
use crate::text::normalize::fold_case;

/// A number that a text has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'a> {
    /// As it is written.
    pub(super) text: &'a str,
    /// In thousandths; of a decade its beginning.
    pub(super) value: u64,
    /// What it counts.
    pub(super) sense: Sense,
    /// Whether it can be right or wrong: "hundreds of" cannot.
    pub(super) is_claim: bool,
}

/// What a number counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sense {
    /// Anything.
    Plain,
    /// Ten years: "in their forties", "the 1990s".
    Decade,
    /// Ten years of a life or of the last century: "the nineties".
    LateDecade,
    /// Thousands, or kilometres by the number before them: "20k".
    Thousands,
    /// A number of thousands or of kilometres, written out: "20 thousand", "10 km".
    OfThousands,
    /// The day of a month, from 1: "24 May".
    Day(u64),
    /// The day of a month, from 1, in a date in digits: "2023-05-24".
    DateDay(u64),
}

/// The last day of a month, in thousandths.
const LAST_DAY: u64 = 31_000;

/// The first decade that is none of a life, in thousandths.
const AFTER_LIFE: u64 = 130_000;

static DATE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\b"));

/// The numbers of a text in their order. A date in digits has two: its year, and its day with the month.
pub(super) fn numbers(text: &str) -> Vec<Number<'_>> {
    let mut found = Vec::new();
    let mut rest = 0;
    for date in DATE.captures_iter(text) {
        let (whole, [year, month, day]) = date.extract();
        let start = whole.as_ptr() as usize - text.as_ptr() as usize;
        found.extend(numbers_between_dates(&text[rest..start]));
        rest = start + whole.len();
        let thousandths = |digits: &str| digits.parse::<u64>().map_or(0, |number| 1000 * number);
        found.push(Number { text: year, value: thousandths(year), sense: Sense::Plain, is_claim: true });
        found.push(Number {
            text: &whole[year.len() + 1..],
            value: thousandths(day),
            sense: Sense::DateDay(thousandths(month) / 1000),
            is_claim: true,
        });
    }
    found.extend(numbers_between_dates(&text[rest..]));
    found
}

fn numbers_between_dates(text: &str) -> Vec<Number<'_>> {
    let mut found: Vec<Number<'_>> = Vec::new();
    // Words of a number before this one, with what they amount to: "two hundred", "forty-three".
    let mut open: Option<(usize, u64)> = None;
    let base = text.as_ptr() as usize;
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | ',' | '\'' | '’');
    let parts = text.split(|c: char| !is_part(c)).map(|raw| raw.trim_matches(|c: char| !c.is_alphanumeric()));
    let words: Vec<&str> = parts.filter(|word| !word.is_empty()).collect();
    for (at, &word) in words.iter().enumerate() {
        let start = word.as_ptr() as usize - base;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            open = None;
            let number = number_in_digits(word);
            found.extend(number.map(|number| beside(number, &words, at, &text[..start])));
            continue;
        }
        let folded = fold_case(word);
        // "three hundred and fifty" is one number.
        if let Some((end, so_far)) = open
            && &*folded == "and"
            && so_far >= 100
            && so_far % 100 == 0
            && text[end..start].chars().all(|c| c == ' ')
            && words
                .get(at + 1)
                .is_some_and(|word| matches!(number_word(&fold_case(word)), Some(Word::Units(_))))
        {
            open = Some((start + word.len(), so_far));
            continue;
        }
        if let Some(decade) = decade_in_words(&folded) {
            open = None;
            let number = Number { text: word, value: decade * 1000, sense: Sense::Decade, is_claim: true };
            found.push(beside(number, &words, at, &text[..start]));
            continue;
        }
        let joins = open.is_some_and(|(end, _)| text[end..start].chars().all(|c| c == ' ' || c == '-'));
        let value = match (number_word(&folded), open.filter(|_| joins)) {
            (None, _) => {
                open = None;
                continue;
            }
            (Some(Word::Scale(scale)), Some((_, so_far))) => so_far.saturating_mul(scale),
            (Some(Word::Units(units)), Some((_, so_far)))
                if so_far % 100 == 0 || (so_far % 10 == 0 && units < 10) =>
            {
                so_far.saturating_add(units)
            }
            (Some(Word::Scale(scale)), None) => scale,
            (Some(Word::Units(units)), _) => {
                open = Some((start + word.len(), units));
                let (value, is_claim) = (units * 1000, units > 2);
                found.push(Number { text: word, value, sense: Sense::Plain, is_claim });
                continue;
            }
        };
        open = Some((start + word.len(), value));
        let is_continued = joins && !found.is_empty();
        let from = if is_continued { found.pop() } else { None };
        let begin = from.map_or(start, |number| number.text.as_ptr() as usize - base);
        let is_claim = is_continued;
        // "hundreds of", "a thousand": no number that could be right or wrong.
        found.push(Number {
            text: &text[begin..start + word.len()],
            value: value.saturating_mul(1000),
            sense: Sense::Plain,
            is_claim,
        });
    }
    found
}

/// A number with what the words around it say that it counts; `words[at]` is the number, `before` all text before it.
fn beside<'a>(number: Number<'a>, words: &[&str], at: usize, before: &str) -> Number<'a> {
    let sense = match number.sense {
        Sense::Plain if words.get(at + 1).is_some_and(|word| is_thousands(word)) => Sense::OfThousands,
        Sense::Plain if number.value <= LAST_DAY => month_beside(words, at).map_or(Sense::Plain, Sense::Day),
        Sense::Decade if number.value < AFTER_LIFE && is_of_calendar(words, at, before) => Sense::LateDecade,
        sense => sense,
    };
    Number { sense, ..number }
}

/// Whether a word behind a number may be written as a `k` behind it.
fn is_thousands(word: &str) -> bool {
    const WORDS: [&str; 9] =
        ["k", "km", "kms", "kilometer", "kilometers", "kilometre", "kilometres", "thousand", "grand"];
    WORDS.iter().any(|thousands| word.eq_ignore_ascii_case(thousands))
}

/// The month, from 1, whose name stands before a number, or behind it, as in "the 24th of May".
fn month_beside(words: &[&str], at: usize) -> Option<u64> {
    let before = at.checked_sub(1).and_then(|before| month(words[before]));
    let is_of = words.get(at + 1).is_some_and(|word| word.eq_ignore_ascii_case("of"));
    let after = || words.get(at + 1 + usize::from(is_of)).and_then(|word| month(word));
    before.or_else(after)
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The number of a month, from 1, by its name, written large, or the first three letters of it.
fn month(word: &str) -> Option<u64> {
    let folded = fold_case(word);
    let name = if &*folded == "sept" { "sep" } else { &*folded };
    let at = MONTHS.iter().position(|month| *month == name || month.get(..3) == Some(name))?;
    u64::try_from(at + 1).ok().filter(|_| word.starts_with(char::is_uppercase))
}

/// Whether a decade may be one of the calendar: "the nineties", "the late 90s", "'90s", but not "her nineties".
fn is_of_calendar(words: &[&str], at: usize, before: &str) -> bool {
    let mut preceding = words[..at].iter().rev().filter(|word| !is_part_of_decade(word));
    before.ends_with(['\'', '’']) || preceding.next().is_some_and(|word| word.eq_ignore_ascii_case("the"))
}

fn is_part_of_decade(word: &str) -> bool {
    ["early", "mid", "late"].iter().any(|part| word.eq_ignore_ascii_case(part))
}

/// A number such as `1,200`, `3.5`, `40s`, `1990s`, `2nd`, `20k`.
fn number_in_digits(word: &str) -> Option<Number<'_>> {
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let ending = word[digits.len()..].trim_start_matches(['\'', '’']);
    let whole = digits.replace(',', "");
    let (whole, part) = whole.split_once('.').unwrap_or((&whole, ""));
    let part = format!("{part:0<3}");
    let thousandths = part.get(..3)?.parse::<u64>().ok()?;
    let value = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)?;
    let is_decade =
        value.is_multiple_of(10_000) && (value < AFTER_LIFE || (1_000_000..3_000_000).contains(&value));
    let (value, sense) = match ending {
        "s" if is_decade => (value, Sense::Decade),
        "k" | "K" => (value.checked_mul(1000)?, Sense::Thousands),
        ending if is_thousands(ending) => (value, Sense::OfThousands),
        _ => (value, Sense::Plain),
    };
    Some(Number { text: word, value, sense, is_claim: true })
}

enum Word {
    Units(u64),
    Scale(u64),
}

fn number_word(word: &str) -> Option<Word> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    let small = SMALL.iter().position(|small| *small == word).and_then(|units| u64::try_from(units).ok());
    let tens = || TENS.iter().find(|(tens, _)| *tens == word).map(|(_, value)| *value);
    match word {
        "hundred" => Some(Word::Scale(100)),
        "thousand" => Some(Word::Scale(1000)),
        "million" => Some(Word::Scale(1_000_000)),
        "dozen" => Some(Word::Scale(12)),
        _ => small.or_else(tens).map(Word::Units),
    }
}

const TENS: [(&str, u64); 8] = [
    ("twenty", 20),
    ("thirty", 30),
    ("forty", 40),
    ("fifty", 50),
    ("sixty", 60),
    ("seventy", 70),
    ("eighty", 80),
    ("ninety", 90),
];

/// The first year of a decade of life: 40 of `forties`.
fn decade_in_words(word: &str) -> Option<u64> {
    let stem = word.strip_suffix("ies")?;
    TENS.iter().find(|(tens, _)| tens.strip_suffix('y') == Some(stem)).map(|(_, value)| *value)
}
