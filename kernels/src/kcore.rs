//! The core of a graph of people and items: those who have enough items, and the items that enough of them have.
//!
//! Amazon reviews are cut down to it before histories are made of them (`HumanLLM`; papers' section 1.2): the most
//! frequent half of the items, people of at least 8 of them, items of at least 3 people, again and again until
//! nothing more leaves. The core is the same whatever the order in which the rest is taken away; what is told of the
//! rest is the same as well, since it is taken away in rounds: all people that are too few, then all items.

use std::collections::HashMap;
use std::sync::Arc;

use crate::KernelError;

/// Who had to do with what, each pair once. Takes about 100 bytes for each person and item and 8 for each pair, and
/// 40 more for each pair while the core is looked for.
#[derive(Debug, Clone, Default)]
pub struct Interactions {
    users: Names,
    items: Names,
    pairs: Vec<(u32, u32)>,
}

/// What the core asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoreLimits {
    /// Fewest items of a person.
    pub user: u32,
    /// Fewest people of an item.
    pub item: u32,
    /// Share of the items that stay before anything else, the most frequent ones, rounded up; in `0.0..=1.0`. Of
    /// equally frequent ones those whose names come first.
    pub top_items: f64,
}

/// Why a pair is outside of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoreRule {
    /// The item is not one of the most frequent. Measured is the share of items that come before it.
    TopItems,
    /// The person had too few items left. Measured is how many.
    User,
    /// The item had too few people left. Measured is how many.
    Item,
}

/// A pair outside of the core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutsidePair<'a> {
    /// The person.
    pub user: &'a str,
    /// The item.
    pub item: &'a str,
    /// Why it left.
    pub rule: CoreRule,
    /// What was measured when it left.
    pub measured: f64,
}

impl Interactions {
    /// Adds a pair; one that is there already changes nothing.
    ///
    /// # Errors
    /// There are more than 2³² people or items.
    pub fn add(&mut self, user: &str, item: &str) -> Result<(), KernelError> {
        let pair = (self.users.number(user)?, self.items.number(item)?);
        self.pairs.push(pair);
        if self.pairs.len() == self.pairs.capacity() {
            self.settle();
        }
        Ok(())
    }

    /// Adds the pairs of another graph.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn merge(&mut self, other: &Self) -> Result<(), KernelError> {
        for (user, item) in &other.pairs {
            self.add(other.users.name(*user), other.items.name(*item))?;
        }
        Ok(())
    }

    /// The pairs outside of the core, in the order of people and then items as they were first added.
    pub fn outside_core(&self, limits: CoreLimits) -> Vec<OutsidePair<'_>> {
        let mut pairs = self.pairs.clone();
        pairs.sort_unstable();
        pairs.dedup();
        let mut peeling = Peeling::new(&pairs, self.users.len(), self.items.len());
        peeling.keep_top_items(&self.items, limits.top_items);
        peeling.peel(limits);
        let left = pairs.iter().zip(&peeling.left);
        left.filter_map(|((user, item), left)| {
            let (rule, measured) = (*left)?;
            Some(OutsidePair { user: self.users.name(*user), item: self.items.name(*item), rule, measured })
        })
        .collect()
    }

    /// Bytes in memory, about.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + self.users.size()
            + self.items.size()
            + self.pairs.capacity() * size_of::<(u32, u32)>()
    }

    /// The pairs as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for names in [&self.users, &self.items] {
            put(&mut bytes, names.len());
            for name in &names.all {
                put(&mut bytes, name.len());
                bytes.extend_from_slice(name.as_bytes());
            }
        }
        for (user, item) in &self.pairs {
            bytes.extend_from_slice(&user.to_le_bytes());
            bytes.extend_from_slice(&item.to_le_bytes());
        }
        bytes
    }

    /// Adds the pairs that [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes hold no pairs, or as [`Self::add`].
    pub fn merge_bytes(&mut self, mut bytes: &[u8]) -> Result<(), KernelError> {
        let wrong = || KernelError::Internal("these bytes are no pairs".to_owned());
        let mut names: [Vec<&str>; 2] = Default::default();
        for names in &mut names {
            let count = take_len(&mut bytes).ok_or_else(wrong)?;
            for _ in 0..count {
                let len = take_len(&mut bytes).ok_or_else(wrong)?;
                let (name, rest) = bytes.split_at_checked(len).ok_or_else(wrong)?;
                names.push(std::str::from_utf8(name).map_err(|_| wrong())?);
                bytes = rest;
            }
        }
        let [users, items] = names;
        let (pairs, []) = bytes.as_chunks::<8>() else { return Err(wrong()) };
        for [a, b, c, d, e, f, g, h] in pairs {
            let name = |names: &[&'_ str], number: [u8; 4]| {
                usize::try_from(u32::from_le_bytes(number))
                    .ok()
                    .and_then(|at| names.get(at).map(|n| (*n).to_owned()))
            };
            let user = name(&users, [*a, *b, *c, *d]).ok_or_else(wrong)?;
            let item = name(&items, [*e, *f, *g, *h]).ok_or_else(wrong)?;
            self.add(&user, &item)?;
        }
        Ok(())
    }

    /// Takes out repeated pairs, so that they do not make the list grow.
    fn settle(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        self.pairs.reserve(self.pairs.len().max(16));
    }
}

/// Names and their numbers, in the order of their coming.
#[derive(Debug, Clone, Default)]
struct Names {
    numbers: HashMap<Arc<str>, u32>,
    all: Vec<Arc<str>>,
    bytes: usize,
}

impl Names {
    fn number(&mut self, name: &str) -> Result<u32, KernelError> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let number = u32::try_from(self.all.len())
            .map_err(|_| KernelError::Argument("more than 2^32 people or items in one core".to_owned()))?;
        let name: Arc<str> = Arc::from(name);
        self.bytes += name.len();
        self.all.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        Ok(number)
    }

    fn name(&self, number: u32) -> &str {
        self.all.get(index(number)).map_or("", |name| name)
    }

    fn len(&self) -> usize {
        self.all.len()
    }

    fn size(&self) -> usize {
        // Beside the text: two counts of owners, the list's pointer and length, and about as much again in the map.
        self.bytes + self.all.len() * 72
    }
}

/// Pairs that are taken away.
struct Peeling<'a> {
    pairs: &'a [(u32, u32)],
    /// Why and with what measure each pair left; none while it is in.
    left: Vec<Option<(CoreRule, f64)>>,
    users: Side,
    items: Side,
}

/// One side of the graph.
struct Side {
    /// Where the pairs of each node begin in `pairs`, and the end.
    starts: Vec<usize>,
    /// Numbers of pairs, by node.
    pairs: Vec<usize>,
    /// Number of pairs that each node still has.
    degrees: Vec<u32>,
}

impl Side {
    fn new(nodes: usize, ends: impl Iterator<Item = u32> + Clone) -> Self {
        let mut degrees = vec![0_u32; nodes];
        for node in ends.clone() {
            degrees[index(node)] += 1;
        }
        let mut starts = Vec::with_capacity(nodes + 1);
        let mut start = 0;
        starts.push(0);
        for degree in &degrees {
            start += index(*degree);
            starts.push(start);
        }
        let mut next = starts.clone();
        let mut pairs = vec![0; start];
        for (pair, node) in ends.enumerate() {
            pairs[next[index(node)]] = pair;
            next[index(node)] += 1;
        }
        Self { starts, pairs, degrees }
    }

    fn pairs_of(&self, node: usize) -> &[usize] {
        &self.pairs[self.starts[node]..self.starts[node + 1]]
    }

    /// Nodes that have pairs, but fewer than so many.
    fn below(&self, limit: u32) -> Vec<usize> {
        (0..self.degrees.len()).filter(|node| (1..limit).contains(&self.degrees[*node])).collect()
    }
}

impl<'a> Peeling<'a> {
    fn new(pairs: &'a [(u32, u32)], users: usize, items: usize) -> Self {
        Self {
            pairs,
            left: vec![None; pairs.len()],
            users: Side::new(users, pairs.iter().map(|pair| pair.0)),
            items: Side::new(items, pairs.iter().map(|pair| pair.1)),
        }
    }

    /// Takes away the items that are not among the most frequent.
    fn keep_top_items(&mut self, names: &Names, share: f64) {
        let mut ranked: Vec<usize> = (0..self.items.degrees.len()).collect();
        ranked.sort_unstable_by_key(|item| {
            (std::cmp::Reverse(self.items.degrees[*item]), names.all.get(*item).map(|name| &**name))
        });
        let all = ranked.len() as f64;
        for (place, item) in ranked.into_iter().enumerate() {
            if place as f64 >= share * all {
                self.take(true, item, CoreRule::TopItems, place as f64 / all, |_| {});
            }
        }
    }

    /// Takes away people and items with too few pairs, by turns, until there are none. Every pair is looked at once
    /// from either side.
    fn peel(&mut self, limits: CoreLimits) {
        let mut users = self.users.below(limits.user);
        let mut items = self.items.below(limits.item);
        while !users.is_empty() || !items.is_empty() {
            for user in std::mem::take(&mut users) {
                let measured = f64::from(self.users.degrees[user]);
                self.take(false, user, CoreRule::User, measured, |(item, degree)| {
                    if degree + 1 == limits.item {
                        items.push(item);
                    }
                });
            }
            for item in std::mem::take(&mut items) {
                let measured = f64::from(self.items.degrees[item]);
                self.take(true, item, CoreRule::Item, measured, |(user, degree)| {
                    if degree + 1 == limits.user {
                        users.push(user);
                    }
                });
            }
        }
    }

    /// Takes away all pairs of a node and tells of each the node at the other end and how many that one has left.
    fn take(
        &mut self,
        is_item: bool,
        node: usize,
        rule: CoreRule,
        measured: f64,
        mut tell: impl FnMut((usize, u32)),
    ) {
        let (side, others) =
            if is_item { (&mut self.items, &mut self.users) } else { (&mut self.users, &mut self.items) };
        for pair in side.pairs_of(node) {
            if self.left[*pair].is_none() {
                self.left[*pair] = Some((rule, measured));
                let (user, item) = self.pairs[*pair];
                let other = index(if is_item { user } else { item });
                others.degrees[other] -= 1;
                tell((other, others.degrees[other]));
            }
        }
        side.degrees[node] = 0;
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn put(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&(number as u64).to_le_bytes());
}

fn take_len(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    usize::try_from(u64::from_le_bytes(*number)).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn graph(pairs: &[(String, String)]) -> Interactions {
        let mut graph = Interactions::default();
        for (user, item) in pairs {
            graph.add(user, item).unwrap();
        }
        graph
    }

    type Outside = BTreeMap<(String, String), (CoreRule, f64)>;

    fn outside(graph: &Interactions, limits: CoreLimits) -> Outside {
        let pairs = graph.outside_core(limits);
        pairs.iter().map(|p| ((p.user.to_owned(), p.item.to_owned()), (p.rule, p.measured))).collect()
    }

    /// Word for word what the paper does: filter, count again, until nothing changes.
    fn slow_truth(pairs: &[(String, String)], limits: CoreLimits) -> Outside {
        let mut inside: BTreeSet<(String, String)> = pairs.iter().cloned().collect();
        let mut out = Outside::new();
        let count = |inside: &BTreeSet<(String, String)>, of_item: bool| {
            let mut counts: BTreeMap<String, u32> = BTreeMap::new();
            for (user, item) in inside {
                *counts.entry(if of_item { item.clone() } else { user.clone() }).or_insert(0) += 1;
            }
            counts
        };
        let items = count(&inside, true);
        let mut ranked: Vec<(&String, &u32)> = items.iter().collect();
        ranked.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), (*name).clone()));
        let all = ranked.len() as f64;
        for (place, (name, _)) in
            ranked.iter().enumerate().filter(|(place, _)| *place as f64 >= limits.top_items * all)
        {
            let measured = place as f64 / all;
            for pair in inside.extract_if(.., |pair| pair.1 == **name) {
                out.insert(pair, (CoreRule::TopItems, measured));
            }
        }
        loop {
            let before = inside.len();
            for (of_item, rule, limit) in
                [(false, CoreRule::User, limits.user), (true, CoreRule::Item, limits.item)]
            {
                let counts = count(&inside, of_item);
                let degree = |pair: &(String, String)| counts[if of_item { &pair.1 } else { &pair.0 }];
                for pair in inside.clone().into_iter().filter(|pair| degree(pair) < limit) {
                    inside.remove(&pair);
                    let measured = f64::from(degree(&pair));
                    out.insert(pair, (rule, measured));
                }
            }
            if inside.len() == before {
                return out;
            }
        }
    }

    #[test]
    fn a_chain_falls_from_its_end() {
        // u1 has one item too few; without it i1 has, without that u2 has, and so on.
        let mut pairs = Vec::new();
        for user in 1..=6 {
            for item in [user - 1, user] {
                if item > 0 {
                    pairs.push((format!("u{user}"), format!("i{item}")));
                }
            }
        }
        let limits = CoreLimits { user: 2, item: 2, top_items: 1.0 };
        let found = outside(&graph(&pairs), limits);
        assert_eq!(found.len(), pairs.len());
        assert_eq!(found[&("u1".to_owned(), "i1".to_owned())], (CoreRule::User, 1.0));
        assert_eq!(found[&("u2".to_owned(), "i1".to_owned())], (CoreRule::Item, 1.0));
        assert_eq!(found, slow_truth(&pairs, limits));
    }

    #[test]
    fn of_equally_frequent_items_the_first_names_stay() {
        let pairs: Vec<_> = ["d", "b", "c", "a", "e"].map(|item| ("u".to_owned(), item.to_owned())).into();
        let limits = CoreLimits { user: 0, item: 0, top_items: 0.5 };
        let found = outside(&graph(&pairs), limits);
        let items: Vec<&str> = found.keys().map(|(_, item)| item.as_str()).collect();
        assert_eq!(items, ["d", "e"]);
        assert_eq!(found[&("u".to_owned(), "e".to_owned())], (CoreRule::TopItems, 0.8));
        assert!(outside(&graph(&pairs), CoreLimits { top_items: 1.0, ..limits }).is_empty());
        assert_eq!(outside(&graph(&pairs), CoreLimits { top_items: 0.0, ..limits }).len(), 5);
    }

    #[test]
    fn other_bytes_are_no_pairs() {
        let bytes = graph(&[("u".to_owned(), "i".to_owned())]).to_bytes();
        for cut in 0..bytes.len() {
            assert!(
                Interactions::default().merge_bytes(&bytes[..cut]).is_err() || cut == bytes.len() - 8,
                "{cut}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_core_is_that_of_the_slow_truth(
            pairs in proptest::collection::vec((0_u32..12, 0_u32..12), 0..90),
            user in 0_u32..6,
            item in 0_u32..5,
            top in 0_u32..=4,
            cut in 0_usize..90,
        ) {
            let pairs: Vec<_> = pairs.into_iter().map(|(u, i)| (format!("u{u}"), format!("i{i}"))).collect();
            let limits = CoreLimits { user, item, top_items: f64::from(top) / 4.0 };
            let truth = slow_truth(&pairs, limits);
            prop_assert_eq!(&outside(&graph(&pairs), limits), &truth);
            // In two pieces and another order, the one as bytes.
            let (left, right) = pairs.split_at(cut.min(pairs.len()));
            let mut merged = graph(right);
            merged.merge_bytes(&graph(left).to_bytes()).unwrap();
            prop_assert_eq!(&outside(&merged, limits), &truth);
            let mut merged = graph(right);
            merged.merge(&graph(left)).unwrap();
            prop_assert_eq!(&outside(&merged, limits), &truth);
        }
    }
}
