//! Passages that stand elsewhere too: in earlier texts, or in what a text answers.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, ScalarValue};
use datafusion::functions_aggregate::expr_fn::{array_agg, count, min};
use datafusion::prelude::{DataFrame, Expr, cast, col, lit, when};
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::dedup::{Across, place, precedence_of};
use crate::functions::{
    Elsewhere, answered_text, passage_keys, passage_places, passage_share, precedence_key, with_redactions,
    without_passages,
};
use crate::mark::{Mark, column, is_kept, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Measures of each text how much of it stands elsewhere, in long passages: lines that an earlier text has too, and lines
/// that quote what the text answers. Drops texts that are mostly such, and takes the passages out of the others; column
/// `redactions` says where they stood.
///
/// A passage is a line; two are the same if their normal forms are, whatever marks of quotation stand before them. The
/// earliest text that has a passage of its own keeps it: none owns what it quotes of what it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SharedPassages {
    /// Words of the shortest passage.
    pub min_words: usize,
    /// Texts that a passage must stand in.
    pub min_texts: u32,
    /// Among which events.
    pub across: Across,
    /// Whether passages of what a text answers count.
    pub quotes: bool,
    /// The largest share of a text's words that may stand in such passages, `0.0..=1.0`; above it, or if nothing would be
    /// left, the text leaves. 1 is for texts that are trimmed.
    pub max_share: f64,
    /// Whether the passages are taken out of texts that stay.
    pub trim: bool,
}

impl Default for SharedPassages {
    fn default() -> Self {
        Self { min_words: 12, min_texts: 2, across: Across::All, quotes: true, max_share: 1.0, trim: true }
    }
}

const PLACE: &str = "__place";
const PASSAGES: &str = "__passages";
const FIRST: &str = "__first";
const SHARE: &str = "__share";
const KEY: &str = "__key";
const PRECEDENCE: &str = "__precedence";

impl Stage for SharedPassages {
    fn card(&self) -> Card {
        Card {
            name: "shared_passages",
            version: 3,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::SharedPassage],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let mut problems = Vec::new();
        if self.min_words == 0 {
            problems.push("min_words must be at least 1".to_owned());
        }
        if self.min_texts < 2 {
            problems.push(format!("min_texts must be at least 2, not {}", self.min_texts));
        }
        if !(0.0..=1.0).contains(&self.max_share) {
            problems.push(format!("max_share must be between 0 and 1, not {}", self.max_share));
        }
        problems
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let names: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
        let repeated = self.repeated(&rows)?;
        let mut placed: Vec<Expr> = names.iter().map(column).collect();
        placed.push(place().alias("__row"));
        let rows = repeated.join(rows.select(placed)?, JoinType::Right, &[PLACE], &["__row"], None)?;
        let mut measured: Vec<Expr> = names.iter().map(column).collect();
        measured.extend([col(PASSAGES), col(FIRST)]);
        let share = when(is_kept(), passage_share(text(), self.elsewhere(), self.min_words)).end()?;
        measured.push(share.alias(SHARE));
        let rows = rows.select(measured)?;
        let nothing_left = col(SHARE).gt_eq(lit(1.0));
        let mark = Mark::new(
            "shared_passage",
            Outcome::SharedPassage,
            col(SHARE).gt(lit(self.max_share)).or(nothing_left),
        )
        .measuring(col(SHARE), self.max_share)
        .duplicate_of(precedence_key(cast(col(FIRST), DataType::BinaryView)));
        let rows = mark_rows(rows, "shared_passages", &[mark])?;
        let schema = rows.schema().clone();
        let is_trimmed = is_kept().and(col(SHARE).gt(lit(0.0)));
        let columns = names.iter().map(|name| match name.as_str() {
            "text" if self.trim => {
                let trimmed = without_passages(text(), self.elsewhere(), self.min_words);
                Ok(when(is_trimmed.clone(), trimmed).otherwise(text())?.alias("text"))
            }
            "redactions" if self.trim => {
                let list_type = schema.field_with_unqualified_name(name)?.data_type();
                let places = passage_places(text(), self.elsewhere(), self.min_words, list_type)?;
                with_redactions(&when(is_trimmed.clone(), places).end()?)
            }
            name => Ok(column(name)),
        });
        Ok(rows.select(columns.collect::<Result<Vec<_>, StageError>>()?)?)
    }
}

impl SharedPassages {
    /// Of each row that has passages of an earlier one: its place, their keys, and the precedence of the first of those rows.
    fn repeated(&self, rows: &DataFrame) -> Result<DataFrame, StageError> {
        const OWNER: &str = "__owner";
        let owned = self
            .passages(rows, self.answered())?
            .aggregate(
                vec![col(KEY).alias("__owned")],
                vec![count(lit(1_i64)).alias("__texts"), min(col(PRECEDENCE)).alias(OWNER)],
            )?
            .filter(col("__texts").gt_eq(lit(i64::from(self.min_texts))))?
            .select(vec![col("__owned"), col(OWNER)])?;
        let passages = self.passages(rows, nothing())?;
        let repeated = owned.join(passages, JoinType::Inner, &["__owned"], &[KEY], None)?;
        // A text that has it as a quotation may come before the owner.
        let repeated = repeated.filter(col(PRECEDENCE).gt(col(OWNER)))?;
        Ok(repeated.aggregate(
            vec![col("__of").alias(PLACE)],
            vec![array_agg(col(KEY)).alias(PASSAGES), min(col(OWNER)).alias(FIRST)],
        )?)
    }

    /// The passages of kept rows that do not stand in `answered`, one a row: place of the text, its precedence, key.
    fn passages(&self, rows: &DataFrame, answered: Expr) -> Result<DataFrame, StageError> {
        let keys = passage_keys(text(), self.across.scope(), answered, self.min_words);
        let rows = rows.clone().filter(is_kept())?.with_column("row", place())?;
        let rows = rows.select(vec![
            col("row").alias("__of"),
            precedence_of(&[]).alias(PRECEDENCE),
            keys.alias(KEY),
        ])?;
        // Not before they are taken apart: a condition on the list would have it worked out twice.
        Ok(rows.unnest_columns(&[KEY])?.filter(col(KEY).is_not_null())?)
    }

    /// What a text answers, where passages of that count.
    fn answered(&self) -> Expr {
        if self.quotes { answered_text(col("context")) } else { nothing() }
    }

    fn elsewhere(&self) -> Elsewhere {
        Elsewhere { scope: self.across.scope(), answered: self.answered(), keys: col(PASSAGES) }
    }
}

fn nothing() -> Expr {
    lit(ScalarValue::Utf8View(None))
}

fn text() -> Expr {
    cast(col("text"), DataType::Utf8View)
}
