//! Projections `y = W x + b` on the host, with an optional low-rank addition.

use std::cell::OnceCell;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Tensor};
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
    /// As in the file, for Candle's kernels.
    Candle(Arc<QTensor>),
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
    pub(super) fn new(weight: Arc<QTensor>, bias: Option<Vec<f32>>) -> Result<Self, KernelError> {
        let (outputs, inputs) = weight.shape().dims2()?;
        let matrix = if weight.dtype() == GgmlDType::F32 {
            Matrix::Dense(dense(&weight)?)
        } else if candle_is_faster(weight.dtype(), outputs, inputs) {
            Matrix::Candle(weight)
        } else {
            match Quantised::new(&weight)? {
                Some(tiles) => Matrix::Tiled(tiles),
                None => Matrix::Dense(dense(&weight)?),
            }
        };
        Ok(Self { matrix, bias, inputs, outputs, low_rank: None })
    }

    pub(super) fn set_low_rank(&mut self, low_rank: Option<LowRank>) {
        self.low_rank = low_rank;
    }

    /// The product of one projection, `[rows, outputs]`. A row of the result depends on its own row of the input
    /// alone, bit for bit.
    pub(super) fn forward(&self, input: &Input<'_>) -> Result<Vec<f32>, KernelError> {
        let [output] = Self::forward_all([self], input)?;
        Ok(output)
    }

    /// The products of several projections of the same input; those with tiles are computed side by side.
    pub(super) fn forward_all<const N: usize>(
        projections: [&Self; N],
        input: &Input<'_>,
    ) -> Result<[Vec<f32>; N], KernelError> {
        let matrices: Vec<&Quantised> = projections
            .iter()
            .filter_map(|projection| match &projection.matrix {
                Matrix::Tiled(matrix) => Some(matrix),
                _ => None,
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
                Matrix::Candle(weight) => projection.candle(weight, input.values)?,
                Matrix::Tiled(_) => products.next().unwrap_or_default(),
            };
            projection.add_rest(input.values, output);
        }
        Ok(outputs)
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

    fn candle(&self, weight: &Arc<QTensor>, input: &[f32]) -> Result<Vec<f32>, KernelError> {
        // Candle multiplies a single row by another kernel than several; two rows at least fix the kernel.
        let rows = input.len() / self.inputs;
        let floor = rows.max(2);
        let mut padded = input.to_vec();
        padded.resize(floor * self.inputs, 0.0);
        let input = Tensor::from_vec(padded, (floor, self.inputs), &Device::Cpu)?;
        let output = QMatMul::QTensor(weight.clone()).forward(&input)?;
        let mut output: Vec<f32> = output.flatten_all()?.to_vec1()?;
        output.truncate(rows * self.outputs);
        Ok(output)
    }
}

fn dense(weight: &QTensor) -> Result<Vec<f32>, KernelError> {
    Ok(weight.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
}

/// Whether Candle has a kernel for this matrix that beats ours: with AVX-512 VNNI it has, for some types and shapes.
fn candle_is_faster(data_type: GgmlDType, outputs: usize, inputs: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    let vnni = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    let vnni = false;
    vnni && matches!(data_type, GgmlDType::Q4K | GgmlDType::Q6K | GgmlDType::Q8_0)
        && inputs.is_multiple_of(256)
        && outputs.is_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use super::super::rng::SplitMix64;
    use super::*;

    /// What a machine with AVX-512 would use, computed here by whatever Candle has for this one.
    #[test]
    fn candles_kernels_agree_with_ours_and_do_not_look_at_other_rows() {
        let mut rng = SplitMix64::new(1);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal()).collect() };
        let weights = Tensor::from_vec(draw(32 * 256), (32, 256), &Device::Cpu).unwrap();
        let input = draw(5 * 256);
        for data_type in [GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q8_0] {
            let weight = Arc::new(QTensor::quantize(&weights, data_type).unwrap());
            let linear = Linear::new(weight.clone(), None).unwrap();
            let ours = linear.forward(&Input::new(&input, 256)).unwrap();
            let candles = linear.candle(&weight, &input).unwrap();
            for (ours, candles) in ours.iter().zip(&candles) {
                assert!((ours - candles).abs() < 0.5, "{data_type:?}: {ours} against {candles}");
            }
            for (row, candles) in input.chunks(256).zip(candles.chunks(32)) {
                assert_eq!(linear.candle(&weight, row).unwrap(), candles);
            }
        }
    }
}
