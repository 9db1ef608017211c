//! JSON records whose fields changed their types over the years.
//!
//! [`json_record!`] declares a record by the fields that are wanted. Every field is of one of the lenient types
//! of [`super::fields`], which take a number for a string and the reverse, and remember when a value had to be given up. Unknown
//! fields are skipped without being decoded; of a field that stands twice, the last one counts.

use serde::de::Deserialize;

use super::scanner::Scanner;

/// A decoded record, and whether its bytes had to be repaired first.
pub(in crate::sources) struct Decoded<T> {
    pub(in crate::sources) record: T,
    pub(in crate::sources) lossy: bool,
}

/// Decodes one JSON object, repairing it into `scratch` if it has invalid UTF-8, lone surrogates or raw control
/// characters.
///
/// The error is the rule of a `malformed` row: `invalid_json`, `truncated` or `not_a_record`.
pub(in crate::sources) fn decode<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<Decoded<T>, &'static str> {
    let mut scanner = Scanner::new(bytes);
    if let Ok(record) = T::deserialize(&mut scanner)
        && scanner.end().is_ok()
    {
        return Ok(Decoded { record, lossy: false });
    }
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

/// A copy of `bytes` in which everything that `serde_json` refuses inside strings is replaced: invalid UTF-8 and
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

/// A record declared by [`json_record!`].
pub(in crate::sources) trait JsonRecord {
    /// Fields whose value was of a type that they cannot hold.
    fn conflicts(&self) -> impl Iterator<Item = &'static str>;
}

/// Declares a record: `struct Name<'a> { field: Type = "key" | "other key", … }`.
///
/// A record can be made from any JSON object, and lists its fields that had to be given up.
macro_rules! json_record {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident<$life:lifetime> {
        $($field:ident: $type:ty = $first:literal $(| $key:literal)*,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        $visibility struct $name<$life> {
            $($field: $type,)*
            marker: std::marker::PhantomData<&$life ()>,
        }

        impl<$life> $crate::sources::values::json::JsonRecord for $name<$life> {
            fn conflicts(&self) -> impl Iterator<Item = &'static str> {
                [$(($first, $crate::sources::values::fields::Field::is_conflict(&self.$field)),)*]
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
                        while let Some(key) =
                            map.next_key::<$crate::sources::values::fields::FieldName<'de>>()?
                        {
                            $(if key.is($first) $(|| key.is($key))* {
                                record.$field = map.next_value()?;
                                continue;
                            })*
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                        Ok(record)
                    }
                }

                deserializer.deserialize_map(RecordVisitor(std::marker::PhantomData))
            }
        }
    };
}
pub(in crate::sources) use json_record;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::values::fields::{Flag, Nested, Number, Text, Texts};

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
            (
                r#"{"list":["a",1,{"b":2}],"inner":{"name":"n"}}"#,
                r#"None None None ["a", "1"] Some(Some("n")) !list"#,
            ),
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
