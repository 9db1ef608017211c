//! The trainable factors of an adapter.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::KernelError;
use crate::llm::decoder::graph::LowRank;
use crate::llm::decoder::rng::SplitMix64;
use crate::llm::decoder::{Adapter, Factors, ModelConfig, Part, rows_from_gguf, rows_to_gguf};

/// What adapter to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Inner width of the factors, at least 1.
    pub rank: usize,
    /// The addition is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Which projections are adapted, in every layer.
    pub targets: Vec<Part>,
    /// Seed of the initial factors.
    pub seed: u64,
    /// Bytes of activations that may be kept for the backward pass; what exceeds them is computed twice.
    pub activation_bytes: usize,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: Part::ALL.to_vec(), seed: 0, activation_bytes: 2 << 30 }
    }
}

/// One variable of the adapter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) var: Var,
}

/// The factors as variables; the first of each pair is A `[rank, inputs]`, the second B `[outputs, rank]`, with rows
/// in the order of the GGUF file.
#[derive(Debug)]
pub(super) struct Lora {
    rank: usize,
    alpha: f64,
    targets: Vec<Part>,
    parameters: Vec<Parameter>,
    /// Index of A; B follows it.
    index: BTreeMap<(usize, Part), usize>,
}

impl Lora {
    /// A uniform within `1/sqrt(inputs)` on either side (Kaiming with a slope of sqrt 5, as in PEFT), B zero: the
    /// adapter starts as no change.
    pub(super) fn new(
        config: &LoraConfig,
        model: &ModelConfig,
        device: &Device,
    ) -> Result<Self, KernelError> {
        if config.rank == 0 || config.targets.is_empty() {
            return Err(KernelError::Argument(
                "an adapter needs a rank of at least 1 and at least one target".into(),
            ));
        }
        let mut targets = config.targets.clone();
        targets.sort_unstable();
        targets.dedup();
        let mut rng = SplitMix64::new(config.seed);
        let mut lora = Self {
            rank: config.rank,
            alpha: config.alpha,
            targets,
            parameters: Vec::new(),
            index: BTreeMap::new(),
        };
        for layer in 0..model.layers {
            for part in lora.targets.clone() {
                let (outputs, inputs) = part.shape(model);
                let bound = 1.0 / (inputs as f32).sqrt();
                let down: Vec<f32> = (0..config.rank * inputs).map(|_| rng.symmetric() * bound).collect();
                lora.push(layer, part, (down, inputs), (vec![0.0; outputs * config.rank], outputs), device)?;
            }
        }
        Ok(lora)
    }

    /// The factors of an adapter that fits the model.
    pub(super) fn from_adapter(
        adapter: &Adapter,
        model: &ModelConfig,
        device: &Device,
    ) -> Result<Self, KernelError> {
        adapter.check(model)?;
        let mut targets = adapter.targets.clone();
        targets.sort_unstable();
        let mut lora = Self {
            rank: adapter.rank,
            alpha: adapter.alpha,
            targets,
            parameters: Vec::new(),
            index: BTreeMap::new(),
        };
        for (&(layer, part), factors) in &adapter.factors {
            let (outputs, inputs) = part.shape(model);
            let up = rows_to_gguf(model, part, &factors.up, adapter.rank);
            lora.push(layer, part, (factors.down.clone(), inputs), (up, outputs), device)?;
        }
        Ok(lora)
    }

    fn push(
        &mut self,
        layer: usize,
        part: Part,
        (down, inputs): (Vec<f32>, usize),
        (up, outputs): (Vec<f32>, usize),
        device: &Device,
    ) -> Result<(), KernelError> {
        self.index.insert((layer, part), self.parameters.len());
        let module = part.module();
        let name = format!("layers.{layer}.{module}.A");
        self.parameters.push(Parameter { name, var: Var::from_vec(down, (self.rank, inputs), device)? });
        let name = format!("layers.{layer}.{module}.B");
        self.parameters.push(Parameter { name, var: Var::from_vec(up, (outputs, self.rank), device)? });
        Ok(())
    }

    pub(super) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The addition to a projection; `tracked` keeps the way back to the variables.
    pub(super) fn addition(&self, layer: usize, part: Part, tracked: bool) -> Option<LowRank> {
        let at = *self.index.get(&(layer, part))?;
        let tensor = |parameter: &Parameter| -> Tensor {
            if tracked { parameter.var.as_tensor().clone() } else { parameter.var.as_detached_tensor() }
        };
        Some(LowRank {
            down: tensor(&self.parameters[at]),
            up: tensor(&self.parameters[at + 1]),
            scale: self.alpha / self.rank as f64,
        })
    }

    /// The factors as an adapter of files.
    pub(super) fn adapter(&self, model: &ModelConfig, base: (&str, &str)) -> Result<Adapter, KernelError> {
        let values = self
            .parameters
            .iter()
            .map(|parameter| Ok(parameter.var.flatten_all()?.to_vec1()?))
            .collect::<Result<Vec<Vec<f32>>, KernelError>>()?;
        let mut adapter = self.as_adapter(model, |index| values[index].clone());
        (adapter.base_model, adapter.base_digest) = (base.0.to_string(), base.1.to_string());
        Ok(adapter)
    }

    /// Values given by the index of their parameter, in the shape of an adapter.
    pub(super) fn as_adapter(&self, model: &ModelConfig, values: impl Fn(usize) -> Vec<f32>) -> Adapter {
        let factors = self.index.iter().map(|(&(layer, part), &at)| {
            let up = rows_from_gguf(model, part, &values(at + 1), self.rank);
            ((layer, part), Factors { down: values(at), up })
        });
        Adapter {
            rank: self.rank,
            alpha: self.alpha,
            targets: self.targets.clone(),
            base_model: String::new(),
            base_digest: String::new(),
            factors: factors.collect(),
        }
    }

    /// Takes over the values of an adapter with the same rank, scale and targets.
    pub(super) fn set(&mut self, adapter: &Adapter, model: &ModelConfig) -> Result<(), KernelError> {
        adapter.check(model)?;
        let same_scale = (self.alpha - adapter.alpha).abs() < 1e-12;
        if adapter.rank != self.rank || !same_scale || !adapter.factors.keys().eq(self.index.keys()) {
            return Err(KernelError::Argument(format!(
                "the adapter has rank {}, alpha {} and targets {:?}; configured are {}, {} and {:?}",
                adapter.rank, adapter.alpha, adapter.targets, self.rank, self.alpha, self.targets
            )));
        }
        for ((layer, part), factors) in &adapter.factors {
            let at = self.index[&(*layer, *part)];
            let up = rows_to_gguf(model, *part, &factors.up, self.rank);
            for (parameter, values) in self.parameters[at..].iter().zip([factors.down.clone(), up]) {
                parameter.var.set(&Tensor::from_vec(
                    values,
                    parameter.var.shape(),
                    parameter.var.device(),
                )?)?;
            }
        }
        Ok(())
    }
}
