//! A stream whose beginning is known before it is read.

use std::io::{self, Read};

/// A stream with its first bytes at hand. An error that came while they were read is given after them.
pub(in crate::sources) struct Peeked<R> {
    head: Vec<u8>,
    at: usize,
    failed: Option<io::Error>,
    rest: R,
}

impl<R: Read> Peeked<R> {
    /// Reads up to `length` bytes ahead.
    pub(in crate::sources) fn new(mut rest: R, length: usize) -> Self {
        let mut head = vec![0; length];
        let (filled, failed) = read_up_to(&mut rest, &mut head);
        head.truncate(filled);
        Self { head, at: 0, failed, rest }
    }

    /// The first bytes of the stream: as many as were asked for, or all there are.
    pub(in crate::sources) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether an error came before as many bytes as were asked for.
    pub(in crate::sources) fn is_cut(&self) -> bool {
        self.failed.is_some()
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unread = &self.head[self.at..];
        if !unread.is_empty() {
            let n = unread.len().min(buffer.len());
            buffer[..n].copy_from_slice(&unread[..n]);
            self.at += n;
            return Ok(n);
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.rest.read(buffer),
        }
    }
}

/// The beginning of a text without a byte-order mark and the blanks before its first character.
pub(in crate::sources) fn beginning(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start()
}

/// Fills `buffer` as far as the stream goes; tells how far, and what ended it before its end.
fn read_up_to(stream: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_after_what_was_read() {
        struct Breaks(bool);
        impl Read for Breaks {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("cut"));
                }
                buffer[..2].copy_from_slice(b"ab");
                Ok(2)
            }
        }
        let mut stream = Peeked::new(Breaks(false), 10);
        assert_eq!(stream.head(), b"ab");
        let mut read = Vec::new();
        assert!(stream.read_to_end(&mut read).is_err());
        assert_eq!(read, b"ab");
    }
}
