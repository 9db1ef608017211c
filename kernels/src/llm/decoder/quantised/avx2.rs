//! The products with AVX2 and FMA: eight outputs in a register, four inputs of each at a time.
#![expect(unsafe_code, reason = "vectors are made from and into arrays of the same size")]

use core::arch::x86_64::{
    __m256, __m256i, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256,
    _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_slli_epi16, _mm256_srli_epi16,
    _mm256_sub_epi32,
};

use super::activations::Coded;
use super::tiles::{Eight, Four, LANES, Six, TILE};

/// Repeats the body with a constant in place of a loop, so that all of it stays in registers.
macro_rules! unrolled {
    ($step:ident in [$($value:literal)+] $body:block) => {
        $({
            const $step: usize = $value;
            $body
        })+
    };
}

/// Sums of one row: outputs 0 to 7 and 8 to 15.
type Sums = [__m256; 2];

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx2,fma")]
pub(super) fn four<const M: usize>(tiles: &[Four], rows: [&[Coded]; M]) -> [[f32; TILE]; M] {
    let mask = _mm256_set1_epi8(15);
    let ones = _mm256_set1_epi16(1);
    let mut sums: [Sums; M] = [[_mm256_setzero_ps(); 2]; M];
    for (group, tile) in tiles.iter().enumerate() {
        let coded = rows.map(|row| &row[group]);
        // A product is at most 15 * 127, and a lane gets 16 of them: 30 480 fits 16 bits.
        let mut products = [[_mm256_setzero_si256(); 2]; M];
        unrolled!(STEP in [0 1 2 3] {
            let packed = [load(tile.codes[2 * STEP]), load(tile.codes[2 * STEP + 1])];
            let low = packed.map(|packed| _mm256_and_si256(packed, mask));
            let high = packed.map(|packed| _mm256_and_si256(_mm256_srli_epi16::<4>(packed), mask));
            for (products, coded) in products.iter_mut().zip(coded) {
                let codes = broadcast(coded.codes[2 * STEP]);
                products[0] = _mm256_add_epi16(products[0], _mm256_maddubs_epi16(low[0], codes));
                products[1] = _mm256_add_epi16(products[1], _mm256_maddubs_epi16(low[1], codes));
                let codes = broadcast(coded.codes[2 * STEP + 1]);
                products[0] = _mm256_add_epi16(products[0], _mm256_maddubs_epi16(high[0], codes));
                products[1] = _mm256_add_epi16(products[1], _mm256_maddubs_epi16(high[1], codes));
            }
        });
        unrolled!(HALF in [0 1] {
            let scales = load_floats(tile.scales[HALF]);
            let offsets = load_floats(tile.offsets[HALF]);
            for (coded, (sums, products)) in coded.iter().zip(sums.iter_mut().zip(&products)) {
                let product = _mm256_cvtepi32_ps(_mm256_madd_epi16(products[HALF], ones));
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(coded.scale));
                let sum = _mm256_fmadd_ps(product, scale, sums[HALF]);
                sums[HALF] = _mm256_fmadd_ps(offsets, _mm256_set1_ps(coded.weighted_sum), sum);
            }
        });
    }
    sums.map(|sums| store(sums))
}

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx2,fma")]
pub(super) fn six<const M: usize>(tiles: &[Six], rows: [&[Coded]; M]) -> [[f32; TILE]; M] {
    let ones = _mm256_set1_epi16(1);
    let mut sums: [Sums; M] = [[_mm256_setzero_ps(); 2]; M];
    for (group, tile) in tiles.iter().enumerate() {
        let coded = rows.map(|row| &row[group]);
        unrolled!(PART in [0 1] {
            let mut weights = [[_mm256_setzero_si256(); 4]; 2];
            // Without closures, which are not inlined here.
            unrolled!(HALF in [0 1] {
                let high = load(tile.high[2 * PART + HALF]);
                let [first, second] = [load(tile.low[4 * PART + HALF]), load(tile.low[4 * PART + 2 + HALF])];
                weights[HALF] = [
                    six_bits(first, _mm256_slli_epi16::<4>(high)),
                    six_bits(_mm256_srli_epi16::<4>(first), _mm256_slli_epi16::<2>(high)),
                    six_bits(second, high),
                    six_bits(_mm256_srli_epi16::<4>(second), _mm256_srli_epi16::<2>(high)),
                ];
            });
            let scales = [load_floats(tile.scales[PART][0]), load_floats(tile.scales[PART][1])];
            for (coded, sums) in coded.iter().zip(&mut sums) {
                let mut products = [_mm256_setzero_si256(); 2];
                unrolled!(PAIR in [0 1] {
                    // A lane of 16 bits gets four products of at most 63 * 127: 32 004.
                    let first = broadcast(coded.codes[PART * 4 + PAIR * 2]);
                    let second = broadcast(coded.codes[PART * 4 + PAIR * 2 + 1]);
                    unrolled!(HALF in [0 1] {
                        let first = _mm256_maddubs_epi16(weights[HALF][2 * PAIR], first);
                        let second = _mm256_maddubs_epi16(weights[HALF][2 * PAIR + 1], second);
                        let pairs = _mm256_madd_epi16(_mm256_add_epi16(first, second), ones);
                        products[HALF] = _mm256_add_epi32(products[HALF], pairs);
                    });
                });
                let centre = _mm256_set1_epi32(coded.half_sums[PART]);
                let scale = _mm256_set1_ps(coded.scale);
                unrolled!(HALF in [0 1] {
                    let product = _mm256_cvtepi32_ps(_mm256_sub_epi32(products[HALF], centre));
                    sums[HALF] = _mm256_fmadd_ps(product, _mm256_mul_ps(scales[HALF], scale), sums[HALF]);
                });
            }
        });
    }
    sums.map(|sums| store(sums))
}

/// `M` rows times one strip of tiles.
#[target_feature(enable = "avx2,fma")]
pub(super) fn eight<const M: usize>(tiles: &[Eight], rows: [&[Coded]; M]) -> [[f32; TILE]; M] {
    let ones = _mm256_set1_epi16(1);
    let mut sums: [Sums; M] = [[_mm256_setzero_ps(); 2]; M];
    for (group, tile) in tiles.iter().enumerate() {
        let coded = rows.map(|row| &row[group]);
        let mut products = [[_mm256_setzero_si256(); 2]; M];
        unrolled!(STEP in [0 1 2 3 4 5 6 7] {
            let weights = [load_signed(tile.codes[2 * STEP]), load_signed(tile.codes[2 * STEP + 1])];
            let sizes = weights.map(|weights| _mm256_abs_epi8(weights));
            for (products, coded) in products.iter_mut().zip(coded) {
                let codes = broadcast(coded.codes[STEP]);
                unrolled!(HALF in [0 1] {
                    // The sign moves from the weight to the activation. A lane gets two products of at most
                    // 128 * 127: 32 512.
                    let signed = _mm256_sign_epi8(codes, weights[HALF]);
                    let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(sizes[HALF], signed), ones);
                    products[HALF] = _mm256_add_epi32(products[HALF], pairs);
                });
            }
        });
        unrolled!(HALF in [0 1] {
            let scales = load_floats(tile.scales[HALF]);
            for (coded, (sums, products)) in coded.iter().zip(sums.iter_mut().zip(&products)) {
                let scale = _mm256_mul_ps(scales, _mm256_set1_ps(coded.scale));
                sums[HALF] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products[HALF]), scale, sums[HALF]);
            }
        });
    }
    sums.map(|sums| store(sums))
}

/// The lower four bits of bytes, and two more from other bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn six_bits(low: __m256i, high: __m256i) -> __m256i {
    let low = _mm256_and_si256(low, _mm256_set1_epi8(15));
    _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(0x30)))
}

/// Four codes, repeated for every output.
#[inline]
#[target_feature(enable = "avx2")]
fn broadcast(codes: [i8; 4]) -> __m256i {
    _mm256_set1_epi32(i32::from_le_bytes(codes.map(i8::cast_unsigned)))
}

/// By value, for the intrinsics that load through pointers are several times slower in builds with debug assertions.
#[inline]
#[target_feature(enable = "avx2")]
fn load(values: [u8; 32]) -> __m256i {
    // SAFETY: 32 bytes into 32 bytes, of which every pattern is valid.
    unsafe { core::mem::transmute::<[u8; 32], __m256i>(values) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_signed(values: [i8; 32]) -> __m256i {
    // SAFETY: 32 bytes into 32 bytes, of which every pattern is valid.
    unsafe { core::mem::transmute::<[i8; 32], __m256i>(values) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_floats(values: [f32; LANES]) -> __m256 {
    // SAFETY: eight numbers into eight numbers.
    unsafe { core::mem::transmute::<[f32; LANES], __m256>(values) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(sums: Sums) -> [f32; TILE] {
    // SAFETY: sixteen numbers into sixteen numbers.
    unsafe { core::mem::transmute::<Sums, [f32; TILE]>(sums) }
}
