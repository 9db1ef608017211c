//! Tokens to text as they arrive.

use super::TextTokenizer;

/// Turns tokens into text one by one without ever cutting a character: bytes of an unfinished character are kept
/// until the rest has come.
#[derive(Debug, Clone, Default)]
pub struct TextDecoder {
    pending: Vec<u8>,
    text: String,
}

impl TextDecoder {
    /// A decoder with nothing pending.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text that a token completes; empty for special tokens and inside a character. Bytes that can no longer
    /// become a character turn into U+FFFD.
    pub fn push(&mut self, tokenizer: &TextTokenizer, id: u32) -> &str {
        self.text.clear();
        if tokenizer.is_special(id) {
            return &self.text;
        }
        self.pending.extend_from_slice(tokenizer.token_bytes(id));
        let mut used = 0;
        while let Some(rest) = self.pending.get(used..).filter(|rest| !rest.is_empty()) {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    self.text.push_str(valid);
                    used = self.pending.len();
                }
                Err(error) => {
                    self.text.push_str(&String::from_utf8_lossy(&rest[..error.valid_up_to()]));
                    used += error.valid_up_to();
                    match error.error_len() {
                        Some(length) => {
                            self.text.push('\u{FFFD}');
                            used += length;
                        }
                        None => break,
                    }
                }
            }
        }
        self.pending.drain(..used);
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::test_support::toy_tokenizer;

    #[test]
    fn characters_are_never_cut() {
        let tokenizer = toy_tokenizer();
        let text = "é 🍏 – the";
        let mut decoder = TextDecoder::new();
        let mut seen = String::new();
        for id in tokenizer.encode(text).unwrap() {
            let part = decoder.push(&tokenizer, id);
            assert!(!part.contains('\u{FFFD}'));
            seen.push_str(part);
            assert!(text.starts_with(&seen));
        }
        assert_eq!(seen, text);
    }

    #[test]
    fn broken_bytes_are_replaced_and_an_unfinished_end_is_left_out() {
        let tokenizer = toy_tokenizer();
        let ids = tokenizer.encode("🍏").unwrap();
        assert_eq!(ids.len(), 4);
        assert_eq!(tokenizer.decode(&ids[..3]), "");
        let letter = tokenizer.encode("x").unwrap()[0];
        assert_eq!(tokenizer.decode(&[ids[0], letter]), "\u{FFFD}x");
    }
}
