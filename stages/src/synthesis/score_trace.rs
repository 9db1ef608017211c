//! The trace gate's measure: how much likelier a thought makes what the person really wrote (`Recon`; papers' section 4).

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::JoinType;
use datafusion::prelude::{DataFrame, Expr, cast, col, get_field, lit};
use genome_kernels::llm::{ChatMessage, FieldKind};
use genome_schemas::{completions, events, judgements};
use serde::{Deserialize, Serialize};

use super::judge::{SCORES, judgement_rows};
use super::recipe::Over;
use super::view::{EventRow, EventView, event_struct, row_json};
use crate::StageError;
use crate::functions::{Likelihood, array_function, likelihoods, list_array, strings};
use crate::mark::is_kept;
use crate::stage::{Asset, Card, ModelStage, Scope, Stage, StageContext};

/// The rubric of its scores.
pub(super) const RUBRIC: &str = "trace";

/// Its scores, in nats a token of what the person wrote: its mean log-likelihood after the context, after the context and
/// the thought, and the second less the first.
pub(super) const METRICS: [&str; 3] = ["without", "with", "gain"];

/// Asks a model how likely the real text is, with and without a thought that was written for it.
///
/// A thought written in view of the text may only rationalise it; one that makes the text likelier tells something about
/// it. Nothing is generated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreTrace {
    /// A recipe over events whose kept answers are measured.
    pub recipe: String,
    /// Its field that holds the thought.
    pub field: String,
    /// Name of the model; best another than the one that answered.
    pub model: String,
    /// Most characters of each context message.
    #[serde(default = "default_context_chars")]
    pub max_context_chars: usize,
}

const fn default_context_chars() -> usize {
    1200
}

impl Stage for ScoreTrace {
    fn card(&self) -> Card {
        Card {
            name: "score_trace",
            version: 1,
            scope: Scope::Row,
            at_rest: true,
            input: completions,
            output: judgements,
            reads: &[events],
            outcomes: &[],
        }
    }

    fn detail(&self) -> String {
        self.recipe.clone()
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        Ok(vec![cx.model_asset(&self.model)?])
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        let mut problems: Vec<String> =
            cx.model_digest(&self.model).err().map(|e| e.to_string()).into_iter().collect();
        match cx.recipes.recipe(&self.recipe) {
            Err(error) => problems.push(error.to_string()),
            Ok(recipe) if recipe.head.over != Over::Events => {
                problems.push(format!("recipe `{}` is not asked over events", self.recipe));
            }
            Ok(recipe) => {
                let fields = recipe.head.form.fields.iter();
                let words =
                    fields.filter(|f| matches!(f.kind, FieldKind::Text { .. } | FieldKind::Choice { .. }));
                let fields: Vec<&str> = words.map(|f| f.name.as_str()).collect();
                if !fields.contains(&self.field.as_str()) {
                    problems.push(format!(
                        "recipe `{}` has no field of words `{}`; such are: {}",
                        self.recipe,
                        self.field,
                        fields.join(", ")
                    ));
                }
            }
        }
        problems
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        self.answers(cx, self.prompts(cx, rows)?)
    }

    fn model_stage(&self) -> Option<&dyn ModelStage> {
        Some(self)
    }
}

impl ModelStage for ScoreTrace {
    fn prompts(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const EVENT: &str = "__event";
        let answers =
            rows.filter(is_kept().and(col("recipe").eq(lit(self.recipe.as_str()))))?.select(vec![
                col("key"),
                col("source"),
                col("subject_key"),
                cast(col("fields"), DataType::Utf8).alias("fields"),
            ])?;
        let events = cx.table(&events())?;
        let (event, event_type) = event_struct(&events)?;
        let events = events.select(vec![col("key").alias("__of"), event.alias(EVENT)])?;
        let joined = answers.join(events, JoinType::Inner, &["subject_key"], &["__of"], None)?;
        let prompt = self.prompt(event_type).call(vec![col(EVENT), col("fields")]);
        Ok(joined.select(vec![col("key"), col("source"), prompt.alias("prompt")])?)
    }

    fn answers(&self, cx: &StageContext, prompts: DataFrame) -> Result<DataFrame, StageError> {
        let found = likelihoods(&self.model, cx.engines.clone(), col("prompt"));
        // Two calls of one row stand one after the other: what they have in common is computed once.
        let found = prompts.with_column("__found", found)?;
        let scored = found.select(vec![col("key"), col("source"), scores(col("__found")).alias(SCORES)])?;
        let scored = scored.unnest_columns(&[SCORES])?;
        let tokens = cast(get_field(col(SCORES), "tokens"), DataType::UInt32).alias("completion_tokens");
        let scored = scored.select(vec![col("key"), col("source"), tokens, col(SCORES)])?;
        judgement_rows(scored, RUBRIC, RUBRIC, (&self.model, cx.model_digest(&self.model)?))
    }

    fn call_column(&self) -> &'static str {
        "completion_key"
    }

    fn models(&self) -> Vec<&str> {
        vec![&self.model]
    }
}

/// Both conversations and what follows them, as JSON in column `prompt`.
#[derive(Serialize, Deserialize)]
struct Pair {
    without: Vec<(String, String)>,
    with: Vec<(String, String)>,
    text: String,
}

impl ScoreTrace {
    fn prompt(&self, event_type: DataType) -> datafusion::logical_expr::ScalarUDF {
        let (field, max_context_chars) = (self.field.clone(), self.max_context_chars);
        let name = format!("trace_prompt[{}]", self.recipe);
        array_function(&name, vec![event_type, DataType::Utf8View], DataType::Utf8, move |args| {
            let events: Vec<EventRow> = row_json(&args[0])?;
            let fields = strings(args, 1)?;
            let pairs = events.into_iter().enumerate().map(|(row, event)| {
                let fields: serde_json::Value = serde_json::from_str(fields.value(row)).unwrap_or_default();
                let thought = fields.get(&field).and_then(serde_json::Value::as_str).unwrap_or_default();
                let pair = pair(&event.view(max_context_chars), thought);
                Some(serde_json::to_string(&pair).unwrap_or_default())
            });
            Ok(Arc::new(pairs.collect::<arrow::array::StringArray>()) as arrow::array::ArrayRef)
        })
    }
}

/// What the model is given before the text.
fn pair(event: &EventView, thought: &str) -> Pair {
    let mut shown = String::new();
    for turn in &event.context {
        // Writing to a string cannot fail.
        let _ = write!(shown, "{}: {}\n\n", turn.role, turn.content);
    }
    let task = if event.context.is_empty() {
        format!("Write the person's {}.", event.kind)
    } else {
        format!("Write the person's {} in answer to this.", event.kind)
    };
    let system =
        ("system".to_owned(), "You write what one particular person wrote, word for word.".to_owned());
    let user = |middle: &str| ("user".to_owned(), format!("{shown}{middle}{task}"));
    Pair {
        without: vec![system.clone(), user("")],
        with: vec![system, user(&format!("What goes through the person's mind: {thought}\n\n"))],
        text: event.own.clone(),
    }
}

/// The two conversations of a prompt that [`ScoreTrace`] made, and the text; none if it is no such prompt.
pub(crate) fn conversations(prompt: &str) -> Option<([Vec<ChatMessage>; 2], String)> {
    let pair: Pair = serde_json::from_str(prompt).ok()?;
    let messages = |turns: Vec<(String, String)>| {
        turns.into_iter().map(|(role, content)| ChatMessage::new(role, content)).collect()
    };
    Some(([messages(pair.without), messages(pair.with)], pair.text))
}

#[derive(Serialize)]
struct ScoreRow {
    metric: &'static str,
    score: Option<f64>,
    tokens: u32,
}

/// List of (metric, score, tokens) from what [`likelihoods`] gives; scores are null where the engine failed.
fn scores(found: Expr) -> Expr {
    let fields = Fields::from(vec![
        Field::new("metric", DataType::Utf8, false),
        Field::new("score", DataType::Float64, true),
        Field::new("tokens", DataType::UInt32, false),
    ]);
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    array_function("trace_scores", vec![DataType::Utf8View], DataType::List(Arc::clone(&item)), move |args| {
        let rows: Vec<Vec<ScoreRow>> = strings(args, 0)?
            .iter()
            .map(|found| {
                let found: Likelihood = serde_json::from_str(found.unwrap_or_default()).unwrap_or_default();
                let gain = found.with.zip(found.without).map(|(with, without)| with - without);
                let scores = [found.without, found.with, gain];
                let rows = METRICS.iter().zip(scores);
                rows.map(|(metric, score)| ScoreRow { metric, score, tokens: found.tokens }).collect()
            })
            .collect();
        list_array(&item, &rows)
    })
    .call(vec![found])
}
