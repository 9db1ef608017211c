//! JSON records whose fields changed their types over the years.
//!
//! [`json_record!`] declares a record by the fields that are wanted. Every field is of one of the lenient types
//! of [`super::fields`], which take a number for a string and the reverse, and remember when a value had to be given up. Unknown
//! fields are skipped without being decoded; of a field that stands twice, the last one counts.

use serde::de::IgnoredAny;

use super::known_names::KnownNames;
use super::scanner::{FieldNames, Refused, Scanner};

/// A decoded record, and whether its bytes had to be repaired first.
pub(in crate::sources) struct Decoded<T> {
    pub(in crate::sources) record: T,
    pub(in crate::sources) lossy: bool,
}

/// Decodes the records of a file one after the other, faster where they are alike.
#[derive(Default)]
pub(in crate::sources) struct Decoder {
    names: KnownNames,
    /// The record at hand, if it had to be repaired.
    repaired: Vec<u8>,
}

impl Decoder {
    /// Decodes one JSON object, repaired if it has invalid UTF-8, lone surrogates or raw control characters.
    ///
    /// The error is the rule of a `malformed` row: `invalid_json`, `truncated`, `nul_bytes` or `not_a_record`.
    pub(in crate::sources) fn decode<'a, T: JsonRecord<'a>>(
        &'a mut self,
        bytes: &'a [u8],
    ) -> Result<Decoded<T>, &'static str> {
        if let Ok(record) = scan(bytes, &mut self.names) {
            return Ok(Decoded { record, lossy: false });
        }
        if bytes.iter().all(|b| *b == 0) {
            return Err("nul_bytes");
        }
        self.repaired = repair(bytes);
        if let Ok(record) = scan(&self.repaired, &mut self.names) {
            return Ok(Decoded { record, lossy: true });
        }
        if self.repaired.trim_ascii_start().starts_with(b"[") {
            return Err("not_a_record");
        }
        Err(match serde_json::from_slice::<IgnoredAny>(&self.repaired) {
            Ok(_) => "not_a_record",
            Err(error) if error.is_eof() => "truncated",
            Err(_) => "invalid_json",
        })
    }
}

fn scan<'a, T: JsonRecord<'a>>(bytes: &'a [u8], names: &mut KnownNames) -> Result<T, Refused> {
    let mut scanner = Scanner::new(bytes, std::mem::take(names));
    let record = T::read(&mut scanner).and_then(|record| scanner.end().map(|()| record));
    *names = scanner.into_names();
    record
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
pub(in crate::sources) trait JsonRecord<'a>: Default {
    /// The names of its fields.
    const NAMES: FieldNames;

    /// Reads the value of the field with this number.
    fn set(&mut self, field: usize, scanner: &mut Scanner<'a>) -> Result<(), Refused>;

    /// Fields whose value was of a type that they cannot hold.
    fn conflicts(&self) -> impl Iterator<Item = &'static str>;

    /// Whether there is any such field.
    fn has_conflict(&self) -> bool {
        self.conflicts().next().is_some()
    }

    /// Reads the object that is next.
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        let mut record = Self::default();
        scanner.fields(Self::NAMES, |scanner, field| record.set(field, scanner))?;
        Ok(record)
    }
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

        impl<$life> $crate::sources::values::json::JsonRecord<$life> for $name<$life> {
            const NAMES: $crate::sources::values::scanner::FieldNames = &[$(&[$first $(, $key)*]),*];

            fn set(
                &mut self,
                field: usize,
                scanner: &mut $crate::sources::values::scanner::Scanner<$life>,
            ) -> Result<(), $crate::sources::values::scanner::Refused> {
                #[expect(non_camel_case_types, reason = "places under the names of the fields")]
                enum Place {
                    $($field,)*
                }
                $(if field == Place::$field as usize {
                    self.$field = $crate::sources::values::fields::Field::read(scanner)?;
                    return Ok(());
                })*
                scanner.skip()
            }

            fn conflicts(&self) -> impl Iterator<Item = &'static str> {
                [$(($first, $crate::sources::values::fields::Field::is_conflict(&self.$field)),)*]
                    .into_iter()
                    .filter_map(|(field, conflict)| conflict.then_some(field))
            }
        }
    };
}
pub(in crate::sources) use json_record;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::values::fields::{Flag, List, Nested, Number, Text, Texts};

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
    json_record! {
        struct Outer<'a> {
            sample: Nested<Sample<'a>> = "sample",
            inners: List<Inner<'a>> = "inners",
        }
    }

    /// What a decoded sample shows, or the rule by which it is malformed.
    fn shown(json: &[u8]) -> String {
        match Decoder::default().decode::<Sample<'_>>(json) {
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
            ("[1", "not_a_record"),
            (r#"{"id":"a","score":1e999}"#, r#"Some("a") None None [] None !score"#),
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
    fn conflicts_of_an_object_are_told_of_its_field() {
        for (json, expected) in [
            (r#"{"sample":{"id":1,"score":"1.5","flag":null,"new":{}}}"#, ""),
            (r#"{"sample":{"score":"1.2K"}}"#, "sample"),
            (r#"{"sample":{"inner":{"name":{}}}}"#, "sample"),
            (r#"{"sample":{"inner":1}}"#, "sample"),
            (r#"{"inners":[{"name":"a"},{"name":2},{}]}"#, ""),
            (r#"{"inners":[{"name":"a"},{"name":[1]}]}"#, "inners"),
            (r#"{"inners":[{"name":"a"},1]}"#, "inners"),
            (r#"{"inners":{"name":{}}}"#, "inners"),
            (r#"{"inners":{"name":"a"},"sample":""}"#, ""),
            (r#"{"inners":{"name":{}},"sample":{"id":[]}}"#, "sample inners"),
        ] {
            let mut decoder = Decoder::default();
            let outer = decoder.decode::<Outer<'_>>(json.as_bytes()).unwrap().record;
            assert_eq!(outer.conflicts().collect::<Vec<_>>().join(" "), expected, "{json}");
            assert_eq!(outer.has_conflict(), !expected.is_empty(), "{json}");
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
