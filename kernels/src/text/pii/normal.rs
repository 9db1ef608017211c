//! The form of a value that is the same however it is written.

use super::PiiKind;

/// What is equal for two spellings of one value: digits of a phone number or a card, letters and digits in capitals of
/// an account or a number of a person, lower case of everything else, with e-mail addresses written out of words.
///
/// National and international forms of one phone number differ, since the country is not known.
///
/// ```
/// use genome_kernels::text::pii::{PiiKind, normal_form};
/// assert_eq!(normal_form(PiiKind::Email, "Ann [at] Example [dot] org"), "ann@example.org");
/// assert_eq!(normal_form(PiiKind::Phone, "+1 (212) 555-0147"), normal_form(PiiKind::Phone, "212.555.0147"));
/// ```
pub fn normal_form(kind: PiiKind, value: &str) -> String {
    match kind {
        PiiKind::Email => email(value),
        PiiKind::Phone => phone(value),
        PiiKind::Card => value.chars().filter(char::is_ascii_digit).collect(),
        PiiKind::Iban | PiiKind::NationalId => {
            value.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
        }
        PiiKind::IpAddress => {
            let plain = value.replace(['[', ']', '(', ')'], "");
            plain.parse::<std::net::IpAddr>().map_or(plain, |address| address.to_string())
        }
        PiiKind::StreetAddress => {
            let words = value.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
        }
        PiiKind::PersonalUrl => url(value),
        PiiKind::Handle => {
            value.trim_start_matches('/').trim_start_matches("u/").trim_start_matches('@').to_lowercase()
        }
    }
}

fn email(value: &str) -> String {
    let lower = value.to_lowercase();
    if lower.contains('@') && !lower.contains([' ', '[', '(', '{']) {
        return lower;
    }
    // `[at]`, `( dot )` and words between blanks.
    let apart = lower.replace(['[', ']', '(', ')', '{', '}'], " ");
    let parts = apart.split_whitespace().enumerate().map(|(at, part)| match part {
        "at" if at > 0 => "@",
        "dot" => ".",
        part => part,
    });
    parts.collect()
}

/// Digits, without the extension, what is dialled before a country code, and the one of North America.
fn phone(value: &str) -> String {
    let number = value.split(['x', 'e', 'X', 'E', ',']).next().unwrap_or_default();
    let digits: String = number.replace("(0)", "").chars().filter(char::is_ascii_digit).collect();
    let international = value.starts_with(['+', '\u{ff0b}']);
    let stripped = match digits.strip_prefix("00").or_else(|| digits.strip_prefix("011")) {
        Some(rest) if !international && rest.len() >= 8 => rest,
        _ => &digits,
    };
    match stripped.strip_prefix('1') {
        Some(rest) if rest.len() == 10 && rest.starts_with(|c| c >= '2') => rest.to_owned(),
        _ => stripped.to_owned(),
    }
}

fn url(value: &str) -> String {
    let lower = value.to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let rest =
        ["www.", "m.", "mobile."].into_iter().find_map(|start| rest.strip_prefix(start)).unwrap_or(rest);
    // What comes behind `?` says who it is where the page does not.
    let carries = rest.contains("id=") || super::personal_url::carries_secret(rest);
    let page = if carries { rest } else { rest.split(['?', '#']).next().unwrap_or_default() };
    page.trim_end_matches('/').to_owned()
}
