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

    fn gguf(self) -> &'static str {
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

/// Names of the norms of query and key heads in a GGUF file.
pub(crate) const HEAD_NORMS: [&str; 2] = ["attn_q_norm", "attn_k_norm"];

/// Name of a norm's weights in a GGUF file.
pub(crate) fn norm_name(layer: usize, norm: &str) -> String {
    format!("blk.{layer}.{norm}.weight")
}
