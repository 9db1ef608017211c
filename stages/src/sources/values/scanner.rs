//! A deserializer of JSON that passes over what nobody asks for.
//!
//! Of the fields of a dump, a reader wants a few. The others are skipped by their quotes and braces, without a look at
//! what is inside them; that is three quarters of the bytes. Wherever a record is not plainly what it should be, the
//! scanner refuses it, and [`super::json::decode`] asks `serde_json`, which says what is wrong.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// The record is not plainly what was asked for.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no plain JSON")
    }
}

impl std::error::Error for Refused {}

impl Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Objects and lists that may stand in each other, as `serde_json` has it.
const MAX_DEPTH: u8 = 120;

/// Names of fields are shorter as a rule.
const LONGEST_NAME: usize = 32;

/// Goes through the bytes of one record.
pub(super) struct Scanner<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: u8,
}

type Result<T> = std::result::Result<T, Refused>;

impl<'de> Scanner<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// Nothing but blanks may follow the record.
    pub(super) fn end(mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(Refused) }
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<()> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(Refused)
        }
    }

    /// Passes over a string whose opening quote is next; gives what is between the quotes, and whether it has escapes.
    fn string(&mut self) -> Result<(&'de [u8], bool)> {
        let start = self.at + 1;
        let mut at = start;
        let mut has_escapes = false;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.bytes.get(at..).ok_or(Refused)?).ok_or(Refused)?;
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Ok((&self.bytes[start..at], has_escapes));
            }
            has_escapes = true;
            at += 2;
        }
    }

    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let start = self.at;
        let (inside, has_escapes) = self.string()?;
        if has_escapes {
            let text: String = serde_json::from_slice(&self.bytes[start..self.at]).map_err(|_| Refused)?;
            return visitor.visit_string(text);
        }
        // JSON has no raw control characters; without an early end the loop takes many bytes at once.
        if inside.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < 0x20 {
            return Err(Refused);
        }
        visitor.visit_borrowed_str(std::str::from_utf8(inside).map_err(|_| Refused)?)
    }

    /// A number or one of the three names.
    fn word(&mut self) -> &'de [u8] {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
        self.at += length;
        &rest[..length]
    }

    fn visit_word<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let word = self.word();
        match word {
            b"true" => return visitor.visit_bool(true),
            b"false" => return visitor.visit_bool(false),
            b"null" => return visitor.visit_unit(),
            _ => {}
        }
        // Up to 18 digits fit into the number type; one that begins with a zero is none.
        let is_plain = word.iter().all(u8::is_ascii_digit) && word.len() <= 18 && word.first() != Some(&b'0');
        if is_plain && !word.is_empty() {
            return visitor.visit_u64(word.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')));
        }
        let number: serde_json::Number = serde_json::from_slice(word).map_err(|_| Refused)?;
        if let Some(n) = number.as_u64() {
            visitor.visit_u64(n)
        } else if let Some(n) = number.as_i64() {
            visitor.visit_i64(n)
        } else {
            visitor.visit_f64(number.as_f64().ok_or(Refused)?)
        }
    }

    /// Passes over a value.
    fn skip(&mut self) -> Result<()> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{' | b'[') => self.skip_nested(),
            _ => match self.word() {
                [] => Err(Refused),
                b"true" | b"false" | b"null" => Ok(()),
                number if number[0].is_ascii_digit() || number[0] == b'-' => Ok(()),
                _ => Err(Refused),
            },
        }
    }

    fn skip_nested(&mut self) -> Result<()> {
        // Of everything that is open, innermost last, whether it is an object; the first bit marks the outermost.
        let mut open = 1_u64;
        loop {
            let byte = *self.bytes.get(self.at).ok_or(Refused)?;
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => {
                    if open.leading_zeros() == 0 {
                        return Err(Refused);
                    }
                    open = open << 1 | u64::from(byte == b'{');
                }
                b'}' | b']' => {
                    if (open & 1 == 1) != (byte == b'}') {
                        return Err(Refused);
                    }
                    open >>= 1;
                    if open == 1 {
                        self.at += 1;
                        return Ok(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refused);
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Scanner<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek() {
            Some(b'"') => self.visit_string(visitor),
            Some(b'{') => self.nested(|scanner| {
                let value = visitor.visit_map(Inside { scanner, first: true })?;
                scanner.expect(b'}')?;
                Ok(value)
            }),
            Some(b'[') => self.nested(|scanner| {
                let value = visitor.visit_seq(Inside { scanner, first: true })?;
                scanner.expect(b']')?;
                Ok(value)
            }),
            _ => self.visit_word(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.peek() == Some(b'n') {
            if self.word() == b"null" { visitor.visit_none() } else { Err(Refused) }
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let start = self.at;
        // Names are short: a plain loop finds their end before a search of many bytes at once has begun.
        let name = self.bytes.get(start + 1..).unwrap_or_default();
        let name = &name[..name.len().min(LONGEST_NAME)];
        if let Some(length) = name.iter().position(|byte| matches!(byte, b'"' | b'\\'))
            && name[length] == b'"'
        {
            self.at = start + length + 2;
            return visitor.visit_borrowed_bytes(&name[..length]);
        }
        let (inside, has_escapes) = self.string()?;
        if has_escapes {
            let text: String = serde_json::from_slice(&self.bytes[start..self.at]).map_err(|_| Refused)?;
            return visitor.visit_string(text);
        }
        visitor.visit_borrowed_bytes(inside)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum
    }
}

/// The fields of an object, or the elements of a list.
struct Inside<'s, 'de> {
    scanner: &'s mut Scanner<'de>,
    first: bool,
}

impl Inside<'_, '_> {
    /// Whether there is another one.
    fn next(&mut self, end: u8) -> Result<bool> {
        if self.scanner.peek() == Some(end) {
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            self.scanner.expect(b',')?;
        }
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for Inside<'_, 'de> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.next(b'}')? {
            return Ok(None);
        }
        if self.scanner.peek() != Some(b'"') {
            return Err(Refused);
        }
        seed.deserialize(&mut *self.scanner).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.scanner.expect(b':')?;
        seed.deserialize(&mut *self.scanner)
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.next(b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.scanner).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn scanned(json: &[u8]) -> Option<Value> {
        let mut scanner = Scanner::new(json);
        let value = Value::deserialize(&mut scanner).ok()?;
        scanner.end().ok()?;
        Some(value)
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1_000_000..1_000_000).prop_map(|n: i32| Value::from(f64::from(n) / 4.0)),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\é]{0,5}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_alike(value in any_json()) {
            prop_assert_eq!(scanned(value.to_string().as_bytes()), Some(value.clone()));
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(scanned(pretty.as_bytes()), Some(value));
        }

        #[test]
        fn whatever_is_read_is_what_serde_json_reads(
            value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(read) = scanned(&bytes) {
                prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).ok(), Some(read));
            }
        }
    }

    #[test]
    fn what_is_not_asked_for_is_skipped() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Wanted {
            a: u64,
        }
        for (json, is_read) in [
            (&br#"{"b":"\" } \\","c":[{"d":[1,"]"]}],"a":1,"e":-1.5e3,"f":null}"#[..], true),
            (b"{\"b\":\"\xff\",\"a\":1}", true),
            (b"{\"a\":1,\"b\":oops}", false),
            (b"{\"a\":1,\"b\":}", false),
            (b"{\"a\":1 \"b\":2}", false),
            (b"{\"a\":1,\"b\":\"x", false),
            (b"{\"a\":1}}", false),
            (b"{\"b\":{\"c\":[1}],\"a\":1}", false),
            (b"{\"b\":{\"c\":1],\"a\":1}", false),
            (b"{\"a\":01}", false),
            (b"{\"a\":1,}", false),
        ] {
            let mut scanner = Scanner::new(json);
            let read =
                Wanted::deserialize(&mut scanner).and_then(|wanted| scanner.end().map(|()| wanted)).ok();
            assert_eq!(read, is_read.then_some(Wanted { a: 1 }), "{}", String::from_utf8_lossy(json));
        }
        let deep = "[".repeat(100_000);
        assert_eq!(scanned(deep.as_bytes()), None);
    }
}
