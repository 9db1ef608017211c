//! Street addresses that start with the number: `12 Example Street, Apt 3, Springfield, IL 62704`, and boxes of a
//! post office.
//!
//! English is full of numbers before streets (`2 miles down the road`, `a 5 minute drive`). So an address needs
//! more than number, name and kind of street: capitals, a flat, a state with its ZIP code, a British post code, or
//! words such as `live at` before it.

use std::ops::Range;

use super::scan::{Group, said_before, same_word};
use super::street::{Kind, is_function_word, is_state, is_state_name, kind};

/// Words before an address.
const AT_WORDS: [&str; 22] = [
    "at", "address", "live", "lives", "lived", "living", "reside", "resides", "located", "house", "ship",
    "send", "mail", "deliver", "moved", "home", "visit", "adresse", "from", "near", "to", "addr",
];

/// Words before an address that is written without capitals.
const LIVE_WORDS: [&str; 12] = [
    "address", "live", "lives", "lived", "living", "reside", "resides", "located", "ship", "deliver",
    "moved", "house",
];

/// What a drive may be that is no street.
const DEVICES: [&str; 14] = [
    "hard", "dvd", "cd", "disk", "disc", "flash", "usb", "tape", "thumb", "floppy", "zip", "test", "blood",
    "food",
];

/// Words before the number of a flat.
const UNITS: [&str; 14] = [
    "apt",
    "apartment",
    "unit",
    "suite",
    "ste",
    "flat",
    "floor",
    "fl",
    "room",
    "rm",
    "no",
    "lot",
    "bldg",
    "building",
];

/// A word and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'t> {
    /// The word, without punctuation at its end.
    pub(super) text: &'t str,
    /// Offset of its first byte.
    pub(super) start: usize,
    /// Whether a comma or a line break stands before it.
    pub(super) set_apart: bool,
}

impl Word<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(super) fn is(&self, words: &[&str]) -> bool {
        words.iter().any(|word| same_word(self.text, word))
    }

    pub(super) fn is_capitalised(&self) -> bool {
        self.text.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit())
    }

    fn digits(&self) -> usize {
        if self.text.bytes().all(|b| b.is_ascii_digit()) { self.text.len() } else { 0 }
    }
}

/// Up to `most` words behind `at`: blanks, one comma, a full stop after an abbreviation and a line break may stand
/// between two of them.
pub(super) fn words_behind(text: &str, at: usize, most: usize) -> Vec<Word<'_>> {
    let mut words = Vec::with_capacity(most);
    let mut from = at;
    while words.len() < most {
        let rest = &text[from..];
        let inside = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-' | '#');
        let between = rest.find(inside).unwrap_or(rest.len());
        let gap = &rest[..between];
        let allowed = gap.len() <= 6
            && gap.chars().all(|c| matches!(c, ' ' | ',' | '.' | '\n' | '\r' | '\u{a0}'))
            && gap.matches(',').count() + gap.matches('.').count() <= 2
            && gap.matches('\n').count() <= 1
            && !gap.contains("   ");
        if between == rest.len() || !allowed {
            break;
        }
        let start = from + between;
        let len = text[start..].find(|c| !inside(c)).unwrap_or(text.len() - start);
        let word = text[start..start + len].trim_end_matches(['\'', '’', '-', '#']);
        if word.is_empty() && &text[start..start + len] != "#" {
            break;
        }
        let word = if word.is_empty() { "#" } else { word };
        words.push(Word { text: word, start, set_apart: gap.contains([',', '\n']) });
        from = start + word.len();
    }
    words
}

/// The address whose number is `group`.
pub(super) fn address(text: &str, group: &Group) -> Option<Range<usize>> {
    if let Some(range) = post_office_box(text, group) {
        return Some(range);
    }
    if !(1..=5).contains(&group.len())
        || text[group.start..].starts_with('0')
        || !is_open_before(text, group.start)
    {
        return None;
    }
    // `12a`, `12-14`: the number may have a letter or be two.
    let mut from = group.end;
    let letter = text[from..].bytes().take_while(u8::is_ascii_alphabetic).count();
    if letter == 1 {
        from += 1;
    } else if letter > 1 {
        return None;
    }
    let number = &text[group.start..group.end];
    if !text[from..].starts_with([' ', ','])
        || text[from..].starts_with(", ") && letter == 0 && group.len() > 4
    {
        return None;
    }
    let words = words_behind(text, from, 7);
    let at = street_end(&words)?;
    let (name, street) = (&words[..at], words[at]);
    let kind = kind(street.text)?;
    let titled = name.iter().chain([&street]).all(Word::is_capitalised);
    let end = with_numbered_road(text, &words, at);
    let tail = tail_end(text, end);

    let year = matches!(number.parse(), Ok(1500..=2099));
    // Streets that stand for something else, and drives of computers.
    let metonym = name.len() == 1 && name[0].is(&["wall", "sesame", "fleet"])
        || street.is(&["drive"]) && name.last().is_some_and(|word| word.is(&DEVICES));
    let said = |n, words: &[&str]| said_before(text, group.start, n, words);
    let enough = if tail.is_some() {
        !metonym || titled
    } else if titled {
        !metonym
            && (kind == Kind::Sure && !year
                || said(3, &AT_WORDS) && (kind == Kind::Sure || said(3, &LIVE_WORDS)))
    } else {
        name.len() <= 2 && (said_at(text, group.start) || kind == Kind::Sure && said(2, &LIVE_WORDS))
    };
    enough.then(|| flat_before(text, group.start)..tail.unwrap_or(end))
}

/// Whether `live at` or `address is` stands right before `at`.
fn said_at(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end();
    let Some((rest, last)) = before.rsplit_once(|c: char| c.is_whitespace()) else { return false };
    let last = last.trim_end_matches(':');
    ["at", "is", "on", "to", "in"].iter().any(|word| last.eq_ignore_ascii_case(word))
        && said_before(rest, rest.len(), 1, &LIVE_WORDS)
}

/// Whether a number that starts at `at` is not part of something larger.
pub(super) fn is_open_before(text: &str, at: usize) -> bool {
    let mut before = text[..at].chars().rev();
    match before.next() {
        None => true,
        Some('.' | ',' | ':' | '-' | '–') => !before.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => c.is_whitespace() || matches!(c, '(' | '[' | '"' | '\'' | '“' | ';' | '>' | '*' | '|'),
    }
}

/// Place of the kind of street among the words behind a number: the last one if several follow each other.
fn street_end(words: &[Word<'_>]) -> Option<usize> {
    let mut found = None;
    for (at, word) in words.iter().take(6).enumerate() {
        // A comma or a full stop ends the name; `N. Main St.` has one behind a direction.
        if at > 0 && word.set_apart {
            break;
        }
        let is_kind = at > 0 && kind(word.text).is_some();
        if is_kind {
            // `Oak Avenue way of …`: the second kind belongs to the sentence.
            let sure = found.is_some_and(|found: usize| kind(words[found].text) == Some(Kind::Sure));
            if sure && !word.is_capitalised() {
                break;
            }
            found = Some(at);
        } else if found.is_some() {
            break;
        } else if is_function_word(word.text) || !is_name_word(word.text) {
            return None;
        }
    }
    found.filter(|at| words[..*at].iter().any(|word| word.text.len() > 1 || word.is_capitalised()))
}

fn is_name_word(word: &str) -> bool {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &word[digits..];
    if digits > 0 {
        // `5th`, `42nd`; `Road 12` comes later.
        return ["st", "nd", "rd", "th"].iter().any(|ending| rest.eq_ignore_ascii_case(ending));
    }
    !rest.is_empty() && rest != "#"
}

/// End of the street: `Highway 61` and `Avenue B` go on behind the kind.
fn with_numbered_road(text: &str, words: &[Word<'_>], at: usize) -> usize {
    let street = words[at];
    let point = usize::from(text[street.end()..].starts_with('.') && street.text.len() <= 4);
    let next = words.get(at + 1).filter(|next| !next.set_apart && next.start == street.end() + point + 1);
    let direction = |word: &str| {
        matches!(
            word,
            "N" | "S" | "E" | "W" | "NE" | "NW" | "SE" | "SW" | "North" | "South" | "East" | "West"
        )
    };
    match next {
        Some(next) if direction(next.text) => next.end(),
        Some(next) if street.is(&["highway", "hwy", "route", "rte"]) && next.digits() > 0 => next.end(),
        // A full stop after an abbreviation is part of it unless the sentence ends there.
        Some(_) => street.end() + point,
        None => street.end(),
    }
}

/// Start of the address: `Flat 3, ` before the number belongs to it.
fn flat_before(text: &str, at: usize) -> usize {
    let before = text[..at].trim_end_matches([' ', ',']);
    let number = before.bytes().rev().take_while(u8::is_ascii_alphanumeric).count();
    let inner = before[..before.len() - number].trim_end();
    let word = inner.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
    let start = inner.len() - word;
    let is_flat = (1..=4).contains(&number)
        && before.bytes().rev().take(number).any(|b| b.is_ascii_digit())
        && ["flat", "apt", "apartment", "unit", "suite"]
            .iter()
            .any(|unit| inner[start..].eq_ignore_ascii_case(unit))
        && is_open_before(text, start);
    if is_flat { start } else { at }
}

/// End of what follows a street that ends at `end`: flat, town, state and ZIP code, or a British post code. `None` if
/// there is nothing of that.
fn tail_end(text: &str, end: usize) -> Option<usize> {
    let mut tail = None;
    let mut from = end;
    let words = words_behind(text, from, 3);
    if let Some(unit) = unit_end(&words) {
        tail = Some(unit);
        from = unit;
    }
    town_end(text, from).or(tail)
}

/// End of `Apt 3` at the beginning of `words`.
fn unit_end(words: &[Word<'_>]) -> Option<usize> {
    let [unit, rest @ ..] = words else { return None };
    let number = |word: &Word<'_>| {
        let digits = word.text.bytes().filter(u8::is_ascii_digit).count();
        word.text.len() <= 5
            && (digits > 0 && word.text.len() - digits <= 1 || word.text.len() == 1 && word.is_capitalised())
    };
    if let Some(inner) = unit.text.strip_prefix('#') {
        let own = !inner.is_empty() && inner.len() <= 5;
        return if own { Some(unit.end()) } else { rest.first().filter(|word| number(word)).map(Word::end) };
    }
    if !unit.is(&UNITS) {
        return None;
    }
    let named = rest.first().map(|word| if word.text == "#" { rest.get(1) } else { Some(word) })??;
    let inner = Word { text: named.text.trim_start_matches('#'), ..*named };
    number(&inner).then(|| named.end())
}

/// End of town, state and ZIP code, or of a British post code, within a few words behind `from`.
fn town_end(text: &str, from: usize) -> Option<usize> {
    let words = words_behind(text, from, 8);
    for (at, word) in words.iter().enumerate().take(7) {
        let next = words.get(at + 1);
        if at > 0 && (is_state(word.text) || is_state_name(word.text)) {
            let zip = next.filter(|next| is_zip(next.text));
            if let Some(zip) = zip {
                return Some(zip.end());
            }
            // Without a ZIP code: `, Springfield, IL`.
            let written = word.text.bytes().all(|b| b.is_ascii_uppercase())
                || word.text.len() > 2 && word.is_capitalised();
            let town = words[..at].iter().all(Word::is_capitalised);
            if word.set_apart && written && town && words[0].set_apart && at <= 3 {
                return Some(word.end());
            }
        }
        // `New York, New York 10001`: names of states in two words.
        if let Some(next) = next
            && at > 0
            && is_state_name(&format!("{} {}", word.text, next.text))
            && let Some(zip) = words.get(at + 2).filter(|zip| is_zip(zip.text))
        {
            return Some(zip.end());
        }
        if at > 0
            && is_zip(word.text)
            && words[..at].iter().all(Word::is_capitalised)
            && words[0].set_apart
            && at <= 3
        {
            return Some(word.end());
        }
        if let Some(end) = post_code_end(*word, next) {
            return Some(end);
        }
        if is_function_word(word.text) && at > 0 && !word.is(&["of", "the", "on", "st"]) {
            break;
        }
    }
    None
}

/// A ZIP code, with or without the four digits behind it.
fn is_zip(word: &str) -> bool {
    let (zip, more) = word.split_once('-').unwrap_or((word, "0000"));
    zip.len() == 5 && more.len() == 4 && zip.bytes().chain(more.bytes()).all(|b| b.is_ascii_digit())
}

/// End of a British post code: `SW1A 1AA`.
fn post_code_end(word: Word<'_>, next: Option<&Word<'_>>) -> Option<usize> {
    let inward = |code: &str| {
        let code = code.as_bytes();
        code.len() == 3 && code[0].is_ascii_digit() && code[1..].iter().all(u8::is_ascii_alphabetic)
    };
    let outward = |code: &str| {
        let letters = code.bytes().take_while(u8::is_ascii_alphabetic).count();
        let digits = code.bytes().skip(letters).take_while(u8::is_ascii_digit).count();
        let rest = code.len() - letters - digits;
        (1..=2).contains(&letters)
            && (1..=2).contains(&digits)
            && (rest == 0 || rest == 1 && code.ends_with(|c: char| c.is_ascii_alphabetic()))
    };
    let joined = word.text.is_ascii() && (5..=7).contains(&word.text.len()) && {
        let (first, second) = word.text.split_at(word.text.len() - 3);
        outward(first) && inward(second)
    };
    if joined {
        return Some(word.end());
    }
    let next = next.filter(|next| !next.set_apart && inward(next.text))?;
    outward(word.text).then(|| next.end())
}

/// `P.O. Box 123`.
fn post_office_box(text: &str, group: &Group) -> Option<Range<usize>> {
    let before = text[..group.start].trim_end_matches([' ', '#']);
    let cut = |text: &'_ str, end: &str| {
        let start = text.len().checked_sub(end.len())?;
        text.get(start..).filter(|last| last.eq_ignore_ascii_case(end)).map(|_| start)
    };
    let before = before[..cut(before, "box")?].trim_end();
    let start = ["p. o.", "p.o.", "p.o", "po"].into_iter().find_map(|mark| cut(before, mark))?;
    let free = !text[..start].ends_with(char::is_alphanumeric)
        && !text[group.end..].starts_with(char::is_alphanumeric);
    let end = town_end(text, group.end).unwrap_or(group.end);
    free.then_some(start..end)
}
