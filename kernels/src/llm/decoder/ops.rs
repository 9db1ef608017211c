//! Candle operations by mode: the fused ones drop gradients without a word, so training attaches them by hand.
//!
//! A twin for training computes the same fused value on an input that is cut off from the graph, and attaches the
//! gradient in closed form. Values are therefore the same in both modes, and only what the gradient needs is kept.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, D, Layout, MetalStorage, Result, Shape, Storage, Tensor, bail,
};
use candle_nn::rotary_emb::{rope, rope_i};

/// Whether gradients will be wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Fused operations without gradients.
    Inference,
    /// The same values with gradients.
    Training,
}

type Gradient = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync;

/// An operation whose value is known already and whose gradient is a closure of (result, gradient of the result).
struct Attach {
    name: &'static str,
    value: Tensor,
    gradient: Box<Gradient>,
}

impl CustomOp1 for Attach {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: value and argument are on different devices", self.name),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: value and argument are on different devices", self.name),
        }
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Metal(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: value and argument are on different devices", self.name),
        }
    }

    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        (self.gradient)(result, gradient).map(Some)
    }
}

/// `value` as a function of `input`, with this gradient. `value` must be contiguous.
pub(crate) fn attach(
    name: &'static str,
    input: &Tensor,
    value: &Tensor,
    gradient: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    input.apply_op1(Attach { name, value: value.contiguous()?.detach(), gradient: Box::new(gradient) })
}

/// `input W^T` for a frozen `W` of `[outputs, inputs]`; Candle's own product would compute the gradient of `W` too.
pub(crate) fn frozen_matmul(input: &Tensor, weight: &Tensor, mode: Mode) -> Result<Tensor> {
    let value = input.detach().matmul(&weight.t()?)?;
    if mode == Mode::Inference {
        return Ok(value);
    }
    let weight = weight.clone();
    attach("frozen-matmul", input, &value, move |_, gradient| gradient.contiguous()?.matmul(&weight))
}

/// Root-mean-square norm over the last dimension, with frozen weights.
pub(crate) fn rms_norm(input: &Tensor, weight: &Tensor, epsilon: f32, mode: Mode) -> Result<Tensor> {
    let kept = input.detach();
    let value = candle_nn::ops::rms_norm(&kept, weight, epsilon)?;
    if mode == Mode::Inference {
        return Ok(value);
    }
    let weight = weight.clone();
    // y = x s w with s = (mean x^2 + e)^-1/2, so dx = s (g w) - x s^3 mean(g w x).
    attach("rms-norm", input, &value, move |_, gradient| {
        let width = kept.dim(D::Minus1)? as f64;
        let mean_square = (kept.sqr()?.sum_keepdim(D::Minus1)? / width)?;
        let scale = (mean_square + f64::from(epsilon))?.sqrt()?.recip()?;
        let weighted = gradient.broadcast_mul(&weight)?;
        let projection = ((&weighted * &kept)?.sum_keepdim(D::Minus1)? / width)?;
        let along = kept.broadcast_mul(&(projection * scale.powf(3.0)?)?)?;
        weighted.broadcast_mul(&scale)?.sub(&along)
    })
}

/// Softmax over the last dimension.
pub(crate) fn softmax(input: &Tensor, mode: Mode) -> Result<Tensor> {
    let value = candle_nn::ops::softmax_last_dim(&input.detach())?;
    if mode == Mode::Inference {
        return Ok(value);
    }
    attach("softmax", input, &value, |result, gradient| {
        let product = (result * gradient)?;
        let sum = product.sum_keepdim(D::Minus1)?;
        product.sub(&result.broadcast_mul(&sum)?)
    })
}

/// Rotates `[heads, tokens, head_dim]`, whose rows have angles `[tokens, head_dim / 2]`.
pub(crate) fn rotate(
    input: &Tensor,
    cosines: &Tensor,
    sines: &Tensor,
    neighbours: bool,
    mode: Mode,
) -> Result<Tensor> {
    let turn = move |input: &Tensor, sines: &Tensor, cosines: &Tensor| {
        let input = input.contiguous()?.unsqueeze(0)?;
        if neighbours {
            rope_i(&input, cosines, sines)?.squeeze(0)
        } else {
            rope(&input, cosines, sines)?.squeeze(0)
        }
    };
    let value = turn(&input.detach(), sines, cosines)?;
    if mode == Mode::Inference {
        return Ok(value);
    }
    let (cosines, back) = (cosines.clone(), sines.neg()?);
    attach("rotate", input, &value, move |_, gradient| turn(gradient, &back, &cosines))
}

/// `silu(gate) * up`.
pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()?.mul(up)
}
