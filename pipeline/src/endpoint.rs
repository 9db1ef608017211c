//! Models behind an HTTP endpoint in `OpenAI`'s manner, such as that of vLLM or llama.cpp's server, in place of the engine
//! inside.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use genome_kernels::llm::{
    AnswerForm, ChatMessage, Completion, FinishReason, Layout, Progress, Request, Sampling,
};
use genome_stages::functions::{Answerer, Answers};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::Agent;

/// One `[endpoints.<name>]` table of a config: a model that another server runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Where it is: `http://host:port/v1`, to which `/chat/completions` is added.
    pub url: String,
    /// Name of the model there.
    pub model: String,
    /// Environment variable that holds the key it is asked with, if it wants one.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// Requests under way at once.
    #[serde(default = "sixteen")]
    pub concurrency: usize,
    /// Most requests begun in a minute; no limit if not given.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// Attempts for one answer, the first included.
    #[serde(default = "five")]
    pub attempts: u32,
    /// Seconds after which an attempt is given up.
    #[serde(default = "five_minutes")]
    pub timeout_seconds: u64,
    /// How answers are bound to the form of a recipe.
    #[serde(default)]
    pub response_format: ResponseFormat,
}

/// How a server is told which form an answer must have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// By a named JSON schema, as `OpenAI` and vLLM have it.
    #[default]
    JsonSchema,
    /// By a JSON schema beside the wish for an object, as older servers of llama.cpp have it.
    JsonObject,
    /// By the prompt alone.
    None,
}

const fn sixteen() -> usize {
    16
}

const fn five() -> u32 {
    5
}

const fn five_minutes() -> u64 {
    300
}

impl EndpointConfig {
    /// What the model is known by: what decides its answers, as far as can be told from here.
    pub fn digest(&self) -> String {
        format!("endpoint {} {} {:?}", self.url, self.model, self.response_format)
    }

    /// Everything that is wrong with it.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.url.starts_with("http://") && !self.url.starts_with("https://") {
            problems.push(format!("url must begin with http:// or https://, not `{}`", self.url));
        }
        let positive = [
            ("concurrency", self.concurrency > 0),
            ("attempts", self.attempts > 0),
            ("timeout_seconds", self.timeout_seconds > 0),
            ("requests_per_minute", self.requests_per_minute != Some(0)),
        ];
        problems.extend(
            positive
                .iter()
                .filter(|(_, is_right)| !is_right)
                .map(|(name, _)| format!("{name} must be at least 1")),
        );
        problems
    }
}

/// A model behind an endpoint, ready to be asked.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    agent: Agent,
    key: Option<String>,
    is_cancelled: AtomicBool,
    counts: Counts,
    /// Requests under way, whoever asks.
    under_way: Mutex<usize>,
    /// Notified when one has ended.
    ended: Condvar,
    /// When the next request may begin.
    next: Mutex<Instant>,
    failed: Mutex<Failures>,
}

/// Answers that failed in the end, whatever was asked.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    count: u64,
    /// Of these, how many may be for what was asked.
    unclear: u64,
    /// Why the last one did.
    reason: String,
}

impl Failures {
    /// So many that may be for what was asked, the last for `reason`.
    pub fn unclear(count: u64, reason: String) -> Self {
        Self { count, unclear: count, reason }
    }

    /// Counts others too.
    pub fn add(&mut self, others: &Self) {
        self.count += others.count;
        self.unclear += others.unclear;
        if others.count > 0 {
            self.reason.clone_from(&others.reason);
        }
    }

    /// Why the last one failed, if as many have failed since `before` as were answered, and it cannot be for what was asked.
    pub fn all_of(&self, answered: u64, before: &Self) -> Option<&str> {
        let are_enough = self.unclear == before.unclear || answered >= FEWEST_UNCLEAR;
        let all = answered > 0 && self.count - before.count >= answered;
        (all && are_enough).then_some(self.reason.as_str())
    }
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    done: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

/// How an attempt ended without an answer.
enum Failure {
    /// It may go better later: after so long, if the server says.
    Passing(String, Option<Duration>),
    /// It will not.
    Lasting(FinishReason, Fault),
}

/// Whose fault a lasting failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// What was asked.
    Row,
    /// What was asked, or how: the server takes the request for a wrong one.
    Unclear,
    /// The server's, or the config's.
    Server,
}

/// Requests of a part that must all have failed for what may be their own fault before it is not for them.
const FEWEST_UNCLEAR: u64 = 8;

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// First pause, doubled with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Shortest pause, whatever the server says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How much of a server's complaint is told.
const COMPLAINT_CHARS: usize = 300;

impl Endpoint {
    /// An endpoint of a config.
    ///
    /// # Errors
    /// The environment variable of its key is not set.
    pub fn new(config: &EndpointConfig) -> Result<Self> {
        let key = config.api_key_env.as_ref().map(|name| {
            std::env::var(name).with_context(|| format!("api_key_env names ${name}, which is not set"))
        });
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(config.timeout_seconds)))
            .http_status_as_error(false)
            .build();
        Ok(Self {
            config: config.clone(),
            agent: agent.into(),
            key: key.transpose()?,
            is_cancelled: AtomicBool::new(false),
            counts: Counts::default(),
            under_way: Mutex::new(0),
            ended: Condvar::new(),
            next: Mutex::new(Instant::now()),
            failed: Mutex::default(),
        })
    }

    /// Leaves what was not begun unanswered.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Relaxed);
    }

    /// Answers that failed in the end.
    pub fn failures(&self) -> Failures {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            requests: self.counts.requests.load(Relaxed),
            done: self.counts.done.load(Relaxed),
            prompt_tokens: self.counts.prompt_tokens.load(Relaxed),
            cached_prompt_tokens: 0,
            completion_tokens: self.counts.completion_tokens.load(Relaxed),
        }
    }

    /// Asks one when fewer than `concurrency` are under way.
    fn ask_in_turn(&self, request: &Request, form: &AnswerForm, sampling: &Sampling) -> Completion {
        let lock = || self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |under_way: &mut usize| *under_way >= self.config.concurrency;
        *self.ended.wait_while(lock(), is_full).unwrap_or_else(PoisonError::into_inner) += 1;
        let completion = self.ask(request, form, sampling);
        *lock() -= 1;
        self.ended.notify_one();
        completion
    }

    /// Asks all requests, and gives their answers in order.
    fn ask_all(&self, requests: Vec<Request>, form: &AnswerForm, sampling: &Sampling) -> Vec<Completion> {
        let count = requests.len();
        let queue: Mutex<VecDeque<(usize, Request)>> = Mutex::new(requests.into_iter().enumerate().collect());
        let done: Mutex<Vec<Option<Completion>>> = Mutex::new(vec![None; count]);
        let lock = |queue: &Mutex<VecDeque<(usize, Request)>>| {
            queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
        };
        std::thread::scope(|scope| {
            for _ in 0..self.config.concurrency.min(count) {
                scope.spawn(|| {
                    while let Some((place, request)) = lock(&queue) {
                        let completion = self.ask_in_turn(&request, form, sampling);
                        self.counts.done.fetch_add(1, Relaxed);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        done[place] = Some(completion);
                    }
                });
            }
        });
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.into_iter()
            .map(|completion| completion.unwrap_or_else(|| ended(FinishReason::Cancelled)))
            .collect()
    }

    fn ask(&self, request: &Request, form: &AnswerForm, sampling: &Sampling) -> Completion {
        let body = self.body(request, form, sampling).to_string();
        let mut pauses = Pauses::default();
        let mut pause = Duration::ZERO;
        let mut complaint = String::new();
        for attempt in 0..self.config.attempts {
            if attempt > 0 && !self.rest(pause) {
                break;
            }
            self.wait_for_turn();
            if self.is_cancelled.load(Relaxed) {
                return ended(FinishReason::Cancelled);
            }
            match self.attempt(&body) {
                Ok(completion) => {
                    self.counts.prompt_tokens.fetch_add(completion.prompt_tokens as u64, Relaxed);
                    self.counts.completion_tokens.fetch_add(completion.completion_tokens as u64, Relaxed);
                    if completion.finish == FinishReason::Length && completion.text.is_empty() {
                        self.count_failure(
                            "its tokens ended before there was a text".to_owned(),
                            Fault::Unclear,
                        );
                    }
                    return completion;
                }
                Err(Failure::Lasting(finish, fault)) => return self.give_up(finish, fault),
                Err(Failure::Passing(reason, after)) => {
                    complaint = reason;
                    pause = pauses.following(after);
                }
            }
        }
        if self.is_cancelled.load(Relaxed) {
            return ended(FinishReason::Cancelled);
        }
        let reason = format!("{} attempts failed, the last: {complaint}", self.config.attempts);
        self.give_up(FinishReason::Error(reason), Fault::Server)
    }

    /// Counts a failure, unless it is its row's alone.
    fn give_up(&self, finish: FinishReason, fault: Fault) -> Completion {
        if let (FinishReason::Error(reason), true) = (&finish, fault != Fault::Row) {
            self.count_failure(reason.clone(), fault);
        }
        ended(finish)
    }

    fn count_failure(&self, reason: String, fault: Fault) {
        let unclear = u64::from(fault == Fault::Unclear);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.add(&Failures { count: 1, unclear, reason });
    }

    /// Waits, unless it is cancelled.
    fn rest(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.is_cancelled.load(Relaxed) {
                return false;
            }
            std::thread::sleep(
                Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())),
            );
        }
        true
    }

    /// Keeps to the rate.
    fn wait_for_turn(&self) {
        let Some(rate) = self.config.requests_per_minute else { return };
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + Duration::from_mins(1) / rate.max(1);
            turn
        };
        self.rest(turn.saturating_duration_since(Instant::now()));
    }

    fn body(&self, request: &Request, form: &AnswerForm, sampling: &Sampling) -> Value {
        let message = |message: &ChatMessage| json!({"role": message.role, "content": message.content});
        let messages: Vec<Value> = request.messages.iter().map(message).collect();
        // The key tells one call from another, as inside; 31 bits are what every server takes.
        let key = request.key.first_chunk::<8>().map_or(0, |head| u64::from_le_bytes(*head));
        let mut body = json!({
            "model": self.config.model,
            "messages": messages,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": (key ^ sampling.seed) & 0x7fff_ffff,
        });
        // Not of OpenAI's own: vLLM and llama.cpp's server know them. The penalty has a name in each: both are sent.
        if sampling.top_k > 0 {
            body["top_k"] = sampling.top_k.into();
        }
        if sampling.min_p > 0.0 {
            body["min_p"] = sampling.min_p.into();
        }
        if (sampling.repetition_penalty - 1.0).abs() >= f32::EPSILON {
            body["repetition_penalty"] = sampling.repetition_penalty.into();
            body["repeat_penalty"] = sampling.repetition_penalty.into();
        }
        // A schema binds JSON alone: an answer in tags is asked for in words, and read as strictly.
        let format =
            if form.layout == Layout::Tags { ResponseFormat::None } else { self.config.response_format };
        match format {
            ResponseFormat::JsonSchema => {
                body["response_format"] = json!({
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "strict": true, "schema": form.json_schema()},
                });
            }
            ResponseFormat::JsonObject => {
                body["response_format"] = json!({"type": "json_object", "schema": form.json_schema()});
            }
            ResponseFormat::None => {}
        }
        body
    }

    fn attempt(&self, body: &str) -> Result<Completion, Failure> {
        let url = format!("{}/chat/completions", self.config.url.trim_end_matches('/'));
        let mut request = self.agent.post(&url).header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let passing = |error: ureq::Error| Failure::Passing(error.to_string(), None);
        let mut response = request.send(body).map_err(passing)?;
        let status = response.status().as_u16();
        // A date in place of seconds is not read: then the pause is one of our own.
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let text = response.body_mut().read_to_string().map_err(passing)?;
        match status {
            200 => read_answer(&text),
            408 | 409 | 425 | 429 | 500..=599 => {
                Err(Failure::Passing(format!("status {status}: {}", complaint(&text)), after))
            }
            _ => {
                let said = complaint(&text);
                let is_too_long = ["context length", "context size", "maximum context", "too many tokens"];
                let lower = said.to_lowercase();
                let is_too_long = is_too_long.iter().any(|words| lower.contains(words));
                let (finish, fault) = match status {
                    _ if is_too_long => (FinishReason::ContextTooLong, Fault::Row),
                    400 | 413 | 422 => {
                        (FinishReason::Error(format!("status {status}: {said}")), Fault::Unclear)
                    }
                    _ => (FinishReason::Error(format!("status {status}: {said}")), Fault::Server),
                };
                Err(Failure::Lasting(finish, fault))
            }
        }
    }
}

/// One who asks an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointHandle(pub Arc<Endpoint>);

impl Answerer for EndpointHandle {
    fn ask(&self, requests: Vec<Request>, form: &AnswerForm, sampling: &Sampling, then: Answers) {
        self.0.counts.requests.fetch_add(requests.len() as u64, Relaxed);
        let (endpoint, form, sampling) = (Arc::clone(&self.0), form.clone(), sampling.clone());
        std::thread::spawn(move || then(endpoint.ask_all(requests, &form, &sampling)));
    }
}

fn ended(finish: FinishReason) -> Completion {
    Completion {
        text: String::new(),
        finish,
        prompt_tokens: 0,
        completion_tokens: 0,
        log_prob: 0.0,
        decisions: Vec::new(),
        end: None,
    }
}

/// The pauses between the attempts for one answer.
#[derive(Debug)]
struct Pauses {
    /// The next one of our own.
    own: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { own: FIRST_PAUSE }
    }
}

impl Pauses {
    /// The next pause. What the server says is for this one alone; our own grow beside it.
    fn following(&mut self, said: Option<Duration>) -> Duration {
        let pause = said.unwrap_or(self.own).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.own = (2 * self.own).min(LONGEST_PAUSE);
        pause
    }
}

/// What a server says of a failure: the message of its JSON, else the beginning of what it sent.
fn complaint(text: &str) -> String {
    let json: Option<Value> = serde_json::from_str(text).ok();
    let message = json.as_ref().and_then(|json| {
        let error = &json["error"];
        error["message"].as_str().or_else(|| error.as_str()).or_else(|| json["message"].as_str())
    });
    message.unwrap_or(text.trim()).chars().take(COMPLAINT_CHARS).collect()
}

/// The answer in a response. What is no response at all is tried again; a message without a text is what the model has to
/// say to the row.
fn read_answer(text: &str) -> Result<Completion, Failure> {
    let says = |what: &str| format!("the response {what}: {}", complaint(text));
    let wrong = |what: &str| Failure::Passing(says(what), None);
    let json: Value = serde_json::from_str(text).map_err(|_| wrong("is no JSON"))?;
    let (choice, message) = (&json["choices"][0], &json["choices"][0]["message"]);
    let finish = match choice["finish_reason"].as_str() {
        Some("length") => FinishReason::Length,
        Some("content_filter") => FinishReason::Error("the server's content filter stopped it".to_owned()),
        _ => FinishReason::Stop,
    };
    let content = match (&message["content"], message["refusal"].as_str()) {
        (Value::String(content), _) => content.as_str(),
        (Value::Null, Some(refusal)) => refusal,
        // Thoughts took all of the tokens, or the filter left nothing.
        (Value::Null, None) if message.is_object() && finish != FinishReason::Stop => "",
        (Value::Null, None) if message.is_object() => {
            return Err(Failure::Lasting(FinishReason::Error(says("has no text")), Fault::Unclear));
        }
        _ => return Err(wrong("has no message")),
    };
    let tokens =
        |name: &str| json["usage"][name].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    Ok(Completion {
        text: content.trim().to_owned(),
        finish,
        prompt_tokens: tokens("prompt_tokens"),
        completion_tokens: tokens("completion_tokens"),
        log_prob: 0.0,
        decisions: Vec::new(),
        end: None,
    })
}

#[cfg(test)]
mod tests {
    use genome_kernels::llm::Grammar;

    use super::*;

    #[test]
    fn pauses_are_doubled_beside_what_the_server_says() {
        let mut pauses = Pauses::default();
        let following =
            |said: Option<u64>| pauses.following(said.map(Duration::from_secs)).as_secs_f64().to_string();
        let said = [None, None, Some(0), None, Some(7), Some(7000), None, None, None, None];
        let expected = ["0.5", "1", "0.1", "4", "7", "60", "32", "60", "60", "60"];
        assert_eq!(said.map(following), expected);
    }

    #[test]
    fn further_keys_of_sampling_are_sent_where_they_are_set() {
        let config = json!({"url": "http://127.0.0.1:1/v1", "model": "m"});
        let endpoint = Endpoint::new(&serde_json::from_value(config).unwrap()).unwrap();
        let form = json!({"fields": [{"name": "why", "kind": {"text": {"max_words": 9}}}]});
        let form: AnswerForm = serde_json::from_value(form).unwrap();
        let request = Request {
            key: [0; 16],
            messages: vec![ChatMessage::new("user", "Why?")],
            answer_prefix: String::new(),
            grammar: Grammar::Free,
        };
        let keys = ["top_k", "min_p", "repetition_penalty", "repeat_penalty"];
        let sent = |sampling: &Sampling| {
            let body = endpoint.body(&request, &form, sampling);
            keys.map(|key| body.get(key).cloned())
        };
        assert_eq!(sent(&Sampling::default()), [const { None }; 4]);
        let sampling = Sampling { top_k: 40, min_p: 0.25, repetition_penalty: 1.5, ..Sampling::default() };
        assert_eq!(sent(&sampling), [json!(40), json!(0.25), json!(1.5), json!(1.5)].map(Some));
    }
}
