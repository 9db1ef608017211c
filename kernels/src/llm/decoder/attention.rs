//! Causal attention of packed tokens over block caches, on the host.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::cache::{BLOCK_TOKENS, Block};
use super::config::ModelConfig;
use super::math::{exp_inline, vectorised};

/// Neighbouring tokens of a sequence that look at a block together, while it is near.
const TILE_TOKENS: usize = 8;

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
/// Keys are visited block by block from the first, whatever the step they came in, and what is added up for a (token, head)
/// is added up in the same order whichever others look at the block beside it: neither threads nor the other tokens of the
/// step change a bit.
pub(super) fn attend(
    config: &ModelConfig,
    layer: usize,
    tokens: &[Query<'_>],
    queries: &[f32],
    output: &mut [f32],
) {
    let width = config.query_width();
    let group_width = width / config.kv_heads;
    let scale = 1.0 / (config.score_width() as f32).sqrt();
    let mut tasks = Vec::new();
    let mut rest = output;
    for tile in tiles(tokens) {
        let (rows, after) = rest.split_at_mut(tile.len() * width);
        rest = after;
        let mut groups: Vec<Vec<&mut [f32]>> =
            std::iter::repeat_with(Vec::new).take(config.kv_heads).collect();
        for (index, group) in rows.chunks_exact_mut(group_width).enumerate() {
            groups[index % config.kv_heads].push(group);
        }
        tasks.extend(groups.into_iter().enumerate().map(|(head, output)| (tile.clone(), head, output)));
    }
    tasks.into_par_iter().for_each_init(Tile::default, |state, (tile, head, output)| {
        state.queries.clear();
        for token in tile.clone() {
            let start = token * width + head * group_width;
            state.queries.extend_from_slice(&queries[start..start + group_width]);
        }
        attend_tile(&tokens[tile], layer * config.kv_heads + head, config.head_dim, scale, state);
        for (output, found) in output.into_iter().zip(state.output.chunks_exact(group_width)) {
            output.copy_from_slice(found);
        }
    });
}

/// Neighbouring tokens of the same sequence, at most [`TILE_TOKENS`].
fn tiles(tokens: &[Query<'_>]) -> Vec<Range<usize>> {
    let mut tiles: Vec<Range<usize>> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match tiles.last_mut() {
            Some(tile) if tile.len() < TILE_TOKENS && follows(&tokens[at - 1], token) => tile.end = at + 1,
            _ => tiles.push(at..at + 1),
        }
    }
    tiles
}

fn follows(last: &Query<'_>, next: &Query<'_>) -> bool {
    std::ptr::eq(last.blocks, next.blocks) && last.position + 1 == next.position
}

/// The query heads of some tokens that share a head of keys and values, one row each.
#[derive(Default)]
struct Tile {
    /// `[rows, head_dim]`.
    queries: Vec<f32>,
    /// The same in chunks of as many rows as are computed together, each `[head_dim, rows of the chunk]`.
    packed: Vec<f32>,
    /// `[rows, tokens]` with as many tokens as the blocks have that are looked at.
    scores: Vec<f32>,
    /// The keys or values that are looked at.
    block: Vec<f32>,
    /// What the weights of each row add up to.
    totals: Vec<f32>,
    /// `[rows, head_dim]`.
    output: Vec<f32>,
}

/// What is computed for some rows together: their sums fit the registers of the vector unit.
struct Chunk {
    rows: usize,
    /// [`score`].
    score: fn(&[f32], &[f32], &mut [f32], usize),
    /// [`weigh`].
    weigh: fn(&[f32], &[f32], usize, &mut [f32]),
}

/// From the largest.
const CHUNKS: [Chunk; 3] = [
    Chunk { rows: 4, score: score_four, weigh: weigh_four },
    Chunk { rows: 2, score: score_two, weigh: weigh_two },
    Chunk { rows: 1, score: score_one, weigh: weigh_one },
];

/// The chunks of some rows, each with its rows.
fn chunks(rows: usize) -> impl Iterator<Item = (Range<usize>, &'static Chunk)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let chunk = CHUNKS.iter().find(|chunk| chunk.rows <= rows - next)?;
        next += chunk.rows;
        Some((next - chunk.rows..next, chunk))
    })
}

/// All rows of a tile; scores are multiplied by `scale`.
fn attend_tile(tokens: &[Query<'_>], head: usize, head_dim: usize, scale: f32, tile: &mut Tile) {
    let [Some(earliest), Some(last)] = [tokens.first(), tokens.last()] else { return };
    let rows = tile.queries.len() / head_dim;
    // Positions are counted from the first block that has something to see.
    let skipped = earliest.first / BLOCK_TOKENS;
    let start = skipped * BLOCK_TOKENS;
    let count = last.position + 1 - start;
    let blocks = &last.blocks[skipped..skipped + count.div_ceil(BLOCK_TOKENS)];
    let width = blocks.len() * BLOCK_TOKENS;

    tile.packed.clear();
    for (members, _) in chunks(rows) {
        for i in 0..head_dim {
            tile.packed.extend(members.clone().map(|member| tile.queries[member * head_dim + i]));
        }
    }
    tile.scores.resize(rows * width, 0.0);
    for (index, block) in blocks.iter().enumerate() {
        block.read_keys(head, head_dim, &mut tile.block);
        for (members, chunk) in chunks(rows) {
            let queries = &tile.packed[members.start * head_dim..members.end * head_dim];
            let scores = &mut tile.scores[members.start * width..members.end * width];
            (chunk.score)(&tile.block, queries, scores, index * BLOCK_TOKENS);
        }
    }

    let heads = rows / tokens.len();
    tile.totals.clear();
    for (row, scores) in tile.scores.chunks_exact_mut(width).enumerate() {
        let token = tokens[row / heads];
        scores[..token.first - start].fill(f32::NEG_INFINITY);
        scores[token.position + 1 - start..].fill(f32::NEG_INFINITY);
        tile.totals.push(weights(scores, scale));
    }

    tile.output.clear();
    tile.output.resize(rows * head_dim, 0.0);
    for (index, block) in blocks.iter().enumerate() {
        let seen = (count - index * BLOCK_TOKENS).min(BLOCK_TOKENS);
        block.read_values(head, head_dim, seen, &mut tile.block);
        for (members, chunk) in chunks(rows) {
            let scores = &tile.scores[members.start * width..members.end * width];
            let output = &mut tile.output[members.start * head_dim..members.end * head_dim];
            (chunk.weigh)(&tile.block, scores, index * BLOCK_TOKENS, output);
        }
    }
    for (output, total) in tile.output.chunks_exact_mut(head_dim).zip(&tile.totals) {
        let inverse = 1.0 / total;
        for value in output {
            *value *= inverse;
        }
    }
}

// Each a function of its own: in one large function the compiler no longer keeps the sums in vectors.
vectorised! {
    fn score_four(keys: &[f32], queries: &[f32], scores: &mut [f32], place: usize) {
        score::<4, 16>(keys, queries, scores, place);
    }
}
vectorised! {
    fn score_two(keys: &[f32], queries: &[f32], scores: &mut [f32], place: usize) {
        score::<2, 32>(keys, queries, scores, place);
    }
}
vectorised! {
    fn score_one(keys: &[f32], queries: &[f32], scores: &mut [f32], place: usize) {
        score::<1, 64>(keys, queries, scores, place);
    }
}
vectorised! {
    fn weigh_four(values: &[f32], scores: &[f32], place: usize, output: &mut [f32]) {
        weigh::<4, 16>(values, scores, place, output);
    }
}
vectorised! {
    fn weigh_two(values: &[f32], scores: &[f32], place: usize, output: &mut [f32]) {
        weigh::<2, 32>(values, scores, place, output);
    }
}
vectorised! {
    fn weigh_one(values: &[f32], scores: &[f32], place: usize, output: &mut [f32]) {
        weigh::<1, 64>(values, scores, place, output);
    }
}

/// Scores of some rows over the keys of a block, put at a place of each row.
#[expect(clippy::inline_always, reason = "must take on the features of the function it is inlined into")]
#[inline(always)]
fn score<const ROWS: usize, const WIDTH: usize>(
    keys: &[f32],
    queries: &[f32],
    scores: &mut [f32],
    place: usize,
) {
    let row_width = scores.len() / ROWS;
    for lane in (0..BLOCK_TOKENS).step_by(WIDTH) {
        let mut sums = [[0f32; WIDTH]; ROWS];
        for (keys, queries) in keys.as_chunks::<BLOCK_TOKENS>().0.iter().zip(queries.as_chunks::<ROWS>().0) {
            let Some(keys) = keys[lane..].first_chunk::<WIDTH>() else { continue };
            for row in 0..ROWS {
                for i in 0..WIDTH {
                    sums[row][i] = keys[i].mul_add(queries[row], sums[row][i]);
                }
            }
        }
        for (scores, sums) in scores.chunks_exact_mut(row_width).zip(&sums) {
            scores[place + lane..place + lane + WIDTH].copy_from_slice(sums);
        }
    }
}

vectorised! {
    /// Makes weights of the scores of a row; returns what they add up to.
    fn weights(scores: &mut [f32], scale: f32) -> f32 {
        let mut largest = [f32::NEG_INFINITY; 8];
        for scores in scores.as_chunks_mut::<8>().0 {
            for lane in 0..8 {
                let score = scores[lane] * scale;
                scores[lane] = score;
                largest[lane] = if score > largest[lane] { score } else { largest[lane] };
            }
        }
        let most = largest.into_iter().fold(f32::NEG_INFINITY, |most, lane| if lane > most { lane } else { most });
        // A loop of its own, which is vectorised; with the sums in it, it is not, and takes six times as long.
        for score in scores.iter_mut() {
            *score = exp_inline(*score - most);
        }
        let mut totals = [0f32; 8];
        for scores in scores.as_chunks::<8>().0 {
            for lane in 0..8 {
                totals[lane] += scores[lane];
            }
        }
        totals.into_iter().fold(0.0, |total, lane| total + lane)
    }
}

/// Adds the values of a block to the output of some rows, weighted by the scores at a place of each row.
#[expect(clippy::inline_always, reason = "must take on the features of the function it is inlined into")]
#[inline(always)]
fn weigh<const ROWS: usize, const WIDTH: usize>(
    values: &[f32],
    scores: &[f32],
    place: usize,
    output: &mut [f32],
) {
    let mut weights = [&[0f32; BLOCK_TOKENS]; ROWS];
    for (weights, scores) in weights.iter_mut().zip(scores.chunks_exact(scores.len() / ROWS)) {
        if let Some(scores) = scores[place..].first_chunk::<BLOCK_TOKENS>() {
            *weights = scores;
        }
    }
    let head_dim = output.len() / ROWS;
    let mut start = 0;
    while start < head_dim {
        start += if head_dim - start >= WIDTH {
            weigh_columns::<ROWS, WIDTH>(values, weights, start, output)
        } else if head_dim - start >= 8 {
            weigh_columns::<ROWS, 8>(values, weights, start, output)
        } else {
            weigh_columns::<ROWS, 1>(values, weights, start, output)
        };
    }
}

/// The part of [`weigh`] for `N` columns from `start`. Returns `N`.
#[expect(clippy::inline_always, reason = "must take on the features of the function it is inlined into")]
#[inline(always)]
fn weigh_columns<const ROWS: usize, const N: usize>(
    values: &[f32],
    weights: [&[f32; BLOCK_TOKENS]; ROWS],
    start: usize,
    output: &mut [f32],
) -> usize {
    let head_dim = output.len() / ROWS;
    let mut sums = [[0f32; N]; ROWS];
    for (sums, output) in sums.iter_mut().zip(output.chunks_exact(head_dim)) {
        sums.copy_from_slice(&output[start..start + N]);
    }
    for (token, values) in values.chunks_exact(head_dim).enumerate().take(BLOCK_TOKENS) {
        let Some(values) = values[start..].first_chunk::<N>() else { break };
        for row in 0..ROWS {
            let weight = weights[row][token];
            for i in 0..N {
                sums[row][i] = values[i].mul_add(weight, sums[row][i]);
            }
        }
    }
    for (sums, output) in sums.iter().zip(output.chunks_exact_mut(head_dim)) {
        output[start..start + N].copy_from_slice(sums);
    }
    N
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::super::cache::KvCache;
    use super::super::rng::SplitMix64;
    use super::super::toy::Toy;
    use super::super::{Family, ModelConfig};
    use super::*;

    /// Whole prompts, one after another, and single tokens: each token alone gives the same bits.
    #[test]
    fn tokens_that_look_together_change_no_bit() {
        for (head_dim, heads, kv_heads) in [(64, 9, 3), (24, 7, 1), (80, 4, 2), (16, 2, 2)] {
            let config =
                ModelConfig { head_dim, heads, kv_heads, layers: 1, ..Toy::new(Family::Llama, 1).config() };
            let mut rng = SplitMix64::new(5);
            let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal()).collect() };
            let mut cache = KvCache::new(&config);
            let mut ids = Vec::new();
            for count in [150, 3, 64] {
                let id = cache.open(None).unwrap();
                cache.reserve(id, count).unwrap();
                cache
                    .write(id, 0, &draw(count * config.kv_width()), &draw(count * config.kv_width()))
                    .unwrap();
                ids.push(id);
            }
            let query = |sequence: usize, position: usize, window: usize| Query {
                blocks: cache.blocks(ids[sequence]),
                position,
                first: (position + 1).saturating_sub(window),
            };
            for window in [70, 1000] {
                let mut tokens: Vec<Query<'_>> = (59..150).map(|at| query(0, at, window)).collect();
                tokens.extend([query(1, 2, window), query(2, 63, window), query(2, 62, window)]);
                let queries = draw(tokens.len() * config.query_width());
                let mut together = vec![0.0; queries.len()];
                attend(&config, 0, &tokens, &queries, &mut together);
                let width = config.query_width();
                for (at, token) in tokens.iter().enumerate() {
                    let mut alone = vec![0.0; width];
                    attend(&config, 0, &[*token], &queries[at * width..(at + 1) * width], &mut alone);
                    let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
                    assert_eq!(
                        bits(&alone),
                        bits(&together[at * width..(at + 1) * width]),
                        "{head_dim} {at}"
                    );
                }
            }
        }
    }

    #[test]
    fn attention_is_that_of_the_formula() {
        let sizes = [(16, 1), (24, 63), (64, 64), (80, 65), (128, 200)];
        for ((head_dim, count), windowed) in
            sizes.iter().flat_map(|size| [false, true].map(|windowed| (*size, windowed)))
        {
            let config = ModelConfig { head_dim, layers: 1, ..Toy::new(Family::Llama, 1).config() };
            let mut rng = SplitMix64::new(3);
            let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal()).collect() };
            // As caches keep them.
            let mut rounded = || -> Vec<f32> {
                draw(count * config.kv_width())
                    .into_iter()
                    .map(|value| f16::from_f32(value).to_f32())
                    .collect()
            };
            let (keys, values) = (rounded(), rounded());
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
