//! Causal attention of packed tokens over block caches, on the host.

use std::sync::Arc;

use rayon::prelude::*;

use super::cache::{BLOCK_TOKENS, Block};
use super::config::ModelConfig;
use super::math::{dot_inline, exp_inline, vectorised};

/// A packed token: the cache it looks into, and its position there. It sees the positions up to its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) blocks: &'a [Arc<Block>],
    pub(super) position: usize,
}

/// Attention of one layer: `queries_rows` and the result are `[tokens, heads * head_dim]`.
///
/// Keys are visited one by one from the first, whatever the step they came in, and every (token, head) is computed
/// by itself: neither threads nor the other tokens of the step change a bit.
pub(super) fn attend(
    config: &ModelConfig,
    layer: usize,
    tokens: &[Query<'_>],
    queries: &[f32],
    output: &mut [f32],
) {
    let group_width = config.heads / config.kv_heads * config.head_dim;
    let groups = queries.par_chunks_exact(group_width).zip(output.par_chunks_exact_mut(group_width));
    groups.enumerate().for_each_init(Vec::new, |scores, (index, (queries, output))| {
        let token = tokens[index / config.kv_heads];
        let head = layer * config.kv_heads + index % config.kv_heads;
        attend_group(token, head, config.head_dim, queries, scores, output);
    });
}

vectorised! {
    /// All query heads that share one key-value head, for one token.
    fn attend_group(
        token: Query<'_>,
        head: usize,
        head_dim: usize,
        queries: &[f32],
        scores: &mut Vec<f32>,
        output: &mut [f32],
    ) {
        let count = token.position + 1;
        let group = queries.len() / head_dim;
        let scale = 1.0 / (head_dim as f32).sqrt();
        scores.clear();
        scores.resize(group * count, 0.0);
        for (index, block) in token.blocks[..count.div_ceil(BLOCK_TOKENS)].iter().enumerate() {
            let (keys, _) = block.head(head, head_dim);
            let start = index * BLOCK_TOKENS;
            for (key, position) in keys.chunks_exact(head_dim).zip(start..count) {
                for (member, query) in queries.chunks_exact(head_dim).enumerate() {
                    scores[member * count + position] = dot_inline(query, key) * scale;
                }
            }
        }
        for scores in scores.chunks_exact_mut(count) {
            let largest = scores.iter().fold(f32::NEG_INFINITY, |largest, &score| if score > largest { score } else { largest });
            for score in &mut *scores {
                *score = exp_inline(*score - largest);
            }
            let sum: f32 = scores.iter().sum();
            let inverse = 1.0 / sum;
            for score in &mut *scores {
                *score *= inverse;
            }
        }
        output.fill(0.0);
        for (index, block) in token.blocks[..count.div_ceil(BLOCK_TOKENS)].iter().enumerate() {
            let (_, values) = block.head(head, head_dim);
            let start = index * BLOCK_TOKENS;
            for (value, position) in values.chunks_exact(head_dim).zip(start..count) {
                for (member, output) in output.chunks_exact_mut(head_dim).enumerate() {
                    let weight = scores[member * count + position];
                    for (output, value) in output.iter_mut().zip(value) {
                        *output = value.mul_add(weight, *output);
                    }
                }
            }
        }
    }
}
