//! Projections `y = W x + b` on the host, with an optional low-rank addition.

use std::cell::OnceCell;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QTensor};
use rayon::prelude::*;

use super::math::{add, add_scaled, dot_rows};
use super::quantised::{Activations, Quantised, multiply};
use crate::KernelError;

/// Columns of a dense product that one task computes.
const DENSE_CHUNK: usize = 64;

#[derive(Debug)]
enum Matrix {
    /// `[outputs, inputs]`, row after row.
    Dense(Vec<f32>),
    /// In the tiles of our own kernels.
    Tiled(Quantised),
}

/// The low-rank addition `scale * B (A x)`.
#[derive(Debug, Clone)]
pub(super) struct LowRank {
    /// `[rank, inputs]`.
    pub(super) down: Vec<f32>,
    /// `[rank, outputs]`, that is, B transposed.
    pub(super) up: Vec<f32>,
    pub(super) scale: f32,
}

/// Rows of activations that several projections read; quantised once, if any of them wants it.
pub(super) struct Input<'a> {
    values: &'a [f32],
    width: usize,
    quantised: OnceCell<Activations>,
}

impl<'a> Input<'a> {
    /// `values` is `[rows, width]`.
    pub(super) fn new(values: &'a [f32], width: usize) -> Self {
        Self { values, width, quantised: OnceCell::new() }
    }
}

/// A projection from `inputs` to `outputs` values.
#[derive(Debug)]
pub(super) struct Linear {
    matrix: Matrix,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
    low_rank: Option<LowRank>,
}

impl Linear {
    pub(super) fn new(weight: &QTensor, bias: Option<Vec<f32>>) -> Result<Self, KernelError> {
        let (outputs, inputs) = weight.shape().dims2()?;
        let matrix = if weight.dtype() == GgmlDType::F32 {
            Matrix::Dense(dense(weight)?)
        } else {
            match Quantised::new(weight)? {
                Some(tiles) => Matrix::Tiled(tiles),
                None => Matrix::Dense(dense(weight)?),
            }
        };
        Ok(Self { matrix, bias, inputs, outputs, low_rank: None })
    }

    pub(super) fn set_low_rank(&mut self, low_rank: Option<LowRank>) {
        self.low_rank = low_rank;
    }

    /// The product of one projection, `[rows, outputs]`. A row of the result depends on its own row of the input
    /// alone, bit for bit.
    pub(super) fn forward(&self, input: &Input<'_>) -> Vec<f32> {
        let [output] = Self::forward_all([self], input);
        output
    }

    /// The products of several projections of the same input; those with tiles are computed side by side.
    pub(super) fn forward_all<const N: usize>(projections: [&Self; N], input: &Input<'_>) -> [Vec<f32>; N] {
        let matrices: Vec<&Quantised> = projections
            .iter()
            .filter_map(|projection| match &projection.matrix {
                Matrix::Tiled(matrix) => Some(matrix),
                Matrix::Dense(_) => None,
            })
            .collect();
        let mut products = Vec::new();
        if !matrices.is_empty() {
            products = multiply(
                &matrices,
                input.quantised.get_or_init(|| Activations::new(input.values, input.width)),
            );
        }
        let mut products = products.into_iter();
        let mut outputs = [const { Vec::new() }; N];
        for (projection, output) in projections.iter().zip(&mut outputs) {
            *output = match &projection.matrix {
                Matrix::Dense(weight) => projection.dense(weight, input.values),
                Matrix::Tiled(_) => products.next().unwrap_or_default(),
            };
            projection.add_rest(input.values, output);
        }
        outputs
    }

    /// Bias and low-rank addition.
    fn add_rest(&self, input: &[f32], output: &mut [f32]) {
        if let Some(bias) = &self.bias {
            output.chunks_exact_mut(self.outputs).for_each(|row| add(row, bias));
        }
        if let Some(low_rank) = &self.low_rank {
            let rank = low_rank.down.len() / self.inputs;
            let rows = input.par_chunks_exact(self.inputs).zip(output.par_chunks_exact_mut(self.outputs));
            rows.for_each(|(input, output)| {
                let mut inner = vec![0.0; rank];
                dot_rows(input, &low_rank.down, &mut inner);
                for (value, up) in inner.iter().zip(low_rank.up.chunks_exact(self.outputs)) {
                    add_scaled(output, value * low_rank.scale, up);
                }
            });
        }
    }

    fn dense(&self, weight: &[f32], input: &[f32]) -> Vec<f32> {
        let mut output = vec![0.0; input.len() / self.inputs * self.outputs];
        for (input, output) in input.chunks_exact(self.inputs).zip(output.chunks_exact_mut(self.outputs)) {
            let weights = weight.par_chunks(DENSE_CHUNK * self.inputs);
            output
                .par_chunks_mut(DENSE_CHUNK)
                .zip(weights)
                .for_each(|(output, weight)| dot_rows(input, weight, output));
        }
        output
    }
}

fn dense(weight: &QTensor) -> Result<Vec<f32>, KernelError> {
    Ok(weight.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
}
