//! Prompt templates.

use datafusion::error::{DataFusionError, Result};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::StageError;

/// A template (Jinja) that refuses names that are not there, instead of printing nothing for them.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    environment: Environment<'static>,
    text: String,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Template {
    /// Reads a template; `name` is that of its recipe or rubric, for errors.
    pub(crate) fn new(name: &str, text: &str) -> std::result::Result<Self, StageError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        // Before the template is read, so that an error knows its place.
        environment.set_debug(true);
        environment
            .add_template_owned("prompt", text.to_owned())
            .map_err(|e| StageError::Recipe { name: name.to_owned(), reason: e.to_string() })?;
        Ok(Self { environment, text: text.to_owned() })
    }

    /// The prompt that it makes of a view.
    pub(crate) fn render(&self, view: &impl Serialize) -> Result<String> {
        self.try_render(view).map_err(|e| DataFusionError::External(Box::new(e)))
    }

    /// What is wrong with it, if it cannot be rendered over a view that has everything.
    pub(crate) fn problem(&self, view: &impl Serialize) -> Option<String> {
        self.try_render(view).err().map(|error| {
            let place = error.range().and_then(|range| self.text.get(range)).unwrap_or_default();
            format!("{error} at `{place}`")
        })
    }

    fn try_render(&self, view: &impl Serialize) -> std::result::Result<String, minijinja::Error> {
        self.environment.get_template("prompt").and_then(|template| template.render(view))
    }
}
