//! From conversations to tokens: what can be known of a prompt without the model's weights.

use std::sync::Arc;

use super::chat::{ChatMessage, ChatTemplate};
use super::decoder::{ModelFiles, WeightFile};
use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// The tokenizer, the chat template and the context length of a model.
#[derive(Debug)]
pub struct Prompter {
    tokenizer: Arc<TextTokenizer>,
    chat: ChatTemplate,
    context: usize,
}

impl Prompter {
    /// A prompter of its parts; `context_length` is the most tokens of prompt and answer together.
    pub fn new(tokenizer: TextTokenizer, chat: ChatTemplate, context_length: usize) -> Self {
        Self { tokenizer: Arc::new(tokenizer), chat, context: context_length }
    }

    /// Reads it from a model's files. No weights are read.
    ///
    /// # Errors
    /// A file cannot be used, or its tokenizer or chat template is not supported.
    pub fn load(files: &ModelFiles) -> Result<Self, KernelError> {
        let (weights, config) = WeightFile::open(files)?;
        let tokenizer = match (&files.tokenizer, &weights) {
            (Some(path), _) => TextTokenizer::from_file(path)?,
            (None, WeightFile::Gguf(file)) => {
                TextTokenizer::from_gguf(file.metadata()).map_err(|error| file.error(error.to_string()))?
            }
            (None, WeightFile::Safetensors(file)) => {
                return Err(KernelError::Model {
                    path: file.path().to_path_buf(),
                    reason: "safetensors need their `tokenizer.json`".into(),
                });
            }
        };
        let chat = match (&files.chat, &weights) {
            (Some(path), _) => ChatTemplate::from_file(path, &tokenizer)?,
            (None, WeightFile::Gguf(file)) => ChatTemplate::from_gguf(file.metadata(), &tokenizer)
                .map_err(|error| file.error(error.to_string()))?,
            (None, WeightFile::Safetensors(_)) => ChatTemplate::chatml(&tokenizer)?,
        };
        Ok(Self::new(tokenizer, chat, config.context_length))
    }

    /// Tokens of a conversation as a prompt, and of the text that the answer begins with. What a person wrote cannot pass for
    /// the marks of the model.
    ///
    /// # Errors
    /// The chat template refuses it, or the tokenizer fails on it.
    pub fn prompt(&self, messages: &[ChatMessage], answer_prefix: &str) -> Result<Vec<u32>, KernelError> {
        let harmless: Vec<ChatMessage> = messages
            .iter()
            .map(|message| ChatMessage::new(&*message.role, self.tokenizer.defuse(&message.content)))
            .collect();
        let mut text = self.chat.render(&harmless, true)?;
        text.push_str(answer_prefix);
        self.tokenizer.encode_prompt(&text)
    }

    /// The same with another chat template.
    #[must_use]
    pub fn with_chat(&self, chat: ChatTemplate) -> Self {
        Self { tokenizer: Arc::clone(&self.tokenizer), chat, context: self.context }
    }

    /// Number of tokens of a text.
    ///
    /// # Errors
    /// The tokenizer fails on the text.
    pub fn count_tokens(&self, text: &str) -> Result<usize, KernelError> {
        Ok(self.tokenizer.encode(text)?.len())
    }

    /// Most tokens of prompt and answer together.
    pub fn context_length(&self) -> usize {
        self.context
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<TextTokenizer> {
        &self.tokenizer
    }

    /// The chat template.
    pub fn chat(&self) -> &ChatTemplate {
        &self.chat
    }
}
