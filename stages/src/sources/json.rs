//! JSON records whose fields changed their types over the years.
//!
//! [`json_record!`] declares a record by the fields that are wanted. Every field is of one of the lenient types
//! here, which take a number for a string and the reverse, and remember when a value had to be given up. Unknown
//! fields are skipped without being decoded; of a field that stands twice, the last one counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A decoded record, and whether its bytes had to be repaired first.
pub(super) struct Decoded<T> {
    pub(super) record: T,
    pub(super) lossy: bool,
}

/// Decodes one JSON object, repairing it into `scratch` if it has invalid UTF-8, lone surrogates or raw control
/// characters.
///
/// The error is the rule of a `malformed` row: `invalid_json`, `truncated` or `not_a_record`.
pub(super) fn decode<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<Decoded<T>, &'static str> {
    if let Ok(record) = serde_json::from_slice(bytes) {
        return Ok(Decoded { record, lossy: false });
    }
    if bytes.iter().all(|b| *b == 0) {
        return Err("nul_bytes");
    }
    *scratch = repair(bytes);
    match serde_json::from_slice(scratch) {
        Ok(record) => Ok(Decoded { record, lossy: true }),
        Err(error) if error.is_eof() => Err("truncated"),
        Err(error) if error.is_data() => Err("not_a_record"),
        Err(_) => Err("invalid_json"),
    }
}

/// A copy of `bytes` in which everything that serde_json refuses inside strings is replaced: invalid UTF-8 and
/// lone surrogate escapes by U+FFFD, raw control characters by a space.
fn repair(bytes: &[u8]) -> Vec<u8> {
    let mut out = String::from_utf8_lossy(bytes).into_owned().into_bytes();
    let mut at = 0;
    while at < out.len() {
        match out[at] {
            byte if byte < 0x20 => out[at] = b' ',
            b'\\' => {
                match surrogate(&out[at..]) {
                    Some(Surrogate::Pair) => at += 11,
                    Some(Surrogate::Lone) => {
                        out[at + 2..at + 6].copy_from_slice(b"fffd");
                        at += 5;
                    }
                    // Any escape has a second character that must not be taken for the start of another one.
                    None => at += 1,
                }
            }
            _ => {}
        }
        at += 1;
    }
    out
}

enum Surrogate {
    Pair,
    Lone,
}

fn surrogate(escape: &[u8]) -> Option<Surrogate> {
    let high = unicode_escape(escape)?;
    if !(0xd800..0xe000).contains(&high) {
        return None;
    }
    let low = escape.get(6..).and_then(unicode_escape);
    if high < 0xdc00 && low.is_some_and(|low| (0xdc00..0xe000).contains(&low)) {
        Some(Surrogate::Pair)
    } else {
        Some(Surrogate::Lone)
    }
}

fn unicode_escape(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A field of a record: it can be absent, null, a value, or a value that had to be given up.
pub(super) trait Field {
    /// Whether the dump had a value that this type cannot hold.
    fn is_conflict(&self) -> bool;
}

/// A string, or a number or boolean written out.
#[derive(Debug, Default)]
pub(super) struct Text<'a> {
    value: Option<Cow<'a, str>>,
    conflict: bool,
}

impl<'a> Text<'a> {
    pub(super) fn as_str(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// The value, if it is not empty.
    pub(super) fn filled(&self) -> Option<&str> {
        self.as_str().filter(|text| !text.is_empty())
    }

    pub(super) fn is_present(&self) -> bool {
        self.value.is_some()
    }

    fn of(value: impl Into<Cow<'a, str>>) -> Self {
        Self { value: Some(value.into()), conflict: false }
    }
}

/// A number, or a string that holds one.
#[derive(Debug, Default)]
pub(super) struct Number {
    value: Option<f64>,
    conflict: bool,
}

impl Number {
    pub(super) fn get(&self) -> Option<f64> {
        self.value
    }

    /// The value as a whole number, rounded towards zero.
    pub(super) fn int(&self) -> Option<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "counts and epochs, far inside i64; the cast saturates")]
        self.value.map(|v| v as i64)
    }

    fn of(value: f64) -> Self {
        Self { value: Some(value), conflict: false }
    }

    fn conflict() -> Self {
        Self { value: None, conflict: true }
    }
}

/// A boolean, or its name, or 0 and 1.
#[derive(Debug, Default)]
pub(super) struct Flag {
    value: Option<bool>,
    conflict: bool,
}

impl Flag {
    pub(super) fn get(&self) -> Option<bool> {
        self.value
    }
}

/// A list of strings, or a single one.
#[derive(Debug, Default)]
pub(super) struct Texts<'a> {
    values: Vec<Cow<'a, str>>,
    conflict: bool,
}

impl Texts<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(AsRef::as_ref)
    }
}

/// An object inside the record.
#[derive(Debug)]
pub(super) struct Nested<T> {
    value: Option<Box<T>>,
    conflict: bool,
}

impl<T> Default for Nested<T> {
    fn default() -> Self {
        Self { value: None, conflict: false }
    }
}

impl<T> Nested<T> {
    pub(super) fn get(&self) -> Option<&T> {
        self.value.as_deref()
    }

    pub(super) fn into_inner(self) -> Option<T> {
        self.value.map(|value| *value)
    }
}

macro_rules! conflict_flag {
    ($($type:ty),*) => { $(impl Field for $type {
        fn is_conflict(&self) -> bool {
            self.conflict
        }
    })* };
}
conflict_flag!(Text<'_>, Number, Flag, Texts<'_>);

impl<T> Field for Nested<T> {
    fn is_conflict(&self) -> bool {
        self.conflict
    }
}

/// The largest whole number up to which every one is exact in a double: identifiers beyond it are ruined.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }
    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Text<'de>, E> {
        Ok(Text::of(v))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Text<'de>, E> {
        Ok(Text::of(v.to_owned()))
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<Text<'de>, E> {
        Ok(Text::of(v.to_string()))
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Text<'de>, E> {
        Ok(Text::of(v.to_string()))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Text<'de>, E> {
        if v.abs() < MAX_EXACT { Ok(Text::of(v.to_string())) } else { Ok(Text { value: None, conflict: true }) }
    }
    fn visit_bool<E: Error>(self, v: bool) -> Result<Text<'de>, E> {
        Ok(Text::of(if v { "true" } else { "false" }))
    }
    fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text<'de>, A::Error> {
        skip_map(map)?;
        Ok(Text { value: None, conflict: true })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text<'de>, A::Error> {
        skip_seq(seq)?;
        Ok(Text { value: None, conflict: true })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<Number, E> {
        Ok(Number::of(v as f64))
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Number, E> {
        Ok(Number::of(v as f64))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Number, E> {
        Ok(Number::of(v))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Number, E> {
        Ok(match v.trim() {
            "" => Number::default(),
            text => text.parse().ok().filter(|v: &f64| v.is_finite()).map_or_else(Number::conflict, Number::of),
        })
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Number, E> {
        Ok(Number::conflict())
    }
    fn visit_unit<E: Error>(self) -> Result<Number, E> {
        Ok(Number::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Number, A::Error> {
        skip_map(map)?;
        Ok(Number::conflict())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Number, A::Error> {
        skip_seq(seq)?;
        Ok(Number::conflict())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let value = match text.as_str().map(str::trim) {
            Some("true" | "True" | "1") => Some(true),
            Some("false" | "False" | "0") => Some(false),
            _ => None,
        };
        let conflict = text.conflict || (value.is_none() && text.filled().is_some());
        Ok(Self { value, conflict })
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }
    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Texts<'de>, E> {
        Ok(Texts { values: vec![v.into()], conflict: false })
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Texts<'de>, E> {
        Ok(Texts { values: vec![v.to_owned().into()], conflict: false })
    }
    fn visit_unit<E: Error>(self) -> Result<Texts<'de>, E> {
        Ok(Texts::default())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Texts<'de>, E> {
        Ok(Texts { values: Vec::new(), conflict: true })
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Texts<'de>, E> {
        Ok(Texts { values: Vec::new(), conflict: true })
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Texts<'de>, E> {
        Ok(Texts { values: Vec::new(), conflict: true })
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Texts<'de>, E> {
        Ok(Texts { values: Vec::new(), conflict: true })
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Texts<'de>, A::Error> {
        skip_map(map)?;
        Ok(Texts { values: Vec::new(), conflict: true })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts<'de>, A::Error> {
        let mut texts = Texts::default();
        while let Some(text) = seq.next_element::<Text<'de>>()? {
            texts.conflict |= text.conflict;
            texts.values.extend(text.value);
        }
        Ok(texts)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct NestedVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NestedVisitor<T> {
    type Value = Nested<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_unit<E: Error>(self) -> Result<Nested<T>, E> {
        Ok(Nested::default())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Nested<T>, E> {
        Ok(Nested { value: None, conflict: true })
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Nested<T>, E> {
        Ok(Nested { value: None, conflict: true })
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Nested<T>, E> {
        Ok(Nested { value: None, conflict: true })
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Nested<T>, E> {
        Ok(Nested { value: None, conflict: true })
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Nested<T>, E> {
        Ok(Nested { value: None, conflict: !v.is_empty() })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Nested<T>, A::Error> {
        skip_seq(seq)?;
        Ok(Nested { value: None, conflict: true })
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Nested<T>, A::Error> {
        let value = T::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Nested { value: Some(Box::new(value)), conflict: false })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NestedVisitor(std::marker::PhantomData))
    }
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// A record declared by [`json_record!`].
pub(super) trait JsonRecord {
    /// Fields whose value was of a type that they cannot hold.
    fn conflicts(&self) -> impl Iterator<Item = &'static str>;
}

/// Declares a record: `struct Name<'a> { field: Type = "key" | "other key", … }`.
///
/// A record can be made from any JSON object, and lists its fields that had to be given up.
macro_rules! json_record {
    ($(#[$meta:meta])* struct $name:ident<$life:lifetime> {
        $($field:ident: $type:ty = $first:literal $(| $key:literal)*,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        struct $name<$life> {
            $($field: $type,)*
            marker: std::marker::PhantomData<&$life ()>,
        }

        impl<$life> $crate::sources::json::JsonRecord for $name<$life> {
            fn conflicts(&self) -> impl Iterator<Item = &'static str> {
                [$(($first, $crate::sources::json::Field::is_conflict(&self.$field)),)*]
                    .into_iter()
                    .filter_map(|(field, conflict)| conflict.then_some(field))
            }
        }

        impl<'de: $life, $life> serde::Deserialize<'de> for $name<$life> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct RecordVisitor<$life>(std::marker::PhantomData<&$life ()>);

                impl<'de: $life, $life> serde::de::Visitor<'de> for RecordVisitor<$life> {
                    type Value = $name<$life>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a JSON object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut record = $name::default();
                        while let Some(key) = map.next_key::<$crate::sources::json::Text<'de>>()? {
                            match key.as_str().unwrap_or_default() {
                                $($first $(| $key)* => record.$field = map.next_value()?,)*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(record)
                    }
                }

                deserializer.deserialize_map(RecordVisitor(std::marker::PhantomData))
            }
        }
    };
}
pub(super) use json_record;

#[cfg(test)]
mod tests {
    use super::*;

    json_record! {
        struct Sample<'a> {
            id: Text<'a> = "id" | "id_str",
            score: Number = "score",
            flag: Flag = "flag",
            list: Texts<'a> = "list",
            inner: Nested<Inner<'a>> = "inner",
        }
    }
    json_record! {
        struct Inner<'a> {
            name: Text<'a> = "name",
        }
    }

    /// What a decoded sample shows, or the rule by which it is malformed.
    fn shown(json: &[u8]) -> String {
        let mut scratch = Vec::new();
        match decode::<Sample<'_>>(json, &mut scratch) {
            Err(rule) => rule.to_owned(),
            Ok(Decoded { record, lossy }) => format!(
                "{:?} {:?} {:?} {:?} {:?}{}{}",
                record.id.as_str(),
                record.score.get(),
                record.flag.get(),
                record.list.iter().collect::<Vec<_>>(),
                record.inner.get().map(|inner| inner.name.as_str()),
                if lossy { " lossy" } else { "" },
                record.conflicts().fold(String::new(), |all, field| all + " !" + field),
            ),
        }
    }

    #[test]
    fn types_bend_and_conflicts_are_told() {
        for (json, expected) in [
            (r#"{"id":"a","score":1,"flag":true}"#, r#"Some("a") Some(1.0) Some(true) [] None"#),
            (r#"{"id":12,"score":"1.5","flag":"False"}"#, r#"Some("12") Some(1.5) Some(false) [] None"#),
            (r#"{"id":null,"score":null,"flag":null,"list":null,"inner":null}"#, "None None None [] None"),
            (r#"{"id":{"x":[1]},"score":false,"flag":"maybe"}"#, "None None None [] None !id !score !flag"),
            (r#"{"id":5.70306E+17,"score":"many"}"#, "None None None [] None !id !score"),
            (r#"{"id_str":"b","new":{"a":[{}]},"id":"c"}"#, r#"Some("c") None None [] None"#),
            (r#"{"list":["a",1,{"b":2}],"inner":{"name":"n"}}"#, r#"None None None ["a", "1"] Some(Some("n")) !list"#),
            (r#"{"list":"alone","inner":[1]}"#, r#"None None None ["alone"] None !inner"#),
            (r#"{"id":"tab\tand \/ \u00e9"}"#, r#"Some("tab\tand / é") None None [] None"#),
            ("{}", "None None None [] None"),
            ("[1]", "not_a_record"),
            ("17", "not_a_record"),
            (r#"{"id":"a","#, "truncated"),
            (r#"{"id":"a"#, "truncated"),
            (r#"{"id":"a"}}"#, "invalid_json"),
            ("hello", "invalid_json"),
            ("\0\0\0", "nul_bytes"),
        ] {
            assert_eq!(shown(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn broken_characters_are_replaced() {
        for (json, expected) in [
            (&b"{\"id\":\"a\xff\xfeb\"}"[..], "a\u{fffd}\u{fffd}b"),
            (br#"{"id":"a\ud83d!"}"#, "a\u{fffd}!"),
            (br#"{"id":"\ud83d\ud83d\ude00\ude00"}"#, "\u{fffd}😀\u{fffd}"),
            (br#"{"id":"\\ud83d\ud83d"}"#, "\\ud83d\u{fffd}"),
            (b"{\"id\":\"a\0b\"}", "a b"),
        ] {
            assert_eq!(shown(json), format!("Some({expected:?}) None None [] None lossy"), "{json:?}");
        }
        assert_eq!(shown(br#"{"id":"\ud83d\ude00"}"#), "Some(\"😀\") None None [] None");
        // In a field that nobody reads, nothing is lost.
        assert_eq!(shown(b"{\"other\":\"\xff \\ud83d\"}"), "None None None [] None");
    }
}
