//! Which hashes are in a set, with few mistakes, in two to four bytes each.

/// A bit for each of some hashes: tells in one look that a hash is not among them, and takes at most one other hash in 16
/// for one of them.
#[derive(Debug, Clone)]
pub(super) struct HashBits {
    words: Vec<u64>,
}

impl HashBits {
    /// Of so many hashes, of which the lowest bits are looked at.
    pub(super) fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut words = vec![0; (hashes.len() / 4).next_power_of_two().max(16)];
        for hash in hashes {
            let (word, bit) = place(words.len(), hash);
            words[word] |= bit;
        }
        Self { words }
    }

    /// Whether a hash may be among them.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = place(self.words.len(), hash);
        self.words[word] & bit != 0
    }
}

/// The word and the bit of a hash in so many words, a power of two.
const fn place(words: usize, hash: u64) -> (usize, u64) {
    ((hash >> 6) as usize & (words - 1), 1 << (hash & 63))
}
