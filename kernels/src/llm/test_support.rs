//! A toy vocabulary and a toy model for the tests of the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::quantized::gguf_file::Value;

use super::decoder::{Decoder, Logits, SequenceId, StepRow};
use super::grammar::GrammarMatcher;
use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// GGUF metadata of a byte-level vocabulary with a few merges and the marks of a chat model.
pub(crate) fn toy_metadata() -> HashMap<String, Value> {
    let mut tokens: Vec<String> =
        super::tokenizer::byte_characters().iter().map(ToString::to_string).collect();
    let merges = ["t h", "th e", "Ġ the", "Ġ \"", "\" :", "\" ,", "Ġ a", "a n", "i n", "c a", "ca t", "{ \""];
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let mut types = vec![1; tokens.len()];
    for mark in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] {
        tokens.push(mark.into());
        types.push(3);
    }
    let last = u32::try_from(tokens.len() - 1).unwrap();
    let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let value = |key: &str, value| (format!("tokenizer.ggml.{key}"), value);
    HashMap::from([
        value("model", Value::String("gpt2".into())),
        value("pre", Value::String("smollm".into())),
        value("tokens", texts(tokens)),
        value("merges", texts(merges.iter().map(ToString::to_string).collect())),
        value("token_type", Value::Array(types.into_iter().map(Value::I32).collect())),
        value("eos_token_id", Value::U32(last)),
    ])
}

pub(crate) fn toy_tokenizer() -> TextTokenizer {
    TextTokenizer::from_gguf(&toy_metadata()).unwrap()
}

/// The `SplitMix64` generator.
pub(crate) fn mix(state: u64) -> u64 {
    crate::mix::mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15))
}

/// A seeded random walk through a grammar.
pub(crate) struct Walk(u64);

impl Walk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The text of a walk to the end of the grammar; `None` when it took over `limit` tokens.
    pub(crate) fn run(
        &mut self,
        tokenizer: &TextTokenizer,
        matcher: &mut GrammarMatcher,
        limit: usize,
    ) -> Option<String> {
        let mut ids = Vec::new();
        loop {
            ids.extend(matcher.force().unwrap());
            if matcher.is_complete() {
                return Some(tokenizer.decode(&ids));
            }
            if ids.len() > limit {
                return None;
            }
            let allowed = matcher.mask().unwrap().to_list();
            assert!(!allowed.is_empty());
            self.0 = mix(self.0);
            let id = allowed[usize::try_from(self.0 % allowed.len() as u64).unwrap()];
            matcher.consume(id).unwrap();
            if tokenizer.eos_ids().contains(&id) {
                return Some(tokenizer.decode(&ids));
            }
            ids.push(id);
        }
    }
}

/// What a [`ToyDecoder`] has done, readable from outside.
#[derive(Debug, Default)]
pub(crate) struct ToyCounters {
    /// Tokens computed.
    pub(crate) tokens: AtomicUsize,
    /// Steps made.
    pub(crate) steps: AtomicUsize,
    /// Most tokens in a step.
    pub(crate) widest: AtomicUsize,
    /// Sequences open now.
    pub(crate) open: AtomicUsize,
}

/// A model whose logits are a hash of all tokens before, so that any mistake in what a sequence has been fed
/// changes its answer. It ends an answer about every twelfth token.
pub(crate) struct ToyDecoder {
    seed: u64,
    vocab_size: usize,
    context: usize,
    eos: u32,
    poison: Option<u32>,
    sequences: BTreeMap<SequenceId, Vec<u32>>,
    next: u64,
    counters: Arc<ToyCounters>,
}

impl ToyDecoder {
    pub(crate) fn new(seed: u64, tokenizer: &TextTokenizer) -> Self {
        Self {
            seed,
            // A few rows more than tokens, as real models have.
            vocab_size: tokenizer.vocab_size() + 5,
            context: 4096,
            eos: tokenizer.eos_ids()[0],
            poison: None,
            sequences: BTreeMap::new(),
            next: 0,
            counters: Arc::default(),
        }
    }

    pub(crate) fn with_context(self, context: usize) -> Self {
        Self { context, ..self }
    }

    /// Fails every step that has this token in it.
    pub(crate) fn with_poison(self, token: u32) -> Self {
        Self { poison: Some(token), ..self }
    }

    pub(crate) fn counters(&self) -> Arc<ToyCounters> {
        Arc::clone(&self.counters)
    }

    /// The logits after the given tokens.
    pub(crate) fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let state = tokens.iter().fold(self.seed, |state, &token| mix(state ^ u64::from(token)));
        let mut logits: Vec<f32> = (0..self.vocab_size as u64)
            .map(|id| (mix(state ^ (id << 32)) >> 40) as f32 / (1_u64 << 24) as f32 * 8.0 - 4.0)
            .collect();
        // Rows without a token must never be chosen by a model; here they never are.
        for logit in logits.iter_mut().rev().take(5) {
            *logit = -40.0;
        }
        logits[self.eos as usize] = if mix(state).is_multiple_of(12) { 12.0 } else { -12.0 };
        logits
    }
}

impl Decoder for ToyDecoder {
    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn context_length(&self) -> usize {
        self.context
    }

    fn open(&mut self, shared: Option<(SequenceId, usize)>) -> Result<SequenceId, KernelError> {
        let tokens = match shared {
            None => Vec::new(),
            Some((id, len)) => {
                let source = self.sequences.get(&id).and_then(|tokens| tokens.get(..len));
                source.ok_or_else(|| KernelError::Argument(format!("no {len} tokens in {id:?}")))?.to_vec()
            }
        };
        self.next += 1;
        let id = SequenceId(self.next);
        self.sequences.insert(id, tokens);
        self.counters.open.store(self.sequences.len(), Ordering::SeqCst);
        Ok(id)
    }

    fn close(&mut self, sequence: SequenceId) {
        self.sequences.remove(&sequence);
        self.counters.open.store(self.sequences.len(), Ordering::SeqCst);
    }

    fn len(&self, sequence: SequenceId) -> usize {
        self.sequences.get(&sequence).map_or(0, Vec::len)
    }

    fn step(&mut self, rows: &[StepRow]) -> Result<Vec<Vec<f32>>, KernelError> {
        for (at, row) in rows.iter().enumerate() {
            let known = self.sequences.get(&row.sequence);
            let known = known.ok_or_else(|| KernelError::Argument("unknown sequence".into()))?;
            let twice = rows[..at].iter().any(|other| other.sequence == row.sequence);
            let poisoned = row.tokens.iter().any(|&token| Some(token) == self.poison);
            if row.tokens.is_empty() || twice || known.len() + row.tokens.len() > self.context || poisoned {
                return Err(KernelError::Argument("a bad row".into()));
            }
        }
        let width = rows.iter().map(|row| row.tokens.len()).sum();
        self.counters.tokens.fetch_add(width, Ordering::SeqCst);
        self.counters.steps.fetch_add(1, Ordering::SeqCst);
        self.counters.widest.fetch_max(width, Ordering::SeqCst);
        let mut results = Vec::new();
        for row in rows {
            for (at, &token) in row.tokens.iter().enumerate() {
                self.sequences.get_mut(&row.sequence).unwrap().push(token);
                let last = at + 1 == row.tokens.len();
                if row.logits == Logits::All || (row.logits == Logits::Last && last) {
                    results.push(self.logits(&self.sequences[&row.sequence]));
                }
            }
        }
        Ok(results)
    }
}
