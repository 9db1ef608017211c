//! The projections of a layer and what they are called in GGUF files and in adapters.

use serde::{Deserialize, Serialize};

use super::config::ModelConfig;

/// A projection of a layer. Serialised by its name in PEFT's `target_modules`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// Residual stream to queries.
    #[serde(rename = "q_proj")]
    Query,
    /// Residual stream to keys.
    #[serde(rename = "k_proj")]
    Key,
    /// Residual stream to values.
    #[serde(rename = "v_proj")]
    Value,
    /// Attended values to the residual stream.
    #[serde(rename = "o_proj")]
    Output,
    /// Residual stream to the gate of the feed-forward block.
    #[serde(rename = "gate_proj")]
    Gate,
    /// Residual stream to the inner width of the feed-forward block.
    #[serde(rename = "up_proj")]
    Up,
    /// Inner width of the feed-forward block to the residual stream.
    #[serde(rename = "down_proj")]
    Down,
}

impl Part {
    /// All projections of a layer.
    pub const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// `(outputs, inputs)`.
    pub fn shape(self, config: &ModelConfig) -> (usize, usize) {
        match self {
            Self::Query => (config.query_width(), config.hidden),
            Self::Key | Self::Value => (config.kv_width(), config.hidden),
            Self::Output => (config.hidden, config.query_width()),
            Self::Gate | Self::Up => (config.feed_forward, config.hidden),
            Self::Down => (config.hidden, config.feed_forward),
        }
    }

    /// The module's path below a layer in Hugging Face's models.
    pub fn module(self) -> &'static str {
        match self {
            Self::Query => "self_attn.q_proj",
            Self::Key => "self_attn.k_proj",
            Self::Value => "self_attn.v_proj",
            Self::Output => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// The module in GGUF files.
    pub(super) fn gguf(self) -> &'static str {
        match self {
            Self::Query => "attn_q",
            Self::Key => "attn_k",
            Self::Value => "attn_v",
            Self::Output => "attn_output",
            Self::Gate => "ffn_gate",
            Self::Up => "ffn_up",
            Self::Down => "ffn_down",
        }
    }

    /// Whether the projection has a bias in this model.
    pub(crate) fn has_bias(self, config: &ModelConfig) -> bool {
        config.family.has_attention_bias() && matches!(self, Self::Query | Self::Key | Self::Value)
    }
}

/// Name of a projection's matrix in a GGUF file.
pub(crate) fn weight_name(layer: usize, part: Part) -> String {
    format!("blk.{layer}.{}.weight", part.gguf())
}

/// Name of a projection's bias in a GGUF file, if the model has one.
pub(crate) fn bias_name(config: &ModelConfig, layer: usize, part: Part) -> Option<String> {
    part.has_bias(config).then(|| format!("blk.{layer}.{}.bias", part.gguf()))
}

/// The norms of a layer, however their weights are kept.
#[derive(Debug)]
pub(crate) struct Norms<T> {
    /// Before attention.
    pub(crate) attention: T,
    /// Before the feed-forward block.
    pub(crate) feed_forward: T,
    /// Of each head of queries and of keys, where the family has them.
    pub(crate) heads: Option<[T; 2]>,
    /// Behind attention and behind the feed-forward block, where the family has them.
    pub(crate) post: Option<[T; 2]>,
}

impl<T> Norms<T> {
    /// Takes the norms of a layer by their names in a GGUF file and their widths.
    pub(crate) fn load<E>(
        config: &ModelConfig,
        layer: usize,
        mut take: impl FnMut(&str, usize) -> Result<T, E>,
    ) -> Result<Self, E> {
        let mut take = |norm: &str, width| take(&format!("blk.{layer}.{norm}.weight"), width);
        Ok(Self {
            attention: take("attn_norm", config.hidden)?,
            feed_forward: take("ffn_norm", config.hidden)?,
            heads: if config.family.has_head_norms() {
                Some([take("attn_q_norm", config.head_dim)?, take("attn_k_norm", config.head_dim)?])
            } else {
                None
            },
            post: if config.family.has_post_norms() {
                Some([take("post_attention_norm", config.hidden)?, take("post_ffw_norm", config.hidden)?])
            } else {
                None
            },
        })
    }
}
