//! Texts as vectors: a BERT encoder whose mean over tokens stands for a text.

pub mod toy;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module, VarBuilder, embedding, layer_norm, linear, ops};
use rayon::prelude::*;
use serde::Deserialize;
use tokenizers::{Tokenizer, TruncationParams};

use super::device::{DeviceKind, pick};
use crate::KernelError;

/// Texts that a graphics card computes together.
const CARD_BATCH: usize = 64;

/// The shape of a model, from its `config.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EncoderConfig {
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Width of a token's vector, and of a text's.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads; `hidden_size` is a multiple of it.
    pub num_attention_heads: usize,
    /// Width between the two products of a layer's second half.
    pub intermediate_size: usize,
    /// Longest text, in tokens.
    pub max_position_embeddings: usize,
    /// Kinds of segments, of which the first is used.
    pub type_vocab_size: usize,
    /// Added to variances.
    pub layer_norm_eps: f64,
    /// The activation, which must be `gelu`.
    pub hidden_act: String,
}

/// A BERT encoder (Devlin et al. 2019) with its tokenizer.
///
/// A text's vector is the mean of the vectors of its tokens, brought to length 1 (Reimers and Gurevych 2019), so that the
/// product of two vectors is the cosine of the angle between them. Texts over the model's length are cut there.
///
/// On the processor each text is computed by itself, so that its vector does not depend on what else is asked.
#[derive(Debug)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    words: Embedding,
    positions: Embedding,
    segments: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
    heads: usize,
    device: Device,
    embedded: AtomicU64,
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attended_norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
    norm: LayerNorm,
}

impl TextEncoder {
    /// Loads a model: `weights` is a safetensors file, `tokenizer` and `config` are JSON files as published with it.
    ///
    /// # Errors
    /// A file is missing, is of another kind or has tensors of another shape, or the device does not answer.
    pub fn load(
        weights: &Path,
        tokenizer: &Path,
        config: &Path,
        device: DeviceKind,
    ) -> Result<Self, KernelError> {
        let failed = |path: &Path, reason: String| KernelError::Model { path: path.to_path_buf(), reason };
        let read = |path: &Path| std::fs::read(path).map_err(|error| failed(path, error.to_string()));
        let shape: EncoderConfig = serde_json::from_slice(&read(config)?)
            .map_err(|error| failed(config, format!("is no description of a BERT encoder: {error}")))?;
        if shape.hidden_act != "gelu" {
            return Err(failed(config, format!("has the activation `{}`, not `gelu`", shape.hidden_act)));
        }
        if !shape.hidden_size.is_multiple_of(shape.num_attention_heads) {
            return Err(failed(config, "has a width that is no multiple of the number of heads".to_owned()));
        }
        let mut words = Tokenizer::from_bytes(read(tokenizer)?)
            .map_err(|error| failed(tokenizer, format!("is no tokenizer: {error}")))?;
        words.with_padding(None);
        let cut =
            TruncationParams { max_length: shape.max_position_embeddings, ..TruncationParams::default() };
        words.with_truncation(Some(cut)).map_err(|error| KernelError::Tokenizer(error.to_string()))?;
        let device = pick(device)?;
        let tensors = VarBuilder::from_buffered_safetensors(read(weights)?, DType::F32, &device)
            .map_err(|error| failed(weights, error.to_string()))?;
        let tensors = if tensors.contains_tensor("bert.embeddings.word_embeddings.weight") {
            tensors.pp("bert")
        } else {
            tensors
        };
        Self::of(words, &shape, &tensors, device).map_err(|error| failed(weights, error.to_string()))
    }

    fn of(
        tokenizer: Tokenizer,
        shape: &EncoderConfig,
        tensors: &VarBuilder<'_>,
        device: Device,
    ) -> candle_core::Result<Self> {
        let (width, wide) = (shape.hidden_size, shape.intermediate_size);
        let parts = tensors.pp("embeddings");
        let layer = |number: usize| {
            let parts = tensors.pp("encoder.layer").pp(number);
            let (attention, output) = (parts.pp("attention"), parts.pp("output"));
            candle_core::Result::Ok(Layer {
                query: linear(width, width, attention.pp("self.query"))?,
                key: linear(width, width, attention.pp("self.key"))?,
                value: linear(width, width, attention.pp("self.value"))?,
                attended: linear(width, width, attention.pp("output.dense"))?,
                attended_norm: layer_norm(width, shape.layer_norm_eps, attention.pp("output.LayerNorm"))?,
                wide: linear(width, wide, parts.pp("intermediate.dense"))?,
                narrow: linear(wide, width, output.pp("dense"))?,
                norm: layer_norm(width, shape.layer_norm_eps, output.pp("LayerNorm"))?,
            })
        };
        Ok(Self {
            tokenizer,
            words: embedding(shape.vocab_size, width, parts.pp("word_embeddings"))?,
            positions: embedding(shape.max_position_embeddings, width, parts.pp("position_embeddings"))?,
            segments: embedding(shape.type_vocab_size, width, parts.pp("token_type_embeddings"))?,
            norm: layer_norm(width, shape.layer_norm_eps, parts.pp("LayerNorm"))?,
            layers: (0..shape.num_hidden_layers).map(layer).collect::<candle_core::Result<_>>()?,
            heads: shape.num_attention_heads,
            device,
            embedded: AtomicU64::new(0),
        })
    }

    /// Texts embedded so far.
    pub fn embedded(&self) -> u64 {
        self.embedded.load(Relaxed)
    }

    /// The vectors of some texts, in their order, each of length 1.
    ///
    /// # Errors
    /// A text cannot be cut into tokens, or the device fails.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, KernelError> {
        let encoded = self
            .tokenizer
            .encode_batch(texts.to_vec(), true)
            .map_err(|error| KernelError::Tokenizer(error.to_string()))?;
        let tokens: Vec<&[u32]> = encoded.iter().map(tokenizers::Encoding::get_ids).collect();
        let batches: Vec<Vec<usize>> = if self.device.is_cpu() {
            (0..tokens.len()).map(|text| vec![text]).collect()
        } else {
            // Texts of about one length, so that little is padding.
            let mut order: Vec<usize> = (0..tokens.len()).collect();
            order.sort_by_key(|text| tokens[*text].len());
            order.chunks(CARD_BATCH).map(<[usize]>::to_vec).collect()
        };
        let vectors = |batch: &Vec<usize>| {
            let of_batch: Vec<&[u32]> = batch.iter().map(|text| tokens[*text]).collect();
            let vectors = self.vectors(&of_batch)?;
            self.embedded.fetch_add(batch.len() as u64, Relaxed);
            Ok((batch.clone(), vectors))
        };
        let computed: Result<Vec<_>, KernelError> = if self.device.is_cpu() {
            batches.par_iter().map(vectors).collect()
        } else {
            batches.iter().map(vectors).collect()
        };
        let mut all = vec![Vec::new(); tokens.len()];
        for (batch, vectors) in computed? {
            for (text, vector) in batch.into_iter().zip(vectors) {
                all[text] = vector;
            }
        }
        Ok(all)
    }

    /// The vectors of texts that are computed together.
    fn vectors(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, KernelError> {
        let longest = texts.iter().map(|tokens| tokens.len()).max().unwrap_or(0).max(1);
        let mut ids = Vec::with_capacity(texts.len() * longest);
        let mut is_token = Vec::with_capacity(texts.len() * longest);
        for tokens in texts {
            ids.extend(tokens.iter().copied());
            is_token.extend(std::iter::repeat_n(1_f32, tokens.len()));
            ids.resize(ids.len() + longest - tokens.len(), 0);
            is_token.resize(is_token.len() + longest - tokens.len(), 0_f32);
        }
        let ids = Tensor::from_vec(ids, (texts.len(), longest), &self.device)?;
        let is_token = Tensor::from_vec(is_token, (texts.len(), longest), &self.device)?;
        let hidden = self.hidden(&ids, &is_token, longest)?;
        // The mean over tokens, without what was filled up.
        let weights = is_token.unsqueeze(2)?;
        let sums = hidden.broadcast_mul(&weights)?.sum(1)?;
        let means = sums.broadcast_div(&weights.sum(1)?.clamp(1e-9, f64::MAX)?)?;
        let lengths = means.sqr()?.sum_keepdim(1)?.sqrt()?.clamp(1e-12, f64::MAX)?;
        Ok(means.broadcast_div(&lengths)?.to_vec2()?)
    }

    fn hidden(&self, ids: &Tensor, is_token: &Tensor, longest: usize) -> candle_core::Result<Tensor> {
        let places = Tensor::arange(0, u32::try_from(longest).unwrap_or(u32::MAX), &self.device)?;
        let segment = self.segments.forward(&Tensor::zeros(1, DType::U32, &self.device)?)?;
        let hidden = self.words.forward(ids)?.broadcast_add(&self.positions.forward(&places)?)?;
        let mut hidden = self.norm.forward(&hidden.broadcast_add(&segment)?)?;
        // Far below every score where there is no token.
        let unseen = is_token.affine(-1.0, 1.0)?.affine(-1e9, 0.0)?.unsqueeze(1)?.unsqueeze(1)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, &unseen, self.heads)?;
        }
        Ok(hidden)
    }
}

impl Layer {
    fn forward(&self, hidden: &Tensor, unseen: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
        let (texts, len, width) = hidden.dims3()?;
        let split =
            |part: Tensor| part.reshape((texts, len, heads, width / heads))?.transpose(1, 2)?.contiguous();
        let query = split(self.query.forward(hidden)?)?;
        let key = split(self.key.forward(hidden)?)?;
        let value = split(self.value.forward(hidden)?)?;
        let scale = (width as f64 / heads as f64).sqrt().recip();
        let scores = query.matmul(&key.transpose(D::Minus1, D::Minus2)?.contiguous()?)?.affine(scale, 0.0)?;
        let shares = ops::softmax_last_dim(&scores.broadcast_add(unseen)?)?;
        let attended = shares.matmul(&value)?.transpose(1, 2)?.reshape((texts, len, width))?;
        let hidden = self.attended_norm.forward(&(self.attended.forward(&attended)? + hidden)?)?;
        let wide = self.wide.forward(&hidden)?.gelu_erf()?;
        self.norm.forward(&(self.narrow.forward(&wide)? + hidden)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::toy::{ENCODER_FILES, HEADS, WIDTH, config, tensors, write_encoder};
    use super::*;
    use crate::llm::decoder::tensor_file::{Named, save, write};

    /// The toy encoder and its tensors.
    struct Toy {
        folder: tempfile::TempDir,
        tensors: Named,
    }

    impl Toy {
        fn new(prefix: &str) -> Self {
            let toy = Self { folder: tempfile::tempdir().unwrap(), tensors: tensors(prefix) };
            write_encoder(toy.folder.path()).unwrap();
            save(&toy.path(ENCODER_FILES[0]), &toy.tensors).unwrap();
            toy
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            write(&self.path(name), text.as_bytes()).unwrap();
        }

        fn load(&self) -> Result<TextEncoder, KernelError> {
            let [weights, tokenizer, config] = ENCODER_FILES.map(|name| self.path(name));
            TextEncoder::load(&weights, &tokenizer, &config, DeviceKind::Cpu)
        }

        fn tensor(&self, name: &str) -> Vec<f64> {
            self.tensors[name].1.iter().map(|value| f64::from(*value)).collect()
        }

        /// Rows times the transposed weights, and the bias.
        fn linear(&self, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
            let (weights, bias) =
                (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
            let of_row = |row: &Vec<f64>| {
                let sums = weights.chunks(row.len()).zip(&bias);
                sums.map(|(w, bias)| bias + w.iter().zip(row).map(|(a, b)| a * b).sum::<f64>()).collect()
            };
            rows.iter().map(of_row).collect()
        }

        fn norm(&self, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
            let (weights, bias) =
                (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
            let of_row = |row: &Vec<f64>| {
                let mean = row.iter().sum::<f64>() / row.len() as f64;
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64;
                let scaled = row.iter().map(|v| (v - mean) / (variance + 1e-12).sqrt());
                scaled.zip(weights.iter().zip(&bias)).map(|(v, (w, b))| v * w + b).collect()
            };
            rows.iter().map(of_row).collect()
        }

        /// The vector of some tokens, written out in plain loops.
        fn vector(&self, tokens: &[usize]) -> Vec<f64> {
            let add = |a: &[Vec<f64>], b: &[Vec<f64>]| -> Vec<Vec<f64>> {
                a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
            };
            let table = |name: &str| self.tensor(&format!("embeddings.{name}_embeddings.weight"));
            let (words, places, segment) = (table("word"), table("position"), table("token_type"));
            let row = |(place, token): (usize, &usize)| -> Vec<f64> {
                (0..WIDTH)
                    .map(|i| words[token * WIDTH + i] + places[place * WIDTH + i] + segment[i])
                    .collect()
            };
            let rows: Vec<Vec<f64>> = tokens.iter().enumerate().map(row).collect();
            let hidden = self.norm("embeddings.LayerNorm", &rows);
            let layer = "encoder.layer.0";
            let part = |name: &str| self.linear(&format!("{layer}.attention.self.{name}"), &hidden);
            let (query, key, value) = (part("query"), part("key"), part("value"));
            let size = WIDTH / HEADS;
            let mut attended = vec![vec![0.0; WIDTH]; tokens.len()];
            for head in 0..HEADS {
                let of_head = head * size..(head + 1) * size;
                for (row, query) in query.iter().enumerate() {
                    let score = |key: &Vec<f64>| {
                        let product: f64 = of_head.clone().map(|i| query[i] * key[i]).sum();
                        (product / (size as f64).sqrt()).exp()
                    };
                    let scores: Vec<f64> = key.iter().map(score).collect();
                    let total: f64 = scores.iter().sum();
                    for (score, value) in scores.iter().zip(&value) {
                        of_head.clone().for_each(|i| attended[row][i] += score / total * value[i]);
                    }
                }
            }
            let attended = add(&self.linear(&format!("{layer}.attention.output.dense"), &attended), &hidden);
            let hidden = self.norm(&format!("{layer}.attention.output.LayerNorm"), &attended);
            let mut wide = self.linear(&format!("{layer}.intermediate.dense"), &hidden);
            for value in wide.iter_mut().flatten() {
                *value *= 0.5 * (1.0 + erf(*value / 2.0_f64.sqrt()));
            }
            let narrow = add(&self.linear(&format!("{layer}.output.dense"), &wide), &hidden);
            let hidden = self.norm(&format!("{layer}.output.LayerNorm"), &narrow);
            let mean: Vec<f64> = (0..WIDTH)
                .map(|i| hidden.iter().map(|row| row[i]).sum::<f64>() / tokens.len() as f64)
                .collect();
            let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
            mean.iter().map(|v| v / length).collect()
        }
    }

    /// The error function by its series.
    fn erf(x: f64) -> f64 {
        let (mut sum, mut term) = (x, x);
        for n in 1..60 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn vectors_are_those_of_plain_loops() {
        let toy = Toy::new("");
        let encoder = toy.load().unwrap();
        let texts = ["the cat sat", "sat", "", "the dog sat down on the cat"];
        let tokens: [&[usize]; 4] = [&[2, 4, 5, 6, 3], &[2, 6, 3], &[2, 3], &[2, 4, 1, 6, 7, 3]];
        let found = encoder.embed(&texts).unwrap();
        for ((text, tokens), found) in texts.iter().zip(tokens).zip(&found) {
            let truth = toy.vector(tokens);
            let furthest =
                found.iter().zip(&truth).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(furthest < 1e-5, "{text}: {furthest}");
        }
        assert_eq!(encoder.embedded(), 4);
        // Alone or among others, and with texts filled up to one length, as on a card.
        for (text, vector) in texts.iter().zip(&found) {
            assert_eq!(&encoder.embed(&[*text]).unwrap()[0], vector);
        }
        let together = encoder.vectors(&[&[2, 4, 5, 6, 3], &[2, 6, 3]]).unwrap();
        let furthest = together
            .iter()
            .flatten()
            .zip(found[..2].iter().flatten())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(furthest < 1e-5, "{furthest}");
    }

    #[test]
    fn names_with_a_prefix_and_wrong_files() {
        let toy = Toy::new("bert.");
        assert!(toy.load().is_ok());
        toy.write("config.json", &config("relu"));
        assert!(toy.load().unwrap_err().to_string().contains("activation `relu`"));
        toy.write("config.json", "{}");
        assert!(toy.load().unwrap_err().to_string().contains("no description of a BERT encoder"));
        toy.write("config.json", &config("gelu").replace("\"hidden_size\":8", "\"hidden_size\":16"));
        assert!(toy.load().unwrap_err().to_string().contains("model.safetensors"));
        toy.write("tokenizer.json", "[]");
        assert!(toy.load().unwrap_err().to_string().contains("is no tokenizer"));
    }
}
