//! Where a dump file lies: on this machine, or in an object store.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use url::Url;

use super::faults::{Faults, Watched};
use super::remote::RemoteFile;
use crate::StageError;

/// A place that can be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// A file or folder of this machine.
    Local(PathBuf),
    /// An object behind `s3://`, `gs://`, `https://` or `http://`.
    Remote(Url),
}

/// A file that can be read from any place in it.
pub(in crate::sources) trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

impl Location {
    /// The location that `text` means: a URL with a scheme that is known, else a path.
    ///
    /// # Errors
    /// A URL that is none, or of a scheme that is not read.
    pub fn parse(text: &str) -> Result<Self, StageError> {
        if !is_url(text) {
            return Ok(Self::Local(PathBuf::from(text)));
        }
        let input = |reason: String| StageError::Input { path: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|error| input(format!("is no URL: {error}")))?;
        match url.scheme() {
            "s3" | "gs" | "https" | "http" => Ok(Self::Remote(url)),
            other => {
                Err(input(format!("`{other}://` is not read; expected a path, s3://, gs:// or https://")))
            }
        }
    }

    /// The path, if it is on this machine.
    pub fn local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Remote(_) => None,
        }
    }

    /// Its parts from the outermost folder to the name.
    pub(in crate::sources) fn parts(&self) -> Vec<String> {
        match self {
            Self::Local(path) => path.iter().map(|part| part.to_string_lossy().into_owned()).collect(),
            Self::Remote(url) => {
                let host = url.host_str().unwrap_or_default().to_owned();
                let path = url.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned);
                std::iter::once(host).chain(path).collect()
            }
        }
    }

    /// Its last part.
    pub fn name(&self) -> String {
        self.parts().pop().unwrap_or_default()
    }

    pub(in crate::sources) fn is_folder(&self) -> bool {
        self.local().is_some_and(Path::is_dir)
    }

    /// Opens the file, to look at it.
    ///
    /// # Errors
    /// It does not exist or cannot be read.
    pub(in crate::sources) fn open(&self) -> io::Result<Box<dyn ReadSeek>> {
        self.open_watched(&Faults::default())
    }

    /// Opens the file, and notes what fails.
    ///
    /// # Errors
    /// As [`Location::open`].
    pub(in crate::sources) fn open_watched(&self, faults: &Faults) -> io::Result<Box<dyn ReadSeek>> {
        Ok(match self {
            Self::Local(path) => Box::new(Watched::new(faults.note(File::open(path))?, faults)),
            Self::Remote(url) => Box::new(Watched::new(faults.note(RemoteFile::open(url))?, faults)),
        })
    }

    pub(in crate::sources) fn failed(&self, reason: impl fmt::Display) -> StageError {
        StageError::Input { path: self.to_string(), reason: reason.to_string() }
    }
}

/// Whether `text` is meant as a URL.
pub fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
    })
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Remote(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        for (text, parts) in [
            ("a/b.zst", "a b.zst"),
            ("C:/x", "C: x"),
            ("s3://bucket/a/b.zst", "bucket a b.zst"),
            ("https://host.example/x%20y.gz", "host.example x%20y.gz"),
        ] {
            assert_eq!(Location::parse(text).unwrap().parts().join(" "), parts, "{text}");
            assert_eq!(Location::parse(text).unwrap().to_string(), text);
        }
        let error = Location::parse("ftp://host/file").unwrap_err().to_string();
        assert!(error.contains("`ftp://` is not read; expected a path, s3://"), "{error}");
    }
}
