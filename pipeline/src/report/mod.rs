//! The report: where every record went. Counts are queries over the ledger and over the artifacts of other tables.

mod answers;
mod comparison;
mod funnel;
mod text;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{DataFrame, SessionContext, cast, coalesce, col, lit};
use genome_schemas::{FileCount, Freshness, Lost};
use genome_stages::StageConfig;
use serde::Serialize;

use crate::config::Project;
use crate::error::Hinted;
use crate::ledger::{self, Which};
use crate::plan::Planned;
use crate::run::artifact_rows;
use crate::store::read_manifest;

pub use answers::{Agreement, RecipeReport};
pub use comparison::{Comparison, LabelShare};
pub use funnel::{Drop, Ended, SourceReport, Step};
pub(crate) use text::{grouped, number};

use funnel::{Read, funnels};

/// Where the records of a config went.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Input records by source.
    pub sources: Vec<SourceReport>,
    /// Rows that each segment wrote.
    pub segments: Vec<SegmentReport>,
    /// Answers of models, by recipe and model.
    pub recipes: Vec<RecipeReport>,
    /// Recipes of one form beside each other.
    pub comparisons: Vec<Comparison>,
    /// What is chosen most in each choice.
    pub labels: Vec<LabelShare>,
    /// How far judges of the same answers agree.
    pub agreements: Vec<Agreement>,
    /// Whether every input record is accounted for.
    pub accounted: bool,
    /// Folder of the ledger, which has a row for every record.
    pub ledger: String,
    /// Remarks on the run, such as a judge that judges itself.
    pub remarks: Vec<String>,
}

/// What one segment made.
#[derive(Debug, Serialize)]
pub struct SegmentReport {
    /// Name.
    pub segment: String,
    /// Table.
    pub table: String,
    /// Rows per source and outcome.
    pub rows: BTreeMap<String, BTreeMap<String, u64>>,
    /// Wall seconds of the run that made it.
    pub seconds: f64,
}

/// Builds the report of a config from its ledger and its artifacts; of one source only, if one is named.
///
/// # Errors
/// The config was not run, or an artifact is damaged.
pub async fn report(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    source: Option<&str>,
) -> Result<Report> {
    let wanted = |name: &str| source.is_none_or(|source| source == name);
    let stale = |name: &str| {
        Hinted::new(
            format!("{name} is not up to date: the config was not run, or not to the end"),
            project.command("run"),
        )
    };
    if let Some(this) = planned.iter().find(|p| p.freshness != Freshness::Fresh) {
        return Err(stale(&this.segment.name).into());
    }
    let ledger = ledger::plan(project, planned)?;
    if ledger.freshness != Freshness::Fresh {
        return Err(stale("the ledger").into());
    }
    let mut read = counted(planned)?;
    read.retain(|source, _| wanted(source));
    let mut rows = ledger::rows(session, &ledger).await?;
    if let Some(source) = source {
        rows = rows.filter(col("source").eq(lit(source)))?;
    }
    let sources = funnels(project, read, rows, project.config.shards.is_some()).await?;
    let mut segments = Vec::new();
    for this in planned {
        let mut rows = counts(artifact_rows(session, project, this, None).await?).await?;
        rows.retain(|source, _| wanted(source));
        segments.push(SegmentReport {
            segment: this.segment.name.clone(),
            table: this.segment.output.name.to_owned(),
            rows,
            seconds: this.manifest.as_ref().map_or(0.0, |manifest| manifest.seconds),
        });
    }
    let recipes = answers::recipes(session, project, planned).await?;
    let (comparisons, labels) = comparison::kept_answers(session, project, planned, &recipes).await?;
    Ok(Report {
        accounted: sources.iter().all(|source| source.accounted),
        sources,
        segments,
        comparisons,
        labels,
        recipes,
        agreements: answers::agreements(session, project, planned).await?,
        ledger: ledger.folder.display().to_string(),
        remarks: remarks(project),
    })
}

/// The funnels of all sources before there is a ledger: all artifacts over events are there.
///
/// # Errors
/// An artifact is damaged.
pub async fn sources(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
) -> Result<Vec<SourceReport>> {
    let events = ledger::whole_table(session, project, planned, "events", Which::All)
        .await?
        .ok_or_else(|| anyhow!("internal error: nothing writes events"))?;
    funnels(project, counted(planned)?, events, false).await
}

/// What the readers counted, by source.
fn counted(planned: &[Planned]) -> Result<BTreeMap<String, Read>> {
    let mut sources: BTreeMap<String, Read> = BTreeMap::new();
    for this in planned.iter().filter(|p| p.segment.ingests) {
        let manifest = read_manifest(&this.folder)?
            .ok_or_else(|| anyhow!("internal error: {} has no manifest", this.folder.display()))?;
        for file in &manifest.files {
            let read = sources.entry(file.source.clone()).or_default();
            if file.yields_events {
                read.records += file.records;
            }
            read.files += 1;
            read.lossy += file.lossy;
            read.lost_values.extend(file.type_conflicts.iter().map(|(field, lost)| told(file, field, lost)));
            read.unread.extend(file.unread.iter().map(|(rule, lost)| told(file, rule, lost)));
        }
    }
    Ok(sources)
}

/// What was lost of a file: by which field or rule, how many, and where the first stands; of an archive, in which member.
fn told(file: &FileCount, what: &str, lost: &Lost) -> String {
    let Lost { count, first_offset, first_file } = lost;
    let place = if first_file.is_empty() || *first_file == file.name {
        String::new()
    } else {
        format!(" of {first_file}")
    };
    format!("{}: {count} × `{what}`, first at offset {first_offset}{place}", file.name)
}

/// Rows by source and outcome.
async fn counts(rows: DataFrame) -> Result<BTreeMap<String, BTreeMap<String, u64>>> {
    let text = |name: &str| cast(coalesce(vec![col(name), lit("")]), DataType::Utf8).alias(name);
    let counted = rows
        .select(vec![text("source"), text("outcome")])?
        .aggregate(vec![col("source"), col("outcome")], vec![count(lit(1_i64)).alias("rows")])?
        .collect()
        .await?;
    let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for batch in &counted {
        let word = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
        let rows = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let count = u64::try_from(rows.value(row)).unwrap_or(0);
            counts.entry(word(0, row)).or_default().insert(word(1, row), count);
        }
    }
    Ok(counts)
}

/// What a reader of the numbers must know: scores that a model gave to answers of its own.
pub fn remarks(project: &Project) -> Vec<String> {
    let stages = &project.config.stages;
    let wrote = |model: &str, recipe: &str| {
        let is_it = |other: &str| identity(project, other) == identity(project, model);
        stages.iter().any(|stage| match stage {
            StageConfig::Synthesize(asked) => asked.recipe == recipe && is_it(&asked.model),
            _ => false,
        })
    };
    let remark = |stage: &StageConfig| match stage {
        StageConfig::Judge(judge) => {
            let own = judge.recipes.iter().filter(|recipe| wrote(&judge.model, recipe));
            let own: Vec<String> = own.map(|recipe| format!("`{recipe}`")).collect();
            let remark = format!(
                "the judge `{}` also wrote answers that it judges, those of {}; its scores are worth less than \
                 another model's",
                judge.model,
                own.join(", ")
            );
            Some(remark).filter(|_| !own.is_empty())
        }
        StageConfig::ScoreTrace(trace) => {
            let remark = format!(
                "the likelihoods of `{}` are of answers that it wrote, those of `{}`; they are worth less than \
                 another model's",
                trace.model, trace.recipe
            );
            Some(remark).filter(|_| wrote(&trace.model, &trace.recipe))
        }
        _ => None,
    };
    stages.iter().filter_map(remark).collect()
}

/// What tells whether two names are of one model: the checksum of its weights, or its name behind an endpoint.
fn identity(project: &Project, name: &str) -> String {
    match project.config.endpoints.get(name) {
        Some(endpoint) => format!("endpoint {}", endpoint.model),
        None => {
            project.model(name).map_or_else(|_| name.to_owned(), |model| model.sha256.as_str().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_told_with_its_place() {
        let file: FileCount = serde_json::from_str(
            r#"{"source":"s","name":"b.zip","records":3,"bytes":9,"yields_events":true,"malformed":0,"lossy":0}"#,
        )
        .unwrap();
        for (first_file, expected) in [
            ("b.zip!17", "b.zip: 2 × `date`, first at offset 7 of b.zip!17"),
            ("b.zip", "b.zip: 2 × `date`, first at offset 7"),
            ("", "b.zip: 2 × `date`, first at offset 7"),
        ] {
            let lost = Lost { count: 2, first_offset: 7, first_file: first_file.to_owned() };
            assert_eq!(told(&file, "date", &lost), expected);
        }
    }

    /// Remarks on a config with these stages after two syntheses: personas by `a`, thoughts by `b`; `c` has the weights
    /// of `b`, and `there` and `too` are one model behind two endpoints.
    fn remarks_on(stages: &str) -> Vec<String> {
        let (one, other) = ("1".repeat(64), "2".repeat(64));
        let text = format!(
            r#"
            store.path = "store"
            models.a = {{ source = "file:a.gguf", sha256 = "{one}" }}
            models.b = {{ source = "file:b.gguf", sha256 = "{other}" }}
            models.c = {{ source = "file:c.gguf", sha256 = "{other}" }}
            endpoints.there = {{ url = "http://there/v1", model = "big" }}
            endpoints.too = {{ url = "http://too/v1", model = "big" }}
            [[stage]]
            synthesize = {{ recipe = "persona", over = "authors", model = "a" }}
            [[stage]]
            synthesize = {{ recipe = "inner_thought", over = "events", model = "b" }}
            [[stage]]
            synthesize = {{ recipe = "stories", over = "authors", model = "there" }}
            {stages}
            "#
        );
        let config = toml::from_str(&text).unwrap();
        remarks(&Project { config, path: "genome.toml".into(), model_override: None })
    }

    #[test]
    fn models_are_remarked_on_that_judge_their_own_answers() {
        let judge = |model: &str, recipes: &str| {
            remarks_on(&format!(
                "[[stage]]\njudge = {{ rubric = \"grounding\", model = \"{model}\", recipes = {recipes} }}"
            ))
        };
        for (model, recipes) in
            [("b", "[\"persona\", \"stories\"]"), ("a", "[\"inner_thought\"]"), ("there", "[\"persona\"]")]
        {
            assert_eq!(judge(model, recipes), Vec::<String>::new(), "{model} of {recipes}");
        }
        let all = "[\"persona\", \"inner_thought\", \"stories\"]";
        for (model, own) in
            [("a", "persona"), ("b", "inner_thought"), ("c", "inner_thought"), ("too", "stories")]
        {
            let remark = format!(
                "the judge `{model}` also wrote answers that it judges, those of `{own}`; its scores are worth less \
                 than another model's"
            );
            assert_eq!(judge(model, all), [remark]);
        }
    }

    #[test]
    fn likelihoods_of_own_answers_are_remarked_on() {
        let trace = |model: &str| {
            remarks_on(&format!(
                "[[stage]]\nscore_trace = {{ recipe = \"inner_thought\", field = \"thought\", \
                 model = \"{model}\" }}"
            ))
        };
        assert_eq!(trace("a"), Vec::<String>::new());
        assert!(trace("b")[0].starts_with("the likelihoods of `b` are of answers that it wrote"));
    }
}
