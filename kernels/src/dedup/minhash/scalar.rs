//! The specification of the minima.

/// Lowers each of `minima` to the least `factor * hash + offset` over the hashes of a set.
pub(super) fn minima(set: &[u32], factors: &[u32], offsets: &[u32], minima: &mut [u32]) {
    for ((minimum, factor), offset) in minima.iter_mut().zip(factors).zip(offsets) {
        for hash in set {
            *minimum = (*minimum).min(factor.wrapping_mul(*hash).wrapping_add(*offset));
        }
    }
}
