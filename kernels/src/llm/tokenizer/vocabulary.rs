//! The bytes behind token ids.

use std::collections::HashMap;

use tokenizers::Tokenizer;
use tokenizers::decoders::DecoderWrapper;

use crate::KernelError;

/// How the text of a token in a vocabulary spells its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Each character is one byte by GPT-2's table.
    ByteLevel,
    /// U+2581 is a space and `<0xAB>` is one byte.
    SentencePiece,
}

/// One entry of a vocabulary.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The token as the vocabulary spells it.
    pub(super) text: String,
    /// Whether the text is meant literally (added tokens) rather than by the [`Spelling`].
    pub(super) literal: bool,
    /// Whether the token is a mark of the model rather than text.
    pub(super) special: bool,
}

/// Bytes and kind of every token id.
#[derive(Debug)]
pub(super) struct Vocabulary {
    bytes: Vec<Vec<u8>>,
    special: Vec<bool>,
    special_ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// The vocabulary of entries in the order of their ids; `None` is an id without a token.
    pub(super) fn new(entries: &[Option<Entry>], spelling: Spelling) -> Self {
        let table = byte_of_character();
        let mut special_ids = HashMap::new();
        let mut bytes = Vec::with_capacity(entries.len());
        let mut special = Vec::with_capacity(entries.len());
        for (id, entry) in (0_u32..).zip(entries) {
            let Some(entry) = entry else {
                bytes.push(Vec::new());
                special.push(false);
                continue;
            };
            bytes.push(if entry.literal {
                entry.text.clone().into_bytes()
            } else {
                spelled_bytes(&entry.text, spelling, &table)
            });
            special.push(entry.special);
            if entry.special {
                special_ids.insert(entry.text.clone(), id);
            }
        }
        Self { bytes, special, special_ids }
    }

    /// The vocabulary of a loaded tokenizer, whose decoder tells the spelling.
    pub(super) fn of_tokenizer(tokenizer: &Tokenizer) -> Result<Self, KernelError> {
        let spelling = match tokenizer.get_decoder() {
            Some(DecoderWrapper::ByteLevel(_)) => Spelling::ByteLevel,
            Some(DecoderWrapper::Sequence(sequence)) => {
                let decoders = sequence.get_decoders();
                if decoders.iter().any(|d| matches!(d, DecoderWrapper::ByteLevel(_))) {
                    Spelling::ByteLevel
                } else if decoders.iter().any(|d| matches!(d, DecoderWrapper::ByteFallback(_)))
                    && !decoders.iter().any(|d| matches!(d, DecoderWrapper::Strip(_)))
                {
                    Spelling::SentencePiece
                } else {
                    return Err(unsupported_decoder());
                }
            }
            _ => return Err(unsupported_decoder()),
        };
        let ids = tokenizer.get_vocab(true);
        let size = ids.values().max().map_or(0, |&id| id as usize + 1);
        let added = tokenizer.get_added_tokens_decoder();
        let entries: Vec<Option<Entry>> = (0_u32..)
            .take(size)
            .map(|id| {
                let text = tokenizer.id_to_token(id)?;
                let token = added.get(&id);
                Some(Entry { text, literal: token.is_some(), special: token.is_some_and(|t| t.special) })
            })
            .collect();
        Ok(Self::new(&entries, spelling))
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }

    pub(super) fn special_id(&self, name: &str) -> Option<u32> {
        self.special_ids.get(name).copied()
    }

    /// Names of the special tokens in the order of their ids.
    pub(super) fn special_names(&self) -> impl Iterator<Item = &str> {
        self.bytes
            .iter()
            .zip(&self.special)
            .filter(|(_, special)| **special)
            .filter_map(|(bytes, _)| std::str::from_utf8(bytes).ok())
    }
}

fn unsupported_decoder() -> KernelError {
    KernelError::Tokenizer("only byte-level and byte-fallback tokenizers are supported".into())
}

fn spelled_bytes(text: &str, spelling: Spelling, table: &HashMap<char, u8>) -> Vec<u8> {
    match spelling {
        Spelling::ByteLevel => match text.chars().map(|c| table.get(&c).copied()).collect() {
            Some(bytes) => bytes,
            // Not in the table: an added token that the file does not mark as one.
            None => text.as_bytes().to_vec(),
        },
        Spelling::SentencePiece => {
            let byte = text
                .strip_prefix("<0x")
                .and_then(|rest| rest.strip_suffix('>'))
                .filter(|digits| digits.len() == 2)
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            match byte {
                Some(byte) => vec![byte],
                None => text.replace('\u{2581}', " ").into_bytes(),
            }
        }
    }
}

/// GPT-2's table: printable Latin-1 characters stand for themselves, the other bytes for U+0100 onwards in order.
pub(super) fn character_of_byte() -> [char; 256] {
    let mut next = 0x100_u32;
    std::array::from_fn(|byte| {
        let byte = u8::try_from(byte).unwrap_or_default();
        if matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) {
            char::from(byte)
        } else {
            let character = char::from_u32(next).unwrap_or(char::REPLACEMENT_CHARACTER);
            next += 1;
            character
        }
    })
}

fn byte_of_character() -> HashMap<char, u8> {
    character_of_byte().into_iter().zip(0_u8..=255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_table_is_the_tokenizers_own() {
        let ours = character_of_byte();
        let theirs = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        assert_eq!(theirs.len(), 256);
        assert!(ours.iter().all(|c| theirs.contains(c)));
        assert_eq!(ours[usize::from(b' ')], 'Ġ');
        assert_eq!(ours[usize::from(b'\n')], 'Ċ');
        assert_eq!(ours[usize::from(b'a')], 'a');
    }

    #[test]
    fn sentencepiece_spelling() {
        let table = byte_of_character();
        let bytes = |text| spelled_bytes(text, Spelling::SentencePiece, &table);
        assert_eq!(bytes("\u{2581}the"), b" the");
        assert_eq!(bytes("<0x0A>"), b"\n");
        assert_eq!(bytes("<0xZZ>"), b"<0xZZ>");
    }
}
