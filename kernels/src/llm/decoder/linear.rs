//! A projection `y = W x + b` on the host, with an optional low-rank addition.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Module, Tensor};
use rayon::prelude::*;

use super::math::{add, add_scaled, dot_rows};
use crate::KernelError;

/// Columns of a dense product that one task computes.
const DENSE_CHUNK: usize = 64;

#[derive(Debug)]
enum Matrix {
    /// `[outputs, inputs]`, row after row.
    Dense(Vec<f32>),
    Quantized(Arc<QTensor>),
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
        let matrix = match weight.dtype() {
            GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => {
                Matrix::Dense(weight.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
            }
            _ => Matrix::Quantized(weight),
        };
        Ok(Self { matrix, bias, inputs, outputs, low_rank: None })
    }

    pub(super) fn set_low_rank(&mut self, low_rank: Option<LowRank>) {
        self.low_rank = low_rank;
    }

    /// `input` is `[rows, inputs]`, the result `[rows, outputs]`. A row of the result depends on its own row of the
    /// input alone, bit for bit.
    pub(super) fn forward(&self, input: &[f32]) -> Result<Vec<f32>, KernelError> {
        let rows = input.len() / self.inputs;
        let mut output = match &self.matrix {
            Matrix::Dense(weight) => self.dense(weight, input, rows),
            Matrix::Quantized(weight) => self.quantized(weight, input, rows)?,
        };
        if let Some(bias) = &self.bias {
            output.chunks_exact_mut(self.outputs).for_each(|row| add(row, bias));
        }
        if let Some(low_rank) = &self.low_rank {
            let rank = low_rank.down.len() / self.inputs;
            input.par_chunks_exact(self.inputs).zip(output.par_chunks_exact_mut(self.outputs)).for_each(
                |(input, output)| {
                    let mut inner = vec![0.0; rank];
                    dot_rows(input, &low_rank.down, &mut inner);
                    for (value, up) in inner.iter().zip(low_rank.up.chunks_exact(self.outputs)) {
                        add_scaled(output, value * low_rank.scale, up);
                    }
                },
            );
        }
        Ok(output)
    }

    fn dense(&self, weight: &[f32], input: &[f32], rows: usize) -> Vec<f32> {
        let mut output = vec![0.0; rows * self.outputs];
        for (input, output) in input.chunks_exact(self.inputs).zip(output.chunks_exact_mut(self.outputs)) {
            let weights = weight.par_chunks(DENSE_CHUNK * self.inputs);
            output
                .par_chunks_mut(DENSE_CHUNK)
                .zip(weights)
                .for_each(|(output, weight)| dot_rows(input, weight, output));
        }
        output
    }

    fn quantized(&self, weight: &Arc<QTensor>, input: &[f32], rows: usize) -> Result<Vec<f32>, KernelError> {
        // Candle multiplies a single row by another kernel than several; two rows at least fix the kernel.
        let floor = rows.max(2);
        let mut padded = input.to_vec();
        padded.resize(floor * self.inputs, 0.0);
        let input = Tensor::from_vec(padded, (floor, self.inputs), &Device::Cpu)?;
        let output = candle_core::quantized::QMatMul::QTensor(weight.clone()).forward(&input)?;
        let mut output: Vec<f32> = output.flatten_all()?.to_vec1()?;
        output.truncate(rows * self.outputs);
        Ok(output)
    }
}
