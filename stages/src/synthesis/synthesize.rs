//! Synthesis of one recipe over authors or events.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::functions_nested::expr_fn::{array_element, array_length, make_array};
use datafusion::logical_expr::ExprFunctionExt as _;
use datafusion::prelude::{
    DataFrame, Expr, btrim, cast, character_length, coalesce, col, concat, get_field, lit,
};
use genome_kernels::llm::Sampling;
use genome_schemas::{Outcome, authors, completions, events};
use serde::{Deserialize, Serialize};

use super::recipe::{Over, Recipe};
use super::render::{BUDGET, CALLS, EVIDENCE, LEFT_OUT, PROMPT, SHOWN, render_recipe, template_problem};
use super::view::{event_struct, row_struct};
use crate::StageError;
use crate::filter::written;
use crate::functions::{
    CallSpec, PartSpec, Template, answer_parts, check_answer, generate, key_hex, row_key,
};
use crate::mark::{fresh_ledger, is_kept, null_of, rank_kept};
use crate::stage::{Asset, Card, ModelStage, RejectionLimit, Scope, Stage, StageContext};

/// Asks a model one recipe over each author or event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synthesize {
    /// Name of the recipe.
    pub recipe: String,
    /// Table it is asked over; must be the recipe's.
    pub over: Over,
    /// Name of the model.
    pub model: String,
    /// Over events: at most so many of each author, their earliest first.
    #[serde(default)]
    pub per_author: Option<u32>,
    /// At most so many authors or events in all, the same ones each time: a pseudo-random sample for a first look.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Sampling temperature; 0 takes the likeliest token.
    #[serde(default)]
    pub temperature: f32,
    /// Draws only among so many of the likeliest tokens; 0 is no limit.
    #[serde(default)]
    pub top_k: usize,
    /// Draws only among the likeliest tokens that together reach this probability; 1 is no limit.
    #[serde(default = "whole")]
    pub top_p: f32,
    /// Draws only among tokens at least this fraction as likely as the likeliest; 0 is no limit.
    #[serde(default)]
    pub min_p: f32,
    /// Makes tokens less likely that the answer already has, above 1; small models loop without it.
    #[serde(default = "whole")]
    pub repetition_penalty: f32,
    /// Seed of the draws, as part of the key of a row, from which each of its draws is made.
    #[serde(default)]
    pub seed: u64,
    /// So many answers to each prompt, each with a seed of its own; a gate can keep the best. Needs a temperature.
    #[serde(default = "one")]
    pub samples: u32,
    /// An answer that was cut off is asked for again so many times, with another seed and at least temperature 0.7.
    #[serde(default = "one")]
    pub retries: u32,
    /// The run stops where more than this share of the answers is rejected, and keeps what is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rejected: Option<f64>,
}

const fn one() -> u32 {
    1
}

const fn whole() -> f32 {
    1.0
}

impl Stage for Synthesize {
    fn card(&self) -> Card {
        Card {
            name: "synthesize",
            version: 6,
            scope: Scope::Row,
            at_rest: true,
            input: match self.over {
                Over::Authors => authors,
                Over::Events => events,
            },
            output: completions,
            reads: &[],
            outcomes: &[
                Outcome::ContextTooLong,
                Outcome::Truncated,
                Outcome::EngineError,
                Outcome::Unparseable,
                Outcome::NoAnswer,
                Outcome::Ungrounded,
                Outcome::Degenerate,
                Outcome::Refused,
                Outcome::Echo,
                Outcome::PersonalData,
                Outcome::OtherLanguage,
                Outcome::Leaked,
            ],
        }
    }

    fn detail(&self) -> String {
        self.recipe.clone()
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        let recipe = cx.recipes.recipe(&self.recipe)?;
        let parts = cx.recipes.parts(recipe)?;
        let parts = parts.iter().filter(|part| *part != recipe);
        let recipes = [recipe].into_iter().chain(parts).map(|recipe| cx.recipe_asset(&recipe.head.name));
        recipes.chain([cx.model_asset(&self.model)]).collect()
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        let mut problems = Vec::new();
        match cx.recipes.recipe(&self.recipe) {
            Err(error) => problems.push(error.to_string()),
            Ok(recipe) if recipe.head.over != self.over => problems.push(format!(
                "recipe `{}` is asked over {:?}, not over {:?}",
                self.recipe, recipe.head.over, self.over
            )),
            Ok(recipe) => {
                problems.extend(recipe.head.form.validate().err().map(|e| e.to_string()));
                problems.extend(recipe.problems());
                match cx.recipes.parts(recipe) {
                    Err(error) => problems.push(error.to_string()),
                    Ok(parts) => problems.extend(parts.iter().filter_map(|part| template_problem(part))),
                }
            }
        }
        if let Err(error) = cx.model_digest(&self.model) {
            problems.push(error.to_string());
        }
        if !(0.0..=2.0).contains(&self.temperature) {
            problems.push(format!("temperature must lie between 0 and 2, not {}", self.temperature));
        }
        let shares = [("top_p", self.top_p), ("min_p", self.min_p)];
        problems.extend(
            shares
                .into_iter()
                .filter(|(_, share)| !(0.0..=1.0).contains(share))
                .map(|(name, share)| format!("{name} must lie between 0 and 1, not {share}")),
        );
        if !(1.0..=2.0).contains(&self.repetition_penalty) {
            problems.push(format!(
                "repetition_penalty must lie between 1 and 2, not {}",
                self.repetition_penalty
            ));
        }
        if !(1..=64).contains(&self.samples) || (self.samples > 1 && self.temperature == 0.0) {
            problems.push("samples must be 1 to 64, and several need a temperature above 0".to_owned());
        }
        if self.retries > 16 {
            problems.push(format!("retries must be at most 16, not {}", self.retries));
        }
        if self.max_rejected.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            problems.push("max_rejected must lie between 0 and 1".to_owned());
        }
        problems
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        self.answers(cx, self.prompts(cx, rows)?)
    }

    fn idle_keys(&self) -> &'static [&'static str] {
        &["max_rejected"]
    }

    fn rejection_limit(&self) -> Option<RejectionLimit<'_>> {
        self.max_rejected.map(|max_rejected| RejectionLimit { recipe: &self.recipe, max_rejected })
    }

    fn model_stage(&self) -> Option<&dyn ModelStage> {
        Some(self)
    }
}

impl ModelStage for Synthesize {
    fn prompts(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        self.rendered(cx, self.chosen(cx, rows)?)
    }

    fn answers(&self, cx: &StageContext, prompts: DataFrame) -> Result<DataFrame, StageError> {
        let recipe = cx.recipes.recipe(&self.recipe)?;
        let parts = cx.recipes.parts(recipe)?;
        let part = |part: &Arc<Recipe>| PartSpec {
            system: part.head.system.clone(),
            form: part.head.form.clone(),
            max_tokens: part.head.max_tokens,
        };
        let reduce = recipe.head.reduce.as_deref();
        let spec = CallSpec {
            model: self.model.clone(),
            parts: parts.iter().map(part).collect(),
            form: recipe.head.form.clone(),
            reduce: reduce.map(|text| Template::new(&self.recipe, text)).transpose()?,
            sampling: Sampling {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                repetition_penalty: self.repetition_penalty,
                // The key of a call, from which it draws, names its seed: whoever asks it again draws the same.
                ..Sampling::default()
            },
            retries: self.retries,
        };
        let [key, prompt, evidence, calls] = ["key", "prompt", "evidence", "calls"].map(col);
        let call = generate(spec, cx.engines.clone(), key, prompt, evidence, calls);
        let answered = prompts.with_column("__answer", call.alias("__answer"))?;
        let part = |name: &str| get_field(answer_parts(col("__answer")), name);
        let checks = cx.recipes.checks(recipe)?;
        let checked =
            check_answer(&self.recipe, checks, part("text"), part("finish"), col("evidence"), col("prompt"));
        let checked = answered.with_column("__checked", checked)?;
        let verdict = |name: &str| get_field(col("__checked"), name);
        let mut columns = vec![
            col("key"),
            col("subject_key"),
            col("author_id"),
            col("platform"),
            col("source"),
            col("split"),
            lit(self.recipe.as_str()).alias("recipe"),
            lit(self.model.as_str()).alias("model"),
            lit(cx.model_digest(&self.model)?).alias("model_digest"),
            col("prompt"),
            col("evidence"),
            coalesce(vec![part("error"), part("text")]).alias("text"),
            verdict("fields").alias("fields"),
            part("finish").alias("finish_reason"),
            part("prompt_tokens").alias("prompt_tokens"),
            part("completion_tokens").alias("completion_tokens"),
            col("seed"),
            part("attempts").alias("attempts"),
            part("n_calls").alias("n_calls"),
            (col("n_shown") - part("lost")).alias("n_shown"),
            (col("n_left_out") + part("lost")).alias("n_left_out"),
            col("budget_tokens"),
            part("probabilities").alias("probabilities"),
        ];
        let stage = datafusion::prelude::when(verdict("rule").is_not_null(), lit("synthesize"))
            .otherwise(null_of(&DataType::Utf8))?;
        for ledger in fresh_ledger() {
            let name = ledger.schema_name().to_string();
            columns.push(match name.as_str() {
                "outcome" | "rule" | "measured" | "limit_value" | "matched" => verdict(&name).alias(name),
                "stage" => stage.clone().alias("stage"),
                _ => ledger,
            });
        }
        Ok(checked.select(columns)?)
    }

    fn call_column(&self) -> &'static str {
        "key"
    }

    fn models(&self) -> Vec<&str> {
        vec![&self.model]
    }

    fn selecting_keys(&self) -> &'static [&'static str] {
        &["per_author", "limit", "samples"]
    }
}

/// What a text without any content may consist of.
const BLANKS: &str = " \t\r\n\u{a0}\u{200b}";

impl Synthesize {
    /// The rows that are asked about.
    ///
    /// # Errors
    /// There is no such recipe, or the plan cannot be built over `rows`.
    pub fn chosen(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const RANK: &str = "__rank";
        const POSTS: &str = "__posts";
        let recipe = cx.recipes.recipe(&self.recipe)?;
        let mut rows = rows;
        if let (Over::Events, fewest @ 1..) = (self.over, recipe.head.min_events) {
            let of_author = count(lit(1_i64)).partition_by(vec![col("author_id"), col("source")]).build()?;
            rows = rows.filter(is_kept())?.window(vec![of_author.alias(POSTS)])?;
            rows = rows.filter(col(POSTS).gt_eq(lit(i64::from(fewest))))?;
        }
        rows = rows.filter(self.wanted(recipe))?;
        if let (Over::Events, Some(limit)) = (self.over, self.per_author) {
            let order = vec![col("at").sort(true, false), col("key").sort(true, false)];
            let rank = rank_kept(vec![col("author_id"), col("source")], order)?;
            rows = rows.window(vec![rank.alias(RANK)])?.filter(col(RANK).lt_eq(lit(u64::from(limit))))?;
        }
        if let Some(limit) = self.limit {
            // Keys are hashes, so their order is as good as random.
            rows = rows.sort(vec![col("key").sort(true, false)])?.limit(0, Some(limit))?;
        }
        Ok(rows)
    }

    /// The prompts about rows that [`Self::chosen`] gives, one for each sample.
    ///
    /// # Errors
    /// As [`Self::chosen`].
    pub fn rendered(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let recipe = cx.recipes.recipe(&self.recipe)?;
        let parts = cx.recipes.parts(recipe)?;
        let (row, row_type) = self.visible(&rows)?;
        let split = match self.over {
            Over::Authors => lit("train"),
            Over::Events => col("split"),
        };
        let (engines, model) = (Arc::clone(&cx.engines), self.model.clone());
        let counter = move || engines.prompt_counter(&model);
        let rendered = render_recipe(recipe, &parts, row, row_type, counter)?;
        let rows = rows.select(vec![
            col("key").alias("subject_key"),
            col("author_id"),
            col("platform"),
            col("source"),
            cast(split, DataType::Utf8).alias("split"),
            rendered.alias("__rendered"),
        ])?;
        let rendered = |place: i64| array_element(col("__rendered"), lit(place));
        let digests: Vec<&str> = [recipe.digest.as_str()]
            .into_iter()
            .chain(parts.iter().filter(|part| *part != recipe).map(|part| part.digest.as_str()))
            .collect();
        let number = |place: i64| cast(rendered(place), DataType::UInt32);
        let rows = rows.select(vec![
            col("subject_key"),
            col("author_id"),
            col("platform"),
            col("source"),
            col("split"),
            rendered(PROMPT).alias("prompt"),
            rendered(EVIDENCE).alias("evidence"),
            number(SHOWN).alias("n_shown"),
            number(LEFT_OUT).alias("n_left_out"),
            number(BUDGET).alias("budget_tokens"),
            rendered(CALLS).alias("calls"),
            make_array(
                (0..self.samples).map(|sample| lit(self.seed.wrapping_add(u64::from(sample)))).collect(),
            )
            .alias("seed"),
        ])?;
        let rows = rows.unnest_columns(&["seed"])?;
        let key = row_key(
            "genome completions",
            vec![
                lit(digests.join(" ")),
                lit(cx.model_digest(&self.model)?),
                concat(vec![
                    lit(format!("{} retries {} seed ", self.draws(), self.retries)),
                    cast(col("seed"), DataType::Utf8),
                ]),
                key_hex(col("subject_key")),
                col("prompt"),
            ],
        );
        Ok(rows.with_column("key", key)?)
    }

    /// The seeds with which this stage and another one ask the same in the same way, so that the answers of both to one prompt
    /// have one key, if their models are one.
    pub fn common_seeds(&self, other: &Self) -> Option<RangeInclusive<u64>> {
        let asks_alike =
            self.recipe == other.recipe && self.retries == other.retries && self.draws() == other.draws();
        let last = |stage: &Self| stage.seed.saturating_add(u64::from(stage.samples.saturating_sub(1)));
        let seeds = self.seed.max(other.seed)..=last(self).min(last(other));
        (asks_alike && !seeds.is_empty()).then_some(seeds)
    }

    /// How tokens are chosen, as part of the name of a call.
    fn draws(&self) -> String {
        let (k, p, least, penalty) = (self.top_k, self.top_p, self.min_p, self.repetition_penalty);
        format!("temperature {} top_k {k} top_p {p} min_p {least} penalty {penalty}", self.temperature)
    }

    /// Which rows the recipe can be asked over: enough events, or a context where one is needed and a text that fits.
    fn wanted(&self, recipe: &Recipe) -> Expr {
        let kept = is_kept();
        match self.over {
            Over::Authors => kept.and(col("n_events").gt_eq(lit(i64::from(recipe.head.min_events)))),
            Over::Events => {
                let most = i64::try_from(recipe.head.max_own_chars.unwrap_or(usize::MAX)).unwrap_or(i64::MAX);
                let least = i64::try_from(recipe.head.min_own_chars).unwrap_or(i64::MAX);
                let mut fits = kept.and(character_length(written()).between(lit(least), lit(most)));
                if recipe.head.needs_context {
                    fits = fits.and(array_length(col("context")).gt(lit(0_u64)));
                }
                if recipe.head.needs_text {
                    fits = fits.and(btrim(vec![col("text"), lit(BLANKS)]).not_eq(lit("")));
                }
                fits
            }
        }
    }

    /// The columns that a template may see, as one struct, and its type.
    fn visible(&self, rows: &DataFrame) -> Result<(Expr, DataType), StageError> {
        match self.over {
            Over::Authors => row_struct(rows, &["platform", "events"]),
            Over::Events => event_struct(rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::recipe::RecipeLibrary;
    use super::super::view::tests::event;
    use super::*;

    #[test]
    fn seeds_are_shared_where_the_same_is_asked_alike() {
        let stage = |seed: u64, samples: u32, temperature: f32, retries: u32| -> Synthesize {
            serde_json::from_value(json!({
                "recipe": "inner_thought", "over": "events", "model": "m", "seed": seed, "samples": samples,
                "temperature": temperature, "retries": retries,
            }))
            .unwrap()
        };
        let first = stage(2, 3, 0.5, 1);
        for (other, shared) in [
            (stage(2, 3, 0.5, 1), Some(2..=4)),
            (stage(4, 2, 0.5, 1), Some(4..=4)),
            (stage(0, 9, 0.5, 1), Some(2..=4)),
            (stage(5, 2, 0.5, 1), None),
            (stage(0, 2, 0.5, 1), None),
            (stage(2, 3, 0.25, 1), None),
            (stage(2, 3, 0.5, 0), None),
            (Synthesize { recipe: "latent_states".to_owned(), ..first.clone() }, None),
            (Synthesize { per_author: Some(1), limit: Some(1), ..first.clone() }, Some(2..=4)),
        ] {
            assert_eq!(first.common_seeds(&other), shared, "{other:?}");
            assert_eq!(other.common_seeds(&first), shared, "{other:?}");
        }
    }

    #[test]
    fn a_text_of_any_length_is_tagged_by_its_beginning() {
        let library = RecipeLibrary::default();
        for name in ["quality_harmless", "unsafe_social"] {
            let recipe = library.recipe(name).unwrap();
            let longest = recipe.head.max_own_chars.unwrap();
            assert!(longest > 1 << 26, "{name}: more than the readers' longest line may have");
            let template = Template::new(name, &recipe.template).unwrap();
            for (chars, shown, mark) in [(6000, 6000, ""), (6001, 6000, " …"), (90_000, 6000, " …")] {
                let view = event(&"é".repeat(chars), None).view(recipe.head.max_context_chars);
                let prompt = template.render(&view).unwrap();
                assert_eq!(prompt.matches('é').count(), shown, "{name}: {chars}");
                assert!(prompt.contains(&format!(":\n{}{mark}\n\n", "é".repeat(shown))), "{name}: {chars}");
            }
        }
    }
}
