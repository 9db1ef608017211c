//! The products in plain code: the specification of every faster version, which must give the same bits.

use super::activations::Coded;
use super::tiles::{Codes, Eight, Four, GROUP, LANES, Six, TILE};

/// One row times one strip of tiles.
pub(super) fn four(tiles: &[Four], row: &[Coded]) -> [f32; TILE] {
    let mut sums = [0f32; TILE];
    for (tile, coded) in tiles.iter().zip(row) {
        for (output, sum) in sums.iter_mut().enumerate() {
            let (half, lane) = (output / LANES, output % LANES);
            let product: i32 = (0..GROUP)
                .map(|input| i32::from(low_bits(&tile.codes, output, input)) * code(coded, input))
                .sum();
            *sum = (product as f32).mul_add(tile.scales[half][lane] * coded.scale, *sum);
            *sum = tile.offsets[half][lane].mul_add(coded.weighted_sum, *sum);
        }
    }
    sums
}

/// One row times one strip of tiles.
pub(super) fn six(tiles: &[Six], row: &[Coded]) -> [f32; TILE] {
    let mut sums = [0f32; TILE];
    for (tile, coded) in tiles.iter().zip(row) {
        for (output, sum) in sums.iter_mut().enumerate() {
            for part in 0..2 {
                let weight = |input: usize| {
                    let at = (part * TILE + output) * 4 + input % 4;
                    let high = tile.high[at / 32][at % 32] >> (2 * (input / 4 % 4)) & 3;
                    i32::from(high << 4 | low_bits(&tile.low, output, input))
                };
                let inputs = part * GROUP / 2..(part + 1) * GROUP / 2;
                let product: i32 = inputs.map(|input| weight(input) * code(coded, input)).sum();
                let scale = tile.scales[part][output / LANES][output % LANES] * coded.scale;
                *sum = ((product - coded.half_sums[part]) as f32).mul_add(scale, *sum);
            }
        }
    }
    sums
}

/// One row times one strip of tiles.
pub(super) fn eight(tiles: &[Eight], row: &[Coded]) -> [f32; TILE] {
    let mut sums = [0f32; TILE];
    for (tile, coded) in tiles.iter().zip(row) {
        for (output, sum) in sums.iter_mut().enumerate() {
            let weight = |input: usize| {
                let at = (input / 4 * TILE + output) * 4 + input % 4;
                i32::from(tile.codes[at / 32][at % 32])
            };
            let product: i32 = (0..GROUP).map(|input| weight(input) * code(coded, input)).sum();
            *sum = (product as f32).mul_add(tile.scales[output / LANES][output % LANES] * coded.scale, *sum);
        }
    }
    sums
}

/// The low four bits of a weight, as packed in [`Four`] and [`Six`].
fn low_bits(codes: &Codes<u8, 8>, output: usize, input: usize) -> u8 {
    let at = (input / 8 * TILE + output) * 4 + input % 4;
    codes[at / 32][at % 32] >> (4 * (input / 4 % 2)) & 15
}

fn code(coded: &Coded, input: usize) -> i32 {
    i32::from(coded.codes[input / 4][input % 4])
}
