//! Who answers prompts, embeds texts and counts tokens for the functions that need a model.

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::error::Result;
use genome_kernels::llm::{
    AnswerForm, ChatMessage, Completion, EngineHandle, Prompter, Request, Sampling, Score, ScoreRequest,
    TextEncoder,
};

use super::external;

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

    /// How prompts of a model that the config names are counted; loads no weights.
    ///
    /// # Errors
    /// As [`EngineSource::answerer`].
    fn prompt_counter(&self, model: &str) -> std::result::Result<PromptCounter, String>;

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

/// Counts the tokens of prompts.
#[derive(Debug, Clone)]
pub enum PromptCounter {
    /// By the model's own tokenizer and chat template.
    Exact(Arc<Prompter>),
    /// A token for every three bytes: what models behind endpoints stay below in most languages. Their context is not
    /// known.
    Estimate,
}

impl PromptCounter {
    /// Number of tokens of a text.
    pub(crate) fn text(&self, text: &str) -> Result<usize> {
        match self {
            Self::Exact(prompter) => prompter.count_tokens(text).map_err(external),
            Self::Estimate => Ok(text.len().div_ceil(3)),
        }
    }

    /// Number of tokens of a prompt with its system message.
    pub(crate) fn prompt(&self, system: &str, prompt: &str) -> Result<usize> {
        match self {
            Self::Exact(prompter) => {
                Ok(prompter.prompt(&messages(system, prompt), "").map_err(external)?.len())
            }
            Self::Estimate => Ok((system.len() + prompt.len()).div_ceil(3)),
        }
    }

    /// Most tokens of prompt and answer together, where it is known.
    pub(crate) fn context_length(&self) -> Option<usize> {
        match self {
            Self::Exact(prompter) => Some(prompter.context_length()),
            Self::Estimate => None,
        }
    }
}

/// A conversation of a system message, where there is one, and a prompt.
pub(super) fn messages(system: &str, prompt: &str) -> Vec<ChatMessage> {
    let system = Some(system).filter(|system| !system.is_empty());
    let system = system.map(|system| ChatMessage::new("system", system));
    system.into_iter().chain([ChatMessage::new("user", prompt)]).collect()
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

    /// An estimate: what is asked can be looked at without a model.
    fn prompt_counter(&self, _model: &str) -> std::result::Result<PromptCounter, String> {
        Ok(PromptCounter::Estimate)
    }

    fn likelihoods(&self, model: &str, _: Vec<ScoreRequest>) -> std::result::Result<Vec<Score>, String> {
        Err(format!("model `{model}` is not loaded: this plan was built to be looked at, not to be run"))
    }
}
