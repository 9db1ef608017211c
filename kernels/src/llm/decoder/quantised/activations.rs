//! Rows of activations in 8 bits.

use rayon::prelude::*;

use super::super::math::vectorised;
use super::tiles::GROUP;

/// Activations of one group: value = code * scale, codes within -127..=127.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coded {
    /// In fours, as the products take them.
    pub(super) codes: [[i8; 4]; GROUP / 4],
    pub(super) scale: f32,
    /// The scale times the sum of the codes.
    pub(super) weighted_sum: f32,
    /// 32 times the sum of the codes of either half.
    pub(super) half_sums: [i32; 2],
}

/// Rows of activations, quantised in groups of [`GROUP`].
#[derive(Debug)]
pub(crate) struct Activations {
    /// Groups of a row.
    groups: usize,
    /// `[rows, groups]`.
    coded: Vec<Coded>,
}

impl Activations {
    /// Quantises `values`, rows of `width`, which is a multiple of [`GROUP`].
    pub(crate) fn new(values: &[f32], width: usize) -> Self {
        let groups = width / GROUP;
        let empty = Coded { codes: [[0; 4]; GROUP / 4], scale: 0.0, weighted_sum: 0.0, half_sums: [0; 2] };
        let mut coded = vec![empty; values.len() / GROUP];
        values.par_chunks_exact(width).zip(coded.par_chunks_exact_mut(groups)).for_each(|(values, coded)| {
            quantise(values, coded);
        });
        Self { groups, coded }
    }

    pub(super) fn rows(&self) -> usize {
        self.coded.len() / self.groups
    }

    /// One row, by groups.
    pub(super) fn row(&self, index: usize) -> &[Coded] {
        &self.coded[index * self.groups..(index + 1) * self.groups]
    }
}

vectorised! {
    fn quantise(values: &[f32], coded: &mut [Coded]) {
        for (values, coded) in values.as_chunks::<GROUP>().0.iter().zip(coded) {
            let mut lanes = [0f32; 8];
            for values in values.as_chunks::<8>().0 {
                for lane in 0..8 {
                    let size = values[lane].abs();
                    lanes[lane] = if size > lanes[lane] { size } else { lanes[lane] };
                }
            }
            let mut largest = 0f32;
            for lane in lanes {
                largest = if lane > largest { lane } else { largest };
            }
            let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            let mut wide = [0i32; GROUP];
            for index in 0..GROUP {
                // Adding 1.5 * 2^23 rounds to the nearest whole number, ties to even, and leaves it in the low bits.
                let rounded = values[index].mul_add(inverse, 12_582_912.0);
                wide[index] = rounded.to_bits().wrapping_sub(12_582_912f32.to_bits()).cast_signed();
            }
            let mut sums = [0i32; 2];
            for index in 0..GROUP / 2 {
                sums[0] = sums[0].wrapping_add(wide[index]);
                sums[1] = sums[1].wrapping_add(wide[GROUP / 2 + index]);
                #[expect(clippy::cast_possible_truncation, reason = "within -127..=127")]
                {
                    coded.codes[index / 4][index % 4] = wide[index] as i8;
                    coded.codes[index / 4 + 4][index % 4] = wide[GROUP / 2 + index] as i8;
                }
            }
            coded.scale = largest / 127.0;
            coded.weighted_sum = coded.scale * sums[0].wrapping_add(sums[1]) as f32;
            coded.half_sums = [sums[0].wrapping_mul(32), sums[1].wrapping_mul(32)];
        }
    }
}
