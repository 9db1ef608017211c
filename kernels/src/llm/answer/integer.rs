//! Ranges of whole numbers as regular expressions.

use std::fmt::Write as _;

/// A pattern for exactly the whole numbers from `min` to `max` as JSON writes them: no leading zero, no `-0`.
pub(super) fn range_pattern(min: i64, max: i64) -> String {
    let mut parts = Vec::new();
    if min < 0 {
        let smallest = if max < 0 { max.unsigned_abs() } else { 1 };
        parts.push(format!("-({})", natural_pattern(smallest, min.unsigned_abs())));
    }
    if max >= 0 {
        parts.push(natural_pattern(min.max(0).unsigned_abs(), max.unsigned_abs()));
    }
    parts.join("|")
}

/// The same without a sign. The range is cut where the number of free trailing digits changes, so that each piece
/// has its digits chosen independently: 8 to 135 is 8-9, 10-99, 100-129, 130-135.
fn natural_pattern(min: u64, max: u64) -> String {
    let mut ends = vec![max];
    let mut power = 10;
    loop {
        // Nines filled in from the right.
        let end = min - min % power + (power - 1);
        if end >= max {
            break;
        }
        ends.push(end);
        power *= 10;
    }
    let mut power = 10;
    loop {
        // Nines below the largest.
        let start = (max + 1) - (max + 1) % power;
        if start <= min || start == 0 {
            break;
        }
        ends.push(start - 1);
        power *= 10;
    }
    ends.sort_unstable();
    ends.dedup();
    let mut start = min;
    let mut pieces = Vec::new();
    for end in ends {
        if end < start {
            continue;
        }
        pieces.push(digits_pattern(&start.to_string(), &end.to_string()));
        start = end + 1;
    }
    pieces.join("|")
}

/// A pattern for numbers of equal length whose digits lie between those of both ends.
fn digits_pattern(start: &str, end: &str) -> String {
    let mut pattern = String::new();
    for (low, high) in start.chars().zip(end.chars()) {
        if low == high {
            pattern.push(low);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(pattern, "[{low}-{high}]");
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn check(min: i64, max: i64) {
        let regex = Regex::new(&format!("^({})$", range_pattern(min, max))).unwrap();
        for number in (min - 150)..=(max + 150) {
            let expected = (min..=max).contains(&number);
            assert_eq!(regex.is_match(&number.to_string()), expected, "{number} in {min}..={max}: {regex}");
        }
        assert!(!regex.is_match("-0") && !regex.is_match("00") && !regex.is_match("01"));
    }

    #[test]
    fn borders() {
        for (min, max) in
            [(0, 0), (0, 9), (1, 10), (8, 135), (-5, 5), (-1, 0), (-100, -9), (99, 100), (0, 1000)]
        {
            check(min, max);
        }
        let regex = Regex::new(&format!("^({})$", range_pattern(0, super::super::LARGEST_INTEGER))).unwrap();
        assert!(regex.is_match("1000000000000000") && !regex.is_match("1000000000000001"));
    }

    proptest! {
        #[test]
        fn any_range(min in -2000_i64..2000, width in 0_i64..2500) {
            check(min, min + width);
        }
    }
}
