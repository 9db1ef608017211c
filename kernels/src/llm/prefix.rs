//! Computed beginnings of prompts, kept for the next prompts that begin alike.

use super::decoder::SequenceId;

/// Shortest beginning worth sharing, in tokens: below it, opening a shared sequence costs more than computing.
pub(super) const SHORTEST_SHARED: usize = 16;

/// Number of tokens with which both begin.
pub(super) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Sequences of the decoder that hold beginnings, the least recently used given up first.
#[derive(Debug)]
pub(super) struct PrefixCache {
    entries: Vec<Entry>,
    capacity: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    tokens: Vec<u32>,
    sequence: SequenceId,
    used: u64,
}

impl PrefixCache {
    /// A cache of at most `capacity` tokens.
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), capacity, clock: 0 }
    }

    /// The sequence that shares most with the prompt, and how many tokens.
    pub(super) fn longest(&self, prompt: &[u32]) -> Option<(SequenceId, usize)> {
        let shared = self.entries.iter().map(|entry| (entry.sequence, common_prefix(&entry.tokens, prompt)));
        // Of equals the last, which is the youngest.
        shared.max_by_key(|(_, len)| *len).filter(|(_, len)| *len > 0)
    }

    /// Marks a sequence as used now.
    pub(super) fn touch(&mut self, sequence: SequenceId) {
        self.clock += 1;
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.sequence == sequence) {
            entry.used = self.clock;
        }
    }

    /// Whether a beginning should be kept: it fits, and no kept one has it all.
    pub(super) fn wants(&self, tokens: &[u32]) -> bool {
        (SHORTEST_SHARED..=self.capacity).contains(&tokens.len())
            && !self.entries.iter().any(|entry| entry.tokens.starts_with(tokens))
    }

    /// Keeps a beginning that [`Self::wants`] and returns the sequences given up for it.
    pub(super) fn insert(&mut self, tokens: Vec<u32>, sequence: SequenceId) -> Vec<SequenceId> {
        self.clock += 1;
        let mut given_up = Vec::new();
        self.entries.retain(|entry| {
            let covered = tokens.starts_with(&entry.tokens);
            if covered {
                given_up.push(entry.sequence);
            }
            !covered
        });
        self.entries.push(Entry { tokens, sequence, used: self.clock });
        while self.entries.iter().map(|entry| entry.tokens.len()).sum::<usize>() > self.capacity {
            let Some(oldest) = (0..self.entries.len()).min_by_key(|&at| self.entries[at].used) else { break };
            given_up.push(self.entries.remove(oldest).sequence);
        }
        given_up
    }

    /// Gives up everything.
    pub(super) fn clear(&mut self) -> Vec<SequenceId> {
        self.entries.drain(..).map(|entry| entry.sequence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let beginning = |token: u32| vec![token; 20];
        let mut cache = PrefixCache::new(50);
        assert!(cache.insert(beginning(1), SequenceId(1)).is_empty());
        assert!(cache.insert(beginning(2), SequenceId(2)).is_empty());
        cache.touch(SequenceId(1));
        assert_eq!(cache.insert(beginning(3), SequenceId(3)), [SequenceId(2)]);
        assert_eq!(cache.longest(&[1, 1, 1, 9]), Some((SequenceId(1), 3)));
        assert_eq!(cache.longest(&[2, 2]), None);
        assert_eq!(cache.clear(), [SequenceId(1), SequenceId(3)]);
    }

    #[test]
    fn a_longer_beginning_replaces_its_own_start() {
        let mut cache = PrefixCache::new(100);
        cache.insert(vec![1; 20], SequenceId(1));
        assert!(!cache.wants(&[1; 18]) && !cache.wants(&[2; 4]) && !cache.wants(&[2; 101]));
        assert!(cache.wants(&[1; 30]));
        assert_eq!(cache.insert(vec![1; 30], SequenceId(2)), [SequenceId(1)]);
    }
}
