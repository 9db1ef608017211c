//! The words of a text as hashes of their lower case, and which of them are the same.

/// An odd constant with well-mixed bits, from the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// One word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    /// Hash of the word in lower case: equal words, equal hashes.
    pub(super) hash: u64,
    /// Length of the lower case in characters.
    pub(super) n_chars: usize,
}

/// The words of a text, in order.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) list: Vec<Word>,
    /// How many have a letter.
    pub(super) alphabetic: usize,
    /// Sum of the words' lengths in characters.
    pub(super) n_chars: usize,
    /// Length of the longest word in bytes.
    pub(super) longest: usize,
}

/// Which words of a text are the same.
#[derive(Debug, Clone)]
pub(super) struct Vocabulary {
    /// For each word, the place of its first occurrence.
    pub(super) first: Vec<u32>,
    /// Number of different words.
    pub(super) n_distinct: usize,
}

/// A set of 64-bit keys that remembers where each was first put in; addressed openly, at most half full.
#[derive(Debug)]
pub(super) struct FirstSeen {
    /// Index into `keys` + 1; 0 marks an empty slot.
    slots: Vec<u32>,
    /// Keys and the places where they were first put in.
    keys: Vec<(u64, u32)>,
}

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut words =
            Self { list: Vec::with_capacity(text.len() / 5 + 1), alphabetic: 0, n_chars: 0, longest: 0 };
        if text.is_ascii() {
            words.add_ascii(text.as_bytes());
            return words;
        }
        let mut lower = String::new();
        for word in text.split_whitespace() {
            if word.is_ascii() {
                let (hash, has_letter) = hash_ascii(word.as_bytes());
                words.add(Word { hash, n_chars: word.len() }, has_letter, word.len());
                continue;
            }
            lower.clear();
            if word.contains('Σ') {
                // The final form of the letter depends on its neighbours.
                lower.push_str(&word.to_lowercase());
            } else {
                lower.extend(word.chars().flat_map(char::to_lowercase));
            }
            let (mut n_chars, mut has_letter) = (0, false);
            for c in lower.chars() {
                n_chars += 1;
                has_letter = has_letter || c.is_alphabetic();
            }
            // Lower-casing never makes a letter out of another character, nor the reverse.
            words.add(Word { hash: hash_lower(lower.as_bytes()), n_chars }, has_letter, word.len());
        }
        words
    }

    /// Adds the words of an ASCII text. Their ends are found for 64 characters at once: asking of each character
    /// whether it is white space costs a wrong guess of the processor for most words.
    fn add_ascii(&mut self, text: &[u8]) {
        let mut start = 0;
        let mut in_word = false;
        for (block, bytes) in text.chunks(64).enumerate() {
            // Bit i tells whether character i is visible; where it changes, a word starts or ends.
            let visible = !spaces(bytes);
            let mut changes = visible ^ (visible << 1 | u64::from(in_word));
            in_word = visible >> 63 == 1;
            while changes != 0 {
                let at = 64 * block + changes.trailing_zeros() as usize;
                changes &= changes - 1;
                if visible >> (at % 64) & 1 == 1 {
                    start = at;
                } else {
                    self.add_ascii_word(text, start, at);
                }
            }
        }
        if in_word {
            self.add_ascii_word(text, start, text.len());
        }
    }

    fn add_ascii_word(&mut self, text: &[u8], start: usize, end: usize) {
        let n_chars = end - start;
        let (hash, has_letter) = match text.get(start..start + 8) {
            Some(eight) if n_chars < 8 => {
                // Most words: eight bytes are read whatever the length, and what is too much is masked.
                let bytes = eight.first_chunk().copied().map_or(0, u64::from_le_bytes);
                let (lower, letters) = lower_ascii(bytes & ((1 << (8 * n_chars)) - 1));
                (fold(start_hash(n_chars) ^ lower, MIX), letters != 0)
            }
            _ => hash_ascii(&text[start..end]),
        };
        self.add(Word { hash, n_chars }, has_letter, n_chars);
    }

    /// How many words repeat the one before them.
    pub(super) fn immediate_repeats(&self) -> usize {
        self.list.windows(2).filter(|pair| pair[0].hash == pair[1].hash).count()
    }

    fn add(&mut self, word: Word, has_letter: bool, len: usize) {
        self.list.push(word);
        self.alphabetic += usize::from(has_letter);
        self.n_chars += word.n_chars;
        self.longest = self.longest.max(len);
    }
}

impl Vocabulary {
    pub(super) fn of(words: &[Word]) -> Self {
        let mut seen = FirstSeen::with_capacity(words.len());
        let first: Vec<u32> = (0..).zip(words).map(|(at, word)| seen.place(word.hash, at)).collect();
        Self { first, n_distinct: seen.len() }
    }
}

impl FirstSeen {
    /// Room for `n` keys.
    pub(super) fn with_capacity(n: usize) -> Self {
        Self { slots: vec![0; (2 * n + 1).next_power_of_two()], keys: Vec::with_capacity(n) }
    }

    /// Where a key was first seen: `at` if it is new.
    pub(super) fn place(&mut self, key: u64, at: u32) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = usize::try_from(fold(key, MIX) >> 32).unwrap_or(0) & mask;
        loop {
            match self.keys.get((self.slots[slot] as usize).wrapping_sub(1)) {
                None => {
                    self.keys.push((key, at));
                    self.slots[slot] = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
                    return at;
                }
                Some((known, place)) if *known == key => return *place,
                Some(_) => slot = (slot + 1) & mask,
            }
        }
    }

    /// Number of different keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// Hash of an ASCII word in lower case, and whether it has a letter.
fn hash_ascii(word: &[u8]) -> (u64, bool) {
    let mut letters = 0;
    let hash = hash(word, |bytes| {
        let (lower, is_letter) = lower_ascii(bytes);
        letters |= is_letter;
        lower
    });
    (hash, letters != 0)
}

/// Hash of a word that is in lower case already; the same as [`hash_ascii`] for ASCII.
fn hash_lower(word: &[u8]) -> u64 {
    hash(word, |bytes| bytes)
}

/// Hash of bytes, each eight of them mapped first; the last are filled up with zeros.
#[inline]
fn hash(word: &[u8], mut map: impl FnMut(u64) -> u64) -> u64 {
    let mut hash = start_hash(word.len());
    let (eights, rest) = word.as_chunks::<8>();
    for eight in eights {
        hash = fold(hash ^ map(u64::from_le_bytes(*eight)), MIX);
    }
    if rest.is_empty() {
        return hash;
    }
    let last = rest.iter().rev().fold(0, |last, b| last << 8 | u64::from(*b));
    fold(hash ^ map(last), MIX)
}

const fn start_hash(len: usize) -> u64 {
    len as u64 ^ MIX
}

/// One bit for each of up to 64 ASCII characters that is white space, the first in the lowest bit; the bits of
/// characters that are missing are set.
fn spaces(block: &[u8]) -> u64 {
    let (eights, rest) = block.as_chunks::<8>();
    let mut spaces = if block.len() < 64 { u64::MAX << block.len() } else { 0 };
    for (at, eight) in eights.iter().enumerate() {
        spaces |= spaces_of_eight(u64::from_le_bytes(*eight)) << (8 * at);
    }
    for (at, b) in rest.iter().enumerate() {
        spaces |= u64::from(matches!(b, b'\t'..=b'\r' | b' ')) << (8 * eights.len() + at);
    }
    spaces
}

/// The lowest eight bits tell which of eight ASCII bytes are white space.
fn spaces_of_eight(bytes: u64) -> u64 {
    let high = in_range(bytes, b'\t', b'\r') | in_range(bytes, b' ', b' ');
    // Gathers the highest bit of each byte.
    (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Eight ASCII bytes in lower case, and the highest bit of each that is a letter.
const fn lower_ascii(bytes: u64) -> (u64, u64) {
    let lower = bytes | (in_range(bytes, b'A', b'Z') >> 2);
    (lower, in_range(lower, b'a', b'z'))
}

/// The highest bit of each of eight ASCII bytes that lies between two characters.
const fn in_range(bytes: u64, from: u8, to: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let at_least = bytes + ONES * (128 - from as u64);
    let beyond = bytes + ONES * (127 - to as u64);
    (at_least ^ beyond) & (ONES << 7)
}

/// Multiplies to 128 bits and folds the halves: every bit of the answer depends on every bit of `a`.
fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    low ^ high
}
