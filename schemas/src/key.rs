//! Content keys of rows: the first 128 bits of a BLAKE3 hash over the row's meaning.

use std::sync::OnceLock;

use arrow_schema::DataType;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

/// Length of a key in bytes.
pub const KEY_BYTES: usize = 16;

/// The Arrow type of a key column.
pub const fn key_type() -> DataType {
    DataType::FixedSizeBinary(16)
}

/// Identity of a row: equal meaning, equal key, on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; KEY_BYTES]);

impl Key {
    /// The key in 32 lower-case hex digits.
    pub fn to_hex(self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(2 * KEY_BYTES), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The first eight bytes as a number: a seed that depends on the row and nothing else.
    pub fn seed(self) -> u64 {
        let mut head = [0; 8];
        head.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(head)
    }
}

/// A kind of row whose keys are many: what all of them share is hashed once.
#[derive(Debug)]
pub struct KeyDomain {
    name: &'static str,
    context: OnceLock<ContextKey>,
}

impl KeyDomain {
    /// A domain by its name, as [`KeyHasher::new`] takes it; the same keys come out.
    pub const fn new(name: &'static str) -> Self {
        Self { name, context: OnceLock::new() }
    }

    /// A hasher for one row.
    pub fn hasher(&self) -> KeyHasher {
        KeyHasher::with_context(*self.context.get_or_init(|| hash_derive_key_context(self.name)))
    }
}

/// Hashes the parts of a row's meaning, each with its length, so that `("ab", "c")` and `("a", "bc")` differ.
///
/// Parts are gathered first: for the few hundred bytes of a row, one call of the hash costs a third of many small ones.
#[derive(Debug, Clone)]
pub struct KeyHasher {
    context: ContextKey,
    parts: Vec<u8>,
}

impl KeyHasher {
    /// A hasher for one kind of row; `domain` keeps equal parts of different tables apart.
    pub fn new(domain: &'static str) -> Self {
        Self::with_context(hash_derive_key_context(domain))
    }

    fn with_context(context: ContextKey) -> Self {
        Self { context, parts: Vec::with_capacity(512) }
    }

    /// Adds one part.
    #[must_use]
    pub fn part(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.parts.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.parts.extend_from_slice(bytes);
        self
    }

    /// The key of everything added.
    pub fn finish(self) -> Key {
        let mut key = [0; KEY_BYTES];
        let mut hasher = blake3::Hasher::new_from_context_key(&self.context);
        key.copy_from_slice(&hasher.update(&self.parts).finalize().as_bytes()[..KEY_BYTES]);
        Key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[&str]| parts.iter().fold(KeyHasher::new("test"), KeyHasher::part).finish();
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_eq!(of(&["x"]).to_hex().len(), 32);
        assert_eq!(KeyDomain::new("test").hasher().part("x").finish(), of(&["x"]));
        let mut hasher = blake3::Hasher::new_derive_key("test");
        hasher.update(&1_u64.to_le_bytes()).update(b"x");
        assert_eq!(of(&["x"]).0, hasher.finalize().as_bytes()[..KEY_BYTES]);
    }
}
