//! Advertising phrases, and the words by which organisations describe themselves.

use std::ops::Range;
use std::str::CharIndices;
use std::sync::LazyLock;

use regex::Regex;

use super::links::pattern;

/// Phrases that mark a text as advertising (`HumanLLM`, filter of Twitter posts).
pub const ADVERTISING_PHRASES: [&str; 10] = [
    "buy now",
    "limited offer",
    "subscribe",
    "discount",
    "sale",
    "promo",
    "special deal",
    "click the link",
    "order now",
    "get it now",
];

/// Words that mark the description of an account as that of an organisation (`HumanLLM`, filter of Twitter users).
pub const CORPORATE_WORDS: [&str; 15] = [
    "company",
    "official",
    "network",
    "store",
    "brand",
    "business",
    "shop",
    "solutions",
    "digital",
    "services",
    "marketing",
    "service provider",
    "inc",
    "ltd",
    "llc",
];

/// A set of words and phrases that is looked for in texts as whole words, in any case and across any white space:
/// "sale" is found in "Big SALE!" and in "for-sale", not in "wholesale".
///
/// Texts are folded (lower case, single spaces) and searched for the ends of phrases first, which the search takes
/// many bytes at a time; the few texts that hold one are then searched phrase by phrase.
#[derive(Debug, Clone)]
pub struct PhraseSet {
    /// Folded phrases; of two that start alike the longer comes first.
    phrases: Vec<String>,
    /// Of each phrase its end, or one that it has in common with another.
    ends: Option<Regex>,
}

/// A phrase of a [`PhraseSet`] as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhraseMatch {
    /// The phrase in lower case, with single spaces.
    pub phrase: String,
    /// Where it stands, in bytes.
    pub range: Range<usize>,
}

/// The first advertising phrase of a text.
pub fn advertising_phrase(text: &str) -> Option<PhraseMatch> {
    static PHRASES: LazyLock<PhraseSet> = LazyLock::new(|| PhraseSet::new(ADVERTISING_PHRASES));
    PHRASES.find(text)
}

/// The first word in an account's description that speaks of an organisation.
pub fn corporate_word(description: &str) -> Option<PhraseMatch> {
    static WORDS: LazyLock<PhraseSet> = LazyLock::new(|| PhraseSet::new(CORPORATE_WORDS));
    WORDS.find(description)
}

impl PhraseSet {
    /// A set of phrases; case and surplus white space do not matter, empty phrases are left out.
    pub fn new<'a>(phrases: impl IntoIterator<Item = &'a str>) -> Self {
        let mut phrases: Vec<String> =
            phrases.into_iter().map(|phrase| fold(phrase).trim().to_owned()).collect();
        phrases.retain(|phrase| !phrase.is_empty());
        // Of two phrases that start alike the longer is meant.
        phrases.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        phrases.dedup();
        let mut ends: Vec<&str> = Vec::new();
        for phrase in phrases.iter().rev() {
            if !ends.iter().any(|end| phrase.contains(end)) {
                ends.push(rare_end(phrase));
            }
        }
        let ends: Vec<String> = ends.into_iter().map(regex::escape).collect();
        Self { ends: (!ends.is_empty()).then(|| pattern(&ends.join("|"))), phrases }
    }

    /// The first phrase of the set in a text.
    pub fn find(&self, text: &str) -> Option<PhraseMatch> {
        let folded = self.fold_if_possible(text)?;
        let (at, phrase) = self.next(&folded, 0)?;
        Some(Places::new(text, &folded).find(at, phrase))
    }

    /// All phrases of the set in a text, in order and disjoint.
    pub fn find_all(&self, text: &str) -> Vec<PhraseMatch> {
        let Some(folded) = self.fold_if_possible(text) else { return Vec::new() };
        let mut places = Places::new(text, &folded);
        self.all(&folded).map(|(at, phrase)| places.find(at, phrase)).collect()
    }

    /// How many phrases of the set a text holds, each as often as it stands there.
    pub fn count(&self, text: &str) -> usize {
        self.fold_if_possible(text).map_or(0, |folded| self.all(&folded).count())
    }

    /// The folded text, if it can hold a phrase.
    fn fold_if_possible(&self, text: &str) -> Option<String> {
        let ends = self.ends.as_ref()?;
        let folded = fold(text);
        ends.is_match(&folded).then_some(folded)
    }

    /// The phrases of a folded text in order and disjoint, and where they start.
    fn all(&self, folded: &str) -> impl Iterator<Item = (usize, &str)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let (at, phrase) = self.next(folded, from)?;
            from = at + phrase.len();
            Some((at, phrase))
        })
    }

    /// The first phrase of a folded text that starts at `from` or later, and where it does.
    fn next(&self, folded: &str, from: usize) -> Option<(usize, &str)> {
        let mut before = folded[..from].chars().next_back();
        for (at, c) in folded[from..].char_indices() {
            let starts = !goes_on(before.replace(c));
            let rest = &folded[from + at..];
            let is_whole = |phrase: &&String| {
                rest.strip_prefix(phrase.as_str()).is_some_and(|rest| !goes_on(rest.chars().next()))
            };
            if let Some(phrase) = self.phrases.iter().filter(|_| starts).find(is_whole) {
                return Some((from + at, phrase));
            }
        }
        None
    }
}

/// Finds places of a folded text in the text itself, from the first to the last, in one pass over both.
///
/// Folding keeps the order of what is visible, so places are told by the number of visible bytes before them.
struct Places<'a> {
    text: &'a str,
    folded: &'a str,
    /// How far the folded text was gone through, in bytes, and how many of them are visible.
    at: usize,
    visible: usize,
    /// What of the text was not gone through, and how many visible bytes the rest of it is folded to.
    rest: CharIndices<'a>,
    seen: usize,
}

impl<'a> Places<'a> {
    fn new(text: &'a str, folded: &'a str) -> Self {
        Self { text, folded, at: 0, visible: 0, rest: text.char_indices(), seen: 0 }
    }

    /// A phrase that stands at `at` in the folded text, behind those that were asked for before.
    fn find(&mut self, at: usize, phrase: &str) -> PhraseMatch {
        let (start, end) = (self.visible_before(at), self.visible_before(at + phrase.len()));
        let mut range = 0..self.text.len();
        for (place, c) in self.rest.by_ref().filter(|(_, c)| !c.is_whitespace()) {
            if self.seen == start {
                range.start = place;
            }
            self.seen += fold_char(c).len_utf8();
            if self.seen >= end {
                range.end = place + c.len_utf8();
                break;
            }
        }
        PhraseMatch { phrase: phrase.to_owned(), range }
    }

    fn visible_before(&mut self, at: usize) -> usize {
        self.visible += self.folded[self.at..at].bytes().filter(|b| *b != b' ').count();
        self.at = at;
        self.visible
    }
}

/// Lower case, with one space for each run of white space, and one kind of apostrophe.
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler takes many bytes at a time")]
fn fold(text: &str) -> String {
    // ASCII is mapped byte by byte, which the compiler does many at a time; the rest stays as it is.
    let bytes = text.bytes().map(|b| if matches!(b, b'\t'..=b'\r') { b' ' } else { b.to_ascii_lowercase() });
    let mut folded = String::from_utf8(bytes.collect()).unwrap_or_default();
    if !folded.is_ascii() {
        folded = folded.chars().map(|c| if c.is_ascii() { c } else { fold_char(c) }).collect();
    }
    let pairs = folded.bytes().zip(folded.as_bytes().get(1..).unwrap_or_default());
    if pairs.fold(false, |doubled, (a, b)| doubled | ((a == b' ') & (*b == b' '))) {
        let mut single = String::with_capacity(folded.len());
        for word in folded.split(' ').filter(|word| !word.is_empty()) {
            single.push_str(word);
            single.push(' ');
        }
        folded = single;
    }
    folded
}

/// A character in lower case, white space as a space, and an apostrophe as typewriters have it; a character whose
/// lower case is two (`İ`) stays.
fn fold_char(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        _ if c.is_whitespace() => ' ',
        (Some('’'), None) => '\'',
        (Some(lower), None) => lower,
        _ => c,
    }
}

/// The end of a phrase from its least common four letters on, by the order of letters in English; long enough to be
/// seldom met by chance.
fn rare_end(phrase: &str) -> &str {
    const MIN_LEN: usize = 10;
    const COMMON_FIRST: &str = " etaoinshrdlucmfwygpbvk";
    let rarity = |c: char| COMMON_FIRST.find(c).unwrap_or(COMMON_FIRST.len());
    let places: Vec<(usize, usize)> = phrase.char_indices().map(|(at, c)| (at, rarity(c))).collect();
    let rarest = places
        .windows(4)
        .filter(|four| phrase.len() - four[0].0 >= MIN_LEN)
        .max_by_key(|four| four.iter().map(|(_, rarity)| rarity).sum::<usize>());
    rarest.map_or(phrase, |four| &phrase[four[0].0..])
}

/// Whether a word goes on with a character.
fn goes_on(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn phrases_are_whole_words() {
        for (text, phrase) in [
            ("Big SALE today", Some("sale")),
            ("wholesale prices", None),
            ("I bought it wholesale, then a for-sale sign went up", Some("sale")),
            ("Buy\n  now!", Some("buy now")),
            ("we should buy. Now it rains", None),
            ("unsubscribe me", None),
            ("a promotion at work", None),
            ("discounted", None),
            ("Just CLICK THE LINK below", Some("click the link")),
            ("", None),
        ] {
            assert_eq!(advertising_phrase(text).map(|found| found.phrase).as_deref(), phrase, "{text}");
        }
    }

    #[test]
    fn organisations_describe_themselves() {
        for (text, word) in [
            ("Smith & Sons Inc. since 1950", Some("inc")),
            ("The official account", Some("official")),
            ("Acme Widgets, LLC", Some("llc")),
            ("incline walker, unofficial poet, shopaholic", None),
            ("Your service  provider in Leeds", Some("service provider")),
            ("nurse, cyclist, brewer", None),
        ] {
            assert_eq!(corporate_word(text).map(|found| found.phrase).as_deref(), word, "{text}");
        }
    }

    proptest! {
        #[test]
        fn phrases_are_found_as_by_a_pattern(
            text in "([Ss][Aa][Ll][Ee]|buy|NOW|get|It|a\\+|use|code|[ab_.é]|[ \n\u{a0}]{1,2}|İ){0,14}",
        ) {
            let phrases = ["sale", "buy now", "get it now", "use code", "use code now", "a+"];
            let set = PhraseSet::new(phrases);
            let truth = Regex::new(
                r"(?i)\b{start-half}(?:get\s+it\s+now|use\s+code\s+now|buy\s+now|use\s+code|sale|a\+)\b{end-half}",
            );
            let expected: Vec<_> = truth.unwrap().find_iter(&text).map(|found| found.range()).collect();
            let found: Vec<_> = set.find_all(&text).into_iter().map(|found| found.range).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(set.find(&text).map(|found| found.range), expected.first().cloned());
        }
    }

    #[test]
    fn a_set_of_ones_own() {
        let set = PhraseSet::new(["a+", " use  code ", "use code now", ""]);
        assert_eq!(set.find("please USE code NOW").unwrap().phrase, "use code now");
        assert_eq!(set.find("grade A+ work").unwrap().range, 6..8);
        assert_eq!(set.count("use code, use code"), 2);
        let ranges: Vec<_> =
            set.find_all("A+, İ use\n code; a+").into_iter().map(|found| found.range).collect();
        assert_eq!(ranges, [0..2, 7..16, 18..20]);
        assert_eq!(PhraseSet::new([]).find("anything"), None);
        assert_eq!(PhraseSet::new([""]).count("anything"), 0);
    }
}
