//! The blocks of GGUF files (llama.cpp, `ggml-common.h`), by groups of 32 weights.

use candle_core::quantized::GgmlDType;

use super::tiles::GROUP;

/// 32 neighbouring weights of a row.
///
/// What a code means depends on the type: `code * scale + offset` for types of four bits, `(code - 32) * scale` for
/// `Q5_0` and `Q6_K` (with a scale for either half), and the bits of a signed code times scale for all others.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) codes: [u8; GROUP],
    pub(super) scales: [f32; 2],
    pub(super) offset: f32,
}

/// Whether [`group`] can read blocks of the type.
pub(super) fn is_supported(data_type: GgmlDType) -> bool {
    matches!(
        data_type,
        GgmlDType::Q4_0
            | GgmlDType::Q4_1
            | GgmlDType::Q5_0
            | GgmlDType::Q8_0
            | GgmlDType::Q4K
            | GgmlDType::Q6K
    )
}

/// The `index`-th group of a row of blocks of a supported type.
pub(super) fn group(data_type: GgmlDType, row: &[u8], index: usize) -> Group {
    let per_block = data_type.block_size() / GROUP;
    let block = &row[index / per_block * data_type.type_size()..][..data_type.type_size()];
    let index = index % per_block;
    match data_type {
        GgmlDType::Q4_0 => {
            let scale = half(&block[..2]);
            affine(nibbles(&block[2..]), scale, -8.0 * scale)
        }
        GgmlDType::Q4_1 => affine(nibbles(&block[4..]), half(&block[..2]), half(&block[2..4])),
        GgmlDType::Q5_0 => {
            let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
            let mut codes = nibbles(&block[6..]);
            for (bit, code) in codes.iter_mut().enumerate() {
                *code += if high >> bit & 1 == 1 { 32 } else { 16 };
            }
            Group { codes, scales: [half(&block[..2]); 2], offset: 0.0 }
        }
        GgmlDType::Q4K => {
            let (scale, offset) = scale_and_offset(index, &block[4..16]);
            let bytes = &block[16 + index / 2 * GROUP..][..GROUP];
            let mut codes = [0; GROUP];
            for (code, byte) in codes.iter_mut().zip(bytes) {
                *code = byte >> (4 * (index % 2)) & 15;
            }
            affine(codes, half(&block[..2]) * f32::from(scale), -half(&block[2..4]) * f32::from(offset))
        }
        GgmlDType::Q6K => {
            let (low, high) = (&block[index / 4 * 64 + index % 2 * 32..], &block[128 + index / 4 * 32..]);
            let mut codes = [0; GROUP];
            for (input, code) in codes.iter_mut().enumerate() {
                *code =
                    (low[input] >> (4 * (index % 4 / 2)) & 15) | (high[input] >> (2 * (index % 4)) & 3) << 4;
            }
            let scale = half(&block[208..210]);
            let scales = [0, 1].map(|part| scale * f32::from(block[192 + 2 * index + part].cast_signed()));
            Group { codes, scales, offset: 0.0 }
        }
        _ => {
            let mut codes = [0; GROUP];
            codes.copy_from_slice(&block[2..2 + GROUP]);
            Group { codes, scales: [half(&block[..2]); 2], offset: 0.0 }
        }
    }
}

/// 32 weights quantised to signed codes of 8 bits.
pub(super) fn requantised(values: &[f32]) -> Group {
    let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let mut codes = [0; GROUP];
    for (code, value) in codes.iter_mut().zip(values) {
        #[expect(clippy::cast_possible_truncation, reason = "within -127..=127")]
        let signed = (value * inverse).round_ties_even() as i8;
        *code = signed.cast_unsigned();
    }
    Group { codes, scales: [largest / 127.0; 2], offset: 0.0 }
}

fn affine(codes: [u8; GROUP], scale: f32, offset: f32) -> Group {
    Group { codes, scales: [scale; 2], offset }
}

/// The low halves of 16 bytes, then the high ones.
fn nibbles(bytes: &[u8]) -> [u8; GROUP] {
    let mut codes = [0; GROUP];
    for (input, byte) in bytes[..GROUP / 2].iter().enumerate() {
        (codes[input], codes[input + GROUP / 2]) = (byte & 15, byte >> 4);
    }
    codes
}

/// The six-bit scale and offset of a group of `Q4_K`.
fn scale_and_offset(group: usize, packed: &[u8]) -> (u8, u8) {
    if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let (low, scale, offset) = (packed[group + 4], packed[group - 4], packed[group]);
        (low & 15 | scale >> 6 << 4, low >> 4 | offset >> 6 << 4)
    }
}

/// An IEEE half-precision number, exactly.
fn half(bytes: &[u8]) -> f32 {
    let bits = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let (sign, exponent, fraction) = (bits >> 15 << 31, bits >> 10 & 31, bits & 1023);
    match exponent {
        0 => f32::from_bits(sign | (fraction as f32 * 2f32.powi(-24)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_exactly() {
        for (bits, value) in [
            (0x0000u16, 0.0f32),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half(&bits.to_le_bytes()).to_bits(), value.to_bits(), "{bits:#x}");
        }
        assert!(half(&0x7e00u16.to_le_bytes()).is_nan());
    }
}
