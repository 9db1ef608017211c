//! The tokenizer that GGUF metadata describes.

use std::cmp::Reverse;
use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{NFC, Replace};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::vocabulary::{Entry, Spelling, Vocabulary};
use crate::KernelError;

/// Token types of the GGUF specification.
const TYPE_NORMAL: u32 = 1;
const TYPE_UNKNOWN: u32 = 2;
const TYPE_CONTROL: u32 = 3;
const TYPE_USER_DEFINED: u32 = 4;
const TYPE_UNUSED: u32 = 5;

/// The pre-tokenizer pattern of Qwen2's `tokenizer.json`.
const QWEN2_PATTERN: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// The pre-tokenizer pattern of Llama 3's `tokenizer.json`: as Qwen2's, with up to three digits together.
const LLAMA3_PATTERN: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// What the metadata gives.
pub(super) struct Parts {
    pub(super) tokenizer: Tokenizer,
    pub(super) vocabulary: Vocabulary,
    pub(super) bos: Option<u32>,
    pub(super) add_bos: bool,
    pub(super) eos: Vec<u32>,
}

/// Builds the tokenizer and the vocabulary.
pub(super) fn build(metadata: &HashMap<String, Value>) -> Result<Parts, KernelError> {
    let metadata = Metadata(metadata);
    let tokens = metadata.strings("tokens")?;
    let types = match metadata.get("token_type") {
        Some(value) => integers(value, "token_type")?,
        None => vec![TYPE_NORMAL; tokens.len()],
    };
    if types.len() != tokens.len() {
        return Err(bad(format!("{} tokens but {} token types", tokens.len(), types.len())));
    }
    let kind = metadata.string("model")?;
    let (mut tokenizer, spelling) = match kind.as_str() {
        "gpt2" => (byte_level(&metadata, &tokens)?, Spelling::ByteLevel),
        "llama" => (sentence_piece(&metadata, &tokens, &types)?, Spelling::SentencePiece),
        other => return Err(bad(format!("kind `{other}` is unknown; known are `gpt2` and `llama`"))),
    };
    let entries: Vec<Option<Entry>> = tokens
        .iter()
        .zip(&types)
        .map(|(text, &kind)| {
            // Fills the table up to a round number; its text means nothing.
            if kind == TYPE_UNUSED {
                return None;
            }
            let special = matches!(kind, TYPE_UNKNOWN | TYPE_CONTROL);
            let literal = special || kind == TYPE_USER_DEFINED;
            Some(Entry { text: text.clone(), literal, special })
        })
        .collect();
    let added = entries.iter().flatten().filter(|entry| entry.literal);
    let added = added.map(|entry| AddedToken::from(entry.text.clone(), entry.special).normalized(false));
    tokenizer.add_tokens(added).map_err(|e| bad(e.to_string()))?;

    let known = |id: u32| (id as usize) < tokens.len();
    let bos = metadata.id("bos_token_id")?.filter(|&id| known(id));
    let mut eos = Vec::new();
    for key in ["eos_token_id", "eot_token_id"] {
        if let Some(id) = metadata.id(key)?.filter(|&id| known(id))
            && !eos.contains(&id)
        {
            eos.push(id);
        }
    }
    let add_bos = match metadata.get("add_bos_token") {
        Some(value) => value.to_bool().map_err(|e| bad(e.to_string()))?,
        None => kind == "llama",
    };
    Ok(Parts { tokenizer, vocabulary: Vocabulary::new(&entries, spelling), bos, add_bos, eos })
}

/// Byte-level BPE with merges (kind `gpt2`).
fn byte_level(metadata: &Metadata<'_>, tokens: &[String]) -> Result<Tokenizer, KernelError> {
    let merges = metadata
        .strings("merges")?
        .into_iter()
        .map(|merge| match merge.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(bad(format!("merge `{merge}` has no space"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let pre = metadata.string("pre")?;
    let split = |pattern: &str| -> Result<PreTokenizerWrapper, KernelError> {
        let pattern = SplitPattern::Regex(pattern.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
        Ok(split.map_err(|e| bad(e.to_string()))?.into())
    };
    // The arguments of ByteLevel: prefix space, trimmed offsets, GPT-2's own pattern.
    let (steps, normalize, ignore_merges) = match pre.as_str() {
        "smollm" => (vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()], false, false),
        "gpt-2" => (vec![ByteLevel::new(false, true, true).into()], false, false),
        "qwen2" => (vec![split(QWEN2_PATTERN)?, ByteLevel::new(false, true, false).into()], true, false),
        "llama-bpe" | "llama3" | "llama-v3" => {
            (vec![split(LLAMA3_PATTERN)?, ByteLevel::new(false, true, false).into()], false, true)
        }
        other => {
            return Err(bad(format!(
                "pre-tokenizer `{other}` is unknown; known are `gpt-2`, `smollm`, `qwen2`, `llama-bpe`"
            )));
        }
    };
    let model = BPE::builder().vocab_and_merges(ids_of(tokens), merges).ignore_merges(ignore_merges);
    let mut tokenizer = Tokenizer::new(model.build().map_err(|e| bad(e.to_string()))?);
    tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(Sequence::new(steps))));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    if normalize {
        tokenizer.with_normalizer(Some(NFC)).map_err(|e| bad(e.to_string()))?;
    }
    Ok(tokenizer)
}

/// `SentencePiece` BPE (kind `llama`): scores instead of merges. A token of score s is the merge of any two tokens
/// that make it up, and the higher score merges first.
fn sentence_piece(
    metadata: &Metadata<'_>,
    tokens: &[String],
    types: &[u32],
) -> Result<Tokenizer, KernelError> {
    let add_prefix = match metadata.get("add_space_prefix") {
        Some(value) => value.to_bool().map_err(|e| bad(e.to_string()))?,
        None => true,
    };
    if add_prefix {
        return Err(bad("SentencePiece vocabularies with a prefix space are not supported".into()));
    }
    let scores = floats(metadata.required("scores")?, "scores")?;
    if scores.len() != tokens.len() {
        return Err(bad(format!("{} tokens but {} scores", tokens.len(), scores.len())));
    }
    let ids: HashMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
    let mut merges: Vec<(OrderedScore, u32, u32, u32)> = Vec::new();
    for (id, (token, score)) in (0_u32..).zip(tokens.iter().zip(&scores)) {
        for (at, _) in token.char_indices().skip(1) {
            if let (Some(&left), Some(&right)) = (ids.get(&token[..at]), ids.get(&token[at..])) {
                merges.push((OrderedScore(*score), id, left, right));
            }
        }
    }
    merges.sort_by_key(|&(score, id, left, right)| (Reverse(score), id, left, right));
    let text = |id: u32| tokens.get(id as usize).cloned().unwrap_or_default();
    let merges = merges.iter().map(|&(_, _, left, right)| (text(left), text(right))).collect();
    let mut model =
        BPE::builder().vocab_and_merges(ids_of(tokens), merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = types.iter().position(|&kind| kind == TYPE_UNKNOWN) {
        model = model.unk_token(tokens[unknown].clone());
    }
    let mut tokenizer = Tokenizer::new(model.build().map_err(|e| bad(e.to_string()))?);
    let normalizer = Replace::new(" ", "\u{2581}").map_err(|e| bad(e.to_string()))?;
    tokenizer.with_normalizer(Some(normalizer)).map_err(|e| bad(e.to_string()))?;
    let spaces = Replace::new("\u{2581}", " ").map_err(|e| bad(e.to_string()))?;
    let decoders = vec![spaces.into(), ByteFallback::new().into(), Fuse::new().into()];
    tokenizer.with_decoder(Some(DecoderSequence::new(decoders)));
    Ok(tokenizer)
}

fn ids_of(tokens: &[String]) -> tokenizers::models::bpe::Vocab {
    tokens.iter().cloned().zip(0..).collect()
}

/// A score in the order of `f32::total_cmp`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct OrderedScore(f32);

impl Eq for OrderedScore {}

impl PartialOrd for OrderedScore {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedScore {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The keys under `tokenizer.ggml.`.
struct Metadata<'m>(&'m HashMap<String, Value>);

impl Metadata<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(&format!("tokenizer.ggml.{key}"))
    }

    fn required(&self, key: &str) -> Result<&Value, KernelError> {
        self.get(key).ok_or_else(|| bad(format!("the model file lacks `tokenizer.ggml.{key}`")))
    }

    fn string(&self, key: &str) -> Result<String, KernelError> {
        let value = self.required(key)?.to_string();
        value.cloned().map_err(|_| bad(format!("`tokenizer.ggml.{key}` is no text")))
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, KernelError> {
        let wrong = |_| bad(format!("`tokenizer.ggml.{key}` is no list of texts"));
        let values = self.required(key)?.to_vec().map_err(wrong)?;
        values.iter().map(|value| value.to_string().cloned().map_err(wrong)).collect()
    }

    fn id(&self, key: &str) -> Result<Option<u32>, KernelError> {
        self.get(key).map(|value| integer(value, key)).transpose()
    }
}

fn integers(value: &Value, key: &str) -> Result<Vec<u32>, KernelError> {
    let values = value.to_vec().map_err(|_| bad(format!("`tokenizer.ggml.{key}` is no list")))?;
    values.iter().map(|value| integer(value, key)).collect()
}

fn integer(value: &Value, key: &str) -> Result<u32, KernelError> {
    let wide = match value {
        Value::I8(v) => i64::from(*v),
        Value::I16(v) => i64::from(*v),
        Value::I32(v) => i64::from(*v),
        Value::I64(v) => *v,
        other => other.to_u64().ok().and_then(|v| i64::try_from(v).ok()).unwrap_or(-1),
    };
    u32::try_from(wide).map_err(|_| bad(format!("`tokenizer.ggml.{key}` holds {value:?}, no token number")))
}

fn floats(value: &Value, key: &str) -> Result<Vec<f32>, KernelError> {
    let wrong = |_| bad(format!("`tokenizer.ggml.{key}` is no list of numbers"));
    value.to_vec().map_err(wrong)?.iter().map(|value| value.to_f32().map_err(wrong)).collect()
}

fn bad(message: String) -> KernelError {
    KernelError::Tokenizer(message)
}

#[cfg(test)]
mod tests {
    use super::super::TextTokenizer;
    use super::*;

    fn sentence_piece_metadata() -> HashMap<String, Value> {
        // The last is a filler.
        let words = ["<unk>", "<s>", "</s>", "\u{2581}", "a", "b", "ab", "\u{2581}ab", "bab", "[PAD9]"];
        let mut tokens: Vec<String> = words.iter().map(ToString::to_string).collect();
        let mut scores = vec![0.0, 0.0, 0.0, -9.0, -8.0, -7.0, -2.0, -3.0, -1.0, 0.0];
        let mut types = vec![2, 3, 3, 1, 1, 1, 1, 1, 1, 5];
        for byte in 0..=255_u8 {
            tokens.push(format!("<0x{byte:02X}>"));
            scores.push(0.0);
            types.push(6);
        }
        let value = |key: &str, value: Value| (format!("tokenizer.ggml.{key}"), value);
        HashMap::from([
            value("model", Value::String("llama".into())),
            value("tokens", Value::Array(tokens.into_iter().map(Value::String).collect())),
            value("scores", Value::Array(scores.into_iter().map(Value::F32).collect())),
            value("token_type", Value::Array(types.into_iter().map(Value::I32).collect())),
            value("add_space_prefix", Value::Bool(false)),
            value("bos_token_id", Value::U32(1)),
            value("eos_token_id", Value::U32(2)),
        ])
    }

    #[test]
    fn scores_decide_merges_and_unknown_characters_become_bytes() {
        let tokenizer = TextTokenizer::from_gguf(&sentence_piece_metadata()).unwrap();
        let pieces = |text: &str| -> Vec<Vec<u8>> {
            let ids = tokenizer.encode(text).unwrap();
            ids.iter().map(|&id| tokenizer.token_bytes(id).to_vec()).collect()
        };
        assert_eq!(pieces(" ab"), [b" ab".to_vec()]);
        // `bab` (-1) outranks `ab` (-2), but `b` + `ab` needs `ab` first: both are merges of known halves.
        assert_eq!(pieces("bab"), [b"bab".to_vec()]);
        assert_eq!(pieces("é"), [vec![0xC3], vec![0xA9]]);
        for text in ["ab ba bab", "é\n🍏", " "] {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()), text);
        }
        assert_eq!(tokenizer.token_bytes(9), b"");
        assert_eq!(tokenizer.encode_prompt("a").unwrap(), [1, 4]);
        assert_eq!(tokenizer.encode_prompt("<s>a").unwrap(), [1, 4]);
    }

    #[test]
    fn broken_metadata_is_an_error_that_names_the_key() {
        for key in ["model", "tokens", "scores"] {
            let mut metadata = sentence_piece_metadata();
            metadata.remove(&format!("tokenizer.ggml.{key}"));
            let message = TextTokenizer::from_gguf(&metadata).unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
        }
        let mut metadata = sentence_piece_metadata();
        metadata.insert("tokenizer.ggml.token_type".into(), Value::Array(vec![Value::I32(1)]));
        assert!(TextTokenizer::from_gguf(&metadata).is_err());
    }
}
