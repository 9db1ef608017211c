//! Of alike texts the first stays.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::num::NonZeroU64;
use std::ops::Range;

use super::prefix::{Postings, Rarity, Spread, grow, jaccard_from, parities, prefix_len};
use super::{from_bytes, to_bytes};
use crate::KernelError;
use crate::mix::mix;

/// What tells a text from others: texts of one digest count as the same, and have one set of shingles.
pub type Digest = [u8; 16];

/// Texts of which each is held against those that stay of the ones before it.
///
/// In order of precedence, a text leaves if one that stays agrees with it in a band and has at least the threshold's
/// Jaccard similarity with it; else it stays. So nothing leaves for the sake of a text that leaves itself, alike texts
/// do not form chains, and texts that are added later in precedence change nothing for those before.
///
/// The texts to compare with are found by prefix filtering (Xiao et al., "Efficient similarity joins for near-duplicate
/// detection", 2011): of two alike sets of sizes `m` and `n`, the rarest few shingles have one in common, since the sets
/// share at least `t / (1 + t) * (m + n)`. Rarity is only an order in which to look: the answer does not depend on it.
///
/// Forms filled in by programs have most shingles and many bands in common and yet are not alike. Where fillings are rare,
/// their shingles are, and pairs of such forms are not looked at. Where they come from small vocabularies, even the rarest
/// shingles of a form are those of many, and every pair that has one in common is looked at: by 64 bits of each set, which
/// pass over those that differ in more bits than alike sets have shingles of their own. That is a comparison of two numbers
/// that lie in a row, but one for each pair; and for sets of more than a hundred shingles or so (at a threshold of 0.8) so
/// few bits tell nothing, and the bands are compared, and the sets of those that share one.
///
/// All texts are held at once: precedence, digest, 4 bytes for each band and shingle, and about 90 more for each text. While
/// repeats are looked for, lists of rare shingles come to it, which [`Texts::size`] does not count: for each rare shingle of
/// a text that stays, if several texts have it, 16 bytes and about 20 for its list, or 12 if the list is long. Texts that
/// share no band with any other need not be added.
///
/// Of texts that are compared within scopes only, shingles are to be those of [`in_scope`]: else texts of all scopes are
/// looked at together.
///
/// Texts may be given that stay whatever the others are, such as those of an earlier run. They come first in precedence,
/// and are not held against each other.
#[derive(Debug, Default)]
pub struct Texts {
    all: Vec<Text>,
    numbers: Vec<u32>,
    precedences: Vec<u8>,
    by_digest: HashMap<Digest, u32, BuildHasherDefault<Spread>>,
}

#[derive(Debug, Clone, Copy)]
struct Text {
    digest: Digest,
    /// Where its precedence stands.
    precedence: usize,
    precedence_len: u32,
    author: Option<NonZeroU64>,
    /// Where its bands stand, and its shingles behind them.
    numbers: usize,
    bands: u32,
    shingles: u32,
    /// Whether it stays whatever the others are.
    is_given: bool,
}

/// A text that leaves, and the one that stays for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat<'a> {
    /// The text that leaves.
    pub digest: Digest,
    /// Precedence of the text that stays: the most similar one; of several, the first.
    pub survivor: &'a [u8],
    /// Their Jaccard similarity, at least the threshold and at most 1.
    pub similarity: f64,
    /// Texts of that one's author that leave for it.
    pub own_repeats: u32,
}

impl Texts {
    /// Adds a text: its place in the order (bytes are compared), its digest, a number that stands for its author, none for
    /// nobody, its bands, and its shingles, which are ascending and distinct. Of texts with one digest the first by
    /// precedence is there, in the room of the one before it.
    pub fn add(
        &mut self,
        precedence: &[u8],
        digest: Digest,
        author: Option<NonZeroU64>,
        bands: impl ExactSizeIterator<Item = u32>,
        shingles: impl ExactSizeIterator<Item = u32>,
    ) {
        self.add_text(false, precedence, digest, author, bands, shingles);
    }

    /// Adds a text that stays whatever the others are. Its precedence lies before that of every text that is not given.
    pub fn add_given(
        &mut self,
        precedence: &[u8],
        digest: Digest,
        bands: impl ExactSizeIterator<Item = u32>,
        shingles: impl ExactSizeIterator<Item = u32>,
    ) {
        self.add_text(true, precedence, digest, None, bands, shingles);
    }

    fn add_text(
        &mut self,
        is_given: bool,
        precedence: &[u8],
        digest: Digest,
        author: Option<NonZeroU64>,
        bands: impl ExactSizeIterator<Item = u32>,
        shingles: impl ExactSizeIterator<Item = u32>,
    ) {
        let known = self.by_digest.get(&digest).map(|index| *index as usize);
        let old = known.map(|index| self.all[index]);
        if old.is_some_and(|old| self.precedence(&old) <= precedence) {
            return;
        }
        let over = old.map(|old| old.precedence..old.precedence + old.precedence_len as usize);
        let at = put(&mut self.precedences, over, precedence.len(), precedence.iter().copied());
        let (band_count, shingle_count) = (bands.len(), shingles.len());
        let over = old.map(|old| old.numbers..old.numbers + (old.bands + old.shingles) as usize);
        let numbers = put(&mut self.numbers, over, band_count + shingle_count, bands.chain(shingles));
        let text = Text {
            digest,
            precedence: at,
            precedence_len: precedence.len() as u32,
            author,
            numbers,
            bands: band_count as u32,
            shingles: shingle_count as u32,
            is_given,
        };
        if let Some(index) = known {
            self.all[index] = text;
        } else {
            self.by_digest.insert(digest, self.all.len() as u32);
            grow(&mut self.all, 1);
            self.all.push(text);
        }
    }

    /// All texts as bytes, for [`Texts::merge_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            Vec::with_capacity(self.numbers.len() * 4 + self.precedences.len() + self.all.len() * 37);
        for text in &self.all {
            bytes.push(u8::from(text.is_given));
            for len in [text.precedence_len, text.bands, text.shingles] {
                bytes.extend(len.to_le_bytes());
            }
            bytes.extend_from_slice(self.precedence(text));
            bytes.extend_from_slice(&text.digest);
            bytes.extend(text.author.map_or(0, NonZeroU64::get).to_le_bytes());
            bytes.extend(to_bytes(self.bands(text)));
            bytes.extend(to_bytes(self.shingles(text)));
        }
        bytes
    }

    /// Adds the texts of another.
    ///
    /// # Errors
    /// The bytes are not what [`Texts::to_bytes`] gave.
    pub fn merge_bytes(&mut self, mut bytes: &[u8]) -> Result<(), KernelError> {
        fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], KernelError> {
            let (taken, rest) = bytes.split_at_checked(len).ok_or_else(|| {
                KernelError::Argument("texts to compare end in the middle of one".to_owned())
            })?;
            *bytes = rest;
            Ok(taken)
        }
        while !bytes.is_empty() {
            let is_given = take(&mut bytes, 1)? != [0];
            let mut lens = from_bytes(take(&mut bytes, 12)?).map(|len| len as usize);
            let mut len = || lens.next().unwrap_or_default();
            let (precedence, bands, shingles) = (len(), len(), len());
            let precedence = take(&mut bytes, precedence)?;
            let mut digest = Digest::default();
            digest.copy_from_slice(take(&mut bytes, size_of::<Digest>())?);
            let mut author = [0; 8];
            author.copy_from_slice(take(&mut bytes, size_of::<u64>())?);
            let author = NonZeroU64::new(u64::from_le_bytes(author));
            let bands = from_bytes(take(&mut bytes, bands * 4)?);
            let shingles = from_bytes(take(&mut bytes, shingles * 4)?);
            self.add_text(is_given, precedence, digest, author, bands, shingles);
        }
        Ok(())
    }

    /// Bytes that the texts take, and those that [`Texts::repeats`] takes for each of them.
    pub fn size(&self) -> usize {
        self.all.capacity() * size_of::<Text>()
            + self.all.len() * WORKING
            + self.numbers.capacity() * 4
            + self.precedences.capacity()
            + self.by_digest.capacity() * (size_of::<(Digest, u32)>() + 1)
    }

    /// The texts that leave, in order of precedence. `threshold` lies above 0 and is at most 1.
    pub fn repeats(&self, threshold: f64) -> Vec<Repeat<'_>> {
        let threshold = threshold.clamp(0.01, 1.0);
        let mut order: Vec<u32> = (0..self.all.len() as u32).collect();
        order.sort_unstable_by_key(|index| self.precedence(&self.all[*index as usize]));
        let rarity = Rarity::of(self.all.iter().map(|text| self.shingles(text)));
        let mut postings = Postings::of(self.all.iter().map(|text| parities(self.shingles(text))).collect());
        // For which text a survivor was looked at last.
        let mut looked_at = vec![u32::MAX; self.all.len()];
        let mut leaving: Vec<(u32, u32, f64)> = Vec::new();
        let mut own_repeats = vec![0_u32; self.all.len()];
        let mut prefix = Vec::new();
        for &index in &order {
            let text = &self.all[index as usize];
            let set = self.shingles(text);
            rarity.prefix(set, prefix_len(set.len(), threshold), &mut prefix);
            let mut best: Option<(u32, f64)> = None;
            let compared = if text.is_given { &[] } else { prefix.as_slice() };
            for (position, shingle) in compared {
                postings.candidates(*shingle, *position, index, set.len(), threshold, |survivor| {
                    if std::mem::replace(&mut looked_at[survivor as usize], index) == index {
                        return;
                    }
                    let other = &self.all[survivor as usize];
                    if !share_a_band(self.bands(text), self.bands(other)) {
                        return;
                    }
                    let Some(similarity) = jaccard_from(set, self.shingles(other), threshold) else { return };
                    let is_better = best.is_none_or(|(known, best)| {
                        let earlier = || self.precedence(other) < self.precedence(&self.all[known as usize]);
                        match similarity.total_cmp(&best) {
                            Ordering::Less => false,
                            Ordering::Equal => earlier(),
                            Ordering::Greater => true,
                        }
                    });
                    if is_better {
                        best = Some((survivor, similarity));
                    }
                });
            }
            if let Some((survivor, similarity)) = best {
                let is_own = text.author.is_some() && text.author == self.all[survivor as usize].author;
                own_repeats[survivor as usize] += u32::from(is_own);
                leaving.push((index, survivor, similarity));
            } else {
                for (position, shingle) in &prefix {
                    postings.add(*shingle, index, *position, set.len());
                }
            }
        }
        let repeat = |(index, survivor, similarity): (u32, u32, f64)| Repeat {
            digest: self.all[index as usize].digest,
            survivor: self.precedence(&self.all[survivor as usize]),
            similarity,
            own_repeats: own_repeats[survivor as usize],
        };
        leaving.into_iter().map(repeat).collect()
    }

    fn precedence(&self, text: &Text) -> &[u8] {
        &self.precedences[text.precedence..][..text.precedence_len as usize]
    }

    fn bands(&self, text: &Text) -> &[u32] {
        &self.numbers[text.numbers..][..text.bands as usize]
    }

    fn shingles(&self, text: &Text) -> &[u32] {
        &self.numbers[text.numbers + text.bands as usize..][..text.shingles as usize]
    }
}

/// Bytes that each text takes while repeats are looked for: its place in the order, for which text it was looked at last, how
/// many repeats it has, and 64 bits of its set.
const WORKING: usize = 3 * size_of::<u32>() + size_of::<u64>();

/// The shingles of a set by which it has as much in common as before with sets of one scope, and nothing but by chance with
/// those of another; ascending again. `scope` is a hash.
///
/// A text of which many people have a copy has the same shingles for all of them. If each person's texts are compared by
/// themselves, that would make every pair of them a candidate, though no two share a band.
pub fn in_scope(set: &mut [u32], scope: u64) {
    let scope = (mix(scope) >> 32) as u32;
    for shingle in &mut *set {
        *shingle ^= scope;
    }
    set.sort_unstable();
}

/// Writes items over as many that are no longer needed, or else behind all others, and tells where the first stands.
fn put<T>(all: &mut Vec<T>, over: Option<Range<usize>>, len: usize, items: impl Iterator<Item = T>) -> usize {
    if let Some(over) = over.filter(|over| over.len() == len) {
        let at = over.start;
        for (place, item) in all[over].iter_mut().zip(items) {
            *place = item;
        }
        return at;
    }
    let at = all.len();
    grow(all, len);
    all.extend(items);
    at
}

fn share_a_band(a: &[u32], b: &[u32]) -> bool {
    a.iter().zip(b).any(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    struct Case {
        precedence: u8,
        digest: u8,
        /// 0 for nobody.
        author: u8,
        bands: Vec<u32>,
        set: BTreeSet<u32>,
    }

    /// Those of a precedence below `given` are given.
    fn texts(cases: &[Case], given: u8) -> Texts {
        let mut texts = Texts::default();
        for case in cases {
            let set: Vec<u32> = case.set.iter().copied().collect();
            let author = NonZeroU64::new(u64::from(case.author));
            let bands = case.bands.iter().copied();
            let (precedence, digest) = ([case.precedence], [case.digest; 16]);
            if case.precedence < given {
                texts.add_given(&precedence, digest, bands, set.into_iter());
            } else {
                texts.add(&precedence, digest, author, bands, set.into_iter());
            }
        }
        texts
    }

    /// The texts that leave, as [`truth`] has them.
    fn found(texts: &Texts, threshold: f64) -> Vec<(u8, u8, f64, u32)> {
        let repeats = texts.repeats(threshold);
        repeats.iter().map(|r| (r.digest[0], r.survivor[0], r.similarity, r.own_repeats)).collect()
    }

    /// The definition, word by word.
    fn truth(cases: &[Case], given: u8, threshold: f64) -> Vec<(u8, u8, f64, u32)> {
        let mut first: BTreeMap<u8, &Case> = BTreeMap::new();
        for case in cases {
            let known = first.entry(case.digest).or_insert(case);
            if case.precedence < known.precedence {
                *known = case;
            }
        }
        let mut order: Vec<&Case> = first.into_values().collect();
        order.sort_by_key(|case| case.precedence);
        let (mut staying, mut leaving): (Vec<&Case>, Vec<(&Case, &Case, f64)>) = (Vec::new(), Vec::new());
        for case in order {
            let alike =
                staying.iter().filter(|other| case.bands.iter().zip(&other.bands).any(|(a, b)| a == b));
            let alike = alike.map(|other| {
                let common = case.set.intersection(&other.set).count() as f64;
                (common / case.set.union(&other.set).count() as f64, other)
            });
            let best = alike
                .filter(|(j, _)| *j >= threshold)
                .max_by(|(a, x), (b, y)| a.total_cmp(b).then(y.precedence.cmp(&x.precedence)));
            match best.filter(|_| case.precedence >= given) {
                Some((similarity, other)) => leaving.push((case, other, similarity)),
                None => staying.push(case),
            }
        }
        let own = |of: &Case| {
            let own = leaving.iter().filter(|(case, other, _)| {
                other.precedence == of.precedence
                    && case.author == other.author
                    && case.author != 0
                    && of.precedence >= given
            });
            own.count() as u32
        };
        leaving.iter().map(|(case, other, j)| (case.digest, other.precedence, *j, own(other))).collect()
    }

    /// Sets around a few centres, so that many are alike; few bands, so that some alike ones share none.
    fn cases() -> impl Strategy<Value = Vec<Case>> {
        let set = (0_u32..3, 0_u32..14, proptest::collection::btree_set(0_u32..60, 0..5)).prop_map(
            |(centre, cut, noise)| {
                let centre = centre * 7;
                let mut set: BTreeSet<u32> = (centre..centre + 8 + cut).collect();
                set.extend(noise);
                set
            },
        );
        let text = (0_u8..50, proptest::collection::vec(0_u32..3, 2), set);
        proptest::collection::vec(text, 0..70).prop_map(|texts| {
            let case = |(index, (digest, bands, set)): (usize, (u8, Vec<u32>, BTreeSet<u32>))| Case {
                precedence: index as u8 * 3 % 211,
                digest,
                author: digest % 4,
                bands,
                set,
            };
            texts.into_iter().enumerate().map(case).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn texts_leave_as_the_definition_says(
            cases in cases(), threshold in 0.3_f64..1.0, cut in 0_usize..70, given in 0_u8..120,
        ) {
            let given = given.saturating_sub(60);
            let threshold = (threshold * 20.0).round() / 20.0;
            let (one, other) = cases.split_at(cut.min(cases.len()));
            let mut all = texts(other, given);
            all.merge_bytes(&texts(one, given).to_bytes()).unwrap();
            prop_assert_eq!(found(&all, threshold), truth(&cases, given, threshold));
        }

        #[test]
        fn sets_of_one_scope_have_as_much_in_common_as_before(
            a in proptest::collection::btree_set(0_u32..100, 0..40),
            b in proptest::collection::btree_set(0_u32..100, 0..40),
            scope in any::<u64>(),
        ) {
            let scoped = |set: &BTreeSet<u32>| -> Vec<u32> {
                let mut set: Vec<u32> = set.iter().copied().collect();
                in_scope(&mut set, scope);
                set
            };
            let (x, y) = (scoped(&a), scoped(&b));
            prop_assert!(x.is_sorted_by(|one, next| one < next));
            let common = x.iter().filter(|shingle| y.binary_search(shingle).is_ok()).count();
            prop_assert_eq!((x.len(), common), (a.len(), a.intersection(&b).count()));
        }

        #[test]
        fn later_texts_change_nothing(cases in cases(), cut in 0_usize..70) {
            let mut cases = cases;
            cases.sort_by_key(|case| case.precedence);
            let before = texts(&cases[..cut.min(cases.len())], 0);
            let digests: BTreeSet<Digest> = before.all.iter().map(|text| text.digest).collect();
            let all = texts(&cases, 0);
            let of = |texts: &Texts| -> Vec<_> {
                let repeats = texts.repeats(0.6);
                let known = repeats.iter().filter(|repeat| digests.contains(&repeat.digest));
                known.map(|r| (r.digest, r.survivor.to_vec(), r.similarity)).collect()
            };
            prop_assert_eq!(of(&before), of(&all));
        }

        #[test]
        fn texts_in_two_steps_leave_as_all_at_once(cases in cases(), cut in 0_usize..70) {
            let mut cases = cases;
            cases.sort_by_key(|case| case.precedence);
            // Texts of one digest have one set.
            let mut seen = BTreeSet::new();
            cases.retain(|case| seen.insert(case.digest));
            let (first, later) = cases.split_at(cut.min(cases.len()));
            let leave = |texts: &Texts| -> BTreeSet<Digest> { texts.repeats(0.6).iter().map(|r| r.digest).collect() };
            let left = leave(&texts(first, 0));
            let staying: Vec<Case> = first.iter().filter(|case| !left.contains(&[case.digest; 16])).cloned().collect();
            let mut second = texts(later, 0);
            second.merge_bytes(&texts(&staying, u8::MAX).to_bytes()).unwrap();
            let in_steps: BTreeSet<Digest> = left.union(&leave(&second)).copied().collect();
            prop_assert_eq!(in_steps, leave(&texts(&cases, 0)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn texts_with_long_lists_leave_as_the_definition_says(
            fillings in proptest::collection::vec(any::<u8>(), 200), threshold in 16_u32..=20,
        ) {
            // Eight slots of two values: half of all texts have each of the rarest shingles.
            let case = |(index, filling): (usize, u8)| {
                let slots = (0..8_u32).map(|slot| 100 + 2 * slot + u32::from(filling >> slot & 1));
                Case {
                    precedence: index as u8,
                    digest: index as u8,
                    author: filling % 4,
                    bands: vec![0],
                    set: (0..24).chain(slots).collect(),
                }
            };
            let cases: Vec<Case> = fillings.into_iter().enumerate().map(case).collect();
            let threshold = f64::from(threshold) / 20.0;
            prop_assert_eq!(found(&texts(&cases, 0), threshold), truth(&cases, 0, threshold));
        }
    }

    #[test]
    fn copies_that_come_newest_first_take_the_room_of_one() {
        let add = |texts: &mut Texts, precedence: u32| {
            let author = NonZeroU64::new(u64::from(precedence));
            let (bands, set) = ([1, 2].into_iter(), [3, 4, 5].into_iter());
            texts.add(&precedence.to_be_bytes(), [7; 16], author, bands, set);
        };
        let (mut one, mut many) = (Texts::default(), Texts::default());
        add(&mut one, 1);
        for precedence in (1..=10_000).rev() {
            add(&mut many, precedence);
        }
        assert_eq!(many.size(), one.size());
        assert_eq!(many.to_bytes(), one.to_bytes());
    }

    #[test]
    fn scopes_do_not_pay_for_each_other() {
        // Of each of many people the same text, and once more with one word more.
        let mut texts = Texts::default();
        for person in 0..20_000_u32 {
            for more in 0..2 {
                let mut set: Vec<u32> = (0..36 + more).map(|place| place * 100_000_003).collect();
                in_scope(&mut set, u64::from(person) + 1);
                let precedence = (2 * person + more).to_be_bytes();
                let mut digest = Digest::default();
                digest[..4].copy_from_slice(&precedence);
                texts.add(&precedence, digest, None, [person].into_iter(), set.into_iter());
            }
        }
        let repeats = texts.repeats(0.8);
        assert_eq!(repeats.len(), 20_000);
        for repeat in repeats {
            assert_eq!(repeat.survivor[..3], repeat.digest[..3]);
            assert_eq!(repeat.survivor[3] + 1, repeat.digest[3]);
        }
    }

    #[test]
    fn a_form_with_many_fillings_stays_cheap() {
        // 26 shingles of the form and 8 of the filling: pairs have a similarity of 0.62, and all share a band.
        let mut texts = Texts::default();
        let form: Vec<u32> = (0..26).map(|i| i * 100_000_003).collect();
        for index in 0..30_000_u32 {
            let mut set = form.clone();
            set.extend((0..8).map(|i| 1_000_000_007_u32.wrapping_mul(index * 8 + i + 100)));
            set.sort_unstable();
            let mut digest = Digest::default();
            digest[..4].copy_from_slice(&index.to_be_bytes());
            texts.add(&index.to_be_bytes(), digest, None, [1].into_iter(), set.into_iter());
        }
        assert_eq!(texts.repeats(0.8), []);
    }

    #[test]
    fn broken_bytes_are_told() {
        let bytes = texts(
            &[Case { precedence: 1, digest: 2, author: 1, bands: vec![3], set: BTreeSet::from([4, 5]) }],
            0,
        )
        .to_bytes();
        assert!(Texts::default().merge_bytes(&bytes).is_ok());
        for len in 1..bytes.len() {
            assert!(Texts::default().merge_bytes(&bytes[..len]).is_err(), "{len}");
        }
    }
}
