//! Numbers by which a state knows a person that hold letters.

use std::ops::Range;

use super::checksum::is_day;
use super::national_id::{chinese_remainder, is_chinese_birthday};
use super::scan::{Gap, Group, said_before, stands_alone};

/// The number of digits and letters that `groups`, the first of them, belongs to.
pub(super) fn lettered(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    let group = groups.first()?;
    token(text, group).or_else(|| spaced_insurance(text, groups))
}

fn token(text: &str, group: &Group) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let before = bytes[..group.start]
        .iter()
        .rev()
        .take(16)
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'-')
        .count();
    let start = group.start - before;
    let inside = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+');
    let after = bytes[start..].iter().take(20).take_while(|b| inside(b)).count();
    // A full stop or a dash at the end belongs to the sentence.
    let written = text[start..start + after].trim_end_matches(['-', '.', '+']);
    if !(8..=18).contains(&written.len()) || !written.bytes().any(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let range = start..start + written.len();
    let plain = written.bytes().all(|b| b.is_ascii_alphanumeric());
    let said = |words: &[&str]| said_before(text, start, 5, words);
    let compact: Vec<u8> =
        written.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_uppercase()).collect();
    let known = match compact.len() {
        8 => plain && irish(&compact) && said(&["pps", "ppsn"]),
        9 => {
            spanish(&compact)
                || plain
                    && (insurance(&compact)
                        || singaporean(&compact)
                        || irish(&compact) && said(&["pps", "ppsn"]))
        }
        10 if plain => {
            let upper = written.bytes().all(|b| !b.is_ascii_lowercase());
            indian(&compact) && (upper && compact[3] == b'P' || said(&["pan", "permanent"]))
        }
        10 => finnish(&compact[..6], &compact[6..], written.as_bytes()[6]),
        11 => plain && finnish(&compact[..6], &compact[7..], compact[6]),
        15 => plain && corsican(&compact),
        16 => plain && italian(&compact),
        18 => plain && (mexican(&compact) || chinese(&compact)),
        _ => false,
    };
    (known && stands_alone(text, &range, false)).then_some(range)
}

/// Value of a string of digits.
fn value(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, b| b.is_ascii_digit().then(|| 10 * sum + u64::from(b - b'0')))
}

/// Whether bytes are letters where `mask` has `A`, digits where it has `9`.
fn is_like(bytes: &[u8], mask: &[u8]) -> bool {
    bytes.len() == mask.len()
        && bytes.iter().zip(mask).all(|(b, mask)| match mask {
            b'A' => b.is_ascii_uppercase(),
            b'9' => b.is_ascii_digit(),
            _ => true,
        })
}

fn day(digits: &[u8]) -> u32 {
    value(digits).and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
}

/// Spain: DNI (eight digits) and NIE (X, Y or Z and seven digits) with the letter of the remainder modulo 23.
fn spanish(id: &[u8]) -> bool {
    let head = match id[0] {
        b'X' => b'0',
        b'Y' => b'1',
        b'Z' => b'2',
        digit => digit,
    };
    let (Some(first), Some(rest)) = (value(&[head]), value(&id[1..8])) else { return false };
    let remainder = (10_000_000 * first + rest) % 23;
    rest > 0 && b"TRWAGMYFPDXBNJZSQVHLCKE".get(usize::try_from(remainder).unwrap_or(23)) == Some(&id[8])
}

/// Great Britain: National Insurance number; QQ is the prefix of examples.
fn insurance(id: &[u8]) -> bool {
    is_like(id, b"AA999999A") && matches!(id[8], b'A'..=b'D') && is_insurance_prefix(id[0], id[1])
}

fn is_insurance_prefix(first: u8, second: u8) -> bool {
    let prefix = [first, second];
    let letters = !b"DFIQUV".contains(&first) && !b"DFIOQUV".contains(&second);
    let given = ![*b"BG", *b"GB", *b"NK", *b"KN", *b"TN", *b"NT", *b"ZZ"].contains(&prefix);
    letters && given || prefix == *b"QQ"
}

/// `QQ 12 34 56 C`, of which `groups` are the three pairs of digits.
fn spaced_insurance(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    let [a, b, c, ..] = groups else { return None };
    let pairs = [a, b, c].iter().all(|group| group.len() == 2);
    let six = a.len() == 6;
    if !(six || pairs && a.gap == b.gap && matches!(a.gap, Gap::Space | Gap::Dash)) {
        return None;
    }
    insurance_around(text, a.start, if six { a.end } else { c.end })
}

/// The number whose digits are `from..to`, with letters before and behind.
fn insurance_around(text: &str, from: usize, to: usize) -> Option<Range<usize>> {
    let sign = |c: char| c == ' ' || c == '-';
    let before = text[..from].strip_suffix(sign).unwrap_or(&text[..from]);
    let rest = text[to..].strip_prefix(sign).unwrap_or(&text[to..]);
    let start = before.len().checked_sub(2)?;
    let prefix: &[u8; 2] = before.as_bytes().last_chunk()?;
    let suffix = rest.bytes().next()?.to_ascii_uppercase();
    let range = start..text.len() - rest.len() + 1;
    let even = before.len() == from && rest.len() == text.len() - to
        || before.len() < from && text[before.len()..].chars().next() == text[to..].chars().next();
    let known = even
        && is_insurance_prefix(prefix[0].to_ascii_uppercase(), prefix[1].to_ascii_uppercase())
        && prefix.iter().all(u8::is_ascii_alphabetic)
        && matches!(suffix, b'A'..=b'D');
    (known && stands_alone(text, &range, false)).then_some(range)
}

/// Singapore: NRIC and FIN.
fn singaporean(id: &[u8]) -> bool {
    if !is_like(id, b"A9999999A") {
        return false;
    }
    let weights = [2_usize, 7, 6, 5, 4, 3, 2];
    let sum: usize = id[1..8].iter().zip(weights).map(|(b, weight)| usize::from(b - b'0') * weight).sum();
    match id[0] {
        b'S' => b"JZIHGFEDCBA"[sum % 11] == id[8],
        b'T' => b"JZIHGFEDCBA"[(sum + 4) % 11] == id[8],
        b'F' => b"XWUTRQPNMLK"[sum % 11] == id[8],
        b'G' => b"XWUTRQPNMLK"[(sum + 4) % 11] == id[8],
        _ => false,
    }
}

/// Ireland: personal public service number.
fn irish(id: &[u8]) -> bool {
    if !(is_like(id, b"9999999A") || is_like(id, b"9999999AA")) {
        return false;
    }
    let sum: usize =
        id[..7].iter().zip((2..=8).rev()).map(|(b, weight)| usize::from(b - b'0') * weight).sum();
    let second = id.get(8).map_or(0, |b| if *b == b'W' { 0 } else { 9 * usize::from(b - b'A' + 1) });
    b"WABCDEFGHIJKLMNOPQRSTUV"[(sum + second) % 23] == id[7]
}

/// India: permanent account number; the fourth letter says who holds it, P a person.
fn indian(id: &[u8]) -> bool {
    is_like(id, b"AAAAA9999A") && b"ABCFGHJLPT".contains(&id[3])
}

/// Finland: personal identity code; the sign between says the century.
fn finnish(date: &[u8], rest: &[u8], sign: u8) -> bool {
    let (Some(born), Some(serial)) = (value(date), value(&rest[..3])) else { return false };
    let remainder = usize::try_from((1000 * born + serial) % 31).unwrap_or(0);
    rest.len() == 4
        && b"-+ABCDEFUVWXY".contains(&sign)
        && is_day(day(&date[2..4]), day(&date[..2]))
        && b"0123456789ABCDEFHJKLMNPRSTUVWXY"[remainder] == rest[3]
}

/// France: register of persons, of somebody born on Corsica.
fn corsican(id: &[u8]) -> bool {
    let place = match &id[5..7] {
        b"2A" => 19,
        b"2B" => 18,
        _ => return false,
    };
    let (Some(head), Some(tail), Some(check)) = (value(&id[..5]), value(&id[7..13]), value(&id[13..])) else {
        return false;
    };
    matches!(id[0], b'1' | b'2') && 97 - (100_000_000 * head + 1_000_000 * place + tail) % 97 == check
}

/// Italy: codice fiscale, with the check letter of the decree of 23 December 1976.
fn italian(id: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    // Digits may be replaced by letters where two people would have the same code.
    let digit = |b: u8| b.is_ascii_digit() || b"LMNPQRSTUV".contains(&b);
    let form = id[..6].iter().all(u8::is_ascii_uppercase)
        && [6, 7, 9, 10, 12, 13, 14].iter().all(|at| digit(id[*at]))
        && b"ABCDEHLMPRST".contains(&id[8])
        && id[11].is_ascii_uppercase();
    let place = |b: u8| u32::from(if b.is_ascii_digit() { b - b'0' } else { b.wrapping_sub(b'A') });
    let sum: u32 = id[..15]
        .iter()
        .enumerate()
        .map(|(at, b)| if at % 2 == 0 { ODD[place(*b) as usize % 26] } else { place(*b) })
        .sum();
    form && sum % 26 == place(id[15]) && id[15].is_ascii_uppercase()
}

/// Mexico: CURP.
fn mexican(id: &[u8]) -> bool {
    is_like(id, b"AAAA999999AAAAAA?9")
        && matches!(id[10], b'H' | b'M' | b'X')
        && is_day(day(&id[6..8]), day(&id[8..10]))
}

/// China: resident identity card whose check character is X, which stands for ten.
fn chinese(id: &[u8]) -> bool {
    let digits: Vec<u8> = id[..17].iter().map(|b| b.wrapping_sub(b'0')).collect();
    id[17] == b'X'
        && digits.iter().all(|d| *d < 10)
        && is_chinese_birthday(&digits)
        && chinese_remainder(&digits) == 10
}
