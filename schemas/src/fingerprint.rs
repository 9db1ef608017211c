//! Fingerprints of stages and artifacts: content addresses that are the same on every machine.

use serde::{Deserialize, Serialize};

/// Content address of a stage's work or of an artifact: 64 hex digits of BLAKE3.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The first eight hex digits, as used in folder names.
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(8)]
    }

    /// All hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hashes labelled parts into a [`Fingerprint`].
#[derive(Debug, Clone)]
pub struct FingerprintHasher(blake3::Hasher);

impl FingerprintHasher {
    /// A hasher for one kind of thing.
    pub fn new(domain: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(domain))
    }

    /// Adds one labelled part.
    pub fn part(&mut self, label: &str, bytes: impl AsRef<[u8]>) -> &mut Self {
        for piece in [label.as_bytes(), bytes.as_ref()] {
            self.0.update(&(piece.len() as u64).to_le_bytes());
            self.0.update(piece);
        }
        self
    }

    /// The fingerprint of everything added.
    pub fn finish(&self) -> Fingerprint {
        Fingerprint(self.0.finalize().to_hex().to_string())
    }
}
