//! The minima eight functions at a time.
#![expect(unsafe_code, reason = "vectors are loaded from and stored into slices of their size")]

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_min_epu32, _mm256_mullo_epi32, _mm256_set1_epi32,
    _mm256_storeu_si256,
};

use super::LANES;

/// As `scalar::minima`. The caller has seen that the machine has AVX2.
pub(super) fn minima(set: &[u32], factors: &[u32], offsets: &[u32], minima: &mut [u32]) {
    debug_assert!(std::arch::is_x86_feature_detected!("avx2"));
    // SAFETY: this path is only chosen where AVX2 was detected.
    unsafe { minima_avx2(set, factors, offsets, minima) }
}

#[target_feature(enable = "avx2")]
fn minima_avx2(set: &[u32], factors: &[u32], offsets: &[u32], minima: &mut [u32]) {
    /// Groups of functions whose minima stay in registers.
    const GROUPS: usize = 4;
    let lanes = factors.chunks(GROUPS * LANES).zip(offsets.chunks(GROUPS * LANES));
    for ((factors, offsets), minima) in lanes.zip(minima.chunks_mut(GROUPS * LANES)) {
        let groups = minima.len() / LANES;
        let zero = _mm256_set1_epi32(0);
        let (mut a, mut b, mut least) = ([zero; GROUPS], [zero; GROUPS], [zero; GROUPS]);
        for group in 0..groups {
            a[group] = load(&factors[group * LANES..][..LANES]);
            b[group] = load(&offsets[group * LANES..][..LANES]);
            least[group] = load(&minima[group * LANES..][..LANES]);
        }
        for hash in set {
            let hash = _mm256_set1_epi32(hash.cast_signed());
            for group in 0..GROUPS {
                let value = _mm256_add_epi32(_mm256_mullo_epi32(hash, a[group]), b[group]);
                least[group] = _mm256_min_epu32(least[group], value);
            }
        }
        for group in 0..groups {
            store(&mut minima[group * LANES..][..LANES], least[group]);
        }
    }
}

#[target_feature(enable = "avx2")]
fn load(lanes: &[u32]) -> __m256i {
    assert_eq!(lanes.len(), LANES);
    // SAFETY: eight numbers of 32 bits are 256 bits, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store(lanes: &mut [u32], values: __m256i) {
    assert_eq!(lanes.len(), LANES);
    // SAFETY: as in `load`.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), values) }
}
