//! What stages read beside the dumps: published indexes, lists of hashes, evaluation sets.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arrow::array::{FixedSizeBinaryBuilder, RecordBatch};
use datafusion::prelude::SessionContext;
use genome_stages::dedup::{Dedup, Known, hash_list, index_columns};
use genome_stages::sources::read_evaluation_set;
use genome_stages::{Outside, Stage, StageConfig, StageContext};

use crate::config::Project;
use crate::error::Hinted;
use crate::plan::digest;
use crate::store::{self, read_manifest};
use crate::text_index;

/// Digests of everything that the stages of a config read beside the dumps, by path as the config has it.
///
/// # Errors
/// Something is not there or cannot be read.
pub fn digests(project: &Project) -> Result<BTreeMap<PathBuf, String>> {
    let mut digests = BTreeMap::new();
    for config in &project.config.stages {
        for outside in config.stage().outside() {
            let path = project.resolve(outside.path());
            let digest = match outside {
                Outside::Known(Known::Index(_)) => text_index::content(&path)?,
                Outside::Known(_) | Outside::Evaluation(_) => digest(&path)?,
            };
            digests.insert(outside.path().to_path_buf(), digest);
        }
    }
    Ok(digests)
}

/// What is wrong with the indexes that a stage knows: texts of which other things were looked at cannot be compared.
///
/// # Errors
/// An index is damaged, or there is no author secret where one matters.
pub fn problems(project: &Project, dedup: &Dedup) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    if let Some(folder) = &dedup.publish {
        let place = project.resolve(folder);
        problems.extend(text_index::not_replaceable(&place)?);
        let is_known = |known: &Known| project.resolve(known.path()) == place;
        if dedup.known.iter().any(is_known) {
            problems.push(format!(
                "{} is known and would be replaced by what stays beside it: publish to another folder",
                folder.display()
            ));
        }
        let others = project.config.stages.iter().filter_map(|stage| match stage {
            StageConfig::Dedup(other) => other.publish.as_ref(),
            _ => None,
        });
        if others.filter(|other| project.resolve(other) == place).count() > 1 {
            problems.push(format!("two stages publish to {}", folder.display()));
        }
    }
    for known in &dedup.known {
        if let Known::Index(path) = known
            && let Some(manifest) = read_manifest(&project.resolve(path))?
        {
            for (what, ours) in text_index::comparable(project, dedup)? {
                let theirs = manifest.components.iter().find(|component| component.label == what);
                let theirs = theirs.map_or("nothing", |component| component.value.as_str());
                if theirs != ours {
                    let what = what.trim_start_matches("config:");
                    problems.push(format!(
                        "the index {} cannot be compared with: its {what} are {theirs}, this config's {ours}",
                        path.display()
                    ));
                }
            }
        }
    }
    Ok(problems)
}

/// Puts what a stage reads beside the dumps into its context.
///
/// # Errors
/// Something is not there, or not what it should be.
pub async fn read(
    session: &SessionContext,
    project: &Project,
    stage: &dyn Stage,
    cx: &mut StageContext,
) -> Result<()> {
    for outside in stage.outside() {
        let path = project.resolve(outside.path());
        match outside {
            Outside::Known(known) => {
                let rows = match known {
                    Known::Index(_) => store::read_plain(session, &path).await?.select(index_columns())?,
                    Known::Sha256(_) | Known::Blake3(_) => session.read_batch(hashes(&path)?)?,
                };
                cx.tables.insert(known.table_name(), rows);
            }
            Outside::Evaluation(set) => {
                let texts = read_evaluation_set(&path.to_string_lossy(), &set.fields)?;
                cx.evaluations.insert(set.clone(), Arc::new(texts));
            }
        }
    }
    Ok(())
}

/// The digests of a file that has one a line.
fn hashes(path: &Path) -> Result<RecordBatch> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut out = FixedSizeBinaryBuilder::new(32);
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| format!("cannot read line {number} of {}", path.display()))?;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        // Hashes of all kinds are written alike.
        let hash = blake3::Hash::from_hex(line).map_err(|_| {
            Hinted::new(
                format!("line {number} of {} is no digest of 32 bytes", path.display()),
                "write 64 hexadecimal digits a line",
            )
        })?;
        out.append_value(hash.as_bytes())?;
    }
    Ok(RecordBatch::try_new(hash_list(), vec![Arc::new(out.finish())])?)
}

/// The manifest of an index, or what to do where there is none.
pub(crate) fn no_index(path: &Path) -> anyhow::Error {
    let message = format!("there is no index in {}", path.display());
    let hint =
        "let the run whose texts are known write it: add `dedup.publish` with that folder to its config";
    anyhow!(Hinted::new(message, hint))
}
