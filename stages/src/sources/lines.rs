//! Lines of a byte stream: split on bytes, with offsets, within a length.

use std::io::{self, Read};

/// One line of a stream, without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line and the offset of its first byte.
    Whole { bytes: &'a [u8], offset: u64 },
    /// A line over the limit, which was skipped.
    TooLong { offset: u64 },
}

/// Splits a stream at LF. A CR before it, and a byte-order mark at the beginning of a line, are left out.
///
/// Memory: the longest line so far, at most the limit and one chunk.
pub(super) struct LineReader<R> {
    stream: R,
    buffer: Vec<u8>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    /// Offset of `buffer[start]` in the stream.
    offset: u64,
    limit: usize,
    ended: bool,
}

const CHUNK: usize = 256 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<R: Read> LineReader<R> {
    pub(super) fn new(stream: R, limit: usize) -> Self {
        Self { stream, buffer: vec![0; CHUNK], start: 0, end: 0, offset: 0, limit, ended: false }
    }

    /// Bytes consumed so far: after an error, where the line begins that could not be read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line, or `None` at the end of the stream.
    ///
    /// # Errors
    /// The stream's own, after every line that was complete before it.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(found) = memchr::memchr(b'\n', &unread[searched..]) {
                let length = searched + found;
                if length > self.limit {
                    let offset = self.take(length + 1).1;
                    return Ok(Some(Line::TooLong { offset }));
                }
                return Ok(Some(self.line(length, length + 1)));
            }
            searched = unread.len();
            if self.ended {
                if searched == 0 {
                    return Ok(None);
                }
                return Ok(Some(self.line(searched, searched)));
            }
            if searched > self.limit {
                return self.skip_line().map(Some);
            }
            self.fill()?;
        }
    }

    fn line(&mut self, length: usize, with_end: usize) -> Line<'_> {
        let (start, mut offset) = self.take(with_end);
        let mut bytes = &self.buffer[start..start + length];
        if let Some(rest) = bytes.strip_prefix(BYTE_ORDER_MARK) {
            bytes = rest;
            offset += BYTE_ORDER_MARK.len() as u64;
        }
        Line::Whole { bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes), offset }
    }

    /// Consumes `length` bytes; gives their place in the buffer and in the stream.
    fn take(&mut self, length: usize) -> (usize, u64) {
        let at = (self.start, self.offset);
        self.start += length;
        self.offset += length as u64;
        at
    }

    fn skip_line(&mut self) -> io::Result<Line<'static>> {
        let offset = self.offset;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(found) = memchr::memchr(b'\n', unread) {
                self.take(found + 1);
                break;
            }
            let length = unread.len();
            self.take(length);
            if self.ended {
                break;
            }
            self.fill()?;
        }
        Ok(Line::TooLong { offset })
    }

    /// Reads more, moving or growing the buffer when it is full.
    fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
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
