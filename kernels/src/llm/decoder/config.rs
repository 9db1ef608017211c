//! The shape of a decoder, read from a GGUF file's metadata.

use serde::{Deserialize, Serialize};

use crate::KernelError;
use crate::llm::gguf::GgufFile;

/// A family of decoders that this crate can compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Llama and its likes (Mistral, SmolLM2): no biases. GGUF files hold the query and key rows permuted, so that
    /// neighbouring values are rotated together.
    Llama,
    /// Qwen2 and Qwen2.5: biases on query, key and value; the two halves of a head are rotated together.
    Qwen2,
    /// Qwen3: no biases; every head of queries and keys is normed before it is rotated, by halves.
    Qwen3,
    /// Gemma 3, text alone: as Qwen3, with norms behind each half of a layer too, GELU gates, a scaled embedding, and five of
    /// six layers that look back a window only.
    Gemma3,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 4] = [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Gemma3];

    /// The family's name in `general.architecture`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3",
        }
    }

    /// Whether query, key and value projections have biases.
    pub fn has_attention_bias(self) -> bool {
        self == Self::Qwen2
    }

    /// Whether each head of queries and keys is normed.
    pub fn has_head_norms(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Gemma3)
    }

    /// Whether what attention and feed-forward add to the stream is normed before.
    pub fn has_post_norms(self) -> bool {
        self == Self::Gemma3
    }

    /// Whether gates are GELU (by tanh), as against `SiLU`.
    pub fn has_gelu_gates(self) -> bool {
        self == Self::Gemma3
    }

    /// Whether neighbouring values of a head form a rotary pair, as against the two halves of the head.
    pub fn rotates_neighbours(self) -> bool {
        self == Self::Llama
    }
}

/// Layers that look back a window only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalLayers {
    /// Positions that are seen, the own one included.
    pub window: usize,
    /// Every so many layers the last sees everything.
    pub period: usize,
    /// Base of their rotary frequencies.
    pub rope_base: f32,
}

/// Of Gemma 3 (its report, 2025, section 2.1): five local layers to one that sees everything.
pub(super) const GEMMA3_PERIOD: usize = 6;

/// Of Gemma 3's local layers (same section); files do not carry it.
pub(super) const GEMMA3_LOCAL_ROPE_BASE: f32 = 10_000.0;

/// Layers of Gemma 3 27B, by which alone a GGUF file tells that its attention is scaled by the stream's width over the
/// number of heads (so in llama.cpp, and in Google's `gemma_pytorch`).
const GEMMA3_27B_LAYERS: usize = 62;

/// The numbers that define a decoder of the llama kind.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Whose conventions it follows.
    pub family: Family,
    /// Rows of the embedding and of the output head.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Inner width of the feed-forward block.
    pub feed_forward: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// What scores of attention are divided by the square root of, where it is not the head's width.
    pub attention_width: Option<usize>,
    /// Most positions the model was made for.
    pub context_length: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Layers that look back a window only, where there are some.
    pub local: Option<LocalLayers>,
    /// Added to the mean square in the norms.
    pub rms_epsilon: f32,
    /// Whether the output head is the embedding.
    pub tied_head: bool,
}

impl ModelConfig {
    /// Reads and checks the configuration of a file.
    ///
    /// # Errors
    /// The architecture is not supported, or a number is missing or impossible.
    pub fn from_gguf(file: &GgufFile) -> Result<Self, KernelError> {
        let architecture = file.architecture()?;
        let family = Family::ALL
            .into_iter()
            .find(|family| family.architecture() == architecture)
            .ok_or_else(|| {
                let known = Family::ALL.map(|family| format!("`{}`", family.architecture())).join(", ");
                file.error(format!("architecture `{architecture}` is not supported; supported are {known}"))
            })?;
        let name = family.architecture();
        let integer = |key: &str| file.integer(&format!("{name}.{key}"));
        let embedding =
            file.shape("token_embd.weight").ok_or_else(|| file.error("has no tensor `token_embd.weight`"))?;
        let &[vocab_size, hidden] = embedding else {
            return Err(file.error(format!(
                "tensor token_embd.weight has shape {embedding:?}, expected two dimensions"
            )));
        };
        let heads = integer("attention.head_count")?;
        let kv_heads = integer("attention.head_count_kv").unwrap_or(heads);
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(file.error(format!("{heads} heads cannot share {kv_heads} key-value heads")));
        }
        let head_dim = integer("attention.key_length").unwrap_or(hidden / heads);
        let layers = integer("block_count")?;
        let is_27b = family == Family::Gemma3 && layers == GEMMA3_27B_LAYERS;
        let config = Self {
            family,
            vocab_size,
            hidden,
            feed_forward: integer("feed_forward_length")?,
            layers,
            heads,
            kv_heads,
            head_dim,
            attention_width: is_27b.then_some(hidden / heads),
            context_length: integer("context_length")?,
            rope_base: file.float(&format!("{name}.rope.freq_base")).unwrap_or(10_000.0),
            local: match family {
                Family::Gemma3 => Some(LocalLayers {
                    window: integer("attention.sliding_window")?,
                    period: GEMMA3_PERIOD,
                    rope_base: GEMMA3_LOCAL_ROPE_BASE,
                }),
                _ => None,
            },
            rms_epsilon: file.float(&format!("{name}.attention.layer_norm_rms_epsilon"))?,
            tied_head: file.shape("output.weight").is_none(),
        };
        if config.local.is_some_and(|local| local.window == 0) {
            return Err(file.error("a sliding window of no tokens".to_owned()));
        }
        if integer("embedding_length")? != hidden {
            return Err(file.error(format!("the embedding is {hidden} wide, the metadata say otherwise")));
        }
        if config.layers == 0 || config.context_length == 0 || head_dim == 0 || !head_dim.is_multiple_of(2) {
            return Err(file.error(format!(
                "impossible numbers: {} layers, context {}, head width {head_dim}",
                config.layers, config.context_length
            )));
        }
        if integer("rope.dimension_count").unwrap_or(head_dim) != head_dim {
            return Err(file.error("partial rotary embeddings are not supported"));
        }
        linear_factor(file, family)?;
        Ok(config)
    }

    /// What scores of attention are divided by the square root of.
    pub(crate) fn score_width(&self) -> usize {
        self.attention_width.unwrap_or(self.head_dim)
    }

    /// What a layer looks back, if it does not see everything.
    pub(crate) fn window(&self, layer: usize) -> Option<usize> {
        let local = self.local.filter(|local| !(layer + 1).is_multiple_of(local.period))?;
        Some(local.window)
    }

    /// What embeddings are multiplied with.
    pub(crate) fn embedding_scale(&self) -> Option<f32> {
        (self.family == Family::Gemma3).then(|| (self.hidden as f32).sqrt())
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// What a GGUF file divides all rotary frequencies by, of Gemma 3 those of the layers that see everything; none if it does
/// not stretch positions.
pub(super) fn linear_factor(file: &GgufFile, family: Family) -> Result<Option<f32>, KernelError> {
    let name = family.architecture();
    // Older files have a factor without a kind, or under another name.
    let kind = file.string(&format!("{name}.rope.scaling.type")).unwrap_or("linear");
    let factor = ["rope.scaling.factor", "rope.scale_linear"];
    let factor = factor.iter().find_map(|key| file.float(&format!("{name}.{key}")).ok());
    match (kind, factor) {
        ("none", _) | ("linear", None) => Ok(None),
        ("linear", Some(factor)) if is_factor(factor) => Ok(Some(factor)),
        ("linear", Some(factor)) => Err(file.error(format!("impossible rotary scaling by {factor}"))),
        (other, _) => Err(file.error(format!("rotary scaling `{other}` is not supported"))),
    }
}

/// Whether positions can be stretched by so much.
pub(super) fn is_factor(factor: f32) -> bool {
    factor.is_finite() && factor > 0.0
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::Path;

    use candle_core::Device;
    use candle_core::quantized::QTensor;
    use candle_core::quantized::gguf_file::{self, Content, Value};

    use super::super::ModelFiles;
    use super::super::tensor_file::write;
    use super::super::toy::{Toy, write_gguf};
    use super::super::weights::WeightFile;
    use super::*;

    /// The toy's file with further metadata.
    fn write_with(path: &Path, toy: &Toy, further: &[(&str, Value)]) {
        write_gguf(path, toy).unwrap();
        let mut file = Cursor::new(std::fs::read(path).unwrap());
        let content = Content::read(&mut file).unwrap();
        let tensors: Vec<(&str, QTensor)> = content
            .tensor_infos
            .keys()
            .map(|name| (name.as_str(), content.tensor(&mut file, name, &Device::Cpu).unwrap()))
            .collect();
        let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let metadata = content.metadata.iter().map(|(name, value)| (name.as_str(), value));
        let further = further.iter().map(|(name, value)| (*name, value));
        let metadata: Vec<(&str, &Value)> = metadata.chain(further).collect();
        let mut written = Cursor::new(Vec::new());
        gguf_file::write(&mut written, &metadata, &tensors).unwrap();
        write(path, written.get_ref()).unwrap();
    }

    fn scaling(name: &str, kind: &str, factor: f32) -> [(String, Value); 2] {
        [
            (format!("{name}.rope.scaling.type"), Value::String(kind.into())),
            (format!("{name}.rope.scaling.factor"), Value::F32(factor)),
        ]
    }

    #[test]
    fn linear_scaling_is_read_and_other_kinds_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.gguf");
        for family in Family::ALL {
            let toy = Toy::new(family, 3);
            let open = |kind: &str, factor: f32| {
                let further = scaling(family.architecture(), kind, factor);
                let further = further.each_ref().map(|(name, value)| (name.as_str(), value.clone()));
                write_with(&path, &toy, &further);
                WeightFile::open(&ModelFiles::gguf(&path))
            };
            let (file, config) = open("linear", 8.0).unwrap();
            assert_eq!(config, toy.config());
            assert_eq!(file.rope_factors(&config).unwrap(), Some(vec![8.0; config.head_dim / 2]));
            let (file, config) = open("none", 8.0).unwrap();
            assert_eq!(file.rope_factors(&config).unwrap(), None);
            for (kind, factor, expected) in
                [("linear", 0.0, "impossible rotary scaling by 0"), ("yarn", 4.0, "`yarn` is not supported")]
            {
                let message = open(kind, factor).unwrap_err().to_string();
                assert!(message.contains(expected), "{message}");
            }
        }
    }

    #[test]
    fn the_largest_gemma_scales_its_attention_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.gguf");
        for (family, layers, expected) in
            [(Family::Gemma3, 62, Some(16)), (Family::Gemma3, 61, None), (Family::Llama, 62, None)]
        {
            write_gguf(&path, &Toy { layers, ..Toy::new(family, 3) }).unwrap();
            let config = ModelConfig::from_gguf(&GgufFile::open(&path).unwrap()).unwrap();
            assert_eq!(config.attention_width, expected, "{family:?} of {layers} layers");
        }
    }
}
