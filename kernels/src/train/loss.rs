//! Log-probabilities of tokens, and what is made of them.

use candle_core::{D, Result, Tensor};

use crate::llm::decoder::ops::{self, Mode};

/// Rows whose logits are materialised at a time.
const ROWS: usize = 128;

/// Log-probability of each target: `normed` is `[rows, hidden]`, `head` `[vocab, hidden]`, the result `[rows]`.
///
/// In training the probabilities of the rows are kept, `[rows, vocab]`, and the gradient is closed:
/// `d log p(target) = (onehot - p) W`.
pub(super) fn token_log_probs(normed: &Tensor, head: &Tensor, targets: &[u32], mode: Mode) -> Result<Tensor> {
    let kept = normed.detach();
    let targets = Tensor::new(targets, normed.device())?.unsqueeze(1)?;
    let rows = targets.dim(0)?;
    let mut values = Vec::new();
    let mut chunks = Vec::new();
    for start in (0..rows).step_by(ROWS) {
        let count = ROWS.min(rows - start);
        let logits = kept.narrow(0, start, count)?.contiguous()?.matmul(&head.t()?)?;
        let wanted = targets.narrow(0, start, count)?.contiguous()?;
        let largest = logits.max_keepdim(D::Minus1)?;
        let chosen = logits.gather(&wanted, 1)?.sub(&largest)?;
        let exponentials = logits.broadcast_sub(&largest)?.exp()?;
        let sum = exponentials.sum_keepdim(D::Minus1)?;
        values.push(chosen.sub(&sum.log()?)?.squeeze(1)?);
        if mode == Mode::Training {
            chunks.push((exponentials.broadcast_div(&sum)?, wanted));
        }
    }
    let values = Tensor::cat(&values, 0)?;
    if mode == Mode::Inference {
        return Ok(values);
    }
    let head = head.clone();
    ops::attach("token-log-probs", normed, &values, move |_, gradient| {
        let mut results = Vec::with_capacity(chunks.len());
        let mut start = 0;
        for (probabilities, wanted) in &chunks {
            let count = wanted.dim(0)?;
            let gradient = gradient.narrow(0, start, count)?.unsqueeze(1)?.contiguous()?;
            let logits = probabilities.broadcast_mul(&gradient.neg()?)?.scatter_add(wanted, &gradient, 1)?;
            results.push(logits.matmul(&head)?);
            start += count;
        }
        Tensor::cat(&results, 0)
    })
}

/// Cross-entropy of the learnt tokens, summed and divided by `count` (all learnt tokens of the step).
pub(super) fn cross_entropy(log_probs: &Tensor, count: usize) -> Result<Tensor> {
    log_probs.sum_all()? * (-1.0 / count as f64)
}

/// What the surrogate of a rollout is made of.
pub(super) struct Surrogate<'a> {
    /// Log-probabilities under the policy that generated the rollout, `[tokens]`.
    pub(super) old: &'a [f32],
    /// Log-probabilities under the reference, `[tokens]`.
    pub(super) reference: &'a [f32],
    pub(super) advantage: f32,
    pub(super) clip: f64,
    pub(super) kl_coefficient: f64,
}

/// The clipped surrogate with a penalty for leaving the reference, summed over tokens and divided by `count`:
/// `-min(r A, clip(r, 1 - e, 1 + e) A) + b (exp(d) - d - 1)`, with `r = p / p_old` and `d = ln p_ref - ln p`.
///
/// The surrogate is that of PPO (Schulman et al. 2017, arXiv 1707.06347), the penalty the low-variance estimator `k3`
/// of Schulman 2020 that GRPO uses (Shao et al. 2024, arXiv 2402.03300, equation 4).
pub(super) fn policy_loss(log_probs: &Tensor, terms: &Surrogate<'_>, count: usize) -> Result<Tensor> {
    let old = Tensor::new(terms.old, log_probs.device())?;
    let reference = Tensor::new(terms.reference, log_probs.device())?;
    let advantage = f64::from(terms.advantage);
    let ratio = (log_probs - old)?.exp()?;
    let clipped = ratio.clamp(1.0 - terms.clip, 1.0 + terms.clip)?;
    let surrogate = (ratio * advantage)?.minimum(&(clipped * advantage)?)?;
    let distance = (reference - log_probs)?.clamp(-20.0, 20.0)?;
    let penalty = ((distance.exp()? - distance)? - 1.0)?;
    let loss = ((penalty * terms.kl_coefficient)? - surrogate)?;
    loss.sum_all()? * (1.0 / count as f64)
}
