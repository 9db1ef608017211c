//! The products with AVX2 and FMA: eight outputs in a register, four inputs of each at a time.
#![expect(unsafe_code, reason = "loads through pointers")]

use core::arch::x86_64::*;

use super::activations::Row;
use super::tiles::{Eight, Four, GROUP, Six, TILE};

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx2,fma")]
pub(super) fn four<const M: usize>(tiles: &[Four], rows: [Row<'_>; M]) -> [[f32; TILE]; M] {
    let mask = _mm256_set1_epi8(15);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_ps(); M]; 2];
    for (group, tile) in tiles.iter().enumerate() {
        let codes = rows.map(|row| &row.codes[group]);
        for half in 0..2 {
            // A product is at most 15 * 127, and a lane gets 16 of them: 30 480 fits 16 bits.
            let mut products = [_mm256_setzero_si256(); M];
            for step in 0..4 {
                let packed = load(&tile.codes, step * 64 + half * 32);
                let low = _mm256_and_si256(packed, mask);
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), mask);
                for (product, codes) in products.iter_mut().zip(codes) {
                    *product =
                        _mm256_add_epi16(*product, _mm256_maddubs_epi16(low, broadcast(codes, 8 * step)));
                    *product = _mm256_add_epi16(
                        *product,
                        _mm256_maddubs_epi16(high, broadcast(codes, 8 * step + 4)),
                    );
                }
            }
            let scales = load_floats(&tile.scales, half * 8);
            let offsets = load_floats(&tile.offsets, half * 8);
            for (row, (sum, product)) in rows.iter().zip(sums[half].iter_mut().zip(products)) {
                let product = _mm256_cvtepi32_ps(_mm256_madd_epi16(product, ones));
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(row.scales[group]));
                *sum = _mm256_fmadd_ps(product, scale, *sum);
                *sum = _mm256_fmadd_ps(offsets, _mm256_set1_ps(row.weighted_sums[group]), *sum);
            }
        }
    }
    store(sums)
}

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx2,fma")]
pub(super) fn six<const M: usize>(tiles: &[Six], rows: [Row<'_>; M]) -> [[f32; TILE]; M] {
    let (mask, high_mask) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0x30));
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_ps(); M]; 2];
    for (group, tile) in tiles.iter().enumerate() {
        let codes = rows.map(|row| &row.codes[group]);
        for half in 0..2 {
            for part in 0..2 {
                let high = load(&tile.high, part * 64 + half * 32);
                let low = [0, 1].map(|step| load(&tile.low, part * 128 + step * 64 + half * 32));
                let weights = [
                    (_mm256_and_si256(low[0], mask), _mm256_slli_epi16::<4>(high)),
                    (_mm256_and_si256(_mm256_srli_epi16::<4>(low[0]), mask), _mm256_slli_epi16::<2>(high)),
                    (_mm256_and_si256(low[1], mask), high),
                    (_mm256_and_si256(_mm256_srli_epi16::<4>(low[1]), mask), _mm256_srli_epi16::<2>(high)),
                ]
                .map(|(low, high)| _mm256_or_si256(low, _mm256_and_si256(high, high_mask)));
                let scales = load_floats(&tile.scales[part], half * 8);
                for (index, row) in rows.iter().enumerate() {
                    let product = |step: usize| {
                        _mm256_maddubs_epi16(weights[step], broadcast(codes[index], part * 16 + step * 4))
                    };
                    // A lane of 16 bits gets four products of at most 63 * 127: 32 004.
                    let first = _mm256_add_epi16(product(0), product(1));
                    let second = _mm256_add_epi16(product(2), product(3));
                    let product =
                        _mm256_add_epi32(_mm256_madd_epi16(first, ones), _mm256_madd_epi16(second, ones));
                    let centre = _mm256_set1_epi32(32 * row.half_sums[group][part]);
                    let product = _mm256_cvtepi32_ps(_mm256_sub_epi32(product, centre));
                    let scale = _mm256_mul_ps(scales, _mm256_set1_ps(row.scales[group]));
                    sums[half][index] = _mm256_fmadd_ps(product, scale, sums[half][index]);
                }
            }
        }
    }
    store(sums)
}

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx2,fma")]
pub(super) fn eight<const M: usize>(tiles: &[Eight], rows: [Row<'_>; M]) -> [[f32; TILE]; M] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_ps(); M]; 2];
    for (group, tile) in tiles.iter().enumerate() {
        let codes = rows.map(|row| &row.codes[group]);
        for half in 0..2 {
            let mut products = [_mm256_setzero_si256(); M];
            for step in 0..8 {
                let weights = load(&tile.codes, step * 64 + half * 32);
                let sizes = _mm256_abs_epi8(weights);
                for (product, codes) in products.iter_mut().zip(codes) {
                    // The sign moves from the weight to the activation. A lane gets two products of at most
                    // 128 * 127: 32 512.
                    let signed = _mm256_sign_epi8(broadcast(codes, 4 * step), weights);
                    let pair = _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, signed), ones);
                    *product = _mm256_add_epi32(*product, pair);
                }
            }
            let scales = load_floats(&tile.scales, half * 8);
            for (row, (sum, product)) in rows.iter().zip(sums[half].iter_mut().zip(products)) {
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(row.scales[group]));
                *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(product), scale, *sum);
            }
        }
    }
    store(sums)
}

/// Four codes, repeated for every output.
#[target_feature(enable = "avx2")]
fn broadcast(codes: &[i8; GROUP], at: usize) -> __m256i {
    let bytes = [codes[at], codes[at + 1], codes[at + 2], codes[at + 3]].map(i8::cast_unsigned);
    _mm256_set1_epi32(i32::from_le_bytes(bytes))
}

/// 32 bytes from position `at`.
#[target_feature(enable = "avx2")]
fn load<T, const N: usize>(values: &[T; N], at: usize) -> __m256i {
    const { assert!(size_of::<T>() == 1, "codes are bytes") };
    let values = &values[at..at + 32];
    // SAFETY: the slice holds 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

/// Eight numbers from position `at`.
#[target_feature(enable = "avx2")]
fn load_floats(values: &[f32; TILE], at: usize) -> __m256 {
    let values = &values[at..at + 8];
    // SAFETY: the slice holds eight numbers; the load needs no alignment.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

#[target_feature(enable = "avx2")]
fn store<const M: usize>(sums: [[__m256; M]; 2]) -> [[f32; TILE]; M] {
    let mut result = [[0f32; TILE]; M];
    for (half, sums) in sums.into_iter().enumerate() {
        for (result, sum) in result.iter_mut().zip(sums) {
            let result = &mut result[half * 8..half * 8 + 8];
            // SAFETY: the slice holds eight numbers; the store needs no alignment.
            unsafe { _mm256_storeu_ps(result.as_mut_ptr(), sum) };
        }
    }
    result
}
