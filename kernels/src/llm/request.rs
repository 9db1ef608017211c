//! What the engine is asked and what it answers.

use super::chat::ChatMessage;
use super::choice::Decision;
use super::grammar::Grammar;

/// One prompt to complete.
#[derive(Debug, Clone)]
pub struct Request {
    /// Key of the row the request is for; seeds the sampling, so that neither the order of requests nor what else is
    /// in a batch changes a draw.
    pub key: [u8; 16],
    /// The conversation so far.
    pub messages: Vec<ChatMessage>,
    /// Text the answer begins with: part of the prompt, neither bound by the grammar nor part of
    /// [`Completion::text`]. Usually empty.
    pub answer_prefix: String,
    /// What the answer may look like.
    pub grammar: Grammar,
}

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Most tokens of an answer, forced ones included.
    pub max_tokens: usize,
    /// Divides the logits; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Draws only among so many of the likeliest tokens; 0 is no limit.
    pub top_k: usize,
    /// Draws only among the likeliest tokens that together reach this probability; 1 is no limit.
    pub top_p: f32,
    /// Draws only among tokens at least this fraction as likely as the likeliest; 0 is no limit.
    pub min_p: f32,
    /// Divides (or multiplies, when negative) the logit of a token that the answer already has; 1 is no penalty
    /// (Keskar et al. 2019, CTRL, section 4.1).
    pub repetition_penalty: f32,
    /// Seed of all draws, together with [`Request::key`].
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy, up to 512 tokens.
    fn default() -> Self {
        Self {
            max_tokens: 512,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or the grammar was complete.
    Stop,
    /// It reached [`Sampling::max_tokens`] or the model's context.
    Length,
    /// The prompt leaves no room for an answer.
    ContextTooLong,
    /// The engine was cancelled or dropped before the answer was complete.
    Cancelled,
    /// Something failed; other requests of the batch are not affected.
    Error(String),
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The answer, without [`Request::answer_prefix`] and special tokens.
    pub text: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the answer; the token that ends it does not count.
    pub completion_tokens: usize,
    /// Sum of the natural logarithms of the probabilities of the chosen tokens, the ending one included, at
    /// temperature 1 among the tokens the grammar allows. Forced tokens are certain and add nothing.
    pub log_prob: f64,
    /// Choices of a [`Grammar::Form`] in the order in which they were made.
    pub decisions: Vec<Decision>,
    /// The token with which the model ended the answer; none where it was ended otherwise, or nobody tells.
    pub end: Option<u32>,
}

/// One continuation to judge by its likelihood.
#[derive(Debug, Clone)]
pub struct ScoreRequest {
    /// The conversation so far.
    pub messages: Vec<ChatMessage>,
    /// The text that might follow.
    pub continuation: String,
}

/// The likelihood of a continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Natural logarithm of the probability of each token of the continuation given all before it.
    pub log_probs: Vec<f32>,
    /// [`FinishReason::Stop`] if all tokens have been scored.
    pub finish: FinishReason,
}

impl Score {
    /// Logarithm of the probability of the whole continuation.
    pub fn total(&self) -> f64 {
        self.log_probs.iter().copied().map(f64::from).sum()
    }
}

/// How far the engine is, counted since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests received.
    pub requests: u64,
    /// Requests answered, whatever the finish.
    pub done: u64,
    /// Prompt tokens of admitted requests.
    pub prompt_tokens: u64,
    /// Of these, tokens that were not computed again because another sequence had them.
    pub cached_prompt_tokens: u64,
    /// Tokens of answers so far.
    pub completion_tokens: u64,
}
