//! A byte stream with a look-ahead that grows as far as the caller needs it, and the offset of what was consumed.

use std::io::{self, Read};

/// Bytes read at once.
pub(in crate::sources) const CHUNK: usize = 256 << 10;

/// A stream whose next bytes can be looked at before they are taken.
///
/// Memory: the longest run of bytes that was looked at without being taken, and at least one chunk.
pub(in crate::sources) struct ReadAhead<R> {
    stream: R,
    buffer: Vec<u8>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    /// Offset of `buffer[start]`.
    offset: u64,
    ended: bool,
}

impl<R: Read> ReadAhead<R> {
    pub(in crate::sources) fn new(stream: R) -> Self {
        Self::at(stream, 0)
    }

    /// A stream whose first byte is at `offset` of something larger.
    pub(in crate::sources) fn at(stream: R, offset: u64) -> Self {
        Self { stream, buffer: vec![0; CHUNK], start: 0, end: 0, offset, ended: false }
    }

    /// Bytes taken so far.
    pub(in crate::sources) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the stream has no more bytes than [`Self::unread`].
    pub(in crate::sources) fn ended(&self) -> bool {
        self.ended
    }

    /// The bytes that were read and not yet taken.
    pub(in crate::sources) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes the first `length` unread bytes; gives them and the offset of the first.
    pub(in crate::sources) fn take(&mut self, length: usize) -> (&[u8], u64) {
        let (start, offset) = (self.start, self.offset);
        self.start += length;
        self.offset += length as u64;
        (&self.buffer[start..self.start], offset)
    }

    /// Makes the last `length` bytes that were taken unread again. Nothing may have been read in between.
    pub(in crate::sources) fn give_back(&mut self, length: usize) {
        self.start -= length;
        self.offset -= length as u64;
    }

    /// Takes all unread bytes.
    pub(in crate::sources) fn take_all(&mut self) {
        let length = self.unread().len();
        self.take(length);
    }

    /// Reads more, moving or growing the buffer when it is full.
    ///
    /// # Errors
    /// The stream's own.
    pub(in crate::sources) fn fill(&mut self) -> io::Result<()> {
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
