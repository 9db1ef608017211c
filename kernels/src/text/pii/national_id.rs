//! Numbers by which a state knows a person.
//!
//! A number counts on its own where its form is its own (`900-12-3456`, eighteen characters of a codice fiscale) or
//! its check digits leave little to chance; else behind a word that says what it is.

use std::ops::Range;

use super::checksum::{is_day, luhn, mod_11_10, modulo, verhoeff, weighted};
use super::scan::{
    Gap, Group, digits, is_behind_hash, is_in_word, said_before, stands_alone_after, stands_alone_before,
};

/// A number of digits alone.
struct Number {
    /// Forms: lengths of the groups, and `-`, `.`, `/`, or a blank for what may join them.
    forms: &'static [Form],
    /// What its digits have to satisfy.
    check: fn(&[u8]) -> bool,
    /// Words that say what it is.
    words: &'static [&'static str],
}

struct Form {
    groups: &'static [u8],
    gaps: &'static str,
    /// Whether it counts without a word.
    alone: bool,
}

const fn alone(groups: &'static [u8], gaps: &'static str) -> Form {
    Form { groups, gaps, alone: true }
}

const fn worded(groups: &'static [u8], gaps: &'static str) -> Form {
    Form { groups, gaps, alone: false }
}

const NUMBERS: &[Number] = &[
    // United States: Social Security number and taxpayer number (which starts with 9).
    Number {
        forms: &[alone(&[3, 2, 4], "-"), worded(&[3, 2, 4], " ."), worded(&[9], "")],
        check: social_security,
        words: &["ssn", "ssns", "itin", "social", "security", "tin", "taxpayer", "ss"],
    },
    // Great Britain: National Health Service.
    Number {
        forms: &[worded(&[3, 3, 4], " -"), worded(&[10], "")],
        check: health_service,
        words: &["nhs", "patient", "hospital"],
    },
    Number { forms: &[alone(&[3, 3, 4], " -")], check: health_service_only, words: &[] },
    // Germany: tax number of a person.
    Number {
        forms: &[alone(&[2, 3, 3, 3], " "), worded(&[11], "")],
        check: |d| d[0] != 0 && repeats_one(&d[..10]) && mod_11_10(d),
        words: &[
            "steuer",
            "steuerid",
            "idnr",
            "identifikationsnummer",
            "steueridentifikationsnummer",
            "tax",
            "tin",
        ],
    },
    // France: register of persons.
    Number {
        forms: &[alone(&[1, 2, 2, 2, 3, 3, 2], " ."), alone(&[13, 2], " "), alone(&[15], "")],
        check: |d| {
            matches!(d[0], 1 | 2)
                && matches!(month(&d[3..]), 1..=12 | 20..=42 | 50..=99)
                && modulo(&d[..13], 97) + modulo(&d[13..], 100) == 97
        },
        words: &[],
    },
    // The Netherlands: citizens' service number.
    Number {
        forms: &[worded(&[9], ""), worded(&[4, 2, 3], " ."), worded(&[3, 3, 3], " .-")],
        check: |d| {
            let sum = weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]);
            sum % 11 == u32::from(d[8]) && sum > 0
        },
        words: &["bsn", "burgerservicenummer", "sofinummer", "sofi"],
    },
    // Poland: register of inhabitants.
    Number {
        forms: &[alone(&[11], "")],
        check: |d| {
            is_day(month(&d[2..]) % 20, month(&d[4..]))
                && weighted(d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
        },
        words: &["pesel"],
    },
    // Brazil: register of persons, and of enterprises.
    Number {
        forms: &[alone(&[3, 3, 3, 2], ".-"), worded(&[11], "")],
        check: brazilian_person,
        words: &["cpf"],
    },
    Number {
        forms: &[alone(&[2, 3, 3, 4, 2], "./-"), worded(&[14], "")],
        check: brazilian_enterprise,
        words: &["cnpj"],
    },
    // India: Aadhaar.
    Number {
        forms: &[alone(&[4, 4, 4], " -"), worded(&[12], "")],
        check: aadhaar,
        words: &["aadhaar", "aadhar", "adhar", "uidai", "uid"],
    },
    // Sweden: personal identity number, and the number for those without one (day + 60).
    Number {
        forms: &[alone(&[6, 4], "-"), alone(&[8, 4], "-"), worded(&[10], ""), worded(&[12], "")],
        check: |d| {
            let d = &d[d.len() - 10..];
            is_day(month(&d[2..]), month(&d[4..]) % 60) && luhn(d)
        },
        words: &["personnummer", "personnr", "samordningsnummer"],
    },
    // Canada: social insurance number.
    Number {
        forms: &[worded(&[3, 3, 3], " -"), worded(&[9], "")],
        check: |d| d[0] != 8 && luhn(d) && d.iter().any(|digit| *digit != 0),
        words: &["sin", "nas", "insurance", "assurance"],
    },
    // China: resident identity card with a digit at its end.
    Number { forms: &[alone(&[18], "")], check: chinese_resident, words: &[] },
    // Belgium: national register.
    Number {
        forms: &[alone(&[2, 2, 2, 3, 2], ".-/"), worded(&[11], "")],
        check: |d| {
            let (body, check) = (modulo(&d[..9], 97), modulo(&d[9..], 100));
            let since_2000 = (2 * 1_000_000_000_u64 % 97 + body) % 97;
            month(&d[2..]) % 20 <= 12 && (97 - body == check || 97 - since_2000 == check)
        },
        words: &["rijksregisternummer", "rijksregister", "insz", "niss", "registre", "national"],
    },
    // Denmark: register of persons; its check digit is no longer kept to.
    Number {
        forms: &[worded(&[6, 4], "- "), worded(&[10], "")],
        check: |d| is_day(month(&d[2..]), month(d)),
        words: &["cpr", "personnummer"],
    },
    // Finland: personal identity code whose check character is a digit.
    Number {
        forms: &[alone(&[6, 4], "-")],
        check: |d| is_day(month(&d[2..]), month(d)) && modulo(&d[..9], 1_000_000_000) % 31 == u64::from(d[9]),
        words: &[],
    },
    // Norway: birth number.
    Number {
        forms: &[alone(&[6, 5], " "), worded(&[11], "")],
        check: |d| {
            is_day(month(&d[2..]) % 40, month(d) % 40)
                && weighted(d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
                && weighted(d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
        },
        words: &["fødselsnummer", "fodselsnummer", "personnummer"],
    },
    // Switzerland: insurance number, an article number of the prefix 756.
    Number {
        forms: &[alone(&[3, 4, 4, 2], "."), worded(&[13], "")],
        check: |d| {
            d[..3] == [7, 5, 6] && weighted(d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
        },
        words: &["ahv", "avs", "sozialversicherungsnummer"],
    },
    // Czechia and Slovakia: birth number.
    Number {
        forms: &[alone(&[6, 4], "/")],
        check: |d| is_day(month(&d[2..]) % 50 % 20, month(&d[4..])) && modulo(d, 11) == 0,
        words: &[],
    },
    // South Korea: resident registration.
    Number {
        forms: &[alone(&[6, 7], "-")],
        check: |d| {
            let sum = weighted(&d[..12], &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
            is_day(month(&d[2..]), month(&d[4..])) && (11 - sum % 11) % 10 == u32::from(d[12])
        },
        words: &[],
    },
    // Turkey: identity number.
    Number {
        forms: &[worded(&[11], "")],
        check: |d| {
            let sum: u32 = d[..10].iter().map(|digit| u32::from(*digit)).sum();
            d[0] != 0 && sum % 10 == u32::from(d[10])
        },
        words: &["tc", "kimlik", "tckn"],
    },
    // South Africa: identity number.
    Number {
        forms: &[worded(&[13], ""), alone(&[6, 4, 3], " "), alone(&[6, 4, 2, 1], " ")],
        check: |d| is_day(month(&d[2..]), month(&d[4..])) && luhn(d),
        words: &["id", "identity", "rsa"],
    },
    // Australia: tax file number.
    Number {
        forms: &[worded(&[3, 3, 3], " -"), worded(&[9], "")],
        check: |d| weighted(d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11),
        words: &["tfn", "tax"],
    },
    // Portugal: tax number.
    Number {
        forms: &[worded(&[9], ""), worded(&[3, 3, 3], " ")],
        check: |d| {
            let rest = weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            u32::from(d[8]) == if rest < 2 { 0 } else { 11 - rest }
        },
        words: &["nif", "contribuinte"],
    },
];

/// The number of digits alone that starts with the first of `groups`.
pub(super) fn number(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    if !(1..=18).contains(&groups[0].len()) || is_in_word(text, groups[0].start) {
        return None;
    }
    NUMBERS
        .iter()
        .find_map(|number| number.forms.iter().find_map(|form| number_as(text, groups, number, form)))
}

fn number_as(text: &str, groups: &[Group], number: &Number, form: &Form) -> Option<Range<usize>> {
    let parts = groups.get(..form.groups.len())?;
    if !parts.iter().zip(form.groups).all(|(group, len)| group.len() == usize::from(*len)) {
        return None;
    }
    let (last, inner) = parts.split_last()?;
    let joined = inner.iter().all(|group| match group.gap {
        Gap::Space => form.gaps.contains(' '),
        Gap::Dash => form.gaps.contains('-'),
        Gap::Dot => form.gaps.contains('.'),
        Gap::Slash => form.gaps.contains('/'),
        Gap::Open | Gap::Close | Gap::Far => false,
    });
    // Forms that join all groups alike are written with one sign throughout.
    let one_sign =
        form.gaps.len() < 2 || !form.gaps.contains(' ') || inner.iter().all(|g| g.gap == parts[0].gap);
    if !joined || !one_sign || !(number.check)(&digits(text, parts)) {
        return None;
    }
    let range = parts[0].start..last.end;
    let said = said_before(text, range.start, 6, number.words);
    let spaced = !said && inner.iter().any(|group| group.gap == Gap::Space);
    let hashed = said && is_behind_hash(text, range.start);
    let alone = (hashed || stands_alone_before(text, range.start, spaced))
        && stands_alone_after(text, range.end, spaced);
    ((form.alone || said) && alone).then_some(range)
}

fn month(digits: &[u8]) -> u32 {
    10 * u32::from(digits[0]) + u32::from(digits[1])
}

/// Area, group and serial number are not zero; areas 666 and 900 to 999 are never given out as Social Security
/// numbers, the latter as taxpayer numbers and in examples.
fn social_security(d: &[u8]) -> bool {
    let zero = |part: &[u8]| part.iter().all(|digit| *digit == 0);
    !zero(&d[..3]) && d[..3] != [6, 6, 6] && !zero(&d[3..5]) && !zero(&d[5..])
}

fn health_service(d: &[u8]) -> bool {
    let rest = 11 - weighted(&d[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    rest % 11 == u32::from(d[9]) && d[0] != 0
}

/// One that cannot be a North American phone number, which is grouped alike.
fn health_service_only(d: &[u8]) -> bool {
    matches!(d[0], 4 | 6 | 7 | 9) && d[3] < 2 && health_service(d)
}

/// Years and hundreds pass the check one time in ten: `2023-2024-2025` is no number of a person.
fn aadhaar(d: &[u8]) -> bool {
    let counts = |group: &[u8]| {
        let number = modulo(group, 10_000);
        (1900..2100).contains(&number) || number.is_multiple_of(100)
    };
    d[0] >= 2 && !d.chunks(4).all(counts) && verhoeff(d)
}

/// Whether among ten digits one comes twice or three times and no other comes twice.
fn repeats_one(digits: &[u8]) -> bool {
    let mut counts = [0_u8; 10];
    for digit in digits {
        counts[usize::from(*digit)] += 1;
    }
    counts.iter().filter(|count| **count > 1).count() == 1 && counts.iter().all(|count| *count <= 3)
}

fn brazilian_person(d: &[u8]) -> bool {
    let check = |n: usize| {
        let sum: u32 = d[..n]
            .iter()
            .zip((2..=u32::try_from(n).unwrap_or(0) + 1).rev())
            .map(|(d, w)| u32::from(*d) * w)
            .sum();
        sum * 10 % 11 % 10 == u32::from(d[n])
    };
    d.iter().any(|digit| *digit != d[0]) && check(9) && check(10)
}

fn brazilian_enterprise(d: &[u8]) -> bool {
    let check = |n: usize| {
        let sum: u32 = d[..n].iter().rev().zip((2..=9).cycle()).map(|(d, w)| u32::from(*d) * w).sum();
        let rest = sum % 11;
        u32::from(d[n]) == if rest < 2 { 0 } else { 11 - rest }
    };
    d.iter().any(|digit| *digit != d[0]) && check(12) && check(13)
}

/// ISO/IEC 7064 MOD 11-2 over seventeen digits: the remainder that the check character has to have.
pub(super) fn chinese_remainder(d: &[u8]) -> u32 {
    (12 - weighted(&d[..17], &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11) % 11
}

/// Whether the digits of a resident identity card hold a date of birth.
pub(super) fn is_chinese_birthday(d: &[u8]) -> bool {
    matches!(month(&d[6..]), 19 | 20) && is_day(month(&d[10..]), month(&d[12..]))
}

fn chinese_resident(d: &[u8]) -> bool {
    is_chinese_birthday(d) && chinese_remainder(d) == u32::from(d[17])
}
