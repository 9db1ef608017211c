//! The estimate: a sample is counted twice and scaled to all records.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, Expr, SessionContext, cast, coalesce, col, lit};
use futures::StreamExt as _;
use genome_schemas::{LEDGER_COLUMNS, events};
use genome_stages::filter::Rule;
use genome_stages::functions::key_hex;
use genome_stages::sources::{Pseudonymizer, SourceContext};
use genome_stages::{StageConfig, StageContext, union_all};
use serde::Serialize;

use super::counted::{Cluster, Counted, Way};
use super::sample::{Sample, SampleSize, Sampler};
use super::setting::{Changed, Setting, event_stages, looks_across_authors};
use crate::config::Project;
use crate::error::Hinted;
use crate::outside;
use crate::progress::Task;
use crate::session::{self, Limits};
use crate::store::empty;

/// What other values of a config would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The changed values.
    pub settings: Vec<Setting>,
    /// What it was estimated from.
    pub sample: SampleFacts,
    /// Records that are kept.
    pub kept: Change,
    /// Records that leave, by reason, in the order of the stages.
    pub dropped: Vec<Change>,
    /// What a reader of the numbers must know.
    pub notes: Vec<String>,
}

/// What an estimate was made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleFacts {
    /// Records of the sample.
    pub records: u64,
    /// Records in all.
    pub of_records: u64,
    /// Authors of the sample; records that name none count as authors of their own.
    pub authors: u64,
    /// Share of the authors that were drawn, `0.0..=1.0`.
    pub share: f64,
}

/// Records that end in one way, as the config is and as it would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The stage; empty for kept ones.
    pub stage: String,
    /// The rule; empty for kept ones.
    pub rule: String,
    /// The outcome.
    pub outcome: String,
    /// Records of the sample, now and then.
    pub in_sample: (u64, u64),
    /// Of all records, as the config is.
    pub now: Interval,
    /// Of all records, as it would be.
    pub then: Interval,
    /// Then less now.
    pub difference: Interval,
}

/// A number of records with its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// The most likely number.
    pub estimate: i64,
    /// Lower end.
    pub low: i64,
    /// Upper end.
    pub high: i64,
}

/// Reads every dump once, keeps a sample, and counts it under both configs; of one source only, if one is named.
///
/// # Errors
/// A dump cannot be read, or the sample is empty.
pub async fn estimate(
    limits: Limits,
    changed: &Changed,
    size: SampleSize,
    source: Option<&str>,
) -> Result<Estimate> {
    let session = session::for_records(limits)?;
    let mut needed = needed(&session, &changed.now, &event_stages(&changed.now)).await?;
    needed.extend(self::needed(&session, &changed.then, &event_stages(&changed.then)).await?);
    let now = looks_at_context(&session, &changed.now).await?;
    if !now && !looks_at_context(&session, &changed.then).await? {
        needed.remove("context");
    }
    let sample = read(limits, &changed.now, &needed, size).await?;
    let left_out = left_out(changed, sample.share)?;
    if sample.batches.is_empty() {
        return Err(nothing_sampled(&sample).into());
    }
    let rows = all_columns(session.read_batches(sample.batches.clone())?, &needed)?;
    let stages = |project: &Project| {
        let mut stages = event_stages(project);
        stages.retain(|index| !left_out.contains(index));
        stages
    };
    let now = ways(&session, &changed.now, &stages(&changed.now), rows.clone()).await?;
    let then = ways(&session, &changed.then, &stages(&changed.then), rows).await?;
    let mut counted = Counted::new(&sample, now, then);
    if let Some(source) = source {
        counted.only(source);
    }
    if counted.is_empty() {
        return Err(nothing_sampled(&sample).into());
    }
    let mut estimate = counted.estimate(changed);
    if !left_out.is_empty() {
        let stages = left_out.iter().map(|index| changed.now.config.stages[*index].stage().card().name);
        estimate.notes.push(format!(
            "left out, since they look at records of several authors: {}; `--sample 1.0` has them",
            stages.collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(estimate)
}

fn nothing_sampled(sample: &Sample) -> Hinted {
    Hinted::new(
        format!("none of the {} records is in the sample", sample.records.values().sum::<u64>()),
        "give a larger one: --sample 1.0 takes all records",
    )
}

/// Indices of the stages that a sample of this share of the authors would mislead.
fn left_out(changed: &Changed, share: f64) -> Result<Vec<usize>> {
    if share >= 1.0 {
        return Ok(Vec::new());
    }
    let stages = &changed.now.config.stages;
    let mut left_out = event_stages(&changed.now);
    left_out.retain(|index| looks_across_authors(&stages[*index]));
    let is_left_out =
        |setting: &&Setting| left_out.iter().any(|index| stages[*index].stage().card().name == setting.stage);
    match changed.settings.iter().find(is_left_out) {
        None => Ok(left_out),
        Some(setting) => Err(Hinted::new(
            format!(
                "`{}` looks at records of several authors: a sample of authors says nothing of it",
                setting.stage
            ),
            "--sample 1.0 takes all records",
        )
        .into()),
    }
}

/// Whether a stage looks at what people answered, for which whole dumps have to be joined. A content filter asks for the
/// column whatever its rules are.
async fn looks_at_context(session: &SessionContext, project: &Project) -> Result<bool> {
    let mut stages = event_stages(project);
    stages.retain(|index| match &project.config.stages[*index] {
        StageConfig::ContentFilter(filter) => {
            filter.groups().iter().any(|(_, rules)| rules.iter().any(Rule::looks_at_context))
        }
        _ => true,
    });
    Ok(needed(session, project, &stages).await?.contains("context"))
}

/// Columns of `events` that decide what some stages do.
async fn needed(session: &SessionContext, project: &Project, stages: &[usize]) -> Result<BTreeSet<String>> {
    let rows = marked(session, project, stages, empty(session, &events())?).await?;
    let always = || LEDGER_COLUMNS.iter().copied().chain(["key", "source", "author_id"]);
    let plan = rows.select(always().map(col).collect::<Vec<_>>())?.into_optimized_plan()?;
    let mut needed: BTreeSet<String> = always().map(str::to_owned).collect();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            needed.extend(scan.projected_schema.fields().iter().map(|field| field.name().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    // What is read beside the dumps has columns of its own.
    let of_events = events();
    needed.retain(|name| of_events.columns().any(|column| column == name));
    Ok(needed)
}

/// Rows after some stages.
async fn marked(
    session: &SessionContext,
    project: &Project,
    stages: &[usize],
    mut rows: DataFrame,
) -> Result<DataFrame> {
    let mut cx: StageContext = project.run_context()?;
    for index in stages {
        let stage = project.config.stages[*index].stage();
        let place = || format!("stage {} ({})", index + 1, stage.card().name);
        outside::read(session, project, stage, &mut cx).await.with_context(place)?;
        rows = stage.plan(&cx, rows).with_context(place)?;
    }
    Ok(rows)
}

/// Reads every dump to its end.
async fn read(
    limits: Limits,
    project: &Project,
    needed: &BTreeSet<String>,
    size: SampleSize,
) -> Result<Sample> {
    let session = session::for_records(limits)?;
    let names = Pseudonymizer::from_secret(project.author_key()?);
    let cx = SourceContext::new(session, names, project.config.reader.clone(), limits.wide_windows());
    let mut frames = Vec::new();
    for source in &project.config.sources {
        let mut source = source.clone();
        // What people answered is looked up over whole dumps: not where no stage looks at it.
        source.context &= needed.contains("context");
        frames.push(source.events(&cx).with_context(|| format!("source `{}`", source.name))?);
    }
    let mut sampler = Sampler::new(size);
    if let Some(rows) = union_all(frames)? {
        // As plain strings, so that a batch that is thinned out lets go of the text of the others.
        let table = events();
        let fields = table.schema.fields().iter().filter(|field| needed.contains(field.name()));
        let columns = fields.map(|f| match f.data_type() {
            // Lists of structs are not cast by plans; the sampler does it.
            DataType::List(_) => col(f.name()),
            data_type => cast(col(f.name()), data_type.clone()).alias(f.name()),
        });
        let mut stream = rows.select(columns.collect::<Vec<_>>())?.execute_stream().await?;
        let mut task = Task::begin("sample", 0);
        let mut n_read = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            n_read += batch.num_rows() as u64;
            sampler.push(&batch)?;
            task.update(n_read, &format!("{n_read} records read"));
        }
        task.end(&format!("{n_read} records read"));
    }
    Ok(sampler.finish())
}

/// `rows` with the columns of `events` that they do not have, empty.
fn all_columns(rows: DataFrame, needed: &BTreeSet<String>) -> Result<DataFrame> {
    let table = events();
    let columns = table.schema.fields().iter().map(|field| {
        let name = field.name().as_str();
        Ok(if needed.contains(name) {
            col(name)
        } else {
            Expr::Literal(ScalarValue::try_from(field.data_type())?, None).alias(name)
        })
    });
    Ok(rows.select(columns.collect::<Result<Vec<_>>>()?)?)
}

/// How many records of each author and source end in each way.
async fn ways(
    session: &SessionContext,
    project: &Project,
    stages: &[usize],
    rows: DataFrame,
) -> Result<BTreeMap<Cluster, BTreeMap<Way, u64>>> {
    let text = |expr: Expr| cast(coalesce(vec![expr, lit("")]), DataType::Utf8);
    let author =
        coalesce(vec![cast(col("author_id"), DataType::Utf8), cast(key_hex(col("key")), DataType::Utf8)]);
    let names = ["author", "source", "stage", "rule", "outcome"];
    let counted = marked(session, project, stages, rows)
        .await?
        .select(vec![
            author.alias(names[0]),
            text(col(names[1])).alias(names[1]),
            text(col(names[2])).alias(names[2]),
            text(col(names[3])).alias(names[3]),
            text(col(names[4])).alias(names[4]),
        ])?
        .aggregate(names.map(col).to_vec(), vec![count(lit(1_i64)).alias("rows")])?
        .collect()
        .await?;
    let mut ways: BTreeMap<Cluster, BTreeMap<Way, u64>> = BTreeMap::new();
    for batch in &counted {
        let word = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
        let rows = batch.column(5).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let of_author = ways.entry((word(0, row), word(1, row))).or_default();
            let way = (word(2, row), word(3, row), word(4, row));
            *of_author.entry(way).or_insert(0) += u64::try_from(rows.value(row)).unwrap_or(0);
        }
    }
    Ok(ways)
}
