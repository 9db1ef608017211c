//! N-gram models in the form in which the program carries them: 3.5 bytes an n-gram.
//!
//! A model is a table of buckets, found by the hash of an n-gram. Of each n-gram it holds 16 further bits of the hash and the
//! logarithm of its probability in one byte, so an n-gram is taken for another one of the model once in 5,000 times.
//!
//! ```text
//! bits      u8        there are 2^bits buckets of 7 to 12 n-grams on average
//! starts    u32 each  2^bits + 1 of them: n-grams before each bucket
//! buckets             the tags (u16 each) of its n-grams, then their values (u8 each)
//! ```
//!
//! All numbers are little-endian. The build script includes this file too: it writes what the library reads.
#![allow(dead_code, reason = "the build script only writes and the library only reads")]

/// Letters of the longest n-grams that are kept. With those of five letters, which are two in three, 97.97 % of 20,796 short
/// texts in 47 languages were told, without 97.75 % (lingua itself: 97.2 %), and without those of four 97.25 %.
pub(crate) const LONGEST: usize = 4;

/// N-grams in a bucket on average, at most.
const PER_BUCKET: usize = 12;

/// The least logarithm of a probability that can be told from the others, in nats. The models have none below -18.5.
const LEAST: f64 = -19.125;

/// How far apart the values of a byte are.
const STEP: f64 = LEAST / 255.0;

/// The hash of the empty n-gram.
pub(crate) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of an n-gram with a letter more (FNV-1a).
pub(crate) fn extended(hash: u64, letter: char) -> u64 {
    let mut bytes = [0; 4];
    let bytes = letter.encode_utf8(&mut bytes).as_bytes();
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The bucket of a hash, of `2^bits`, and its tag in there.
fn place(hash: u64, bits: u8) -> (usize, u16) {
    // The last letter reaches the high bits of the hash by a product only.
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = u128::from(mixed) << bits;
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the product that are wanted")]
    let place = ((mixed >> 64) as usize, ((mixed >> 48) & 0xffff) as u16);
    place
}

/// The model of some n-grams, by hash, and the natural logarithms of their probabilities.
pub(crate) fn pack(ngrams: &[(u64, f64)]) -> Vec<u8> {
    let mut bits = 0;
    while (ngrams.len() >> bits) > PER_BUCKET {
        bits += 1;
    }
    let mut buckets: Vec<Vec<(u16, u8)>> = vec![Vec::new(); 1 << bits];
    for &(hash, logarithm) in ngrams {
        let (bucket, tag) = place(hash, bits);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
        let value = (logarithm / STEP).round().clamp(0.0, 255.0) as u8;
        buckets[bucket].push((tag, value));
    }
    let mut packed = vec![bits];
    let mut before: u32 = 0;
    packed.extend(before.to_le_bytes());
    for bucket in &buckets {
        before += u32::try_from(bucket.len()).unwrap_or(u32::MAX);
        packed.extend(before.to_le_bytes());
    }
    for mut bucket in buckets {
        bucket.sort_unstable();
        packed.extend(bucket.iter().flat_map(|(tag, _)| tag.to_le_bytes()));
        packed.extend(bucket.iter().map(|(_, value)| value));
    }
    packed
}

/// A packed model, as it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    bits: u8,
    starts: &'a [[u8; 4]],
    buckets: &'a [u8],
}

impl<'a> Model<'a> {
    /// What [`pack`] has made; `None` for other bytes.
    pub(crate) fn read(packed: &'a [u8]) -> Option<Self> {
        let (&bits, rest) = packed.split_first()?;
        let (starts, _) = rest.as_chunks::<4>();
        let starts = starts.get(..1_usize.checked_shl(bits.into())?.checked_add(1)?)?;
        let buckets = &rest[4 * starts.len()..];
        let entries = usize::try_from(u32::from_le_bytes(*starts.last()?)).ok()?;
        (buckets.len() == 3 * entries).then_some(Self { bits, starts, buckets })
    }

    /// The natural logarithm of the probability of an n-gram, to 0.04; `None` if the model does not have it.
    pub(crate) fn logarithm(&self, hash: u64) -> Option<f64> {
        let (bucket, tag) = place(hash, self.bits);
        let start = |at: usize| self.starts.get(at).map(|&start| u32::from_le_bytes(start) as usize);
        let (from, to) = (start(bucket)?, start(bucket + 1)?);
        let (tags, values) = self.buckets.get(3 * from..3 * to)?.split_at_checked(2 * (to - from))?;
        let (tags, _) = tags.as_chunks::<2>();
        let at = tags.iter().position(|&other| u16::from_le_bytes(other) == tag)?;
        Some(f64::from(*values.get(at)?) * STEP)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(ngram: &str) -> u64 {
        ngram.chars().fold(EMPTY, extended)
    }

    proptest! {
        #[test]
        fn what_is_packed_is_found(
            ngrams in prop::collection::btree_map("[a-zäжक]{1,5}", -18.5..=0.0_f64, 0..400),
            others in prop::collection::btree_set("[a-zäжक]{1,5}", 0..400),
        ) {
            let entries: Vec<(u64, f64)> = ngrams.iter().map(|(ngram, &value)| (hash(ngram), value)).collect();
            let packed = pack(&entries);
            let model = Model::read(&packed).unwrap();
            let wrong = ngrams
                .iter()
                .filter(|&(ngram, &value)| {
                    model.logarithm(hash(ngram)).is_none_or(|found| (found - value).abs() > 0.51 * -STEP)
                })
                .count();
            let false_ones = others
                .iter()
                .filter(|&other| !ngrams.contains_key(other) && model.logarithm(hash(other)).is_some())
                .count();
            // Two n-grams of a bucket may have one tag.
            prop_assert!(wrong <= 2 && false_ones <= 3, "{wrong} wrong, {false_ones} false");
        }

        #[test]
        fn other_bytes_are_no_model(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(model) = Model::read(&bytes) {
                model.logarithm(hash("any"));
            }
            let packed = pack(&[(hash("a"), -1.0), (hash("ab"), -2.0)]);
            prop_assert!(Model::read(&packed[..packed.len() - 1]).is_none());
        }
    }
}
