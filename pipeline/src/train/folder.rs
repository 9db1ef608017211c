//! The folder of an adapter: written as a whole, replaced as a whole.
//!
//! ```text
//! adapter_config.json         what PEFT reads
//! adapter_model.safetensors
//! training.json               what it was trained with, and how it went
//! state/                      what a run needs to go on: weights, moments, number of steps
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use genome_kernels::KernelError;
use genome_kernels::llm::decoder::Adapter;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{Identity, Record};
use crate::error::Hinted;
use crate::store::write_atomically;

const RECORD_FILE: &str = "training.json";
const STATE_FOLDER: &str = "state";

/// Where an adapter is, or will be.
#[derive(Debug)]
pub(super) struct AdapterFolder {
    path: PathBuf,
    /// Where the old folder waits while the new one gets its name.
    aside: PathBuf,
}

impl AdapterFolder {
    /// The folder at `path`, put back if a run was stopped while it replaced it.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let name = path.file_name().ok_or_else(|| anyhow!("{} is no name for an adapter", path.display()))?;
        let aside = path.with_file_name(format!(".{}.old.genome-tmp", name.to_string_lossy()));
        if aside.exists() {
            if path.exists() {
                fs::remove_dir_all(&aside).with_context(|| format!("cannot remove {}", aside.display()))?;
            } else {
                fs::rename(&aside, path).with_context(|| format!("cannot restore {}", path.display()))?;
            }
        }
        Ok(Self { path: path.to_path_buf(), aside })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The trainer's state.
    pub(super) fn state(&self) -> PathBuf {
        self.path.join(STATE_FOLDER)
    }

    /// What an earlier run of the same identity did, if there was one.
    ///
    /// # Errors
    /// The folder holds something else, or what another config made.
    pub(super) fn earlier<S: Serialize + DeserializeOwned>(
        &self,
        identity: &Identity,
    ) -> Result<Option<Record<S>>> {
        let another = "name another folder with --output, or remove this one";
        let record = self.path.join(RECORD_FILE);
        if !record.exists() {
            let is_empty = match fs::read_dir(&self.path) {
                Ok(mut entries) => entries.next().is_none(),
                Err(_) => !self.path.exists(),
            };
            if is_empty {
                return Ok(None);
            }
            let message =
                format!("{} holds something that `genome train` did not write", self.path.display());
            return Err(Hinted::new(message, another).into());
        }
        let text =
            fs::read_to_string(&record).with_context(|| format!("cannot read {}", record.display()))?;
        let older: Identity = serde_json::from_str(&text).with_context(|| record.display().to_string())?;
        let differences = identity.differences(&older);
        if !differences.is_empty() {
            let message = format!(
                "{} was trained with another config: {}",
                self.path.display(),
                differences.join("; ")
            );
            return Err(Hinted::new(message, another).into());
        }
        Ok(Some(serde_json::from_str(&text).with_context(|| record.display().to_string())?))
    }

    /// Writes everything anew. If that fails the folder stays as it was.
    pub(super) fn commit<S: Serialize + DeserializeOwned>(
        &self,
        adapter: &Adapter,
        record: &Record<S>,
        save_state: impl FnOnce(&Path) -> Result<(), KernelError>,
    ) -> Result<()> {
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let failed = || format!("cannot write the adapter {}", self.path.display());
        fs::create_dir_all(parent).with_context(failed)?;
        let temporary = tempfile::Builder::new()
            .prefix(".adapter-")
            .suffix(".genome-tmp")
            .tempdir_in(parent)
            .with_context(failed)?;
        adapter.save(temporary.path()).with_context(failed)?;
        let state = temporary.path().join(STATE_FOLDER);
        fs::create_dir(&state).with_context(failed)?;
        save_state(&state).with_context(failed)?;
        write_atomically(&temporary.path().join(RECORD_FILE), record.to_json()?.as_bytes())
            .with_context(failed)?;
        open_to_others(temporary.path()).with_context(failed)?;
        let had_old = self.path.exists();
        if had_old {
            fs::rename(&self.path, &self.aside).with_context(failed)?;
        }
        if let Err(error) = fs::rename(temporary.path(), &self.path) {
            if had_old {
                fs::rename(&self.aside, &self.path).with_context(failed)?;
            }
            return Err(error).with_context(failed);
        }
        let _ = temporary.keep();
        if had_old {
            fs::remove_dir_all(&self.aside).with_context(failed)?;
        }
        Ok(())
    }
}

/// Temporary folders are their owner's alone; an adapter is a result like any other.
#[cfg(unix)]
fn open_to_others(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn open_to_others(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn identity() -> Identity {
        Identity {
            method: "sft".into(),
            model: "tiny".into(),
            model_sha256: "a".repeat(64),
            shards: BTreeMap::new(),
            config: serde_json::json!({"sft": {"batch": 4}}),
        }
    }

    fn adapter() -> Adapter {
        Adapter {
            rank: 1,
            alpha: 1.0,
            targets: Vec::new(),
            base_model: "tiny".into(),
            base_digest: String::new(),
            factors: BTreeMap::new(),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn scratch() -> (tempfile::TempDir, AdapterFolder) {
        let parent = tempfile::tempdir().unwrap();
        let folder = AdapterFolder::new(&parent.path().join("a/b/sft")).unwrap();
        (parent, folder)
    }

    #[test]
    fn what_was_committed_is_found_again_and_nothing_else_is_left() {
        let (_parent, folder) = scratch();
        assert_eq!(folder.earlier::<u8>(&identity()).unwrap(), None);
        let mut record = Record::<u8>::new(identity());
        for steps in [1, 2] {
            record.steps = steps;
            record.table.push(7);
            folder.commit(&adapter(), &record, |_| Ok(())).unwrap();
            assert_eq!(folder.earlier(&identity()).unwrap(), Some(record.clone()));
        }
        assert_eq!(names(folder.path().parent().unwrap()), ["sft"]);
        let files = ["adapter_config.json", "adapter_model.safetensors", "state", "training.json"];
        assert_eq!(names(folder.path()), files);
    }

    #[test]
    fn a_failure_leaves_the_folder_as_it_was() {
        let (_parent, folder) = scratch();
        let record = Record::<u8>::new(identity());
        folder.commit(&adapter(), &record, |_| Ok(())).unwrap();
        let later = Record { steps: 9, ..record.clone() };
        let failed = folder.commit(&adapter(), &later, |_| Err(KernelError::Argument("no space".into())));
        assert!(format!("{:#}", failed.unwrap_err()).contains("no space"));
        assert_eq!(folder.earlier(&identity()).unwrap(), Some(record));
        assert_eq!(names(folder.path().parent().unwrap()), ["sft"]);
    }

    #[test]
    fn a_run_that_was_stopped_between_the_renames_loses_nothing() {
        let (_parent, folder) = scratch();
        let record = Record::<u8>::new(identity());
        folder.commit(&adapter(), &record, |_| Ok(())).unwrap();
        fs::rename(folder.path(), &folder.aside).unwrap();
        let again = AdapterFolder::new(folder.path()).unwrap();
        assert_eq!(again.earlier(&identity()).unwrap(), Some(record));
    }

    #[test]
    fn another_config_and_another_s_files_are_refused() {
        let (_parent, folder) = scratch();
        fs::create_dir_all(folder.path()).unwrap();
        assert_eq!(folder.earlier::<u8>(&identity()).unwrap(), None, "an empty folder is as good as none");
        folder.commit(&adapter(), &Record::<u8>::new(identity()), |_| Ok(())).unwrap();
        let other = Identity { config: serde_json::json!({"sft": {"batch": 8}}), ..identity() };
        let error = crate::error::describe(&folder.earlier::<u8>(&other).unwrap_err());
        assert!(
            error.contains("sft.batch was 4, is 8") && error.contains("hint: name another folder"),
            "{error}"
        );
        fs::remove_file(folder.path().join(RECORD_FILE)).unwrap();
        let error = folder.earlier::<u8>(&identity()).unwrap_err().to_string();
        assert!(error.contains("did not write"), "{error}");
    }
}
