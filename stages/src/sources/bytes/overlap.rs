//! A stream that is decompressed on a thread of its own, a few buffers ahead of whoever reads it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

/// Bytes handed over at once: large enough that handing over costs nothing, small enough for a second-level cache.
const BUFFER_BYTES: usize = 512 << 10;
/// Buffers in flight; together 2 MiB.
const BUFFERS: usize = 4;

/// The reading end of a stream that another thread fills.
///
/// Bytes and errors come in the order in which the stream gave them. Dropping it ends the thread at its next buffer.
pub(super) struct Overlapped {
    filled: Receiver<io::Result<Vec<u8>>>,
    /// Sends read buffers back to be filled again.
    empty: std::sync::mpsc::Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Overlapped {
    /// Starts `work` on the new thread, which passes the stream on.
    ///
    /// # Errors
    /// The system gives no further thread.
    pub(super) fn start(work: impl FnOnce(&Filling) + Send + 'static) -> io::Result<Self> {
        let (filled_sender, filled) = sync_channel(BUFFERS);
        let (empty, empty_receiver) = channel();
        let filling = Filling { filled: filled_sender, empty: empty_receiver };
        thread::Builder::new().name("decompress".into()).spawn(move || work(&filling))?;
        Ok(Self { filled, empty, current: Vec::new(), at: 0 })
    }
}

/// The filling end.
pub(super) struct Filling {
    filled: SyncSender<io::Result<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
}

impl Filling {
    /// Passes a stream on until it ends: an error is passed on like bytes, and the stream read further.
    ///
    /// A stream that could not even be opened is its error.
    pub(super) fn pass_on(&self, stream: io::Result<impl Read>) {
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                // Whoever reads may have stopped; then nobody wants to know.
                let _ = self.filled.send(Err(error));
                return;
            }
        };
        loop {
            let mut buffer = self.empty.try_recv().unwrap_or_default();
            buffer.resize(BUFFER_BYTES, 0);
            let mut length = 0;
            let mut failed = None;
            let mut ended = false;
            while length < buffer.len() && failed.is_none() && !ended {
                match stream.read(&mut buffer[length..]) {
                    Ok(n) => {
                        length += n;
                        ended = n == 0;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => failed = Some(error),
                }
            }
            buffer.truncate(length);
            if length > 0 && self.filled.send(Ok(buffer)).is_err() {
                return;
            }
            if failed.is_some_and(|error| self.filled.send(Err(error)).is_err()) || ended {
                return;
            }
        }
    }
}

impl Read for Overlapped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            let Ok(next) = self.filled.recv() else { return Ok(0) };
            let read = std::mem::replace(&mut self.current, next?);
            self.at = 0;
            // The thread may have ended; then the buffer is not needed.
            let _ = self.empty.send(read);
        }
        let n = buffer.len().min(self.current.len() - self.at);
        buffer[..n].copy_from_slice(&self.current[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Breaks<'a> {
        bytes: &'a [u8],
        is_told: bool,
    }

    impl Read for Breaks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.bytes.is_empty() && !std::mem::replace(&mut self.is_told, true) {
                return Err(io::Error::other("cut"));
            }
            self.bytes.read(buffer)
        }
    }

    #[test]
    fn the_same_bytes_come_out() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * BUFFER_BYTES + 17).collect();
        for length in [0, 1, BUFFER_BYTES, BUFFER_BYTES + 1, bytes.len()] {
            let mut read = Vec::new();
            let stream = io::Cursor::new(bytes[..length].to_vec());
            let mut overlapped = Overlapped::start(|filling| filling.pass_on(Ok(stream))).unwrap();
            overlapped.read_to_end(&mut read).unwrap();
            assert_eq!(read, &bytes[..length]);
        }
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it() {
        static BYTES: [u8; BUFFER_BYTES + 5] = [7; BUFFER_BYTES + 5];
        let mut read = Vec::new();
        let stream = Breaks { bytes: &BYTES, is_told: false };
        let mut overlapped = Overlapped::start(|filling| filling.pass_on(Ok(stream))).unwrap();
        let error = overlapped.read_to_end(&mut read).unwrap_err();
        assert_eq!((read.len(), error.to_string().as_str()), (BYTES.len(), "cut"));
        assert_eq!(overlapped.read(&mut [0]).unwrap(), 0);
        let mut closed =
            Overlapped::start(|filling| filling.pass_on(Err::<&[u8], _>(io::Error::other("no"))));
        assert!(closed.as_mut().unwrap().read(&mut [0]).is_err());
    }

    #[test]
    fn nobody_has_to_read_to_the_end() {
        let mut stream = Overlapped::start(|filling| filling.pass_on(Ok(io::repeat(1)))).unwrap();
        let mut some = [0; 10];
        stream.read_exact(&mut some).unwrap();
        assert_eq!(some, [1; 10]);
    }
}
