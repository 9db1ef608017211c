//! Recipes and rubrics: files with a TOML front matter between `+++` lines, and a prompt template below.

use std::collections::BTreeMap;
use std::sync::Arc;

use genome_kernels::llm::{AnswerChecks, AnswerForm, FieldKind, Hidden, Instructions};
use genome_kernels::text::claims::ClaimKind;
use genome_kernels::text::language::LANGUAGES;
use serde::{Deserialize, Serialize};

use super::judge::read_scores;
use super::render::render_judged;
use crate::StageError;

/// The table that a recipe is asked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// One call per author.
    Authors,
    /// One call per event.
    Events,
}

/// A question to a model about an author or an event, and the form its answer must have.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Facts of the front matter.
    pub head: RecipeHead,
    /// Template of the user message (Jinja).
    pub template: String,
    /// BLAKE3 of the whole file in hex: a changed word is another recipe.
    pub digest: String,
}

/// Front matter of a recipe.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeHead {
    /// Name in configs and tables.
    pub name: String,
    /// One sentence: what it asks for.
    pub about: String,
    /// Table it is asked over.
    pub over: Over,
    /// System message.
    pub system: String,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// Over events: most characters of the person's own words; longer ones are not asked about.
    #[serde(default)]
    pub max_own_chars: Option<usize>,
    /// Over authors: most tokens of events in a prompt, with what they answer and what the template writes around them; less
    /// where the model's context has less room. Whole texts that do not fit are left out.
    #[serde(default)]
    pub max_history_tokens: Option<usize>,
    /// Over authors: into so many windows a history is cut that does not fit one; each is asked alone, and one answer made
    /// of theirs.
    #[serde(default = "one")]
    pub max_windows: usize,
    /// Template over `answers` that asks for one answer where several windows gave some. Without it they are joined field
    /// by field.
    #[serde(default)]
    pub reduce: Option<String>,
    /// Recipes over authors whose answers together are this one's, in place of a template.
    #[serde(default)]
    pub parts: Vec<String>,
    /// Most characters of each context message.
    #[serde(default = "default_context_chars")]
    pub max_context_chars: usize,
    /// Fewest events of the author (`HumanLLM`: 3 or 5; papers' section 1.3): train events over authors, all kept ones over
    /// events.
    #[serde(default)]
    pub min_events: u32,
    /// Over events: fewest characters of the person's own words.
    #[serde(default)]
    pub min_own_chars: usize,
    /// Only events that answer something.
    #[serde(default)]
    pub needs_context: bool,
    /// Only events that have a text beside their title.
    #[serde(default)]
    pub needs_text: bool,
    /// Over authors: which events are shown where not all fit.
    #[serde(default)]
    pub packing: Packing,
    /// Over authors: most events shown (`HumanLM`: 20; `HumanLLM` over reviews: 30).
    #[serde(default)]
    pub max_events: Option<usize>,
    /// Over authors: the last event is not shown, so that it can be asked for (`HumanLLM`'s item selection).
    #[serde(default)]
    pub hold_out_last: bool,
    /// What free text may state that the prompt does not show: `name` where pseudonyms are asked for, `number`.
    #[serde(default)]
    pub may_invent: Vec<ClaimKind>,
    /// Least share of the content words of free text that must stand in what the prompt shows.
    #[serde(default)]
    pub min_support: f64,
    /// Fewest items of all lists of an answer together (`HumanLM`: 10); one whose free text only repeats its quotation does
    /// not count.
    #[serde(default)]
    pub min_items: usize,
    /// Language of free text (ISO 639-3); empty if it does not matter.
    #[serde(default = "english")]
    pub language: String,
    /// Fields that others may not tell.
    #[serde(default)]
    pub hidden: Vec<Hidden>,
    /// Most words in a row that free text may have in common with a text of the person, for what leads to that text and must
    /// not copy it.
    #[serde(default)]
    pub max_copied_words: Option<usize>,
    /// Scores that a kept answer needs, where a quality gate names none of its own.
    #[serde(default)]
    pub gate: BTreeMap<String, f64>,
    /// The form that binds the answer.
    pub form: AnswerForm,
}

fn default_context_chars() -> usize {
    400
}

fn one() -> usize {
    1
}

fn english() -> String {
    "eng".to_owned()
}

/// Which events of a history are shown where not all fit. They are always shown in time order, and as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// The oldest (`HumanLM`: a persona is written from the earliest train responses).
    #[default]
    Oldest,
    /// The latest.
    Latest,
    /// Those with the most different words that carry content; of equals the oldest.
    Informative,
}

impl Recipe {
    /// What answers to it are held against; `parts` are the recipes that are asked.
    fn checks(&self, parts: &[Arc<Self>]) -> AnswerChecks {
        let of_parts = |text: fn(&Self) -> &str| {
            let own = self.head.reduce.as_deref();
            parts.iter().map(|part| text(part)).chain(own).collect::<Vec<_>>().join("\n")
        };
        AnswerChecks {
            form: self.head.form.clone(),
            instructions: Instructions::new(
                &of_parts(|part| &part.template),
                &of_parts(|part| &part.head.system),
            ),
            may_invent: self.head.may_invent.clone(),
            min_support: self.head.min_support,
            min_items: self.head.min_items,
            language: Some(self.head.language.clone()).filter(|code| !code.is_empty()),
            hidden: self.head.hidden.clone(),
            max_copied_words: self.head.max_copied_words,
        }
    }

    /// Names of the fields that hold free text, those inside lists left out.
    pub(super) fn free_texts(&self) -> Vec<&str> {
        let fields = self.head.form.fields.iter();
        fields
            .filter(|field| matches!(field.kind, FieldKind::Text { .. }))
            .map(|field| field.name.as_str())
            .collect()
    }

    /// What is wrong with the front matter, beside its form.
    pub(super) fn problems(&self) -> Vec<String> {
        let head = &self.head;
        let mut problems = Vec::new();
        let budget = match head.over {
            Over::Authors if !head.parts.is_empty() => None,
            Over::Authors if head.max_history_tokens.is_none() => Some("needs max_history_tokens"),
            Over::Authors if head.max_own_chars.is_some() => {
                Some("is asked over authors: its budget is max_history_tokens, not max_own_chars")
            }
            Over::Events if head.max_own_chars.is_none() => Some("needs max_own_chars"),
            Over::Events if head.max_history_tokens.is_some() || head.max_windows != 1 => {
                Some("is asked over events, which have no history")
            }
            _ => None,
        };
        problems.extend(budget.map(str::to_owned));
        if head.max_windows == 0 {
            problems.push("max_windows must be at least 1".to_owned());
        }
        if head.max_copied_words == Some(0) {
            problems.push("max_copied_words must be at least 1".to_owned());
        }
        if !(0.0..=1.0).contains(&head.min_support) {
            problems.push(format!("min_support must lie between 0 and 1, not {}", head.min_support));
        }
        if !head.language.is_empty() && !LANGUAGES.contains(&head.language.as_str()) {
            problems.push(format!("language `{}` is none that can be told", head.language));
        }
        let texts = self.free_texts();
        for name in head.hidden.iter().flat_map(|hidden| hidden.from.iter().chain([&hidden.field])) {
            if !texts.contains(&name.as_str()) {
                problems.push(format!("hidden names `{name}`, which is no free text of the form"));
            }
        }
        problems.into_iter().map(|problem| format!("recipe `{}`: {problem}", head.name)).collect()
    }
}

/// How a judge scores the answers of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Rubric {
    /// Facts of the front matter.
    pub head: RubricHead,
    /// Template of the user message, with `evidence` and `answer` (Jinja).
    pub template: String,
    /// BLAKE3 of the whole file in hex.
    pub digest: String,
}

/// Front matter of a rubric.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RubricHead {
    /// Name in configs and tables.
    pub name: String,
    /// One sentence: what it scores.
    pub about: String,
    /// System message.
    pub system: String,
    /// Lowest score.
    pub min_score: i64,
    /// Highest score.
    pub max_score: i64,
    /// Names of the scores, in the order they are asked.
    pub metrics: Vec<String>,
    /// Most characters of the evidence in a prompt.
    pub max_evidence_chars: usize,
}

/// All recipes and rubrics that a config can name.
#[derive(Debug, Clone)]
pub struct RecipeLibrary {
    recipes: BTreeMap<String, Arc<Recipe>>,
    rubrics: BTreeMap<String, Arc<Rubric>>,
}

/// The texts of files under `stages/recipes/`.
macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../recipes/", $folder, $name, ".md"))),*]
    };
}

const BUILT_IN_RECIPES: &[&str] = files!("":
    "persona", "persona_paragraph", "persona_evidence", "persona_evidence_small",
    "persona_facts", "persona_interests", "persona_values", "persona_communication", "persona_statistics", "profile", "stories", "writing_style",
    "shopper_persona", "shopper_profile",
    "scenario", "story", "behavior_story", "thoughts",
    "social_qa_next", "social_qa_thought", "social_qa_action", "social_qa_why",
    "topic_summary", "inner_thought", "thought_trace", "rationale", "latent_states", "latent_state_texts",
    "quality_harmless", "unsafe_social", "cleaned_text", "coherent_text",
);

const BUILT_IN_RUBRICS: &[&str] = files!("rubrics/":
    "grounding", "persona_quality", "profile_quality", "stories_quality", "qa_quality", "scenario_quality",
    "state_alignment",
);

impl Default for RecipeLibrary {
    /// The built-in recipes and rubrics.
    fn default() -> Self {
        let mut library = Self { recipes: BTreeMap::new(), rubrics: BTreeMap::new() };
        // A built-in file that does not parse is caught by a test; here it would only be missing.
        for text in BUILT_IN_RECIPES {
            let _ = library.add_recipe(text);
        }
        for text in BUILT_IN_RUBRICS {
            let _ = library.add_rubric(text);
        }
        library
    }
}

impl RecipeLibrary {
    /// Adds a recipe file, or replaces the one of that name.
    ///
    /// # Errors
    /// The file has no front matter, or the front matter is wrong.
    pub fn add_recipe(&mut self, text: &str) -> Result<(), StageError> {
        let (head, template) = parse::<RecipeHead>(text)?;
        let recipe = Recipe { head, template, digest: digest(text) };
        self.recipes.insert(recipe.head.name.clone(), Arc::new(recipe));
        Ok(())
    }

    /// Adds a rubric file, or replaces the one of that name.
    ///
    /// # Errors
    /// As [`Self::add_recipe`].
    pub fn add_rubric(&mut self, text: &str) -> Result<(), StageError> {
        let (head, template) = parse::<RubricHead>(text)?;
        let rubric = Rubric { head, template, digest: digest(text) };
        self.rubrics.insert(rubric.head.name.clone(), Arc::new(rubric));
        Ok(())
    }

    /// A recipe by name.
    ///
    /// # Errors
    /// There is none of that name; the message lists those there are.
    pub fn recipe(&self, name: &str) -> Result<&Arc<Recipe>, StageError> {
        self.recipes.get(name).ok_or_else(|| StageError::Recipe {
            name: name.to_owned(),
            reason: format!("there is no such recipe; recipes are: {}", list(self.recipes.keys())),
        })
    }

    /// The recipes that a recipe asks: its parts, or itself.
    ///
    /// # Errors
    /// A part does not exist, or cannot be one.
    pub fn parts(&self, recipe: &Arc<Recipe>) -> Result<Vec<Arc<Recipe>>, StageError> {
        let head = &recipe.head;
        if head.parts.is_empty() {
            return Ok(vec![Arc::clone(recipe)]);
        }
        let wrong = |reason: String| StageError::Recipe { name: head.name.clone(), reason };
        let parts =
            head.parts.iter().map(|name| self.recipe(name).cloned()).collect::<Result<Vec<_>, _>>()?;
        let cannot = |part: &&Arc<Recipe>| {
            part.head.over != head.over || !part.head.parts.is_empty() || part.head.reduce.is_some()
        };
        if let Some(part) = parts.iter().find(cannot) {
            let name = &part.head.name;
            return Err(wrong(format!(
                "`{name}` cannot be a part: it has parts or `reduce`, or is over other rows"
            )));
        }
        if !recipe.template.is_empty() || head.reduce.is_some() {
            return Err(wrong("it has parts, so it asks nothing itself: leave out the template".to_owned()));
        }
        let given: Vec<&str> =
            parts.iter().flat_map(|part| &part.head.form.fields).map(|f| f.name.as_str()).collect();
        match head.form.fields.iter().find(|field| !given.contains(&field.name.as_str())) {
            Some(field) => Err(wrong(format!("no part gives its field `{}`", field.name))),
            None => Ok(parts),
        }
    }

    /// What answers to a recipe are held against.
    ///
    /// # Errors
    /// As [`Self::parts`].
    pub fn checks(&self, recipe: &Arc<Recipe>) -> Result<AnswerChecks, StageError> {
        Ok(recipe.checks(&self.parts(recipe)?))
    }

    /// A rubric by name.
    ///
    /// # Errors
    /// There is none of that name; the message lists those there are.
    pub fn rubric(&self, name: &str) -> Result<&Arc<Rubric>, StageError> {
        self.rubrics.get(name).ok_or_else(|| StageError::Recipe {
            name: name.to_owned(),
            reason: format!("there is no such rubric; rubrics are: {}", list(self.rubrics.keys())),
        })
    }
}

impl Rubric {
    /// The form of the judge's answer: one score per metric.
    pub fn form(&self) -> AnswerForm {
        use genome_kernels::llm::{Field, FieldKind};
        AnswerForm {
            fields: self
                .head
                .metrics
                .iter()
                .map(|metric| Field {
                    name: metric.clone(),
                    kind: FieldKind::Integer { min: self.head.min_score, max: self.head.max_score },
                })
                .collect(),
            ..AnswerForm::default()
        }
    }

    /// The judge's user message for one answer: `evidence` is what the person really wrote, `subject` names what the
    /// answer is of.
    ///
    /// # Errors
    /// The template is wrong, or asks for something else.
    pub fn prompt(&self, evidence: &str, answer: &str, subject: &str) -> Result<String, StageError> {
        render_judged(self, evidence, answer, subject)
    }

    /// The scores in a judge's answer, one per metric; none where it is missing.
    pub fn scores(&self, answer: &str) -> Vec<Option<f64>> {
        read_scores(&self.form(), &self.head.metrics, answer)
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<(T, String), StageError> {
    let wrong = |reason: String| StageError::Recipe { name: "?".to_owned(), reason };
    let body = text
        .strip_prefix("+++\n")
        .ok_or_else(|| wrong("the file must begin with a line `+++` and TOML".to_owned()))?;
    let (head, template) = body
        .split_once("\n+++\n")
        .ok_or_else(|| wrong("the front matter must end with a line `+++`".to_owned()))?;
    let head = toml::from_str(head).map_err(|e| wrong(e.to_string()))?;
    Ok((head, template.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_is_there() {
        let library = RecipeLibrary::default();
        assert_eq!(library.recipes.len(), BUILT_IN_RECIPES.len());
        assert_eq!(library.rubrics.len(), BUILT_IN_RUBRICS.len());
        for text in BUILT_IN_RUBRICS {
            parse::<RubricHead>(text).unwrap();
        }
        for recipe in library.recipes.values() {
            recipe.head.form.validate().unwrap();
            assert_eq!(recipe.problems(), Vec::<String>::new());
            library.parts(recipe).unwrap();
            assert_eq!(super::super::render::template_problem(recipe), None);
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        for (folder, known) in
            [(folder.clone(), BUILT_IN_RECIPES), (folder.join("rubrics"), BUILT_IN_RUBRICS)]
        {
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            assert_eq!(files.filter(|path| path.is_file()).count(), known.len());
        }
    }

    #[test]
    fn every_gate_of_a_recipe_is_scored_by_a_rubric() {
        let library = RecipeLibrary::default();
        let mut gated = 0;
        for recipe in library.recipes.values().filter(|recipe| !recipe.head.gate.is_empty()) {
            gated += 1;
            let scored = library.rubrics.values().any(|rubric| {
                let is_scored = |metric| rubric.head.metrics.contains(metric);
                recipe.head.gate.keys().all(is_scored) && rubric.head.metrics.len() == recipe.head.gate.len()
            });
            assert!(scored, "{}", recipe.head.name);
        }
        assert_eq!(gated, 11);
    }

    #[test]
    fn a_rubric_asks_and_reads_one_answer() {
        let library = RecipeLibrary::default();
        let rubric = library.rubric("state_alignment").unwrap();
        let prompt = rubric.prompt(&"word ".repeat(1000), "advise the poster", "goal").unwrap();
        assert!(prompt.contains("Guessed goal behind that reply:\nadvise the poster"), "{prompt}");
        assert!(prompt.len() < 2000, "evidence is shortened as the rubric says");
        assert_eq!(rubric.scores("{\"score\": 7}"), [Some(7.0)]);
        assert_eq!(rubric.scores("seven"), [None]);
    }

    #[test]
    fn a_misspelt_key_is_told() {
        let error = RecipeLibrary::default().add_recipe("+++\nnane = \"x\"\n+++\nprompt").unwrap_err();
        assert!(error.to_string().contains("nane"), "{error}");
        let error = RecipeLibrary::default().add_recipe("name").unwrap_err();
        assert!(error.to_string().contains("+++"), "{error}");
    }
}
