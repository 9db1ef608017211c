//! Of alike texts the first stays.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;

use super::{from_bytes, to_bytes};
use crate::KernelError;

/// What tells a text from others: texts of one digest count as the same.
pub type Digest = [u8; 16];

/// Texts of which each is held against those that stay of the ones before it.
///
/// In order of precedence, a text leaves if one that stays agrees with it in a band and has at least the threshold's
/// Jaccard similarity with it; else it stays. So nothing leaves for the sake of a text that leaves itself, alike texts
/// do not form chains, and texts that are added later in precedence change nothing for those before.
///
/// The texts to compare with are found by prefix filtering (Xiao et al., "Efficient similarity joins for near-duplicate
/// detection", 2011): of two alike sets of sizes `m` and `n`, the rarest few shingles have one in common, since the sets
/// share at least `t / (1 + t) * (m + n)`. Rarity is only an order in which to look: the answer does not depend on it. It
/// is this that keeps forms filled in by programs cheap, which have most shingles and many bands in common and yet are
/// not alike.
///
/// All texts are held at once: precedence, digest, 4 bytes for each band and shingle, about 60 more for each text, and 16
/// for each rare shingle that several texts have. Those that share no band with any other need not be added.
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
    /// precedence is there.
    pub fn add(
        &mut self,
        precedence: &[u8],
        digest: Digest,
        author: Option<NonZeroU64>,
        bands: impl ExactSizeIterator<Item = u32>,
        shingles: impl ExactSizeIterator<Item = u32>,
    ) {
        let known = self.by_digest.get(&digest).map(|index| *index as usize);
        if known.is_some_and(|index| self.precedence(&self.all[index]) <= precedence) {
            return;
        }
        let (at, numbers) = (self.precedences.len(), self.numbers.len());
        grow(&mut self.precedences, precedence.len());
        self.precedences.extend_from_slice(precedence);
        grow(&mut self.numbers, bands.len() + shingles.len());
        self.numbers.extend(bands);
        let bands = self.numbers.len() - numbers;
        self.numbers.extend(shingles);
        let text = Text {
            digest,
            precedence: at,
            precedence_len: precedence.len() as u32,
            author,
            numbers,
            bands: bands as u32,
            shingles: (self.numbers.len() - numbers - bands) as u32,
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
            Vec::with_capacity(self.numbers.len() * 4 + self.precedences.len() + self.all.len() * 36);
        for text in &self.all {
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
            self.add(precedence, digest, author, bands, shingles);
        }
        Ok(())
    }

    /// Bytes that the texts take.
    pub fn size(&self) -> usize {
        self.all.capacity() * size_of::<Text>()
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
        let mut postings = Postings::default();
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
            for (position, shingle) in &prefix {
                postings.candidates(*shingle, *position, set.len(), threshold, |survivor| {
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

/// The Jaccard similarity of two ascending sets if it is at least `threshold`.
pub fn jaccard_from(a: &[u32], b: &[u32], threshold: f64) -> Option<f64> {
    let needed = needed_overlap(a.len(), b.len(), threshold);
    let (mut in_a, mut in_b, mut common) = (0, 0, 0);
    while in_a < a.len() && in_b < b.len() {
        if common + (a.len() - in_a).min(b.len() - in_b) < needed {
            return None;
        }
        let order = a[in_a].cmp(&b[in_b]);
        common += usize::from(order.is_eq());
        in_a += usize::from(order.is_le());
        in_b += usize::from(order.is_ge());
    }
    let union = a.len() + b.len() - common;
    let similarity = if union == 0 { 0.0 } else { common as f64 / union as f64 };
    (similarity >= threshold).then_some(similarity)
}

/// Shingles that two sets of a similarity have in common at least: `t / (1 + t) * (m + n)`, rounded up, and down a
/// little before, so that rounding errors do not ask for one too many.
fn needed_overlap(m: usize, n: usize, threshold: f64) -> usize {
    (threshold / (1.0 + threshold) * (m + n) as f64 - 1e-6).ceil() as usize
}

/// Of how many of its rarest shingles a set of `len` has one in common with every set that is alike.
fn prefix_len(len: usize, threshold: f64) -> usize {
    let needed = (threshold * len as f64 - 1e-6).ceil() as usize;
    (len + 1).saturating_sub(needed.max(1)).min(len)
}

fn share_a_band(a: &[u32], b: &[u32]) -> bool {
    a.iter().zip(b).any(|(a, b)| a == b)
}

/// In how many sets each shingle is, or a few more: shingles are counted together by their last bits.
struct Rarity {
    counts: Vec<u32>,
}

impl Rarity {
    fn of<'a>(sets: impl Iterator<Item = &'a [u32]> + Clone) -> Self {
        let shingles: usize = sets.clone().map(<[u32]>::len).sum();
        let mut counts = vec![0_u32; shingles.next_power_of_two().clamp(1 << 10, 1 << 22)];
        let mask = counts.len() - 1;
        for set in sets {
            for shingle in set {
                let count = &mut counts[*shingle as usize & mask];
                *count = count.saturating_add(1);
            }
        }
        Self { counts }
    }

    /// The `len` rarest shingles of a set with their places in order of rarity, without those that no other set has.
    fn prefix(&self, set: &[u32], len: usize, prefix: &mut Vec<(u32, u32)>) {
        let mask = self.counts.len() - 1;
        prefix.clear();
        prefix.extend(set.iter().map(|shingle| (self.counts[*shingle as usize & mask], *shingle)));
        if len < prefix.len() {
            prefix.select_nth_unstable(len);
            prefix.truncate(len);
        }
        prefix.sort_unstable();
        let mut position = 0;
        prefix.retain_mut(|(count, _)| {
            let is_shared = *count > 1;
            *count = position;
            position += 1;
            is_shared
        });
    }
}

/// Which survivors have a shingle among their rarest, by shingle.
#[derive(Default)]
struct Postings {
    lists: HashMap<u32, List, BuildHasherDefault<Spread>>,
    /// The entries of all short lists.
    entries: Vec<Posting>,
    /// Long lists, by size of the set and place of the shingle, so that those that cannot be alike are passed over together.
    long: Vec<BTreeMap<(u32, u32), Vec<u32>>>,
}

/// The survivors that have one shingle among their rarest.
#[derive(Clone, Copy)]
struct List {
    /// How many, as long as there are few.
    len: u32,
    /// The last entry; of a list that is [`MANY`] long, its place among the long ones.
    at: u32,
}

/// A survivor in a short list.
#[derive(Clone, Copy)]
struct Posting {
    survivor: u32,
    /// Place of the shingle in order of rarity.
    position: u32,
    /// Size of the set.
    len: u32,
    /// The entry before.
    before: u32,
}

/// From how many survivors on a list is a long one.
const MANY: u32 = 32;

impl Postings {
    fn add(&mut self, shingle: u32, survivor: u32, position: u32, len: usize) {
        let len = len as u32;
        let list = self.lists.entry(shingle).or_insert(List { len: 0, at: u32::MAX });
        if list.len == MANY {
            self.long[list.at as usize].entry((len, position)).or_default().push(survivor);
            return;
        }
        grow(&mut self.entries, 1);
        self.entries.push(Posting { survivor, position, len, before: list.at });
        *list = List { len: list.len + 1, at: self.entries.len() as u32 - 1 };
        if list.len == MANY {
            let mut long: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
            for posting in short(&self.entries, *list) {
                long.entry((posting.len, posting.position)).or_default().push(posting.survivor);
            }
            list.at = self.long.len() as u32;
            self.long.push(long);
        }
    }

    /// Calls `each` for the survivors that may be alike a set of `len` shingles, `shingle` at `position` among them.
    fn candidates(&self, shingle: u32, position: u32, len: usize, threshold: f64, mut each: impl FnMut(u32)) {
        // If this is the first common shingle in order of rarity, no more can be common than comes after it.
        let may_be_alike = |other_position: u32, other_len: u32| {
            let rest = (len - position as usize).min((other_len - other_position) as usize);
            rest >= needed_overlap(len, other_len as usize, threshold)
        };
        let Some(list) = self.lists.get(&shingle) else { return };
        if list.len < MANY {
            for posting in short(&self.entries, *list) {
                if may_be_alike(posting.position, posting.len) {
                    each(posting.survivor);
                }
            }
            return;
        }
        let shortest = (threshold * len as f64 - 1e-6).ceil() as u32;
        let longest = (len as f64 / threshold + 1e-6).floor() as u32;
        let long = &self.long[list.at as usize];
        for (&(other_len, other_position), survivors) in long.range((shortest, 0)..=(longest, u32::MAX)) {
            if may_be_alike(other_position, other_len) {
                survivors.iter().copied().for_each(&mut each);
            }
        }
    }
}

/// The entries of a short list, the last one first.
fn short(entries: &[Posting], list: List) -> impl Iterator<Item = &Posting> {
    std::iter::successors(entries.get(list.at as usize), |posting| entries.get(posting.before as usize))
}

/// Makes room for `more`, a quarter of what is there at a time: doubling would leave half of it unused.
fn grow<T>(numbers: &mut Vec<T>, more: usize) {
    if numbers.capacity() - numbers.len() < more {
        numbers.reserve_exact(more.max(numbers.len() / 4).max(1024));
    }
}

/// Hashes what is a hash already.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut number = [0; 8];
            number[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(number));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    fn texts(cases: &[Case]) -> Texts {
        let mut texts = Texts::default();
        for case in cases {
            let set: Vec<u32> = case.set.iter().copied().collect();
            let author = NonZeroU64::new(u64::from(case.author));
            let bands = case.bands.iter().copied();
            texts.add(&[case.precedence], [case.digest; 16], author, bands, set.into_iter());
        }
        texts
    }

    /// The definition, word by word.
    fn truth(cases: &[Case], threshold: f64) -> Vec<(u8, u8, f64, u32)> {
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
            match best {
                Some((similarity, other)) => leaving.push((case, other, similarity)),
                None => staying.push(case),
            }
        }
        let own = |of: &Case| {
            let own = leaving.iter().filter(|(case, other, _)| {
                other.precedence == of.precedence && case.author == other.author && case.author != 0
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
        fn texts_leave_as_the_definition_says(cases in cases(), threshold in 0.3_f64..1.0, cut in 0_usize..70) {
            let threshold = (threshold * 20.0).round() / 20.0;
            let (one, other) = cases.split_at(cut.min(cases.len()));
            let mut all = texts(other);
            all.merge_bytes(&texts(one).to_bytes()).unwrap();
            let found: Vec<_> =
                all.repeats(threshold).iter().map(|r| (r.digest[0], r.survivor[0], r.similarity, r.own_repeats)).collect();
            prop_assert_eq!(found, truth(&cases, threshold));
        }

        #[test]
        fn later_texts_change_nothing(cases in cases(), cut in 0_usize..70) {
            let mut cases = cases;
            cases.sort_by_key(|case| case.precedence);
            let before = texts(&cases[..cut.min(cases.len())]);
            let digests: BTreeSet<Digest> = before.all.iter().map(|text| text.digest).collect();
            let all = texts(&cases);
            let of = |texts: &Texts| -> Vec<_> {
                let repeats = texts.repeats(0.6);
                let known = repeats.iter().filter(|repeat| digests.contains(&repeat.digest));
                known.map(|r| (r.digest, r.survivor.to_vec(), r.similarity)).collect()
            };
            prop_assert_eq!(of(&before), of(&all));
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
        let bytes = texts(&[Case {
            precedence: 1,
            digest: 2,
            author: 1,
            bands: vec![3],
            set: BTreeSet::from([4, 5]),
        }])
        .to_bytes();
        assert!(Texts::default().merge_bytes(&bytes).is_ok());
        for len in 1..bytes.len() {
            assert!(Texts::default().merge_bytes(&bytes[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn similarities_at_the_threshold_count() {
        let a: Vec<u32> = (0..9).collect();
        assert_eq!(jaccard_from(&a, &a[..8], 8.0 / 9.0), Some(8.0 / 9.0));
        assert_eq!(jaccard_from(&a, &a[..8], 0.9), None);
        assert_eq!(jaccard_from(&[], &[], 0.5), None);
        for (common, union) in [(4, 5), (8, 10), (16, 20), (9, 10), (3, 4)] {
            let big: Vec<u32> = (0..union).collect();
            let threshold = f64::from(common) / f64::from(union);
            assert_eq!(jaccard_from(&big, &big[..common as usize], threshold), Some(threshold));
        }
    }
}
