//! The last step of a run: kept examples in key order become shards.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use datafusion::prelude::{SessionContext, col};
use futures::StreamExt as _;
use genome_schemas::{Fingerprint, FingerprintHasher};
use genome_stages::StageConfig;
use genome_stages::synthesis::AnswerLeaks;

use crate::config::{Project, ShardsConfig};
use crate::ledger::{Which, whole_table};
use crate::plan::Planned;
use crate::progress::Task;
use crate::report;
use crate::shards::{
    CARD_FILE, CardFacts, ModelFacts, ModelRole, SHARDS_VERSION, ShardConfig, ShardWriter, SourceFacts,
    is_complete,
};

/// Writes the shards of a config that wants some, unless those that are there were made from the same.
///
/// # Errors
/// An artifact is damaged, or the disk refuses; then an older folder stays as it was.
pub async fn write_shards(session: &SessionContext, project: &Project, planned: &[Planned]) -> Result<()> {
    let Some(shards) = &project.config.shards else { return Ok(()) };
    let mut facts = facts(project, shards, planned)?;
    let examples = planned.iter().filter(|p| p.segment.output.name == "examples");
    let fingerprint = fingerprint(examples.map(|p| &p.fingerprint), shards, &facts)?;
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
    facts.sources = sources(session, project, planned).await?;
    facts.fingerprint = Some(fingerprint.to_string());
    let summary = writer.finish(&facts)?;
    let rows: u64 = summary.counts.iter().map(|count| count.rows).sum();
    let digest = summary.digest.get(..16).unwrap_or(&summary.digest);
    task.end(&format!("{rows} examples in {}, checksums.txt has SHA-256 {digest}…", shards.path.display()));
    Ok(())
}

/// Where a model came from, without a path of the machine it was used on.
fn origin(source: &str) -> String {
    if source.starts_with("file:") { "a local file".to_owned() } else { source.to_owned() }
}

/// Fingerprint of what decides the files of a shard folder: the examples, how they are cut, and all that the card says
/// beside the counts of the sources, which follow from the examples.
fn fingerprint<'a>(
    examples: impl Iterator<Item = &'a Fingerprint>,
    shards: &ShardsConfig,
    facts: &CardFacts,
) -> Result<Fingerprint> {
    let mut hasher = FingerprintHasher::new("genome shards");
    hasher.part("version", SHARDS_VERSION.to_string()).part("rows", shards.rows_per_shard.to_string());
    hasher.part("card", serde_json::to_string(facts)?);
    for artifact in examples {
        hasher.part("examples", artifact.as_str());
    }
    Ok(hasher.finish())
}

/// Whether a folder has this fingerprint on its card, and every file that it lists.
fn is_current(folder: &Path, fingerprint: &Fingerprint) -> bool {
    let card = std::fs::read_to_string(folder.join(CARD_FILE));
    card.is_ok_and(|card| card.contains(fingerprint.as_str())) && is_complete(folder)
}

/// What the card says beside the rows themselves, but for the sources and the fingerprint.
fn facts(project: &Project, shards: &ShardsConfig, planned: &[Planned]) -> Result<CardFacts> {
    let steps = planned.iter().map(|p| format!("`{}` → table `{}`", p.segment.name, p.segment.output.name));
    Ok(CardFacts {
        title: shards.name.clone(),
        description:
            "Training examples for models of individual people: what they wrote, what it answers, and what \
                      a local model synthesized about them, each row traceable to its events."
                .to_owned(),
        models: models(project)?,
        steps: steps.collect(),
        limits: report::remarks(project),
        ..CardFacts::default()
    })
}

/// Records and kept events of each source.
async fn sources(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
) -> Result<Vec<SourceFacts>> {
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
    Ok(sources)
}

/// The models that wrote, judged or compared, each once for all that it did in one role.
fn models(project: &Project) -> Result<Vec<ModelFacts>> {
    let mut models: BTreeMap<(String, &str), ModelFacts> = BTreeMap::new();
    for stage in &project.config.stages {
        let (name, role) = match stage {
            StageConfig::Synthesize(stage) => (&stage.model, ModelRole::Generator),
            StageConfig::Judge(stage) => (&stage.model, ModelRole::Judge),
            StageConfig::ScoreTrace(stage) => (&stage.model, ModelRole::Judge),
            StageConfig::Embed(stage) => (&stage.model, ModelRole::Encoder),
            StageConfig::AnswerLeaks(AnswerLeaks { model: Some(model), .. }) => (model, ModelRole::Encoder),
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
    Ok(models.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        let text = r#"
            store.path = "store"
            shards.path = "shards"
            [[stage]]
            synthesize = { recipe = "inner_thought", over = "events", model = "qwen2.5-coder-1.5b" }
            [[stage]]
            answer_leaks = { recipe = "inner_thought", model = "all-minilm-l6-v2" }
            [[stage]]
            score_trace = { recipe = "inner_thought", field = "thought", model = "smollm2-135m" }
        "#;
        let config = toml::from_str(text).unwrap();
        Project { config, path: "genome.toml".into(), model_override: None }
    }

    #[test]
    fn every_model_that_wrote_judged_or_compared_is_named() {
        let models = models(&project()).unwrap();
        let named: Vec<(&str, ModelRole)> = models.iter().map(|m| (m.name.as_str(), m.role)).collect();
        let expected = [
            ("all-minilm-l6-v2", ModelRole::Encoder),
            ("qwen2.5-coder-1.5b", ModelRole::Generator),
            ("smollm2-135m", ModelRole::Judge),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn shards_are_known_by_the_examples_and_by_what_the_card_says() {
        let project = project();
        let shards = project.config.shards.clone().unwrap();
        let card = facts(&project, &shards, &[]).unwrap();
        let artifact = |name: &str| FingerprintHasher::new(name).finish();
        let of = |examples: &[Fingerprint], shards: &ShardsConfig, card: &CardFacts| {
            fingerprint(examples.iter(), shards, card).unwrap()
        };
        let examples = [artifact("a")];
        let known = of(&examples, &shards, &card);
        assert_eq!(known, of(&examples, &shards, &card));
        let fewer = ShardsConfig { rows_per_shard: 2, ..shards.clone() };
        let mut other_license = card.clone();
        other_license.models[0].license = Some("MIT".to_owned());
        for other in [
            of(&[artifact("b")], &shards, &card),
            of(&examples, &fewer, &card),
            of(&examples, &shards, &other_license),
        ] {
            assert_ne!(known, other);
        }
    }
}
