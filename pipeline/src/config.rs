//! The config of a run: sources, stages, models, store. Read from TOML, checked as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use genome_kernels::text::language::LanguageDetector;
use genome_kernels::text::language::ngrams::NgramOpinion;
use genome_schemas::{Fingerprint, FingerprintHasher};
use genome_stages::decontaminate::Examined;
use genome_stages::pii_scrub::RedactionKey;
use genome_stages::semantic::{Embed, SemanticDedup};
use genome_stages::sources::{ReaderOptions, SourceConfig, is_url};
use genome_stages::synthesis::{AnswerLeaks, Judge, RecipeLibrary, ScoreTrace, Synthesize};
use genome_stages::{StageConfig, StageContext};
use serde::{Deserialize, Serialize};

use crate::endpoint::EndpointConfig;
use crate::error::Hinted;
use crate::models::{BUILTIN_MODELS, ModelConfig};
use crate::outside;
use crate::shards::check_replaceable;
use crate::train::TrainConfig;

/// Everything a run is made of. Relative paths are relative to the folder of the config file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where artifacts are kept.
    pub store: StoreConfig,
    /// How authors become pseudonyms.
    #[serde(default)]
    pub authors: AuthorsConfig,
    /// How plans run.
    #[serde(default)]
    pub session: SessionConfig,
    /// Limits of the dump readers.
    #[serde(default)]
    pub reader: ReaderOptions,
    /// Platform dumps.
    #[serde(default, rename = "source")]
    pub sources: Vec<SourceConfig>,
    /// Models by name, beside the built-in ones.
    #[serde(default)]
    pub models: BTreeMap<String, ModelConfig>,
    /// Models that other servers run, by name.
    #[serde(default)]
    pub endpoints: BTreeMap<String, EndpointConfig>,
    /// Folder with further recipes (`*.md`) and rubrics (`rubrics/*.md`).
    #[serde(default)]
    pub recipes: Option<PathBuf>,
    /// Stages, in the order they run.
    #[serde(default, rename = "stage")]
    pub stages: Vec<StageConfig>,
    /// Training shards.
    #[serde(default)]
    pub shards: Option<ShardsConfig>,
    /// The trainer.
    #[serde(default)]
    pub train: TrainConfig,
}

/// Where artifacts are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Folder of the store.
    pub path: PathBuf,
}

/// The secret that turns handles into pseudonyms. It is never written anywhere; give it in one of three ways.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorsConfig {
    /// The secret itself; for made-up data only.
    #[serde(default)]
    pub key: Option<String>,
    /// Environment variable that holds it.
    #[serde(default)]
    pub key_env: Option<String>,
    /// File that holds it.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

impl std::fmt::Debug for AuthorsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorsConfig { .. }")
    }
}

/// How plans run. Nothing here changes a result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Worker threads; all cores if not given.
    pub threads: Option<usize>,
    /// Memory that sorts, joins and windows may hold before they spill, in MiB; 60 % of the machine's if not given.
    pub memory_limit_mib: Option<usize>,
    /// Answers of a model that are committed together.
    pub part_rows: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { threads: None, memory_limit_mib: None, part_rows: 256 }
    }
}

/// Training shards.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardsConfig {
    /// Folder that is written as a whole.
    pub path: PathBuf,
    /// Rows of a shard file.
    #[serde(default = "default_rows_per_shard")]
    pub rows_per_shard: usize,
    /// Name of the data set on its card.
    #[serde(default = "default_dataset_name")]
    pub name: String,
}

fn default_rows_per_shard() -> usize {
    10_000
}

fn default_dataset_name() -> String {
    "genome".to_owned()
}

/// A config with the folder its relative paths start from.
#[derive(Debug, Clone)]
pub struct Project {
    /// The config, its paths made absolute or relative to the working folder.
    pub config: Config,
    /// Path of the config file.
    pub path: PathBuf,
    /// Model that was named on the command line in place of the config's.
    pub model_override: Option<String>,
}

impl Project {
    /// Reads a config file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a config: line, column and a caret under the word.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Hinted::new(
                format!("cannot read the config {}: {e}", path.display()),
                "give the path of a TOML config, such as examples/quickstart.toml",
            )
        })?;
        let mut config: Config =
            toml::from_str(&text).map_err(|e| anyhow!("{}: {}", path.display(), e.to_string().trim_end()))?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let absolute = |path: &mut PathBuf| *path = lexically_normal(&folder.join(&*path));
        absolute(&mut config.store.path);
        if let Some(shards) = &mut config.shards {
            absolute(&mut shards.path);
        }
        if let Some(recipes) = &mut config.recipes {
            absolute(recipes);
        }
        if let Some(key_file) = &mut config.authors.key_file {
            absolute(key_file);
        }
        config.train.resolve(&|p| lexically_normal(&folder.join(p)));
        for source in &mut config.sources {
            for pattern in source.paths.iter_mut().filter(|pattern| !is_url(pattern)) {
                *pattern = lexically_normal(&folder.join(&*pattern)).to_string_lossy().into_owned();
            }
        }
        Ok(Self { config, path: path.to_path_buf(), model_override: None })
    }

    /// Lets every stage that calls a model call `model` instead.
    pub fn use_model(&mut self, model: &str) {
        for stage in &mut self.config.stages {
            match stage {
                StageConfig::Synthesize(stage) => model.clone_into(&mut stage.model),
                StageConfig::Judge(stage) => model.clone_into(&mut stage.model),
                StageConfig::ScoreTrace(stage) => model.clone_into(&mut stage.model),
                _ => {}
            }
        }
        self.config.train.use_model(model);
        self.model_override = Some(model.to_owned());
    }

    /// A path of the config as one from the working folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let folder = self.path.parent().map(Path::to_path_buf).unwrap_or_default();
        lexically_normal(&folder.join(path))
    }

    /// A command line of another verb about the same config.
    pub fn command(&self, verb: &str) -> String {
        let model = self.model_override.as_ref().map(|m| format!(" --model {m}")).unwrap_or_default();
        format!("genome {verb} {}{model}", self.path.display())
    }

    /// A named model: the config's, else a built-in one.
    ///
    /// # Errors
    /// There is no model of that name.
    pub fn model(&self, name: &str) -> Result<ModelConfig> {
        let all = self.models();
        all.get(name).cloned().ok_or_else(|| {
            let known = all.keys().cloned().collect::<Vec<_>>().join(", ");
            Hinted::new(
                format!("there is no model `{name}`"),
                format!("models are: {known}; add [models.{name}] to the config for another"),
            )
            .into()
        })
    }

    /// Every model that can be named: the built-in ones and the config's.
    pub fn models(&self) -> BTreeMap<String, ModelConfig> {
        let mut all = builtin_models();
        all.extend(self.config.models.iter().map(|(name, model)| (name.clone(), model.clone())));
        all
    }

    /// The secret for pseudonyms.
    ///
    /// # Errors
    /// None is given, or more than one, or it cannot be read.
    pub fn author_key(&self) -> Result<Vec<u8>> {
        let authors = &self.config.authors;
        let key = match (&authors.key, &authors.key_env, &authors.key_file) {
            (Some(key), None, None) => key.clone().into_bytes(),
            (None, Some(name), None) => std::env::var(name)
                .with_context(|| format!("authors.key_env names ${name}, which is not set"))?
                .into_bytes(),
            (None, None, Some(path)) => std::fs::read(path)
                .with_context(|| format!("cannot read authors.key_file {}", path.display()))?,
            (None, None, None) => {
                return Err(Hinted::new(
                    "no secret is given that turns author names into pseudonyms",
                    "add `[authors]` with `key_env = \"GENOME_AUTHOR_KEY\"` (or `key_file`) to the config",
                )
                .into());
            }
            _ => return Err(anyhow!("give only one of authors.key, authors.key_env, authors.key_file")),
        };
        if key.is_empty() { Err(anyhow!("the secret for pseudonyms is empty")) } else { Ok(key) }
    }

    /// What the secret is known by, without giving it away.
    ///
    /// # Errors
    /// As [`Self::author_key`].
    pub fn author_fingerprint(&self) -> Result<Fingerprint> {
        Ok(FingerprintHasher::new("genome author key").part("key", self.author_key()?).finish())
    }

    /// The recipes and rubrics that stages can name: the built-in ones, and those of the config's folder.
    ///
    /// # Errors
    /// A recipe file cannot be read or is wrong.
    pub fn recipes(&self) -> Result<RecipeLibrary> {
        let mut recipes = RecipeLibrary::default();
        if let Some(folder) = &self.config.recipes {
            for path in markdown_files(folder)? {
                recipes
                    .add_recipe(&std::fs::read_to_string(&path)?)
                    .with_context(|| path.display().to_string())?;
            }
            let rubrics = folder.join("rubrics");
            if rubrics.is_dir() {
                for path in markdown_files(&rubrics)? {
                    recipes
                        .add_rubric(&std::fs::read_to_string(&path)?)
                        .with_context(|| path.display().to_string())?;
                }
            }
        }
        Ok(recipes)
    }

    /// The context in which stages plan, before any table is there.
    ///
    /// # Errors
    /// A recipe file cannot be read or is wrong, or something that a stage reads beside the dumps is not there.
    pub fn stage_context(&self) -> Result<StageContext> {
        let recipes = self.recipes()?;
        let models = self.models().into_iter().map(|(name, model)| (name, model.digest()));
        let endpoints = self.config.endpoints.iter();
        let endpoints = endpoints.map(|(name, endpoint)| (name.clone(), endpoint.digest()));
        let model_digests = models.chain(endpoints).collect();
        let outside = outside::digests(self)?;
        Ok(StageContext { recipes, model_digests, outside, ..StageContext::default() })
    }

    /// What stages may look at when they run: [`Self::stage_context`] with what only a run needs, the author secret and
    /// the models that tell languages.
    ///
    /// # Errors
    /// As [`Self::stage_context`] and [`Self::author_key`].
    pub fn run_context(&self) -> Result<StageContext> {
        let redaction_key = RedactionKey::from_secret(self.author_key()?);
        let languages = LanguageDetector::common().with_third_opinion(Arc::new(NgramOpinion::new()));
        Ok(StageContext { redaction_key, languages: Arc::new(languages), ..self.stage_context()? })
    }

    /// Everything that is wrong with the values of the config, found without any data.
    ///
    /// # Errors
    /// A recipe file cannot be read.
    pub fn problems(&self) -> Result<Vec<String>> {
        let cx = self.stage_context()?;
        let mut problems = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        for source in &self.config.sources {
            if !names.insert(&source.name) {
                problems.push(format!("two sources have the name `{}`", source.name));
            }
            problems.extend(source.problems());
        }
        if self.config.sources.is_empty() {
            problems.push("there is no [[source]]".to_owned());
        }
        if self.config.session.part_rows == 0 {
            problems.push("session.part_rows must be at least 1".to_owned());
        }
        for (name, endpoint) in &self.config.endpoints {
            problems.extend(endpoint.problems().into_iter().map(|p| format!("endpoints.{name}: {p}")));
            if self.models().contains_key(name) {
                problems.push(format!("endpoints.{name}: a model has that name too"));
            }
        }
        problems.extend(self.config.train.problems());
        problems.extend(self.shard_problems());
        problems.extend(self.between_stages());
        problems.extend(self.asked_twice(&cx));
        for (number, config) in (1..).zip(&self.config.stages) {
            if let StageConfig::Dedup(dedup) = config {
                let unknown = dedup.prefer.iter().filter(|name| !names.contains(name));
                problems.extend(unknown.map(|name| {
                    let known: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                    format!(
                        "stage {number} (dedup): dedup.prefer names `{name}`, which is no source; sources are: {}",
                        known.join(", ")
                    )
                }));
            }
            let stage = config.stage();
            let name = stage.card().name;
            if let StageConfig::Dedup(dedup) = config {
                let outside = outside::problems(self, dedup)?;
                problems.extend(outside.into_iter().map(|p| format!("stage {number} ({name}): {p}")));
            }
            problems.extend(stage.problems(&cx).into_iter().map(|p| format!("stage {number} ({name}): {p}")));
        }
        Ok(problems)
    }

    /// Stages that ask a model just what an earlier one asks it: answers of both would have the same keys.
    fn asked_twice(&self, cx: &StageContext) -> Vec<String> {
        let is_one = |model: &str, other: &str| {
            let digests = (cx.model_digest(model).ok(), cx.model_digest(other).ok());
            digests.0.is_some() && digests.0 == digests.1
        };
        let mut problems = Vec::new();
        for (place, config) in self.config.stages.iter().enumerate() {
            for (number, earlier) in (1..).zip(&self.config.stages[..place]) {
                if let (StageConfig::Synthesize(earlier), StageConfig::Synthesize(stage)) = (earlier, config)
                    && is_one(&earlier.model, &stage.model)
                    && let Some(seeds) = earlier.common_seeds(stage)
                {
                    let (first, last) = seeds.into_inner();
                    problems.push(format!(
                        "stage {} (synthesize): stage {number} asks `{}` in the same way with the seeds from {first} to {last}; give \
                         each seeds of its own",
                        place + 1,
                        stage.recipe,
                    ));
                }
            }
        }
        problems
    }

    /// What is wrong with the shards that are asked for, and with the folder that they would replace.
    fn shard_problems(&self) -> Vec<String> {
        let Some(shards) = &self.config.shards else { return Vec::new() };
        let mut problems = Vec::new();
        if shards.rows_per_shard == 0 {
            problems.push("shards.rows_per_shard must be at least 1".to_owned());
        }
        let writes_examples = |config: &StageConfig| (config.stage().card().output)().name == "examples";
        if !self.config.stages.iter().any(writes_examples) {
            problems.push("[shards] needs a stage that writes `examples`, such as compose".to_owned());
        }
        problems.extend(check_replaceable(&shards.path).err().map(|error| error.to_string()));
        problems
    }

    /// What is wrong with stages because of what comes before them, or of the models that they name.
    fn between_stages(&self) -> Vec<String> {
        let models = self.models();
        let is_encoder = |name: &str| models.get(name).is_some_and(ModelConfig::is_encoder);
        let mut embedded = std::collections::BTreeSet::new();
        let mut is_taken = false;
        let mut problems = Vec::new();
        for (number, config) in (1..).zip(&self.config.stages) {
            let card = config.stage().card();
            let mut add = |what: String| problems.push(format!("stage {number} ({}): {what}", card.name));
            match config {
                StageConfig::Decontaminate(stage) if stage.over == Examined::Events && is_taken => add(
                    "what models and examples are made of was taken before it: put it before them, or give it \
                     `over = \"examples\"` behind compose"
                        .to_owned(),
                ),
                StageConfig::Synthesize(Synthesize { model, .. }) | StageConfig::Judge(Judge { model, .. })
                    if is_encoder(model) =>
                {
                    add(format!("model `{model}` is an encoder, and writes nothing"));
                }
                StageConfig::ScoreTrace(ScoreTrace { model, .. }) if is_encoder(model) => {
                    add(format!("model `{model}` is an encoder, and gives no likelihoods"));
                }
                StageConfig::ScoreTrace(ScoreTrace { model, .. })
                    if self.config.endpoints.contains_key(model) =>
                {
                    add(format!("endpoint `{model}` gives no likelihoods; name a model that runs inside"));
                }
                StageConfig::Embed(Embed { model }) => {
                    if !embedded.insert(model) {
                        add(format!("`{model}` is asked by an earlier one"));
                    }
                    if !is_encoder(model) {
                        add(format!("model `{model}` is no encoder: it has no `tokenizer` and `config`"));
                    }
                }
                StageConfig::AnswerLeaks(AnswerLeaks { model: Some(model), .. }) if !is_encoder(model) => {
                    add(format!("model `{model}` is no encoder: it has no `tokenizer` and `config`"));
                }
                StageConfig::SemanticDedup(SemanticDedup { model, .. }) if !embedded.contains(model) => {
                    add(format!("no stage `embed` before it asks the model `{model}`"));
                }
                _ => {}
            }
            is_taken |= ["authors", "completions", "examples"].contains(&(card.output)().name);
        }
        problems
    }
}

/// Every built-in model by name.
pub fn builtin_models() -> BTreeMap<String, ModelConfig> {
    // A built-in entry that does not parse is caught by a test of `models`.
    BUILTIN_MODELS.iter().filter_map(|m| Some((m.name.to_owned(), m.config().ok()?))).collect()
}

fn markdown_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut paths = entries.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|p| p.extension().is_some_and(|e| e == "md"));
    paths.sort();
    Ok(paths)
}

/// Folds `a/../b` to `b`, so that messages show short paths.
fn lexically_normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}
