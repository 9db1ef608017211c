//! Causal attention of packed tokens over block caches, on the host.

use std::sync::Arc;

use rayon::prelude::*;

use super::cache::{BLOCK_TOKENS, Block};
use super::config::ModelConfig;
use super::math::{exp_inline, vectorised};

/// A packed token: the cache it looks into, and its position there. It sees the positions from `first` up to its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) blocks: &'a [Arc<Block>],
    pub(super) position: usize,
    /// The first position that it sees.
    pub(super) first: usize,
}

/// Attention of one layer: `queries` and `output` are `[tokens, heads * head_dim]`.
///
/// Keys are visited block by block from the first, whatever the step they came in, and every (token, head) is
/// computed by itself: neither threads nor the other tokens of the step change a bit.
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
        let members = queries.chunks_exact(config.head_dim).zip(output.chunks_exact_mut(config.head_dim));
        for (query, output) in members {
            attend_one(token, head, query, scores, output);
        }
    });
}

vectorised! {
    /// One query head for one token.
    fn attend_one(token: Query<'_>, head: usize, query: &[f32], scores: &mut Vec<[f32; BLOCK_TOKENS]>, output: &mut [f32]) {
        let head_dim = query.len();
        // Positions are counted from the first block that has something to see.
        let skipped = token.first / BLOCK_TOKENS;
        let count = token.position + 1 - skipped * BLOCK_TOKENS;
        let unseen = token.first % BLOCK_TOKENS;
        let blocks = &token.blocks[skipped..skipped + count.div_ceil(BLOCK_TOKENS)];
        let scale = 1.0 / (head_dim as f32).sqrt();
        scores.clear();
        let mut largest = [f32::NEG_INFINITY; 8];
        for (index, block) in blocks.iter().enumerate() {
            let mut sums = [0f32; BLOCK_TOKENS];
            for (query, keys) in query.iter().zip(block.head(head, head_dim).0.as_chunks::<BLOCK_TOKENS>().0) {
                for lane in 0..BLOCK_TOKENS {
                    sums[lane] = keys[lane].mul_add(*query, sums[lane]);
                }
            }
            let seen = count - index * BLOCK_TOKENS;
            for lane in 0..BLOCK_TOKENS {
                let is_seen = lane < seen && (index > 0 || lane >= unseen);
                sums[lane] = if is_seen { sums[lane] * scale } else { f32::NEG_INFINITY };
                largest[lane % 8] = if sums[lane] > largest[lane % 8] { sums[lane] } else { largest[lane % 8] };
            }
            scores.push(sums);
        }
        let mut most = f32::NEG_INFINITY;
        for lane in largest {
            most = if lane > most { lane } else { most };
        }
        let mut totals = [0f32; 8];
        for scores in scores.iter_mut() {
            for lane in 0..BLOCK_TOKENS {
                scores[lane] = exp_inline(scores[lane] - most);
                totals[lane % 8] += scores[lane];
            }
        }
        let mut total = 0f32;
        for lane in totals {
            total += lane;
        }
        let inverse = 1.0 / total;
        let mut start = 0;
        while start < head_dim {
            let width = head_dim - start;
            start += if width >= 64 {
                weigh::<64>(blocks, head, head_dim, start, count, scores, inverse, output)
            } else if width >= 16 {
                weigh::<16>(blocks, head, head_dim, start, count, scores, inverse, output)
            } else {
                weigh::<1>(blocks, head, head_dim, start, count, scores, inverse, output)
            };
        }
    }
}

/// Sums of `N` columns of the values from `start`, weighted by the scores. Returns `N`.
#[expect(clippy::inline_always, reason = "must take on the features of the function it is inlined into")]
#[expect(clippy::too_many_arguments, reason = "a part of one loop")]
#[inline(always)]
fn weigh<const N: usize>(
    blocks: &[Arc<Block>],
    head: usize,
    head_dim: usize,
    start: usize,
    count: usize,
    scores: &[[f32; BLOCK_TOKENS]],
    inverse: f32,
    output: &mut [f32],
) -> usize {
    let mut sums = [0f32; N];
    for (index, (block, scores)) in blocks.iter().zip(scores).enumerate() {
        let rows = block.head(head, head_dim).1.chunks_exact(head_dim).take(count - index * BLOCK_TOKENS);
        for (row, score) in rows.zip(scores) {
            if let Some(values) = row[start..].first_chunk::<N>() {
                for lane in 0..N {
                    sums[lane] = values[lane].mul_add(*score, sums[lane]);
                }
            }
        }
    }
    for (output, sum) in output[start..start + N].iter_mut().zip(sums) {
        *output = sum * inverse;
    }
    N
}

#[cfg(test)]
mod tests {
    use super::super::cache::KvCache;
    use super::super::rng::SplitMix64;
    use super::super::toy::Toy;
    use super::super::{Family, ModelConfig};
    use super::*;

    #[test]
    fn attention_is_that_of_the_formula() {
        let sizes = [(16, 1), (24, 63), (64, 64), (80, 65), (128, 200)];
        for ((head_dim, count), windowed) in
            sizes.iter().flat_map(|size| [false, true].map(|windowed| (*size, windowed)))
        {
            let config = ModelConfig { head_dim, layers: 1, ..Toy::new(Family::Llama, 1).config() };
            let mut rng = SplitMix64::new(3);
            let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal()).collect() };
            let (keys, values) = (draw(count * config.kv_width()), draw(count * config.kv_width()));
            let queries = draw(config.query_width());
            let mut cache = KvCache::new(&config);
            let id = cache.open(None).unwrap();
            cache.reserve(id, count).unwrap();
            cache.write(id, 0, &keys, &values).unwrap();
            let first = if windowed { count.saturating_sub(70) } else { 0 };
            let query = Query { blocks: cache.blocks(id), position: count - 1, first };
            let mut output = vec![0.0; config.query_width()];
            attend(&config, 0, &[query], &queries, &mut output);
            for head in 0..config.heads {
                let kv = head / (config.heads / config.kv_heads) * head_dim;
                let at = |rows: &[f32], token: usize, i: usize| {
                    f64::from(rows[token * config.kv_width() + kv + i])
                };
                let score = |token: usize| -> f64 {
                    let query = &queries[head * head_dim..(head + 1) * head_dim];
                    let dot: f64 =
                        query.iter().enumerate().map(|(i, q)| f64::from(*q) * at(&keys, token, i)).sum();
                    (dot / (head_dim as f64).sqrt()).exp()
                };
                let seen = |token: usize| if token < first { 0.0 } else { score(token) };
                let scores: Vec<f64> = (0..count).map(seen).collect();
                let total: f64 = scores.iter().sum();
                for i in 0..head_dim {
                    let want: f64 =
                        scores.iter().enumerate().map(|(t, s)| s * at(&values, t, i)).sum::<f64>() / total;
                    let got = f64::from(output[head * head_dim + i]);
                    assert!(
                        (got - want).abs() < 1e-5,
                        "{head_dim} wide, {count} tokens: {got} against {want}"
                    );
                }
            }
        }
    }
}
