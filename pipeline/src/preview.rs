//! A look at what a recipe gives, before a run pays for it: a few prompts are asked, checked, judged and gated. The answers are
//! not stored; what they are asked over is, as by a run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use datafusion::logical_expr::SortExpr;
use datafusion::prelude::{DataFrame, col};
use genome_schemas::{Freshness, events, judgements};
use genome_stages::synthesis::Synthesize;
use genome_stages::{ModelStage, Stage, StageConfig, StageContext, union_all};
use serde_json::Value;

use crate::config::Project;
use crate::error::Hinted;
use crate::json_rows::{Row, rows};
use crate::plan::{Planned, plan};
use crate::progress::tell;
use crate::run::Runner;
use crate::session;
use crate::store;

/// An answer with everything that was said of it.
#[derive(Debug)]
pub struct Preview {
    /// The row of table `completions`, as the config's stages over answers leave it.
    pub completion: Row,
    /// The rows of table `judgements` about it, in the order of the stages.
    pub judgements: Vec<Row>,
}

/// What a stage does with the answers to a recipe.
enum Role<'a> {
    /// It gives them scores.
    Scores(&'a dyn ModelStage),
    /// It changes some of them, or has them leave.
    Refines(&'a dyn Stage),
}

/// A stage behind a question that looks at its answers.
struct Behind<'a> {
    segment: &'a Planned,
    role: Role<'a>,
}

impl Runner<'_> {
    /// Asks `count` prompts of a recipe, about the rows whose keys come first, and takes the answers through the stages of the
    /// config that score, change or drop them. What compares answers with each other sees no more than these.
    ///
    /// What comes before the question is brought up to date and stored, if it needs no model; the answers are not stored.
    ///
    /// # Errors
    /// No stage asks the recipe, a stage before it needs a model and was not run, or something fails on the way.
    pub async fn preview(&self, recipe: &str, count: usize) -> Result<Vec<Preview>> {
        let project = self.project;
        let mut cx = project.run_context()?;
        cx.engines = self.engines.clone();
        let planned = plan(project, &cx, &self.store)?;
        let (index, stage) = asking(project, &planned, recipe)?;
        let behind = behind(project, &planned, index, recipe);
        self.bring_up_to_date(&planned, index, &behind, recipe, &cx).await?;
        let session = session::for_records(self.limits)?;
        let this = &planned[index];
        let input = self.table_rows(&session, &planned, &this.inputs, &this.segment.input).await?;
        // Rows are chosen before any is rendered: to count the tokens of every history can take longer than the answers.
        let most = count.div_ceil(usize::try_from(stage.samples.max(1))?);
        let few =
            Synthesize { limit: Some(stage.limit.map_or(most, |limit| limit.min(most))), ..stage.clone() };
        let chosen = few.chosen(&cx, input)?.cache().await?;
        let prompts =
            few.rendered(&cx, chosen)?.sort(by_row(&["seed"]))?.limit(0, Some(count))?.cache().await?;
        let answers = few.answers(&cx, prompts)?.cache().await?;
        // What is joined from here on is looked up for a handful of answers.
        let session = session::for_lookups(self.limits)?;
        let mut answers = DataFrame::new(session.state(), answers.into_parts().1);
        let mut scores: Vec<DataFrame> = Vec::new();
        for Behind { segment, role } in &behind {
            let mut cx = cx.clone();
            let texts: Vec<usize> = joined_events(segment).collect();
            if !texts.is_empty() {
                let texts = self.table_rows(&session, &planned, &texts, &events()).await?;
                cx.tables.insert(events().name.to_owned(), texts);
            }
            match role {
                Role::Scores(judge) => scores.push(said(*judge, &cx, &answers).await?),
                Role::Refines(stage) => {
                    let all = union_all(scores.clone())?;
                    let all = all.map_or_else(|| store::empty(&session, &judgements()), Ok)?;
                    cx.tables.insert(judgements().name.to_owned(), all);
                    answers = stage.plan(&cx, answers)?.cache().await?;
                }
            }
        }
        collect(answers.sort(by_row(&["seed", "key"]))?, scores).await
    }

    /// Runs the stale segments that a segment is made from, and those whose events the stages behind it join.
    async fn bring_up_to_date(
        &self,
        planned: &[Planned],
        index: usize,
        behind: &[Behind<'_>],
        recipe: &str,
        cx: &StageContext,
    ) -> Result<()> {
        let joined = behind.iter().flat_map(|behind| joined_events(behind.segment));
        for at in needed(planned, parents(&planned[index]).chain(joined)) {
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

/// The order of answers: by the row that they are about, then by further columns. A look at fewer rows begins like one at more.
fn by_row(further: &[&str]) -> Vec<SortExpr> {
    ["subject_key"].iter().chain(further).map(|name| col(*name).sort(true, false)).collect()
}

/// The stage that asks a recipe, the first one of several, and the place of its segment.
fn asking<'a>(project: &'a Project, planned: &[Planned], recipe: &str) -> Result<(usize, &'a Synthesize)> {
    let mut asked = Vec::new();
    for (at, planned) in planned.iter().enumerate() {
        let [stage] = planned.segment.stages[..] else { continue };
        let StageConfig::Synthesize(stage) = &project.config.stages[stage] else { continue };
        if stage.recipe == recipe {
            return Ok((at, stage));
        }
        asked.push(stage.recipe.as_str());
    }
    Err(anyhow!("no stage asks recipe `{recipe}`; asked are: {}", asked.join(", ")))
}

/// The stages behind a question that look at its answers, in their order, but for those that join events which nobody can have
/// without a run.
fn behind<'a>(project: &'a Project, planned: &'a [Planned], index: usize, recipe: &str) -> Vec<Behind<'a>> {
    let is_at_hand = |at: &usize| {
        let this = &planned[*at];
        this.freshness == Freshness::Fresh || !this.segment.calls_model
    };
    let mut behind = Vec::new();
    for segment in &planned[index + 1..] {
        let [at] = segment.segment.stages[..] else { continue };
        let Some(role) = role(&project.config.stages[at], recipe) else { continue };
        if needed(planned, joined_events(segment)).iter().all(is_at_hand) {
            behind.push(Behind { segment, role });
        } else {
            tell(&format!("{} is left out: it joins events that only a run gives", segment.segment.name));
        }
    }
    behind
}

/// What a stage does with the answers to a recipe, if anything.
fn role<'a>(config: &'a StageConfig, recipe: &str) -> Option<Role<'a>> {
    match config {
        StageConfig::Judge(stage) if stage.recipes.iter().any(|name| name == recipe) => {
            Some(Role::Scores(stage))
        }
        StageConfig::ScoreTrace(stage) if stage.recipe == recipe => Some(Role::Scores(stage)),
        StageConfig::CalibrateChoices(stage) if stage.recipe == recipe => Some(Role::Refines(stage)),
        StageConfig::AnswerRepeats(stage) if stage.recipe == recipe => Some(Role::Refines(stage)),
        StageConfig::AnswerLeaks(stage) if stage.recipe == recipe => Some(Role::Refines(stage)),
        StageConfig::QualityGate(stage) if stage.recipe == recipe => Some(Role::Refines(stage)),
        _ => None,
    }
}

/// Segments by their places, with all that they are made from, in the order in which they run.
fn needed(planned: &[Planned], places: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    let mut open: Vec<usize> = places.collect();
    while let Some(at) = open.pop() {
        if needed.insert(at) {
            open.extend(parents(&planned[at]));
        }
    }
    needed
}

/// The segments that a segment reads.
fn parents(planned: &Planned) -> impl Iterator<Item = usize> {
    planned.inputs.iter().chain(planned.joins.values().flatten()).copied()
}

/// The segments whose events a segment joins.
fn joined_events(planned: &Planned) -> impl Iterator<Item = usize> {
    planned.joins.get(events().name).into_iter().flatten().copied()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Stages {
        stage: Vec<StageConfig>,
    }

    /// What is done with answers to a recipe, by name of the stage.
    fn roles(stages: &[StageConfig], recipe: &str) -> Vec<(&'static str, &'static str)> {
        let role = |config: &StageConfig| {
            let name = config.stage().card().name;
            role(config, recipe).map(|role| match role {
                Role::Scores(_) => (name, "scores"),
                Role::Refines(_) => (name, "refines"),
            })
        };
        stages.iter().filter_map(role).collect()
    }

    #[test]
    fn every_stage_over_the_answers_to_a_recipe_takes_part() {
        let text = r#"
            stage = [
                { synthesize = { recipe = "persona", over = "authors", model = "m" } },
                { calibrate_choices = { recipe = "persona" } },
                { answer_repeats = { recipe = "persona" } },
                { answer_leaks = { recipe = "persona" } },
                { judge = { rubric = "grounding", recipes = ["inner_thought", "persona"], model = "m" } },
                { score_trace = { recipe = "inner_thought", field = "thought", model = "m" } },
                { quality_gate = { recipe = "persona", rubric = "grounding" } },
                { apply_tags = { recipe = "persona" } },
                { compose = { tasks = ["reply"] } },
            ]
        "#;
        let stages = toml::from_str::<Stages>(text).unwrap().stage;
        assert_eq!(
            roles(&stages, "persona"),
            [
                ("calibrate_choices", "refines"),
                ("answer_repeats", "refines"),
                ("answer_leaks", "refines"),
                ("judge", "scores"),
                ("quality_gate", "refines"),
            ]
        );
        assert_eq!(roles(&stages, "inner_thought"), [("judge", "scores"), ("score_trace", "scores")]);
        assert!(roles(&stages, "stories").is_empty());
    }
}
