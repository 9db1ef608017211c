//! The decoder as Candle operations: on any device for inference, and with gradients for training.

use std::sync::Arc;

use candle_core::quantized::QMatMul;
use candle_core::{DType, Device, Module, Tensor};

use super::config::ModelConfig;
use super::fused;
use super::names::{Norms, Part, bias_name, weight_name};
use super::ops::{self, Mode};
use super::rope::Rope;
use super::weights::WeightFile;
use crate::KernelError;

/// How matrices are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// As in the file; without gradients.
    Quantized,
    /// Dequantised to `f32`.
    Dense,
}

#[derive(Debug)]
enum Matrix {
    Quantized(QMatMul),
    Dense(Tensor),
}

#[derive(Debug)]
struct Projection {
    matrix: Matrix,
    bias: Option<Tensor>,
}

impl Projection {
    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor, KernelError> {
        let product = match (&self.matrix, mode) {
            (Matrix::Dense(weight), _) => ops::frozen_matmul(input, weight, mode)?,
            (Matrix::Quantized(weight), Mode::Inference) => weight.forward(&input.contiguous()?)?,
            (Matrix::Quantized(_), Mode::Training) => {
                return Err(KernelError::Internal("training wants dequantised weights".into()));
            }
        };
        Ok(match &self.bias {
            Some(bias) => product.broadcast_add(bias)?,
            None => product,
        })
    }
}

#[derive(Debug)]
struct Layer {
    norms: Norms<Tensor>,
    /// In the order of [`Part::ALL`].
    projections: Vec<Projection>,
}

/// The factors of a low-rank addition as tensors; variables in training.
#[derive(Debug, Clone)]
pub(crate) struct LowRank {
    /// `[rank, inputs]`.
    pub(crate) down: Tensor,
    /// `[outputs, rank]`, rows in the order of the GGUF file.
    pub(crate) up: Tensor,
    pub(crate) scale: f64,
}

/// Finds the addition of a projection.
pub(crate) type Additions<'a> = dyn Fn(usize, Part) -> Option<LowRank> + 'a;

/// A run of tokens of one sequence within the packed step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Index of the sequence's cache, as given to [`KeyValues`].
    pub(crate) sequence: usize,
    /// Tokens of the step.
    pub(crate) count: usize,
    /// Position of the first of them.
    pub(crate) position: usize,
}

/// Takes the new keys and values `[kv_heads, count, head_dim]` of a run in a layer and returns all that the run may
/// look at, `[kv_heads, position + count, head_dim]`, in the type that they are kept in.
pub(crate) type KeyValues<'a> =
    dyn FnMut(usize, Run, Tensor, Tensor) -> Result<(Tensor, Tensor), KernelError> + 'a;

/// The angles and masks of a step.
pub(crate) struct Plan {
    runs: Vec<Run>,
    whole: Sight,
    /// Of layers that look back a window, where there are some.
    local: Option<Sight>,
}

/// The angles and masks of some layers.
struct Sight {
    cosines: Tensor,
    sines: Tensor,
    /// One for each run: `[count, position + count]`, 0 or minus infinity; none if a single token sees everything, or a
    /// kernel knows what is seen.
    masks: Vec<Option<Tensor>>,
}

/// Weights of a model as Candle tensors.
#[derive(Debug)]
pub(crate) struct GraphModel {
    pub(crate) config: ModelConfig,
    pub(crate) device: Device,
    rope: Rope,
    /// Of layers that look back a window.
    local_rope: Option<Rope>,
    embedding: QMatMul,
    layers: Vec<Layer>,
    final_norm: Tensor,
    head: Projection,
    /// Attention in one kernel, if there is one.
    pub(super) kernel: Option<fused::Kernel>,
}

impl GraphModel {
    pub(crate) fn load(
        file: &WeightFile,
        config: &ModelConfig,
        device: &Device,
        storage: Storage,
    ) -> Result<Self, KernelError> {
        let matrix = |name: &str, outputs: usize, inputs: usize| -> Result<Matrix, KernelError> {
            let tensor = file.tensor(name, &[outputs, inputs], device)?;
            Ok(match storage {
                Storage::Quantized => Matrix::Quantized(QMatMul::from_qtensor(tensor)?),
                Storage::Dense => Matrix::Dense(tensor.dequantize(device)?),
            })
        };
        let vector = |name: &str, width: usize| -> Result<Tensor, KernelError> {
            Ok(Tensor::from_vec(file.vector(name, width)?, width, device)?)
        };
        let mut layers = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            let mut projections = Vec::with_capacity(Part::ALL.len());
            for part in Part::ALL {
                let (outputs, inputs) = part.shape(config);
                let bias = match bias_name(config, layer, part) {
                    Some(name) => Some(vector(&name, outputs)?),
                    None => None,
                };
                projections
                    .push(Projection { matrix: matrix(&weight_name(layer, part), outputs, inputs)?, bias });
            }
            layers.push(Layer { norms: Norms::load(config, layer, vector)?, projections });
        }
        let embedding =
            Arc::new(file.tensor("token_embd.weight", &[config.vocab_size, config.hidden], device)?);
        let head = if config.tied_head {
            match storage {
                Storage::Quantized => Matrix::Quantized(QMatMul::from_arc(embedding.clone())?),
                Storage::Dense => Matrix::Dense(embedding.dequantize(device)?),
            }
        } else {
            matrix("output.weight", config.vocab_size, config.hidden)?
        };
        let factors = file.rope_factors(config)?;
        Ok(Self {
            config: config.clone(),
            device: device.clone(),
            rope: Rope::new(config, config.rope_base, factors.as_deref()),
            local_rope: config.local.map(|local| Rope::new(config, local.rope_base, None)),
            embedding: QMatMul::QTensor(embedding),
            layers,
            final_norm: vector("output_norm.weight", config.hidden)?,
            head: Projection { matrix: head, bias: None },
            // Kernels have no gradients.
            kernel: (storage == Storage::Quantized).then(|| fused::kernel(config, device)).flatten(),
        })
    }

    /// What keys and values are to be kept in.
    pub(super) fn kept_type(&self) -> DType {
        if self.kernel.is_some() { fused::KEPT } else { DType::F32 }
    }

    /// Prepares a step of these runs, in packed order.
    pub(crate) fn plan(&self, runs: Vec<Run>) -> Result<Plan, KernelError> {
        let positions: Vec<usize> =
            runs.iter().flat_map(|run| run.position..run.position + run.count).collect();
        let shape = (positions.len(), self.config.head_dim / 2);
        let sight = |rope: &Rope, window: Option<usize>| -> Result<Sight, KernelError> {
            let (cosines, sines) = rope.angles(&positions);
            Ok(Sight {
                cosines: Tensor::from_vec(cosines, shape, &self.device)?,
                sines: Tensor::from_vec(sines, shape, &self.device)?,
                masks: runs.iter().map(|&run| self.mask(run, window)).collect::<Result<_, _>>()?,
            })
        };
        let local = match (&self.local_rope, self.config.local) {
            (Some(rope), Some(local)) => Some(sight(rope, Some(local.window))?),
            _ => None,
        };
        Ok(Plan { whole: sight(&self.rope, None)?, local, runs })
    }

    /// The embeddings of the tokens, `[tokens, hidden]`.
    pub(crate) fn embed(&self, tokens: &[u32]) -> Result<Tensor, KernelError> {
        let rows = self.embedding.embedding(&Tensor::new(tokens, &self.device)?)?;
        Ok(match self.config.embedding_scale() {
            Some(scale) => (rows * f64::from(scale))?,
            None => rows,
        })
    }

    /// One layer: `[tokens, hidden]` to the same.
    pub(crate) fn layer(
        &self,
        index: usize,
        stream: &Tensor,
        plan: &Plan,
        additions: &Additions<'_>,
        key_values: &mut KeyValues<'_>,
        mode: Mode,
    ) -> Result<Tensor, KernelError> {
        let config = &self.config;
        let layer = &self.layers[index];
        let project = |part: Part, input: &Tensor| -> Result<Tensor, KernelError> {
            let output = layer.projections[part as usize].forward(input, mode)?;
            let Some(addition) = additions(index, part) else { return Ok(output) };
            let inner = input.matmul(&addition.down.t()?)?.matmul(&addition.up.t()?)?;
            Ok((output + (inner * addition.scale)?)?)
        };
        let heads = |rows: Tensor, heads: usize| -> Result<Tensor, KernelError> {
            Ok(rows.reshape(((), heads, config.head_dim))?.transpose(0, 1)?.contiguous()?)
        };
        let sight = match (&plan.local, config.window(index)) {
            (Some(local), Some(_)) => local,
            _ => &plan.whole,
        };
        let turn = |rows: &Tensor| {
            ops::rotate(rows, &sight.cosines, &sight.sines, config.family.rotates_neighbours(), mode)
        };
        let norms = &layer.norms;

        let normed = ops::rms_norm(stream, &norms.attention, config.rms_epsilon, mode)?;
        let mut queries = heads(project(Part::Query, &normed)?, config.heads)?;
        let mut keys = heads(project(Part::Key, &normed)?, config.kv_heads)?;
        if let Some([query_norm, key_norm]) = &norms.heads {
            queries = ops::rms_norm(&queries, query_norm, config.rms_epsilon, mode)?;
            keys = ops::rms_norm(&keys, key_norm, config.rms_epsilon, mode)?;
        }
        let (queries, keys) = (turn(&queries)?, turn(&keys)?);
        let values = heads(project(Part::Value, &normed)?, config.kv_heads)?;
        let mut attended = Vec::with_capacity(plan.runs.len());
        let mut start = 0;
        for (&run, mask) in plan.runs.iter().zip(&sight.masks) {
            let part = |rows: &Tensor| rows.narrow(1, start, run.count)?.contiguous();
            let (keys, values) = key_values(index, run, part(&keys)?, part(&values)?)?;
            let queries = part(&queries)?;
            attended.push(match self.kernel {
                Some(kernel) => {
                    fused::attend(kernel, config, &queries, &keys, &values, config.window(index))?
                }
                None => self.attend(&queries, &keys, &values, mask.as_ref(), mode)?,
            });
            start += run.count;
        }
        let attended =
            if let [only] = attended.as_slice() { only.clone() } else { Tensor::cat(&attended, 0)? };
        let mut output = project(Part::Output, &attended)?;
        if let Some([norm, _]) = &norms.post {
            output = ops::rms_norm(&output, norm, config.rms_epsilon, mode)?;
        }
        let stream = (stream + output)?;

        let normed = ops::rms_norm(&stream, &norms.feed_forward, config.rms_epsilon, mode)?;
        let (gate, up) = (project(Part::Gate, &normed)?, project(Part::Up, &normed)?);
        let inner =
            if config.family.has_gelu_gates() { gate.gelu()?.mul(&up)? } else { ops::swiglu(&gate, &up)? };
        let mut output = project(Part::Down, &inner)?;
        if let Some([_, norm]) = &norms.post {
            output = ops::rms_norm(&output, norm, config.rms_epsilon, mode)?;
        }
        Ok((stream + output)?)
    }

    /// The final norm and the output head: `[rows, hidden]` to logits `[rows, vocab]`.
    pub(crate) fn logits(&self, stream: &Tensor, mode: Mode) -> Result<Tensor, KernelError> {
        let normed = ops::rms_norm(stream, &self.final_norm, self.config.rms_epsilon, mode)?;
        self.head.forward(&normed, mode)
    }

    /// The final norm alone, and the dense head `[vocab, hidden]` to multiply with.
    pub(crate) fn before_head(&self, stream: &Tensor, mode: Mode) -> Result<(Tensor, &Tensor), KernelError> {
        let normed = ops::rms_norm(stream, &self.final_norm, self.config.rms_epsilon, mode)?;
        match &self.head.matrix {
            Matrix::Dense(head) => Ok((normed, head)),
            Matrix::Quantized(_) => Err(KernelError::Internal("training wants dequantised weights".into())),
        }
    }

    /// Attention of one run: queries `[heads, count, head_dim]`, the result `[count, heads * head_dim]`.
    fn attend(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        mask: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor, KernelError> {
        let config = &self.config;
        let (_, count, head_dim) = queries.dims3()?;
        let seen = keys.dim(1)?;
        let group = config.heads / config.kv_heads;
        // The heads of a group lie side by side, so that keys and values are never repeated.
        let queries = queries.reshape((config.kv_heads, group * count, head_dim))?;
        let scores = (queries.matmul(&keys.t()?)? * (1.0 / (config.score_width() as f64).sqrt()))?;
        let scores = match mask {
            Some(mask) => scores.reshape((config.heads, count, seen))?.broadcast_add(mask)?.reshape((
                config.kv_heads,
                group * count,
                seen,
            ))?,
            None => scores,
        };
        let attended = ops::softmax(&scores, mode)?.matmul(values)?;
        let attended = attended.reshape((config.heads, count, head_dim))?.transpose(0, 1)?;
        Ok(attended.contiguous()?.reshape((count, config.query_width()))?)
    }

    fn mask(&self, run: Run, window: Option<usize>) -> Result<Option<Tensor>, KernelError> {
        let seen = run.position + run.count;
        if self.kernel.is_some() || run.count == 1 && window.is_none_or(|window| seen <= window) {
            return Ok(None);
        }
        let values: Vec<f32> = (0..run.count)
            .flat_map(|row| {
                let own = run.position + row;
                let first = window.map_or(0, |window| (own + 1).saturating_sub(window));
                (0..seen).map(move |key| if (first..=own).contains(&key) { 0.0 } else { f32::NEG_INFINITY })
            })
            .collect();
        Ok(Some(Tensor::from_vec(values, (run.count, seen), &self.device)?))
    }
}
