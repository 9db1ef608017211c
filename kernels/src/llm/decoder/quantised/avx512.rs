//! The products with AVX-512 and VNNI: all sixteen outputs of a tile in a register, four inputs of each multiplied and added
//! to 32 bits by one instruction.
#![expect(unsafe_code, reason = "vectors are made from and into arrays of the same size")]

use core::arch::x86_64::{
    __m512, __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32,
    _mm512_fmadd_ps, _mm512_mul_ps, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi16, _mm512_srli_epi16, _mm512_sub_epi32,
    _mm512_xor_si512,
};

use super::activations::Coded;
use super::tiles::{Eight, Four, LANES, Six, TILE};

/// Whether this processor has what these products need.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn four<const M: usize>(tiles: &[Four], rows: [&[Coded]; M]) -> [[f32; TILE]; M] {
    let mut sums = [_mm512_setzero_ps(); M];
    for (group, tile) in tiles.iter().enumerate() {
        // Two sums a row, so that no instruction waits for the one before it.
        let mut products = [[_mm512_setzero_si512(); 2]; M];
        for (step, codes) in tile.codes.as_chunks::<2>().0.iter().enumerate() {
            let packed = load(*codes);
            let (low, high) = (four_bits(packed), four_bits(_mm512_srli_epi16::<4>(packed)));
            for row in 0..M {
                let coded = &rows[row][group].codes;
                products[row][0] = _mm512_dpbusd_epi32(products[row][0], low, broadcast(coded[2 * step]));
                products[row][1] =
                    _mm512_dpbusd_epi32(products[row][1], high, broadcast(coded[2 * step + 1]));
            }
        }
        let (scales, offsets) = (load_floats(tile.scales), load_floats(tile.offsets));
        for row in 0..M {
            let coded = &rows[row][group];
            let product = _mm512_cvtepi32_ps(_mm512_add_epi32(products[row][0], products[row][1]));
            let sum = _mm512_fmadd_ps(product, _mm512_mul_ps(scales, _mm512_set1_ps(coded.scale)), sums[row]);
            sums[row] = _mm512_fmadd_ps(offsets, _mm512_set1_ps(coded.weighted_sum), sum);
        }
    }
    store(sums)
}

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn six<const M: usize>(tiles: &[Six], rows: [&[Coded]; M]) -> [[f32; TILE]; M] {
    let mut sums = [_mm512_setzero_ps(); M];
    for (group, tile) in tiles.iter().enumerate() {
        let (low, high) = (tile.low.as_chunks::<2>().0, tile.high.as_chunks::<2>().0);
        for part in 0..2 {
            let (first, second) = (load(low[2 * part]), load(low[2 * part + 1]));
            let high = load(high[part]);
            let weights = [
                six_bits(first, _mm512_slli_epi16::<4>(high)),
                six_bits(_mm512_srli_epi16::<4>(first), _mm512_slli_epi16::<2>(high)),
                six_bits(second, high),
                six_bits(_mm512_srli_epi16::<4>(second), _mm512_srli_epi16::<2>(high)),
            ];
            let scales = load_floats(tile.scales[part]);
            for row in 0..M {
                let coded = &rows[row][group];
                let mut product = _mm512_setzero_si512();
                for (weights, codes) in weights.iter().zip(&coded.codes[4 * part..4 * part + 4]) {
                    product = _mm512_dpbusd_epi32(product, *weights, broadcast(*codes));
                }
                let product = _mm512_sub_epi32(product, _mm512_set1_epi32(coded.half_sums[part]));
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(coded.scale));
                sums[row] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(product), scale, sums[row]);
            }
        }
    }
    store(sums)
}

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn eight<const M: usize>(tiles: &[Eight], rows: [&[Coded]; M]) -> [[f32; TILE]; M] {
    let mut sums = [_mm512_setzero_ps(); M];
    // The instruction wants weights without a sign: 128 more, and 128 times the sum of the codes less in the end.
    let shift = _mm512_set1_epi8(-128);
    for (group, tile) in tiles.iter().enumerate() {
        let mut products = [[_mm512_setzero_si512(); 2]; M];
        for (step, codes) in tile.codes.as_chunks::<2>().0.iter().enumerate() {
            let weights = _mm512_xor_si512(load(codes.map(|codes| codes.map(i8::cast_unsigned))), shift);
            for row in 0..M {
                let codes = broadcast(rows[row][group].codes[step]);
                let product = &mut products[row][step % 2];
                *product = _mm512_dpbusd_epi32(*product, weights, codes);
            }
        }
        let scales = load_floats(tile.scales);
        for row in 0..M {
            let coded = &rows[row][group];
            let shifted = _mm512_set1_epi32(4 * (coded.half_sums[0] + coded.half_sums[1]));
            let product = _mm512_sub_epi32(_mm512_add_epi32(products[row][0], products[row][1]), shifted);
            let scale = _mm512_mul_ps(scales, _mm512_set1_ps(coded.scale));
            sums[row] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(product), scale, sums[row]);
        }
    }
    store(sums)
}

/// The lower four bits of bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn four_bits(packed: __m512i) -> __m512i {
    _mm512_and_si512(packed, _mm512_set1_epi8(15))
}

/// The lower four bits of bytes, and two more from other bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn six_bits(low: __m512i, high: __m512i) -> __m512i {
    _mm512_or_si512(four_bits(low), _mm512_and_si512(high, _mm512_set1_epi8(0x30)))
}

/// Four codes, repeated for every output.
#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(codes: [i8; 4]) -> __m512i {
    _mm512_set1_epi32(i32::from_le_bytes(codes.map(i8::cast_unsigned)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: [[u8; 32]; 2]) -> __m512i {
    // SAFETY: 64 bytes into 64 bytes, of which every pattern is valid.
    unsafe { core::mem::transmute::<[[u8; 32]; 2], __m512i>(values) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_floats(values: [[f32; LANES]; 2]) -> __m512 {
    // SAFETY: sixteen numbers into sixteen numbers.
    unsafe { core::mem::transmute::<[[f32; LANES]; 2], __m512>(values) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<const M: usize>(sums: [__m512; M]) -> [[f32; TILE]; M] {
    let mut rows = [[0.0; TILE]; M];
    for (row, sums) in rows.iter_mut().zip(sums) {
        // SAFETY: sixteen numbers into sixteen numbers.
        *row = unsafe { core::mem::transmute::<__m512, [f32; TILE]>(sums) };
    }
    rows
}
