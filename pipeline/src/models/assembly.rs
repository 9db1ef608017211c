//! A file that is put together from parts, and can be gone on with after a crash.

use std::fs::{self, File};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::ModelError;
use super::cache::remove_if_there;
use super::checksum::{BUFFER_BYTES, Checksum};

/// The folder of an unfinished file: `whole` grows part by part, `parts` has a line with the length after each
/// part that is complete, `source` says where the parts come from.
#[derive(Debug)]
pub(super) struct Assembly {
    whole: PathBuf,
    journal: PathBuf,
    file: File,
    hasher: Sha256,
    /// Number of parts that are complete.
    pub(super) parts: usize,
    /// Bytes of the complete parts.
    len: u64,
}

impl Assembly {
    /// Opens or starts the assembly in `folder`. What was begun from another source is thrown away, as is the part
    /// that was being written when a run was cut off.
    pub(super) fn open(
        folder: &Path,
        source: &str,
        mut progress: impl FnMut(u64),
    ) -> Result<Self, ModelError> {
        let origin = folder.join("source");
        if fs::read_to_string(&origin).ok().as_deref() != Some(source) {
            discard_folder(folder)?;
            fs::create_dir_all(folder).map_err(ModelError::io("create", folder))?;
            write_line(&origin, source)?;
        }
        let (whole, journal) = (folder.join("whole"), folder.join("parts"));
        let lengths: Vec<u64> = fs::read_to_string(&journal)
            .unwrap_or_default()
            .split_inclusive('\n')
            .map_while(|line| line.strip_suffix('\n')?.parse().ok())
            .collect();
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&whole);
        let mut file = open.map_err(ModelError::io("open", &whole))?;
        let on_disk = file.metadata().map_err(ModelError::io("read", &whole))?.len();
        let parts = lengths.iter().take_while(|len| **len <= on_disk).count();
        let len = if parts == 0 { 0 } else { lengths[parts - 1] };
        file.set_len(len).map_err(ModelError::io("write", &whole))?;
        let mut hasher = Sha256::new();
        let mut done = 0;
        copy(&mut file, |bytes| {
            hasher.update(bytes);
            done += bytes.len() as u64;
            progress(done);
            Ok(())
        })
        .map_err(|error| error.named("read", &whole))?;
        Ok(Self { whole, journal, file, hasher, parts, len })
    }

    /// Appends a part that is complete and noted only when all of it is written; `from` names it in errors.
    pub(super) fn append(&mut self, part: &mut impl Read, from: &Path) -> Result<(), ModelError> {
        let Self { file, hasher, whole, .. } = self;
        file.seek(SeekFrom::Start(self.len)).map_err(ModelError::io("write", whole))?;
        let mut done = 0;
        copy(part, |bytes| {
            file.write_all(bytes)?;
            hasher.update(bytes);
            done += bytes.len() as u64;
            Ok(())
        })
        .map_err(|error| match error {
            CopyError::Read(source) => ModelError::io("read", from)(source),
            CopyError::Write(source) => ModelError::io("write", whole)(source),
        })?;
        file.sync_data().map_err(ModelError::io("write", whole))?;
        self.len += done;
        self.parts += 1;
        append_line(&self.journal, &self.len.to_string())
    }

    /// The checksum of all parts so far, and the file that holds them.
    pub(super) fn finish(self) -> (Checksum, PathBuf) {
        (Checksum::of_hasher(self.hasher), self.whole)
    }
}

/// Deletes the folder of an unfinished file.
pub(super) fn discard_folder(folder: &Path) -> Result<(), ModelError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ModelError::io("delete", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Which side of a copy failed.
enum CopyError {
    Read(std::io::Error),
    Write(std::io::Error),
}

impl CopyError {
    fn named(self, action: &'static str, path: &Path) -> ModelError {
        let (Self::Read(source) | Self::Write(source)) = self;
        ModelError::io(action, path)(source)
    }
}

fn copy(from: &mut impl Read, mut to: impl FnMut(&[u8]) -> std::io::Result<()>) -> Result<(), CopyError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => to(&buffer[..n]).map_err(CopyError::Write)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Read(error)),
        }
    }
}

fn write_line(path: &Path, text: &str) -> Result<(), ModelError> {
    remove_if_there(path)?;
    let mut file =
        File::options().create_new(true).write(true).open(path).map_err(ModelError::io("write", path))?;
    file.write_all(text.as_bytes()).map_err(ModelError::io("write", path))
}

fn append_line(path: &Path, text: &str) -> Result<(), ModelError> {
    let mut file =
        File::options().create(true).append(true).open(path).map_err(ModelError::io("write", path))?;
    file.write_all(format!("{text}\n").as_bytes()).map_err(ModelError::io("write", path))
}
