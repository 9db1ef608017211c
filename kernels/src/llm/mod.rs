//! The language-model engine: prompts in, completions out. It knows neither DataFusion nor recipes.

pub mod decoder;
pub mod device;
pub mod gguf;
