//! Which events leave because another says the same.

use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::prelude::{DataFrame, Expr, cast, col, get_field, lit};
use genome_schemas::{Outcome, embeddings, events};
use serde::{Deserialize, Serialize};

use super::embed::call_key;
use crate::StageError;
use crate::dedup::{Across, place, precedence_of};
use crate::filter::written;
use crate::functions::{precedence_key, semantic_repeats};
use crate::mark::{Mark, column, is_kept, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops texts that say the same as one that stays, in other words: the cosine between the vectors of the two is at least
/// the threshold. The earliest stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SemanticDedup {
    /// Name of the encoder; a stage `embed` before this one has asked it.
    pub model: String,
    /// The least cosine, above 0 and at most 1. `PersonaHub` takes 0.9 (papers' section 5).
    #[serde(default = "nine_tenths")]
    pub threshold: f64,
    /// Among which events.
    #[serde(default)]
    pub across: Across,
}

const fn nine_tenths() -> f64 {
    0.9
}

impl Stage for SemanticDedup {
    fn card(&self) -> Card {
        Card {
            name: "semantic_dedup",
            version: 1,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: events,
            reads: &[embeddings],
            outcomes: &[Outcome::SemanticDuplicate],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let is_right = self.threshold > 0.0 && self.threshold <= 1.0;
        let problem = || format!("threshold must be above 0 and at most 1, not {}", self.threshold);
        (!is_right).then(problem).into_iter().collect()
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const PLACE: &str = "__place";
        const SCOPE: &str = "__scope";
        const FOUND: &str = "__found";
        const LEAVING: &str = "__leaving";
        const SURVIVOR: &str = "__survivor";
        const COSINE: &str = "__cosine";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let texts = rows.clone().filter(is_kept())?.with_column("row", place())?.select(vec![
            col("row").alias(PLACE),
            call_key(cx.model_digest(&self.model)?, col("key"), written()).alias("__of"),
            self.across.scope().alias(SCOPE),
            precedence_of(&[]).alias("__precedence"),
        ])?;
        let vectors = cx.table(&embeddings())?.filter(col("model").eq(lit(self.model.as_str())))?;
        let vectors = vectors.select(vec![col("key").alias("__call"), col("vector")])?;
        let texts = texts.join(vectors, JoinType::Inner, &["__of"], &["__call"], None)?;
        let texts = texts.filter(col(SCOPE).is_not_null())?;
        let found = semantic_repeats(col("__precedence"), col(PLACE), col("vector"), self.threshold);
        let found = texts
            .aggregate(vec![col(SCOPE)], vec![found.alias(FOUND)])?
            .select(vec![col(FOUND)])?
            .unnest_columns(&[FOUND])?
            .filter(col(FOUND).is_not_null())?;
        let part = |name: &str| get_field(col(FOUND), name);
        let leaving = found.select(vec![
            part("text").alias(LEAVING),
            precedence_key(cast(part("survivor"), DataType::BinaryView)).alias(SURVIVOR),
            part("similarity").alias(COSINE),
        ])?;
        let mut placed = plain.clone();
        placed.push(place().alias("__row"));
        let joined = leaving.join(rows.select(placed)?, JoinType::Right, &[LEAVING], &["__row"], None)?;
        let mark = Mark::new("same_meaning", Outcome::SemanticDuplicate, col(SURVIVOR).is_not_null())
            .measuring(col(COSINE), self.threshold)
            .duplicate_of(col(SURVIVOR))
            .similar(col(COSINE));
        Ok(mark_rows(joined, "semantic_dedup", &[mark])?.select(plain)?)
    }
}
