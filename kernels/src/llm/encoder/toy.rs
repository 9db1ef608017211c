//! A tiny seeded encoder as complete files, for tests.

use std::collections::BTreeMap;
use std::path::Path;

use crate::KernelError;
use crate::llm::decoder::tensor_file::{Named, save, write};

/// Names of the files: weights, tokenizer, shape.
pub const ENCODER_FILES: [&str; 3] = ["model.safetensors", "tokenizer.json", "config.json"];

/// Width of a vector.
pub(super) const WIDTH: usize = 8;
pub(super) const HEADS: usize = 2;
const WIDE: usize = 12;
/// Longest text, in tokens.
const LONGEST: usize = 6;
const WORDS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "down"];

/// Writes an encoder of one layer with made-up weights into a folder, under [`ENCODER_FILES`].
///
/// # Errors
/// The disk refuses.
pub fn write_encoder(folder: &Path) -> Result<(), KernelError> {
    let [weights, tokenizer, shape] = ENCODER_FILES.map(|name| folder.join(name));
    save(&weights, &tensors(""))?;
    let vocabulary: BTreeMap<&str, usize> = WORDS.iter().copied().zip(0..).collect();
    let words = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    });
    write(&tokenizer, words.to_string().as_bytes())?;
    write(&shape, config("gelu").as_bytes())
}

/// The tensors of the encoder, whose names begin with `prefix`.
pub(super) fn tensors(prefix: &str) -> Named {
    let mut state = 7_u64;
    let mut tensors = Named::new();
    let mut add = |name: &str, shape: &[usize], around: f32| {
        let mut next = || {
            state = crate::mix::mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            around + (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
        };
        let values = (0..shape.iter().product::<usize>()).map(|_| next()).collect();
        tensors.insert(format!("{prefix}{name}"), (shape.to_vec(), values));
    };
    add("embeddings.word_embeddings.weight", &[WORDS.len(), WIDTH], 0.0);
    add("embeddings.position_embeddings.weight", &[LONGEST, WIDTH], 0.0);
    add("embeddings.token_type_embeddings.weight", &[2, WIDTH], 0.0);
    for norm in ["embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"] {
        add(&format!("{norm}.LayerNorm.weight"), &[WIDTH], 1.0);
        add(&format!("{norm}.LayerNorm.bias"), &[WIDTH], 0.0);
    }
    for (name, wide, narrow) in [
        ("attention.self.query", WIDTH, WIDTH),
        ("attention.self.key", WIDTH, WIDTH),
        ("attention.self.value", WIDTH, WIDTH),
        ("attention.output.dense", WIDTH, WIDTH),
        ("intermediate.dense", WIDE, WIDTH),
        ("output.dense", WIDTH, WIDE),
    ] {
        add(&format!("encoder.layer.0.{name}.weight"), &[wide, narrow], 0.0);
        add(&format!("encoder.layer.0.{name}.bias"), &[wide], 0.0);
    }
    tensors
}

/// The shape of the encoder with an activation, as its `config.json` has it.
pub(super) fn config(activation: &str) -> String {
    serde_json::json!({
        "vocab_size": WORDS.len(), "hidden_size": WIDTH, "num_hidden_layers": 1, "type_vocab_size": 2,
        "num_attention_heads": HEADS, "intermediate_size": WIDE, "max_position_embeddings": LONGEST,
        "layer_norm_eps": 1e-12, "hidden_act": activation,
    })
    .to_string()
}
