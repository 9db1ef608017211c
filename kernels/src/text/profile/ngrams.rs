//! Sequences of words that a text says more than once, after the Gopher rules (Rae et al. 2021, table A1).

use super::ratio;
use super::words::{FirstSeen, Vocabulary, Words};

/// Longest sequence that is looked at.
const MAX_N: usize = 10;

/// Shares of a text in repeated sequences, by the length of the sequence in words.
#[derive(Debug, Clone, Default)]
pub(super) struct Ngrams {
    top: [f64; MAX_N + 1],
    repeated: [f64; MAX_N + 1],
}

impl Ngrams {
    /// A sequence can only be said twice if the one that is a word shorter is, so each length looks only at the places
    /// that the last one left. A sequence is named by the place where it was first said.
    pub(super) fn of(words: &Words, vocabulary: &Vocabulary) -> Self {
        let mut shares = Self::default();
        let n_words = words.list.len();
        if vocabulary.n_distinct == n_words {
            return shares;
        }
        let mut before = Vec::new();
        let mut counts = vec![0_u32; n_words];
        let mut places: Vec<(u32, u32)> = (0_u32..).zip(vocabulary.first.iter().copied()).collect();
        keep_repeated(&mut places, &mut counts);
        for n in 2..=MAX_N {
            let mut seen = FirstSeen::with_capacity(places.len());
            let mut next = Vec::with_capacity(places.len());
            for pair in places.windows(2) {
                // Both shorter sequences are repeated, and the second begins one word later.
                let ((at, name), (after, _)) = (pair[0], pair[1]);
                if after == at + 1 && index(at) + n <= n_words {
                    let last = vocabulary.first[index(at) + n - 1];
                    next.push((at, seen.place(u64::from(name) << 32 | u64::from(last), at)));
                }
            }
            places = next;
            keep_repeated(&mut places, &mut counts);
            if places.is_empty() {
                break;
            }
            if before.is_empty() {
                // Characters before each word: the length of a sequence is a difference.
                before.push(0);
                before.extend(words.list.iter().scan(0, |sum, word| {
                    *sum += word.n_chars;
                    Some(*sum)
                }));
            }
            let chars = |from: usize, to: usize| before[to] - before[from];
            let top =
                places.iter().map(|(at, name)| (counts[index(*name)], chars(index(*at), index(*at) + n)));
            let top = top.max().map_or(0, |(count, len)| index(count) * len);
            shares.top[n] = ratio(top.min(words.n_chars), words.n_chars);
            let (mut repeated, mut covered) = (0, 0);
            for &(at, _) in places.iter().filter(|(at, name)| at != name) {
                let (from, to) = (index(at).max(covered), index(at) + n);
                repeated += chars(from, to);
                covered = to;
            }
            shares.repeated[n] = ratio(repeated, words.n_chars);
        }
        shares
    }

    /// Share in the most frequent sequence of `n` words.
    pub(super) fn top(&self, n: usize) -> f64 {
        self.top.get(n).copied().unwrap_or(0.0)
    }

    /// Share in sequences of `n` words said before.
    pub(super) fn repeated(&self, n: usize) -> f64 {
        self.repeated.get(n).copied().unwrap_or(0.0)
    }
}

/// Leaves the sequences said at least twice, and counts each of them under its name.
fn keep_repeated(places: &mut Vec<(u32, u32)>, counts: &mut [u32]) {
    for (_, name) in &*places {
        counts[index(*name)] = 0;
    }
    for (_, name) in &*places {
        counts[index(*name)] += 1;
    }
    places.retain(|(_, name)| counts[index(*name)] > 1);
}

const fn index(place: u32) -> usize {
    place as usize
}
