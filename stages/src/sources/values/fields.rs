//! Fields of JSON records that take what dumps put into them, and tell when a value had to be given up.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A field of a record: it can be absent, null, a value, or a value that had to be given up.
pub(in crate::sources) trait Field {
    /// Whether the dump had a value that this type cannot hold.
    fn is_conflict(&self) -> bool;
}

/// The name of a field, which is only compared and so need not be text.
pub(in crate::sources) struct FieldName<'a>(Cow<'a, [u8]>);

impl FieldName<'_> {
    pub(in crate::sources) fn is(&self, name: &str) -> bool {
        *self.0 == *name.as_bytes()
    }
}

struct FieldNameVisitor;

impl<'de> Visitor<'de> for FieldNameVisitor {
    type Value = FieldName<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }
    fn visit_borrowed_bytes<E: Error>(self, v: &'de [u8]) -> Result<FieldName<'de>, E> {
        Ok(FieldName(Cow::Borrowed(v)))
    }
    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<FieldName<'de>, E> {
        Ok(FieldName(Cow::Borrowed(v.as_bytes())))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<FieldName<'de>, E> {
        Ok(FieldName(Cow::Owned(v.as_bytes().to_vec())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for FieldName<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(FieldNameVisitor)
    }
}

/// A string, or a number or boolean written out.
#[derive(Debug, Default)]
pub(in crate::sources) struct Text<'a> {
    value: Option<Cow<'a, str>>,
    conflict: bool,
}

impl<'a> Text<'a> {
    pub(in crate::sources) fn as_str(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// The value, if it is not empty.
    pub(in crate::sources) fn filled(&self) -> Option<&str> {
        self.as_str().filter(|text| !text.is_empty())
    }

    pub(in crate::sources) fn is_present(&self) -> bool {
        self.value.is_some()
    }

    pub(in crate::sources) fn of(value: impl Into<Cow<'a, str>>) -> Self {
        Self { value: Some(value.into()), conflict: false }
    }
}

/// A number, or a string that holds one.
#[derive(Debug, Default)]
pub(in crate::sources) struct Number {
    value: Option<f64>,
    conflict: bool,
}

impl Number {
    pub(in crate::sources) fn get(&self) -> Option<f64> {
        self.value
    }

    /// The value as a whole number, rounded towards zero.
    pub(in crate::sources) fn int(&self) -> Option<i64> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "counts and epochs, far inside i64; the cast saturates"
        )]
        self.value.map(|v| v as i64)
    }

    /// The number that a text writes out; none for a blank one.
    pub(in crate::sources) fn parse(text: &str) -> Self {
        match text.trim() {
            "" => Self::default(),
            text => text.parse().ok().filter(|v: &f64| v.is_finite()).map_or_else(Self::conflict, Self::of),
        }
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
pub(in crate::sources) struct Flag {
    value: Option<bool>,
    conflict: bool,
}

impl Flag {
    pub(in crate::sources) fn get(&self) -> Option<bool> {
        self.value
    }

    /// The value that a text names.
    pub(in crate::sources) fn parse(text: &str) -> Self {
        let value = match text.trim() {
            "true" | "True" | "TRUE" | "1" | "Y" => Some(true),
            "false" | "False" | "FALSE" | "0" | "N" => Some(false),
            _ => None,
        };
        Self { value, conflict: value.is_none() && !text.trim().is_empty() }
    }
}

/// A list of strings, or a single one; of lists in lists, all strings.
#[derive(Debug, Default)]
pub(in crate::sources) struct Texts<'a> {
    values: Vec<Cow<'a, str>>,
    conflict: bool,
}

impl Texts<'_> {
    pub(in crate::sources) fn iter(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(AsRef::as_ref)
    }
}

/// An object inside the record.
#[derive(Debug)]
pub(in crate::sources) struct Nested<T> {
    value: Option<Box<T>>,
    conflict: bool,
}

impl<T> Default for Nested<T> {
    fn default() -> Self {
        Self { value: None, conflict: false }
    }
}

impl<T> Nested<T> {
    pub(in crate::sources) fn get(&self) -> Option<&T> {
        self.value.as_deref()
    }

    pub(in crate::sources) fn into_inner(self) -> Option<T> {
        self.value.map(|value| *value)
    }
}

/// Whether the record has the field at all; its value is not decoded.
#[derive(Debug, Default)]
pub(in crate::sources) struct Seen(bool);

impl Seen {
    pub(in crate::sources) fn is_there(&self) -> bool {
        self.0
    }
}

impl Field for Seen {
    fn is_conflict(&self) -> bool {
        false
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::<IgnoredAny>::deserialize(deserializer)?.is_some()))
    }
}

/// A list of objects, or a single one; what is no object in it is passed over.
#[derive(Debug)]
pub(in crate::sources) struct List<T> {
    values: Vec<T>,
    conflict: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { values: Vec::new(), conflict: false }
    }
}

impl<T> List<T> {
    pub(in crate::sources) fn as_slice(&self) -> &[T] {
        &self.values
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

impl<T> Field for List<T> {
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
        if v.abs() < MAX_EXACT {
            Ok(Text::of(v.to_string()))
        } else {
            Ok(Text { value: None, conflict: true })
        }
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
        Ok(Number::parse(v))
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
        let Self { value, conflict } = text.as_str().map_or_else(Self::default, Self::parse);
        Ok(Self { value, conflict: conflict || text.conflict })
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
    fn visit_u64<E: Error>(self, v: u64) -> Result<Texts<'de>, E> {
        Ok(Texts { values: vec![v.to_string().into()], conflict: false })
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Texts<'de>, E> {
        Ok(Texts { values: vec![v.to_string().into()], conflict: false })
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
        while let Some(more) = seq.next_element::<Texts<'de>>()? {
            texts.conflict |= more.conflict;
            texts.values.extend(more.values);
        }
        Ok(texts)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct NestedVisitor<T>(PhantomData<T>);

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
        let value = T::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Nested { value: Some(Box::new(value)), conflict: false })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NestedVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }
    fn visit_unit<E: Error>(self) -> Result<List<T>, E> {
        Ok(List::default())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<List<T>, E> {
        Ok(List { values: Vec::new(), conflict: true })
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<List<T>, E> {
        Ok(List { values: Vec::new(), conflict: true })
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<List<T>, E> {
        Ok(List { values: Vec::new(), conflict: true })
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<List<T>, E> {
        Ok(List { values: Vec::new(), conflict: true })
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<List<T>, E> {
        Ok(List { values: Vec::new(), conflict: !v.is_empty() })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
        let mut list = List::default();
        while let Some(mut element) = seq.next_element::<Nested<T>>()? {
            list.conflict |= element.conflict;
            list.values.extend(element.value.take().map(|value| *value));
        }
        Ok(list)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<List<T>, A::Error> {
        let value = T::deserialize(MapAccessDeserializer::new(map))?;
        Ok(List { values: vec![value], conflict: false })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
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
