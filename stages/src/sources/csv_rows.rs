//! Tables with a header: values separated by commas or tabs.

use std::borrow::Cow;
use std::cell::Cell;
use std::io;

use csv::{ByteRecord, ReaderBuilder};

use super::bytes::read_ahead::ReadAhead;
use super::config::Format;
use super::output::{Output, Read};
use super::values::encoding::decode;

/// One row of a table.
pub(super) struct CsvRow<'r> {
    header: &'r [String],
    record: &'r ByteRecord,
    /// Whether the encoding of a value had to be guessed.
    guessed: Cell<bool>,
}

impl CsvRow<'_> {
    /// The value under the first of `columns` that the table has, unless it is empty. Values that are not UTF-8 are
    /// read in the encoding that their bytes speak for, as a rule Windows-1252.
    pub(super) fn get(&self, columns: &[&str]) -> Option<Cow<'_, str>> {
        let index = columns
            .iter()
            .find_map(|name| self.header.iter().position(|column| column.eq_ignore_ascii_case(name)))?;
        let bytes = self.record.get(index).filter(|bytes| !bytes.is_empty())?;
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Some(Cow::Borrowed(text));
        }
        self.guessed.set(true);
        Some(decode(bytes))
    }

    /// The names of the columns.
    pub(super) fn header(&self) -> &[String] {
        self.header
    }

    /// Whether a value that was asked for is not UTF-8.
    pub(super) fn is_guessed(&self) -> bool {
        self.guessed.get()
    }
}

/// Gives every row of a table to `read`, with its offset in bytes.
///
/// Commas separate values as RFC 4180 has it, so that a quoted value can hold line ends; tabs separate values without
/// quotes. Where that does not give as many values as the header has, because a quote is missing or too many, the
/// first line of the row is read by itself; if it does not fit either, it is `malformed` by rule `wrong_columns`, and
/// reading goes on behind it. So a broken quote costs no row but its own. Such rows before the first one that fits are
/// told after it, so that `read` can name the file by it.
pub(super) fn each_csv_row(
    out: &mut Output<'_>,
    stream: impl io::Read,
    format: Format,
    mut read: impl FnMut(&mut Output<'_>, &CsvRow<'_>, u64) -> Read,
) -> Read {
    let syntax = if format == Format::Tsv { Syntax::Tabs } else { Syntax::Commas };
    let mut rows = Rows { source: ReadAhead::new(stream), syntax, limit: out.options().max_line_bytes };
    let mut early = Early::default();
    let result = each_row(out, &mut rows, &mut early, &mut read);
    out.read_bytes(rows.source.offset());
    let ended_by = result?;
    early.tell(out)?;
    match ended_by {
        None => Ok(()),
        Some(error) => out.broken(rows.source.offset(), &error),
    }
}

/// Gives the rows; tells what ended the stream early.
fn each_row<R: io::Read>(
    out: &mut Output<'_>,
    rows: &mut Rows<R>,
    early: &mut Early,
    read: &mut impl FnMut(&mut Output<'_>, &CsvRow<'_>, u64) -> Read,
) -> Read<Option<io::Error>> {
    let mut record = ByteRecord::new();
    let header: Vec<String> = match rows.find() {
        Err(error) => return Ok(Some(error)),
        Ok(None) => return Ok(None),
        Ok(Some(found)) => {
            let length = found.row.unwrap_or(found.line);
            let (bytes, _) = rows.source.take(length);
            rows.syntax.split(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), &mut record);
            record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect()
        }
    };
    loop {
        let found = match rows.find() {
            Err(error) => return Ok(Some(error)),
            Ok(None) => return Ok(None),
            Ok(Some(found)) => found,
        };
        let Found { row, line } = found;
        let unread = rows.source.unread();
        if unread[..line].trim_ascii().is_empty() {
            rows.source.take(line);
            continue;
        }
        out.found();
        let fits = |length: usize, record: &mut ByteRecord| {
            rows.syntax.split(&unread[..length], record);
            record.len() == header.len()
        };
        let length = [row, Some(line)].into_iter().flatten().find(|length| fits(*length, &mut record));
        let (_, offset) = rows.source.take(length.unwrap_or(line));
        if length.is_some() {
            read(out, &CsvRow { header: &header, record: &record, guessed: Cell::new(false) }, offset)?;
            early.tell(out)?;
        } else {
            early.misfit(out, offset)?;
        }
    }
}

/// As many rows wait for the first one that fits; a file with more is hardly a table.
const MAX_EARLY: usize = 1 << 20;

/// Rows with a wrong number of values before the first one that fits.
#[derive(Default)]
struct Early {
    offsets: Vec<u64>,
    over: bool,
}

impl Early {
    /// Tells the row at `offset`, or lets it wait.
    fn misfit(&mut self, out: &mut Output<'_>, offset: u64) -> Read {
        if self.over || self.offsets.len() == MAX_EARLY {
            return out.malformed("wrong_columns", offset);
        }
        self.offsets.push(offset);
        Ok(())
    }

    /// Tells the rows that waited; no further ones have to.
    fn tell(&mut self, out: &mut Output<'_>) -> Read {
        self.over = true;
        let mut offsets = std::mem::take(&mut self.offsets).into_iter();
        offsets.try_for_each(|offset| out.malformed("wrong_columns", offset))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Commas,
    Tabs,
}

impl Syntax {
    /// The values of one row.
    fn split(self, row: &[u8], record: &mut ByteRecord) {
        record.clear();
        if self == Self::Tabs {
            let line = row.strip_suffix(b"\n").unwrap_or(row);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            for value in line.split(|b| *b == b'\t') {
                record.push_field(value);
            }
            return;
        }
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(row);
        // Reading from memory cannot fail, and a flexible reader takes any number of values.
        if !reader.read_byte_record(record).unwrap_or(false) {
            record.clear();
        }
    }
}

/// Splits a table into rows.
struct Rows<R> {
    source: ReadAhead<R>,
    syntax: Syntax,
    limit: usize,
}

/// Where the next row ends in the unread bytes.
struct Found {
    /// Behind its line end by RFC 4180; none if its quotes are not closed as they should be.
    row: Option<usize>,
    /// Behind the next line feed.
    line: usize,
}

impl<R: io::Read> Rows<R> {
    /// The next row, or none at the end of the stream.
    fn find(&mut self) -> io::Result<Option<Found>> {
        let mut scan = Scan::default();
        let mut line = None;
        loop {
            let unread = self.source.unread();
            if line.is_none() {
                line = memchr::memchr(b'\n', unread).map(|at| at + 1);
            }
            let ended = self.source.ended();
            if self.syntax == Syntax::Tabs {
                if let Some(line) = line {
                    return Ok(Some(Found { row: None, line }));
                }
            } else {
                let line = line.unwrap_or(unread.len());
                match scan.run(unread, ended) {
                    End::Further => {}
                    End::Nowhere => return Ok(Some(Found { row: None, line })),
                    End::At(end) => return Ok(Some(Found { row: Some(end), line })),
                }
            }
            if ended {
                let rest = unread.len();
                return Ok((rest > 0).then_some(Found { row: None, line: line.unwrap_or(rest) }));
            }
            if unread.len() > self.limit {
                // A quote is missing far back, or a line has no end.
                match line {
                    Some(line) => return Ok(Some(Found { row: None, line })),
                    None => return Err(io::Error::other("a row is longer than `max_line_bytes`")),
                }
            }
            self.source.fill()?;
        }
    }
}

/// A scanner for the end of a row with quoted values.
#[derive(Default)]
struct Scan {
    at: usize,
    state: State,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    ValueBegins,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// Where a row ends.
enum End {
    /// Not in the bytes so far.
    Further,
    /// Behind its line end.
    At(usize),
    /// Nowhere: a quoted value is followed by anything but a comma or a line end, or not closed.
    Nowhere,
}

impl Scan {
    /// Goes on in `bytes` to the end of the row.
    fn run(&mut self, bytes: &[u8], ended: bool) -> End {
        while let Some(byte) = bytes.get(self.at) {
            self.state = match (self.state, byte) {
                // A lone CR inside a value is text; before LF it belongs to the line end.
                (State::Quoted, b'"') | (State::QuoteInQuoted, b'\r') => State::QuoteInQuoted,
                (State::Quoted, _) => {
                    self.at += memchr::memchr(b'"', &bytes[self.at..]).unwrap_or(bytes.len() - self.at);
                    continue;
                }
                (State::QuoteInQuoted | State::ValueBegins, b'"') => State::Quoted,
                (_, b',') => State::ValueBegins,
                (_, b'\n') => return End::At(self.at + 1),
                (State::QuoteInQuoted, _) => return End::Nowhere,
                (_, _) => State::Plain,
            };
            self.at += 1;
        }
        match self.state {
            _ if !ended || bytes.is_empty() => End::Further,
            State::Quoted => End::Nowhere,
            _ => End::At(bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &'static str, syntax: Syntax) -> Vec<String> {
        let mut rows = Rows { source: ReadAhead::new(text.as_bytes()), syntax, limit: 1000 };
        let mut record = ByteRecord::new();
        let mut shown = Vec::new();
        while let Some(found) = rows.find().unwrap() {
            let (bytes, _) = rows.source.take(found.row.unwrap_or(found.line));
            syntax.split(bytes, &mut record);
            let values: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
            shown.push(format!("{}{}", if found.row.is_some() { "" } else { "line " }, values.join("|")));
        }
        shown
    }

    #[test]
    fn rows_end_as_rfc_4180_has_it() {
        for (text, expected) in [
            ("", vec![]),
            ("a,b\r\nc,d", vec!["a|b", "c|d"]),
            ("a,\"b\nc\"\"d\"\r\ne,f\n", vec!["a|b\nc\"d", "e|f"]),
            ("a,\"b\rc\"\n", vec!["a|b\rc"]),
            ("a,b \"quoted\" c\n", vec!["a|b \"quoted\" c"]),
            ("a,\"b\nc,\"d\"\n", vec!["line a|b\n", "c|d"]),
            ("a,\"b\n", vec!["line a|b\n"]),
        ] {
            assert_eq!(rows(text, Syntax::Commas), expected, "{text:?}");
        }
        assert_eq!(rows("a\t\"b\r\nc\rd\t", Syntax::Tabs), ["line a|\"b", "line c\rd|"]);
    }
}
