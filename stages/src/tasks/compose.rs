//! The compose stage: joins of completions, events and personas, and one function that writes the messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::JoinType;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{DataFrame, Expr, cast, col, concat, get_field, lit, named_struct, when};
use genome_schemas::{Message, Outcome, completions, events, examples, key_type, message_list_type};
use serde::{Deserialize, Serialize};

use super::prompts::{Draft, Parts, drafts, n_chars, thin};
use super::task::Task;
use crate::StageError;
use crate::filter::written;
use crate::frames::union_all;
use crate::functions::{array_function, external, key_hex, list_array, opening_key, row_key, strings};
use crate::mark::{Mark, column, fresh_ledger, is_kept, mark_rows, null_of, rank_kept};
use crate::stage::{Card, Scope, Stage, StageContext};
use crate::synthesis::{EventRow, event_struct, row_json};

/// Makes training examples of kept answers and of the events themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    /// Tasks to make examples of.
    pub tasks: Vec<Task>,
    /// Most characters of each context message.
    #[serde(default = "default_context_chars")]
    pub max_context_chars: usize,
    /// At most so many events of each author for the tasks that need no model answer, their latest first.
    #[serde(default)]
    pub per_author: Option<u32>,
    /// Of every example of the test split that shows a persona a copy whose persona lost each aspect, and each of its
    /// statements, with this probability, as split `test_dropout` (`HumanLM`: 0.6; papers' section 2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona_dropout: Option<f64>,
    /// What becomes of train examples that answer a text which is held out.
    #[serde(default)]
    pub held_out_context: HeldOutContext,
    /// Seed of what is dropped.
    #[serde(default = "default_dropout_seed")]
    pub dropout_seed: u64,
}

/// What becomes of train examples that show a validation or test text as what is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOutContext {
    /// They leave as `leaked`.
    #[default]
    Drop,
    /// They stay, as where rows are split without regard to threads on purpose.
    Keep,
}

/// Words by whose equality a text that is answered is known for one that is held out: all but those of long texts.
const OPENING_WORDS: usize = 200;

/// Key of the event, of train events that answer a held-out text.
const EXPOSED: &str = "__exposed";

/// Fewest words of a text that tells anything by being held out.
const FEWEST_WORDS: usize = 6;

fn default_context_chars() -> usize {
    1200
}

/// The seed of `HumanLM`.
const fn default_dropout_seed() -> u64 {
    42
}

/// The split of copies whose persona lost statements.
const DROPOUT: &str = "test_dropout";

impl Stage for Compose {
    fn card(&self) -> Card {
        Card {
            name: "compose",
            version: 3,
            scope: Scope::Corpus,
            at_rest: true,
            input: completions,
            output: examples,
            reads: &[events],
            outcomes: &[Outcome::Leaked],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let mut problems = Vec::new();
        if self.tasks.is_empty() {
            problems.push("compose.tasks must name at least one task".to_owned());
        }
        if self.persona_dropout.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            problems.push("compose.persona_dropout must be above 0 and at most 1".to_owned());
        }
        problems
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let answers = rows.filter(is_kept())?;
        let events = cx.table(&events())?.filter(is_kept())?;
        let examples = self
            .tasks_by_recipe()
            .into_iter()
            .map(|(recipe, tasks)| self.examples(recipe, tasks, &answers, &events))
            .collect::<Result<Vec<_>, _>>()?;
        let examples = union_all(examples)?;
        let examples = examples.ok_or_else(|| StageError::Config("compose.tasks is empty".to_owned()))?;
        let leak = Mark::new("held_out_context", Outcome::Leaked, col(EXPOSED).is_not_null());
        let table = genome_schemas::examples();
        let wanted: Vec<Expr> = table.columns().map(col).collect();
        Ok(mark_rows(examples, "compose", &[leak])?.select(wanted)?)
    }
}

impl Compose {
    /// The tasks with the recipe that they are made of, `None` for the events themselves: what such tasks are made of is
    /// read once.
    fn tasks_by_recipe(&self) -> BTreeMap<Option<&'static str>, Vec<Task>> {
        let mut groups: BTreeMap<_, Vec<Task>> = BTreeMap::new();
        for task in &self.tasks {
            let tasks = groups.entry(task.recipe()).or_default();
            if !tasks.contains(task) {
                tasks.push(*task);
            }
        }
        groups
    }

    /// Examples of tasks that are made of one recipe.
    fn examples(
        &self,
        recipe: Option<&str>,
        tasks: Vec<Task>,
        answers: &DataFrame,
        events: &DataFrame,
    ) -> Result<DataFrame, StageError> {
        let over_authors = tasks.iter().any(|task| task.is_over_authors());
        let parts = self.with_dropout(self.parts(recipe, over_authors, answers, events)?)?;
        let drafted = parts.select(vec![
            col("subject_key"),
            col("event_key"),
            col("author_id"),
            col("platform"),
            col("source"),
            col("split"),
            col(EXPOSED),
            self.compose(tasks, &parts_type(events)?).alias("__drafts"),
        ])?;
        let drafted = drafted.unnest_columns(&["__drafts"])?;
        let of_draft = |name: &str| get_field(col("__drafts"), name);
        let is_copy = col("split").eq(lit(DROPOUT));
        let of_copy = concat(vec![of_draft("task"), lit(format!(" {DROPOUT}"))]);
        let named = when(is_copy, of_copy).otherwise(of_draft("task"))?;
        let key = row_key("genome examples", vec![named, key_hex(col("subject_key")), of_draft("dimension")]);
        let mut columns = vec![
            key.alias("key"),
            of_draft("form").alias("form"),
            of_draft("task").alias("task"),
            col("author_id"),
            col("platform"),
            col("source"),
            col("subject_key"),
            col("event_key"),
            col("split"),
            of_draft("messages").alias("messages"),
            of_draft("reference").alias("reference"),
            of_draft("dimension").alias("dimension"),
            of_draft("rubric").alias("rubric"),
            of_draft("n_chars").alias("n_chars"),
            col(EXPOSED),
        ];
        columns.extend(fresh_ledger());
        // A row whose parts make no example was unnested to null.
        Ok(drafted.filter(of_draft("messages").is_not_null())?.select(columns)?)
    }

    /// The rows, and of those of the test split that show a persona a copy with less of it.
    fn with_dropout(&self, parts: DataFrame) -> Result<DataFrame, StageError> {
        let Some(share) = self.persona_dropout else { return Ok(parts) };
        let shows = col("split").eq(lit("test")).and(col("persona").is_not_null());
        let columns = parts.schema().fields().iter().map(|field| match field.name().as_str() {
            "split" => lit(DROPOUT).alias("split"),
            "persona" => thinned(share, self.dropout_seed)
                .call(vec![
                    cast(col("author_id"), DataType::Utf8View),
                    cast(col("persona"), DataType::Utf8View),
                ])
                .alias("persona"),
            name => column(name),
        });
        let copies = parts.clone().filter(shows)?.select(columns.collect::<Vec<_>>())?;
        Ok(parts.union(copies)?)
    }

    /// One row per answer or event, with everything its examples are made of.
    fn parts(
        &self,
        recipe: Option<&str>,
        over_authors: bool,
        answers: &DataFrame,
        events: &DataFrame,
    ) -> Result<DataFrame, StageError> {
        let (_, event_type) = event_struct(events)?;
        let no_text = || null_of(&DataType::Utf8);
        let rows = match recipe {
            Some(recipe) if over_authors => {
                return Ok(answers.clone().filter(col("recipe").eq(lit(recipe)))?.select(vec![
                    col("key").alias("subject_key"),
                    null_of(&key_type()).alias("event_key"),
                    col("author_id"),
                    col("platform"),
                    col("source"),
                    cast(col("split"), DataType::Utf8).alias("split"),
                    null_of(&event_type).alias("event"),
                    cast(col("fields"), DataType::Utf8).alias("fields"),
                    cast(col("evidence"), DataType::Utf8).alias("evidence"),
                    no_text().alias("persona"),
                    null_of(&key_type()).alias(EXPOSED),
                ])?);
            }
            Some(recipe) => {
                let of_recipe = answers.clone().filter(col("recipe").eq(lit(recipe)))?.select(vec![
                    col("key").alias("subject_key"),
                    col("subject_key").alias("__event_key"),
                    cast(col("fields"), DataType::Utf8).alias("fields"),
                    cast(col("evidence"), DataType::Utf8).alias("evidence"),
                ])?;
                let (event, _) = event_struct(events)?;
                let events = events.clone().select(vec![
                    col("key").alias("event_key"),
                    col("author_id"),
                    col("platform"),
                    col("source"),
                    cast(col("split"), DataType::Utf8).alias("split"),
                    event.alias("event"),
                ])?;
                of_recipe.join(events, JoinType::Inner, &["__event_key"], &["event_key"], None)?
            }
            None => {
                let (event, _) = event_struct(events)?;
                let mut rows = events.clone();
                if let Some(limit) = self.per_author {
                    let order = vec![col("at").sort(false, false), col("key").sort(true, false)];
                    let rank = rank_kept(vec![col("author_id"), col("source"), col("split")], order)?;
                    rows = rows
                        .window(vec![rank.alias("__rank")])?
                        .filter(col("__rank").lt_eq(lit(u64::from(limit))))?;
                }
                rows.select(vec![
                    col("key").alias("subject_key"),
                    col("key").alias("event_key"),
                    col("author_id"),
                    col("platform"),
                    col("source"),
                    cast(col("split"), DataType::Utf8).alias("split"),
                    event.alias("event"),
                    no_text().alias("fields"),
                    no_text().alias("evidence"),
                ])?
            }
        };
        let rows = match self.held_out_context {
            HeldOutContext::Drop => {
                exposed(events)?.join(rows, JoinType::Right, &[EXPOSED], &["event_key"], None)?
            }
            HeldOutContext::Keep => rows.with_column(EXPOSED, null_of(&key_type()))?,
        };
        // Two models may each have given a persona: one of them, always the same, is shown.
        let personas = answers.clone().filter(col("recipe").eq(lit("persona")))?.aggregate(
            vec![col("author_id").alias("__author"), col("source").alias("__source")],
            vec![min(cast(col("fields"), DataType::Utf8)).alias("persona")],
        )?;
        Ok(rows
            .join(personas, JoinType::Left, &["author_id", "source"], &["__author", "__source"], None)?
            .select(
                [
                    "subject_key",
                    "event_key",
                    "author_id",
                    "platform",
                    "source",
                    "split",
                    "event",
                    "fields",
                    "evidence",
                    "persona",
                    EXPOSED,
                ]
                .map(column)
                .to_vec(),
            )?)
    }

    /// List of the drafts of some tasks from the columns of [`Self::parts`].
    fn compose(&self, tasks: Vec<Task>, parts_type: &DataType) -> Expr {
        let max_context_chars = self.max_context_chars;
        let item = Arc::new(Field::new("item", DataType::Struct(draft_fields()), true));
        array_function(
            &format!("compose[{}]", tasks.iter().map(|task| task.as_str()).collect::<Vec<_>>().join(", ")),
            vec![parts_type.clone()],
            DataType::List(Arc::clone(&item)),
            move |args| {
                let rows: Vec<PartsRow> = row_json(&args[0])?;
                let drafts = rows
                    .into_iter()
                    .map(|row| {
                        let parts = row.parts(max_context_chars)?;
                        let mut all = Vec::new();
                        for task in &tasks {
                            all.extend(drafts(*task, &parts).into_iter().map(|draft| (*task, draft)));
                        }
                        Ok(all)
                    })
                    .collect::<DataFusionResult<Vec<Vec<(Task, Draft)>>>>()?;
                let rows: Vec<Vec<DraftRow>> = drafts
                    .iter()
                    .map(|drafts| drafts.iter().map(|(task, draft)| DraftRow::of(*task, draft)).collect())
                    .collect();
                list_array(&item, &rows)
            },
        )
        .call(vec![named_struct(vec![
            lit("platform"),
            cast(col("platform"), DataType::Utf8),
            lit("event"),
            col("event"),
            lit("fields"),
            col("fields"),
            lit("evidence"),
            col("evidence"),
            lit("persona"),
            col("persona"),
        ])])
    }
}

/// Keys of the train events that answer a held-out text, as column [`EXPOSED`].
fn exposed(events: &DataFrame) -> Result<DataFrame, StageError> {
    const HELD_OUT: &str = "__held_out";
    const SHOWN: &str = "__shown";
    let is_train = || col("split").eq(lit("train"));
    let of_text = |text: Expr| opening_key(cast(text, DataType::Utf8View), FEWEST_WORDS, OPENING_WORDS);
    let held_out =
        events.clone().filter(is_train().is_not_true())?.select(vec![of_text(written()).alias(HELD_OUT)])?;
    let shown = events
        .clone()
        .filter(is_train())?
        .select(vec![col("key"), col("context")])?
        .unnest_columns(&["context"])?
        .select(vec![col("key"), of_text(get_field(col("context"), "content")).alias(SHOWN)])?;
    // A text without a key is equal to none.
    let shown = held_out.join(shown, JoinType::RightSemi, &[HELD_OUT], &[SHOWN], None)?;
    Ok(shown.select(vec![col("key").alias(EXPOSED)])?.distinct()?)
}

/// What is left of a persona: `thinned(author, persona)`.
fn thinned(share: f64, seed: u64) -> ScalarUDF {
    let name = format!("thinned[{share}, {seed}]");
    array_function(&name, vec![DataType::Utf8View; 2], DataType::Utf8, move |args| {
        let (authors, personas) = (strings(args, 0)?, strings(args, 1)?);
        let left = authors.iter().zip(personas).map(|(author, persona)| {
            let (Some(author), Some(persona)) = (author, persona) else { return Ok(None) };
            let persona: serde_json::Value = serde_json::from_str(persona).map_err(external)?;
            Ok(Some(thin(&persona, author, share, seed).to_string()))
        });
        Ok(Arc::new(left.collect::<DataFusionResult<StringArray>>()?) as ArrayRef)
    })
}

#[derive(Deserialize)]
struct PartsRow {
    platform: String,
    #[serde(default)]
    event: Option<EventRow>,
    #[serde(default)]
    fields: Option<String>,
    #[serde(default)]
    evidence: Option<String>,
    #[serde(default)]
    persona: Option<String>,
}

impl PartsRow {
    fn parts(self, max_context_chars: usize) -> DataFusionResult<Parts> {
        let json = |text: Option<String>| {
            text.map(|t| serde_json::from_str(&t))
                .transpose()
                .map_err(|e| DataFusionError::External(Box::new(e)))
        };
        Ok(Parts {
            platform: self.platform,
            event: self.event.map(|event| event.view(max_context_chars)),
            persona: json(self.persona)?,
            fields: json(self.fields)?,
            evidence: self.evidence,
        })
    }
}

fn parts_type(events: &DataFrame) -> Result<DataType, StageError> {
    let (_, event) = event_struct(events)?;
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Ok(DataType::Struct(Fields::from(vec![
        text("platform"),
        Field::new("event", event, true),
        text("fields"),
        text("evidence"),
        text("persona"),
    ])))
}

/// A draft as a row of Arrow, with the fields of [`draft_fields`].
#[derive(Serialize)]
struct DraftRow<'a> {
    task: &'static str,
    form: &'static str,
    rubric: Option<&'static str>,
    dimension: Option<&'a str>,
    messages: &'a [Message],
    reference: Option<&'a str>,
    n_chars: i64,
}

impl<'a> DraftRow<'a> {
    fn of(task: Task, draft: &'a Draft) -> Self {
        Self {
            task: task.as_str(),
            form: task.form(),
            rubric: task.rubric(),
            dimension: draft.dimension,
            messages: &draft.messages,
            reference: draft.reference.as_deref(),
            n_chars: n_chars(&draft.messages),
        }
    }
}

fn draft_fields() -> Fields {
    Fields::from(vec![
        Field::new("task", DataType::Utf8, true),
        Field::new("form", DataType::Utf8, true),
        Field::new("rubric", DataType::Utf8, true),
        Field::new("dimension", DataType::Utf8, true),
        Field::new("messages", message_list_type(), true),
        Field::new("reference", DataType::Utf8, true),
        Field::new("n_chars", DataType::Int64, true),
    ])
}
