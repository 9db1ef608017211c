//! Lines of a byte stream: split on bytes, with offsets, within a length.

use std::io::{self, Read};

use super::read_ahead::ReadAhead;

/// One line of a stream, without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sources) enum Line<'a> {
    /// A line and the offset of its first byte.
    Whole { bytes: &'a [u8], offset: u64 },
    /// A line over the limit, which was skipped.
    TooLong { offset: u64 },
}

/// Splits a stream at LF. A CR before it, and a byte-order mark at the beginning of a line, are left out.
///
/// Memory: the longest line so far, at most the limit and one chunk.
pub(in crate::sources) struct LineReader<R> {
    source: ReadAhead<R>,
    limit: usize,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<R: Read> LineReader<R> {
    pub(in crate::sources) fn new(stream: R, limit: usize) -> Self {
        Self::at(stream, limit, 0)
    }

    /// Reads a stream that begins at `offset` of something larger.
    pub(in crate::sources) fn at(stream: R, limit: usize, offset: u64) -> Self {
        Self { source: ReadAhead::at(stream, offset), limit }
    }

    /// Bytes consumed so far: after an error, where the line begins that could not be read.
    pub(in crate::sources) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// The next line, or `None` at the end of the stream.
    ///
    /// # Errors
    /// The stream's own, after every line that was complete before it.
    pub(in crate::sources) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let unread = self.source.unread();
            if let Some(found) = memchr::memchr(b'\n', &unread[searched..]) {
                let length = searched + found;
                if length > self.limit {
                    let (_, offset) = self.source.take(length + 1);
                    return Ok(Some(Line::TooLong { offset }));
                }
                return Ok(Some(self.line(length, length + 1)));
            }
            searched = unread.len();
            if self.source.ended() {
                if searched == 0 {
                    return Ok(None);
                }
                return Ok(Some(self.line(searched, searched)));
            }
            if searched > self.limit {
                return self.skip_line().map(Some);
            }
            self.source.fill()?;
        }
    }

    /// Goes on behind an error, without the line that it broke; tells how many bytes of that there were.
    pub(in crate::sources) fn resume(&mut self) -> usize {
        let lost = self.source.unread().len();
        self.source.take_all();
        lost
    }

    fn line(&mut self, length: usize, with_end: usize) -> Line<'_> {
        let (taken, mut offset) = self.source.take(with_end);
        let mut bytes = &taken[..length];
        if let Some(rest) = bytes.strip_prefix(BYTE_ORDER_MARK) {
            bytes = rest;
            offset += BYTE_ORDER_MARK.len() as u64;
        }
        Line::Whole { bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes), offset }
    }

    fn skip_line(&mut self) -> io::Result<Line<'static>> {
        let offset = self.source.offset();
        loop {
            let unread = self.source.unread();
            if let Some(found) = memchr::memchr(b'\n', unread) {
                self.source.take(found + 1);
                break;
            }
            self.source.take_all();
            if self.source.ended() {
                break;
            }
            self.source.fill()?;
        }
        Ok(Line::TooLong { offset })
    }
}

#[cfg(test)]
mod tests {
    use super::super::read_ahead::CHUNK;
    use super::*;

    /// A stream that gives a few bytes at a time and can end in an error.
    struct Drip<'a> {
        bytes: &'a [u8],
        step: usize,
        broken: bool,
    }

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.bytes.is_empty() && self.broken {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "cut"));
            }
            let n = self.step.min(self.bytes.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.bytes[..n]);
            self.bytes = &self.bytes[n..];
            Ok(n)
        }
    }

    fn all(bytes: &[u8], step: usize, limit: usize, broken: bool) -> Vec<String> {
        let mut lines = LineReader::new(Drip { bytes, step, broken }, limit);
        let mut shown = Vec::new();
        loop {
            match lines.next() {
                Ok(None) => return shown,
                Ok(Some(Line::Whole { bytes, offset })) => {
                    shown.push(format!("{offset} {}", String::from_utf8_lossy(bytes)));
                }
                Ok(Some(Line::TooLong { offset })) => shown.push(format!("{offset} too long")),
                Err(_) => {
                    shown.push(format!("{} broken", lines.offset()));
                    return shown;
                }
            }
        }
    }

    #[test]
    fn lines_do_not_depend_on_how_bytes_arrive() {
        for (text, expected) in [
            ("", vec![]),
            ("a\nbb\n", vec!["0 a", "2 bb"]),
            ("a\r\n\r\nno end", vec!["0 a", "3 ", "5 no end"]),
            ("\u{feff}a\n", vec!["3 a"]),
            ("123456789\nok\n", vec!["0 too long", "10 ok"]),
            ("ok\n123456789", vec!["0 ok", "3 too long"]),
        ] {
            for step in [1, 2, 3, 1000] {
                assert_eq!(all(text.as_bytes(), step, 8, false), expected, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn complete_lines_come_before_the_break() {
        assert_eq!(all(b"one\ntwo\nthr", 5, 100, true), ["0 one", "4 two", "8 broken"]);
    }

    #[test]
    fn long_lines_grow_the_buffer() {
        let long = "x".repeat(3 * CHUNK + 1);
        let shown = all(format!("{long}\nb").as_bytes(), 10_000, 4 * CHUNK, false);
        assert_eq!(shown, [format!("0 {long}"), format!("{} b", long.len() + 1)]);
    }
}
