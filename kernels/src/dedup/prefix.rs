//! Prefix filtering: of two alike sets, the rarest few members have one in common (Xiao et al., "Efficient similarity joins
//! for near-duplicate detection", 2011).

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// The Jaccard similarity of two ascending sets if it is at least `threshold`.
pub(super) fn jaccard_from(a: &[u32], b: &[u32], threshold: f64) -> Option<f64> {
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
pub(super) fn prefix_len(len: usize, threshold: f64) -> usize {
    let needed = (threshold * len as f64 - 1e-6).ceil() as usize;
    (len + 1).saturating_sub(needed.max(1)).min(len)
}

/// Members that one alone of two sets of sizes `m` and `n` has, if at least `needed` are common: so many at most.
fn most_apart(m: usize, n: usize, needed: usize) -> u32 {
    (m + n).saturating_sub(2 * needed) as u32
}

/// A set in 64 bits, of which each member flips one. A member that one alone of two sets has makes a difference of at most
/// one bit, so sets have at least as many such members as their bits differ in places.
pub(super) fn parities(set: &[u32]) -> u64 {
    set.iter().fold(0, |bits, shingle| bits ^ (1_u64 << (shingle.wrapping_mul(0x9e37_79b9) >> 26)))
}

/// In how many sets each shingle is, or a few more: shingles are counted together by their last bits.
pub(super) struct Rarity {
    counts: Vec<u32>,
}

impl Rarity {
    pub(super) fn of<'a>(sets: impl Iterator<Item = &'a [u32]> + Clone) -> Self {
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
    pub(super) fn prefix(&self, set: &[u32], len: usize, prefix: &mut Vec<(u32, u32)>) {
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
pub(super) struct Postings {
    /// The [`parities`] of all texts.
    parities: Vec<u64>,
    lists: HashMap<u32, List, BuildHasherDefault<Spread>>,
    /// The entries of all short lists.
    entries: Vec<Posting>,
    /// Long lists, by size of the set and place of the shingle, so that those that cannot be alike are passed over together.
    long: Vec<BTreeMap<(u32, u32), Group>>,
}

/// Survivors of a long list that have the shingle in one place, and sets of one size.
#[derive(Default)]
struct Group {
    survivors: Vec<u32>,
    /// The [`parities`] of each, so that they lie in the order in which they are looked at.
    parities: Vec<u64>,
}

impl Group {
    fn add(&mut self, survivor: u32, parities: u64) {
        self.survivors.push(survivor);
        self.parities.push(parities);
    }
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
    /// Without survivors as yet. Each text, survivor or not, has its [`parities`] in the place of its number.
    pub(super) fn of(parities: Vec<u64>) -> Self {
        Self { parities, lists: HashMap::default(), entries: Vec::new(), long: Vec::new() }
    }

    /// Adds a survivor by its number: a set of `len` shingles, `shingle` at `position` among them.
    pub(super) fn add(&mut self, shingle: u32, survivor: u32, position: u32, len: usize) {
        let len = len as u32;
        let list = self.lists.entry(shingle).or_insert(List { len: 0, at: u32::MAX });
        if list.len == MANY {
            let group = self.long[list.at as usize].entry((len, position)).or_default();
            group.add(survivor, self.parities[survivor as usize]);
            return;
        }
        grow(&mut self.entries, 1);
        self.entries.push(Posting { survivor, position, len, before: list.at });
        *list = List { len: list.len + 1, at: self.entries.len() as u32 - 1 };
        if list.len == MANY {
            let mut long: BTreeMap<(u32, u32), Group> = BTreeMap::new();
            for posting in short(&self.entries, *list) {
                let group = long.entry((posting.len, posting.position)).or_default();
                group.add(posting.survivor, self.parities[posting.survivor as usize]);
            }
            list.at = self.long.len() as u32;
            self.long.push(long);
        }
    }

    /// Calls `each` for the survivors that may be alike a text of a number: a set of `len` shingles, `shingle` at `position`
    /// among them. Those are passed over that cannot be, by sizes and places or by [`parities`].
    pub(super) fn candidates(
        &self,
        shingle: u32,
        position: u32,
        text: u32,
        len: usize,
        threshold: f64,
        mut each: impl FnMut(u32),
    ) {
        // How many bits may differ; none if the sets cannot be alike: if this is the first common shingle in order of
        // rarity, no more can be common than comes after it.
        let most_differing = |other_position: u32, other_len: u32| {
            let needed = needed_overlap(len, other_len as usize, threshold);
            let rest = (len - position as usize).min((other_len - other_position) as usize);
            (rest >= needed).then_some(most_apart(len, other_len as usize, needed))
        };
        let own = self.parities[text as usize];
        let Some(list) = self.lists.get(&shingle) else { return };
        if list.len < MANY {
            for posting in short(&self.entries, *list) {
                let differing = || (self.parities[posting.survivor as usize] ^ own).count_ones();
                if most_differing(posting.position, posting.len).is_some_and(|most| differing() <= most) {
                    each(posting.survivor);
                }
            }
            return;
        }
        let shortest = (threshold * len as f64 - 1e-6).ceil() as u32;
        let longest = (len as f64 / threshold + 1e-6).floor() as u32;
        let long = &self.long[list.at as usize];
        for (&(other_len, other_position), group) in long.range((shortest, 0)..=(longest, u32::MAX)) {
            let Some(most) = most_differing(other_position, other_len) else { continue };
            for (survivor, parities) in group.survivors.iter().zip(&group.parities) {
                if (parities ^ own).count_ones() <= most {
                    each(*survivor);
                }
            }
        }
    }
}

/// The entries of a short list, the last one first.
fn short(entries: &[Posting], list: List) -> impl Iterator<Item = &Posting> {
    std::iter::successors(entries.get(list.at as usize), |posting| entries.get(posting.before as usize))
}

/// Makes room for `more`, a quarter of what is there at a time: doubling would leave half of it unused.
pub(super) fn grow<T>(numbers: &mut Vec<T>, more: usize) {
    if numbers.capacity() - numbers.len() < more {
        numbers.reserve_exact(more.max(numbers.len() / 4).max(1024));
    }
}

/// Hashes what is a hash already.
#[derive(Default)]
pub(super) struct Spread(u64);

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
    use crate::mix::mix;

    proptest! {
        #[test]
        fn parities_pass_over_no_alike_pair(
            common in proptest::collection::btree_set(any::<u32>(), 0..90),
            one in proptest::collection::btree_set(any::<u32>(), 0..30),
            other in proptest::collection::btree_set(any::<u32>(), 0..30),
            threshold in 0.05_f64..1.0,
        ) {
            let with = |own: &BTreeSet<u32>| -> Vec<u32> { common.union(own).copied().collect() };
            let (a, b) = (with(&one), with(&other));
            let differing = (parities(&a) ^ parities(&b)).count_ones();
            let in_both = a.iter().filter(|shingle| b.binary_search(shingle).is_ok()).count();
            let in_either = a.len() + b.len() - in_both;
            prop_assert!(differing as usize <= in_either - in_both);
            // Also where the similarity is the threshold itself.
            let similarity = in_both as f64 / in_either.max(1) as f64;
            for threshold in [threshold, similarity.max(0.01)] {
                if jaccard_from(&a, &b, threshold).is_some() {
                    let needed = needed_overlap(a.len(), b.len(), threshold);
                    prop_assert!(differing <= most_apart(a.len(), b.len(), needed));
                }
            }
        }
    }

    #[test]
    fn parities_tell_fillings_from_small_vocabularies_apart() {
        // Each of six slots has one of ten values, and stands in five of 43 shingles: hardly any two sets are alike.
        let filled = |filling: u64| -> Vec<u32> {
            let form = (1..14).map(|place| mix(place) as u32);
            let slots = (0..6).flat_map(|slot| {
                let value = mix(1_000_000 + filling * 6 + slot) % 10;
                (0..5).map(move |place| mix(1_000 + (slot * 10 + value) * 5 + place) as u32)
            });
            let mut set: Vec<u32> = form.chain(slots).collect();
            set.sort_unstable();
            set
        };
        let sets: Vec<Vec<u32>> = (0..1_000).map(filled).collect();
        let mut postings = Postings::of(sets.iter().map(|set| parities(set)).collect());
        for (survivor, set) in (0_u32..).zip(&sets) {
            postings.add(7, survivor, 0, set.len());
        }
        let mut candidates = 0;
        for (text, set) in (0_u32..).zip(&sets) {
            postings.candidates(7, 0, text, set.len(), 0.8, |_| candidates += 1);
        }
        // Of a million pairs; each set is alike itself.
        assert!((1_000..1_200).contains(&candidates), "{candidates}");
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
