//! The engine as an async function: prompts of a batch go to the engine's queue, answers come back in order.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StructArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Fields};
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::Expr;
use genome_kernels::llm::{
    AnswerForm, ChatMessage, Completion, EngineHandle, FinishReason, Request, Sampling, Score, ScoreRequest,
    TextEncoder,
};
use genome_schemas::key_type;
use serde::{Deserialize, Serialize};

use super::key::as_key;
use super::{array_function, keys, strings};

/// Hands out the engine or the encoder of a named model; loads it on first use.
pub trait EngineSource: Debug + Send + Sync {
    /// Who answers for a model that the config names.
    ///
    /// # Errors
    /// Why there is nobody, in words for the user.
    fn answerer(&self, model: &str) -> std::result::Result<Box<dyn Answerer>, String>;

    /// The encoder of a model that the config names.
    ///
    /// # Errors
    /// As [`EngineSource::answerer`].
    fn encoder(&self, model: &str) -> std::result::Result<Arc<TextEncoder>, String>;

    /// The likelihoods of continuations under a model that the config names, in the order of the requests; waits for them.
    ///
    /// # Errors
    /// As [`EngineSource::answerer`], or the model is behind an endpoint.
    fn likelihoods(
        &self,
        model: &str,
        requests: Vec<ScoreRequest>,
    ) -> std::result::Result<Vec<Score>, String>;
}

/// What is called with the answers, as many as there were requests, in their order.
pub type Answers = Box<dyn FnOnce(Vec<Completion>) + Send>;

/// Who answers prompts: the engine inside, or a server elsewhere.
pub trait Answerer: Send + Sync {
    /// Answers requests, and calls `then` when all are; does not wait for that. Every failure is one answer's finish.
    fn ask(&self, requests: Vec<Request>, form: &AnswerForm, sampling: &Sampling, then: Answers);
}

impl Answerer for EngineHandle {
    /// The grammar of each request says more than the form.
    fn ask(&self, requests: Vec<Request>, _form: &AnswerForm, sampling: &Sampling, then: Answers) {
        self.submit(requests, sampling, then);
    }
}

/// No engine at all: plans can be built and explained, but not run.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEngines;

impl EngineSource for NoEngines {
    fn answerer(&self, model: &str) -> std::result::Result<Box<dyn Answerer>, String> {
        Err(format!("model `{model}` is not loaded: this plan was built to be looked at, not to be run"))
    }

    fn encoder(&self, model: &str) -> std::result::Result<Arc<TextEncoder>, String> {
        Err(format!("model `{model}` is not loaded: this plan was built to be looked at, not to be run"))
    }

    fn likelihoods(&self, model: &str, _: Vec<ScoreRequest>) -> std::result::Result<Vec<Score>, String> {
        Err(format!("model `{model}` is not loaded: this plan was built to be looked at, not to be run"))
    }
}

/// How a model is asked: everything about a call but the prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSpec {
    /// Name of the model in the config.
    pub model: String,
    /// System message; empty for none.
    pub system: String,
    /// The form that binds the answer.
    pub form: AnswerForm,
    /// Sampling.
    pub sampling: Sampling,
    /// How often an answer that was cut off is asked for again, with another seed and at least temperature 0.7.
    pub retries: u32,
}

/// Least temperature of a further attempt: without one it would be cut off in the same place.
const RETRY_TEMPERATURE: f32 = 0.7;

/// Fields of the struct that [`answer_parts`] gives.
fn answer_fields() -> Fields {
    Fields::from(vec![
        Field::new("text", DataType::Utf8, false),
        Field::new("finish", DataType::Utf8, false),
        Field::new("error", DataType::Utf8, true),
        Field::new("prompt_tokens", DataType::UInt32, false),
        Field::new("completion_tokens", DataType::UInt32, false),
        Field::new("attempts", DataType::UInt32, false),
    ])
}

/// One answer, as it travels from [`generate`] to [`answer_parts`].
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    text: String,
    finish: String,
    error: Option<String>,
    prompt_tokens: u32,
    completion_tokens: u32,
    attempts: u32,
}

/// Struct of `text`, `finish` (`stop`, `length`, `context`, `cancelled`, `error`, `unasked`), `error`, `prompt_tokens` and
/// `completion_tokens` of all `attempts`, from what [`generate`] gives.
pub fn answer_parts(answer: Expr) -> Expr {
    array_function("answer_parts", vec![DataType::Utf8View], DataType::Struct(answer_fields()), |args| {
        let answers = strings(args, 0)?
            .iter()
            .map(|answer| serde_json::from_str(answer.unwrap_or_default()))
            .collect::<std::result::Result<Vec<Answer>, _>>()
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        to_struct(&answers)
    })
    .call(vec![answer])
}

/// Asks the model; [`answer_parts`] reads the result. `evidence` is what quotations in the answer may be taken from.
///
/// The result is one string and not a struct: the planner pushes field accesses of a struct down to the call, and so
/// makes it once per field.
pub fn generate(
    spec: CallSpec,
    engines: Arc<dyn EngineSource>,
    key: Expr,
    prompt: Expr,
    evidence: Expr,
) -> Expr {
    AsyncScalarUDF::new(Arc::new(Generate {
        signature: Signature::exact(
            vec![key_type(), DataType::Utf8View, DataType::Utf8View],
            // The planner must neither fold nor repeat a call.
            Volatility::Volatile,
        ),
        spec,
        engines,
    }))
    .into_scalar_udf()
    .call(vec![key, prompt, evidence])
}

#[derive(Debug)]
struct Generate {
    signature: Signature,
    spec: CallSpec,
    engines: Arc<dyn EngineSource>,
}

impl PartialEq for Generate {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl Eq for Generate {}

impl Hash for Generate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.model.hash(state);
        self.spec.system.hash(state);
    }
}

impl ScalarUDFImpl for Generate {
    fn name(&self) -> &'static str {
        "generate"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal("generate is asynchronous".to_owned()))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Generate {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let rows = keys(&arrays, 0)?.len();
        let (asked, requests): (Vec<usize>, Vec<Request>) = self.requests(&arrays)?.into_iter().unzip();
        let expected = requests.len();
        let engines = Arc::clone(&self.engines);
        let model = self.spec.model.clone();
        // Loading a model takes seconds; it must not stop the runtime's thread.
        let engine = tokio::task::spawn_blocking(move || engines.answerer(&model))
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))?
            .map_err(DataFusionError::Execution)?;
        let mut completions = self.ask(&*engine, requests.clone(), &self.spec.sampling).await?;
        let mut attempts = vec![1; expected];
        for attempt in 1..=self.spec.retries {
            let cut: Vec<usize> =
                (0..expected).filter(|&at| completions[at].finish == FinishReason::Length).collect();
            if cut.is_empty() {
                break;
            }
            let sampling = Sampling {
                temperature: self.spec.sampling.temperature.max(RETRY_TEMPERATURE),
                seed: self.spec.sampling.seed.wrapping_add(u64::from(attempt) * 0x9E37_79B9),
                ..self.spec.sampling.clone()
            };
            let again = cut.iter().map(|&at| requests[at].clone()).collect();
            for (at, mut completion) in cut.into_iter().zip(self.ask(&*engine, again, &sampling).await?) {
                completion.prompt_tokens += completions[at].prompt_tokens;
                completion.completion_tokens += completions[at].completion_tokens;
                completions[at] = completion;
                attempts[at] += 1;
            }
        }
        Ok(ColumnarValue::Array(answers(rows, &asked, completions, &attempts)?))
    }
}

impl Generate {
    /// One answer for each request.
    async fn ask(
        &self,
        engine: &dyn Answerer,
        requests: Vec<Request>,
        sampling: &Sampling,
    ) -> Result<Vec<Completion>> {
        let expected = requests.len();
        let (send, receive) = tokio::sync::oneshot::channel();
        let then = move |completions| {
            // A closed channel means that the plan was dropped: nobody waits for the answers.
            let _ = send.send(completions);
        };
        engine.ask(requests, &self.spec.form, sampling, Box::new(then));
        let completions = receive
            .await
            .map_err(|_| DataFusionError::Execution("the engine stopped before it answered".to_owned()))?;
        if completions.len() == expected {
            return Ok(completions);
        }
        Err(DataFusionError::Internal(format!("{expected} prompts, but {} answers", completions.len())))
    }

    /// The rows that can be asked, each with its request. A form cannot be asked where the evidence is too short for
    /// a quotation that it wants.
    fn requests(&self, arrays: &[ArrayRef]) -> Result<Vec<(usize, Request)>> {
        let (keys, prompts, evidence) = (keys(arrays, 0)?, strings(arrays, 1)?, strings(arrays, 2)?);
        self.spec.form.validate().map_err(|e| DataFusionError::External(Box::new(e)))?;
        let request = |row: usize| {
            let grammar = self.spec.form.grammar(evidence.value(row)).ok()?;
            let mut messages = Vec::with_capacity(2);
            if !self.spec.system.is_empty() {
                messages.push(ChatMessage::new("system", self.spec.system.as_str()));
            }
            messages.push(ChatMessage::new("user", prompts.value(row)));
            let key = as_key(keys.value(row)).0;
            Some((row, Request { key, messages, answer_prefix: String::new(), grammar }))
        };
        Ok((0..prompts.len()).filter_map(request).collect())
    }
}

/// Answers as lines of JSON, one for each of `rows`; those that were not asked have finish `unasked`.
fn answers(rows: usize, asked: &[usize], completions: Vec<Completion>, attempts: &[u32]) -> Result<ArrayRef> {
    let tokens = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let lines = completions
        .into_iter()
        .zip(attempts)
        .map(|(completion, attempts)| {
            let (finish, error) = match completion.finish {
                FinishReason::Stop => ("stop", None),
                FinishReason::Length => ("length", None),
                FinishReason::ContextTooLong => ("context", None),
                FinishReason::Cancelled => ("cancelled", None),
                FinishReason::Error(reason) => ("error", Some(reason)),
            };
            serde_json::to_string(&Answer {
                text: completion.text,
                finish: finish.to_owned(),
                error,
                prompt_tokens: tokens(completion.prompt_tokens),
                completion_tokens: tokens(completion.completion_tokens),
                attempts: *attempts,
            })
            .map_err(|e| DataFusionError::External(Box::new(e)))
        })
        .collect::<Result<Vec<String>>>()?;
    let unasked = Answer {
        text: String::new(),
        finish: "unasked".to_owned(),
        error: None,
        prompt_tokens: 0,
        completion_tokens: 0,
        attempts: 0,
    };
    let unasked = serde_json::to_string(&unasked).map_err(|e| DataFusionError::External(Box::new(e)))?;
    let mut all = vec![unasked; rows];
    for (row, line) in asked.iter().zip(lines) {
        if let Some(place) = all.get_mut(*row) {
            *place = line;
        }
    }
    Ok(Arc::new(StringArray::from(all)))
}

fn to_struct(answers: &[Answer]) -> Result<ArrayRef> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(answers.iter().map(|a| Some(a.text.as_str())).collect::<StringArray>()),
        Arc::new(answers.iter().map(|a| Some(a.finish.as_str())).collect::<StringArray>()),
        Arc::new(answers.iter().map(|a| a.error.as_deref()).collect::<StringArray>()),
        Arc::new(answers.iter().map(|a| a.prompt_tokens).collect::<UInt32Array>()),
        Arc::new(answers.iter().map(|a| a.completion_tokens).collect::<UInt32Array>()),
        Arc::new(answers.iter().map(|a| a.attempts).collect::<UInt32Array>()),
    ];
    Ok(Arc::new(StructArray::try_new(answer_fields(), columns, None)?))
}
