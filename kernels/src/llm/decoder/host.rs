//! The decoder on the host's processor: plain rows of `f32`, quantised weights, block caches.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};

use super::adapter::{Adapter, rows_to_gguf};
use super::attention::{Query, attend};
use super::cache::KvCache;
use super::config::ModelConfig;
use super::linear::{Input, Linear, LowRank};
use super::math::{add, rms_norm, swiglu};
use super::names::{HEAD_NORMS, Part, bias_name, norm_name, weight_name};
use super::rope::Rope;
use super::{Logits, StepRow};
use crate::KernelError;
use crate::llm::gguf::GgufFile;

/// One layer's weights.
#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    feed_forward_norm: Vec<f32>,
    /// Of each head of queries and keys, where the family has them.
    head_norms: Option<[Vec<f32>; 2]>,
    /// In the order of [`Part::ALL`].
    projections: Vec<Linear>,
}

impl Layer {
    /// Several projections of the same rows, `[rows, width]`.
    fn project<const N: usize>(&self, parts: [Part; N], input: &[f32], width: usize) -> [Vec<f32>; N] {
        Linear::forward_all(parts.map(|part| &self.projections[part as usize]), &Input::new(input, width))
    }
}

/// Weights and caches of a model on the host.
#[derive(Debug)]
pub(super) struct HostModel {
    config: ModelConfig,
    rope: Rope,
    embedding: Arc<QTensor>,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    head: Linear,
    pub(super) cache: KvCache,
}

impl HostModel {
    pub(super) fn load(file: &GgufFile, config: &ModelConfig) -> Result<Self, KernelError> {
        let matrix = |name: &str, outputs: usize, inputs: usize| -> Result<Arc<QTensor>, KernelError> {
            Ok(Arc::new(file.tensor(name, &[outputs, inputs], &Device::Cpu)?))
        };
        let vector = |name: &str, width: usize| vector(file, name, width);
        let mut layers = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            let mut projections = Vec::with_capacity(Part::ALL.len());
            for part in Part::ALL {
                let (outputs, inputs) = part.shape(config);
                let bias = match bias_name(config, layer, part) {
                    Some(name) => Some(vector(&name, outputs)?),
                    None => None,
                };
                let weight = matrix(&weight_name(layer, part), outputs, inputs)?;
                projections.push(Linear::new(&weight, bias)?);
            }
            layers.push(Layer {
                attention_norm: vector(&norm_name(layer, "attn_norm"), config.hidden)?,
                feed_forward_norm: vector(&norm_name(layer, "ffn_norm"), config.hidden)?,
                head_norms: if config.family.has_head_norms() {
                    let [query, key] =
                        HEAD_NORMS.map(|norm| vector(&norm_name(layer, norm), config.head_dim));
                    Some([query?, key?])
                } else {
                    None
                },
                projections,
            });
        }
        let embedding = matrix("token_embd.weight", config.vocab_size, config.hidden)?;
        let head = if config.tied_head {
            embedding.clone()
        } else {
            matrix("output.weight", config.vocab_size, config.hidden)?
        };
        let factors = rope_factors(file, config)?;
        Ok(Self {
            config: config.clone(),
            rope: Rope::new(config, factors.as_deref()),
            embedding,
            layers,
            final_norm: vector("output_norm.weight", config.hidden)?,
            head: Linear::new(&head, None)?,
            cache: KvCache::new(config),
        })
    }

    /// Sets an adapter that has been checked against the configuration.
    pub(super) fn set_adapter(&mut self, adapter: Option<&Adapter>) {
        for (index, layer) in self.layers.iter_mut().enumerate() {
            for part in Part::ALL {
                let factors =
                    adapter.and_then(|adapter| Some((adapter, adapter.factors.get(&(index, part))?)));
                let low_rank = factors.map(|(adapter, factors)| {
                    let up = rows_to_gguf(&self.config, part, &factors.up, adapter.rank);
                    LowRank {
                        down: factors.down.clone(),
                        up: (0..adapter.rank)
                            .flat_map(|i| up.iter().skip(i).step_by(adapter.rank).copied())
                            .collect(),
                        scale: adapter.scale(),
                    }
                });
                layer.projections[part as usize].set_low_rank(low_rank);
            }
        }
    }

    /// The step of [`super::Decoder::step`]; the rows have been checked.
    pub(super) fn step(&mut self, rows: &[StepRow]) -> Result<Vec<Vec<f32>>, KernelError> {
        // On a thread of the pool the many short parallel loops start without waking a thread each.
        rayon::scope(|_| self.step_in_pool(rows))
    }

    fn step_in_pool(&mut self, rows: &[StepRow]) -> Result<Vec<Vec<f32>>, KernelError> {
        let config = self.config.clone();
        let tokens: Vec<u32> = rows.iter().flat_map(|row| row.tokens.iter().copied()).collect();
        let mut positions = Vec::with_capacity(tokens.len());
        for row in rows {
            self.cache.reserve(row.sequence, row.tokens.len())?;
            let start = self.cache.len(row.sequence).unwrap_or(0);
            positions.extend(start..start + row.tokens.len());
        }
        let (cosines, sines) = self.rope.angles(&positions);
        let angles = (cosines.as_slice(), sines.as_slice());

        let ids = Tensor::from_vec(tokens, positions.len(), &Device::Cpu)?;
        let mut stream: Vec<f32> = self.embedding.embedding(&ids)?.flatten_all()?.to_vec1()?;
        let mut normed = vec![0.0; stream.len()];
        let mut attended = vec![0.0; positions.len() * config.query_width()];
        for (index, layer) in self.layers.iter().enumerate() {
            rms_norm(&stream, &layer.attention_norm, config.rms_epsilon, &mut normed);
            let [mut queries, mut keys, values] =
                layer.project([Part::Query, Part::Key, Part::Value], &normed, config.hidden);
            if let Some(norms) = &layer.head_norms {
                for (heads, norm) in [&mut queries, &mut keys].into_iter().zip(norms) {
                    let raw = std::mem::take(heads);
                    *heads = vec![0.0; raw.len()];
                    rms_norm(&raw, norm, config.rms_epsilon, heads);
                }
            }
            self.rope.rotate(&mut queries, config.query_width(), angles);
            self.rope.rotate(&mut keys, config.kv_width(), angles);
            let mut start = 0;
            for row in rows {
                let range = start * config.kv_width()..(start + row.tokens.len()) * config.kv_width();
                self.cache.write(row.sequence, index, &keys[range.clone()], &values[range])?;
                start += row.tokens.len();
            }
            let sequences =
                rows.iter().flat_map(|row| row.tokens.iter().map(|_| self.cache.blocks(row.sequence)));
            let queried: Vec<Query<'_>> =
                sequences.zip(&positions).map(|(blocks, &position)| Query { blocks, position }).collect();
            attend(&config, index, &queried, &queries, &mut attended);
            let [output] = layer.project([Part::Output], &attended, config.query_width());
            add(&mut stream, &output);

            rms_norm(&stream, &layer.feed_forward_norm, config.rms_epsilon, &mut normed);
            let [mut gate, up] = layer.project([Part::Gate, Part::Up], &normed, config.hidden);
            swiglu(&mut gate, &up);
            let [output] = layer.project([Part::Down], &gate, config.feed_forward);
            add(&mut stream, &output);
        }
        for row in rows {
            self.cache.advance(row.sequence, row.tokens.len());
        }
        Ok(self.logits(rows, &stream))
    }

    fn logits(&self, rows: &[StepRow], stream: &[f32]) -> Vec<Vec<f32>> {
        let hidden = self.config.hidden;
        let mut wanted = Vec::new();
        let mut start = 0;
        for row in rows {
            let end = start + row.tokens.len();
            let first = match row.logits {
                Logits::None => end,
                Logits::Last => end - 1,
                Logits::All => start,
            };
            wanted.extend_from_slice(&stream[first * hidden..end * hidden]);
            start = end;
        }
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut normed = vec![0.0; wanted.len()];
        rms_norm(&wanted, &self.final_norm, self.config.rms_epsilon, &mut normed);
        let logits = self.head.forward(&Input::new(&normed, hidden));
        logits.chunks_exact(self.config.vocab_size).map(<[f32]>::to_vec).collect()
    }
}

/// A tensor of one dimension as `f32`.
pub(crate) fn vector(file: &GgufFile, name: &str, width: usize) -> Result<Vec<f32>, KernelError> {
    Ok(file.tensor(name, &[width], &Device::Cpu)?.dequantize(&Device::Cpu)?.to_vec1()?)
}

/// The divisors of the rotary frequencies, if the file has them.
pub(crate) fn rope_factors(file: &GgufFile, config: &ModelConfig) -> Result<Option<Vec<f32>>, KernelError> {
    match file.shape("rope_freqs.weight") {
        None => Ok(None),
        Some(_) => vector(file, "rope_freqs.weight", config.head_dim / 2).map(Some),
    }
}
