//! Decoders as Hugging Face publishes them: weights in one safetensors file, the model's numbers in `config.json`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::adapter::rows_to_gguf;
use super::config::{Family, LocalLayers, ModelConfig, is_factor};
use super::names::Part;
use crate::KernelError;

/// Longest header of a file that is read; those of models of 70 B parameters are below a tenth of it.
const LONGEST_HEADER: u64 = 100 << 20;

/// An open file: its header is read, its tensors are read on demand.
#[derive(Debug)]
pub(crate) struct SafetensorsFile {
    path: PathBuf,
    file: File,
    tensors: HashMap<String, TensorInfo>,
    /// Where the first tensor's bytes are.
    data: u64,
    config: ModelConfig,
    rope_factors: Option<Vec<f32>>,
}

/// What is used of a `config.json`.
#[derive(Debug, Deserialize)]
struct Shape {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default)]
    num_key_value_heads: Option<usize>,
    #[serde(default)]
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    #[serde(default)]
    rope_theta: Option<f32>,
    rms_norm_eps: f32,
    #[serde(default)]
    rope_scaling: Option<RopeScaling>,
    #[serde(default)]
    sliding_window: Option<usize>,
    #[serde(default)]
    sliding_window_pattern: Option<usize>,
    #[serde(default)]
    rope_local_base_freq: Option<f32>,
    #[serde(default)]
    query_pre_attn_scalar: Option<usize>,
    #[serde(default)]
    rope_parameters: Option<Value>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
}

/// Stretched positions.
#[derive(Debug, Deserialize)]
struct RopeScaling {
    #[serde(default)]
    rope_type: Option<String>,
    /// Its older name; some files have both.
    #[serde(default, rename = "type")]
    older_type: Option<String>,
    #[serde(default)]
    factor: f32,
    #[serde(default)]
    low_freq_factor: f32,
    #[serde(default)]
    high_freq_factor: f32,
    #[serde(default)]
    original_max_position_embeddings: f32,
}

impl SafetensorsFile {
    /// Opens the weights and reads the model's numbers.
    pub(crate) fn open(path: &Path, config: &Path) -> Result<(Self, ModelConfig), KernelError> {
        let fail = |reason: String| KernelError::Model { path: path.to_path_buf(), reason };
        let (model, rope_factors) = read_config(config)?;
        let mut file = File::open(path).map_err(|error| fail(format!("cannot be opened: {error}")))?;
        let length = file.metadata().map_err(|error| fail(error.to_string()))?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(|error| fail(format!("not a safetensors file: {error}")))?;
        let header = u64::from_le_bytes(size);
        if header > LONGEST_HEADER || header > length - 8 {
            return Err(fail(format!("not a safetensors file: its header would have {header} bytes")));
        }
        let mut bytes = Vec::new();
        (&file).take(header).read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?;
        let metadata: Metadata = serde_json::from_slice(&bytes)
            .map_err(|error| fail(format!("not a safetensors file: {error}")))?;
        let data = 8 + header;
        let tensors: HashMap<String, TensorInfo> =
            metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        let end = tensors.values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
        if data + end > length {
            return Err(fail(format!(
                "cut off: the tensors end at {}, the file has {length} bytes",
                data + end
            )));
        }
        let mut this = Self { path: path.to_path_buf(), file, tensors, data, config: model, rope_factors };
        this.config.tied_head = this.info("lm_head.weight").is_none();
        let config = this.config.clone();
        Ok((this, config))
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The divisors of the rotary frequencies, if there are some.
    pub(crate) fn rope_factors(&self) -> Option<&[f32]> {
        self.rope_factors.as_deref()
    }

    /// Reads a tensor by the name that a GGUF file has for it; rows of queries and keys in a GGUF file's order.
    pub(crate) fn tensor(
        &self,
        name: &str,
        shape: &[usize],
        device: &Device,
    ) -> Result<QTensor, KernelError> {
        let (published, part) = published(name, self.config.family)
            .ok_or_else(|| self.error(format!("has no tensor for `{name}`")))?;
        let info = self.info(&published).ok_or_else(|| self.error(format!("has no tensor `{published}`")))?;
        if info.shape != shape {
            return Err(
                self.error(format!("tensor {published} has shape {:?}, expected {shape:?}", info.shape))
            );
        }
        let (begin, end) = info.data_offsets;
        let mut bytes = vec![0; end - begin];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.data + begin as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| self.error(format!("tensor {published}: {error}")))?;
        let (dtype, kind) = match info.dtype {
            Dtype::F32 => (DType::F32, GgmlDType::F32),
            Dtype::F16 => (DType::F16, GgmlDType::F16),
            Dtype::BF16 => (DType::BF16, GgmlDType::BF16),
            other => return Err(self.error(format!("tensor {published} is {other:?}, not F32, F16 or BF16"))),
        };
        let raw = Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?;
        let mut values: Vec<f32> = raw.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        if let Some(part) = part {
            let width = shape.get(1).copied().unwrap_or(1);
            values = rows_to_gguf(&self.config, part, &values, width);
        }
        let is_norm = shape.len() == 1 && part.is_none();
        if is_norm && self.config.family == Family::Gemma3 {
            // They are kept as what is added to 1.
            for value in &mut values {
                *value += 1.0;
            }
        }
        // Vectors are few, and are computed with in f32.
        let kind = if shape.len() == 1 { GgmlDType::F32 } else { kind };
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        Ok(if device.is_cpu() {
            QTensor::quantize(&tensor, kind)?
        } else {
            QTensor::quantize_onto(&tensor, kind, device)?
        })
    }

    /// A tensor by its name in a model of text alone. Within one that sees images, too, its name has a prefix.
    fn info(&self, published: &str) -> Option<&TensorInfo> {
        let bare = published.strip_prefix("model.");
        self.tensors
            .get(published)
            .or_else(|| self.tensors.get(bare?))
            .or_else(|| self.tensors.get(&format!("language_model.{published}")))
            .or_else(|| self.tensors.get(&format!("model.language_model.{}", bare?)))
    }

    fn error(&self, reason: String) -> KernelError {
        KernelError::Model { path: self.path.clone(), reason }
    }
}

/// What Hugging Face calls a tensor of a GGUF file, and whose rows it holds if it is of a projection.
fn published(name: &str, family: Family) -> Option<(String, Option<Part>)> {
    let whole = match name {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output.weight" => "lm_head.weight",
        "output_norm.weight" => "model.norm.weight",
        _ => {
            let mut parts = name.strip_prefix("blk.")?.splitn(3, '.');
            let (layer, module, ending) = (parts.next()?, parts.next()?, parts.next()?);
            let part = Part::ALL.into_iter().find(|part| part.gguf() == module);
            let module = match (part, module) {
                (Some(part), _) => part.module(),
                (None, "attn_norm") => "input_layernorm",
                (None, "ffn_norm") if family.has_post_norms() => "pre_feedforward_layernorm",
                (None, "ffn_norm" | "post_attention_norm") => "post_attention_layernorm",
                (None, "post_ffw_norm") => "post_feedforward_layernorm",
                (None, "attn_q_norm") => "self_attn.q_norm",
                (None, "attn_k_norm") => "self_attn.k_norm",
                _ => return None,
            };
            return Some((format!("model.layers.{layer}.{module}.{ending}"), part));
        }
    };
    Some((whole.to_owned(), None))
}

/// The model's numbers, and the divisors of its rotary frequencies.
fn read_config(path: &Path) -> Result<(ModelConfig, Option<Vec<f32>>), KernelError> {
    let fail = |reason: String| KernelError::Model { path: path.to_path_buf(), reason };
    let text = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let shape: Shape = serde_json::from_slice(&text)
        .and_then(|json: Value| serde_json::from_value(text_model(json)))
        .map_err(|error| fail(format!("is no description of a decoder: {error}")))?;
    let family = match shape.model_type.as_str() {
        "llama" | "mistral" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        "gemma3_text" => Family::Gemma3,
        other => {
            return Err(fail(format!(
                "model type `{other}` is not supported; supported are llama, mistral, qwen2, qwen3, gemma3_text"
            )));
        }
    };
    if shape.mlp_bias || (shape.attention_bias && family != Family::Qwen2) {
        return Err(fail("biases that its family does not have are not supported".into()));
    }
    let heads = shape.num_attention_heads;
    let kv_heads = shape.num_key_value_heads.unwrap_or(heads);
    if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) || shape.num_hidden_layers == 0 {
        return Err(fail(format!(
            "impossible numbers: {} layers, {heads} heads on {kv_heads} key-value heads",
            shape.num_hidden_layers
        )));
    }
    let head_dim = shape.head_dim.unwrap_or(shape.hidden_size / heads);
    if head_dim == 0 || !head_dim.is_multiple_of(2) {
        return Err(fail(format!("impossible head width {head_dim}")));
    }
    if shape.query_pre_attn_scalar == Some(0) {
        return Err(fail("attention cannot be scaled by a width of 0".into()));
    }
    if shape.rope_parameters.is_some() {
        return Err(fail(
            "has `rope_parameters` without a `rope_theta`, or of a kind that is not supported".into(),
        ));
    }
    if shape.model_type == "mistral" && shape.sliding_window.is_some() {
        return Err(fail("a sliding window in every layer is not supported".into()));
    }
    let local = match (family, shape.sliding_window) {
        (Family::Gemma3, Some(window @ 1..)) => Some(LocalLayers {
            window,
            period: shape.sliding_window_pattern.unwrap_or(super::config::GEMMA3_PERIOD),
            rope_base: shape.rope_local_base_freq.unwrap_or(super::config::GEMMA3_LOCAL_ROPE_BASE),
        }),
        (Family::Gemma3, None | Some(0)) => {
            return Err(fail("has no `sliding_window` of one token and more".into()));
        }
        _ => None,
    };
    let config = ModelConfig {
        family,
        vocab_size: shape.vocab_size,
        hidden: shape.hidden_size,
        feed_forward: shape.intermediate_size,
        layers: shape.num_hidden_layers,
        heads,
        kv_heads,
        head_dim,
        attention_width: shape.query_pre_attn_scalar.filter(|width| *width != head_dim),
        context_length: shape.max_position_embeddings,
        rope_base: shape.rope_theta.unwrap_or(10_000.0),
        local,
        rms_epsilon: shape.rms_norm_eps,
        // Set by what the weights have.
        tied_head: true,
    };
    let factors = match &shape.rope_scaling {
        None => None,
        Some(scaling) => {
            match scaling.rope_type.as_deref().or(scaling.older_type.as_deref()).unwrap_or("default") {
                "default" => None,
                "llama3" => Some(llama3_factors(&config, scaling)),
                "linear" if is_factor(scaling.factor) => Some(vec![scaling.factor; head_dim / 2]),
                "linear" => return Err(fail(format!("impossible rotary scaling by {}", scaling.factor))),
                other => return Err(fail(format!("rotary scaling `{other}` is not supported"))),
            }
        }
    };
    Ok((config, factors))
}

/// Whether numbers of rotation stretch nothing.
fn is_plain(numbers: &Value) -> bool {
    numbers.get("rope_type").or_else(|| numbers.get("type")).is_none_or(|kind| kind == "default")
}

/// Newer files have the numbers of rotation together in `rope_parameters`, Gemma 3's for each kind of its layers; older ones
/// have them one by one. What is not understood stays where it is.
fn spread_rope_parameters(fields: &mut Map<String, Value>) {
    let Some(parameters) = fields.get("rope_parameters") else { return };
    let local = parameters.get("sliding_attention");
    let whole = parameters.get("full_attention").unwrap_or(parameters);
    let Some(base) = whole.get("rope_theta").or_else(|| fields.get("rope_theta")).cloned() else { return };
    let local_base = match local {
        None => None,
        Some(local) if is_plain(local) => local.get("rope_theta").cloned(),
        Some(_) => return,
    };
    let scaling = whole.clone();
    fields.insert("rope_theta".into(), base);
    fields.insert("rope_scaling".into(), scaling);
    if let Some(base) = local_base {
        fields.insert("rope_local_base_freq".into(), base);
    }
    fields.remove("rope_parameters");
}

/// The part of a `config.json` that describes the model of text. Gemma 3 4B, 12B and 27B have it inside of a description of
/// what sees images, too, and leave out there what is as usual (`Gemma3TextConfig` of Hugging Face's Transformers).
fn text_model(mut json: Value) -> Value {
    if json["model_type"] == "gemma3" && json["text_config"].is_object() {
        json = json["text_config"].take();
    }
    let Some(fields) = json.as_object_mut() else { return json };
    spread_rope_parameters(fields);
    if fields.get("model_type").is_some_and(|kind| kind == "gemma3_text") {
        for (name, usual) in [
            ("rope_theta", json!(1_000_000.0)),
            ("vocab_size", json!(262_208)),
            ("num_attention_heads", json!(8)),
            ("num_key_value_heads", json!(4)),
            ("head_dim", json!(256)),
            ("query_pre_attn_scalar", json!(256)),
            ("max_position_embeddings", json!(131_072)),
            ("rms_norm_eps", json!(1e-6)),
        ] {
            fields.entry(name).or_insert(usual);
        }
    }
    json
}

/// The divisors of Llama 3.1: frequencies of long waves are divided by the factor, those of short ones are left alone, and
/// between them they change smoothly (Meta's reference code, `apply_scaling`).
fn llama3_factors(config: &ModelConfig, scaling: &RopeScaling) -> Vec<f32> {
    let old = scaling.original_max_position_embeddings;
    let (longest, shortest) = (old / scaling.low_freq_factor, old / scaling.high_freq_factor);
    let of = |pair: usize| {
        let exponent = 2.0 * pair as f32 / config.head_dim as f32;
        let wave = 2.0 * std::f32::consts::PI * config.rope_base.powf(exponent);
        if wave < shortest {
            return 1.0;
        }
        if wave > longest {
            return scaling.factor;
        }
        let smooth =
            (old / wave - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
        1.0 / ((1.0 - smooth) / scaling.factor + smooth)
    };
    (0..config.head_dim / 2).map(of).collect()
}

#[cfg(test)]
mod tests;
