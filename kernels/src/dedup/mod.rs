//! Near-duplicates: texts as sets of shingles, and which of many texts are alike.
//!
//! - [`shingle`]: a text as the set of its runs of words or characters;
//! - [`bands`]: how many hash functions, in bands of how many, a wanted recall takes;
//! - [`minhash`]: the bands of a set, by which alike sets can be found without comparing all;
//! - [`sharing`]: the texts that share a band with another, which most do not;
//! - [`overlap`]: passages that a text has in common with texts that are given;
//! - [`semantic`]: texts of like meaning, by their vectors;
//! - [`survivors`]: of alike texts the first stays; each of the others is compared with one that stays.
//!
//! Bands only propose. Whether two texts are alike is the Jaccard similarity of their whole sets: the size of what is
//! common over the size of both together.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "parts of hashes are taken, and texts and what is counted of them are fewer than 2^32"
)]

pub mod bands;
mod bits;
pub mod minhash;
pub mod overlap;
mod prefix;
pub mod semantic;
pub mod sharing;
pub mod shingle;
pub mod survivors;

/// Numbers as bytes, little endian, as tables hold them.
pub fn to_bytes(numbers: &[u32]) -> impl Iterator<Item = u8> + '_ {
    numbers.iter().flat_map(|number| number.to_le_bytes())
}

/// The numbers that [`to_bytes`] wrote; what is left over of the last one is ignored.
pub fn from_bytes(bytes: &[u8]) -> impl ExactSizeIterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
