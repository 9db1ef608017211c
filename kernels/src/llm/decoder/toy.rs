//! Tiny seeded models as complete GGUF files: weights, byte-level tokenizer and ChatML template.
//!
//! They answer nonsense, but in the very format and through the very code of a real model, so that the whole
//! program can be tested without a download.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::config::{Family, LocalLayers, ModelConfig};
use super::names::{Norms, Part, bias_name, weight_name};
use super::rng::SplitMix64;
use crate::KernelError;

/// The tokens after the 256 bytes that are made by merging, with the halves they are merged from.
const MERGES: [(&str, &str); 12] = [
    ("t", "h"),
    ("th", "e"),
    ("i", "n"),
    ("Ġ", "a"),
    ("Ġ", "the"),
    ("e", "r"),
    ("o", "n"),
    ("in", "g"),
    ("a", "n"),
    ("an", "d"),
    ("Ġ", "and"),
    ("\"", ":"),
];

/// Control tokens, last in the vocabulary.
const SPECIALS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// `ChatML`, as the real instruct models of these families carry it.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + \
    message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}\
    {% endif %}";

/// What toy model to make. The same value gives the same file, byte for byte.
#[derive(Debug, Clone)]
pub struct Toy {
    /// Whose conventions it follows.
    pub family: Family,
    /// Seed of the weights.
    pub seed: u64,
    /// Type of the matrices in the file; the norms are always `F32`.
    pub data_type: GgmlDType,
    /// Width of the residual stream; a multiple of 64 and of the type's block.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Most positions.
    pub context_length: usize,
    /// Whether the output head is the embedding.
    pub tied_head: bool,
}

impl Toy {
    /// Two layers (of Gemma 3 six), 64 wide, in `F32`; the heads of llama and gemma are tied, the qwens' are not.
    pub fn new(family: Family, seed: u64) -> Self {
        Self {
            family,
            seed,
            data_type: GgmlDType::F32,
            hidden: 64,
            // Of Gemma 3 the sixth is the first layer that sees everything.
            layers: if family == Family::Gemma3 { 6 } else { 2 },
            context_length: 8192,
            tied_head: matches!(family, Family::Llama | Family::Gemma3),
        }
    }

    /// The model's numbers: four query heads on two key-value heads, feed-forward twice as wide as the stream.
    pub fn config(&self) -> ModelConfig {
        ModelConfig {
            family: self.family,
            vocab_size: tokens().len(),
            hidden: self.hidden,
            feed_forward: 2 * self.hidden,
            layers: self.layers,
            heads: 4,
            kv_heads: 2,
            // Of Qwen3 the heads together are wider than the stream, as in its small models.
            head_dim: if self.family == Family::Qwen3 { self.hidden / 2 } else { self.hidden / 4 },
            attention_width: None,
            context_length: self.context_length,
            rope_base: 10_000.0,
            // A window that a few words are longer than.
            local: (self.family == Family::Gemma3).then_some(LocalLayers {
                window: 20,
                period: 6,
                rope_base: 10_000.0,
            }),
            rms_epsilon: 1e-5,
            tied_head: self.tied_head,
        }
    }
}

/// Writes the model to `path`, over whatever is there.
///
/// # Errors
/// The file cannot be written, or the type's block does not divide the widths.
pub fn write_gguf(path: &Path, toy: &Toy) -> Result<(), KernelError> {
    let fail =
        |error: std::io::Error| KernelError::Model { path: path.to_path_buf(), reason: error.to_string() };
    #[expect(clippy::disallowed_methods, reason = "a model for tests, never a result")]
    let mut file = BufWriter::new(File::create(path).map_err(fail)?);
    let metadata = metadata(toy);
    let tensors = tensors(toy)?;
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut file, &metadata, &tensors)?;
    std::io::Write::flush(&mut file).map_err(fail)
}

/// The vocabulary in the GPT-2 alphabet: 256 bytes in order, merged tokens, control tokens.
pub fn tokens() -> Vec<String> {
    let merged = MERGES.iter().map(|(left, right)| format!("{left}{right}"));
    (0..=u8::MAX)
        .map(|byte| byte_token(byte).to_string())
        .chain(merged)
        .chain(SPECIALS.map(String::from))
        .collect()
}

/// The printable character that stands for a byte in byte-level vocabularies.
fn byte_token(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&other| !printable(other)).count();
    u32::try_from(rank).ok().and_then(|rank| char::from_u32(256 + rank)).unwrap_or('?')
}

fn metadata(toy: &Toy) -> Vec<(String, Value)> {
    let config = toy.config();
    let name = toy.family.architecture();
    let number = |value: usize| Value::U32(u32::try_from(value).unwrap_or(u32::MAX));
    let text = |value: &str| Value::String(value.into());
    let vocabulary = tokens();
    let first_special = vocabulary.len() - SPECIALS.len();
    let kinds = (0..vocabulary.len()).map(|id| Value::I32(if id < first_special { 1 } else { 3 })).collect();
    let merges = MERGES.iter().map(|(left, right)| text(&format!("{left} {right}"))).collect();
    let pre = match toy.family {
        Family::Llama => "smollm",
        Family::Qwen2 | Family::Qwen3 | Family::Gemma3 => "qwen2",
    };
    let entries: [(String, Value); 21] = [
        ("general.architecture".into(), text(name)),
        ("general.name".into(), text("toy")),
        (format!("{name}.block_count"), number(config.layers)),
        (format!("{name}.context_length"), number(config.context_length)),
        (format!("{name}.embedding_length"), number(config.hidden)),
        (format!("{name}.feed_forward_length"), number(config.feed_forward)),
        (format!("{name}.attention.head_count"), number(config.heads)),
        (format!("{name}.attention.head_count_kv"), number(config.kv_heads)),
        (format!("{name}.attention.layer_norm_rms_epsilon"), Value::F32(config.rms_epsilon)),
        (format!("{name}.rope.freq_base"), Value::F32(config.rope_base)),
        (format!("{name}.vocab_size"), number(config.vocab_size)),
        ("tokenizer.ggml.model".into(), text("gpt2")),
        ("tokenizer.ggml.pre".into(), text(pre)),
        ("tokenizer.ggml.tokens".into(), Value::Array(vocabulary.iter().map(|token| text(token)).collect())),
        ("tokenizer.ggml.token_type".into(), Value::Array(kinds)),
        ("tokenizer.ggml.merges".into(), Value::Array(merges)),
        ("tokenizer.ggml.bos_token_id".into(), number(first_special)),
        ("tokenizer.ggml.eos_token_id".into(), number(first_special + 2)),
        ("tokenizer.ggml.padding_token_id".into(), number(first_special)),
        ("tokenizer.ggml.add_bos_token".into(), Value::Bool(false)),
        ("tokenizer.chat_template".into(), text(CHAT_TEMPLATE)),
    ];
    let mut entries = Vec::from(entries);
    if let Some(local) = config.local {
        entries.push((format!("{name}.attention.sliding_window"), number(local.window)));
    }
    if config.head_dim * config.heads != config.hidden {
        entries.push((format!("{name}.attention.key_length"), number(config.head_dim)));
        entries.push((format!("{name}.attention.value_length"), number(config.head_dim)));
    }
    entries
}

fn tensors(toy: &Toy) -> Result<Vec<(String, QTensor)>, KernelError> {
    let config = toy.config();
    let mut rng = SplitMix64::new(toy.seed);
    let mut tensors = Vec::new();
    let mut matrix = |rng: &mut SplitMix64, name: String, (outputs, inputs): (usize, usize), gain: f32| {
        let scale = gain / (inputs as f32).sqrt();
        let values: Vec<f32> = (0..outputs * inputs).map(|_| rng.normal() * scale).collect();
        let values = Tensor::from_vec(values, (outputs, inputs), &Device::Cpu)?;
        tensors.push((name, QTensor::quantize(&values, toy.data_type)?));
        Ok::<(), KernelError>(())
    };
    let embedding = (config.vocab_size, config.hidden);
    matrix(&mut rng, "token_embd.weight".into(), embedding, 4.0)?;
    if !config.tied_head {
        matrix(&mut rng, "output.weight".into(), embedding, 2.0)?;
    }
    for layer in 0..config.layers {
        for part in Part::ALL {
            matrix(&mut rng, weight_name(layer, part), part.shape(&config), 1.0)?;
        }
    }
    let mut vector = |name: String, width: usize, mean: f32| {
        let values: Vec<f32> = (0..width).map(|_| mean + 0.1 * rng.normal()).collect();
        let values = Tensor::from_vec(values, width, &Device::Cpu)?;
        tensors.push((name, QTensor::quantize(&values, GgmlDType::F32)?));
        Ok::<(), KernelError>(())
    };
    for layer in 0..config.layers {
        Norms::load(&config, layer, |name, width| vector(name.to_owned(), width, 1.0))?;
        for part in Part::ALL {
            if let Some(name) = bias_name(&config, layer, part) {
                vector(name, part.shape(&config).0, 0.0)?;
            }
        }
    }
    vector("output_norm.weight".into(), config.hidden, 1.0)?;
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::gguf::GgufFile;

    #[test]
    fn the_same_toy_is_the_same_file_and_reads_as_it_was_meant() {
        for family in Family::ALL {
            let folder = tempfile::tempdir().unwrap();
            let paths = [folder.path().join("a.gguf"), folder.path().join("b.gguf")];
            let toy = Toy::new(family, 7);
            for path in &paths {
                write_gguf(path, &toy).unwrap();
            }
            assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
            let file = GgufFile::open(&paths[0]).unwrap();
            assert_eq!(ModelConfig::from_gguf(&file).unwrap(), toy.config());
            let listed = |key: &str| match &file.metadata()[key] {
                Value::Array(values) => values.len(),
                other => panic!("{key} is {other:?}"),
            };
            assert_eq!(listed("tokenizer.ggml.tokens"), toy.config().vocab_size);
            assert_eq!(listed("tokenizer.ggml.token_type"), toy.config().vocab_size);
            assert_eq!(tokens()[file.integer("tokenizer.ggml.eos_token_id").unwrap()], "<|im_end|>");
        }
    }

    #[test]
    fn bytes_have_the_characters_of_gpt2() {
        for (byte, character) in
            [(b'A', 'A'), (b' ', 'Ġ'), (b'\n', 'Ċ'), (0, 'Ā'), (0x7f, 'ġ'), (0xad, 'Ń'), (0xff, 'ÿ')]
        {
            assert_eq!(byte_token(byte), character);
        }
        let tokens = tokens();
        let distinct: std::collections::BTreeSet<&String> = tokens.iter().collect();
        assert_eq!(distinct.len(), tokens.len());
    }

    #[test]
    fn merges_only_join_what_is_there_before() {
        let tokens = tokens();
        for (index, (left, right)) in MERGES.iter().enumerate() {
            let known = &tokens[..256 + index];
            assert!(
                [left, right].iter().all(|half| known.iter().any(|token| token == *half)),
                "{left} {right}"
            );
        }
    }
}
