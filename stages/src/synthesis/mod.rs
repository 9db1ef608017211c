//! Synthesis: recipes asked of a model, answers checked, judged and measured, and a gate.

mod calibrate;
mod excerpt;
mod gate;
mod judge;
mod leaks;
mod recipe;
mod render;
mod repeats;
mod score_trace;
mod synthesize;
mod tags;
mod view;
mod window;

pub use calibrate::CalibrateChoices;
pub use gate::QualityGate;
pub use judge::Judge;
pub use leaks::AnswerLeaks;
pub use recipe::{Over, Packing, Recipe, RecipeLibrary, Rubric};
pub use repeats::AnswerRepeats;
pub use score_trace::ScoreTrace;
pub use synthesize::Synthesize;
pub use tags::{ApplyTags, Missing};
pub use view::{AuthorView, ContextView, EventView, PersonView};

pub(crate) use score_trace::conversations;
pub(crate) use view::{EventRow, event_struct, row_json};
