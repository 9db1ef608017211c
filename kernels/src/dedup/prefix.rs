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
#[derive(Default)]
pub(super) struct Postings {
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
    pub(super) fn add(&mut self, shingle: u32, survivor: u32, position: u32, len: usize) {
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
    pub(super) fn candidates(
        &self,
        shingle: u32,
        position: u32,
        len: usize,
        threshold: f64,
        mut each: impl FnMut(u32),
    ) {
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
    use super::*;

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
