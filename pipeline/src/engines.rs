//! The engines of a run: each named model is fetched and loaded once, on first use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use genome_kernels::llm::decoder::ModelFiles;
use genome_kernels::llm::device::DeviceKind;
use genome_kernels::llm::{
    Engine, EngineHandle, EngineOptions, ModelSpec, Progress, Prompter, Score, ScoreRequest, TextEncoder,
};
use genome_stages::functions::{Answerer, EngineSource, PromptCounter};

use crate::config::{Project, builtin_models};
use crate::endpoint::{Endpoint, EndpointConfig, EndpointHandle, Failures};
use crate::error::Hinted;
use crate::models::{FetchPhase, ModelConfig, ModelFile, cache_dir, fetch};
use crate::progress::Task;

/// Loads models by name and keeps them for the run.
#[derive(Debug)]
pub struct Engines {
    models: BTreeMap<String, ModelConfig>,
    endpoints: BTreeMap<String, EndpointConfig>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    loaded: BTreeMap<String, Engine>,
    encoders: BTreeMap<String, Arc<TextEncoder>>,
    prompters: BTreeMap<String, Arc<Prompter>>,
    endpoints: BTreeMap<String, Arc<Endpoint>>,
    cancelled: bool,
}

/// Work that engines have done, summed over models.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    progress: Progress,
}

impl Engines {
    /// Engines for the models that a config can name.
    pub fn new(project: &Project) -> Self {
        Self {
            models: project.models(),
            endpoints: project.config.endpoints.clone(),
            state: Mutex::default(),
        }
    }

    /// Engines for the built-in models.
    pub fn built_in() -> Self {
        Self { models: builtin_models(), endpoints: BTreeMap::new(), state: Mutex::default() }
    }

    /// Whether a model is behind an endpoint.
    pub fn is_endpoint(&self, name: &str) -> bool {
        self.endpoints.contains_key(name)
    }

    /// The models that can be named.
    pub fn models(&self) -> &BTreeMap<String, ModelConfig> {
        &self.models
    }

    /// The weights of a model, fetched with its further files where they are not in the cache.
    ///
    /// # Errors
    /// There is no such model, or no source of it answers.
    pub fn fetch(&self, name: &str) -> Result<PathBuf> {
        Ok(self.files(name)?.weights)
    }

    /// The files of a model, fetched where they are not in the cache.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn files(&self, name: &str) -> Result<ModelFiles> {
        let model = self.models.get(name).ok_or_else(|| {
            let known = self.models.keys().cloned().collect::<Vec<_>>().join(", ");
            anyhow::anyhow!("there is no model `{name}`; models are: {known}")
        })?;
        let further = |role: &str, file: &Option<ModelFile>| {
            file.as_ref().map(|file| Self::fetch_file(&format!("{name}-{role}"), &file.alone())).transpose()
        };
        Ok(ModelFiles {
            tokenizer: further("tokenizer", &model.tokenizer)?,
            config: further("config", &model.config)?,
            chat: further("chat", &model.chat)?,
            weights: Self::fetch_file(name, model)?,
        })
    }

    fn fetch_file(name: &str, model: &ModelConfig) -> Result<PathBuf> {
        let mut task: Option<Task> = None;
        let path = fetch(name, model, &cache_dir()?, &mut |progress| {
            let task = task.get_or_insert_with(|| Task::begin(&format!("model {name}"), 0));
            let mib = |bytes: u64| bytes >> 20;
            let doing = match progress.phase {
                FetchPhase::Waiting => "waiting for another run that fetches it",
                FetchPhase::Resolving => "asking where it is",
                FetchPhase::Downloading => "downloading",
                FetchPhase::Verifying => "verifying",
            };
            let total = progress.total.unwrap_or(0);
            if total > 0 {
                task.set_total(total);
            }
            task.update(progress.done, &format!("{doing}, {} of {} MiB", mib(progress.done), mib(total)));
        })
        .map_err(|error| match error.hint() {
            Some(hint) => Hinted::new(error.to_string(), hint).into(),
            None => anyhow::Error::from(error),
        })?;
        if let Some(task) = task {
            task.end("in the cache, checksum right");
        }
        Ok(path)
    }

    /// Asks every engine to stop: answers under way come back unfinished.
    pub fn cancel(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.cancelled = true;
            for engine in state.loaded.values() {
                engine.handle().cancel_token().cancel();
            }
            state.endpoints.values().for_each(|endpoint| endpoint.cancel());
        }
    }

    /// Whether [`Self::cancel`] was called.
    pub fn cancelled(&self) -> bool {
        self.state.lock().is_ok_and(|state| state.cancelled)
    }

    /// Answers that failed so far, and not by what their rows alone ask for: the decoder of a model failed, or an endpoint.
    pub fn failures(&self) -> Failures {
        let mut all = Failures::default();
        if let Ok(state) = self.state.lock() {
            for engine in state.loaded.values() {
                let (count, reason) = engine.handle().failures();
                all.add(&Failures::unclear(count, reason));
            }
            state.endpoints.values().for_each(|endpoint| all.add(&endpoint.failures()));
        }
        all
    }

    /// Work done so far.
    pub fn progress(&self) -> Work {
        let mut sum = Progress::default();
        if let Ok(state) = self.state.lock() {
            let inside = state.loaded.values().map(|engine| engine.handle().progress());
            for one in inside.chain(state.endpoints.values().map(|endpoint| endpoint.progress())) {
                sum.requests += one.requests;
                sum.done += one.done;
                sum.prompt_tokens += one.prompt_tokens;
                sum.cached_prompt_tokens += one.cached_prompt_tokens;
                sum.completion_tokens += one.completion_tokens;
            }
            sum.done += state.encoders.values().map(|encoder| encoder.embedded()).sum::<u64>();
        }
        Work { progress: sum }
    }
}

impl Work {
    /// Answers given since `before`.
    pub fn answered_since(&self, before: &Self) -> u64 {
        self.progress.done - before.progress.done
    }

    /// Answers and tokens since `before`, in words.
    pub fn describe_since(&self, before: &Self) -> String {
        format!(
            "{} answers, {} prompt tokens ({} shared), {} answer tokens",
            self.progress.done - before.progress.done,
            self.progress.prompt_tokens - before.progress.prompt_tokens,
            self.progress.cached_prompt_tokens - before.progress.cached_prompt_tokens,
            self.progress.completion_tokens - before.progress.completion_tokens,
        )
    }
}

impl Engines {
    /// The engine inside of a model, loaded on first use.
    ///
    /// # Errors
    /// There is no such model, or it cannot be fetched or loaded.
    pub fn engine(&self, model: &str) -> Result<EngineHandle, String> {
        if let Ok(state) = self.state.lock()
            && let Some(engine) = state.loaded.get(model)
        {
            return Ok(engine.handle());
        }
        let files = self.files(model).map_err(|e| format!("{e:#}"))?;
        let device = self.device(model);
        let mut state =
            self.state.lock().map_err(|_| "another thread failed while it loaded a model".to_owned())?;
        if let Some(engine) = state.loaded.get(model) {
            return Ok(engine.handle());
        }
        let engine = Engine::load(&ModelSpec { files, device, options: EngineOptions::default() })
            .map_err(|e| format!("model `{model}`: {e}"))?;
        let handle = engine.handle();
        if state.cancelled {
            handle.cancel_token().cancel();
        }
        state.loaded.insert(model.to_owned(), engine);
        Ok(handle)
    }

    fn device(&self, model: &str) -> DeviceKind {
        self.models.get(model).map_or(DeviceKind::Auto, |model| model.device)
    }

    fn endpoint(&self, name: &str, config: &EndpointConfig) -> Result<Arc<Endpoint>, String> {
        let mut state =
            self.state.lock().map_err(|_| "another thread failed while it made an endpoint".to_owned())?;
        if let Some(endpoint) = state.endpoints.get(name) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = Endpoint::new(config).map_err(|error| format!("endpoint `{name}`: {error:#}"))?;
        let endpoint = Arc::new(endpoint);
        if state.cancelled {
            endpoint.cancel();
        }
        state.endpoints.insert(name.to_owned(), Arc::clone(&endpoint));
        Ok(endpoint)
    }
}

impl EngineSource for Engines {
    fn answerer(&self, model: &str) -> Result<Box<dyn Answerer>, String> {
        match self.endpoints.get(model) {
            Some(config) => Ok(Box::new(EndpointHandle(self.endpoint(model, config)?))),
            None => Ok(Box::new(self.engine(model)?)),
        }
    }

    fn prompt_counter(&self, model: &str) -> Result<PromptCounter, String> {
        if self.is_endpoint(model) {
            return Ok(PromptCounter::Estimate);
        }
        let lock = || self.state.lock().map_err(|_| "another thread failed while it read a model".to_owned());
        if let Some(prompter) = lock()?.prompters.get(model) {
            return Ok(PromptCounter::Exact(Arc::clone(prompter)));
        }
        let files = self.files(model).map_err(|e| format!("{e:#}"))?;
        let prompter = Prompter::load(&files).map_err(|e| format!("model `{model}`: {e}"))?;
        let prompter = Arc::new(prompter);
        Ok(PromptCounter::Exact(Arc::clone(lock()?.prompters.entry(model.to_owned()).or_insert(prompter))))
    }

    fn likelihoods(&self, model: &str, requests: Vec<ScoreRequest>) -> Result<Vec<Score>, String> {
        if self.is_endpoint(model) {
            return Err(format!("endpoint `{model}` gives no likelihoods; name a model that runs inside"));
        }
        Ok(self.engine(model)?.score(requests))
    }

    fn encoder(&self, model: &str) -> Result<Arc<TextEncoder>, String> {
        if let Ok(state) = self.state.lock()
            && let Some(encoder) = state.encoders.get(model)
        {
            return Ok(Arc::clone(encoder));
        }
        let load = || -> Result<TextEncoder> {
            let files = self.files(model)?;
            let (Some(tokenizer), Some(shape)) = (&files.tokenizer, &files.config) else {
                return Err(Hinted::new(
                    format!("model `{model}` is no encoder: it has no `tokenizer` and `config`"),
                    "all-minilm-l6-v2 is one",
                )
                .into());
            };
            Ok(TextEncoder::load(&files.weights, tokenizer, shape, self.device(model))?)
        };
        let encoder = Arc::new(load().map_err(|error| format!("{error:#}"))?);
        let mut state =
            self.state.lock().map_err(|_| "another thread failed while it loaded a model".to_owned())?;
        Ok(Arc::clone(state.encoders.entry(model.to_owned()).or_insert(encoder)))
    }
}
