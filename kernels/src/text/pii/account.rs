//! Numbers of payment: cards and bank accounts.

use std::ops::Range;

use super::checksum::luhn;
use super::scan::{
    Gap, Group, digits, is_before_slash, is_behind_hash, is_behind_slash, is_in_word, said_before,
    stands_alone_after, stands_alone_before,
};

/// How card numbers are grouped.
const CARD_SHAPES: [&[usize]; 10] =
    [&[16], &[15], &[14], &[19], &[13], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3], &[6, 13]];

/// Words before a card number in a form that other numbers have as well.
const CARD_WORDS: [&str; 9] =
    ["card", "cc", "visa", "mastercard", "maestro", "debit", "credit", "unionpay", "karte"];

/// The card number that starts with the first of `groups`.
pub(super) fn card(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    if is_in_word(text, groups[0].start) {
        return None;
    }
    CARD_SHAPES.iter().find_map(|shape| {
        let groups = groups.get(..shape.len())?;
        if !groups.iter().zip(*shape).all(|(group, len)| group.len() == *len) {
            return None;
        }
        let (last, inner) = groups.split_last()?;
        let gap = groups[0].gap;
        let even = inner.iter().all(|group| group.gap == gap);
        if !(inner.is_empty() || even && matches!(gap, Gap::Space | Gap::Dash | Gap::Dot)) {
            return None;
        }
        let range = groups[0].start..last.end;
        let number = digits(text, groups);
        let rare = matches!(number.len(), 13 | 19) && inner.len() < 4;
        let meant = !rare || said_before(text, range.start, 4, &CARD_WORDS);
        (meant && is_issued(&number) && luhn(&number) && is_set_apart(text, &range)).then_some(range)
    })
}

/// Whether a card number stands alone; its check digit vouches for it behind `#` and beside a slash.
fn is_set_apart(text: &str, range: &Range<usize>) -> bool {
    let before = is_behind_hash(text, range.start)
        || is_behind_slash(text, range.start)
        || stands_alone_before(text, range.start, false);
    before && (is_before_slash(text, range.end) || stands_alone_after(text, range.end, false))
}

/// Whether the first digits belong to a card scheme, and the length to that scheme (ISO/IEC 7812-1).
fn is_issued(digits: &[u8]) -> bool {
    let prefix =
        |n: usize| digits.iter().take(n).fold(0_u32, |number, digit| 10 * number + u32::from(*digit));
    match digits.len() {
        13 => prefix(1) == 4,
        14 => matches!(prefix(3), 300..=305 | 309) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 50..=59 | 60 | 62 | 64 | 65 | 67)
                || matches!(prefix(4), 2200..=2204 | 2221..=2720 | 3528..=3589 | 6304 | 6390 | 9792)
        }
        19 => {
            prefix(1) == 4 || matches!(prefix(2), 50 | 56..=58 | 60 | 62 | 64 | 65 | 67) || prefix(4) == 6304
        }
        _ => false,
    }
}

/// The account number whose check digits are the first two digits of `group`.
pub(super) fn iban(text: &str, group: &Group) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    // `GB82`; some leave a blank after the country.
    let start = group.start.checked_sub(2)?;
    let country = text.get(start..group.start)?;
    if !country.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let country = country.to_ascii_uppercase();
    let structure = IBANS.split(' ').find_map(|row| row.strip_prefix(country.as_str()))?;
    let length = 4 + parts(structure).map(|(n, _)| n).sum::<usize>();

    let mut account: Vec<u8> = Vec::with_capacity(length);
    let mut end = start;
    let mut n_blanks = 0;
    let mut spaced = false;
    while account.len() < length {
        match bytes.get(end)? {
            b if b.is_ascii_alphanumeric() => {
                account.push(b.to_ascii_uppercase());
                n_blanks = 0;
            }
            b' ' | b'-' if n_blanks < 2 => {
                n_blanks += 1;
                spaced = true;
            }
            // A blank at which no line breaks: two bytes.
            0xc2 if n_blanks < 2 && bytes.get(end + 1) == Some(&0xa0) => {
                n_blanks += 1;
                spaced = true;
                end += 1;
            }
            _ => return None,
        }
        end += 1;
    }
    let range = start..end;
    // Letters in a sentence may go on after a blank: that is no part of the number.
    let alone = (is_behind_hash(text, start) || stands_alone_before(text, start, false))
        && stands_alone_after(text, end, false);
    (alone
        && fits(&account[4..], structure)
        && has_check_digits(&account)
        && !is_sentence(text, &range, spaced))
    .then_some(range)
}

/// Whether the groups are of other lengths than people write, and in lower case: then it is words by chance.
fn is_sentence(text: &str, range: &Range<usize>, spaced: bool) -> bool {
    let written = &text[range.clone()];
    spaced
        && written.bytes().any(|b| b.is_ascii_lowercase())
        && written.split([' ', '\u{a0}', '-']).any(|group| group.len() > 8)
}

/// Counts and classes of a structure such as `4a14n`.
fn parts(structure: &str) -> impl Iterator<Item = (usize, u8)> + '_ {
    structure.split_inclusive(|c: char| c.is_ascii_alphabetic()).filter_map(|part| {
        let (count, class) = part.split_at_checked(part.len().checked_sub(1)?)?;
        Some((count.parse().ok()?, *class.as_bytes().first()?))
    })
}

fn fits(account: &[u8], structure: &str) -> bool {
    let mut classes = parts(structure).flat_map(|(n, class)| std::iter::repeat_n(class, n));
    account.iter().all(|b| match classes.next() {
        Some(b'n') => b.is_ascii_digit(),
        Some(b'a') => b.is_ascii_uppercase(),
        Some(_) => true,
        None => false,
    })
}

/// The remainder of 1 modulo 97 (ISO 13616), country and check digits moved to the end, letters as 10 to 35.
fn has_check_digits(account: &[u8]) -> bool {
    let (head, tail) = account.split_at(4);
    let remainder = tail.iter().chain(head).fold(0_u32, |rest, b| match b {
        b'0'..=b'9' => (10 * rest + u32::from(b - b'0')) % 97,
        _ => (100 * rest + u32::from(b - b'A') + 10) % 97,
    });
    remainder == 1
}

/// Structure of the account numbers behind the check digits by country, of SWIFT's IBAN registry (release 101): digits
/// `n`, letters `a`, either `c`.
const IBANS: &str = "\
    AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c BI23n BR23n1a1c BY4c4n16c CH5n12c \
    CR18n CY8n16c CZ20n DE18n DJ23n DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n FR10n11c2n \
    GB4a14n GE2a16n GI4a15c GL14n GR7n16c GT24c HN4a20n HR17n HU24n IE4a14n IL19n IQ4a15n IS22n \
    IT1a10n12c JO4a4n18c KW4a22c KZ3n13c LB4n20c LC4a24c LI5n12c LT16n LU3n13c LV4a13c LY21n MC10n11c2n \
    MD20c ME18n MK3n10c2n MN16n MR23n MT4a5n18c MU4a19n3a NI4a20n NL4a10n NO11n OM3n16c PK4a16c PL24n \
    PS4a21c PT21n QA4a21c RO4a16c RS18n RU14n15c SA2n18c SC4a20n3a SD14n SE20n SI15n SK20n SM1a10n12c \
    SO19n ST21n SV4a20n TL19n TN20n TR6n16c UA6n19c VA18n VG4a16n XK16n YE4a4n18c";
