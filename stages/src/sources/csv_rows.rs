//! Tables with a header: values separated by commas or tabs.

use std::borrow::Cow;
use std::cell::Cell;
use std::io;

use csv::{ByteRecord, ReaderBuilder, Terminator};

use super::bytes::container::Stream;
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
/// reading goes on behind it. So a broken quote costs no row but its own. A line over the limit is `malformed` by rule
/// `line_too_long`, and reading goes on behind it as well, whatever quotes it leaves open. Such rows before the first one
/// that fits are told after it, so that `read` can name the file by it.
///
/// Lines end with LF, and a CR before it belongs to the line end; any other CR is text. Tables of old Macs, whose lines end
/// with CR alone, are told by their beginning. One whose lines end in both ways, so that all of it is its header, is one
/// row that is `malformed` by rule `wrong_columns`.
pub(super) fn each_csv_row(
    out: &mut Output<'_>,
    stream: Stream<'_>,
    format: Format,
    mut read: impl FnMut(&mut Output<'_>, &CsvRow<'_>, u64) -> Read,
) -> Read {
    let syntax = if format == Format::Tsv { Syntax::Tabs } else { Syntax::Commas };
    let line_end = syntax.line_end(stream.head());
    let limit = out.options().max_line_bytes;
    let mut rows = Rows { source: ReadAhead::new(stream), syntax, line_end, limit };
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
        Ok(Some(Found::TooLong)) => {
            return Ok(Some(io::Error::other("the header is longer than `max_line_bytes`")));
        }
        Ok(Some(Found::Row { row, line })) => {
            let (bytes, _) = rows.source.take(row.unwrap_or(line));
            let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
            rows.syntax.split(bytes, rows.line_end, &mut record);
            record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect()
        }
    };
    // Where nothing follows it, a header with a CR in it is a whole table that does not tell where its lines end.
    let mut is_all = header.iter().any(|name| name.contains('\r'));
    loop {
        let (row, line) = match rows.find() {
            Err(error) => return Ok(Some(error)),
            Ok(None) if is_all => {
                out.found();
                early.malformed(out, "wrong_columns", 0)?;
                return Ok(None);
            }
            Ok(None) => return Ok(None),
            Ok(Some(Found::Row { row, line })) => (row, line),
            Ok(Some(Found::TooLong)) => {
                let offset = rows.source.offset();
                if let Err(error) = rows.skip_line() {
                    return Ok(Some(error));
                }
                is_all = false;
                out.found();
                early.malformed(out, "line_too_long", offset)?;
                continue;
            }
        };
        let unread = rows.source.unread();
        if unread[..line].trim_ascii().is_empty() {
            rows.source.take(line);
            continue;
        }
        is_all = false;
        out.found();
        let fits = |length: usize, record: &mut ByteRecord| {
            rows.syntax.split(&unread[..length], rows.line_end, record);
            record.len() == header.len()
        };
        let length = [row, Some(line)].into_iter().flatten().find(|length| fits(*length, &mut record));
        let (_, offset) = rows.source.take(length.unwrap_or(line));
        if length.is_some() {
            read(out, &CsvRow { header: &header, record: &record, guessed: Cell::new(false) }, offset)?;
            early.tell(out)?;
        } else {
            early.malformed(out, "wrong_columns", offset)?;
        }
    }
}

/// As many rows wait for the first one that fits; a file with more is hardly a table.
const MAX_EARLY: usize = 1 << 20;

/// Rows that cannot be read before the first one that fits: the rule of each, and where it stands.
#[derive(Default)]
struct Early {
    rows: Vec<(&'static str, u64)>,
    over: bool,
}

impl Early {
    /// Tells the row at `offset`, or lets it wait.
    fn malformed(&mut self, out: &mut Output<'_>, rule: &'static str, offset: u64) -> Read {
        if self.over || self.rows.len() == MAX_EARLY {
            return out.malformed(rule, offset);
        }
        self.rows.push((rule, offset));
        Ok(())
    }

    /// Tells the rows that waited; no further ones have to.
    fn tell(&mut self, out: &mut Output<'_>) -> Read {
        self.over = true;
        let mut rows = std::mem::take(&mut self.rows).into_iter();
        rows.try_for_each(|(rule, offset)| out.malformed(rule, offset))
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Commas,
    Tabs,
}

impl Syntax {
    /// What ends the lines of a table that begins with `head`: LF, or CR if there is one outside of quotes and no LF.
    fn line_end(self, head: &[u8]) -> u8 {
        let (mut state, mut line_end) = (State::ValueBegins, b'\n');
        for byte in head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head) {
            state = match (state, byte) {
                (State::Quoted, b'"') => State::QuoteInQuoted,
                (State::Quoted, _) => State::Quoted,
                (_, b'\n') => return b'\n',
                (_, b'\r') => {
                    line_end = b'\r';
                    State::ValueBegins
                }
                (State::ValueBegins | State::QuoteInQuoted, b'"') if self == Self::Commas => State::Quoted,
                (_, b',') => State::ValueBegins,
                (_, _) => State::Plain,
            };
        }
        line_end
    }

    /// The values of one row.
    fn split(self, row: &[u8], line_end: u8, record: &mut ByteRecord) {
        record.clear();
        let row = without_line_end(row);
        if self == Self::Tabs {
            for value in row.split(|b| *b == b'\t') {
                record.push_field(value);
            }
            return;
        }
        let mut reader = ReaderBuilder::new();
        reader.has_headers(false).flexible(true).terminator(Terminator::Any(line_end));
        // Reading from memory cannot fail, and a flexible reader takes any number of values.
        if !reader.from_reader(row).read_byte_record(record).unwrap_or(false) {
            record.clear();
        }
    }
}

/// A row without its line end. Some programs write more than one CR before LF.
fn without_line_end(row: &[u8]) -> &[u8] {
    let mut row = row.strip_suffix(b"\n").unwrap_or(row);
    while let Some(shorter) = row.strip_suffix(b"\r") {
        row = shorter;
    }
    row
}

/// Splits a table into rows.
struct Rows<R> {
    source: ReadAhead<R>,
    syntax: Syntax,
    /// The byte that ends a line.
    line_end: u8,
    /// Longest row without the end of its last line.
    limit: usize,
}

/// What comes next in the unread bytes.
enum Found {
    /// A row, and where it ends.
    Row {
        /// Behind its line end by RFC 4180; none if its quotes are not closed as they should be, or it is too long.
        row: Option<usize>,
        /// Behind the end of its first line.
        line: usize,
    },
    /// A line over the limit.
    TooLong,
}

impl<R: io::Read> Rows<R> {
    /// The next row, or none at the end of the stream.
    fn find(&mut self) -> io::Result<Option<Found>> {
        let limit = self.limit;
        let (mut scan, mut end) = (Scan::until(self.line_end), End::Further);
        let (mut line, mut searched): (Option<usize>, usize) = (None, 0);
        loop {
            let (unread, ended) = (self.source.unread(), self.source.ended());
            if line.is_none() {
                let found = memchr::memchr(self.line_end, &unread[searched..]);
                line = found.map(|at| searched + at + 1);
                searched = unread.len();
            }
            if line.map_or(unread.len(), |line| line - 1) > limit {
                return Ok(Some(Found::TooLong));
            }
            if ended && unread.is_empty() {
                return Ok(None);
            }
            if matches!(end, End::Further) {
                end = match self.syntax {
                    Syntax::Commas => scan.run(unread, ended),
                    Syntax::Tabs => End::Nowhere,
                };
            }
            let first_line = line.or(ended.then_some(unread.len()));
            match (end, first_line) {
                (End::At(row), line) if row - 1 <= limit => {
                    return Ok(Some(Found::Row { row: Some(row), line: line.unwrap_or(row) }));
                }
                // A quote can be missing far back.
                (End::At(_) | End::Nowhere, Some(line)) => return Ok(Some(Found::Row { row: None, line })),
                (End::Further, Some(line)) if unread.len() > limit => {
                    return Ok(Some(Found::Row { row: None, line }));
                }
                _ => self.source.fill()?,
            }
        }
    }

    /// Takes the next line, however long it is, keeping nothing of it.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = memchr::memchr(self.line_end, self.source.unread()) {
                self.source.take(at + 1);
                return Ok(());
            }
            self.source.take_all();
            if self.source.ended() {
                return Ok(());
            }
            self.source.fill()?;
        }
    }
}

/// A scanner for the end of a row with quoted values.
struct Scan {
    line_end: u8,
    at: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    ValueBegins,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// Where a row ends.
#[derive(Clone, Copy)]
enum End {
    /// Not in the bytes so far.
    Further,
    /// Behind its line end.
    At(usize),
    /// Nowhere: a quoted value is followed by anything but a comma or a line end, or not closed.
    Nowhere,
}

impl Scan {
    /// A scanner for rows that end with `line_end` outside of quotes.
    fn until(line_end: u8) -> Self {
        Self { line_end, at: 0, state: State::ValueBegins }
    }

    /// Goes on in `bytes` to the end of the row.
    fn run(&mut self, bytes: &[u8], ended: bool) -> End {
        while let Some(byte) = bytes.get(self.at) {
            if *byte == self.line_end && self.state != State::Quoted {
                return End::At(self.at + 1);
            }
            self.state = match (self.state, byte) {
                // A lone CR inside a value is text; before LF it belongs to the line end.
                (State::Quoted, b'"') | (State::QuoteInQuoted, b'\r') => State::QuoteInQuoted,
                (State::Quoted, _) => {
                    self.at += memchr::memchr(b'"', &bytes[self.at..]).unwrap_or(bytes.len() - self.at);
                    continue;
                }
                (State::QuoteInQuoted | State::ValueBegins, b'"') => State::Quoted,
                (_, b',') => State::ValueBegins,
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

    /// The rows of a text with at most 20 bytes a row, read by `step` bytes.
    fn rows_by(text: &str, syntax: Syntax, step: usize) -> Vec<String> {
        /// A stream that gives a few bytes at a time.
        struct Drip<'a>(&'a [u8], usize);
        impl io::Read for Drip<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = self.1.min(self.0.len()).min(buffer.len());
                buffer[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let line_end = syntax.line_end(text.as_bytes());
        let source = ReadAhead::new(Drip(text.as_bytes(), step));
        let mut rows = Rows { source, syntax, line_end, limit: 20 };
        let mut record = ByteRecord::new();
        let mut shown = Vec::new();
        while let Some(found) = rows.find().unwrap() {
            let Found::Row { row, line } = found else {
                rows.skip_line().unwrap();
                shown.push("too long".to_owned());
                continue;
            };
            let (bytes, _) = rows.source.take(row.unwrap_or(line));
            syntax.split(bytes, line_end, &mut record);
            let values: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
            shown.push(format!("{}{}", if row.is_some() { "" } else { "line " }, values.join("|")));
        }
        shown
    }

    /// The rows of a text, however its bytes arrive.
    fn rows(text: &str, syntax: Syntax) -> Vec<String> {
        let shown = rows_by(text, syntax, 1000);
        for step in [1, 2, 3, 7] {
            assert_eq!(rows_by(text, syntax, step), shown, "{text:?} by {step}");
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
            ("a,\"b\nc,\"d\"\n", vec!["line a|b", "c|d"]),
            ("a,\"b\n", vec!["line a|b"]),
            ("a,\"b\"c\nd,e\n", vec!["line a|bc", "d|e"]),
        ] {
            assert_eq!(rows(text, Syntax::Commas), expected, "{text:?}");
        }
        assert_eq!(rows("a\t\"b\r\nc\rd\t", Syntax::Tabs), ["line a|\"b", "line c\rd|"]);
    }

    #[test]
    fn a_carriage_return_ends_lines_only_where_no_line_feed_does() {
        for (text, expected) in [
            // Line ends of Windows, and those that were made so twice.
            ("a,b\r\nc,d\r\n", vec!["a|b", "c|d"]),
            ("a,b\r\r\nc,\"d\"\r\r\n", vec!["a|b", "c|d"]),
            // Those of old Macs, with LF inside of values.
            ("a,b\rc,d\r", vec!["a|b", "c|d"]),
            ("a,b\r\"c\nc\",\"d\"\r\"e\",f", vec!["a|b", "c\nc|d", "e|f"]),
            // A stray one is text.
            ("a,b\nc\rd,e\n", vec!["a|b", "c\rd|e"]),
            ("a\rb,c\nd,e\n", vec!["a\rb|c", "d|e"]),
        ] {
            assert_eq!(rows(text, Syntax::Commas), expected, "{text:?}");
        }
        assert_eq!(rows("a\tb\rc\td\r", Syntax::Tabs), ["line a|b", "line c|d"]);
        assert_eq!(rows("a\tb\nc\rd\te\n", Syntax::Tabs), ["line a|b", "line c\rd|e"]);
    }

    #[test]
    fn a_line_over_the_limit_is_passed_over() {
        let long = "x".repeat(21);
        for (text, expected) in [
            (format!("a,b\n{long}\nc,d\n"), vec!["a|b", "too long", "c|d"]),
            (format!("a,b\n{long}"), vec!["a|b", "too long"]),
            // What it leaves open, and what is left open before it.
            (format!("a,b\n1,\"{long}\nc,d\n"), vec!["a|b", "too long", "c|d"]),
            (format!("a,b\n1,\"\n{long}\nc,d\n"), vec!["a|b", "line 1|", "too long", "c|d"]),
            // A row of lines that are not too long by themselves.
            (
                "a,b\n1,\"12345678\n1234567890\"\nc,d\n".to_owned(),
                vec!["a|b", "line 1|12345678", "1234567890\"", "c|d"],
            ),
            (format!("a,b\n{}\n", &long[1..]), vec!["a|b", &long[1..]]),
        ] {
            assert_eq!(rows(&text, Syntax::Commas), expected, "{text:?}");
        }
        let text = format!("a\tb\n{long}\nc\td\n");
        assert_eq!(rows(&text, Syntax::Tabs), ["line a|b", "too long", "line c|d"]);
    }
}
