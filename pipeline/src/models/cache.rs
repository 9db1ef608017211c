//! The cache folder: one file a model, and the stamp that says it was verified.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::checksum::Checksum;
use super::{ModelConfig, ModelError};

/// The folder of the model cache: `$GENOME_CACHE`, else `$XDG_CACHE_HOME/genome/models`, else
/// `$HOME/.cache/genome/models`.
///
/// # Errors
/// None of the three is set.
pub fn cache_dir() -> Result<PathBuf, ModelError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("GENOME_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("genome/models")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/genome/models")))
        .ok_or(ModelError::NoCacheFolder)
}

/// Where one model lives in the cache.
#[derive(Debug, Clone)]
pub(super) struct CacheEntry {
    /// The model file itself; it has this name only once it was verified.
    pub(super) path: PathBuf,
    /// The stamp: checksum, length and time of change of the file when it was verified.
    stamp: PathBuf,
    /// The file that is locked while the model is fetched.
    lock: PathBuf,
    /// What has been downloaded so far.
    pub(super) partial: PathBuf,
}

impl CacheEntry {
    /// The entry of a model; makes the cache folder.
    pub(super) fn new(cache: &Path, name: &str, config: &ModelConfig) -> Result<Self, ModelError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            return Err(ModelError::Name(name.to_owned()));
        }
        fs::create_dir_all(cache).map_err(ModelError::io("create", cache))?;
        let stem = format!("{name}-{}", config.sha256.short());
        let file = format!("{stem}.{}", config.source.file_ending());
        Ok(Self {
            stamp: cache.join(format!("{file}.verified")),
            path: cache.join(file),
            lock: cache.join(format!("{stem}.lock")),
            partial: cache.join(format!("{stem}.partial")),
        })
    }

    /// Waits until no other run fetches this model; `waiting` is called if one does.
    pub(super) fn lock(&self, mut waiting: impl FnMut()) -> Result<File, ModelError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.lock)
            .map_err(ModelError::io("open", &self.lock))?;
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            waiting();
        }
        file.lock().map_err(ModelError::io("lock", &self.lock))?;
        Ok(file)
    }

    /// Whether the model file is there and has not changed since it was verified.
    pub(super) fn is_verified(&self, checksum: &Checksum) -> bool {
        let Ok(stamp) = fs::read_to_string(&self.stamp) else { return false };
        stamp_of(&self.path, checksum).is_some_and(|now| now == stamp)
    }

    /// Notes that the model file was verified.
    pub(super) fn stamp(&self, checksum: &Checksum) -> Result<(), ModelError> {
        use std::io::Write as _;
        let Some(stamp) = stamp_of(&self.path, checksum) else { return Ok(()) };
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&self.stamp)
            .map_err(ModelError::io("write", &self.stamp))?;
        file.write_all(stamp.as_bytes()).map_err(ModelError::io("write", &self.stamp))
    }

    /// Deletes the model file and its stamp.
    pub(super) fn discard(&self) -> Result<(), ModelError> {
        for path in [&self.stamp, &self.path] {
            remove_if_there(path)?;
        }
        Ok(())
    }
}

/// Deletes a file if there is one.
pub(super) fn remove_if_there(path: &Path) -> Result<(), ModelError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ModelError::io("delete", path)(error))
        }
        _ => Ok(()),
    }
}

fn stamp_of(path: &Path, checksum: &Checksum) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{checksum} {} {}\n", metadata.len(), changed.as_nanos()))
}
