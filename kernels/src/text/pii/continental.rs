//! Street addresses of continental Europe and Latin America: the number behind the name (`Musterstraße 12`,
//! `Calle Mayor, 12`), or before it with the kind of street first (`12 rue de la Paix`).

use std::ops::Range;

use super::address::{Word, is_open_before, words_behind};
use super::scan::{Group, same_word};

/// Ends of German and Dutch names of streets. The first ones are hardly ever the end of another word.
const SURE_ENDS: [&str; 5] = ["straße", "strasse", "straat", "gracht", "gasse"];
const ENDS: [&str; 11] =
    ["str", "weg", "platz", "allee", "damm", "ufer", "chaussee", "laan", "plein", "steig", "kade"];

/// Kinds of streets that stand before the name, the number behind it.
const BEFORE_NAME: [&str; 16] = [
    "calle",
    "avenida",
    "avda",
    "paseo",
    "camino",
    "carretera",
    "rua",
    "travessa",
    "alameda",
    "praça",
    "viale",
    "piazza",
    "piazzale",
    "vicolo",
    "ulica",
    "ul",
];

/// Kinds of streets that stand between number and name.
const BETWEEN: [&str; 9] =
    ["rue", "impasse", "allée", "chemin", "quai", "bd", "boulevard", "avenue", "place"];

/// Words between the parts of a name.
const CONNECTORS: [&str; 22] = [
    "de", "du", "des", "la", "le", "les", "del", "los", "las", "da", "do", "dos", "das", "di", "della",
    "dei", "degli", "dell", "san", "santa", "saint", "sainte",
];

/// The address whose number is `group`.
pub(super) fn address(text: &str, group: &Group) -> Option<Range<usize>> {
    if !(1..=4).contains(&group.len()) || text[group.start..].starts_with('0') {
        return None;
    }
    behind_name(text, group).or_else(|| before_name(text, group))
}

/// `12 rue de la Paix, 75002 Paris`, `12 bis, avenue de …`.
fn before_name(text: &str, group: &Group) -> Option<Range<usize>> {
    if !is_open_before(text, group.start) || !text[group.end..].starts_with([' ', ',']) {
        return None;
    }
    let words = words_behind(text, group.end, 9);
    let skip = usize::from(words.first()?.is(&["bis", "ter", "quater"]));
    let kind = words.get(skip)?;
    if !kind.is(&BETWEEN) {
        return None;
    }
    let name = &words[skip + 1..];
    let connected = name.first().is_some_and(|word| word.is(&CONNECTORS) || is_elided(word.text));
    // `5 place …` and `2 Avenue …` are English too.
    if kind.is(&["place", "avenue", "boulevard"]) && !connected {
        return None;
    }
    let end = name_end(name, kind.is(&["rue", "impasse", "chemin", "allée"]))?;
    Some(group.start..town_end(text, end).unwrap_or(end))
}

/// End of the name of a street: connectors, then words with capitals, or one word without. `surely`: the kind of
/// street says already that this is one.
fn name_end(name: &[Word<'_>], surely: bool) -> Option<usize> {
    let mut end = None;
    for (at, word) in name.iter().enumerate().take(6) {
        if at > 0 && word.set_apart {
            break;
        }
        let is_connector = word.is(&CONNECTORS);
        if !is_connector && !word.text.starts_with(char::is_alphabetic) {
            break;
        }
        if !is_connector && !word.is_capitalised() && !is_elided(word.text) {
            // All in lower case: the first word is the name if a connector stands before it.
            return end.or_else(|| (at > 0 || surely).then(|| word.end()));
        }
        if !is_connector {
            end = Some(word.end());
        }
    }
    end
}

/// `l'Église`, `d'Italie`.
fn is_elided(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| matches!(c, 'l' | 'd' | 'L' | 'D'))
        && matches!(chars.next(), Some('\'' | '’'))
}

/// `Musterstraße 12`, `Calle Mayor, 12`, `ul. Długa 5/7`.
fn behind_name(text: &str, group: &Group) -> Option<Range<usize>> {
    let before = text[..group.start].trim_end_matches([' ', ',', '.', 'º', '°', '\u{a0}']);
    let before = ["no", "nº", "núm", "num", "nr", "n"]
        .into_iter()
        .find_map(|mark| before.strip_suffix(mark).filter(|rest| rest.ends_with([' ', ','])))
        .map_or(before, |rest| rest.trim_end_matches([' ', ',']));
    if before.len() == group.start || group.start - before.len() > 7 {
        return None;
    }
    let mut end = group.end;
    let rest = &text[end..];
    // `12a`, `5/7`, `12-14`.
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    if letters == 1 {
        end += 1;
    } else if letters > 1 {
        return None;
    } else if let Some(more) = rest.strip_prefix(['/', '-']) {
        let digits = more.bytes().take_while(u8::is_ascii_digit).count();
        end += if (1..=4).contains(&digits) { 1 + digits } else { 0 };
    } else if rest.starts_with([':', '%', '€'])
        || rest.starts_with(['.', ',']) && rest[1..].starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let town = town_end(text, end);
    let start = german_start(before, town.is_some()).or_else(|| romance_start(before))?;
    Some(start..town.unwrap_or(end))
}

/// Start of a German or Dutch name of a street at the end of `before`; with a postal code behind the number
/// (`in_town`) it needs no capital.
fn german_start(before: &str, in_town: bool) -> Option<usize> {
    let start = last_word(before);
    let word = &before[start..];
    let lower = word.to_lowercase();
    let capital = in_town || word.starts_with(char::is_uppercase);
    let ends_sure = SURE_ENDS.iter().any(|end| lower.ends_with(end) && lower.len() > end.len() + 2);
    let ends = ENDS.iter().any(|end| lower.ends_with(end) && lower.len() > end.len() + 2);
    let closed = !before[..start].ends_with(['/', '@', '#', '_']);
    // `str` without its full stop is the end of few words, but of those of programs.
    let abbreviated = lower.ends_with("str");
    if closed && (ends_sure || ends && capital && !(abbreviated && lower.len() < 7)) {
        return Some(start);
    }
    // `Berliner Straße`, `Lange Str.`
    if ["straße", "strasse", "str", "weg", "platz", "allee", "straat", "laan"].contains(&lower.as_str()) {
        let first = last_word(before[..start].trim_end_matches([' ', '-']));
        let name = before[first..start].trim_end_matches([' ', '-']);
        // `berliner straße`: the name of a town with its ending.
        let bent = name.ends_with("er") && lower.starts_with("stra");
        let named = (capital && name.starts_with(char::is_uppercase) || bent) && name.len() > 2;
        return named.then_some(first);
    }
    None
}

/// Start of a Romance or Polish name of a street, its kind first, at the end of `before`.
fn romance_start(before: &str) -> Option<usize> {
    let mut at = before.len();
    let mut n_capitals = 0;
    let mut n_names = 0;
    for n_words in 0..6 {
        let start = last_word(&before[..at]);
        let word = &before[start..at];
        if word.is_empty() {
            return None;
        }
        let is_kind = BEFORE_NAME.iter().any(|kind| same_word(word, kind))
            || same_word(word, "c")
                && before[start..].starts_with(['c', 'C'])
                && before[at..].starts_with('/');
        if n_words > 0 && is_kind {
            // Without capitals the name is one word.
            let short = before[at..].starts_with('/');
            return (n_capitals > 0 || n_names <= 1 && !short).then_some(start);
        }
        let capital = word.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
        let connector = CONNECTORS.iter().any(|other| same_word(word, other));
        if !capital && !connector && n_words > 0 {
            return None;
        }
        n_capitals += usize::from(capital && !connector);
        n_names += usize::from(!connector);
        let rest = before[..start].trim_end_matches([' ', '.', '\u{a0}']);
        let slash = rest.ends_with('/');
        at = if slash { rest.len() - 1 } else { rest.len() };
        if start - rest.len() > 2 || at == start {
            return None;
        }
    }
    None
}

/// Start of the word that `text` ends with.
fn last_word(text: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’' | 'ª' | 'º');
    text.rfind(|c| !part(c)).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))
}

/// End of `, 12345 Town` or `1234 AB Town` behind a street that ends at `end`.
fn town_end(text: &str, end: usize) -> Option<usize> {
    let words = words_behind(text, end, 5);
    // A floor or a door (`3º B`) may come first.
    let at = words.iter().take(3).position(|word| {
        let digits = word.text.bytes().take_while(u8::is_ascii_digit).count();
        let rest = &word.text[digits..];
        (4..=5).contains(&digits) && (rest.is_empty() || rest.starts_with('-') && rest.len() <= 4)
    })?;
    let code = &words[at];
    let next = words.get(at + 1);
    let letters = next.filter(|next| {
        code.text.len() == 4 && next.text.len() == 2 && next.text.bytes().all(|b| b.is_ascii_uppercase())
    });
    let town = if letters.is_some() { words.get(at + 2) } else { next };
    let town = town.filter(|town| town.text.starts_with(char::is_uppercase) && !town.set_apart);
    // A year is no postal code.
    let year = code.text.len() == 4 && matches!(code.text.parse(), Ok(1800..=2100)) && letters.is_none();
    if year && town.is_none() {
        return None;
    }
    Some(town.or(letters).unwrap_or(code).end())
}
