//! The decoder on a graphics card: Candle operations over caches that grow by doubling.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::adapter::{Adapter, rows_to_gguf};
use super::config::ModelConfig;
use super::graph::{GraphModel, LowRank, Run, Storage};
use super::names::Part;
use super::ops::Mode;
use super::weights::WeightFile;
use super::{Logits, SequenceId, StepRow};
use crate::KernelError;

/// Positions that a new cache holds before it grows.
const FIRST_CAPACITY: usize = 256;

/// Keys and values by layer, each `[kv_heads, capacity, head_dim]`, `f16` where attention is one kernel and `f32` elsewhere.
#[derive(Debug)]
struct Cache {
    layers: Vec<(Tensor, Tensor)>,
    capacity: usize,
    len: usize,
}

/// Weights and caches of a model on one device.
///
/// A shared prefix is copied once when a sequence is opened, not once for each token.
#[derive(Debug)]
pub(super) struct CardModel {
    graph: GraphModel,
    additions: BTreeMap<(usize, Part), LowRank>,
    sequences: BTreeMap<SequenceId, Cache>,
    next: u64,
}

impl CardModel {
    pub(super) fn load(
        file: &WeightFile,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, KernelError> {
        let graph = GraphModel::load(file, config, device, Storage::Quantized)?;
        Ok(Self { graph, additions: BTreeMap::new(), sequences: BTreeMap::new(), next: 0 })
    }

    /// The same with another kernel for attention, for tests of what is around it.
    #[cfg(test)]
    pub(super) fn with_kernel(mut self, kernel: super::fused::Kernel) -> Self {
        self.graph.kernel = Some(kernel);
        self
    }

    pub(super) fn open(&mut self, shared: Option<(SequenceId, usize)>) -> Result<SequenceId, KernelError> {
        let cache = match shared {
            None => self.empty(FIRST_CAPACITY)?,
            Some((id, len)) => {
                let origin = self
                    .sequences
                    .get(&id)
                    .ok_or_else(|| KernelError::Argument(format!("sequence {} is not open", id.0)))?;
                if origin.len < len {
                    return Err(KernelError::Argument(format!(
                        "sequence {} holds {} tokens, its first {len} cannot be shared",
                        id.0, origin.len
                    )));
                }
                self.copied(origin, len, (2 * len).max(FIRST_CAPACITY))?
            }
        };
        let id = SequenceId(self.next);
        self.next += 1;
        self.sequences.insert(id, cache);
        Ok(id)
    }

    pub(super) fn close(&mut self, id: SequenceId) {
        self.sequences.remove(&id);
    }

    pub(super) fn len(&self, id: SequenceId) -> Option<usize> {
        self.sequences.get(&id).map(|cache| cache.len)
    }

    pub(super) fn set_adapter(&mut self, adapter: Option<&Adapter>) -> Result<(), KernelError> {
        self.additions.clear();
        let Some(adapter) = adapter else { return Ok(()) };
        let (config, device) = (&self.graph.config, &self.graph.device);
        for (&(layer, part), factors) in &adapter.factors {
            let (outputs, inputs) = part.shape(config);
            let up = rows_to_gguf(config, part, &factors.up, adapter.rank);
            let addition = LowRank {
                down: Tensor::from_vec(factors.down.clone(), (adapter.rank, inputs), device)?,
                up: Tensor::from_vec(up, (outputs, adapter.rank), device)?,
                scale: f64::from(adapter.scale()),
            };
            self.additions.insert((layer, part), addition);
        }
        Ok(())
    }

    /// The step of [`super::Decoder::step`]; the rows have been checked.
    pub(super) fn step(&mut self, rows: &[StepRow]) -> Result<Vec<Vec<f32>>, KernelError> {
        let tokens: Vec<u32> = rows.iter().flat_map(|row| row.tokens.iter().copied()).collect();
        let mut runs = Vec::with_capacity(rows.len());
        for (sequence, row) in rows.iter().enumerate() {
            let position = self.len(row.sequence).unwrap_or(0);
            self.grow(row.sequence, position + row.tokens.len())?;
            runs.push(Run { sequence, count: row.tokens.len(), position });
        }
        let plan = self.graph.plan(runs)?;
        let mut stream = self.graph.embed(&tokens)?;
        let (sequences, kept) = (&self.sequences, self.graph.kept_type());
        let mut key_values = |layer: usize, run: Run, keys: Tensor, values: Tensor| {
            let cache = sequences
                .get(&rows[run.sequence].sequence)
                .ok_or_else(|| KernelError::Internal("a sequence closed within a step".into()))?;
            let (all_keys, all_values) = &cache.layers[layer];
            all_keys.slice_set(&keys.to_dtype(kept)?, 1, run.position)?;
            all_values.slice_set(&values.to_dtype(kept)?, 1, run.position)?;
            let seen = run.position + run.count;
            Ok((all_keys.narrow(1, 0, seen)?, all_values.narrow(1, 0, seen)?))
        };
        let additions = |layer: usize, part: Part| self.additions.get(&(layer, part)).cloned();
        for layer in 0..self.graph.config.layers {
            stream = self.graph.layer(layer, &stream, &plan, &additions, &mut key_values, Mode::Inference)?;
        }
        let mut wanted = Vec::new();
        let mut start = 0u32;
        for row in rows {
            #[expect(clippy::cast_possible_truncation, reason = "a step has far fewer tokens")]
            let end = start + row.tokens.len() as u32;
            match row.logits {
                Logits::None => {}
                Logits::Last => wanted.push(end - 1),
                Logits::All => wanted.extend(start..end),
            }
            start = end;
            if let Some(cache) = self.sequences.get_mut(&row.sequence) {
                cache.len += row.tokens.len();
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = stream.index_select(&Tensor::new(wanted.as_slice(), &self.graph.device)?, 0)?;
        Ok(self.graph.logits(&wanted, Mode::Inference)?.to_vec2()?)
    }

    fn empty(&self, capacity: usize) -> Result<Cache, KernelError> {
        let config = &self.graph.config;
        let shape = (config.kv_heads, capacity, config.head_dim);
        let zeros = || Tensor::zeros(shape, self.graph.kept_type(), &self.graph.device);
        let layers =
            (0..config.layers).map(|_| Ok((zeros()?, zeros()?))).collect::<Result<_, KernelError>>()?;
        Ok(Cache { layers, capacity, len: 0 })
    }

    fn copied(&self, origin: &Cache, len: usize, capacity: usize) -> Result<Cache, KernelError> {
        let mut cache = self.empty(capacity)?;
        if len > 0 {
            for ((keys, values), (from_keys, from_values)) in cache.layers.iter().zip(&origin.layers) {
                keys.slice_set(&from_keys.narrow(1, 0, len)?.contiguous()?, 1, 0)?;
                values.slice_set(&from_values.narrow(1, 0, len)?.contiguous()?, 1, 0)?;
            }
        }
        cache.len = len;
        Ok(cache)
    }

    /// Makes room for `needed` tokens in all.
    fn grow(&mut self, id: SequenceId, needed: usize) -> Result<(), KernelError> {
        let Some(cache) = self.sequences.get(&id) else { return Ok(()) };
        if needed > cache.capacity {
            let grown = self.copied(cache, cache.len, needed.max(2 * cache.capacity))?;
            self.sequences.insert(id, grown);
        }
        Ok(())
    }
}
