//! What a text has in common with texts that are given: passages, whole short texts, or nearly everything.

use std::borrow::Cow;
use std::collections::HashMap;

use super::bands::BandPlan;
use super::bits::HashBits;
use super::minhash::MinHasher;
use super::prefix::jaccard_from;
use super::shingle::{Runs, Shingle, Shingler};
use crate::text::normalize::{fold_case, fold_names};

/// Stands between the parts of one text, such as the messages of a conversation; it is part of no word.
pub const BETWEEN_PARTS: char = '\u{1e}';

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// A passage: so many words (or characters) in a row.
    pub passage: Shingle,
    /// The shortest text that is looked for as a whole, in words (or characters): of shorter ones it says nothing that they
    /// occur.
    pub shortest: usize,
    /// Sets of shingles of at least such a Jaccard similarity, found by these bands; none if this is not looked for.
    pub near: Option<(f64, Shingle, BandPlan)>,
}

impl Wanted {
    /// Whether a text is long enough to be looked for.
    pub fn is_long_enough(&self, text: &str) -> bool {
        let mut units = Vec::new();
        self.passage.units(&folded(text), &mut units);
        units.len() >= self.shortest
    }
}

/// What of a text is compared: in lower case, and with one name in the place of every name that is mentioned, since readers
/// put pseudonyms there.
fn folded(text: &str) -> Cow<'_, str> {
    fold_names(fold_case(text))
}

/// Texts whose passages are looked for in others.
///
/// Held in memory are 8 bytes for each word, 16 for each passage, and for near matches about 300 for each text.
#[derive(Debug)]
pub struct GivenTexts {
    wanted: Wanted,
    texts: Vec<Given>,
    units: Vec<u64>,
    /// Runs of texts as long as a passage; then, for each length below that some text has, these whole texts.
    grams: Vec<Grams>,
    near: Option<NearTexts>,
}

#[derive(Debug)]
struct Given {
    name: String,
    /// As it is compared.
    text: String,
    start: usize,
    len: usize,
}

/// What a text was found to have in common with a given one.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlap<'a> {
    /// In what way.
    pub kind: OverlapKind,
    /// The name of the given text.
    pub name: &'a str,
    /// Words (or characters) in common; of near texts their similarity, `0.0..=1.0`.
    pub measure: f64,
    /// What is common, as the given text has it in lower case, with `name` for names that are mentioned; of near texts all of
    /// it.
    pub passage: String,
}

/// A run that is also in a given text.
#[derive(Debug, Clone, Copy)]
struct Common {
    len: usize,
    text: u32,
    /// Where it stands in the given text.
    at: usize,
}

/// In what way two texts overlap; the first of these that holds counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverlapKind {
    /// They have a passage in common; the longest one is told.
    Passage,
    /// A given text that is shorter than a passage stands in the other.
    Whole,
    /// They are nearly the same; the most similar one is told.
    Near,
}

/// Runs of one length and where they stand.
#[derive(Debug)]
struct Grams {
    runs: Runs,
    len: usize,
    /// In order.
    entries: Vec<Gram>,
    bits: HashBits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Gram {
    hash: u64,
    text: u32,
    at: u32,
}

#[derive(Debug)]
struct NearTexts {
    threshold: f64,
    shingle: Shingle,
    plan: BandPlan,
    sets: Vec<Vec<u32>>,
    by_band: HashMap<(u32, u32), Vec<u32>>,
}

/// Buffers of one who looks.
#[derive(Debug)]
pub struct OverlapFinder<'a> {
    given: &'a GivenTexts,
    units: Vec<u64>,
    near: Option<(Shingler, MinHasher)>,
    set: Vec<u32>,
    bands: Vec<u32>,
}

impl GivenTexts {
    /// Prepares texts, each with a name. Texts shorter than [`Wanted::shortest`] are left out.
    pub fn new(wanted: Wanted, texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut given = Self { wanted, texts: Vec::new(), units: Vec::new(), grams: Vec::new(), near: None };
        for (name, text) in texts {
            let text = folded(&text).into_owned();
            let start = given.units.len();
            wanted.passage.units(&text, &mut given.units);
            let len = given.units.len() - start;
            if len < wanted.shortest {
                given.units.truncate(start);
            } else {
                given.texts.push(Given { name, text, start, len });
            }
        }
        given.grams = given.all_grams();
        given.near = wanted.near.map(|near| NearTexts::of(near, &given.texts));
        given
    }

    /// One who looks, for texts one after another.
    pub fn finder(&self) -> OverlapFinder<'_> {
        let near = self.near.as_ref();
        OverlapFinder {
            given: self,
            units: Vec::new(),
            near: near.map(|near| (Shingler::new(near.shingle), MinHasher::new(near.plan))),
            set: Vec::new(),
            bands: Vec::new(),
        }
    }

    fn all_grams(&self) -> Vec<Grams> {
        let passage = self.wanted.passage.run();
        let mut lens: Vec<usize> = self.texts.iter().map(|text| text.len.min(passage)).collect();
        lens.sort_unstable();
        lens.dedup();
        // Passages first.
        lens.reverse();
        lens.into_iter().map(|len| self.grams_of(len, len == passage)).collect()
    }

    fn grams_of(&self, len: usize, is_passage: bool) -> Grams {
        let runs = Runs::new(len);
        let mut entries = Vec::new();
        for (number, text) in (0_u32..).zip(&self.texts) {
            if text.len == len || is_passage && text.len > len {
                runs.of(self.units_of(text), |at, hash| {
                    entries.push(Gram { hash, text: number, at: at as u32 });
                });
            }
        }
        entries.sort_unstable();
        let bits = HashBits::of(entries.iter().map(|gram| gram.hash));
        Grams { runs, len, entries, bits }
    }

    fn units_of(&self, text: &Given) -> &[u64] {
        &self.units[text.start..][..text.len]
    }

    /// Runs as long as a passage, if a text is.
    fn passages(&self) -> Option<&Grams> {
        let run = self.wanted.passage.run();
        self.grams.iter().find(|grams| grams.len == run)
    }

    /// Whole texts that are shorter than a passage, from the longest to the shortest.
    fn wholes(&self) -> impl Iterator<Item = &Grams> {
        let run = self.wanted.passage.run();
        self.grams.iter().filter(move |grams| grams.len < run)
    }

    fn told(&self, kind: OverlapKind, common: Common) -> Overlap<'_> {
        let text = &self.texts[common.text as usize];
        let passage = self.wanted.passage.excerpt(&text.text, common.at..common.at + common.len);
        Overlap { kind, name: &text.name, measure: common.len as f64, passage }
    }
}

impl Common {
    /// Whether it is told and another is not: it is longer, or as long and of a text that was given earlier.
    fn is_before(self, other: Self) -> bool {
        self.len > other.len || self.len == other.len && self.text < other.text
    }
}

impl Grams {
    /// The run of units that is told of all that the given texts have too.
    fn longest(&self, units: &[u64], given: &GivenTexts) -> Option<Common> {
        let mut best: Option<Common> = None;
        self.runs.of(units, |from, hash| {
            if !self.bits.may_have(hash) {
                return;
            }
            let first = self.entries.partition_point(|gram| gram.hash < hash);
            for gram in self.entries[first..].iter().take_while(|gram| gram.hash == hash) {
                let text = given.units_of(&given.texts[gram.text as usize]);
                let at = gram.at as usize;
                // Part of a run that was looked at from its beginning.
                if from > 0 && at > 0 && units[from - 1] == text[at - 1] {
                    continue;
                }
                let pairs = units[from..].iter().zip(&text[at..]);
                let len = pairs.take_while(|(own, theirs)| own == theirs).count();
                let common = Common { len, text: gram.text, at };
                if len >= self.len && best.is_none_or(|best| common.is_before(best)) {
                    best = Some(common);
                }
            }
        });
        best
    }
}

impl NearTexts {
    fn of((threshold, shingle, plan): (f64, Shingle, BandPlan), texts: &[Given]) -> Self {
        let (mut shingler, mut hasher) = (Shingler::new(shingle), MinHasher::new(plan));
        let mut near = Self { threshold, shingle, plan, sets: Vec::new(), by_band: HashMap::new() };
        let (mut set, mut bands) = (Vec::new(), Vec::new());
        for (number, text) in (0_u32..).zip(texts) {
            shingler.shingles(&text.text, &mut set);
            bands.clear();
            if !set.is_empty() {
                hasher.bands(&set, 0, &mut bands);
            }
            for (place, band) in (0_u32..).zip(&bands) {
                near.by_band.entry((place, *band)).or_default().push(number);
            }
            near.sets.push(set.clone());
        }
        near
    }
}

impl<'a> OverlapFinder<'a> {
    /// What a text has in common with the given texts: by the first [`OverlapKind`] of which there is any, of these the
    /// longest or most similar one, of several the first given one.
    ///
    /// Of a text in several parts, with [`BETWEEN_PARTS`] between them, a passage may begin in one and end in another. Whole
    /// texts are looked for in each part by itself, and each part is compared with what it may be nearly the same as.
    pub fn find(&mut self, text: &str) -> Option<Overlap<'a>> {
        let folded = folded(text);
        self.units.clear();
        self.given.wanted.passage.units(&folded, &mut self.units);
        self.passage().or_else(|| self.whole(&folded)).or_else(|| self.near(&folded))
    }

    fn passage(&self) -> Option<Overlap<'a>> {
        let given = self.given;
        let common = given.passages()?.longest(&self.units, given)?;
        Some(given.told(OverlapKind::Passage, common))
    }

    fn whole(&mut self, folded: &str) -> Option<Overlap<'a>> {
        let given = self.given;
        let mut best: Option<Common> = None;
        for part in folded.split(BETWEEN_PARTS) {
            // The units of a text that is one part are at hand.
            if part.len() < folded.len() {
                self.units.clear();
                given.wanted.passage.units(part, &mut self.units);
            }
            // The first that is found is the longest.
            let common = given.wholes().find_map(|grams| grams.longest(&self.units, given));
            if let Some(common) = common
                && best.is_none_or(|best| common.is_before(best))
            {
                best = Some(common);
            }
        }
        best.map(|common| given.told(OverlapKind::Whole, common))
    }

    fn near(&mut self, folded: &str) -> Option<Overlap<'a>> {
        let given = self.given;
        let (near, (shingler, hasher)) = (given.near.as_ref()?, self.near.as_mut()?);
        let mut best: Option<(f64, u32)> = None;
        for part in folded.split(BETWEEN_PARTS) {
            shingler.shingles(part, &mut self.set);
            hasher.bands(&self.set, 0, &mut self.bands);
            let bands = (0_u32..).zip(&self.bands);
            let mut candidates: Vec<u32> = bands
                .filter_map(|(place, band)| near.by_band.get(&(place, *band)))
                .flatten()
                .copied()
                .collect();
            candidates.sort_unstable();
            candidates.dedup();
            for number in candidates {
                let similarity = jaccard_from(&self.set, &near.sets[number as usize], near.threshold);
                if let Some(similarity) = similarity
                    && best.is_none_or(|(most, first)| {
                        similarity.total_cmp(&most).then(first.cmp(&number)).is_gt()
                    })
                {
                    best = Some((similarity, number));
                }
            }
        }
        let (similarity, number) = best?;
        let found = &given.texts[number as usize];
        let passage = found.text.clone();
        Some(Overlap { kind: OverlapKind::Near, name: &found.name, measure: similarity, passage })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;

    const fn run(len: usize) -> NonZeroUsize {
        NonZeroUsize::new(len).unwrap()
    }

    fn wanted(passage: usize, shortest: usize) -> Wanted {
        let plan = BandPlan::for_recall(0.8, 0.999);
        Wanted {
            passage: Shingle::Words(run(passage)),
            shortest,
            near: Some((0.8, Shingle::Words(run(2)), plan)),
        }
    }

    fn given(wanted: Wanted, texts: &[&str]) -> GivenTexts {
        let named = (0..).zip(texts).map(|(number, text): (u32, _)| (number.to_string(), (*text).to_owned()));
        GivenTexts::new(wanted, named)
    }

    #[test]
    fn the_longest_passage_is_told_then_whole_texts_then_near_ones() {
        let given = given(
            wanted(5, 3),
            &[
                "One two three four five six seven eight",
                "zero one, TWO three four five six SEVEN eight nine",
                "Is it true?",
                "no no",
                "a b c d",
            ],
        );
        assert_eq!(given.texts.len(), 4, "one is too short");
        let mut finder = given.finder();
        let mut find = |text: &str| {
            finder.find(text).map(|found| (found.kind, found.name, found.measure, found.passage))
        };
        let told = |kind, name, measure, passage: &str| Some((kind, name, measure, passage.to_owned()));
        assert_eq!(
            find("He said: one. Two. Three; four, five six!"),
            told(OverlapKind::Passage, "0", 6.0, "one two three four five six")
        );
        assert_eq!(
            find("zero one two three four five six"),
            told(OverlapKind::Passage, "1", 7.0, "zero one, two three four five six")
        );
        assert_eq!(find("But is it TRUE, I ask"), told(OverlapKind::Whole, "2", 3.0, "is it true"));
        assert_eq!(find("is it true that a b c d"), told(OverlapKind::Whole, "4", 4.0, "a b c d"));
        assert_eq!(find("one two three four"), None);
        assert_eq!(find("no no"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn near_texts_without_a_passage_are_found() {
        let text: Vec<String> = (0..60).map(|number| format!("w{number}")).collect();
        let given = given(wanted(50, 10), &[&text.join(" ")]);
        let mut changed = text.clone();
        changed[30] = "x".to_owned();
        let changed = changed.join(" ");
        let found = given.finder().find(&changed).unwrap();
        assert_eq!(found.kind, OverlapKind::Near);
        assert!((found.measure - 57.0 / 61.0).abs() < 1e-12, "{}", found.measure);
        let without = Wanted { near: None, ..wanted(50, 10) };
        assert_eq!(
            GivenTexts::new(without, [("n".to_owned(), text.join(" "))]).finder().find(&changed),
            None
        );
    }

    #[test]
    fn parts_are_looked_at_one_by_one_but_for_passages() {
        let text: Vec<String> = (0..29).map(|number| format!("w{number}")).collect();
        let (first, second, all) = (text[..9].join(" "), text[9..20].join(" "), text.join(" "));
        let given = given(wanted(15, 3), &["Is it true?", "or a bit longer", all.as_str()]);
        let mut finder = given.finder();
        let mut find = |parts: &[&str]| {
            let found = finder.find(&parts.join("\u{1e}"));
            found.map(|found| (found.kind, found.name, found.measure))
        };
        let passage = Some((OverlapKind::Passage, "2", 20.0));
        assert_eq!(find(&[first.as_str(), second.as_str(), "Is it true?"]), passage);
        let whole = Some((OverlapKind::Whole, "1", 4.0));
        assert_eq!(find(&["it may be", "or is it true", "Or a bit longer."]), whole);
        assert_eq!(find(&["so is it", "true, I think"]), None);
        let changed = all.replace("w14", "x");
        let prompt = (0..100).map(|number| format!("p{number}")).collect::<Vec<_>>().join(" ");
        let near = Some((OverlapKind::Near, "2", 26.0 / 30.0));
        assert_eq!(find(&[prompt.as_str(), changed.as_str(), "Yes."]), near);
        let together = format!("{prompt} {changed}");
        assert_eq!(find(&[together.as_str()]), None);
        assert_eq!(find(&["", ""]), None);
    }

    #[test]
    fn names_that_are_mentioned_are_one_name() {
        let given = given(wanted(5, 3), &["Thank you, @Ada_L and u/some-one!", "ask @ann about it"]);
        let mut finder = given.finder();
        let mut find = |text: &str| finder.find(text).map(|found| (found.measure, found.passage));
        let all = Some((6.0, "thank you, @name and u/name".to_owned()));
        assert_eq!(find("thank you @user_1a2b3c4d and u/user_5e6f7a8b"), all);
        assert_eq!(find("so thank you, @bob and /u/Carl"), all);
        assert_eq!(find("Ask @user_00000000 about it."), Some((4.0, "ask @name about it".to_owned())));
        assert_eq!(find("ask Ann about it"), None);
    }

    #[test]
    fn characters_are_for_languages_without_spaces() {
        let wanted = Wanted { passage: Shingle::Characters(run(6)), shortest: 4, near: None };
        let given = given(wanted, &["今日はとても良い天気ですね", "散歩に行く"]);
        let found = given.finder().find("彼は「とても良い天気です」と言った").unwrap();
        assert_eq!((found.name, found.measure, found.passage.as_str()), ("0", 9.0, "とても良い天気です"));
        assert_eq!(given.finder().find("明日散歩に行くよ").unwrap().kind, OverlapKind::Whole);
    }

    proptest! {
        #[test]
        fn the_longest_common_run_is_that_of_all_pairs_of_places(
            texts in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..14), 0..5),
            text in proptest::collection::vec(0_u8..3, 0..30),
            passage in 1_usize..7,
            shortest in 1_usize..7,
        ) {
            let spell = |words: &[u8]| words.iter().map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ");
            let spelt: Vec<String> = texts.iter().map(|words| spell(words)).collect();
            let spelt: Vec<&str> = spelt.iter().map(String::as_str).collect();
            let given = given(Wanted { near: None, ..wanted(passage, shortest) }, &spelt);
            let longest = |given: &[u8]| {
                let places = (0..given.len()).flat_map(|at| (0..text.len()).map(move |from| (at, from)));
                let run = |(at, from): (usize, usize)| {
                    given[at..].iter().zip(&text[from..]).take_while(|(a, b)| a == b).count()
                };
                places.map(run).max().unwrap_or(0)
            };
            let looked_for = texts.iter().enumerate().filter(|(_, words)| words.len() >= shortest);
            let common: Vec<(usize, usize, usize)> =
                looked_for.map(|(number, words)| (longest(words), words.len(), number)).collect();
            let passages = common.iter().filter(|(run, _, _)| *run >= passage);
            let wholes = common.iter().filter(|(run, len, _)| run == len && *len < passage);
            let first_longest = |all: Vec<&(usize, usize, usize)>| {
                all.into_iter().max_by(|a, b| a.0.cmp(&b.0).then(b.2.cmp(&a.2))).map(|found| (found.0, found.2))
            };
            let truth = first_longest(passages.collect()).or_else(|| first_longest(wholes.collect()));
            let found = given.finder().find(&spell(&text)).map(|found| {
                (found.measure as usize, found.name.parse::<usize>().unwrap())
            });
            prop_assert_eq!(found, truth);
        }
    }
}
