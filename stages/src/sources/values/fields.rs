//! Fields of JSON records that take what dumps put into them, and tell when a value had to be given up.

use std::borrow::Cow;

use super::json::JsonRecord;
use super::scanner::{Numeral, Refused, Scanner, Token};
use super::time::table_time;

/// A field of a record: it can be absent, null, a value, or a value that had to be given up.
pub(in crate::sources) trait Field<'a>: Sized {
    /// Reads the value that is next.
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused>;

    /// Whether the dump had a value that this type cannot hold.
    fn is_conflict(&self) -> bool;
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

    fn from_numeral(numeral: Numeral) -> Self {
        match numeral {
            Numeral::Unsigned(n) => Self::of(n as f64),
            Numeral::Negative(n) => Self::of(n as f64),
            Numeral::Float(n) if n.is_finite() => Self::of(n),
            Numeral::Float(_) => Self::conflict(),
        }
    }

    fn conflict() -> Self {
        Self { value: None, conflict: true }
    }

    /// Reads the value that is next: a number, or what `parse` makes of a text.
    #[inline]
    fn read_with(scanner: &mut Scanner<'_>, parse: impl FnOnce(&str) -> Self) -> Result<Self, Refused> {
        Ok(match scanner.value()? {
            Token::Number(n) => Self::from_numeral(n),
            Token::Text(text) => parse(&text),
            Token::Null => Self::default(),
            Token::Flag(_) => Self::conflict(),
            Token::Object | Token::List => {
                scanner.skip()?;
                Self::conflict()
            }
        })
    }
}

/// A time: seconds since 1970 or a unit that its size tells, or a date and time written out.
#[derive(Debug, Default)]
pub(in crate::sources) struct Epoch(Number);

impl Epoch {
    /// The number that stands there; seconds of a time that is written out.
    pub(in crate::sources) fn get(&self) -> Option<f64> {
        self.0.get()
    }

    /// The value as a whole number, rounded towards zero.
    pub(in crate::sources) fn int(&self) -> Option<i64> {
        self.0.int()
    }

    /// The time that a text writes out, as a number or as a date; none for a blank one.
    fn parse(text: &str) -> Number {
        let number = Number::parse(text);
        let written = if number.conflict { table_time(text, None) } else { None };
        written.map_or(number, |micros| Number::of(micros as f64 / 1e6))
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

/// An object inside the record. It is a conflict as well if a field of its own had to be given up.
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

/// A list of objects, or a single one; what is no object in it is passed over. It is a conflict as well if one of them
/// had to give up a field of its own.
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

impl<'a> Field<'a> for Text<'a> {
    #[inline]
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        Ok(match scanner.value()? {
            Token::Text(text) => Self::of(text),
            Token::Number(Numeral::Unsigned(n)) => Self::of(n.to_string()),
            Token::Number(Numeral::Negative(n)) => Self::of(n.to_string()),
            Token::Number(Numeral::Float(n)) if n.abs() < MAX_EXACT => Self::of(n.to_string()),
            Token::Number(Numeral::Float(_)) => Self { value: None, conflict: true },
            Token::Flag(flag) => Self::of(if flag { "true" } else { "false" }),
            Token::Null => Self::default(),
            Token::Object | Token::List => {
                scanner.skip()?;
                Self { value: None, conflict: true }
            }
        })
    }

    fn is_conflict(&self) -> bool {
        self.conflict
    }
}

/// The largest whole number up to which every one is exact in a double: identifiers beyond it are ruined.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl<'a> Field<'a> for Number {
    #[inline]
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        Self::read_with(scanner, Self::parse)
    }

    fn is_conflict(&self) -> bool {
        self.conflict
    }
}

impl<'a> Field<'a> for Epoch {
    #[inline]
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        Number::read_with(scanner, Self::parse).map(Self)
    }

    fn is_conflict(&self) -> bool {
        self.0.conflict
    }
}

impl<'a> Field<'a> for Flag {
    #[inline]
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        let text = Text::read(scanner)?;
        let Self { value, conflict } = text.as_str().map_or_else(Self::default, Self::parse);
        Ok(Self { value, conflict: conflict || text.conflict })
    }

    fn is_conflict(&self) -> bool {
        self.conflict
    }
}

impl<'a> Field<'a> for Texts<'a> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        let one = |text: Cow<'a, str>| Self { values: vec![text], conflict: false };
        Ok(match scanner.value()? {
            Token::Text(text) => one(text),
            Token::Number(Numeral::Unsigned(n)) => one(n.to_string().into()),
            Token::Number(Numeral::Negative(n)) => one(n.to_string().into()),
            Token::Null => Self::default(),
            Token::Number(Numeral::Float(_)) | Token::Flag(_) => Self { values: Vec::new(), conflict: true },
            Token::Object => {
                scanner.skip()?;
                Self { values: Vec::new(), conflict: true }
            }
            Token::List => {
                let mut texts = Self::default();
                scanner.elements(|scanner| {
                    let more = Self::read(scanner)?;
                    texts.conflict |= more.conflict;
                    texts.values.extend(more.values);
                    Ok(())
                })?;
                texts
            }
        })
    }

    fn is_conflict(&self) -> bool {
        self.conflict
    }
}

impl<'a, T: JsonRecord<'a>> Field<'a> for Nested<T> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        let conflict = match scanner.value()? {
            Token::Object => {
                let record = T::read(scanner)?;
                let conflict = record.has_conflict();
                return Ok(Self { value: Some(Box::new(record)), conflict });
            }
            Token::Null => false,
            Token::Text(text) => !text.is_empty(),
            Token::Flag(_) | Token::Number(_) => true,
            Token::List => {
                scanner.skip()?;
                true
            }
        };
        Ok(Self { value: None, conflict })
    }

    fn is_conflict(&self) -> bool {
        self.conflict
    }
}

impl<'a> Field<'a> for Seen {
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        scanner.skip_something().map(Self)
    }

    fn is_conflict(&self) -> bool {
        false
    }
}

impl<'a, T: JsonRecord<'a>> Field<'a> for List<T> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Refused> {
        let conflict = match scanner.value()? {
            Token::Object => {
                let record = T::read(scanner)?;
                let conflict = record.has_conflict();
                return Ok(Self { values: vec![record], conflict });
            }
            Token::List => {
                let mut list = Self::default();
                scanner.elements(|scanner| {
                    let element = Nested::<T>::read(scanner)?;
                    list.conflict |= element.conflict;
                    list.values.extend(element.into_inner());
                    Ok(())
                })?;
                return Ok(list);
            }
            Token::Null => false,
            Token::Text(text) => !text.is_empty(),
            Token::Flag(_) | Token::Number(_) => true,
        };
        Ok(Self { values: Vec::new(), conflict })
    }

    fn is_conflict(&self) -> bool {
        self.conflict
    }
}
