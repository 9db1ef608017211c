//! A frozen base model with a trainable adapter: log-probabilities forwards, gradients backwards.

use std::path::Path;

use candle_core::{Tensor, Var};

use super::Sequence;
use super::lora::{Lora, LoraConfig};
use super::loss::token_log_probs;
use super::optim::{AdamW, OptimConfig};
use crate::KernelError;
use crate::llm::decoder::graph::{GraphModel, LowRank, Plan, Run, Storage};
use crate::llm::decoder::ops::Mode;
use crate::llm::decoder::{Adapter, ModelFiles, Part, WeightFile};
use crate::llm::device::{self, DeviceKind};

/// Base weights, adapter and optimiser.
#[derive(Debug)]
pub(super) struct Policy {
    graph: GraphModel,
    lora: Lora,
    optimiser: AdamW,
    activation_bytes: usize,
    /// What logits are divided by.
    temperature: f64,
    /// Name and digest of the base model.
    base: (String, String),
}

/// Which adapter to compute with.
#[derive(Clone, Copy)]
pub(super) enum With<'a> {
    /// The one that is trained.
    Own,
    /// Another one, or none.
    Other(Option<&'a Lora>),
}

/// Sums of gradients, one for each parameter of the adapter.
pub(super) struct Gradients(Vec<Option<Tensor>>);

impl Policy {
    pub(super) fn load(
        files: &ModelFiles,
        device: DeviceKind,
        lora: &LoraConfig,
        optim: OptimConfig,
    ) -> Result<Self, KernelError> {
        let (file, config) = WeightFile::open(files)?;
        let device = device::pick(device)?;
        let digest = digest(&files.weights)?;
        let name = file.name();
        let activation_bytes = lora.activation_bytes;
        let lora = Lora::new(lora, &config, &device)?;
        let optimiser = AdamW::new(optim, lora.parameters())?;
        let graph = GraphModel::load(&file, &config, &device, Storage::Dense)?;
        Ok(Self { graph, lora, optimiser, activation_bytes, temperature: 1.0, base: (name, digest) })
    }

    /// The policy that draws at a temperature: its log-probabilities are those of the logits divided by it.
    pub(super) fn at_temperature(self, temperature: f64) -> Result<Self, KernelError> {
        if temperature.is_finite() && temperature > 0.0 {
            return Ok(Self { temperature, ..self });
        }
        Err(KernelError::Argument(format!("the temperature must be above 0, not {temperature}")))
    }

    pub(super) fn steps(&self) -> usize {
        self.optimiser.steps()
    }

    pub(super) fn adapter(&self) -> Result<Adapter, KernelError> {
        self.lora.adapter(&self.graph.config, (&self.base.0, &self.base.1))
    }

    pub(super) fn set_adapter(&mut self, adapter: &Adapter) -> Result<(), KernelError> {
        self.check_base(adapter)?;
        self.lora.set(adapter, &self.graph.config)
    }

    /// An adapter beside the trained one.
    pub(super) fn other(&self, adapter: &Adapter) -> Result<Lora, KernelError> {
        self.check_base(adapter)?;
        Lora::from_adapter(adapter, &self.graph.config, &self.graph.device)
    }

    fn check_base(&self, adapter: &Adapter) -> Result<(), KernelError> {
        if adapter.base_digest.is_empty() || adapter.base_digest == self.base.1 {
            return Ok(());
        }
        Err(KernelError::Argument(format!(
            "the adapter was trained on another base model ({:?}, digest {}), not on {:?}, digest {}",
            adapter.base_model, adapter.base_digest, self.base.0, self.base.1
        )))
    }

    pub(super) fn save(&self, dir: &Path) -> Result<(), KernelError> {
        self.adapter()?.save(dir)?;
        self.optimiser.save(self.lora.parameters(), dir)
    }

    pub(super) fn restore(&mut self, dir: &Path) -> Result<(), KernelError> {
        let adapter = Adapter::load(dir)?;
        self.set_adapter(&adapter)?;
        self.optimiser.load(self.lora.parameters(), dir)
    }

    /// An empty sum of gradients.
    pub(super) fn gradients(&self) -> Gradients {
        Gradients(vec![None; self.lora.parameters().len()])
    }

    /// Takes a step along the gradients. Returns their norm before clipping and the learning rate.
    pub(super) fn apply(&mut self, gradients: Gradients) -> Result<(f64, f64), KernelError> {
        let parameters = self.lora.parameters();
        let gradients = gradients
            .0
            .into_iter()
            .zip(parameters)
            .map(|(gradient, parameter)| {
                gradient.ok_or_else(|| KernelError::Internal(format!("no gradient for {}", parameter.name)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.optimiser.step(parameters, &gradients)
    }

    /// The gradients in the shape of an adapter, to compare with differences.
    #[cfg(test)]
    pub(super) fn gradients_as_adapter(&self, gradients: &Gradients) -> Adapter {
        self.lora.as_adapter(&self.graph.config, |index| {
            gradients.0[index].as_ref().unwrap().flatten_all().unwrap().to_vec1().unwrap()
        })
    }

    /// Checks the sequences and counts their learnt tokens, of which there must be some.
    pub(super) fn check<'a>(
        &self,
        sequences: impl Iterator<Item = &'a Sequence>,
    ) -> Result<usize, KernelError> {
        let mut count = 0;
        for sequence in sequences {
            sequence.check(self.graph.config.vocab_size, self.graph.config.context_length)?;
            count += sequence.learnt_count();
        }
        if count == 0 {
            return Err(KernelError::Argument("none of the tokens is to be learnt".into()));
        }
        Ok(count)
    }

    /// Log-probabilities of the learnt tokens of a sequence that has been checked.
    pub(super) fn log_probs(&self, sequence: &Sequence, with: With<'_>) -> Result<Vec<f32>, KernelError> {
        let (positions, targets) = targets(sequence);
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self.plan(sequence)?;
        let mut stream = self.graph.embed(&sequence.tokens)?;
        let additions = |layer: usize, part: Part| match with {
            With::Own => self.lora.addition(layer, part, false),
            With::Other(lora) => lora.and_then(|lora| lora.addition(layer, part, false)),
        };
        for layer in 0..self.graph.config.layers {
            stream = self.layer(layer, &stream, &plan, &additions, Mode::Inference)?;
        }
        Ok(self.head(&stream, &positions, &targets, Mode::Inference)?.to_vec1()?)
    }

    /// Adds the gradient of `loss(log-probabilities of the learnt tokens)` to `gradients`, and returns the loss with
    /// the log-probabilities. The sequence has been checked.
    ///
    /// The layers that do not fit into the activation budget are computed twice: without a graph on the way up, with
    /// it on the way down, one segment at a time.
    pub(super) fn backward(
        &self,
        sequence: &Sequence,
        loss: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
        gradients: &mut Gradients,
    ) -> Result<(f32, Vec<f32>), KernelError> {
        let (positions, targets) = targets(sequence);
        if targets.is_empty() {
            return Ok((0.0, Vec::new()));
        }
        let plan = self.plan(sequence)?;
        let segments = self.segments(sequence.tokens.len());
        let tracked = |layer: usize, part: Part| self.lora.addition(layer, part, true);
        let detached = |layer: usize, part: Part| self.lora.addition(layer, part, false);

        let mut stream = self.graph.embed(&sequence.tokens)?;
        let mut inputs = Vec::with_capacity(segments.len());
        let mut last = None;
        for (index, segment) in segments.iter().enumerate() {
            if index + 1 == segments.len() {
                let input = Var::from_tensor(&stream.detach())?;
                stream = input.as_tensor().clone();
                last = Some(input);
            } else {
                inputs.push(stream.clone());
            }
            let recorded = last.is_some();
            for layer in segment.clone() {
                stream = if recorded {
                    self.layer(layer, &stream, &plan, &tracked, Mode::Training)?
                } else {
                    self.layer(layer, &stream, &plan, &detached, Mode::Inference)?
                };
            }
        }
        let log_probs = self.head(&stream, &positions, &targets, Mode::Training)?;
        let loss = loss(&log_probs)?;
        let report = (loss.to_scalar::<f32>()?, log_probs.to_vec1()?);
        drop(log_probs);
        drop(stream);
        let mut input = last.ok_or_else(|| KernelError::Internal("a model without layers".into()))?;
        let mut gradient = self.collect(&loss, &input, gradients)?;
        drop(loss);
        for (segment, stored) in segments.iter().zip(inputs).rev() {
            input = Var::from_tensor(&stored.detach())?;
            let mut stream = input.as_tensor().clone();
            for layer in segment.clone() {
                stream = self.layer(layer, &stream, &plan, &tracked, Mode::Training)?;
            }
            // The sum of products has the wanted gradient for its derivative.
            let product = stream.mul(&gradient)?.sum_all()?;
            gradient = self.collect(&product, &input, gradients)?;
        }
        Ok(report)
    }

    /// Runs backwards from `loss`, adds up the parameters' gradients and returns that of `input`.
    fn collect(&self, loss: &Tensor, input: &Var, gradients: &mut Gradients) -> Result<Tensor, KernelError> {
        let mut store = loss.backward()?;
        for (parameter, sum) in self.lora.parameters().iter().zip(&mut gradients.0) {
            if let Some(gradient) = store.remove(&parameter.var) {
                *sum = Some(match sum.take() {
                    Some(sum) => (sum + gradient)?,
                    None => gradient,
                });
            }
        }
        store.remove(input).ok_or_else(|| {
            KernelError::Internal("the gradient was lost on the way through the layers".into())
        })
    }

    fn layer(
        &self,
        index: usize,
        stream: &Tensor,
        plan: &Plan,
        additions: &dyn Fn(usize, Part) -> Option<LowRank>,
        mode: Mode,
    ) -> Result<Tensor, KernelError> {
        self.graph.layer(index, stream, plan, additions, &mut |_, _, keys, values| Ok((keys, values)), mode)
    }

    fn plan(&self, sequence: &Sequence) -> Result<Plan, KernelError> {
        self.graph.plan(vec![Run { sequence: 0, count: sequence.tokens.len(), position: 0 }])
    }

    fn head(
        &self,
        stream: &Tensor,
        positions: &[u32],
        targets: &[u32],
        mode: Mode,
    ) -> Result<Tensor, KernelError> {
        let rows = stream.index_select(&Tensor::new(positions, &self.graph.device)?, 0)?;
        let (normed, head) = self.graph.before_head(&rows, mode)?;
        // The head has no bias, so this divides the logits.
        let is_plain = self.temperature.total_cmp(&1.0).is_eq();
        let normed = if is_plain { normed } else { (normed / self.temperature)? };
        Ok(token_log_probs(&normed, head, targets, mode)?)
    }

    /// Splits the layers into segments, the last of which is computed once; the others are computed twice.
    fn segments(&self, tokens: usize) -> Vec<std::ops::Range<usize>> {
        let config = &self.graph.config;
        // What the operations of a layer keep for their gradients, counted in values.
        let stream = tokens * (10 * config.hidden + 6 * config.query_width() + 8 * config.feed_forward);
        let scores = 4 * config.heads * tokens * tokens;
        let size = (self.activation_bytes / (4 * (stream + scores))).clamp(1, config.layers);
        let first = config.layers % size;
        let mut segments = Vec::new();
        if first > 0 {
            segments.push(0..first);
        }
        segments.extend((first..config.layers).step_by(size).map(|start| start..start + size));
        segments
    }
}

/// Positions from which the learnt tokens are predicted, and those tokens.
fn targets(sequence: &Sequence) -> (Vec<u32>, Vec<u32>) {
    let positions = sequence.learnt().map(|position| u32::try_from(position - 1).unwrap_or(u32::MAX));
    (positions.collect(), sequence.learnt().map(|position| sequence.tokens[position]).collect())
}

/// BLAKE3 digest of a file in hexadecimal.
fn digest(path: &Path) -> Result<String, KernelError> {
    let fail =
        |error: std::io::Error| KernelError::Model { path: path.to_path_buf(), reason: error.to_string() };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path).map_err(fail)?).map_err(fail)?;
    Ok(hasher.finalize().to_hex().to_string())
}
