//! Rotary position embeddings in both pairings.

use rayon::prelude::*;

use super::config::ModelConfig;

/// The rotary frequencies of a model. Angles are computed for the positions at hand, so there is no table to
/// outgrow and every position of the model's context has its own.
#[derive(Debug, Clone)]
pub(crate) struct Rope {
    /// One frequency for each pair of a head, `head_dim / 2` of them.
    frequencies: Vec<f32>,
    neighbours: bool,
}

impl Rope {
    /// `factors` divide the frequencies (Llama 3.1 and later ship them with the weights; those of linear scaling are equal).
    pub(crate) fn new(config: &ModelConfig, base: f32, factors: Option<&[f32]>) -> Self {
        let frequencies = (0..config.head_dim / 2)
            .map(|pair| {
                let exponent = 2.0 * pair as f64 / config.head_dim as f64;
                let factor = factors.map_or(1.0, |factors| f64::from(factors[pair]));
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the models were trained with f32 frequencies"
                )]
                let frequency = (f64::from(base).powf(-exponent) / factor) as f32;
                frequency
            })
            .collect();
        Self { frequencies, neighbours: config.family.rotates_neighbours() }
    }

    /// Cosines and sines for these positions, each `[positions, head_dim / 2]`.
    pub(crate) fn angles(&self, positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let angles =
            positions.iter().flat_map(|&position| self.frequencies.iter().map(move |f| position as f32 * f));
        angles.map(|angle| (angle.cos(), angle.sin())).unzip()
    }

    /// Rotates every head of every row in place; `rows` is `[positions, heads * head_dim]`.
    pub(super) fn rotate(&self, rows: &mut [f32], width: usize, (cosines, sines): (&[f32], &[f32])) {
        let pairs = self.frequencies.len();
        let angles = cosines.par_chunks_exact(pairs).zip(sines.par_chunks_exact(pairs));
        rows.par_chunks_exact_mut(width).zip(angles).with_min_len(16).for_each(|(row, (cosines, sines))| {
            for head in row.chunks_exact_mut(2 * pairs) {
                if self.neighbours {
                    for (pair, (cos, sin)) in head.chunks_exact_mut(2).zip(cosines.iter().zip(sines)) {
                        (pair[0], pair[1]) = (pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos);
                    }
                } else {
                    let (first, second) = head.split_at_mut(pairs);
                    for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(cosines.iter().zip(sines)) {
                        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                    }
                }
            }
        });
    }
}
