//! Keys and values of the sequences, in blocks that sequences share by reference.

use std::collections::BTreeMap;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt as _;

use super::SequenceId;
use super::config::ModelConfig;
use crate::KernelError;

/// Tokens in a block: as many as one pass of the attention scores at a time.
pub(super) const BLOCK_TOKENS: usize = 64;

/// Keys and values of [`BLOCK_TOKENS`] neighbouring tokens in all layers, rounded to `f16`, which takes half of the memory.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// `[layers, kv_heads, head_dim, BLOCK_TOKENS]`, so that the scores of all tokens are computed side by side.
    keys: Vec<f16>,
    /// `[layers, kv_heads, BLOCK_TOKENS, head_dim]`.
    values: Vec<f16>,
}

impl Block {
    /// Reads the keys of one head of one layer, `[head_dim, BLOCK_TOKENS]`.
    pub(super) fn read_keys(&self, head: usize, head_dim: usize, keys: &mut Vec<f32>) {
        read(&self.keys, head * BLOCK_TOKENS * head_dim, BLOCK_TOKENS * head_dim, keys);
    }

    /// Reads the values of the first `count` tokens of one head of one layer, `[count, head_dim]`.
    pub(super) fn read_values(&self, head: usize, head_dim: usize, count: usize, values: &mut Vec<f32>) {
        read(&self.values, head * BLOCK_TOKENS * head_dim, count * head_dim, values);
    }
}

fn read(halves: &[f16], start: usize, count: usize, to: &mut Vec<f32>) {
    to.resize(count, 0.0);
    halves[start..start + count].convert_to_f32_slice(to);
}

#[derive(Debug, Default)]
struct Sequence {
    blocks: Vec<Arc<Block>>,
    len: usize,
}

/// The caches of all open sequences.
///
/// A block is counted by its references. A sequence that shares a prefix holds the same blocks as its origin; only
/// the last, half-filled block is copied, by whichever of the two first writes to it. Appending never moves what is
/// there already.
#[derive(Debug)]
pub(super) struct KvCache {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    sequences: BTreeMap<SequenceId, Sequence>,
    next: u64,
}

impl KvCache {
    pub(super) fn new(config: &ModelConfig) -> Self {
        let (layers, kv_heads, head_dim) = (config.layers, config.kv_heads, config.head_dim);
        Self { layers, kv_heads, head_dim, sequences: BTreeMap::new(), next: 0 }
    }

    pub(super) fn open(&mut self, shared: Option<(SequenceId, usize)>) -> Result<SequenceId, KernelError> {
        let sequence = match shared {
            None => Sequence::default(),
            Some((id, len)) => {
                let origin = self.sequences.get(&id).ok_or_else(|| unknown(id))?;
                if origin.len < len {
                    return Err(KernelError::Argument(format!(
                        "sequence {} holds {} tokens, its first {len} cannot be shared",
                        id.0, origin.len
                    )));
                }
                Sequence { blocks: origin.blocks[..len.div_ceil(BLOCK_TOKENS)].to_vec(), len }
            }
        };
        let id = SequenceId(self.next);
        self.next += 1;
        self.sequences.insert(id, sequence);
        Ok(id)
    }

    pub(super) fn close(&mut self, id: SequenceId) {
        self.sequences.remove(&id);
    }

    /// Number of tokens, if the sequence is open.
    pub(super) fn len(&self, id: SequenceId) -> Option<usize> {
        self.sequences.get(&id).map(|sequence| sequence.len)
    }

    /// The blocks of an open sequence.
    pub(super) fn blocks(&self, id: SequenceId) -> &[Arc<Block>] {
        self.sequences.get(&id).map_or(&[], |sequence| &sequence.blocks)
    }

    /// Makes room for `count` more tokens that [`Self::write`] may then fill; [`Self::advance`] makes them count.
    pub(super) fn reserve(&mut self, id: SequenceId, count: usize) -> Result<(), KernelError> {
        let size = self.layers * self.kv_heads * BLOCK_TOKENS * self.head_dim;
        let sequence = self.sequences.get_mut(&id).ok_or_else(|| unknown(id))?;
        let first = sequence.len / BLOCK_TOKENS;
        for block in sequence.blocks.iter_mut().skip(first) {
            Arc::make_mut(block);
        }
        while sequence.blocks.len() * BLOCK_TOKENS < sequence.len + count {
            sequence
                .blocks
                .push(Arc::new(Block { keys: vec![f16::ZERO; size], values: vec![f16::ZERO; size] }));
        }
        Ok(())
    }

    /// Writes keys and values of one layer, each `[count, kv_heads * head_dim]`, behind the sequence's tokens.
    pub(super) fn write(
        &mut self,
        id: SequenceId,
        layer: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<(), KernelError> {
        let sequence = self.sequences.get_mut(&id).ok_or_else(|| unknown(id))?;
        let width = self.kv_heads * self.head_dim;
        let [keys, values] = [keys, values].map(|rows| {
            // An infinite value would reach the tokens before it: they weigh it with zero.
            let largest = f16::MAX.to_f32();
            let bounded: Vec<f32> = rows.iter().map(|value| value.clamp(-largest, largest)).collect();
            let mut halves = vec![f16::ZERO; rows.len()];
            halves.convert_from_f32_slice(&bounded);
            halves
        });
        for (row, (keys, values)) in keys.chunks_exact(width).zip(values.chunks_exact(width)).enumerate() {
            let position = sequence.len + row;
            let block =
                sequence.blocks.get_mut(position / BLOCK_TOKENS).and_then(Arc::get_mut).ok_or_else(|| {
                    KernelError::Internal(format!("no room of its own at {position} in sequence {}", id.0))
                })?;
            let slot = position % BLOCK_TOKENS;
            for head in 0..self.kv_heads {
                let range = head * self.head_dim..(head + 1) * self.head_dim;
                let start = (layer * self.kv_heads + head) * BLOCK_TOKENS * self.head_dim;
                let columns = block.keys[start..].iter_mut().skip(slot).step_by(BLOCK_TOKENS);
                columns.zip(&keys[range.clone()]).for_each(|(column, key)| *column = *key);
                let start = start + slot * self.head_dim;
                block.values[start..start + self.head_dim].copy_from_slice(&values[range]);
            }
        }
        Ok(())
    }

    /// Counts `count` written tokens as part of the sequence.
    pub(super) fn advance(&mut self, id: SequenceId, count: usize) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.len += count;
        }
    }
}

fn unknown(id: SequenceId) -> KernelError {
    KernelError::Argument(format!("sequence {} is not open", id.0))
}
