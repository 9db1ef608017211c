//! What can go wrong on the way to a model file.

use std::io;
use std::path::{Path, PathBuf};

use super::checksum::Checksum;

/// A model file that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A name that cannot name a file in the cache.
    #[error("`{0}` cannot name a model: use letters, digits, `-`, `_` and `.`, and no `.` in front")]
    Name(String),
    /// No folder for the cache is known.
    #[error("there is no folder for the model cache: neither GENOME_CACHE, XDG_CACHE_HOME nor HOME is set")]
    NoCacheFolder,
    /// The file system refuses.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried, as a verb: `read`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The disk has no room for the file.
    #[error("no space is left on the disk while writing {path}{}", space_needed(*.needed))]
    DiskFull {
        /// The file that was written.
        path: PathBuf,
        /// Bytes that the whole download needs, where known.
        needed: Option<u64>,
    },
    /// The server could not be reached, or the connection broke and stayed broken.
    #[error("cannot download {url}: {reason}")]
    Network {
        /// The address, without credentials.
        url: String,
        /// What the network said, and how often it was tried.
        reason: String,
    },
    /// The server answered with an error.
    #[error("{url} answers {status}")]
    Status {
        /// The address, without credentials.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The package index does not have what the source names.
    #[error("package `{package}`: {reason}")]
    Package {
        /// The package.
        package: String,
        /// What is missing, with what there is.
        reason: String,
    },
    /// A downloaded file is not the one that the index announced.
    #[error("{file} has SHA-256 {found}, but {announced_by} says {expected}")]
    Download {
        /// The downloaded file.
        file: String,
        /// Who announced the checksum.
        announced_by: String,
        /// The announced checksum.
        expected: Checksum,
        /// The checksum of what came.
        found: Checksum,
    },
    /// The model file is not the one that the config names.
    #[error("the file of model `{model}` from {origin} has SHA-256 {found}, but the config says {expected}")]
    Checksum {
        /// The model.
        model: String,
        /// The source it came from.
        origin: String,
        /// The checksum in the config.
        expected: Checksum,
        /// The checksum of what came.
        found: Checksum,
    },
    /// Every source failed.
    #[error("model `{model}` could not be fetched: {}", all_reasons(.failures))]
    Unavailable {
        /// The model.
        model: String,
        /// Where the file belongs in the cache.
        path: PathBuf,
        /// The checksum it must have.
        expected: Checksum,
        /// Each source with its failure.
        failures: Vec<(String, ModelError)>,
    },
}

impl ModelError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, needed: None }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// What the user can do about it, in one or two sentences.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unavailable { path, expected, failures, .. } => {
                let first = failures.iter().find_map(|(_, failure)| failure.hint());
                Some(first.unwrap_or_else(|| {
                    format!(
                        "without network, put the file at {} yourself: it is used if its SHA-256 is {expected}",
                        path.display()
                    )
                }))
            }
            Self::DiskFull { .. } => {
                Some("free some space, or name a folder on another disk in GENOME_CACHE; what has been downloaded is kept".to_owned())
            }
            Self::Checksum { .. } => Some(
                "the file is not the one the config describes; if it is the one you want, write its SHA-256 into the config".to_owned(),
            ),
            Self::NoCacheFolder => Some("set GENOME_CACHE to a folder".to_owned()),
            _ => None,
        }
    }

    /// Whether no other source can help.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Name(_) | Self::NoCacheFolder)
    }
}

fn space_needed(needed: Option<u64>) -> String {
    needed.map(|bytes| format!(" ({} MB are needed)", bytes.div_ceil(1_000_000))).unwrap_or_default()
}

fn all_reasons(failures: &[(String, ModelError)]) -> String {
    let reasons: Vec<String> = failures
        .iter()
        .map(|(origin, failure)| {
            let cause =
                std::error::Error::source(failure).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("from {origin}: {failure}{cause}")
        })
        .collect();
    reasons.join("; ")
}
