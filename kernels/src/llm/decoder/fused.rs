//! Attention in one kernel, where Candle has one for the card: flash attention of NVIDIA's, with feature `flash-attn`.

use candle_core::{DType, Device, Tensor};

use super::config::ModelConfig;
use crate::KernelError;

/// Attention in one kernel.
///
/// Queries are `[1, count, heads, head_dim]`, keys and values `[1, seen, kv_heads, head_dim]`, all `f16`, with heads of a
/// group side by side; then the scale of scores, and how many positions before its own a query sees (all, if none).
/// The queries are the last `count` of the `seen` positions, and see none after their own. The result has their shape.
pub(super) type Kernel = fn(&Tensor, &Tensor, &Tensor, f32, Option<usize>) -> candle_core::Result<Tensor>;

/// The kernel for a model on a device; none where attention is made of single operations.
#[cfg_attr(not(feature = "flash-attn"), expect(unused_variables, reason = "there is none"))]
pub(super) fn kernel(config: &ModelConfig, device: &Device) -> Option<Kernel> {
    #[cfg(feature = "flash-attn")]
    {
        // What the kernel is compiled for. On older cards it says nothing and leaves what it should fill as it was.
        let fits = config.head_dim.is_multiple_of(8) && config.head_dim <= 512;
        let is_new = device.as_cuda_device().is_ok_and(|card| {
            card.cuda_stream().context().compute_capability().is_ok_and(|(major, _)| major >= 8)
        });
        if is_new && fits {
            return Some(|queries, keys, values, scale, back| {
                candle_flash_attn::flash_attn_windowed(queries, keys, values, scale, back, Some(0))
            });
        }
    }
    None
}

/// What caches are kept in for a kernel.
pub(super) const KEPT: DType = DType::F16;

/// Attention of one run by a kernel: queries `[heads, count, head_dim]` of `f32`, keys and values
/// `[kv_heads, seen, head_dim]` of [`KEPT`]; the result is `[count, heads * head_dim]` of `f32`.
pub(super) fn attend(
    kernel: Kernel,
    config: &ModelConfig,
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    window: Option<usize>,
) -> Result<Tensor, KernelError> {
    let count = queries.dim(1)?;
    let rows = |tensor: &Tensor| tensor.transpose(0, 1)?.unsqueeze(0);
    let queries = rows(&queries.to_dtype(KEPT)?)?.contiguous()?;
    let scale = 1.0 / (config.score_width() as f32).sqrt();
    let back = window.map(|window| window.saturating_sub(1));
    let attended = kernel(&queries, &rows(keys)?, &rows(values)?, scale, back)?;
    Ok(attended.to_dtype(DType::F32)?.reshape((count, config.query_width()))?)
}

/// What a kernel computes, in single operations on the host: a stand-in, for what is around it. It wants what a kernel
/// wants.
#[cfg(test)]
pub(super) fn spelled_out(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    scale: f32,
    back: Option<usize>,
) -> candle_core::Result<Tensor> {
    let (_, count, heads, _) = queries.dims4()?;
    let (_, seen, kv_heads, _) = keys.dims4()?;
    for tensor in [queries, keys, values] {
        if tensor.dtype() != KEPT || tensor.stride().last() != Some(&1) {
            candle_core::bail!("{:?} with strides {:?}", tensor.dtype(), tensor.stride());
        }
    }
    if keys.dims() != values.dims() || count > seen {
        candle_core::bail!("{:?}, {:?} and {count} queries", keys.dims(), values.dims());
    }
    let mask: Vec<f32> = (0..count)
        .flat_map(|row| {
            let own = seen - count + row;
            let first = back.map_or(0, |back| own.saturating_sub(back));
            (0..seen).map(move |key| if (first..=own).contains(&key) { 0.0 } else { f32::NEG_INFINITY })
        })
        .collect();
    let mask = Tensor::from_vec(mask, (count, seen), &Device::Cpu)?;
    let plane = |tensor: &Tensor, head: usize| {
        tensor.narrow(2, head, 1)?.squeeze(2)?.squeeze(0)?.to_dtype(DType::F32)
    };
    let attended: Vec<Tensor> = (0..heads)
        .map(|head| {
            let group = head / (heads / kv_heads);
            let scores = plane(queries, head)?.matmul(&plane(keys, group)?.t()?)?;
            let scores = ((scores * f64::from(scale))? + &mask)?;
            candle_nn::ops::softmax_last_dim(&scores)?.matmul(&plane(values, group)?)
        })
        .collect::<candle_core::Result<_>>()?;
    Tensor::stack(&attended, 1)?.unsqueeze(0)?.to_dtype(queries.dtype())
}
