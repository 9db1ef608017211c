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
    /// Starts to read the stream that `open` gives, on the new thread.
    ///
    /// # Errors
    /// The system gives no further thread.
    pub(super) fn start(
        open: impl FnOnce() -> io::Result<Box<dyn Read>> + Send + 'static,
    ) -> io::Result<Self> {
        let (filled_sender, filled) = sync_channel(BUFFERS);
        let (empty, empty_receiver) = channel();
        thread::Builder::new().name("decompress".into()).spawn(move || match open() {
            Ok(stream) => fill(stream, &filled_sender, &empty_receiver),
            Err(error) => {
                // Whoever reads may have stopped; then nobody wants to know.
                let _ = filled_sender.send(Err(error));
            }
        })?;
        Ok(Self { filled, empty, current: Vec::new(), at: 0 })
    }
}

fn fill(mut stream: impl Read, filled: &SyncSender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut buffer = empty.try_recv().unwrap_or_default();
        buffer.resize(BUFFER_BYTES, 0);
        let mut length = 0;
        let mut failed = None;
        while length < buffer.len() {
            match stream.read(&mut buffer[length..]) {
                Ok(0) => break,
                Ok(n) => length += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let ended = length < buffer.len();
        buffer.truncate(length);
        if length > 0 && filled.send(Ok(buffer)).is_err() {
            return;
        }
        if let Some(error) = failed {
            let _ = filled.send(Err(error));
            return;
        }
        if ended {
            return;
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

    struct Breaks<'a>(&'a [u8]);

    impl Read for Breaks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::Error::other("cut"));
            }
            self.0.read(buffer)
        }
    }

    #[test]
    fn the_same_bytes_come_out() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * BUFFER_BYTES + 17).collect();
        for length in [0, 1, BUFFER_BYTES, BUFFER_BYTES + 1, bytes.len()] {
            let mut read = Vec::new();
            let stream = io::Cursor::new(bytes[..length].to_vec());
            Overlapped::start(|| Ok(Box::new(stream))).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, &bytes[..length]);
        }
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it() {
        static BYTES: [u8; BUFFER_BYTES + 5] = [7; BUFFER_BYTES + 5];
        let mut read = Vec::new();
        let error =
            Overlapped::start(|| Ok(Box::new(Breaks(&BYTES)))).unwrap().read_to_end(&mut read).unwrap_err();
        assert_eq!((read.len(), error.to_string().as_str()), (BYTES.len(), "cut"));
    }

    #[test]
    fn nobody_has_to_read_to_the_end() {
        let mut stream = Overlapped::start(|| Ok(Box::new(io::repeat(1)))).unwrap();
        let mut some = [0; 10];
        stream.read_exact(&mut some).unwrap();
        assert_eq!(some, [1; 10]);
    }
}
