//! The engine as an async function: prompts of a batch go to the engine's queue, answers come back in order.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, StringArray, StructArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Fields};
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::Expr;
use futures::future::try_join_all;
use genome_kernels::llm::{AnswerForm, Completion, Decision, FinishReason, Request, Sampling};
use genome_schemas::key_type;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calls::{Call, merge};
use super::engines::{Answerer, EngineSource, messages};
use super::key::as_key;
use super::template::Template;
use super::{array_function, external, keys, string_at, strings};

/// How a model is asked: everything about a call but the prompts.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSpec {
    /// Name of the model in the config.
    pub model: String,
    /// Ways of asking; more than one where an answer is put together.
    pub parts: Vec<PartSpec>,
    /// The form of the whole answer.
    pub form: AnswerForm,
    /// Makes one prompt of the answers over several windows; without it they are joined field by field.
    pub(crate) reduce: Option<Template>,
    /// Sampling, but for the most tokens.
    pub sampling: Sampling,
    /// How often an answer that was cut off is asked for again, with another seed and at least temperature 0.7.
    pub retries: u32,
}

/// One way of asking.
#[derive(Debug, Clone, PartialEq)]
pub struct PartSpec {
    /// System message; empty for none.
    pub system: String,
    /// The form that binds the answer.
    pub form: AnswerForm,
    /// Most tokens of the answer.
    pub max_tokens: usize,
}

impl CallSpec {
    /// One prompt for each row.
    pub(crate) fn single(model: &str, part: PartSpec, sampling: Sampling, retries: u32) -> Self {
        let form = part.form.clone();
        Self { model: model.to_owned(), parts: vec![part], form, reduce: None, sampling, retries }
    }
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
        Field::new("n_calls", DataType::UInt32, false),
        Field::new("lost", DataType::UInt32, false),
        Field::new("probabilities", DataType::Utf8, true),
    ])
}

/// One answer, as it travels from [`generate`] to [`answer_parts`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Answer {
    text: String,
    finish: String,
    error: Option<String>,
    prompt_tokens: u32,
    completion_tokens: u32,
    attempts: u32,
    n_calls: u32,
    lost: u32,
    probabilities: Option<String>,
}

/// Struct of `text`, `finish` (`stop`, `length`, `context`, `cancelled`, `error`, `unasked`), `error`, `prompt_tokens` and
/// `completion_tokens` of all `attempts`, of `n_calls` prompts and `lost` events in windows without an answer, and the
/// `probabilities` of choices as JSON, from what [`generate`] gives.
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

/// Asks the model; [`answer_parts`] reads the result. `evidence` is what quotations in the answer may be taken from; `calls`,
/// where it is not null, is a list of several calls as JSON (`part`, `prompt`, `evidence`, `shown`), which are asked instead.
///
/// The result is one string and not a struct: the planner pushes field accesses of a struct down to the call, and so
/// makes it once per field.
pub fn generate(
    spec: CallSpec,
    engines: Arc<dyn EngineSource>,
    key: Expr,
    prompt: Expr,
    evidence: Expr,
    calls: Expr,
) -> Expr {
    AsyncScalarUDF::new(Arc::new(Generate {
        signature: Signature::exact(
            vec![key_type(), DataType::Utf8View, DataType::Utf8View, DataType::Utf8View],
            // The planner must neither fold nor repeat a call.
            Volatility::Volatile,
        ),
        spec,
        engines,
    }))
    .into_scalar_udf()
    .call(vec![key, prompt, evidence, calls])
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
        let rows = self.rows(&arrays)?;
        let engines = Arc::clone(&self.engines);
        let model = self.spec.model.clone();
        // Loading a model takes seconds; it must not stop the runtime's thread.
        let engine = tokio::task::spawn_blocking(move || engines.answerer(&model))
            .await
            .map_err(external)?
            .map_err(DataFusionError::Execution)?;
        let mut given: Vec<Vec<Answer>> = rows.iter().map(|row| vec![unasked(); row.calls.len()]).collect();
        // All parts at once: they share the engine's batch.
        let parts = (0..self.spec.parts.len()).map(|part| self.ask_part(&*engine, &rows, part));
        for ((at, number), answer) in try_join_all(parts).await?.into_iter().flatten() {
            given[at][number] = answer;
        }
        let mut whole: Vec<Gathered> =
            rows.iter().zip(&given).map(|(row, given)| self.gather(&row.calls, given)).collect();
        self.reduce(&*engine, &rows, &mut whole).await?;
        let lines = whole.iter().map(|gathered| serde_json::to_string(&gathered.answer).map_err(external));
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(lines.collect::<Result<Vec<_>>>()?))))
    }
}

/// What is asked for one row.
struct AskedRow {
    key: [u8; 16],
    calls: Vec<Call>,
}

/// The answers of one row, put together.
struct Gathered {
    answer: Answer,
    /// Answers over several windows that a model is to make one of.
    several: Vec<Value>,
}

impl Generate {
    fn rows(&self, arrays: &[ArrayRef]) -> Result<Vec<AskedRow>> {
        for form in self.spec.parts.iter().map(|part| &part.form).chain([&self.spec.form]) {
            form.validate().map_err(external)?;
        }
        let (keys, prompts) = (keys(arrays, 0)?, strings(arrays, 1)?);
        let (evidence, calls) = (strings(arrays, 2)?, strings(arrays, 3)?);
        let row = |row: usize| {
            let calls = match string_at(calls, row) {
                Some(calls) => serde_json::from_str(calls).map_err(external)?,
                None => vec![Call {
                    part: 0,
                    prompt: prompts.value(row).to_owned(),
                    evidence: evidence.value(row).to_owned(),
                    shown: 0,
                }],
            };
            Ok(AskedRow { key: as_key(keys.value(row)).0, calls })
        };
        (0..prompts.len()).map(row).collect()
    }

    /// Asks the calls of one part, and gives the answers with the places of their rows and calls.
    async fn ask_part(
        &self,
        engine: &dyn Answerer,
        rows: &[AskedRow],
        place: usize,
    ) -> Result<Vec<((usize, usize), Answer)>> {
        let part = &self.spec.parts[place];
        let mut places = Vec::new();
        let mut requests = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            for (number, call) in row.calls.iter().enumerate().filter(|(_, call)| call.part == place) {
                let key = call_key(row.key, number);
                if let Some(request) = request(part, &part.form, key, &call.prompt, &call.evidence) {
                    places.push((at, number));
                    requests.push(request);
                }
            }
        }
        let answers = self.answers(engine, part, &part.form, requests).await?;
        Ok(places.into_iter().zip(answers).collect())
    }

    /// One answer for each request, those that were cut off asked for again.
    async fn answers(
        &self,
        engine: &dyn Answerer,
        part: &PartSpec,
        form: &AnswerForm,
        requests: Vec<Request>,
    ) -> Result<Vec<Answer>> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let sampling = Sampling { max_tokens: part.max_tokens, ..self.spec.sampling.clone() };
        let mut completions = ask(engine, requests.clone(), form, &sampling).await?;
        let mut attempts = vec![1; requests.len()];
        for attempt in 1..=self.spec.retries {
            let is_cut = |at: &usize| completions[*at].finish == FinishReason::Length;
            let cut: Vec<usize> = (0..requests.len()).filter(is_cut).collect();
            if cut.is_empty() {
                break;
            }
            let sampling = Sampling {
                temperature: sampling.temperature.max(RETRY_TEMPERATURE),
                seed: sampling.seed.wrapping_add(u64::from(attempt) * 0x9E37_79B9),
                ..sampling.clone()
            };
            let again = cut.iter().map(|&at| requests[at].clone()).collect();
            for (at, mut completion) in cut.into_iter().zip(ask(engine, again, form, &sampling).await?) {
                completion.prompt_tokens += completions[at].prompt_tokens;
                completion.completion_tokens += completions[at].completion_tokens;
                completions[at] = completion;
                attempts[at] += 1;
            }
        }
        completions.into_iter().zip(attempts).map(|(completion, n)| answer(completion, n)).collect()
    }

    /// Makes one answer of those to the prompts of a row.
    fn gather(&self, calls: &[Call], given: &[Answer]) -> Gathered {
        if given.is_empty() || given.len() == 1 && self.spec.parts.len() == 1 {
            let answer = given.first().cloned().unwrap_or_else(unasked);
            return Gathered { answer, several: Vec::new() };
        }
        let mut whole = Answer { finish: "stop".to_owned(), ..Answer::default() };
        for answer in given {
            whole.prompt_tokens += answer.prompt_tokens;
            whole.completion_tokens += answer.completion_tokens;
            whole.attempts = whole.attempts.max(answer.attempts);
            whole.n_calls += answer.n_calls;
        }
        let mut said: Vec<Value> = Vec::new();
        for (place, part) in self.spec.parts.iter().enumerate() {
            let windows = calls.iter().zip(given).filter(|(call, _)| call.part == place);
            let mut readable = Vec::new();
            let mut failed: Option<&Answer> = None;
            let mut lost = 0;
            for (call, answer) in windows {
                if let Some(value) = read(part, answer) {
                    readable.push(value);
                } else {
                    failed = failed.or(Some(answer));
                    lost += call.shown;
                }
            }
            if let (true, Some(failed)) = (readable.is_empty(), failed) {
                // Without any answer to a part there is none as a whole; the row says why.
                let (text, finish, error) =
                    (failed.text.clone(), failed.finish.clone(), failed.error.clone());
                return Gathered { answer: Answer { text, finish, error, ..whole }, several: Vec::new() };
            }
            // Parts are shown the same history, each as much of it as fits.
            whole.lost = whole.lost.max(lost);
            said.extend(readable);
        }
        let several: Vec<Value> = said.iter().filter(|value| value.is_object()).cloned().collect();
        let merged = merge(&self.spec.form, &said).unwrap_or(Value::Null);
        whole.text = self.spec.form.write(&merged);
        let reduces = self.spec.reduce.is_some() && several.len() > 1;
        Gathered { answer: whole, several: if reduces { several } else { Vec::new() } }
    }

    /// Asks for one answer where there are several and the recipe says how.
    async fn reduce(&self, engine: &dyn Answerer, rows: &[AskedRow], whole: &mut [Gathered]) -> Result<()> {
        let (Some(template), [part, ..]) = (&self.spec.reduce, &self.spec.parts[..]) else { return Ok(()) };
        let mut places = Vec::new();
        let mut requests = Vec::new();
        for (at, gathered) in whole.iter().enumerate().filter(|(_, gathered)| gathered.several.len() > 1) {
            let prompt = template.render(&ReduceView { answers: &gathered.several })?;
            let quotes: Vec<&str> = gathered.several.iter().flat_map(|a| self.spec.form.quotes(a)).collect();
            let key = call_key(rows[at].key, rows[at].calls.len());
            if let Some(request) = request(part, &self.spec.form, key, &prompt, &quotes.join("\n")) {
                places.push(at);
                requests.push(request);
            }
        }
        let answers = self.answers(engine, part, &self.spec.form, requests).await?;
        for (at, answer) in places.into_iter().zip(answers) {
            let windows = &whole[at].answer;
            whole[at].answer = Answer {
                prompt_tokens: windows.prompt_tokens + answer.prompt_tokens,
                completion_tokens: windows.completion_tokens + answer.completion_tokens,
                attempts: windows.attempts.max(answer.attempts),
                n_calls: windows.n_calls + 1,
                lost: windows.lost,
                ..answer
            };
        }
        Ok(())
    }
}

/// What a template sees that makes one answer of several.
#[derive(Serialize)]
pub(crate) struct ReduceView<'a> {
    /// The answers, in time order, as objects.
    pub(crate) answers: &'a [Value],
}

/// The answer to a prompt as a value: `null` where nothing can be said, none where it failed.
fn read(part: &PartSpec, answer: &Answer) -> Option<Value> {
    match answer.finish.as_str() {
        "unasked" => Some(Value::Null),
        "stop" => part.form.parse(&answer.text).ok().map(|value| value.unwrap_or(Value::Null)),
        _ => None,
    }
}

/// The name of one of several calls of a row; the first has the row's own.
fn call_key(row: [u8; 16], number: usize) -> [u8; 16] {
    if number == 0 {
        return row;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&row);
    hasher.update(&(number as u64).to_le_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

/// One request; none where the evidence is too short for a quotation that the form wants.
fn request(
    part: &PartSpec,
    form: &AnswerForm,
    key: [u8; 16],
    prompt: &str,
    evidence: &str,
) -> Option<Request> {
    let grammar = form.grammar(evidence).ok()?;
    Some(Request { key, messages: messages(&part.system, prompt), answer_prefix: String::new(), grammar })
}

/// One completion for each request.
async fn ask(
    engine: &dyn Answerer,
    requests: Vec<Request>,
    form: &AnswerForm,
    sampling: &Sampling,
) -> Result<Vec<Completion>> {
    let expected = requests.len();
    let (send, receive) = tokio::sync::oneshot::channel();
    let then = move |completions| {
        // A closed channel means that the plan was dropped: nobody waits for the answers.
        let _ = send.send(completions);
    };
    engine.ask(requests, form, sampling, Box::new(then));
    let completions = receive
        .await
        .map_err(|_| DataFusionError::Execution("the engine stopped before it answered".to_owned()))?;
    if completions.len() == expected {
        return Ok(completions);
    }
    Err(DataFusionError::Internal(format!("{expected} prompts, but {} answers", completions.len())))
}

/// The answer of a row that cannot be asked.
fn unasked() -> Answer {
    Answer { finish: "unasked".to_owned(), ..Answer::default() }
}

fn answer(completion: Completion, attempts: u32) -> Result<Answer> {
    let tokens = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (finish, error) = match completion.finish {
        FinishReason::Stop => ("stop", None),
        FinishReason::Length => ("length", None),
        FinishReason::ContextTooLong => ("context", None),
        FinishReason::Cancelled => ("cancelled", None),
        FinishReason::Error(reason) => ("error", Some(reason)),
    };
    Ok(Answer {
        text: completion.text,
        finish: finish.to_owned(),
        error,
        prompt_tokens: tokens(completion.prompt_tokens),
        completion_tokens: tokens(completion.completion_tokens),
        attempts,
        n_calls: 1,
        lost: 0,
        probabilities: probabilities(&completion.decisions)?,
    })
}

/// The probabilities of all options of each choice, by its path, as JSON; rounded to what any machine gives.
fn probabilities(decisions: &[Decision]) -> Result<Option<String>> {
    if decisions.is_empty() {
        return Ok(None);
    }
    let rounded = |p: f32| (f64::from(p) * 1e4).round() / 1e4;
    let of = |decision: &Decision| {
        let options = decision.probabilities.iter().map(|(option, p)| (option.clone(), rounded(*p).into()));
        (decision.path.clone(), Value::Object(options.collect()))
    };
    let all: serde_json::Map<String, Value> = decisions.iter().map(of).collect();
    serde_json::to_string(&all).map(Some).map_err(external)
}

fn to_struct(answers: &[Answer]) -> Result<ArrayRef> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(answers.iter().map(|a| Some(a.text.as_str())).collect::<StringArray>()),
        Arc::new(answers.iter().map(|a| Some(a.finish.as_str())).collect::<StringArray>()),
        Arc::new(answers.iter().map(|a| a.error.as_deref()).collect::<StringArray>()),
        Arc::new(answers.iter().map(|a| a.prompt_tokens).collect::<UInt32Array>()),
        Arc::new(answers.iter().map(|a| a.completion_tokens).collect::<UInt32Array>()),
        Arc::new(answers.iter().map(|a| a.attempts).collect::<UInt32Array>()),
        Arc::new(answers.iter().map(|a| a.n_calls).collect::<UInt32Array>()),
        Arc::new(answers.iter().map(|a| a.lost).collect::<UInt32Array>()),
        Arc::new(answers.iter().map(|a| a.probabilities.as_deref()).collect::<StringArray>()),
    ];
    Ok(Arc::new(StructArray::try_new(answer_fields(), columns, None)?))
}
