//! What both trainers are given: model, shards, folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use genome_kernels::llm::decoder::ModelFiles;
use genome_kernels::llm::device::DeviceKind;

use super::config::TrainConfig;
use super::folder::AdapterFolder;
use crate::cli::TrainRunArgs;
use crate::config::Project;
use crate::engines::Engines;
use crate::error::Hinted;
use crate::shards::{CHECKSUMS_FILE, Form};

/// The base model.
#[derive(Debug, Clone)]
pub(super) struct ModelFile {
    pub(super) name: String,
    pub(super) files: ModelFiles,
    pub(super) sha256: String,
    pub(super) device: DeviceKind,
}

/// What a training run is given.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    pub(super) config: &'a TrainConfig,
    pub(super) model: ModelFile,
    /// Folder of the shards.
    pub(super) shards: PathBuf,
    /// Names and SHA-256 of its shards of the form that is learnt from.
    pub(super) checksums: BTreeMap<String, String>,
    pub(super) folder: AdapterFolder,
}

impl<'a> Setup<'a> {
    /// Checks the config, fetches the model and looks at the folders.
    pub(super) fn new(
        project: &'a Project,
        args: &TrainRunArgs,
        engines: &Engines,
        (form, subfolder): (Form, &str),
    ) -> Result<Self> {
        let config = &project.config.train;
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(anyhow!("{}: {}", project.path.display(), problems.join("\n  also: ")));
        }
        let shards = config.shards.as_ref().or(project.config.shards.as_ref().map(|shards| &shards.path));
        let shards = shards.ok_or_else(|| {
            Hinted::new(
                "the config names no shards to train on",
                "add `[shards]` with `path`, or train.shards",
            )
        })?;
        let checksums = shard_checksums(shards, form)?;
        let output = args.output.clone().unwrap_or_else(|| config.output.join(subfolder));
        let folder = AdapterFolder::new(&output)?;
        let model = project.model(&config.model)?;
        let model = ModelFile {
            name: config.model.clone(),
            files: engines.files(&config.model)?,
            sha256: model.sha256.as_str().to_owned(),
            device: model.device,
        };
        Ok(Self { config, model, shards: shards.clone(), checksums, folder })
    }
}

/// Names and checksums of the Parquet shards of a form.
fn shard_checksums(folder: &Path, form: Form) -> Result<BTreeMap<String, String>> {
    let hint = "`genome run` with this config writes its shards";
    let path = folder.join(CHECKSUMS_FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Hinted::new(format!("there are no shards: cannot read {}: {error}", path.display()), hint)
    })?;
    let prefix = format!("{form}-");
    let named = text.lines().filter_map(|line| line.split_once("  "));
    let wanted = named.filter(|(_, name)| name.starts_with(&prefix) && name.ends_with(".parquet"));
    let shards: BTreeMap<_, _> = wanted.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect();
    if shards.is_empty() {
        let message = format!("{} has no {form} rows to learn from", folder.display());
        return Err(Hinted::new(message, "let stage `compose` of the config make such examples").into());
    }
    Ok(shards)
}
