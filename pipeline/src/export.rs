//! The last step of a run: kept examples in key order become shards.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use datafusion::prelude::{SessionContext, col};
use futures::StreamExt as _;
use genome_schemas::{Fingerprint, FingerprintHasher};
use genome_stages::StageConfig;

use crate::config::{Project, ShardsConfig};
use crate::ledger::{Which, whole_table};
use crate::plan::Planned;
use crate::progress::Task;
use crate::report;
use crate::shards::{CardFacts, ModelFacts, ModelRole, ShardConfig, ShardWriter, SourceFacts};

/// File of a shard folder that holds its card.
const CARD: &str = "README.md";

/// Writes the shards of a config that wants some, unless those that are there were cut from the same examples.
///
/// # Errors
/// No stage writes examples, or the disk refuses; then an older folder stays as it was.
pub async fn write_shards(session: &SessionContext, project: &Project, planned: &[Planned]) -> Result<()> {
    let Some(shards) = &project.config.shards else { return Ok(()) };
    let examples: Vec<&Planned> = planned.iter().filter(|p| p.segment.output.name == "examples").collect();
    if examples.is_empty() {
        return Err(anyhow!("[shards] needs a stage that writes `examples`, such as compose"));
    }
    let fingerprint = fingerprint(&examples, shards);
    if is_current(&shards.path, &fingerprint) {
        return Ok(());
    }
    let task = Task::begin("shards", 0);
    let rows = whole_table(session, project, planned, "examples", Which::Kept).await?;
    let rows = rows.ok_or_else(|| anyhow!("internal error: no examples"))?;
    let order = ["key", "form", "task"].map(|name| col(name).sort(true, false)).to_vec();
    let mut stream = rows.sort(order)?.execute_stream().await?;
    if let Some(parent) = shards.path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let config = ShardConfig { rows_per_shard: shards.rows_per_shard };
    let mut writer = ShardWriter::create(&shards.path, config)?;
    while let Some(batch) = stream.next().await {
        writer.push(&batch?)?;
    }
    let facts = facts(session, project, planned, &fingerprint).await?;
    let summary = writer.finish(&facts)?;
    let rows: u64 = summary.counts.iter().map(|count| count.rows).sum();
    task.end(&format!("{rows} examples in {}", shards.path.display()));
    Ok(())
}

/// Where a model came from, without a path of the machine it was used on.
fn origin(source: &str) -> String {
    if source.starts_with("file:") { "a local file".to_owned() } else { source.to_owned() }
}

fn fingerprint(examples: &[&Planned], shards: &ShardsConfig) -> Fingerprint {
    let mut hasher = FingerprintHasher::new("genome shards");
    hasher.part("rows", shards.rows_per_shard.to_string()).part("name", &shards.name);
    for this in examples {
        hasher.part("examples", this.fingerprint.as_str());
    }
    hasher.finish()
}

fn is_current(folder: &Path, fingerprint: &Fingerprint) -> bool {
    std::fs::read_to_string(folder.join(CARD)).is_ok_and(|card| card.contains(fingerprint.as_str()))
}

/// What the card says beside the rows themselves.
async fn facts(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    fingerprint: &Fingerprint,
) -> Result<CardFacts> {
    let funnels = report::sources(session, project, planned).await?;
    let mut sources = Vec::new();
    for source in &project.config.sources {
        if let Some(counts) = funnels.iter().find(|r| r.source == source.name) {
            sources.push(SourceFacts {
                name: source.name.clone(),
                platform: source.platform,
                records: counts.records,
                kept: counts.kept,
            });
        }
    }
    let mut models: BTreeMap<(String, &str), ModelFacts> = BTreeMap::new();
    for stage in &project.config.stages {
        let (name, role) = match stage {
            StageConfig::Synthesize(stage) => (&stage.model, ModelRole::Generator),
            StageConfig::Judge(stage) => (&stage.model, ModelRole::Judge),
            StageConfig::Embed(stage) => (&stage.model, ModelRole::Encoder),
            _ => continue,
        };
        let label = role.as_str();
        // Where a server stands is nobody's business.
        let facts = if let Some(endpoint) = project.config.endpoints.get(name) {
            ModelFacts {
                name: name.clone(),
                role,
                origin: format!("`{}`, behind an endpoint", endpoint.model),
                sha256: format!("unknown (`{}`)", endpoint.model),
                license: None,
            }
        } else {
            let model = project.model(name)?;
            ModelFacts {
                name: name.clone(),
                role,
                origin: origin(&model.source.to_string()),
                sha256: model.sha256.as_str().to_owned(),
                license: model.license,
            }
        };
        models.insert((name.clone(), label), facts);
    }
    let steps = planned.iter().map(|p| format!("`{}` → table `{}`", p.segment.name, p.segment.output.name));
    Ok(CardFacts {
        title: project.config.shards.as_ref().map(|s| s.name.clone()).unwrap_or_default(),
        description:
            "Training examples for models of individual people: what they wrote, what it answers, and what \
                      a local model synthesized about them, each row traceable to its events."
                .to_owned(),
        sources,
        models: models.into_values().collect(),
        steps: steps.collect(),
        limits: report::remarks(project),
        languages: Vec::new(),
        license: String::new(),
        fingerprint: Some(fingerprint.to_string()),
    })
}
