//! Numbers that identify: phones, payment cards, bank accounts.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::text::links::pattern;

/// International form: `+`, country code, groups; a trunk zero in brackets may follow the code.
static INTERNATIONAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\+[1-9][0-9]{0,2}(?:[ .-]?\(0\))?(?:[ .-]?\([0-9]{1,5}\))?(?:[ .-]?[0-9]{1,12})*")
});

/// North American form: area code and exchange start with 2 to 9; parts must be set apart.
static NORTH_AMERICAN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?:1[ .-])?(?:\([2-9][0-9]{2}\)[ .-]?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}")
});

/// British form: a zero, then area and number in two or three groups, or a mobile number in one piece.
static BRITISH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"07[0-9]{9}|(?:\(0[1-9][0-9]{1,4}\)[ -]?|0[1-9][0-9]{1,4}[ -])[0-9]{3,4}(?:[ -]?[0-9]{2,4})?")
});

/// Card numbers in one piece or in the groups that are printed on cards.
static CARD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"[2-6][0-9]{13,15}|[2-6][0-9]{3}(?: [0-9]{4}){3}|[2-6][0-9]{3}(?:-[0-9]{4}){3}|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5}",
    )
});

/// How an account number starts: country and check digits.
static IBAN_START: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Z]{2}[0-9]{2}"));

/// Fewest digits of any number that is looked for here: an account number may consist of letters else.
pub(super) const MIN_DIGITS: usize = 4;

/// Lengths of account numbers by country (SWIFT's IBAN registry).
const IBAN_LENGTHS: [(&str, usize); 60] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PK", 24),
    ("PL", 28),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("SA", 24),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
];

/// Byte ranges of the phone numbers of a text.
pub(super) fn phones(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let international = INTERNATIONAL.find_iter(text).map(|found| found.range()).filter(|range| {
        let digits = n_digits(&text[range.clone()]);
        // ITU E.164: at most 15 digits; fewer than 8 with the country code is no subscriber.
        (8..=15).contains(&digits) && stands_alone(text, range)
    });
    let north_american =
        NORTH_AMERICAN.find_iter(text).map(|found| found.range()).filter(|range| stands_alone(text, range));
    let british = BRITISH
        .find_iter(text)
        .map(|found| found.range())
        .filter(|range| (10..=11).contains(&n_digits(&text[range.clone()])) && stands_alone(text, range));
    international.chain(north_american).chain(british)
}

/// Byte ranges of the card numbers of a text.
pub(super) fn cards(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    CARD.find_iter(text).map(|found| found.range()).filter(|range| {
        let digits: Vec<u32> = text[range.clone()].chars().filter_map(|c| c.to_digit(10)).collect();
        is_issued(&digits) && has_check_digit(&digits) && stands_alone(text, range)
    })
}

/// Byte ranges of the account numbers of a text.
pub(super) fn ibans(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    IBAN_START.find_iter(text).filter_map(|start| {
        let country = &start.as_str()[..2];
        let (_, length) = *IBAN_LENGTHS.iter().find(|(code, _)| *code == country)?;
        let mut account = String::with_capacity(length);
        let mut end = start.start();
        let mut after_space = false;
        for (at, c) in text[start.start()..].char_indices() {
            if c.is_ascii_digit() || c.is_ascii_uppercase() {
                account.push(c);
                after_space = false;
            } else if c == ' ' && !after_space {
                after_space = true;
            } else {
                break;
            }
            if account.len() == length {
                end = start.start() + at + 1;
                break;
            }
        }
        let range = start.start()..end;
        (account.len() == length && is_account(&account) && stands_alone(text, &range)).then_some(range)
    })
}

/// Whether a number is not a piece of a longer one, a price, a tag or a share.
fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    // Groups with spaces between them go on over a space.
    let spaced = text[range.clone()].contains(' ');
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut before = text[..range.start].chars().rev();
    let joined_before = match before.next() {
        Some(c) if c.is_alphanumeric() || "_#$£€¥/+*=".contains(c) => true,
        Some('.' | ',' | '-' | ':') => is_digit(before.next()),
        Some(' ') => spaced && is_digit(before.next()),
        _ => false,
    };
    let mut after = text[range.end..].chars();
    let joined_after = match after.next() {
        Some(c) if c.is_alphanumeric() || "_%$£€¥/*=".contains(c) => true,
        Some('.' | ',' | '-') => is_digit(after.next()),
        Some(' ') => spaced && is_digit(after.next()),
        _ => false,
    };
    !joined_before && !joined_after
}

fn n_digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// Whether the first digits belong to a card scheme, and the length to that scheme.
fn is_issued(digits: &[u32]) -> bool {
    let prefix = |n: usize| digits.iter().take(n).fold(0, |number, digit| 10 * number + digit);
    match digits.len() {
        14 => matches!(prefix(3), 300..=305) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 50..=59 | 60 | 62 | 64 | 65 | 67)
                || matches!(prefix(4), 2221..=2720 | 3528..=3589)
        }
        _ => false,
    }
}

/// Luhn's check digit (ISO/IEC 7812-1).
fn has_check_digit(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, 2 * digit) {
            (0, _) => *digit,
            (_, doubled) => doubled / 10 + doubled % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The remainder of 1 modulo 97 (ISO 13616), country and check digits moved to the end, letters as 10 to 35.
fn is_account(account: &str) -> bool {
    let (head, tail) = account.split_at(4);
    let remainder =
        tail.chars().chain(head.chars()).filter_map(|c| c.to_digit(36)).fold(0, |rest, value| {
            if value < 10 { (10 * rest + value) % 97 } else { (100 * rest + value) % 97 }
        });
    remainder == 1
}
