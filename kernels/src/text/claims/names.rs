//! Words that are written like names, and the forms in which two of them are one name.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use unicode_normalization::char::decompose_canonical;

use super::{FREQUENT, is_separator, without_possessive};
use crate::text::normalize::fold_case;

/// Words written large that name nobody: the first person, titles, calendar words that follow from dates.
const NO_NAMES: &str = "i i'm i've i'll i'd ok okay tv diy pc ai mr mrs ms dr god sunday monday tuesday wednesday thursday \
    friday saturday january february march april may june july august september october november december feb mar apr \
    jul aug sep sept oct nov dec christmas easter internet null na";

/// What follows a name at the beginning of a sentence.
const AFTER_NAMES: &str = "is was has had lives lived works worked loves likes enjoys feels felt thinks thought believes \
    says said wants runs ran writes wrote grew moved values prefers often always never who finds found spends plays keeps \
    cares describes shares tries";

/// Endings of nouns that name nobody.
const PLAIN_ENDINGS: [&str; 14] = [
    "ing", "ness", "ity", "tion", "sion", "ism", "ment", "ship", "hood", "ence", "ance", "ers", "ies",
    "ology",
];

/// Countries with the words for what and who is from there, one country a line.
const COUNTRIES: &str = "
    america american usa us
    argentina argentine argentinian
    australia australian aussie
    austria austrian
    bangladesh bangladeshi
    belgium belgian
    brazil brazilian
    britain british briton uk
    bulgaria bulgarian
    canada canadian
    chile chilean
    china chinese
    croatia croatian
    czechia czech
    denmark danish
    egypt egyptian
    england english
    finland finnish
    france french
    germany german
    greece greek
    hungary hungarian
    india indian
    indonesia indonesian
    iran iranian
    iraq iraqi
    ireland irish
    israel israeli
    italy italian
    japan japanese
    kenya kenyan
    korea korean
    lebanon lebanese
    mexico mexican
    morocco moroccan
    netherlands dutch holland
    nigeria nigerian
    norway norwegian
    pakistan pakistani
    peru peruvian
    philippines filipino filipina
    poland polish
    portugal portuguese
    romania romanian
    russia russian
    scotland scottish
    serbia serbian
    spain spanish spaniard
    sweden swedish
    switzerland swiss
    syria syrian
    thailand thai
    turkey turkish
    ukraine ukrainian
    vietnam vietnamese
    wales welsh
";

/// Words of countries that written small are something else, or a language or a dish.
const ELSE_WRITTEN_SMALL: [&str; 13] = [
    "us", "chile", "china", "polish", "turkey", "english", "french", "spanish", "german", "greek", "swiss",
    "danish", "dutch",
];

static NO_NAME_SET: LazyLock<HashSet<&str>> = LazyLock::new(|| NO_NAMES.split_whitespace().collect());
static AFTER_NAME_SET: LazyLock<HashSet<&str>> = LazyLock::new(|| AFTER_NAMES.split_whitespace().collect());
static COUNTRY_OF_WORD: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| {
    let lines = COUNTRIES.lines().enumerate();
    lines.flat_map(|(country, line)| line.split_whitespace().map(move |word| (word, country))).collect()
});

/// A text in lower case and without the accents of Latin letters: José and Jose are one name.
pub(super) fn fold_accents(text: &str) -> String {
    let folded = fold_case(text);
    if folded.is_ascii() {
        return folded.into_owned();
    }
    let mut plain = String::with_capacity(folded.len());
    for c in folded.chars() {
        match c {
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ß' => plain.push_str("ss"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' => plain.push('d'),
            'ı' => plain.push('i'),
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => decompose_canonical(c, |part| {
                if !is_accent(part) {
                    plain.push(part);
                }
            }),
            c if is_accent(c) => {}
            c => plain.push(c),
        }
    }
    plain
}

fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// A number for the country that a folded word is of.
pub(super) fn country(folded: &str) -> Option<usize> {
    let singular = folded.strip_suffix('s').unwrap_or(folded);
    COUNTRY_OF_WORD.get(folded).or_else(|| COUNTRY_OF_WORD.get(singular)).copied()
}

/// The same of a word that is given, where "turkey" may be a meal.
pub(super) fn country_given(word: &str, folded: &str) -> Option<usize> {
    let singular = folded.strip_suffix('s').unwrap_or(folded);
    let is_else = [folded, singular].iter().any(|word| ELSE_WRITTEN_SMALL.contains(word));
    country(folded).filter(|_| word.starts_with(char::is_uppercase) || !is_else)
}

/// Words of a text that are written like names.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_heading = is_heading(&words);
    let mut begins = true;
    let mut names = Vec::new();
    for (at, raw) in words.iter().enumerate() {
        let begins_here = begins || raw.starts_with(['"', '“', '(', '\'', '‘', '[', '{']);
        let end = raw.trim_end_matches(['"', '”', ')', '\'', '’', ']', '}']);
        begins = end.ends_with(['.', '!', '?', ':', ';', '…', '–', '—']) && !is_abbreviation(end);
        let inside = raw.trim_matches(|c: char| !c.is_alphanumeric());
        for (part, word) in inside.split(is_separator).enumerate() {
            let word = without_possessive(word.trim_matches(['\'', '’']));
            let folded = fold_case(word);
            let is_large = word.chars().next().is_some_and(char::is_uppercase) && word.chars().count() > 1;
            if !is_large || NO_NAME_SET.contains(folded.as_ref()) {
                continue;
            }
            let next =
                words.get(at + 1).map(|next| fold_case(next.trim_matches(|c: char| !c.is_alphanumeric())));
            let is_name = if begins_here && part == 0 {
                is_name_at_beginning(raw, word, &folded, next.as_deref())
            } else {
                !is_heading || !is_plain(&folded)
            };
            if is_name {
                names.push(word);
            }
        }
    }
    names.into_iter()
}

/// At the beginning of a sentence every word is written large.
fn is_name_at_beginning(raw: &str, word: &str, folded: &str, next: Option<&str>) -> bool {
    let is_owner = raw.len() > word.len() && (raw.contains("'s") || raw.contains("’s"));
    !is_plain(folded) && (is_owner || next.is_some_and(|next| AFTER_NAME_SET.contains(next)))
}

/// Whether a word is too common to name anybody.
fn is_plain(folded: &str) -> bool {
    FREQUENT.contains(folded) || PLAIN_ENDINGS.iter().any(|ending| folded.ends_with(ending))
}

/// Whether every longer word is written large, and there are several.
fn is_heading(words: &[&str]) -> bool {
    let mut longer = words.iter().filter(|word| word.chars().count() > 3);
    longer.clone().count() > 1 && longer.all(|word| word.chars().next().is_some_and(char::is_uppercase))
}

fn is_abbreviation(word: &str) -> bool {
    let letters = word.trim_end_matches('.');
    word.ends_with('.')
        && (letters.contains('.') || ["Mr", "Mrs", "Ms", "Dr", "St", "vs", "etc"].contains(&letters))
}
