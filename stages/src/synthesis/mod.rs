//! Synthesis: recipes asked of a model, answers judged, and a gate.

mod gate;
mod judge;
mod recipe;
mod render;
mod synthesize;
mod tags;
mod view;

pub use gate::QualityGate;
pub use judge::Judge;
pub use recipe::{Over, Recipe, RecipeLibrary, Rubric};
pub use synthesize::Synthesize;
pub use tags::{ApplyTags, Missing};
pub use view::{AuthorView, ContextView, EventView, PersonView};

pub(crate) use view::{EventRow, row_json};
