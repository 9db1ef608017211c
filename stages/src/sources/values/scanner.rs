//! A scanner of JSON that passes over what nobody asks for.
//!
//! Of the fields of a dump, a reader wants a few. The others are skipped by their quotes and braces, without a look at
//! what is inside them; that is three quarters of the bytes. The records of a file have their fields in one order, so
//! the name that comes next is compared with what came there before. Wherever a record is not plainly what it should be,
//! the scanner refuses it, and [`super::json::Decoder`] finds out what is wrong.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::known_names::KnownNames;

/// The record is not plainly what was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sources) struct Refused;

type Result<T> = std::result::Result<T, Refused>;

/// Names that a field of a record has in dumps, for all fields of the record.
pub(in crate::sources) type FieldNames = &'static [&'static [&'static str]];

/// Objects and lists that may stand in each other where they are read, as `serde_json` has it.
const MAX_DEPTH: u8 = 120;

/// What a value is. Objects and lists are still to be read or skipped.
#[derive(Debug, PartialEq)]
pub(in crate::sources) enum Token<'a> {
    Text(Cow<'a, str>),
    Number(Numeral),
    Flag(bool),
    Null,
    Object,
    List,
}

/// A number as it is written; infinite if it is too large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sources) enum Numeral {
    Unsigned(u64),
    Negative(i64),
    Float(f64),
}

/// Goes through the bytes of one record.
pub(in crate::sources) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u8,
    names: KnownNames,
}

impl<'a> Scanner<'a> {
    /// A scanner that expects the names of fields as the records before had them.
    pub(super) fn new(bytes: &'a [u8], names: KnownNames) -> Self {
        Self { bytes, at: 0, depth: 0, names: names.rewound() }
    }

    /// What it knows of names, for the next record.
    pub(super) fn into_names(self) -> KnownNames {
        self.names
    }

    /// Nothing but blanks may follow the record.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(Refused) }
    }

    /// The next byte that is not blank.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Result<()> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(Refused)
        }
    }

    /// The next value, or what it is.
    #[inline]
    pub(super) fn value(&mut self) -> Result<Token<'a>> {
        match self.peek() {
            Some(b'"') => self.text().map(Token::Text),
            Some(b'{') => Ok(Token::Object),
            Some(b'[') => Ok(Token::List),
            _ => match self.word() {
                b"true" => Ok(Token::Flag(true)),
                b"false" => Ok(Token::Flag(false)),
                b"null" => Ok(Token::Null),
                word => numeral(word).map(Token::Number),
            },
        }
    }

    /// Passes over a value.
    #[inline]
    pub(in crate::sources) fn skip(&mut self) -> Result<()> {
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

    /// Passes over a value; tells whether it is anything but null.
    pub(super) fn skip_something(&mut self) -> Result<bool> {
        let is_null = self.peek() == Some(b'n');
        self.skip()?;
        Ok(!is_null)
    }

    /// Gives each field of an object to `read`: its number among `fields`, or none, with the scanner before its value.
    pub(super) fn fields(
        &mut self,
        fields: FieldNames,
        mut read: impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        self.inside(b'{', b'}', |scanner| {
            if scanner.peek() != Some(b'"') {
                return Err(Refused);
            }
            let field = scanner.name(fields)?;
            scanner.expect(b':')?;
            match field {
                Some(field) => read(scanner, field),
                None => scanner.skip(),
            }
        })
    }

    /// Gives the scanner to `read` before each element of a list.
    pub(super) fn elements(&mut self, read: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.inside(b'[', b']', read)
    }

    fn inside(&mut self, open: u8, close: u8, mut read: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(open)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refused);
        }
        if self.peek() != Some(close) {
            read(self)?;
            while self.peek() == Some(b',') {
                self.at += 1;
                read(self)?;
            }
        }
        self.depth -= 1;
        self.expect(close)
    }

    /// Passes over the name of a field whose opening quote is next; gives the field's number among `fields`.
    #[inline]
    fn name(&mut self, fields: FieldNames) -> Result<Option<usize>> {
        let rest = &self.bytes[self.at..];
        if let Some((length, field)) = self.names.expected(fields, rest) {
            self.at += length;
            return Ok(field);
        }
        let start = self.at;
        let (name, has_escapes) = self.string()?;
        let number =
            |name: &[u8]| fields.iter().position(|names| names.iter().any(|known| known.as_bytes() == name));
        if has_escapes {
            return Ok(number(unescaped(name)?.as_bytes()));
        }
        let field = number(name);
        self.names.learn(fields, &self.bytes[start..self.at], field);
        Ok(field)
    }

    #[inline]
    fn text(&mut self) -> Result<Cow<'a, str>> {
        let (inside, has_escapes) = self.string()?;
        // JSON has no raw control characters; without an early end the loop takes many bytes at once.
        if inside.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < 0x20 {
            return Err(Refused);
        }
        if has_escapes {
            return unescaped(inside).map(Cow::Owned);
        }
        std::str::from_utf8(inside).map(Cow::Borrowed).map_err(|_| Refused)
    }

    /// Passes over a string whose opening quote is next; gives what is between the quotes, and whether it has escapes.
    #[inline]
    fn string(&mut self) -> Result<(&'a [u8], bool)> {
        let start = self.at + 1;
        let mut at = start;
        let mut has_escapes = false;
        loop {
            at += quote_or_backslash(self.bytes.get(at..).ok_or(Refused)?).ok_or(Refused)?;
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Ok((&self.bytes[start..at], has_escapes));
            }
            has_escapes = true;
            at += 2;
        }
    }

    /// A number or one of the three names.
    #[inline]
    fn word(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|byte| IN_WORDS[usize::from(**byte)]).count();
        self.at += length;
        &rest[..length]
    }

    fn skip_nested(&mut self) -> Result<()> {
        let start = self.at;
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
                        self.at = start;
                        return self.skip_deep();
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

    /// Passes over a value with more in each other than a word has bits.
    fn skip_deep(&mut self) -> Result<()> {
        let mut values =
            serde_json::Deserializer::from_slice(&self.bytes[self.at..]).into_iter::<IgnoredAny>();
        values.next().ok_or(Refused)?.map_err(|_| Refused)?;
        self.at += values.byte_offset();
        Ok(())
    }
}

/// Which bytes numbers and the three names are made of.
const IN_WORDS: [bool; 256] = {
    let mut is_in = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let character = byte as u8;
        is_in[byte] = character.is_ascii_alphanumeric() || matches!(character, b'+' | b'-' | b'.');
        byte += 1;
    }
    is_in
};

fn numeral(word: &[u8]) -> Result<Numeral> {
    // Up to 18 digits fit into the number type; one that begins with a zero is none.
    let is_plain = word.iter().all(u8::is_ascii_digit) && word.len() <= 18 && word.first() != Some(&b'0');
    if is_plain && !word.is_empty() {
        return Ok(Numeral::Unsigned(word.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))));
    }
    let Ok(number) = serde_json::from_slice::<serde_json::Number>(word) else {
        // One that is too large for a double is written as a number all the same.
        serde_json::from_slice::<IgnoredAny>(word).map_err(|_| Refused)?;
        return Ok(Numeral::Float(f64::INFINITY));
    };
    let whole = number.as_u64().map(Numeral::Unsigned).or_else(|| number.as_i64().map(Numeral::Negative));
    whole.or_else(|| number.as_f64().map(Numeral::Float)).ok_or(Refused)
}

/// What is between the quotes of a string with escapes.
fn unescaped(inside: &[u8]) -> Result<String> {
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let escape = *rest.get(at + 1).ok_or(Refused)?;
        rest = &rest[at + 2..];
        out.push(match escape {
            b'"' | b'\\' | b'/' => escape,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let character = unicode(&mut rest)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return Err(Refused),
        });
    }
    out.extend_from_slice(rest);
    String::from_utf8(out).map_err(|_| Refused)
}

/// The character of an escape behind its `\u`; of one beyond the first plane, both halves are taken.
fn unicode(rest: &mut &[u8]) -> Result<char> {
    let first = hex(rest)?;
    if let Some(character) = char::from_u32(first) {
        return Ok(character);
    }
    *rest = rest.strip_prefix(b"\\u").ok_or(Refused)?;
    let second = hex(rest)?;
    let is_pair = first < 0xdc00 && (0xdc00..0xe000).contains(&second);
    let character = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
    char::from_u32(character).filter(|_| is_pair).ok_or(Refused)
}

/// Takes four hexadecimal digits.
fn hex(rest: &mut &[u8]) -> Result<u32> {
    let (digits, behind) = rest.split_first_chunk::<4>().ok_or(Refused)?;
    *rest = behind;
    digits
        .iter()
        .try_fold(0, |number, digit| Ok(number * 16 + char::from(*digit).to_digit(16).ok_or(Refused)?))
}

/// Bytes that are looked through a word at a time, before a search of many bytes at once is begun.
const NEAR: usize = 32;

/// Where the first quote or backslash is.
#[inline]
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The lowest byte that is zero has its highest bit set; those above it may have it for no reason.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let near = &bytes[..bytes.len().min(NEAR)];
    let (words, _) = near.as_chunks();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let looked_through = words.len() * 8;
    Some(looked_through + memchr::memchr2(b'"', b'\\', &bytes[looked_through..])?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    /// Everything that stands in a value, read by the scanner.
    fn read(scanner: &mut Scanner<'_>) -> Result<Value> {
        Ok(match scanner.value()? {
            Token::Text(text) => Value::from(text.into_owned()),
            Token::Number(Numeral::Unsigned(n)) => n.into(),
            Token::Number(Numeral::Negative(n)) => n.into(),
            Token::Number(Numeral::Float(n)) => n.into(),
            Token::Flag(flag) => flag.into(),
            Token::Null => Value::Null,
            Token::List => {
                let mut list = Vec::new();
                scanner.elements(|scanner| {
                    list.push(read(scanner)?);
                    Ok(())
                })?;
                list.into()
            }
            Token::Object => {
                let mut object = Map::new();
                scanner.fields(&[&["a"], &["b", "c"]], |scanner, field| {
                    object.insert(field.to_string(), read(scanner)?);
                    Ok(())
                })?;
                object.into()
            }
        })
    }

    fn scanned(json: &[u8]) -> Option<Value> {
        let mut scanner = Scanner::new(json, KnownNames::default());
        let value = read(&mut scanner).ok()?;
        scanner.end().ok()?;
        Some(value)
    }

    /// What the scanner is to make of a value: of the fields of objects, those named.
    fn wanted(value: Value) -> Value {
        match value {
            Value::Array(list) => list.into_iter().map(wanted).collect(),
            Value::Object(object) => {
                let number = |name: &str| match name {
                    "a" => Some("0".to_owned()),
                    "b" | "c" => Some("1".to_owned()),
                    _ => None,
                };
                let fields =
                    object.into_iter().filter_map(|(name, value)| Some((number(&name)?, wanted(value))));
                Value::Object(fields.collect())
            }
            other => other,
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1_000_000..1_000_000).prop_map(|n: i32| Value::from(f64::from(n) / 4.0)),
            ".{0,40}".prop_map(Value::from),
            "[a\\\\\"/bfnrtu0-9é😀\u{1}]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-d\"\\\\é]{0,2}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_alike(value in any_json()) {
            let expected = Some(wanted(value.clone()));
            prop_assert_eq!(scanned(value.to_string().as_bytes()), expected.clone());
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(scanned(pretty.as_bytes()), expected);
        }

        #[test]
        fn whatever_is_read_is_what_serde_json_reads(
            value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            // What is skipped is not looked at, so it may be broken where `serde_json` finds it.
            if let (Some(read), Ok(value)) = (scanned(&bytes), serde_json::from_slice::<Value>(&bytes)) {
                prop_assert_eq!(wanted(value), read);
            }
        }

        #[test]
        fn what_is_wanted_is_read_only_if_it_is_json(
            text in ".{0,40}", number in any::<f64>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = serde_json::json!({ "a": [text, number], "c": number }).to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(read) = scanned(&bytes) {
                // A name that was hit is skipped with its value, and numbers can have become too large.
                let names = [r#""a":"#, r#""c":"#];
                let are_whole = std::str::from_utf8(&bytes).is_ok_and(|json| names.iter().all(|name| json.contains(name)));
                match serde_json::from_slice::<Value>(&bytes) {
                    Ok(value) => prop_assert_eq!(wanted(value), read),
                    Err(error) => prop_assert!(!are_whole || error.to_string().contains("out of range"), "{error}"),
                }
            }
        }

        #[test]
        fn names_that_were_met_before_change_nothing(values in prop::collection::vec(any_json(), 1..6)) {
            let mut names = KnownNames::default();
            for value in values {
                let json = value.to_string();
                let mut scanner = Scanner::new(json.as_bytes(), names);
                prop_assert_eq!(read(&mut scanner), Ok(wanted(value)));
                names = scanner.into_names();
            }
        }

        #[test]
        fn the_first_quote_or_backslash_is_found(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let slow = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(quote_or_backslash(&bytes), slow);
        }
    }

    #[test]
    fn what_is_not_asked_for_is_skipped() {
        for (json, is_read) in [
            (&br#"{"x":"\" } \\","y":[{"d":[1,"]"]}],"a":1,"e":-1.5e3,"f":null}"#[..], true),
            (b"{\"x\":\"\xff\",\"a\":1}", true),
            (b"{\"a\":1,\"x\":oops}", false),
            (b"{\"a\":1,\"x\":}", false),
            (b"{\"a\":1 \"x\":2}", false),
            (b"{\"a\":1,\"x\":\"x", false),
            (b"{\"a\":1}}", false),
            (b"{\"x\":{\"c\":[1}],\"a\":1}", false),
            (b"{\"x\":{\"c\":1],\"a\":1}", false),
            (b"{\"a\":01}", false),
            (b"{\"a\":1,}", false),
        ] {
            let expected = is_read.then(|| serde_json::json!({ "0": 1 }));
            assert_eq!(scanned(json), expected, "{}", String::from_utf8_lossy(json));
        }
        let deep = 100_000;
        assert_eq!(scanned("[".repeat(deep).as_bytes()), None);
        let skipped = format!("{{\"x\":{}{},\"a\":1}}", "[".repeat(deep), "]".repeat(deep));
        assert_eq!(scanned(skipped.as_bytes()), Some(serde_json::json!({ "0": 1 })));
    }
}
