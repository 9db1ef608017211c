//! Keys and values of the sequences, in blocks that sequences share by reference.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SequenceId;
use super::config::ModelConfig;
use crate::KernelError;

/// Tokens in a block: as many as one pass of the attention scores at a time.
pub(super) const BLOCK_TOKENS: usize = 64;

/// Keys and values of [`BLOCK_TOKENS`] neighbouring tokens in all layers.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// `[layers, kv_heads, head_dim, BLOCK_TOKENS]`, so that the scores of all tokens are computed side by side.
    keys: Vec<f32>,
    /// `[layers, kv_heads, BLOCK_TOKENS, head_dim]`.
    values: Vec<f32>,
}

impl Block {
    /// The keys `[head_dim, BLOCK_TOKENS]` and the values `[BLOCK_TOKENS, head_dim]` of one head of one layer.
    pub(super) fn head(&self, head: usize, head_dim: usize) -> (&[f32], &[f32]) {
        let size = BLOCK_TOKENS * head_dim;
        (&self.keys[head * size..(head + 1) * size], &self.values[head * size..(head + 1) * size])
    }
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
            sequence.blocks.push(Arc::new(Block { keys: vec![0.0; size], values: vec![0.0; size] }));
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
