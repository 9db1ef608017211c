//! Check digits, over digits as numbers, the check digits included.

/// Luhn's check digit (ISO/IEC 7812-1).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, 2 * u32::from(*digit)) {
            (0, _) => u32::from(*digit),
            (_, doubled) => doubled / 10 + doubled % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Sum of each digit times its weight.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

/// The number that digits stand for, modulo `modulus`.
pub(super) fn modulo(digits: &[u8], modulus: u64) -> u64 {
    digits.iter().fold(0, |rest, digit| (10 * rest + u64::from(*digit)) % modulus)
}

/// ISO/IEC 7064 MOD 11,10.
pub(super) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let rest = body.iter().fold(10, |product, digit| {
        let sum = (product + u32::from(*digit)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - rest) % 10 == u32::from(*check)
}

/// Verhoeff's check digit (J. Verhoeff, Error Detecting Decimal Codes, 1969): multiplication in the dihedral group
/// D5 after a permutation that depends on the place.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let sum = digits.iter().rev().enumerate().fold(0, |sum, (place, digit)| {
        let permuted = (0..place % 8).fold(*digit, |digit, _| PERMUTATION[usize::from(digit)]);
        product(sum, permuted)
    });
    sum == 0
}

/// Whether `day.month` is a day of a year, leap or not.
pub(super) fn is_day(month: u32, day: u32) -> bool {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}
