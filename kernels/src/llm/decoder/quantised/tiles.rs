//! Weights in tiles of 16 outputs by 32 inputs.
//!
//! Within a tile the codes of four neighbouring inputs of one output lie together, and the outputs follow each other,
//! so that one multiply-add instruction serves eight or sixteen outputs. Tiles begin where cache lines do, and no vector of
//! them lies in two.

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QTensor};
use rayon::prelude::*;

use super::blocks::{self, Group};
use crate::KernelError;

/// Outputs of a tile.
pub(super) const TILE: usize = 16;
/// Inputs of a tile, and of a group with a scale of its own.
pub(super) const GROUP: usize = 32;
/// Outputs whose numbers fill a vector of 256 bits.
pub(super) const LANES: usize = 8;

/// A number for each output.
pub(super) type PerOutput = [[f32; LANES]; TILE / LANES];
/// Codes of a whole tile, in vectors of 32 bytes.
pub(super) type Codes<T, const N: usize> = [[T; 32]; N];

/// weight = code * scale + offset, codes 0..=15.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Four {
    pub(super) scales: PerOutput,
    pub(super) offsets: PerOutput,
    /// `[input / 8][output][input % 4]`; the low half of a byte is input `8 i + j`, the high half `8 i + 4 + j`.
    pub(super) codes: Codes<u8, 8>,
}

/// weight = (code - 32) * scale, codes 0..=63, a scale for either half of the group.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Six {
    pub(super) scales: [PerOutput; 2],
    /// The low four bits, as in [`Four`].
    pub(super) low: Codes<u8, 8>,
    /// `[input / 16][output][input % 4]`: the high two bits of inputs `16 i + j`, `+ 4`, `+ 8` and `+ 12`, from below.
    pub(super) high: Codes<u8, 4>,
}

/// weight = code * scale, codes -128..=127.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Eight {
    pub(super) scales: PerOutput,
    /// `[input / 4][output][input % 4]`.
    pub(super) codes: Codes<i8, 16>,
}

/// Tiles of a matrix, `[outputs / TILE][inputs / GROUP]`.
#[derive(Debug)]
pub(super) enum Tiles {
    Four(Vec<Four>),
    Six(Vec<Six>),
    Eight(Vec<Eight>),
}

/// A quantised matrix `[outputs, inputs]` in tiles. Outputs beyond the last are zero.
#[derive(Debug)]
pub(crate) struct Quantised {
    pub(super) tiles: Tiles,
    pub(super) outputs: usize,
    /// Groups of a row.
    pub(super) groups: usize,
}

impl Quantised {
    /// Rearranges a matrix; none if its rows are no whole number of groups.
    ///
    /// The types `Q4_0`, `Q4_1`, `Q4_K`, `Q5_0`, `Q6_K` and `Q8_0` keep every weight. All others are dequantised and
    /// quantised again to 8 bits in groups of 32.
    pub(crate) fn new(weight: &QTensor) -> Result<Option<Self>, KernelError> {
        let (outputs, inputs) = weight.shape().dims2()?;
        if !inputs.is_multiple_of(GROUP) {
            return Ok(None);
        }
        let groups = inputs / GROUP;
        let data_type = weight.dtype();
        let dense: Vec<f32>;
        let bytes;
        let source: Box<dyn Fn(usize, usize) -> Group + Sync> = if blocks::is_supported(data_type) {
            bytes = weight.data()?;
            let stride = inputs / data_type.block_size() * data_type.type_size();
            let bytes = &bytes;
            Box::new(move |row, group| {
                blocks::group(data_type, &bytes[row * stride..(row + 1) * stride], group)
            })
        } else {
            dense = weight.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
            let dense = &dense;
            Box::new(move |row, group| blocks::requantised(&dense[row * inputs + group * GROUP..][..GROUP]))
        };
        let count = outputs.div_ceil(TILE) * groups;
        let tile = |index: usize| {
            let (first, group) = (index / groups * TILE, index % groups);
            let source = &source;
            (first..(first + TILE).min(outputs)).map(move |row| source(row, group)).enumerate()
        };
        let tiles = match data_type {
            GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q4K => {
                Tiles::Four((0..count).into_par_iter().map(|index| four(tile(index))).collect())
            }
            GgmlDType::Q5_0 | GgmlDType::Q6K => {
                Tiles::Six((0..count).into_par_iter().map(|index| six(tile(index))).collect())
            }
            _ => Tiles::Eight((0..count).into_par_iter().map(|index| eight(tile(index))).collect()),
        };
        Ok(Some(Self { tiles, outputs, groups }))
    }
}

fn four(groups: impl Iterator<Item = (usize, Group)>) -> Four {
    let mut tile =
        Four { scales: Default::default(), offsets: Default::default(), codes: Default::default() };
    for (output, group) in groups {
        tile.scales[output / LANES][output % LANES] = group.scales[0];
        tile.offsets[output / LANES][output % LANES] = group.offset;
        pack_low(&mut tile.codes, output, &group.codes);
    }
    tile
}

fn six(groups: impl Iterator<Item = (usize, Group)>) -> Six {
    let mut tile = Six { scales: Default::default(), low: Default::default(), high: Default::default() };
    for (output, group) in groups {
        for half in 0..2 {
            tile.scales[half][output / LANES][output % LANES] = group.scales[half];
        }
        pack_low(&mut tile.low, output, &group.codes);
        for index in 0..8 {
            let (half, one) = (index / 4, index % 4);
            let at = (half * TILE + output) * 4 + one;
            let bits = |step: usize| (group.codes[16 * half + 4 * step + one] >> 4) << (2 * step);
            tile.high[at / 32][at % 32] = bits(0) | bits(1) | bits(2) | bits(3);
        }
    }
    tile
}

fn eight(groups: impl Iterator<Item = (usize, Group)>) -> Eight {
    let mut tile = Eight { scales: Default::default(), codes: Default::default() };
    for (output, group) in groups {
        tile.scales[output / LANES][output % LANES] = group.scales[0];
        for (input, code) in group.codes.iter().enumerate() {
            let at = (input / 4 * TILE + output) * 4 + input % 4;
            tile.codes[at / 32][at % 32] = code.cast_signed();
        }
    }
    tile
}

fn pack_low(low: &mut Codes<u8, 8>, output: usize, codes: &[u8; GROUP]) {
    for (eight, codes) in codes.as_chunks::<8>().0.iter().enumerate() {
        for one in 0..4 {
            let at = (eight * TILE + output) * 4 + one;
            low[at / 32][at % 32] = (codes[one] & 15) | codes[4 + one] << 4;
        }
    }
}
