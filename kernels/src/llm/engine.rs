//! The engine: a thread that owns the model, and handles to it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rayon::prelude::*;

use super::chat::ChatTemplate;
use super::decoder::Decoder;
use super::load::Model;
use super::prompter::Prompter;
use super::queue::{Done, Queue};
use super::request::{Completion, FinishReason, Progress, Request, Sampling, Score, ScoreRequest};
use super::sequence::{Answer, Job, Task};
use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// Limits of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Most sequences answered at once.
    pub max_sequences: usize,
    /// Most tokens of a step of the model.
    pub token_budget: usize,
    /// Most tokens of prompt beginnings kept for later prompts.
    pub prefix_cache_tokens: usize,
}

impl Default for EngineOptions {
    /// For a CPU: 16 sequences, 512 tokens a step, 2048 tokens kept.
    fn default() -> Self {
        Self { max_sequences: 16, token_budget: 512, prefix_cache_tokens: 2048 }
    }
}

/// A switch that ends all unfinished requests of an engine with [`FinishReason::Cancelled`]. It stays on, and ends
/// new requests too, until it is cleared.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Switches on.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Switches off.
    pub fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Whether it is on.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The counters behind [`Progress`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) prompt_tokens: AtomicU64,
    pub(super) cached_prompt_tokens: AtomicU64,
    pub(super) completion_tokens: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) last_failure: Mutex<String>,
}

impl Counters {
    /// Counts a request that the decoder failed on.
    pub(super) fn fail(&self, error: &KernelError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
    }
}

/// A closure that is let at the decoder between requests.
pub type DecoderVisit = Box<dyn FnOnce(&mut dyn Decoder) + Send>;

/// The same for the engine's own model.
pub(super) type ModelVisit = Box<dyn FnOnce(&mut Model) + Send>;

enum Command {
    Submit { rows: Vec<Result<Job, Box<Answer>>>, done: Done },
    Model { run: ModelVisit, reply: Box<dyn FnOnce() + Send> },
    Stop,
}

/// A loaded model that answers prompts. Dropping it cancels what is unfinished and waits for its thread.
#[derive(Debug)]
pub struct Engine {
    handle: EngineHandle,
    thread: Option<JoinHandle<()>>,
}

/// A way to ask an [`Engine`]; cheap to clone and to send to other threads.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    sender: Sender<Command>,
    prompter: Arc<Prompter>,
    counters: Arc<Counters>,
    cancel: CancelToken,
}

impl Engine {
    /// Starts an engine with the default [`EngineOptions`].
    ///
    /// # Errors
    /// The model and the tokenizer do not fit, or no thread can be started.
    pub fn new(
        decoder: Box<dyn Decoder>,
        tokenizer: TextTokenizer,
        chat: ChatTemplate,
    ) -> Result<Self, KernelError> {
        Self::with_options(decoder, tokenizer, chat, EngineOptions::default())
    }

    /// Starts an engine.
    ///
    /// # Errors
    /// The model and the tokenizer do not fit, or no thread can be started.
    pub fn with_options(
        decoder: Box<dyn Decoder>,
        tokenizer: TextTokenizer,
        chat: ChatTemplate,
        options: EngineOptions,
    ) -> Result<Self, KernelError> {
        let prompter = Prompter::new(tokenizer, chat, decoder.context_length());
        Self::start(Model::Other(decoder), prompter, options)
    }

    pub(super) fn start(
        model: Model,
        prompter: Prompter,
        options: EngineOptions,
    ) -> Result<Self, KernelError> {
        if options.max_sequences == 0 || options.token_budget == 0 {
            return Err(KernelError::Argument("an engine needs at least one sequence and one token".into()));
        }
        let (sender, receiver) = channel();
        let handle = EngineHandle {
            sender,
            prompter: Arc::new(prompter),
            counters: Arc::default(),
            cancel: CancelToken::default(),
        };
        let queue = Queue::new(
            model,
            Arc::clone(handle.prompter.tokenizer()),
            options,
            Arc::clone(&handle.counters),
            handle.cancel.clone(),
        )?;
        let thread = std::thread::Builder::new()
            .name("llm-engine".into())
            .spawn(move || run(queue, &receiver))
            .map_err(|error| KernelError::Internal(format!("no thread for the engine: {error}")))?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// A handle to the engine. It may outlive the engine; requests then end with an error.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // If the thread is gone already there is nothing to stop.
        let _ = self.handle.sender.send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the thread has been reported by its hook, and its requests have ended with an error.
            let _ = thread.join();
        }
    }
}

impl EngineHandle {
    /// Answers requests and waits; the answers are in the order of the requests.
    ///
    /// What goes wrong with a request is its [`Completion::finish`] and does not touch the others. An answer depends
    /// on its request, the sampling and the model alone, not on what else is asked at the same time.
    pub fn generate(&self, requests: Vec<Request>, sampling: &Sampling) -> Vec<Completion> {
        let count = requests.len();
        let (sender, receiver) = sync_channel(1);
        let done = move |completions| {
            // The receiver waits below.
            let _ = sender.send(completions);
        };
        self.submit(requests, sampling, Box::new(done));
        receiver.recv().unwrap_or_else(|_| vec![stopped().completion; count])
    }

    /// Answers requests and calls back with the answers in the order of the requests. The callback runs on the
    /// engine's thread and must be quick. If the engine's thread dies, it is dropped without being called.
    pub fn submit(
        &self,
        requests: Vec<Request>,
        sampling: &Sampling,
        done: Box<dyn FnOnce(Vec<Completion>) + Send>,
    ) {
        let sampling = Arc::new(sampling.clone());
        let rows = requests.into_par_iter().enumerate();
        let rows = rows.map(|(row, request)| self.generate_job(row, request, &sampling)).collect();
        let done = |answers: Vec<Answer>| done(answers.into_iter().map(|answer| answer.completion).collect());
        self.send(rows, Box::new(done));
    }

    /// Judges continuations by their likelihood and waits; the scores are in the order of the requests. What a person
    /// wrote cannot pass for the marks of the model, neither in a conversation nor in its continuation.
    pub fn score(&self, requests: Vec<ScoreRequest>) -> Vec<Score> {
        let count = requests.len();
        let rows = requests.into_par_iter().enumerate();
        let rows = rows.map(|(row, request)| self.score_job(row, &request)).collect();
        let (sender, receiver) = sync_channel(1);
        let done = move |answers| {
            // The receiver waits below.
            let _ = sender.send(answers);
        };
        self.send(rows, Box::new(done));
        let answers = receiver.recv().unwrap_or_else(|_| vec![stopped(); count]);
        let score = |answer: Answer| Score { log_probs: answer.log_probs, finish: answer.completion.finish };
        answers.into_iter().map(score).collect()
    }

    /// Runs a closure on the decoder after all requests sent before and before all sent after it, and waits. The
    /// closure must leave open sequences alone; beginnings of prompts kept so far are forgotten.
    ///
    /// # Errors
    /// The engine has stopped.
    pub fn with_decoder(&self, run: DecoderVisit) -> Result<(), KernelError> {
        self.with_model(Box::new(|model| run(model.decoder())))
    }

    /// [`Self::with_decoder`] for what only some decoders can do.
    pub(super) fn with_model(&self, run: ModelVisit) -> Result<(), KernelError> {
        let (sender, receiver) = sync_channel(1);
        let reply = move || {
            // The receiver waits below.
            let _ = sender.send(());
        };
        let gone = || KernelError::Argument("the engine has stopped".into());
        self.sender.send(Command::Model { run, reply: Box::new(reply) }).map_err(|_| gone())?;
        receiver.recv().map_err(|_| gone())
    }

    /// How far the engine is.
    pub fn progress(&self) -> Progress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            requests: read(&self.counters.requests),
            done: read(&self.counters.done),
            prompt_tokens: read(&self.counters.prompt_tokens),
            cached_prompt_tokens: read(&self.counters.cached_prompt_tokens),
            completion_tokens: read(&self.counters.completion_tokens),
        }
    }

    /// How many requests the decoder failed on so far, and why on the last one.
    pub fn failures(&self) -> (u64, String) {
        let reason = self.counters.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.counters.failed.load(Ordering::Relaxed), reason)
    }

    /// The switch that ends all unfinished requests.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// What makes prompts of conversations.
    pub fn prompter(&self) -> &Prompter {
        &self.prompter
    }

    fn send(&self, rows: Vec<Result<Job, Box<Answer>>>, done: Done) {
        self.counters.requests.fetch_add(rows.len() as u64, Ordering::Relaxed);
        if let Err(refused) = self.sender.send(Command::Submit { rows, done })
            && let Command::Submit { rows, done } = refused.0
        {
            done(rows.into_iter().map(|row| row.map_or_else(|answer| *answer, |_| stopped())).collect());
        }
    }

    fn generate_job(
        &self,
        row: usize,
        request: Request,
        sampling: &Arc<Sampling>,
    ) -> Result<Job, Box<Answer>> {
        let tokens = self.prompter.prompt(&request.messages, &request.answer_prefix);
        let tokens = tokens.map_err(|error| Box::new(failed(&error)))?;
        let Request { key, grammar, .. } = request;
        let task = Task::Generate { key, grammar, sampling: Arc::clone(sampling) };
        // One more token must fit for there to be an answer.
        self.job(row, tokens, task, 1)
    }

    fn score_job(&self, row: usize, request: &ScoreRequest) -> Result<Job, Box<Answer>> {
        let mut tokens =
            self.prompter.prompt(&request.messages, "").map_err(|error| Box::new(failed(&error)))?;
        let from = tokens.len();
        let tokenizer = self.prompter.tokenizer();
        let continuation = tokenizer.defuse(&request.continuation);
        let continuation = tokenizer.encode(&continuation).map_err(|error| Box::new(failed(&error)))?;
        if from == 0 {
            return Err(Box::new(failed(&KernelError::Argument("the prompt is empty".into()))));
        }
        tokens.extend(continuation);
        self.job(row, tokens, Task::Score { from }, 0)
    }

    fn job(&self, row: usize, tokens: Vec<u32>, task: Task, room: usize) -> Result<Job, Box<Answer>> {
        if tokens.is_empty() {
            Err(Box::new(failed(&KernelError::Argument("the prompt is empty".into()))))
        } else if tokens.len() + room > self.prompter.context_length() {
            Err(Box::new(Answer::unanswered(FinishReason::ContextTooLong, tokens.len())))
        } else {
            Ok(Job { row, tokens, task })
        }
    }
}

fn failed(error: &KernelError) -> Answer {
    Answer::unanswered(FinishReason::Error(error.to_string()), 0)
}

fn stopped() -> Answer {
    Answer::unanswered(FinishReason::Error("the engine has stopped".into()), 0)
}

/// The engine's thread: takes commands in order between steps, and sleeps when there is nothing to do.
fn run(mut queue: Queue, commands: &Receiver<Command>) {
    let mut inbox = VecDeque::new();
    loop {
        if inbox.is_empty() && queue.is_idle() {
            match commands.recv() {
                Ok(command) => inbox.push_back(command),
                Err(_) => return,
            }
        }
        inbox.extend(commands.try_iter());
        if inbox.iter().any(|command| matches!(command, Command::Stop)) {
            queue.cancel_all();
            for command in inbox {
                if let Command::Submit { rows, done } = command {
                    queue.submit(rows, done);
                    queue.cancel_all();
                }
            }
            return;
        }
        while let Some(command) = inbox.pop_front() {
            match command {
                Command::Submit { rows, done } => queue.submit(rows, done),
                Command::Model { run, reply } if queue.is_idle() => {
                    queue.with_model(run);
                    reply();
                }
                command => {
                    inbox.push_front(command);
                    break;
                }
            }
        }
        queue.step();
    }
}
