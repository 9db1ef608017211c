//! Published indexes: the signatures of the texts that stayed, in a folder of their own.
//!
//! ```text
//! known/2024-11/rows.parquet      one row a text, in order of digest
//!               manifest.json     what they were made from
//! ```
//!
//! The folder gets its name when both are written: it is there as a whole, or not at all.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use datafusion::arrow::array::AsArray as _;
use datafusion::common::JoinType;
use datafusion::prelude::{SessionContext, col, lit};
use futures::StreamExt as _;
use genome_schemas::{Component, FingerprintHasher, Manifest, Outcome, text_index};
use genome_stages::StageConfig;
use genome_stages::dedup::{Dedup, index_columns, place};

use crate::config::Project;
use crate::outside::no_index;
use crate::plan::Planned;
use crate::progress::Task;
use crate::run::artifact_rows;
use crate::store::{self, commit_manifest, read_manifest};

/// Label of the digest of the rows in the manifest of an index.
const CONTENT: &str = "content";

/// Publishes the indexes that a config asks for, unless those that are there are of the same texts.
///
/// # Errors
/// An artifact is damaged, or the disk refuses; then an older index stays as it was.
pub async fn publish(session: &SessionContext, project: &Project, planned: &[Planned]) -> Result<()> {
    for this in planned.iter().filter(|this| !this.segment.is_index) {
        for stage in &this.segment.stages {
            if let StageConfig::Dedup(dedup) = &project.config.stages[*stage]
                && let Some(folder) = &dedup.publish
            {
                let folder = project.resolve(folder);
                publish_one(session, project, planned, this, dedup, &folder)
                    .await
                    .with_context(|| format!("while publishing {}", folder.display()))?;
            }
        }
    }
    Ok(())
}

async fn publish_one(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    this: &Planned,
    dedup: &Dedup,
    folder: &Path,
) -> Result<()> {
    let mut components: Vec<Component> = comparable(project, dedup)?
        .into_iter()
        .map(|(label, value)| Component { label: label.to_owned(), value })
        .collect();
    let mut fingerprint = FingerprintHasher::new("genome text index");
    fingerprint.part("artifact", this.fingerprint.as_str());
    let fingerprint = fingerprint.finish();
    if read_manifest(folder)?.is_some_and(|manifest| manifest.fingerprint == fingerprint) {
        return Ok(());
    }
    let started = Instant::now();
    let task = Task::begin("text index", 0);
    let of = |name: &str| this.joins.get(name).and_then(|holders| holders.first());
    let signatures = of(genome_schemas::signatures().name)
        .ok_or_else(|| anyhow!("internal error: {} has no index", this.segment.name))?;
    let signatures = artifact_rows(session, project, &planned[*signatures], Some(&["kept"])).await?;
    let repeats = [Outcome::ExactDuplicate, Outcome::NearDuplicate].map(Outcome::as_str);
    let left = artifact_rows(session, project, this, Some(&repeats)).await?;
    let left = left.filter(col("stage").eq(lit("dedup")))?.select(vec![place().alias("__left")])?;
    let texts = signatures.filter(col("digest").is_not_null())?;
    let staying = texts.join(left, JoinType::LeftAnti, &["row"], &["__left"], None)?;
    if let Some(problem) = not_replaceable(folder)? {
        return Err(anyhow!(problem));
    }
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let building = store::build_sorted(staying.select(index_columns())?, "digest", folder).await?;
    let content = digest(session, building.place()).await?;
    components.push(Component { label: CONTENT.to_owned(), value: content });
    let rows = building.rows();
    let table = text_index();
    let manifest = Manifest {
        fingerprint,
        table: table.name.to_owned(),
        stages: vec!["dedup".to_owned()],
        components,
        rows: BTreeMap::from([("kept".to_owned(), rows)]),
        rows_read: BTreeMap::new(),
        files: Vec::new(),
        seconds: started.elapsed().as_secs_f64(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    commit_manifest(building.place(), &manifest)?;
    building.commit()?;
    task.end(&format!("{rows} texts in {}", folder.display()));
    Ok(())
}

/// Digest of which texts are in an index, whatever the file they are in looks like.
async fn digest(session: &SessionContext, folder: &Path) -> Result<String> {
    let rows = store::read_plain(session, folder).await?.select(vec![col("digest"), col("key")])?;
    let mut rows = rows.sort(vec![col("digest").sort(true, false)])?.execute_stream().await?;
    let mut hasher = blake3::Hasher::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let column = |at: usize| {
            let wrong = || anyhow!("internal error: an index should have keys");
            batch.column(at).as_fixed_size_binary_opt().ok_or_else(wrong)
        };
        let (digests, keys) = (column(0)?, column(1)?);
        for row in 0..batch.num_rows() {
            hasher.update(digests.value(row)).update(keys.value(row));
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// What two runs must have in common so that their texts can be compared, by the label in the manifest.
///
/// The author secret is one of them: readers put pseudonyms in the places of names that texts mention.
///
/// # Errors
/// There is no author secret.
pub fn comparable(project: &Project, dedup: &Dedup) -> Result<Vec<(&'static str, String)>> {
    let secret = project.author_fingerprint()?;
    Ok(vec![
        ("config:settings of dedup", dedup.comparable()?),
        ("config:pseudonyms", format!("of the author secret with fingerprint {}", secret.short())),
    ])
}

/// Why a folder may not be replaced by an index: something else is in it.
///
/// # Errors
/// It cannot be read.
pub fn not_replaceable(folder: &Path) -> Result<Option<String>> {
    let is_index =
        || Ok::<_, anyhow::Error>(read_manifest(folder)?.is_some_and(|m| m.table == text_index().name));
    let is_free = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none() || is_index()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(_) => false,
    };
    Ok((!is_free)
        .then(|| format!("{} holds something that is no index, and would be replaced", folder.display())))
}

/// Digest of the rows of a published index.
///
/// # Errors
/// There is none.
pub fn content(folder: &Path) -> Result<String> {
    let manifest = read_manifest(folder)?.filter(|manifest| manifest.table == text_index().name);
    let manifest = manifest.ok_or_else(|| no_index(folder))?;
    let content = manifest.components.into_iter().find(|component| component.label == CONTENT);
    Ok(content.ok_or_else(|| no_index(folder))?.value)
}

#[cfg(test)]
mod tests {
    use genome_stages::dedup::{Across, Exact};

    use super::*;
    use crate::config::Config;

    fn project(secret: &str) -> Project {
        let config = format!("[store]\npath = \"store\"\n[authors]\nkey = \"{secret}\"\n");
        let config: Config = toml::from_str(&config).unwrap();
        Project { config, path: "genome.toml".into(), model_override: None }
    }

    #[test]
    fn texts_with_names_are_compared_under_one_secret() {
        for (exact, across) in [
            (Exact::Normalized, Across::All),
            (Exact::Raw, Across::Platform),
            (Exact::WithoutLinks, Across::All),
            (Exact::WithoutLinks, Across::Author),
        ] {
            let dedup = Dedup { exact, across, ..Dedup::default() };
            let [one, same, other] =
                ["one", "one", "other"].map(|secret| comparable(&project(secret), &dedup).unwrap());
            assert_eq!(one, same);
            assert_ne!(one, other, "{exact:?} {across:?}");
        }
    }
}
