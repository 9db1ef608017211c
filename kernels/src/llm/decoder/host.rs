//! The decoder on the host's processor: plain rows of `f32`, quantised weights, block caches.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};

use super::adapter::{Adapter, rows_to_gguf};
use super::attention::{Query, attend};
use super::cache::KvCache;
use super::config::ModelConfig;
use super::linear::{Input, Linear, LowRank};
use super::math::{add, geglu, rms_norm, scale, swiglu};
use super::names::{Norms, Part, bias_name, weight_name};
use super::rope::Rope;
use super::weights::WeightFile;
use super::{Logits, StepRow};
use crate::KernelError;

/// One layer's weights.
#[derive(Debug)]
struct Layer {
    norms: Norms<Vec<f32>>,
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
    /// Of layers that look back a window.
    local_rope: Option<Rope>,
    embedding: Arc<QTensor>,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    head: Linear,
    pub(super) cache: KvCache,
}

impl HostModel {
    pub(super) fn load(file: &WeightFile, config: &ModelConfig) -> Result<Self, KernelError> {
        let matrix = |name: &str, outputs: usize, inputs: usize| -> Result<Arc<QTensor>, KernelError> {
            Ok(Arc::new(file.tensor(name, &[outputs, inputs], &Device::Cpu)?))
        };
        let vector = |name: &str, width: usize| file.vector(name, width);
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
            layers.push(Layer { norms: Norms::load(config, layer, vector)?, projections });
        }
        let embedding = matrix("token_embd.weight", config.vocab_size, config.hidden)?;
        let head = if config.tied_head {
            embedding.clone()
        } else {
            matrix("output.weight", config.vocab_size, config.hidden)?
        };
        let factors = file.rope_factors(config)?;
        Ok(Self {
            config: config.clone(),
            rope: Rope::new(config, config.rope_base, factors.as_deref()),
            local_rope: config.local.map(|local| Rope::new(config, local.rope_base, None)),
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
        let whole = self.rope.angles(&positions);
        let local = self.local_rope.as_ref().map(|rope| rope.angles(&positions));

        let ids = Tensor::from_vec(tokens, positions.len(), &Device::Cpu)?;
        let mut stream: Vec<f32> = self.embedding.embedding(&ids)?.flatten_all()?.to_vec1()?;
        if let Some(factor) = config.embedding_scale() {
            scale(&mut stream, factor);
        }
        let mut normed = vec![0.0; stream.len()];
        let mut attended = vec![0.0; positions.len() * config.query_width()];
        for (index, layer) in self.layers.iter().enumerate() {
            let norms = &layer.norms;
            let window = config.window(index);
            let (rope, (cosines, sines)) = match (window, &self.local_rope, &local) {
                (Some(_), Some(rope), Some(angles)) => (rope, angles),
                _ => (&self.rope, &whole),
            };
            let angles = (cosines.as_slice(), sines.as_slice());
            rms_norm(&stream, &norms.attention, config.rms_epsilon, &mut normed);
            let [mut queries, mut keys, values] =
                layer.project([Part::Query, Part::Key, Part::Value], &normed, config.hidden);
            if let Some(norms) = &norms.heads {
                for (heads, norm) in [&mut queries, &mut keys].into_iter().zip(norms) {
                    *heads = normed_rows(heads, norm, config.rms_epsilon);
                }
            }
            rope.rotate(&mut queries, config.query_width(), angles);
            rope.rotate(&mut keys, config.kv_width(), angles);
            let mut start = 0;
            for row in rows {
                let range = start * config.kv_width()..(start + row.tokens.len()) * config.kv_width();
                self.cache.write(row.sequence, index, &keys[range.clone()], &values[range])?;
                start += row.tokens.len();
            }
            let sequences =
                rows.iter().flat_map(|row| row.tokens.iter().map(|_| self.cache.blocks(row.sequence)));
            let first = |position: usize| window.map_or(0, |window| (position + 1).saturating_sub(window));
            let query = |(blocks, &position)| Query { blocks, position, first: first(position) };
            let queried: Vec<Query<'_>> = sequences.zip(&positions).map(query).collect();
            attend(&config, index, &queried, &queries, &mut attended);
            let [mut output] = layer.project([Part::Output], &attended, config.query_width());
            if let Some([norm, _]) = &norms.post {
                output = normed_rows(&output, norm, config.rms_epsilon);
            }
            add(&mut stream, &output);

            rms_norm(&stream, &norms.feed_forward, config.rms_epsilon, &mut normed);
            let [mut gate, up] = layer.project([Part::Gate, Part::Up], &normed, config.hidden);
            if config.family.has_gelu_gates() {
                geglu(&mut gate, &up);
            } else {
                swiglu(&mut gate, &up);
            }
            let [mut output] = layer.project([Part::Down], &gate, config.feed_forward);
            if let Some([_, norm]) = &norms.post {
                output = normed_rows(&output, norm, config.rms_epsilon);
            }
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

/// The rows, as wide as `norm`, normed.
fn normed_rows(rows: &[f32], norm: &[f32], epsilon: f32) -> Vec<f32> {
    let mut normed = vec![0.0; rows.len()];
    rms_norm(rows, norm, epsilon, &mut normed);
    normed
}
