//! The minima four functions at a time.
#![expect(unsafe_code, reason = "vectors are loaded from and stored into slices of their size")]

use std::arch::aarch64::{vdupq_n_u32, vld1q_u32, vminq_u32, vmlaq_u32, vst1q_u32};

/// Functions of one register.
const WIDTH: usize = 4;

/// As `scalar::minima`. The caller has seen that the machine has NEON.
pub(super) fn minima(set: &[u32], factors: &[u32], offsets: &[u32], minima: &mut [u32]) {
    debug_assert!(std::arch::is_aarch64_feature_detected!("neon"));
    // SAFETY: this path is only chosen where NEON was detected.
    unsafe { minima_neon(set, factors, offsets, minima) }
}

#[target_feature(enable = "neon")]
fn minima_neon(set: &[u32], factors: &[u32], offsets: &[u32], minima: &mut [u32]) {
    let lanes = factors.chunks_exact(WIDTH).zip(offsets.chunks_exact(WIDTH));
    for ((factors, offsets), minima) in lanes.zip(minima.chunks_exact_mut(WIDTH)) {
        // SAFETY: each of the three slices has four numbers.
        let (a, b, mut least) =
            unsafe { (vld1q_u32(factors.as_ptr()), vld1q_u32(offsets.as_ptr()), vld1q_u32(minima.as_ptr())) };
        for hash in set {
            least = vminq_u32(least, vmlaq_u32(b, a, vdupq_n_u32(*hash)));
        }
        // SAFETY: as above.
        unsafe { vst1q_u32(minima.as_mut_ptr(), least) };
    }
}
