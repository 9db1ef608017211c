//! Composition: training examples from what people wrote and what was synthesized about them.

mod compose;
mod dimension;
mod prompts;
mod task;

pub use compose::Compose;
pub use dimension::{Dimension, RESPONSE_TAG};
pub use task::Task;
