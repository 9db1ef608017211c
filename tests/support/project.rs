//! A config with its store in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::ledger::accounts_for_everything;
use super::program::{self, Ran};
use super::{root, toy::toy_model};

/// A folder with a config `genome.toml`.
#[derive(Debug)]
pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    /// A project with this config, in which `<root>`, `<toy>` and `<sha256>` are filled in.
    pub(crate) fn new(config: &str) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        project.set_config(config);
        project
    }

    /// Another config.
    pub(crate) fn set_config(&self, config: &str) {
        let mut config = config.replace("<root>", &root().display().to_string());
        if config.contains("<toy>") {
            let toy = toy_model();
            config =
                config.replace("<toy>", &toy.path.display().to_string()).replace("<sha256>", &toy.sha256);
        }
        self.write("genome.toml", config);
    }

    /// Another config, which is the present one with `from` replaced by `to`.
    pub(crate) fn change_config(&self, from: &str, to: &str) {
        let config = self.config();
        assert!(config.contains(from), "the config has no `{from}`");
        self.write("genome.toml", config.replace(from, to));
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.path("genome.toml")).unwrap()
    }

    /// A path in the project's folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file, and the folders it needs.
    pub(crate) fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A command line of the program, run in the project's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        program::command(self.folder.path(), arguments)
    }

    /// Runs the program in the project's folder. Whenever that is a run to its end, the ledger accounts for every record.
    #[track_caller]
    pub(crate) fn genome(&self, arguments: &[&str]) -> Ran {
        let ran = program::finish(self.command(arguments));
        let is_run = arguments.first() == Some(&"run") && !arguments.contains(&"--help");
        if is_run && ran.code == Some(0) {
            let config: toml::Table = toml::from_str(&self.config()).unwrap();
            accounts_for_everything(&self.path(config["store"]["path"].as_str().unwrap()));
        }
        ran
    }

    /// The artifact of a segment: the only folder in the store with a manifest whose name starts with `name`.
    #[track_caller]
    pub(crate) fn artifact(&self, table: &str, name: &str) -> PathBuf {
        let folders = self.artifacts(table, name);
        assert_eq!(folders.len(), 1, "{table}/{name}: {folders:?}");
        folders.into_iter().next().unwrap()
    }

    /// Folders in the store whose name starts with `name`, in order.
    pub(crate) fn artifacts(&self, table: &str, name: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.path("store").join(table)) else { return Vec::new() };
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| {
            path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&format!("{name}-")))
        });
        folders.sort();
        folders
    }

    /// Manifests in the store, as paths relative to it.
    pub(crate) fn manifests(&self) -> Vec<String> {
        if !self.path("store").is_dir() {
            return Vec::new();
        }
        let relative = |path: &Path| path.strip_prefix(self.path("store")).unwrap().display().to_string();
        super::files(&self.path("store"), "manifest.json").iter().map(|path| relative(path)).collect()
    }

    /// `checksums.txt` of the shards.
    pub(crate) fn checksums(&self) -> String {
        std::fs::read_to_string(self.path("shards/checksums.txt")).unwrap()
    }
}
