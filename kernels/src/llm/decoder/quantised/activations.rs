//! Rows of activations in 8 bits.

use rayon::prelude::*;

use super::super::math::vectorised;
use super::tiles::GROUP;

/// Rows of activations, quantised in groups of [`GROUP`]: value = code * scale, codes within -127..=127.
#[derive(Debug)]
pub(crate) struct Activations {
    /// Groups of a row.
    groups: usize,
    /// `[rows, groups]`.
    scales: Vec<f32>,
    /// `[rows, groups]`: the scale times the sum of the group's codes.
    weighted_sums: Vec<f32>,
    /// `[rows, groups]`: sums of the codes of either half of the group.
    half_sums: Vec<[i32; 2]>,
    /// `[rows, groups]`.
    codes: Vec<[i8; GROUP]>,
}

/// One row of [`Activations`], by groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) scales: &'a [f32],
    pub(super) weighted_sums: &'a [f32],
    pub(super) half_sums: &'a [[i32; 2]],
    pub(super) codes: &'a [[i8; GROUP]],
}

impl Activations {
    /// Quantises `values`, rows of `width`, which is a multiple of [`GROUP`].
    pub(crate) fn new(values: &[f32], width: usize) -> Self {
        let groups = width / GROUP;
        let count = values.len() / GROUP;
        let mut result = Self {
            groups,
            scales: vec![0.0; count],
            weighted_sums: vec![0.0; count],
            half_sums: vec![[0; 2]; count],
            codes: vec![[0; GROUP]; count],
        };
        let outputs = result.scales.par_chunks_mut(groups).zip(result.codes.par_chunks_mut(groups));
        let sums = result.weighted_sums.par_chunks_mut(groups).zip(result.half_sums.par_chunks_mut(groups));
        values.par_chunks_exact(width).zip(outputs.zip(sums)).for_each(
            |(values, ((scales, codes), (weighted_sums, half_sums)))| {
                quantise(values, scales, codes, weighted_sums, half_sums);
            },
        );
        result
    }

    pub(super) fn rows(&self) -> usize {
        self.codes.len() / self.groups
    }

    pub(super) fn row(&self, index: usize) -> Row<'_> {
        let range = index * self.groups..(index + 1) * self.groups;
        Row {
            scales: &self.scales[range.clone()],
            weighted_sums: &self.weighted_sums[range.clone()],
            half_sums: &self.half_sums[range.clone()],
            codes: &self.codes[range],
        }
    }
}

vectorised! {
    fn quantise(
        values: &[f32],
        scales: &mut [f32],
        codes: &mut [[i8; GROUP]],
        weighted_sums: &mut [f32],
        half_sums: &mut [[i32; 2]],
    ) {
        let outputs = scales.iter_mut().zip(codes).zip(weighted_sums.iter_mut().zip(half_sums));
        for (values, ((scale, codes), (weighted_sum, halves))) in values.as_chunks::<GROUP>().0.iter().zip(outputs) {
            let mut largest = [0f32; 8];
            for values in values.as_chunks::<8>().0 {
                for (largest, value) in largest.iter_mut().zip(values) {
                    *largest = if value.abs() > *largest { value.abs() } else { *largest };
                }
            }
            let largest = largest.iter().fold(0f32, |largest, &value| if value > largest { value } else { largest });
            *scale = largest / 127.0;
            let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            let mut wide = [0i32; GROUP];
            for (wide, value) in wide.iter_mut().zip(values) {
                // Adding and subtracting 1.5 * 2^23 rounds to the nearest whole number, ties to even.
                let rounded = value.mul_add(inverse, 12_582_912.0) - 12_582_912.0;
                #[expect(clippy::cast_possible_truncation, reason = "within -127..=127")]
                let code = rounded as i32;
                *wide = code.clamp(-127, 127);
            }
            for (code, wide) in codes.iter_mut().zip(wide) {
                #[expect(clippy::cast_possible_truncation, reason = "clamped")]
                let narrow = wide as i8;
                *code = narrow;
            }
            *halves = [wide[..GROUP / 2].iter().sum(), wide[GROUP / 2..].iter().sum()];
            *weighted_sum = *scale * (halves[0] + halves[1]) as f32;
        }
    }
}
