//! Names and numbers that a text states, held against the text it was written from.
//!
//! A model that makes something up about a person most often makes up a name, a place, a number or an age. These can be
//! found without another model: whatever is written like a name, and every number, must stand in what the model was shown.
//! What is true but said in other words ("two children" of "my son and my daughter") is left to a judge; the words "one"
//! and "two" are therefore no claims.

mod names;
mod numbers;

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use names::{country, country_given, fold_accents, names};
use numbers::{Number, Sense, numbers};

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
    /// A number in digits or words, an age, a decade ("in their forties", "the 1990s").
    Number,
}

/// The words and numbers that claims are held against.
#[derive(Debug, Clone, Default)]
pub struct Given {
    words: HashSet<String>,
    stems: HashSet<String>,
    /// Numbers for the countries that are named, or whose people are.
    countries: BTreeSet<usize>,
    /// In thousandths.
    numbers: BTreeSet<u64>,
    /// Month, from 1, and day, in thousandths, of dates in digits.
    days: BTreeSet<(u64, u64)>,
}

/// Fewest letters of the beginning by which "Canadian" is taken for what "Canada" supports.
const STEM: usize = 5;

/// Fewest letters of a word that counts for [`Given::support`].
const CONTENT_WORD: usize = 4;

/// From a decade of life to that of the last century, in thousandths.
const LAST_CENTURY: u64 = 1_900_000;

static FREQUENT: LazyLock<HashSet<&str>> = LazyLock::new(|| frequent_words("eng").collect());

impl Given {
    /// Takes the words and numbers of a text. Of a date in digits, such as stands before every text of a prompt, the year is
    /// a number; its day supports only what is said to be a day of that month.
    pub fn of(text: &str) -> Self {
        let mut given = Self::default();
        for word in text.split(is_separator) {
            let word = without_possessive(word.trim_matches(['\'', '’']));
            let folded = fold_accents(word);
            if !folded.is_empty() {
                given.countries.extend(country_given(word, &folded));
                given.stems.insert(stem(&folded));
                given.words.insert(folded);
            }
        }
        for Number { value, sense, .. } in numbers(text) {
            match sense {
                Sense::DateDay(month) => given.days.extend([(month, value)]),
                Sense::LateDecade => given.numbers.extend([value, value + LAST_CENTURY]),
                Sense::Thousands => given.numbers.extend([value, value / 1000]),
                Sense::OfThousands => given.numbers.extend([value, value.saturating_mul(1000)]),
                Sense::Plain | Sense::Decade | Sense::Day(_) => given.numbers.extend([value]),
            }
        }
        given.numbers.extend(text.split_whitespace().flat_map(parts_of_dotted));
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
        claims.extend(self.unsupported_numbers(text));
        claims.sort_by_key(|claim| claim.text.as_ptr() as usize);
        claims
    }

    /// The claims of a text in any language that nothing here supports, in their order: numbers in digits alone. Which words
    /// are names or numbers is not known of other languages than English.
    pub fn unsupported_digits<'a>(&self, text: &'a str) -> Vec<Claim<'a>> {
        let is_in_digits = |claim: &Claim<'_>| claim.text.starts_with(|c: char| c.is_ascii_digit());
        self.unsupported_numbers(text).filter(is_in_digits).collect()
    }

    fn unsupported_numbers<'a>(&self, text: &'a str) -> impl Iterator<Item = Claim<'a>> {
        let all = numbers(text).into_iter();
        let unknown = all.filter(move |number| number.is_claim && !self.has_number(number));
        unknown.map(|number| Claim { kind: ClaimKind::Number, text: number.text })
    }

    /// Which share of the words of a text that carry content stand here, in any inflection, `0.0..=1.0`; 1 for a text
    /// without such words. What is said of one person has far less of another person's words in it.
    pub fn support(&self, text: &str) -> f64 {
        let folded = fold_accents(text);
        let (mut all, mut supported) = (0_u32, 0_u32);
        for word in content(&folded) {
            all += 1;
            supported += u32::from(self.stems.contains(&stem(word)));
        }
        if all == 0 { 1.0 } else { f64::from(supported) / f64::from(all) }
    }

    fn has_name(&self, name: &str) -> bool {
        let folded = fold_accents(name);
        let plain = folded.trim_end_matches('s');
        self.words.contains(&folded)
            || (plain.len() >= 3 && (self.words.contains(plain) || self.words.contains(&format!("{plain}s"))))
            || (folded.chars().count() > STEM && self.stems.contains(&stem(&folded)))
            || country(&folded).is_some_and(|country| self.countries.contains(&country))
    }

    fn has_number(&self, number: &Number<'_>) -> bool {
        let value = number.value;
        let has_decade = |first: u64| self.numbers.range(first..first + 10_000).next().is_some();
        match number.sense {
            Sense::Plain | Sense::Thousands | Sense::OfThousands => self.numbers.contains(&value),
            Sense::Decade => has_decade(value),
            Sense::LateDecade => has_decade(value) || has_decade(value + LAST_CENTURY),
            Sense::Day(month) => self.numbers.contains(&value) || self.days.contains(&(month, value)),
            Sense::DateDay(month) => self.days.contains(&(month, value)),
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

/// The parts of a time of day or a date with dots between, in thousandths: of "10.30pm" 10 and 30, of "24.05.2023" all three.
fn parts_of_dotted(word: &str) -> Vec<u64> {
    let parts: Vec<&str> = word.trim_matches(|c: char| !c.is_ascii_digit()).split('.').collect();
    let is_dotted =
        parts.len() > 1 && parts[1].len() == 2 && parts.iter().all(|part| matches!(part.len(), 1 | 2 | 4));
    let value = |part: &&str| part.parse::<u64>().ok().map(|number| number * 1000);
    parts.iter().filter(|_| is_dotted).filter_map(value).collect()
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
            // The day of the date, beside its month.
            "Moved on May 1, or was it 1 May, or the 1st of May? It was 2023-05-01.",
        ] {
            assert_eq!(unsupported(given, text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn names_and_numbers_are_one_in_other_forms() {
        for (given, text) in [
            ("José from Łódź wrote to Zoe.", "A letter of Jose from Lodz to Zoë."),
            ("A cafe in Sao Paulo with Øyvind.", "He met Oyvind in São Paulo."),
            ("born in 1994, I was", "A child of the 1990s, of the nineties, of the late '90s."),
            ("back in the eighties", "The person grew up in the 1980s."),
            ("music of the '60s", "They love the 1960s."),
            ("paid 20k for it", "It cost 20,000 or 20000 or 20K."),
            ("my first 10k", "A race of 10 kilometres."),
            ("we flew to italy and POLAND", "The Italian food, the Polish trains, the Italians."),
            ("Turkish tea with an Irish friend", "A trip to Turkey and Ireland."),
            ("moved to the US", "An American. The Americans."),
            ("my Dutch wife is from Switzerland", "From the Netherlands, a Swiss."),
        ] {
            assert_eq!(unsupported(given, text), Vec::<&str>::new(), "{given}: {text}");
        }
        for (given, text, expected) in [
            (
                "born in 1994, I was",
                "In her nineties, in the 1980s, in the eighties.",
                vec!["nineties", "1980s", "eighties"],
            ),
            ("in the nineties", "He is 94 and was born in 1989.", vec!["94", "1989"]),
            ("20 of them", "It cost 20k.", vec!["20k"]),
            ("tell us about the turkey and polish the china", "An American in Turkey, China and Poland.", {
                vec!["American", "Poland"]
            }),
            ("a French friend", "Somebody from Belgium.", vec!["Belgium"]),
        ] {
            assert_eq!(unsupported(given, text), expected, "{given}: {text}");
        }
    }

    #[test]
    fn dates_of_texts_support_years_and_no_other_number() {
        let given = "[2023-05-24] I'm forty-three\n[2021-12-08] Snow.";
        for (text, expected) in [
            ("A man of 24 with five children.", vec!["24", "five"]),
            ("Somebody of 43 who wrote in May 2023 and in December of 2021.", vec![]),
            ("Wrote on May 24th and 8 December.", vec![]),
            ("Wrote on May 8 and on the 24th of December.", vec!["8", "24th"]),
            ("Wrote on 2023-05-24, not on 2023-05-08 or 2020-12-08.", vec!["05-08", "2020"]),
            ("Has 12 cats, five dogs and 05 hens.", vec!["12", "five", "05"]),
        ] {
            assert_eq!(unsupported(given, text), expected, "{text}");
        }
    }

    #[test]
    fn of_other_languages_only_digits_are_known() {
        let given = Given::of("[2023-05-24] Ich bin 43 und habe zwei Hunde.");
        let texts =
            |text| given.unsupported_digits(text).into_iter().map(|claim| claim.text).collect::<Vec<_>>();
        assert_eq!(
            texts("Der Mensch ist 43 Jahre alt, hat Hunde und schreibt seit 2023."),
            Vec::<&str>::new()
        );
        assert_eq!(texts("Die Frau ist 34, hat eleven Katzen und 7,5 Kinder."), ["34", "7,5"]);
    }

    #[test]
    fn numbers_may_be_written_otherwise() {
        for (given, text) in [
            ("I ran my first 10 km.", "Ran a 10K race."),
            ("I ran my first 10km.", "Ran a 10k race."),
            ("There are 20 thousand followers.", "With 20k followers."),
            ("[2023-09-03] It rained.", "It rained on Sept 3, 2023."),
            ("350 people came.", "Then three hundred and fifty people came."),
            ("I was home at 10.30pm.", "Came home at 10:30 p.m."),
            ("It was on 24.05.2023.", "That was on May 24, 2023."),
        ] {
            assert_eq!(unsupported(given, text), Vec::<&str>::new(), "{given} | {text}");
        }
        for (given, text, expected) in [
            ("I paid 3.5 for it.", "Paid 5 for it.", "5"),
            ("350 people came.", "One hundred and fifty came.", "One hundred and fifty"),
            ("I love french fries.", "The person lives in France.", "France"),
        ] {
            assert_eq!(unsupported(given, text), vec![expected], "{given} | {text}");
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
