//! Advertising phrases, and the words by which organisations describe themselves.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::links::pattern;
use super::normalize::fold_space;

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
#[derive(Debug, Clone)]
pub struct PhraseSet {
    patterns: Option<Patterns>,
}

/// Patterns of a set that is not empty.
#[derive(Debug, Clone)]
struct Patterns {
    /// The phrases anywhere, also inside words: quick to rule out.
    anywhere: Regex,
    /// The phrases as whole words.
    whole: Regex,
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
        let mut alternatives: Vec<String> = phrases
            .into_iter()
            .map(|phrase| phrase.split_whitespace().map(regex::escape).collect::<Vec<_>>().join(r"\s+"))
            .filter(|phrase| !phrase.is_empty())
            .collect();
        // Of two phrases that start alike the longer is meant.
        alternatives.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        let any = alternatives.join("|");
        Self {
            patterns: (!alternatives.is_empty()).then(|| Patterns {
                anywhere: pattern(&format!("(?i){any}")),
                whole: pattern(&format!(r"(?i)\b{{start-half}}(?:{any})\b{{end-half}}")),
            }),
        }
    }

    /// The first phrase of the set in a text.
    pub fn find(&self, text: &str) -> Option<PhraseMatch> {
        let found = self.whole_words(text)?.find(text)?;
        Some(PhraseMatch { phrase: fold_space(&found.as_str().to_lowercase()), range: found.range() })
    }

    /// How many phrases of the set a text holds, each as often as it stands there.
    pub fn count(&self, text: &str) -> usize {
        self.whole_words(text).map_or(0, |pattern| pattern.find_iter(text).count())
    }

    /// The pattern of whole words, if the text can have any: word boundaries are slow outside ASCII.
    fn whole_words(&self, text: &str) -> Option<&Regex> {
        let Patterns { anywhere, whole } = self.patterns.as_ref()?;
        anywhere.is_match(text).then_some(whole)
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_set_of_ones_own() {
        let set = PhraseSet::new(["a+", " use  code ", "use code now", ""]);
        assert_eq!(set.find("please USE code NOW").unwrap().phrase, "use code now");
        assert_eq!(set.find("grade A+ work").unwrap().range, 6..8);
        assert_eq!(set.count("use code, use code"), 2);
        assert_eq!(PhraseSet::new([]).find("anything"), None);
        assert_eq!(PhraseSet::new([""]).count("anything"), 0);
    }
}
