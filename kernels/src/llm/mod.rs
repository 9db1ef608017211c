//! The language-model engine: prompts in, completions out. It knows neither DataFusion nor recipes.
//!
//! An [`AnswerForm`] declares what an answer may hold and becomes a [`Grammar`]; the grammar's masks leave the model
//! only tokens that keep the answer well-formed. A model is anything behind the trait [`decoder::Decoder`].

pub mod answer;
pub mod chat;
mod choice;
pub mod decoder;
pub mod device;
pub mod encoder;
mod engine;
#[cfg(test)]
mod engine_tests;
pub mod gguf;
pub mod grammar;
mod load;
mod prefix;
mod prompter;
mod queue;
mod request;
mod sampler;
mod sequence;
#[cfg(test)]
mod test_support;
pub mod tokenizer;

pub use answer::{
    AnswerChecks, AnswerError, AnswerForm, Field, FieldKind, Hidden, Instructions, Layout, Verdict,
    is_quotation, quotable,
};
pub use chat::{ChatMessage, ChatTemplate};
pub use choice::Decision;
pub use encoder::{EncoderConfig, TextEncoder};
pub use engine::{CancelToken, DecoderVisit, Engine, EngineHandle, EngineOptions};
pub use grammar::{Grammar, GrammarCompiler, GrammarMatcher};
pub use load::ModelSpec;
pub use prompter::Prompter;
pub use request::{Completion, FinishReason, Progress, Request, Sampling, Score, ScoreRequest};
pub use tokenizer::{TextDecoder, TextTokenizer};
