//! A look at what a recipe gives, before a run pays for it: a few prompts are asked, checked, judged and gated, and nothing
//! of it is stored.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use datafusion::prelude::{DataFrame, col};
use genome_schemas::{Freshness, judgements};
use genome_stages::{ModelStage, StageConfig, StageContext, union_all};
use serde_json::Value;

use crate::config::Project;
use crate::error::Hinted;
use crate::json_rows::{Row, rows};
use crate::plan::{Planned, plan};
use crate::run::Runner;
use crate::session;

/// An answer with everything that was said of it.
#[derive(Debug)]
pub struct Preview {
    /// The row of table `completions`, as the config's gates leave it.
    pub completion: Row,
    /// The rows of table `judgements` about it, in the order of the stages.
    pub judgements: Vec<Row>,
}

impl Runner<'_> {
    /// Asks the first `count` prompts of a recipe, by key, and takes the answers through the judges and gates of the config.
    /// What comes before it is brought up to date, if it needs no model.
    ///
    /// # Errors
    /// No stage asks the recipe, a stage before it needs a model and was not run, or something fails on the way.
    pub async fn preview(&self, recipe: &str, count: usize) -> Result<Vec<Preview>> {
        let project = self.project;
        let mut cx = project.run_context()?;
        cx.engines = self.engines.clone();
        let planned = plan(project, &cx, &self.store)?;
        let index = asking(project, &planned, recipe)?;
        self.bring_up_to_date(&planned, index, recipe, &cx).await?;
        let session = session::for_records(self.limits)?;
        let this = &planned[index];
        let stage = model_stage(project, this)?;
        let input = self.table_rows(&session, &planned, &this.inputs, &this.segment.input).await?;
        let prompts = stage.prompts(&cx, input)?.sort(vec![col("key").sort(true, false)])?;
        let prompts = prompts.limit(0, Some(count))?.cache().await?;
        let mut answers = stage.answers(&cx, prompts)?.cache().await?;
        let mut scores: Vec<DataFrame> = Vec::new();
        for later in &planned[index + 1..] {
            let [at] = later.segment.stages[..] else { continue };
            match &project.config.stages[at] {
                StageConfig::Judge(judge) if judge.recipes.iter().any(|name| name == recipe) => {
                    scores.push(said(judge, &cx, &answers).await?);
                }
                StageConfig::ScoreTrace(trace) if trace.recipe == recipe => {
                    let mut cx = cx.clone();
                    cx.tables = self.joined_tables(&session, &planned, later).await?;
                    scores.push(said(trace, &cx, &answers).await?);
                }
                StageConfig::QualityGate(gate) if gate.recipe == recipe => {
                    let mut cx = cx.clone();
                    let all = match union_all(scores.clone())? {
                        Some(all) => all,
                        None => crate::store::empty(&session, &judgements())?,
                    };
                    cx.tables.insert(judgements().name.to_owned(), all);
                    answers = genome_stages::Stage::plan(gate, &cx, answers)?.cache().await?;
                }
                _ => {}
            }
        }
        let answers = answers.sort(vec![col("key").sort(true, false)])?;
        collect(answers, scores).await
    }

    /// Runs the stale segments that a segment is made from.
    async fn bring_up_to_date(
        &self,
        planned: &[Planned],
        index: usize,
        recipe: &str,
        cx: &StageContext,
    ) -> Result<()> {
        let mut needed = BTreeSet::new();
        let mut open = vec![index];
        // What measures its answers may join what it does not read.
        let measures = |later: &&Planned| match later.segment.stages[..] {
            [at] => {
                matches!(&self.project.config.stages[at], StageConfig::ScoreTrace(trace) if trace.recipe == recipe)
            }
            _ => false,
        };
        let measuring = planned[index..].iter().filter(measures);
        open.extend(measuring.flat_map(|later| later.joins.values().flatten().copied()));
        open.retain(|&at| at <= index);
        while let Some(at) = open.pop() {
            let parents = planned[at].inputs.iter().chain(planned[at].joins.values().flatten());
            open.extend(parents.copied().filter(|parent| needed.insert(*parent)));
            needed.insert(at);
        }
        needed.remove(&index);
        for at in needed {
            let this = &planned[at];
            if this.freshness == Freshness::Fresh {
                continue;
            }
            if this.segment.calls_model {
                return Err(Hinted::new(
                    format!("`{recipe}` is asked over what {} gives, which was not run", this.segment.name),
                    self.project.command("run"),
                )
                .into());
            }
            if !self.run_segment(planned, at, cx).await? {
                return Err(anyhow!("stopped"));
            }
        }
        Ok(())
    }
}

/// Place of the segment that asks a recipe.
fn asking(project: &Project, planned: &[Planned], recipe: &str) -> Result<usize> {
    let asks = |planned: &Planned| match planned.segment.stages[..] {
        [at] => match &project.config.stages[at] {
            StageConfig::Synthesize(stage) => Some(stage.recipe.as_str()),
            _ => None,
        },
        _ => None,
    };
    planned.iter().position(|planned| asks(planned) == Some(recipe)).ok_or_else(|| {
        let asked: Vec<&str> = planned.iter().filter_map(asks).collect();
        anyhow!("no stage asks recipe `{recipe}`; asked are: {}", asked.join(", "))
    })
}

fn model_stage<'a>(project: &'a Project, planned: &Planned) -> Result<&'a dyn ModelStage> {
    let stage = planned.segment.stages.first().map(|at| project.config.stages[*at].stage());
    stage
        .and_then(genome_stages::Stage::model_stage)
        .ok_or_else(|| anyhow!("internal error: no model is asked"))
}

/// What a judge says of the kept answers.
async fn said(judge: &dyn ModelStage, cx: &StageContext, answers: &DataFrame) -> Result<DataFrame> {
    let prompts = judge.prompts(cx, answers.clone())?.sort(vec![col("key").sort(true, false)])?;
    Ok(judge.answers(cx, prompts.cache().await?)?.cache().await?)
}

async fn collect(answers: DataFrame, scores: Vec<DataFrame>) -> Result<Vec<Preview>> {
    let mut by_answer: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for frame in scores {
        for row in rows(&frame.collect().await?)? {
            let of = row.get("completion_key").and_then(Value::as_str).unwrap_or_default().to_owned();
            by_answer.entry(of).or_default().push(row);
        }
    }
    let previews = rows(&answers.collect().await?)?.into_iter().map(|completion| {
        let key = completion.get("key").and_then(Value::as_str).unwrap_or_default();
        let judgements = by_answer.remove(key).unwrap_or_default();
        Preview { completion, judgements }
    });
    Ok(previews.collect())
}
