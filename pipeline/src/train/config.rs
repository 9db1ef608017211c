//! The `[train]` table of a config.

use std::path::{Path, PathBuf};

use genome_kernels::llm::decoder::Part;
use genome_kernels::train::LoraConfig;
use serde::{Deserialize, Serialize};

use super::grpo::DIMENSIONS;

/// How adapters are trained. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Name of the base model; `smollm2-135m` if not given, the one that a processor trains in minutes.
    pub model: String,
    /// Shard folder to learn from; `shards.path` of the config if not given.
    pub shards: Option<PathBuf>,
    /// Folder in which the adapter folders `sft` and `grpo` are made; `adapters` if not given.
    pub output: PathBuf,
    /// The adapter, `[train.lora]`.
    pub lora: AdapterConfig,
    /// Supervised training, `[train.sft]`.
    pub sft: SftConfig,
    /// Training by reinforcement, `[train.grpo]`.
    pub grpo: GrpoRunConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            model: "smollm2-135m".to_owned(),
            shards: None,
            output: PathBuf::from("adapters"),
            lora: AdapterConfig::default(),
            sft: SftConfig::default(),
            grpo: GrpoRunConfig::default(),
        }
    }
}

/// What a low-rank adapter adapts (Hu et al. 2021, arXiv 2106.09685).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterConfig {
    /// Inner width; 8 (Hu et al.'s table 6: no gain above it).
    pub rank: usize,
    /// The addition is scaled by `alpha / rank`; 16, twice the rank.
    pub alpha: f64,
    /// The projections that are adapted in every layer, by their names in PEFT; all seven (Dettmers et al. 2023,
    /// arXiv 2305.14314, figure 2: fewer do not reach full fine-tuning).
    pub targets: Vec<Part>,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: Part::ALL.to_vec() }
    }
}

impl AdapterConfig {
    /// The kernels' form of it.
    pub(super) fn lora(&self, seed: u64) -> LoraConfig {
        LoraConfig {
            rank: self.rank,
            alpha: self.alpha,
            targets: self.targets.clone(),
            seed,
            ..LoraConfig::default()
        }
    }
}

/// How the learning rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It stays, so that a run can be made longer without changing what it has done.
    #[default]
    Constant,
    /// It falls to zero along a cosine over the config's `steps` (both papers: section 1.6 and 2.6 of `docs/papers.md`).
    Cosine,
}

/// Supervised training. `HumanLLM` trains all weights of 3B to 8B models with learning rate 5e-6, cosine, warm-up
/// 0.05, 3 epochs, batches of 64 rows of up to 8192 tokens; the defaults here are for a small model on a processor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SftConfig {
    /// Steps of the optimiser; 20.
    pub steps: usize,
    /// Rows of a step; 2.
    pub batch: usize,
    /// Highest learning rate; 1e-3. Adapters want more than all weights, small models more than large ones: 2e-4 is
    /// usual for 7B (Dettmers et al. 2023, table 9), where `HumanLLM` takes 5e-6 for all weights.
    pub learning_rate: f64,
    /// How the rate goes on after the warm-up; `constant` (the papers: `cosine`).
    pub schedule: Schedule,
    /// Steps over which the rate rises from zero; 1, which is `HumanLLM`'s 0.05 of 20.
    pub warmup: usize,
    /// Rows of more tokens are counted and left out, never cut; 512 (`HumanLLM`: 8192, cut).
    pub max_tokens: usize,
    /// The held-out loss is measured and the adapter is written after so many steps, and at the end; 10.
    pub evaluate_every: usize,
    /// Most rows of the validation and test splits in the held-out loss; 8.
    pub evaluation_rows: usize,
    /// Seed of the first factors, the order of rows and the sample of held-out rows; 2025 (`HumanLLM`).
    pub seed: u64,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self {
            steps: 20,
            batch: 2,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            warmup: 1,
            max_tokens: 512,
            evaluate_every: 10,
            evaluation_rows: 8,
            seed: 2025,
        }
    }
}

/// What an answer is rewarded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// A judge scores it by the row's rubric (`HumanLM`).
    #[default]
    Rubric,
    /// How much likelier it makes the person's real words to the base model.
    Likelihood,
}

/// Training by reinforcement. `HumanLM` trains all weights of an 8B model: groups of 4, batches of 32 prompts in
/// mini-batches of 4, learning rate 1e-6, divergence 0.001, temperature 0.8 (papers' section 2.6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpoRunConfig {
    /// Rounds of answering and learning; 4.
    pub steps: usize,
    /// Prompts of a round; 2 (`HumanLM`: 32).
    pub prompts: usize,
    /// Answers to a prompt; 4 (`HumanLM`).
    pub group: usize,
    /// Updates of a round, each on an equal part of its prompts; 2 (`HumanLM`: 8, of 4 prompts each).
    pub updates: usize,
    /// Sampling temperature; 0.8 (`HumanLM`).
    pub temperature: f32,
    /// Rows with longer prompts are counted and left out; 512 tokens (`HumanLM`: 5120 or 7168).
    pub max_prompt_tokens: usize,
    /// Most tokens of an answer; 64 (`HumanLM`: 48 a state, 512 a reply without thinking).
    pub max_tokens: usize,
    /// Learning rate; 1e-4, for an adapter of a small model a hundred times `HumanLM`'s 1e-6 for all weights of a
    /// large one.
    pub learning_rate: f64,
    /// Largest change of a token's probability that counts, as a ratio; 0.2 (PPO's and verl's default).
    pub clip: f64,
    /// Weight of the divergence from where the run started; 0.001 (`HumanLM`).
    pub kl: f64,
    /// What an answer is rewarded by; `rubric`.
    pub reward: RewardKind,
    /// Name of the judge's model; the base model without the adapter if not given. Best another and larger one.
    pub judge: Option<String>,
    /// Only rows of these dimensions, of the six latent states and `response`; all if not given.
    pub dimensions: Option<Vec<String>>,
    /// Folder of an adapter to start from, such as a supervised one; it is then the reference as well.
    pub start_from: Option<PathBuf>,
    /// The adapter is written after so many steps, and at the end; 5 (`HumanLM`: 25).
    pub checkpoint_every: usize,
    /// Seed of the first factors, the order of rows and the answers; 2025.
    pub seed: u64,
}

impl Default for GrpoRunConfig {
    fn default() -> Self {
        Self {
            steps: 4,
            prompts: 2,
            group: 4,
            updates: 2,
            temperature: 0.8,
            max_prompt_tokens: 512,
            max_tokens: 64,
            learning_rate: 1e-4,
            clip: 0.2,
            kl: 0.001,
            reward: RewardKind::Rubric,
            judge: None,
            dimensions: None,
            start_from: None,
            checkpoint_every: 5,
            seed: 2025,
        }
    }
}

impl TrainConfig {
    /// Makes relative paths start from the config's folder.
    pub fn resolve(&mut self, absolute: &dyn Fn(&Path) -> PathBuf) {
        self.output = absolute(&self.output);
        for path in [&mut self.shards, &mut self.grpo.start_from].into_iter().flatten() {
            *path = absolute(path);
        }
    }

    /// Trains this model instead.
    pub fn use_model(&mut self, name: &str) {
        name.clone_into(&mut self.model);
    }

    /// What is wrong with the values, found without any data.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut need = |right: bool, what: &str| {
            if !right {
                problems.push(format!("train.{what}"));
            }
        };
        let positive = |value: f64| value.is_finite() && value > 0.0;
        need(self.lora.rank > 0, "lora.rank must be at least 1");
        need(positive(self.lora.alpha), "lora.alpha must be above 0");
        need(!self.lora.targets.is_empty(), "lora.targets must name at least one projection");
        let sft = &self.sft;
        need(sft.steps > 0, "sft.steps must be at least 1");
        need(sft.batch > 0, "sft.batch must be at least 1");
        need(positive(sft.learning_rate), "sft.learning_rate must be above 0");
        need(sft.evaluate_every > 0, "sft.evaluate_every must be at least 1");
        let grpo = &self.grpo;
        need(grpo.steps > 0, "grpo.steps must be at least 1");
        need(grpo.prompts > 0, "grpo.prompts must be at least 1");
        need(grpo.group > 1, "grpo.group must be at least 2: answers are rewarded relative to their group");
        need(
            (1..=grpo.prompts.max(1)).contains(&grpo.updates),
            "grpo.updates must be between 1 and grpo.prompts: each is on a part of the prompts",
        );
        need(
            positive(grpo.temperature.into()),
            "grpo.temperature must be above 0: equal answers teach nothing",
        );
        need(grpo.max_tokens > 0, "grpo.max_tokens must be at least 1");
        need(positive(grpo.learning_rate), "grpo.learning_rate must be above 0");
        need(positive(grpo.clip) && grpo.clip < 1.0, "grpo.clip must be between 0 and 1");
        need(grpo.kl.is_finite() && grpo.kl >= 0.0, "grpo.kl must be at least 0");
        need(grpo.checkpoint_every > 0, "grpo.checkpoint_every must be at least 1");
        for name in grpo.dimensions.iter().flatten().filter(|name| !DIMENSIONS.contains(&name.as_str())) {
            need(
                false,
                &format!(
                    "grpo.dimensions names `{name}`, which is no dimension; dimensions are: {}",
                    DIMENSIONS.join(", ")
                ),
            );
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_has_no_problems() {
        let config: TrainConfig = toml::from_str("").unwrap();
        assert_eq!(config, TrainConfig::default());
        assert_eq!(config.problems(), Vec::<String>::new());
    }

    #[test]
    fn names_are_those_of_peft_and_misspelt_keys_are_told() {
        let config: TrainConfig = toml::from_str(
            "[lora]\ntargets = [\"q_proj\", \"v_proj\"]\n[sft]\nschedule = \"cosine\"\n[grpo]\nreward = \"likelihood\"",
        )
        .unwrap();
        assert_eq!(config.lora.targets, [Part::Query, Part::Value]);
        assert_eq!((config.sft.schedule, config.grpo.reward), (Schedule::Cosine, RewardKind::Likelihood));
        for text in
            ["modle = \"x\"", "[sft]\nlearning_rat = 1", "[lora]\ntargets = [\"q\"]", "[grpo]\nklx = 1"]
        {
            assert!(toml::from_str::<TrainConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn impossible_values_are_all_told() {
        let mut config = TrainConfig::default();
        config.sft.batch = 0;
        config.grpo.group = 1;
        config.grpo.updates = 5;
        config.grpo.learning_rate = f64::NAN;
        config.grpo.dimensions = Some(vec!["stance".to_owned(), "mood".to_owned()]);
        let problems = config.problems();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(problems[4].starts_with("train.grpo.dimensions names `mood`"), "{problems:?}");
    }

    #[test]
    fn relative_paths_start_from_the_folder_of_the_config() {
        let mut config: TrainConfig =
            toml::from_str("output = \"out\"\nshards = \"s\"\n[grpo]\nstart_from = \"out/sft\"").unwrap();
        config.resolve(&|path| Path::new("/project").join(path));
        assert_eq!(config.output, Path::new("/project/out"));
        assert_eq!(config.shards.as_deref(), Some(Path::new("/project/s")));
        assert_eq!(config.grpo.start_from.as_deref(), Some(Path::new("/project/out/sft")));
    }
}
