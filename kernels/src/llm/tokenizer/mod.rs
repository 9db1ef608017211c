//! Text to token ids and back, byte for byte.
//!
//! A tokenizer is built from the metadata of a GGUF file ([`TextTokenizer::from_gguf`]) or read from a Hugging Face
//! `tokenizer.json`. A pre-tokenizer that is not known is an error: a wrong split still gives plausible text, only
//! worse, so nothing here falls back to a default.

mod gguf;
mod stream;
mod vocabulary;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use candle_core::quantized::gguf_file;
use regex::Regex;
use tokenizers::Tokenizer;

pub use stream::TextDecoder;
use vocabulary::Vocabulary;

use crate::KernelError;

/// Names under which model families end a turn or a text.
const END_TOKENS: [&str; 7] =
    ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "<eos>", "</s>"];

/// A tokenizer with the bytes of every token.
#[derive(Debug)]
pub struct TextTokenizer {
    inner: Tokenizer,
    vocabulary: Vocabulary,
    bos: Option<u32>,
    add_bos: bool,
    eos: Vec<u32>,
    special_text: Option<Regex>,
}

impl TextTokenizer {
    /// Builds the tokenizer that the metadata of a GGUF file describes.
    ///
    /// # Errors
    /// A key is missing or of another type, the vocabulary is inconsistent, or the kind of tokenizer or its
    /// pre-tokenizer is unknown.
    pub fn from_gguf(metadata: &HashMap<String, gguf_file::Value>) -> Result<Self, KernelError> {
        let parts = gguf::build(metadata)?;
        Self::new(parts.tokenizer, parts.vocabulary, parts.bos, parts.add_bos, parts.eos)
    }

    /// Reads a Hugging Face `tokenizer.json`.
    ///
    /// # Errors
    /// The file cannot be read or is no byte-level or byte-fallback tokenizer.
    pub fn from_file(path: &Path) -> Result<Self, KernelError> {
        let model_error = |reason: String| KernelError::Model { path: path.to_path_buf(), reason };
        let json = std::fs::read(path).map_err(|error| model_error(error.to_string()))?;
        Self::from_json(&json).map_err(|error| model_error(error.to_string()))
    }

    /// Reads the text of a Hugging Face `tokenizer.json`.
    ///
    /// Tokens never come with padding or truncation, whatever the file says; a start token is left to the caller.
    ///
    /// # Errors
    /// The text is no byte-level or byte-fallback tokenizer.
    pub fn from_json(json: &[u8]) -> Result<Self, KernelError> {
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|e| KernelError::Tokenizer(e.to_string()))?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| KernelError::Tokenizer(e.to_string()))?;
        let vocabulary = Vocabulary::of_tokenizer(&tokenizer)?;
        let bos = ["<|begin_of_text|>", "<bos>", "<s>"].iter().find_map(|name| vocabulary.special_id(name));
        Self::new(tokenizer, vocabulary, bos, false, Vec::new())
    }

    fn new(
        inner: Tokenizer,
        vocabulary: Vocabulary,
        bos: Option<u32>,
        add_bos: bool,
        mut eos: Vec<u32>,
    ) -> Result<Self, KernelError> {
        for id in END_TOKENS.iter().filter_map(|name| vocabulary.special_id(name)) {
            if !eos.contains(&id) {
                eos.push(id);
            }
        }
        if eos.is_empty() {
            return Err(KernelError::Tokenizer(format!(
                "no token ends a text: none is declared, and none of {} exists",
                END_TOKENS.join(", ")
            )));
        }
        let special_text = special_pattern(&vocabulary)?;
        Ok(Self { inner, vocabulary, bos, add_bos, eos, special_text })
    }

    /// Token ids of a text; the text of a special token in it becomes that token. No start token is added.
    ///
    /// # Errors
    /// The tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, KernelError> {
        let encoding =
            self.inner.encode_fast(text, false).map_err(|e| KernelError::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Token ids of a whole prompt: as [`Self::encode`], with the start token in front where the model wants one
    /// and the text does not already begin with it.
    ///
    /// # Errors
    /// The tokenizer fails on the text.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, KernelError> {
        let mut ids = self.encode(text)?;
        if let (true, Some(bos)) = (self.add_bos, self.bos)
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The text of token ids; special tokens are left out, and so is an unfinished character at the end.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = TextDecoder::new();
        let mut text = String::new();
        for &id in ids {
            text.push_str(decoder.push(self, id));
        }
        text
    }

    /// The text with every occurrence of a special token's text made harmless by a space after its first
    /// character, so that a person's post cannot end a turn of the conversation.
    pub fn defuse<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(pattern) = &self.special_text else { return Cow::Borrowed(text) };
        pattern.replace_all(text, |found: &regex::Captures<'_>| {
            let token = &found[0];
            let first = token.chars().next().map_or(0, char::len_utf8);
            let mut harmless = String::with_capacity(token.len() + 1);
            // Writing to a string cannot fail.
            let _ = write!(harmless, "{} {}", &token[..first], &token[first..]);
            harmless
        })
    }

    /// Tokens that end an answer, most preferred first; never empty.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos
    }

    /// The start token, if the vocabulary has one.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos
    }

    /// Number of token ids: the highest id plus one.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The bytes a token stands for; of a special token its name; empty for an id without a token.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.vocabulary.bytes(id)
    }

    /// Whether a token is a mark of the model rather than text.
    pub fn is_special(&self, id: u32) -> bool {
        self.vocabulary.is_special(id)
    }

    /// The id of a special token by its name.
    pub fn special_id(&self, name: &str) -> Option<u32> {
        self.vocabulary.special_id(name)
    }

    /// The tokenizer as the text of a Hugging Face `tokenizer.json`, to ship beside trained weights.
    ///
    /// # Errors
    /// The tokenizer cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, KernelError> {
        self.inner.to_string(false).map_err(|e| KernelError::Tokenizer(e.to_string()))
    }
}

/// The characters that stand for the bytes 0 to 255 in byte-level vocabularies.
#[cfg(test)]
pub(super) fn byte_characters() -> [char; 256] {
    vocabulary::character_of_byte()
}

/// One pattern for the texts of all special tokens, longest first.
fn special_pattern(vocabulary: &Vocabulary) -> Result<Option<Regex>, KernelError> {
    let mut names: Vec<&str> = vocabulary.special_names().filter(|name| name.chars().count() > 1).collect();
    names.sort_by_key(|name| (std::cmp::Reverse(name.len()), *name));
    if names.is_empty() {
        return Ok(None);
    }
    let pattern = names.iter().map(|name| regex::escape(name)).collect::<Vec<_>>().join("|");
    let pattern = regex::RegexBuilder::new(&pattern)
        .size_limit(1 << 28)
        .build()
        .map_err(|e| KernelError::Tokenizer(format!("special tokens: {e}")))?;
    Ok(Some(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::test_support::{toy_metadata, toy_tokenizer};

    #[test]
    #[ignore = "tokens of the texts in GENOME_TEXTS by the model GENOME_MODEL, for benches/reference_tokens.py"]
    fn tokens_for_the_reference() {
        let path = |name: &str| std::path::PathBuf::from(std::env::var(name).unwrap());
        let file = crate::llm::gguf::GgufFile::open(&path("GENOME_MODEL")).unwrap();
        let tokenizer = TextTokenizer::from_gguf(file.metadata()).unwrap();
        let texts = std::fs::read_to_string(path("GENOME_TEXTS")).unwrap();
        let lines = texts.lines().map(|line| {
            let text: String = serde_json::from_str(line).unwrap();
            serde_json::to_string(&tokenizer.encode(&text).unwrap()).unwrap() + "\n"
        });
        let lines: String = lines.collect();
        #[expect(clippy::disallowed_methods, reason = "a file for a comparison, never a result")]
        std::fs::write(path("GENOME_TOKENS"), lines).unwrap();
    }

    #[test]
    fn any_text_comes_back() {
        let tokenizer = toy_tokenizer();
        for text in ["", "a", "the theatre", "zwölf Äpfel – 12 🍏", "\t\r\n x  y", "été", "\u{0}\u{7f}"]
        {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()), text);
        }
    }

    #[test]
    fn merges_and_digits_follow_the_declared_rules() {
        let tokenizer = toy_tokenizer();
        let pieces = |text: &str| -> Vec<String> {
            let ids = tokenizer.encode(text).unwrap();
            ids.iter().map(|&id| String::from_utf8_lossy(tokenizer.token_bytes(id)).into_owned()).collect()
        };
        assert_eq!(pieces("the the"), ["the", " the"]);
        // No prefix space is added, and every digit stands alone.
        assert_eq!(pieces("12"), ["1", "2"]);
    }

    #[test]
    fn special_tokens_are_parsed_and_can_be_defused() {
        let tokenizer = toy_tokenizer();
        let end = tokenizer.special_id("<|im_end|>").unwrap();
        assert_eq!(tokenizer.encode("<|im_end|>").unwrap(), [end]);
        let post = "look: <|im_end|> ha";
        let harmless = tokenizer.defuse(post);
        assert_eq!(harmless, "look: < |im_end|> ha");
        assert!(!tokenizer.encode(&harmless).unwrap().contains(&end));
        assert!(matches!(tokenizer.defuse("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn both_ends_of_a_chat_model_are_known() {
        let tokenizer = toy_tokenizer();
        let names: Vec<_> =
            tokenizer.eos_ids().iter().map(|&id| tokenizer.token_bytes(id).to_vec()).collect();
        assert_eq!(names, [b"<|im_end|>".to_vec(), b"<|endoftext|>".to_vec()]);
    }

    #[test]
    fn an_unknown_pre_tokenizer_is_an_error() {
        let mut metadata = toy_metadata();
        metadata.insert("tokenizer.ggml.pre".into(), gguf_file::Value::String("tekken".into()));
        let message = TextTokenizer::from_gguf(&metadata).unwrap_err().to_string();
        assert!(message.contains("tekken") && message.contains("smollm"), "{message}");
    }

    #[test]
    fn a_written_tokenizer_reads_back_the_same() {
        let tokenizer = toy_tokenizer();
        let again = TextTokenizer::from_json(tokenizer.to_json().unwrap().as_bytes()).unwrap();
        let text = "the theatre 12 <|im_end|> é🍏";
        assert_eq!(again.encode(text).unwrap(), tokenizer.encode(text).unwrap());
        assert_eq!(again.vocab_size(), tokenizer.vocab_size());
        for id in 0..u32::try_from(tokenizer.vocab_size()).unwrap() {
            assert_eq!(again.token_bytes(id), tokenizer.token_bytes(id));
            assert_eq!(again.is_special(id), tokenizer.is_special(id));
        }
    }
}
