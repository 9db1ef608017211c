//! What can go wrong with shards.

use std::io;
use std::path::{Path, PathBuf};

use super::{Form, Split};

/// Shards that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The rows do not have the form of table `examples`.
    #[error("rows for shards: {0}")]
    Input(String),
    /// A row that no trainer could use.
    #[error("example {key}: {reason}")]
    Row {
        /// Key of the row.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system refuses.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb: `read`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space is left on the disk while writing {0}")]
    DiskFull(PathBuf),
    /// The folder is there and holds something else.
    #[error("{0} exists and is no shard folder (it has no checksums.txt); name another folder or remove it")]
    OtherFolder(PathBuf),
    /// A file is not the one that was written.
    #[error("{path} has SHA-256 {found}, but checksums.txt says {expected}: it was changed or damaged")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The checksum in the list.
        expected: String,
        /// The checksum of the file.
        found: String,
    },
    /// The folder is no shard folder, or lacks files.
    #[error("{folder} is no complete shard folder: {reason}")]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The folder has no rows of the form and split that were asked for.
    #[error("{folder} has no {form} rows of split `{split}`; there are: {available}")]
    NoShards {
        /// The folder.
        folder: PathBuf,
        /// The form.
        form: Form,
        /// The split.
        split: Split,
        /// What there is, separated by commas.
        available: String,
    },
    /// A file that has its checksum but cannot be read as rows.
    #[error("cannot read rows of {path}: {reason}")]
    Rows {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        reason: String,
    },
}

impl ShardError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path),
            _ => Self::Io { action, path, source },
        }
    }

    /// A failure to write, wherever in the chain of causes the file system's answer stands.
    pub(super) fn writing<E>(path: &Path) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + 'static,
    {
        let path = path.to_owned();
        move |error| {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
            while let Some(one) = cause {
                if let Some(io) = one.downcast_ref::<io::Error>() {
                    let io = io::Error::new(io.kind(), io.to_string());
                    return Self::io("write", &path)(io);
                }
                cause = one.source();
            }
            Self::io("write", &path)(io::Error::other(error.to_string()))
        }
    }
}
