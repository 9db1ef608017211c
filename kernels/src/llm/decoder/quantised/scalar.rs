//! The products in plain code: the specification of every faster version, which must give the same bits.

use super::activations::Row;
use super::tiles::{Eight, Four, Six, TILE};

/// One row times one strip of tiles.
pub(super) fn four(tiles: &[Four], row: Row<'_>) -> [f32; TILE] {
    let mut sums = [0f32; TILE];
    for (group, tile) in tiles.iter().enumerate() {
        let codes = &row.codes[group];
        for (output, sum) in sums.iter_mut().enumerate() {
            let mut product = 0;
            for input in 0..codes.len() {
                let byte = tile.codes[(input / 8 * TILE + output) * 4 + input % 4];
                product += i32::from(byte >> (4 * (input / 4 % 2)) & 15) * i32::from(codes[input]);
            }
            *sum = (product as f32).mul_add(tile.scales[output] * row.scales[group], *sum);
            *sum = tile.offsets[output].mul_add(row.weighted_sums[group], *sum);
        }
    }
    sums
}

/// One row times one strip of tiles.
pub(super) fn six(tiles: &[Six], row: Row<'_>) -> [f32; TILE] {
    let mut sums = [0f32; TILE];
    for (group, tile) in tiles.iter().enumerate() {
        let codes = &row.codes[group];
        for (output, sum) in sums.iter_mut().enumerate() {
            for half in 0..2 {
                let mut product = 0;
                for input in 16 * half..16 * (half + 1) {
                    let low =
                        tile.low[(input / 8 * TILE + output) * 4 + input % 4] >> (4 * (input / 4 % 2)) & 15;
                    let high = tile.high[(half * TILE + output) * 4 + input % 4] >> (2 * (input / 4 % 4)) & 3;
                    product += i32::from(high << 4 | low) * i32::from(codes[input]);
                }
                let product = product - 32 * row.half_sums[group][half];
                *sum = (product as f32).mul_add(tile.scales[half][output] * row.scales[group], *sum);
            }
        }
    }
    sums
}

/// One row times one strip of tiles.
pub(super) fn eight(tiles: &[Eight], row: Row<'_>) -> [f32; TILE] {
    let mut sums = [0f32; TILE];
    for (group, tile) in tiles.iter().enumerate() {
        let codes = &row.codes[group];
        for (output, sum) in sums.iter_mut().enumerate() {
            let mut product = 0;
            for (input, &code) in codes.iter().enumerate() {
                product +=
                    i32::from(tile.codes[(input / 4 * TILE + output) * 4 + input % 4]) * i32::from(code);
            }
            *sum = (product as f32).mul_add(tile.scales[output] * row.scales[group], *sum);
        }
    }
    sums
}
