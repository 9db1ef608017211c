//! JSON as the platforms' own exporters print it: key order, white space and escapes.

use std::io;

use anyhow::Context as _;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::ser::Formatter;

/// A JSON value whose keys stay in order.
#[derive(Debug, Clone)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
    /// An object whose keys are data.
    Table(Vec<(String, Json)>),
}

impl Json {
    /// A string.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number written as a string.
    pub(crate) fn digits(number: i64) -> Self {
        Self::Text(number.to_string())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Table(fields) => serializer.collect_map(fields.iter().map(|(key, value)| (key, value))),
        }
    }
}

/// Whose habits to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Python's `json.dumps`: `{"a": 1, "b": [2]}`, ASCII only.
    Python,
    /// Twitter's archives to 2019: objects over lines, lists in line, ASCII only, slashes and angle brackets escaped.
    Grailbird,
    /// Twitter's archives since: everything over lines, UTF-8.
    Ytd,
}

impl Dialect {
    /// The value as this dialect prints it.
    pub(crate) fn print(self, value: &Json) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        let printer = Printer { dialect: self, depth: 0, is_empty: true };
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, printer))?;
        String::from_utf8(bytes).context("JSON is UTF-8")
    }
}

struct Printer {
    dialect: Dialect,
    depth: usize,
    is_empty: bool,
}

impl Printer {
    fn new_line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Printer {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += usize::from(self.dialect == Dialect::Ytd);
        self.is_empty = true;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= usize::from(self.dialect == Dialect::Ytd);
        match self.dialect {
            Dialect::Python => {}
            Dialect::Ytd if !self.is_empty => self.new_line(writer)?,
            Dialect::Grailbird | Dialect::Ytd => writer.write_all(b" ")?,
        }
        self.is_empty = false;
        writer.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match (self.dialect, first) {
            (Dialect::Python, true) => Ok(()),
            (Dialect::Grailbird, true) => writer.write_all(b" "),
            (Dialect::Python | Dialect::Grailbird, false) => writer.write_all(b", "),
            (Dialect::Ytd, _) => {
                writer.write_all(if first { b"" } else { b"," })?;
                self.new_line(writer)
            }
        }
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.is_empty = false;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        match (self.dialect, self.is_empty) {
            (Dialect::Python, _) => {}
            (_, true) => writer.write_all(b" ")?,
            (_, false) => self.new_line(writer)?,
        }
        self.is_empty = false;
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if self.dialect == Dialect::Python {
            return writer.write_all(if first { b"" } else { b", " });
        }
        writer.write_all(if first { b"" } else { b"," })?;
        self.new_line(writer)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.dialect == Dialect::Python { b": " } else { b" : " })
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.is_empty = false;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.dialect == Dialect::Ytd {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for c in fragment.chars() {
            match (self.dialect, c) {
                (Dialect::Grailbird, '/') => writer.write_all(b"\\/")?,
                (Dialect::Grailbird, '<' | '>') => write!(writer, "\\u{:04X}", u32::from(c))?,
                _ if c.is_ascii() => write!(writer, "{c}")?,
                (Dialect::Grailbird, _) => {
                    c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04X}"))?;
                }
                _ => {
                    c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
                }
            }
        }
        Ok(())
    }
}
