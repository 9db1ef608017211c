//! What a stage is: a pure function from plan to plan, with an index card.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::prelude::DataFrame;
use genome_kernels::text::language::LanguageDetector;
use genome_schemas::{Outcome, Table};

use crate::StageError;
use crate::decontaminate::{EvaluationSet, EvaluationText};
use crate::dedup::{Known, Signatures};
use crate::functions::{EngineSource, NoEngines};
use crate::pii_scrub::RedactionKey;
use crate::synthesis::RecipeLibrary;

/// One step of curation: a pure function from plan to plan.
pub trait Stage {
    /// What this stage is, reads, writes and may drop.
    fn card(&self) -> Card;

    /// What tells this stage from others of its kind in one config: the recipe it asks, the rubric it applies.
    fn detail(&self) -> String {
        String::new()
    }

    /// Things whose content decides the result beside the config: prompt files, model weights.
    ///
    /// # Errors
    /// The stage names an asset that does not exist.
    fn assets(&self, _cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        Ok(Vec::new())
    }

    /// Everything that is wrong with the config of this stage, found without any data.
    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        Vec::new()
    }

    /// Builds the plan. No IO, no clock, no randomness.
    ///
    /// # Errors
    /// The plan cannot be built over `rows`, or the config refers to something that is not there.
    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError>;

    /// What follows from the config and is worth knowing before a run, a sentence each.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Files beside the dumps that this stage reads: they are read before it is planned.
    fn outside(&self) -> Vec<Outside<'_>> {
        Vec::new()
    }

    /// What this stage looks through more than once, as a stage over the same rows that is run before it and stored, and
    /// whose table it then finds in its context. Where it does not, it works the table out by itself.
    fn index(&self) -> Option<Signatures> {
        None
    }

    /// Whether its joins look up lists that fit in memory, such as of rows that leave: they run as hash joins that hold the
    /// list, where those of other stages sort both sides and spill.
    fn looks_up(&self) -> bool {
        false
    }

    /// Whether it looks at rows of the tables that it joins which have left, too. It then finds all of them in its context,
    /// and has to tell by `outcome` which are kept.
    fn reads_dropped(&self) -> bool {
        false
    }

    /// Keys of its config that change no row, and so leave artifacts as they are.
    fn idle_keys(&self) -> &'static [&'static str] {
        &[]
    }

    /// How many of the answers it looks at may leave before the run is stopped.
    fn rejection_limit(&self) -> Option<RejectionLimit<'_>> {
        None
    }

    /// The two halves of a stage that calls a model, if this is one.
    fn model_stage(&self) -> Option<&dyn ModelStage> {
        None
    }
}

/// A stage whose rows cost a model call each: it is run in parts, and never asks twice.
pub trait ModelStage {
    /// One row per model call, with a column `key` that names the call.
    ///
    /// # Errors
    /// As [`Stage::plan`].
    fn prompts(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError>;

    /// Makes the calls of (some of) the prompts and shapes the answers as rows of the output table.
    ///
    /// # Errors
    /// As [`Stage::plan`].
    fn answers(&self, cx: &StageContext, prompts: DataFrame) -> Result<DataFrame, StageError>;

    /// Column of the output table that holds the `key` of the call.
    fn call_column(&self) -> &'static str;

    /// Names of the models it calls.
    fn models(&self) -> Vec<&str>;

    /// Keys of its config that only say which calls are made, and change none of them.
    fn selecting_keys(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A rate of rejected answers at which something is wrong with the recipe, the model or the gate, and not with the answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RejectionLimit<'a> {
    /// The recipe whose answers are counted.
    pub recipe: &'a str,
    /// Greatest share of them that may be rejected, `0.0..=1.0`.
    pub max_rejected: f64,
}

impl RejectionLimit<'_> {
    /// Fewest answers of which a rate is taken.
    pub const FEWEST: u64 = 20;

    /// Whether the rate is above it.
    pub fn is_exceeded(&self, rejected: u64, all: u64) -> bool {
        all >= Self::FEWEST && rejected as f64 > self.max_rejected * all as f64
    }
}

/// The index card of a stage.
#[derive(Debug, Clone)]
pub struct Card {
    /// Name in configs, paths and reports.
    pub name: &'static str,
    /// Raised when the code answers differently for the same config.
    pub version: u32,
    /// How far one input row can reach.
    pub scope: Scope,
    /// Whether it reads its input more than once, so that the input must be stored first.
    pub at_rest: bool,
    /// Table it reads.
    pub input: fn() -> Table,
    /// Table it writes; the same as `input` for a stage that refines.
    pub output: fn() -> Table,
    /// Further tables it joins.
    pub reads: &'static [fn() -> Table],
    /// Drop reasons it may give.
    pub outcomes: &'static [Outcome],
}

impl Card {
    /// Whether the stage refines its input table rather than adding to another.
    pub fn refines(&self) -> bool {
        (self.input)().name == (self.output)().name
    }
}

/// How far one input row can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each output row depends on one input row: new rows can be processed alone.
    Row,
    /// An output row may depend on other rows or further tables: recomputed when its input changes.
    Corpus,
}

/// Something that a stage reads and that no stage writes, by its path as the config has it.
#[derive(Debug, Clone, Copy)]
pub enum Outside<'a> {
    /// Texts that are known. Its rows are put into [`StageContext::tables`] under [`Known::table_name`].
    Known(&'a Known),
    /// An evaluation set. Its texts are put into [`StageContext::evaluations`].
    Evaluation(&'a EvaluationSet),
}

impl Outside<'_> {
    /// The path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Known(known) => known.path(),
            Self::Evaluation(set) => &set.path,
        }
    }
}

/// Something beside the config whose content decides the result of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// What it is, as shown to the user.
    pub name: String,
    /// Digest of its content.
    pub digest: String,
}

/// What stages may look at while they plan.
#[derive(Debug, Clone)]
pub struct StageContext {
    /// Further tables as they stand at this point of the run, by name; of kept rows only, unless [`Stage::reads_dropped`].
    pub tables: BTreeMap<String, DataFrame>,
    /// Recipes and rubrics that configs can name.
    pub recipes: RecipeLibrary,
    /// SHA-256 of the weights of each named model.
    pub model_digests: BTreeMap<String, String>,
    /// Digests of the files that stages read beside the dumps, by path as the config has it.
    pub outside: BTreeMap<PathBuf, String>,
    /// Texts of evaluation sets.
    pub evaluations: BTreeMap<EvaluationSet, Arc<Vec<EvaluationText>>>,
    /// Hands out engines when a plan runs.
    pub engines: Arc<dyn EngineSource>,
    /// The secret by which placeholders of personal data are numbered.
    pub redaction_key: RedactionKey,
    /// Tells the languages of texts.
    pub languages: Arc<LanguageDetector>,
}

impl Default for StageContext {
    fn default() -> Self {
        Self {
            tables: BTreeMap::new(),
            recipes: RecipeLibrary::default(),
            model_digests: BTreeMap::new(),
            outside: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            engines: Arc::new(NoEngines),
            redaction_key: RedactionKey::default(),
            languages: Arc::new(LanguageDetector::common()),
        }
    }
}

impl StageContext {
    /// A further table by its contract.
    ///
    /// # Errors
    /// Nothing has written that table yet.
    pub fn table(&self, table: &Table) -> Result<DataFrame, StageError> {
        self.tables.get(table.name).cloned().ok_or_else(|| {
            StageError::Config(format!(
                "no earlier stage writes table `{}`, which this one reads",
                table.name
            ))
        })
    }

    /// A file that a stage reads beside the dumps, with the digest of its content.
    ///
    /// # Errors
    /// It was not looked at.
    pub fn outside_asset(&self, path: &Path) -> Result<Asset, StageError> {
        let name = path.to_string_lossy().into_owned();
        match self.outside.get(path) {
            Some(digest) => Ok(Asset { name, digest: digest.clone() }),
            None => Err(StageError::Config(format!("`{name}` was not read"))),
        }
    }

    /// Digest of the weights of a named model.
    ///
    /// # Errors
    /// The config names no such model.
    pub fn model_digest(&self, model: &str) -> Result<&str, StageError> {
        self.model_digests.get(model).map(String::as_str).ok_or_else(|| {
            let known: Vec<&str> = self.model_digests.keys().map(String::as_str).collect();
            StageError::Config(format!("there is no model `{model}`; models are: {}", known.join(", ")))
        })
    }

    /// A named model as what a stage stands on.
    ///
    /// # Errors
    /// The config names no such model.
    pub(crate) fn model_asset(&self, model: &str) -> Result<Asset, StageError> {
        Ok(Asset { name: format!("model {model}"), digest: self.model_digest(model)?.to_owned() })
    }

    /// A named recipe as what a stage stands on.
    ///
    /// # Errors
    /// There is no such recipe.
    pub(crate) fn recipe_asset(&self, recipe: &str) -> Result<Asset, StageError> {
        let digest = self.recipes.recipe(recipe)?.digest.clone();
        Ok(Asset { name: format!("recipe {recipe}"), digest })
    }
}
