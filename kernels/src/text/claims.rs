//! Names and numbers that a text states, held against the text it was written from.
//!
//! A model that makes something up about a person most often makes up a name, a place, a number or an age. These can be
//! found without another model: whatever is written like a name, and every number, must stand in what the model was shown.
//! What is true but said in other words ("two children" of "my son and my daughter") is left to a judge; the words "one"
//! and "two" are therefore no claims.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use super::language::frequent_words;
use super::normalize::fold_case;

/// A name or a number that a text states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// What it is.
    pub kind: ClaimKind,
    /// As it is written.
    pub text: &'a str,
}

/// What a text states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// A word written like a name: of a person, a place, a brand, a nation, a language.
    Name,
    /// A number in digits or words, an age, a decade of life ("in their forties").
    Number,
}

/// The words and numbers that claims are held against.
#[derive(Debug, Clone, Default)]
pub struct Given {
    words: HashSet<String>,
    stems: HashSet<String>,
    /// In thousandths.
    numbers: BTreeSet<u64>,
}

/// Words written large that name nobody: the first person, titles, calendar words that follow from dates.
const NO_NAMES: &str = "i i'm i've i'll i'd ok okay tv diy pc ai mr mrs ms dr god sunday monday tuesday wednesday thursday \
    friday saturday january february march april may june july august september october november december christmas easter \
    internet null na";

/// What follows a name at the beginning of a sentence.
const AFTER_NAMES: &str = "is was has had lives lived works worked loves likes enjoys feels felt thinks thought believes \
    says said wants runs ran writes wrote grew moved values prefers often always never who finds found spends plays keeps \
    cares describes shares tries";

/// Endings of nouns that name nobody.
const PLAIN_ENDINGS: [&str; 14] = [
    "ing", "ness", "ity", "tion", "sion", "ism", "ment", "ship", "hood", "ence", "ance", "ers", "ies",
    "ology",
];

/// Fewest letters of the beginning by which "Canadian" is taken for what "Canada" supports.
const STEM: usize = 5;

/// Fewest letters of a word that counts for [`Given::support`].
const CONTENT_WORD: usize = 4;

static NO_NAME_SET: LazyLock<HashSet<&str>> = LazyLock::new(|| NO_NAMES.split_whitespace().collect());
static AFTER_NAME_SET: LazyLock<HashSet<&str>> = LazyLock::new(|| AFTER_NAMES.split_whitespace().collect());
static FREQUENT: LazyLock<HashSet<&str>> = LazyLock::new(|| frequent_words("eng").collect());

impl Given {
    /// Takes the words and numbers of a text.
    pub fn of(text: &str) -> Self {
        let mut given = Self::default();
        for word in text.split(is_separator) {
            let word = fold_case(without_possessive(word.trim_matches(['\'', '’'])));
            if !word.is_empty() {
                given.stems.insert(stem(&word));
                given.words.insert(word.into_owned());
            }
        }
        for number in numbers(text) {
            given.numbers.insert(number.value);
        }
        given
    }

    /// The claims of an English text that nothing here supports, in their order.
    ///
    /// ```
    /// use genome_kernels::text::claims::Given;
    /// let given = Given::of("I'm forty-three and run a one-stand shop in Tucson.");
    /// let texts = |text| given.unsupported(text).into_iter().map(|claim| claim.text).collect::<Vec<_>>();
    /// assert_eq!(texts("A mechanic of 43 in Tucson, in his forties."), Vec::<&str>::new());
    /// assert_eq!(texts("A mechanic of 34 in Denver, in his fifties."), ["34", "Denver", "fifties"]);
    /// ```
    pub fn unsupported<'a>(&self, text: &'a str) -> Vec<Claim<'a>> {
        let mut claims: Vec<Claim<'a>> = names(text)
            .filter(|name| !self.has_name(name))
            .map(|text| Claim { kind: ClaimKind::Name, text })
            .collect();
        let unknown = numbers(text).into_iter().filter(|number| number.is_claim && !self.has_number(number));
        claims.extend(unknown.map(|number| Claim { kind: ClaimKind::Number, text: number.text }));
        claims.sort_by_key(|claim| claim.text.as_ptr() as usize);
        claims
    }

    /// Which share of the words of a text that carry content stand here, in any inflection, `0.0..=1.0`; 1 for a text
    /// without such words. What is said of one person has far less of another person's words in it.
    pub fn support(&self, text: &str) -> f64 {
        let folded = fold_case(text);
        let (mut all, mut supported) = (0_u32, 0_u32);
        for word in content(&folded) {
            all += 1;
            supported += u32::from(self.stems.contains(&stem(word)));
        }
        if all == 0 { 1.0 } else { f64::from(supported) / f64::from(all) }
    }

    fn has_name(&self, name: &str) -> bool {
        let folded = fold_case(name);
        let plain = folded.trim_end_matches('s');
        self.words.contains(folded.as_ref())
            || (plain.len() >= 3 && (self.words.contains(plain) || self.words.contains(&format!("{plain}s"))))
            || (folded.chars().count() > STEM && self.stems.contains(&stem(&folded)))
    }

    fn has_number(&self, number: &Number<'_>) -> bool {
        if number.decade {
            self.numbers.range(number.value..number.value + 10_000).next().is_some()
        } else {
            self.numbers.contains(&number.value)
        }
    }
}

/// The number of different words of an English text that carry content, inflections of one counted once.
pub fn content_words(text: &str) -> usize {
    content(&fold_case(text)).map(stem).collect::<HashSet<_>>().len()
}

/// The words of a folded text that carry content.
fn content(folded: &str) -> impl Iterator<Item = &str> {
    let words = folded.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| word.chars().count() >= CONTENT_WORD && !FREQUENT.contains(word))
}

/// The beginning of a word that its inflections have in common, near enough.
fn stem(word: &str) -> String {
    word.chars().take(STEM).collect()
}

/// Whether a character stands between words.
fn is_separator(c: char) -> bool {
    !c.is_alphanumeric() && c != '\'' && c != '’'
}

fn without_possessive(word: &str) -> &str {
    word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word)
}

/// Words of a text that are written like names.
fn names(text: &str) -> impl Iterator<Item = &str> {
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

#[derive(Debug)]
struct Number<'a> {
    text: &'a str,
    /// In thousandths.
    value: u64,
    /// Ten years of life from this one on.
    decade: bool,
    is_claim: bool,
}

/// The numbers of a text in digits and words.
fn numbers(text: &str) -> Vec<Number<'_>> {
    let mut found: Vec<Number<'_>> = Vec::new();
    // Words of a number before this one, with what they amount to: "two hundred", "forty-three".
    let mut open: Option<(usize, u64)> = None;
    let base = text.as_ptr() as usize;
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | ',' | '\'' | '’');
    for raw in text.split(|c| !is_part(c)) {
        let word = raw.trim_matches(|c: char| !c.is_alphanumeric());
        if word.is_empty() {
            continue;
        }
        let start = word.as_ptr() as usize - base;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            open = None;
            found.extend(number_in_digits(word));
            continue;
        }
        let folded = fold_case(word);
        if let Some(decade) = decade_in_words(&folded) {
            open = None;
            found.push(Number { text: word, value: decade * 1000, decade: true, is_claim: true });
            continue;
        }
        let joins = open.is_some_and(|(end, _)| text[end..start].chars().all(|c| c == ' ' || c == '-'));
        let value = match (number_word(&folded), open.filter(|_| joins)) {
            (None, _) => {
                open = None;
                continue;
            }
            (Some(Word::Scale(scale)), Some((_, so_far))) => so_far.saturating_mul(scale),
            (Some(Word::Units(units)), Some((_, so_far)))
                if so_far % 100 == 0 || (so_far % 10 == 0 && units < 10) =>
            {
                so_far.saturating_add(units)
            }
            (Some(Word::Scale(scale)), None) => scale,
            (Some(Word::Units(units)), _) => {
                open = Some((start + word.len(), units));
                found.push(Number { text: word, value: units * 1000, decade: false, is_claim: units > 2 });
                continue;
            }
        };
        open = Some((start + word.len(), value));
        let is_continued = joins && !found.is_empty();
        let from = if is_continued { found.pop() } else { None };
        let begin = from.map_or(start, |number| number.text.as_ptr() as usize - base);
        let is_claim = is_continued;
        // "hundreds of", "a thousand": no number that could be right or wrong.
        found.push(Number {
            text: &text[begin..start + word.len()],
            value: value.saturating_mul(1000),
            decade: false,
            is_claim,
        });
    }
    found
}

/// A number such as `1,200`, `3.5`, `40s`, `2nd`, `20k`.
fn number_in_digits(word: &str) -> Option<Number<'_>> {
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let ending = &word[digits.len()..];
    let whole = digits.replace(',', "");
    let (whole, part) = whole.split_once('.').unwrap_or((&whole, ""));
    let part = format!("{part:0<3}");
    let thousandths = part.get(..3)?.parse::<u64>().ok()?;
    let value = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)?;
    let decade =
        matches!(ending.trim_start_matches(['\'', '’']), "s") && value < 130_000 && value % 10_000 == 0;
    Some(Number { text: word, value, decade, is_claim: true })
}

enum Word {
    Units(u64),
    Scale(u64),
}

fn number_word(word: &str) -> Option<Word> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    let small = SMALL.iter().position(|small| *small == word).and_then(|units| u64::try_from(units).ok());
    let tens = || TENS.iter().find(|(tens, _)| *tens == word).map(|(_, value)| *value);
    match word {
        "hundred" => Some(Word::Scale(100)),
        "thousand" => Some(Word::Scale(1000)),
        "million" => Some(Word::Scale(1_000_000)),
        "dozen" => Some(Word::Scale(12)),
        _ => small.or_else(tens).map(Word::Units),
    }
}

const TENS: [(&str, u64); 8] = [
    ("twenty", 20),
    ("thirty", 30),
    ("forty", 40),
    ("fifty", 50),
    ("sixty", 60),
    ("seventy", 70),
    ("eighty", 80),
    ("ninety", 90),
];

/// The first year of a decade of life: 40 of `forties`.
fn decade_in_words(word: &str) -> Option<u64> {
    let stem = word.strip_suffix("ies")?;
    TENS.iter().find(|(tens, _)| tens.strip_suffix('y') == Some(stem)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unsupported<'a>(given: &str, text: &'a str) -> Vec<&'a str> {
        Given::of(given).unsupported(text).into_iter().map(|claim| claim.text).collect()
    }

    #[test]
    fn what_is_there_is_supported_in_any_form() {
        let given = "[2023-05-01] Moved to Leeds in 2019 with my wife Anna. We're both forty-three, paid £1,200 for the \
                     German bike and rode 3.5 miles, twenty five times. Canada next! It's our 2nd.";
        for text in [
            "The person moved to Leeds in 2019 with Anna, aged 43, and paid 1200 pounds.",
            "A Leeds-based rider in their 40s who likes Germany's bikes.",
            "Rides 25 times. Canadian dreams. In the forties, twenty-five.",
            "I'm glad. I've got one bike, two friends and hundreds of plans for May.",
            "Anna's bike; Anna is the wife.",
            "Gardening is what counts. Chess matters.",
        ] {
            assert_eq!(unsupported(given, text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_found() {
        let given = "I'm forty-three and live in Leeds with Anna and three cats.";
        for (text, expected) in [
            ("Lives in Bradford with Anna.", vec!["Bradford"]),
            ("Marta lives in Leeds. Marta's cats are fine.", vec!["Marta", "Marta"]),
            ("A person of 34 with five cats.", vec!["34", "five"]),
            ("In their 50s, or in their thirties.", vec!["50s", "thirties"]),
            ("A fan of Manchester United since nineteen years, two hundred and 7.5 per cent", {
                vec!["Manchester", "United", "nineteen", "two hundred", "7.5"]
            }),
            ("A million million million million million.", vec!["million million million million million"]),
            ("She met him (Peter) in New York.", vec!["New", "York"]),
        ] {
            assert_eq!(unsupported(given, text), expected, "{text}");
        }
    }

    #[test]
    fn support_tells_whose_words_they_are() {
        let bikes =
            Given::of("I rebuilt the steel frame and the bearings of every bicycle in this workshop.");
        assert!(bikes.support("Rebuilds bicycles with steel frames.") > 0.9);
        assert!(bikes.support("Bakes sourdough bread for neighbours.") < 0.1);
        assert!((bikes.support("") - 1.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_text_supports_its_own_claims(text in "([A-Za-z]{1,8}|[0-9]{1,6}|forty|two|[.,!'’-]){0,1}( ([A-Z]?[a-z]{0,8}|[0-9]{1,4}(s|th)?|fifty|hundred|[.,!'’-])){0,12}|\\PC{0,40}") {
            let unsupported = Given::of(&text).unsupported(&text);
            let names: Vec<_> = unsupported.iter().filter(|claim| claim.kind == ClaimKind::Name).collect();
            prop_assert!(names.is_empty(), "{names:?}");
            let numbers = unsupported.iter().filter(|claim| !claim.text.ends_with('s'));
            prop_assert_eq!(numbers.count(), 0, "{:?}", unsupported);
        }
    }
}
