//! Grammars that bind answers: compiled once, then one matcher a sequence.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::InferenceCapabilities;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::{SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use super::answer::AnswerForm;
use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// Most work spent on building the lexer of a grammar; quotations from long evidence need more than the default
/// million.
const LEXER_FUEL: u64 = 50_000_000;

/// What an answer may look like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Grammar {
    /// Anything, until the model ends it.
    #[default]
    Free,
    /// A grammar in llguidance's dialect of Lark.
    Lark(String),
    /// A form over some evidence: its grammar in Lark, and the form whose choices are decided by the likelihood of whole
    /// options.
    Form {
        /// What [`AnswerForm::grammar`] writes.
        lark: String,
        /// The form.
        form: Arc<AnswerForm>,
    },
    /// A JSON schema, as text; the answer is one line unless the schema's `x-guidance` says otherwise.
    JsonSchema(String),
}

/// Compiles grammars for one vocabulary.
pub struct GrammarCompiler {
    factory: ParserFactory,
}

impl std::fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrammarCompiler").finish_non_exhaustive()
    }
}

impl GrammarCompiler {
    /// A compiler for a tokenizer and a model with `vocab_size` rows of logits.
    ///
    /// # Errors
    /// The vocabulary is not usable, or the model has fewer rows than the tokenizer's end tokens need.
    pub fn new(tokenizer: Arc<TextTokenizer>, vocab_size: usize) -> Result<Self, KernelError> {
        let environment: TokEnv = Arc::new(VocabularyEnvironment::new(tokenizer, vocab_size)?);
        let mut factory = ParserFactory::new(
            &environment,
            InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() },
            &slices(),
        )
        .map_err(grammar_error)?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        limits.initial_lexer_fuel = LEXER_FUEL;
        Ok(Self { factory })
    }

    /// A matcher at the start of the grammar; `None` when everything is allowed.
    ///
    /// # Errors
    /// The grammar does not compile.
    pub fn compile(&self, grammar: &Grammar) -> Result<Option<GrammarMatcher>, KernelError> {
        let grammar = match grammar {
            Grammar::Free => return Ok(None),
            Grammar::Lark(lark) | Grammar::Form { lark, .. } => TopLevelGrammar::from_lark(lark.clone()),
            Grammar::JsonSchema(schema) => TopLevelGrammar::from_json_schema(one_line_schema(schema)?),
        };
        let parser = self.factory.create_parser(grammar).map_err(grammar_error)?;
        Ok(Some(GrammarMatcher(Matcher::new(Ok(parser)))))
    }
}

/// How far a sequence has come in its grammar.
pub struct GrammarMatcher(Matcher);

impl std::fmt::Debug for GrammarMatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrammarMatcher").field("complete", &self.is_complete()).finish()
    }
}

impl Clone for GrammarMatcher {
    /// A matcher at the same place that shares nothing with this one, so that neither changes what the other costs.
    fn clone(&self) -> Self {
        Self(self.0.deep_clone())
    }
}

impl GrammarMatcher {
    /// The tokens allowed next.
    ///
    /// # Errors
    /// The grammar is too complex at this place.
    pub fn mask(&mut self) -> Result<SimpleVob, KernelError> {
        self.0.compute_mask_or_eos().map_err(grammar_error)
    }

    /// Moves past a token.
    ///
    /// # Errors
    /// The token is not allowed.
    pub fn consume(&mut self, token: u32) -> Result<(), KernelError> {
        self.0.consume_token(token).map_err(grammar_error)
    }

    /// Moves past the tokens that are the only way on, and returns them.
    ///
    /// # Errors
    /// The grammar is too complex at this place.
    pub fn force(&mut self) -> Result<Vec<u32>, KernelError> {
        let tokens = self.0.compute_ff_tokens();
        if !tokens.is_empty() {
            self.0.consume_tokens(&tokens).map_err(grammar_error)?;
        }
        Ok(tokens)
    }

    /// Whether nothing more can follow.
    pub fn is_complete(&self) -> bool {
        self.0.is_stopped()
    }
}

/// Kinds of tokens whose place in a mask is worked out once: llguidance's own, and pieces of words, which most of
/// a free text consists of. Measured on 152 000 tokens, this halves the cost of a mask inside a text.
fn slices() -> Vec<String> {
    let mut slices = SlicedBiasComputer::general_slices();
    slices.push(r#"[^"\\\x00-\x20\x7F]{1,10}"#.to_owned());
    slices
}

/// Keeps a schema's answer on one line with fixed separators, where it does not say otherwise.
fn one_line_schema(schema: &str) -> Result<Value, KernelError> {
    let mut schema: Value =
        serde_json::from_str(schema).map_err(|error| KernelError::Grammar(error.to_string()))?;
    if let Some(object) = schema.as_object_mut() {
        let separators =
            json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
        object.entry("x-guidance").or_insert(separators);
    }
    Ok(schema)
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn grammar_error(error: impl ToString) -> KernelError {
    KernelError::Grammar(error.to_string())
}

/// The tokenizer as the grammar engine sees it.
struct VocabularyEnvironment {
    trie: TokTrie,
    tokenizer: Arc<TextTokenizer>,
}

impl VocabularyEnvironment {
    fn new(tokenizer: Arc<TextTokenizer>, vocab_size: usize) -> Result<Self, KernelError> {
        let rows = u32::try_from(vocab_size)
            .map_err(|_| KernelError::Argument("the vocabulary has over 2^32 tokens".into()))?;
        let eos: Vec<u32> = tokenizer.eos_ids().iter().copied().filter(|&id| id < rows).collect();
        let Some(&first) = eos.first() else {
            return Err(KernelError::Argument(format!(
                "the model has {rows} rows of logits, but the tokenizer's end tokens come after them"
            )));
        };
        let words: Vec<Vec<u8>> = (0..rows)
            .map(|id| {
                let bytes = tokenizer.token_bytes(id);
                if tokenizer.is_special(id) {
                    [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat()
                } else {
                    bytes.to_vec()
                }
            })
            .collect();
        let trie = TokTrie::from(&TokRxInfo::new(rows, first), &words).with_eos_tokens(&eos);
        Ok(Self { trie, tokenizer })
    }

    /// Whether the tokens are text alone, and spell this text byte for byte.
    fn spell(&self, ids: &[u32], text: &str) -> bool {
        let mut rest = text.as_bytes();
        for &id in ids {
            match rest.strip_prefix(self.tokenizer.token_bytes(id)) {
                Some(after) if !self.tokenizer.is_special(id) => rest = after,
                _ => return false,
            }
        }
        rest.is_empty()
    }
}

impl TokenizerEnv for VocabularyEnvironment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let plain = |text: &str| match self.tokenizer.encode(text) {
            Ok(ids) if self.spell(&ids, text) => ids,
            // The bytes are meant as they are: also where they spell a special token, and where the tokenizer would
            // write the same characters in another form (NFC).
            _ => self.trie.greedy_tokenize(text.as_bytes()),
        };
        self.trie.tokenize_with_greedy_fallback(bytes, plain)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::gguf_file;

    use super::*;
    use crate::llm::test_support::{Walk, toy_metadata, toy_tokenizer};

    fn compiler() -> (Arc<TextTokenizer>, GrammarCompiler) {
        let tokenizer = Arc::new(toy_tokenizer());
        // Models have more rows than their tokenizers have tokens.
        let compiler = GrammarCompiler::new(Arc::clone(&tokenizer), tokenizer.vocab_size() + 9).unwrap();
        (tokenizer, compiler)
    }

    #[test]
    fn what_is_certain_is_forced_and_the_rest_is_masked() {
        let (tokenizer, compiler) = compiler();
        let grammar = Grammar::Lark(r#"start: "the " ("cat" | "dog") "!""#.into());
        let mut matcher = compiler.compile(&grammar).unwrap().unwrap();
        let mut text = tokenizer.decode(&matcher.force().unwrap());
        assert!("the ".starts_with(&text) && !text.is_empty());
        while !matcher.is_complete() {
            let token = u32::try_from(matcher.mask().unwrap().first_bit_set().unwrap()).unwrap();
            matcher.consume(token).unwrap();
            text.push_str(&tokenizer.decode(&[token]));
            text.push_str(&tokenizer.decode(&matcher.force().unwrap()));
        }
        assert!(["the cat!", "the dog!"].contains(&text.as_str()), "{text}");
    }

    #[test]
    fn special_tokens_never_pass_for_text() {
        let (tokenizer, compiler) = compiler();
        let grammar = Grammar::Lark("start: /[^x]{1,8}/ \"x\"".into());
        let mut matcher = compiler.compile(&grammar).unwrap().unwrap();
        let mask = matcher.mask().unwrap();
        assert_eq!(mask.len(), tokenizer.vocab_size() + 9);
        mask.iter_set_entries(|id| {
            let id = u32::try_from(id).unwrap();
            assert!(!tokenizer.is_special(id) && !tokenizer.token_bytes(id).is_empty());
        });
        // Forced text that spells a special token is still text.
        let grammar = Grammar::Lark("start: \"a<|im_end|>b\"".into());
        let mut matcher = compiler.compile(&grammar).unwrap().unwrap();
        let text = Walk::new(1).run(&tokenizer, &mut matcher, 64).unwrap();
        assert_eq!(text, "a<|im_end|>b");
    }

    #[test]
    fn forced_text_stays_as_it_is_whatever_form_the_tokenizer_prefers() {
        let mut metadata = toy_metadata();
        metadata.insert("tokenizer.ggml.pre".into(), gguf_file::Value::String("qwen2".into()));
        let tokenizer = Arc::new(TextTokenizer::from_gguf(&metadata).unwrap());
        let compiler = GrammarCompiler::new(Arc::clone(&tokenizer), tokenizer.vocab_size()).unwrap();
        // An accent that is a character of its own, and the sign for ohm: the tokenizer makes letters of them.
        let text = "cafe\u{301} for 5 \u{2126}";
        assert_ne!(tokenizer.decode(&tokenizer.encode(text).unwrap()), text);
        let grammar = Grammar::Lark(format!("start: \"in the \" (\"{text}\" | \"no\") \"!\""));
        let prototype = compiler.compile(&grammar).unwrap().unwrap();
        let walks: Vec<String> = (0..16)
            .map(|seed| Walk::new(seed).run(&tokenizer, &mut prototype.clone(), 64).unwrap())
            .collect();
        let whole = format!("in the {text}!");
        assert!(walks.contains(&whole) && walks.iter().all(|walk| *walk == whole || walk == "in the no!"));
    }

    #[test]
    fn schemas_give_one_line() {
        let (tokenizer, compiler) = compiler();
        let schema = r#"{"type": "object", "properties": {"a": {"enum": ["x", "y"]}, "b": {"type": "boolean"}},
                         "required": ["a", "b"], "additionalProperties": false}"#;
        let prototype = compiler.compile(&Grammar::JsonSchema(schema.into())).unwrap().unwrap();
        for seed in 0..8 {
            let text = Walk::new(seed).run(&tokenizer, &mut prototype.clone(), 64).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(text.starts_with(r#"{"a": ""#) && text.contains(r#", "b": "#), "{text}");
            assert!(value["b"].is_boolean());
        }
    }

    #[test]
    fn a_broken_grammar_is_an_error() {
        let (_, compiler) = compiler();
        assert!(compiler.compile(&Grammar::Lark("start: missing".into())).is_err());
        assert!(compiler.compile(&Grammar::JsonSchema("{".into())).is_err());
        assert!(compiler.compile(&Grammar::Free).unwrap().is_none());
    }
}
