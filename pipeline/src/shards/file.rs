//! Files that are hashed while they are written.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::ShardError;

/// A new file, with the checksum of what has been written to it.
#[derive(Debug)]
pub(super) struct HashedFile {
    file: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
    /// Most bytes the file may take: the disk that tests fill.
    limit: u64,
}

impl HashedFile {
    /// A file that was not there before.
    pub(super) fn create(path: &Path, limit: u64) -> Result<Self, ShardError> {
        let file =
            File::options().create_new(true).write(true).open(path).map_err(ShardError::io("write", path))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 16, file), hasher: Sha256::new(), bytes: 0, limit })
    }

    /// Writes everything through to the disk; gives the checksum in hex digits and the length in bytes.
    pub(super) fn finish(self) -> io::Result<(String, u64)> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok((hex(self.hasher), self.bytes))
    }
}

impl Write for HashedFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.bytes + buffer.len() as u64 > self.limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = self.file.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a text as a file; gives its checksum and its length in bytes.
pub(super) fn write_text(path: &Path, text: &str, limit: u64) -> Result<(String, u64), ShardError> {
    let mut file = HashedFile::create(path, limit)?;
    file.write_all(text.as_bytes()).and_then(|()| file.finish()).map_err(ShardError::io("write", path))
}

/// The checksum of a file in hex digits.
pub(super) fn checksum_of(path: &Path) -> Result<String, ShardError> {
    let mut file = File::open(path).map_err(ShardError::io("read", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(ShardError::io("read", path))? {
            0 => return Ok(hex(hasher)),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn hex(hasher: Sha256) -> String {
    use std::fmt::Write as _;
    hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
