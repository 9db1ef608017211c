//! Answers that say of one person what was said of another.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::functions_window::expr_fn::first_value;
use datafusion::logical_expr::ExprFunctionExt as _;
use datafusion::prelude::{DataFrame, Expr, cast, col, get_field, lit};
use genome_kernels::dedup::shingle::Shingle;
use genome_kernels::llm::AnswerForm;
use genome_schemas::{Outcome, completions};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::dedup::{Exact, Near};
use crate::functions::{
    Standing, array_function, bands, near_repeats, precedence, precedence_key, shingles, strings, text_digest,
};
use crate::mark::{Mark, column, is_kept, mark_rows, rank_kept};
use crate::stage::{Asset, Card, Scope, Stage, StageContext};

/// Fewest words of free text that are compared: short labels are the same for many people, and rightly so.
const FEWEST_WORDS: usize = 12;

/// Drops the answers of a recipe whose free text is nearly that of an answer about somebody, or something, else.
///
/// A template that a model fills in for everybody says nothing about anybody. Of those alike the one with the smallest key
/// stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRepeats {
    /// The recipe whose answers are compared.
    pub recipe: String,
    /// Least Jaccard similarity of their sets of three words in a row.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
}

const fn default_threshold() -> f64 {
    0.8
}

impl Stage for AnswerRepeats {
    fn card(&self) -> Card {
        Card {
            name: "answer_repeats",
            version: 2,
            scope: Scope::Corpus,
            at_rest: true,
            input: completions,
            output: completions,
            reads: &[],
            outcomes: &[Outcome::ExactDuplicate, Outcome::NearDuplicate],
        }
    }

    fn detail(&self) -> String {
        self.recipe.clone()
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        Ok(vec![cx.recipe_asset(&self.recipe)?])
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        let mut problems: Vec<String> =
            cx.recipes.recipe(&self.recipe).err().map(|e| e.to_string()).into_iter().collect();
        if !(self.threshold > 0.0 && self.threshold <= 1.0) {
            problems.push(format!("threshold must be above 0 and at most 1, not {}", self.threshold));
        }
        problems
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const TEXT: &str = "__text";
        const DIGEST: &str = "__digest";
        const PLACE: &str = "__place";
        const RANK: &str = "__rank";
        const FOUND: &str = "__found";
        const WORDS: NonZeroUsize = NonZeroUsize::new(3).unwrap();
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let form = cx.recipes.recipe(&self.recipe)?.head.form.clone();
        let near = Near { threshold: self.threshold, shingle: Shingle::Words(WORDS), ..Near::default() };
        // Only answers to the recipe have a text here, so all others have no digest and are never compared.
        let text = free_text(&self.recipe, form, col("recipe"), col("fields"));
        let rows = rows.with_column(TEXT, text)?;
        let rows = rows.with_column(DIGEST, text_digest(col(TEXT), lit(""), Exact::Normalized))?;
        let order = precedence(Standing {
            at: lit(0_i64),
            preference: lit(0_u16),
            key: col("key"),
            row: col("key"),
            author: cast(col("author_id"), DataType::Utf8View),
            automation: lit(false),
        });
        let texts = rows.clone().filter(is_kept().and(col(DIGEST).is_not_null()))?.select(vec![
            order.alias("__precedence"),
            col(DIGEST),
            shingles(Exact::Normalized.forms(col(TEXT)), near.shingle).alias("__shingles"),
        ])?;
        let of_bands = bands(cast(col("__shingles"), DataType::BinaryView), lit(""), near.bands());
        let binary = |name: &str| cast(col(name), DataType::BinaryView);
        let texts = texts.with_column("__bands", of_bands)?;
        let found = near_repeats(
            binary("__precedence"),
            col(DIGEST),
            binary("__bands"),
            binary("__shingles"),
            self.threshold,
        );
        let found = texts
            .aggregate(vec![], vec![found.alias(FOUND)])?
            .unnest_columns(&[FOUND])?
            .filter(col(FOUND).is_not_null())?;
        let part = |name: &str| get_field(col(FOUND), name);
        let leaving = found.select(vec![
            part("digest").alias(PLACE),
            precedence_key(cast(part("survivor"), DataType::BinaryView)).alias("__survivor"),
            part("similarity").alias("__similarity"),
        ])?;
        let rank = rank_kept(vec![col(DIGEST)], vec![col("key").sort(true, false)])?;
        let first = first_value(col("key"))
            .partition_by(vec![col(DIGEST), is_kept()])
            .order_by(vec![col("key").sort(true, false)])
            .build()?;
        let rows = rows.window(vec![rank.alias(RANK), first.alias("__first")])?;
        let joined = leaving.join(rows, JoinType::Right, &[PLACE], &[DIGEST], None)?;
        let is_same = col(DIGEST).is_not_null().and(col(RANK).gt(lit(1_u64)));
        let marks = [
            Mark::new("near", Outcome::NearDuplicate, col("__survivor").is_not_null())
                .measuring(col("__similarity"), self.threshold)
                .duplicate_of(col("__survivor"))
                .similar(col("__similarity")),
            Mark::new("same", Outcome::ExactDuplicate, is_same)
                .duplicate_of(col("__first"))
                .similar(lit(1.0)),
        ];
        Ok(mark_rows(joined, "answer_repeats", &marks)?.select(plain)?)
    }
}

/// The free text of answers to one recipe, null for short ones and for other recipes.
fn free_text(recipe: &str, form: AnswerForm, of: Expr, fields: Expr) -> Expr {
    let wanted = recipe.to_owned();
    let name = format!("free_text[{recipe}]");
    let function = array_function(&name, vec![DataType::Utf8View; 2], DataType::Utf8View, move |args| {
        let (recipes, fields) = (strings(args, 0)?, strings(args, 1)?);
        let texts = recipes.iter().zip(fields).map(|(recipe, fields)| {
            let fields = fields.filter(|_| recipe == Some(wanted.as_str()))?;
            let value: serde_json::Value = serde_json::from_str(fields).ok()?;
            let text = form.texts(&value).join("\n");
            (text.split_whitespace().count() >= FEWEST_WORDS).then_some(text)
        });
        let texts = texts.collect::<StringArray>();
        Ok(arrow::compute::cast(&(Arc::new(texts) as ArrayRef), &DataType::Utf8View)?)
    });
    function.call(vec![cast(of, DataType::Utf8View), cast(fields, DataType::Utf8View)])
}
