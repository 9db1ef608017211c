//! Signatures: what deduplication looks at, made of each event once and stored.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, ScalarValue};
use datafusion::functions_aggregate::expr_fn::{count, min};
use datafusion::prelude::{DataFrame, Expr, cast, coalesce, col, lit, when};
use genome_kernels::dedup::bands::BandPlan;
use genome_kernels::dedup::shingle::Shingle;
use genome_schemas::{events, signatures};
use serde::Serialize;

use super::{Across, Exact, Known, known};
use crate::StageError;
use crate::filter::written;
use crate::functions::{
    Standing, bands, is_removed, key_number, precedence, row_key, scoped_shingles, shingles, text_digest,
    version, version_key,
};
use crate::mark::{case_when, column, fresh_ledger, is_kept, null_of};
use crate::stage::{Asset, Card, Outside, Scope, Stage, StageContext};

/// Makes table `signatures` of events: see [`genome_schemas::signatures`]. It stands in no config: a
/// [`Dedup`](super::Dedup) has it run before itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signatures {
    /// What counts as the same text.
    pub exact: Exact,
    /// Among which events repeats are looked for.
    pub across: Across,
    /// What texts are cut into, and their bands; none if alike texts are not looked for.
    pub near: Option<(Shingle, BandPlan)>,
    /// Sources in order of preference.
    pub prefer: Vec<String>,
    /// Lists of known hashes with their places in the config.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<(u16, Known)>,
}

const RECORD: &str = "__record";
const VERSION: &str = "__version";
/// What of a text is compared.
const FORM: &str = "__form";

impl Stage for Signatures {
    fn card(&self) -> Card {
        Card {
            name: "signatures",
            version: 5,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: signatures,
            reads: &[],
            outcomes: &[],
        }
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        self.lists.iter().map(|(_, list)| cx.outside_asset(list.path())).collect()
    }

    fn outside(&self) -> Vec<Outside<'_>> {
        self.lists.iter().map(|(_, list)| Outside::Known(list)).collect()
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let rows = rows.filter(is_kept())?;
        // Each in a projection of its own: what is used twice is not worked out twice.
        let rows = with_versions(rows)?.with_column(FORM, self.exact.forms(written()))?;
        let mut columns = vec![
            col("key"),
            col("source"),
            col("row"),
            col("current"),
            text_digest(col(FORM), self.across.scope(), Exact::Raw).alias("digest"),
            precedence_of(&self.prefer).alias("precedence"),
            self.shingles()?.alias("shingles"),
            self.across.scope().alias("__scope"),
        ];
        columns.extend(known::hashes(&self.lists, &col(FORM)));
        let rows = known::looked_up(rows.select(columns)?, &self.lists, cx)?;
        let bands = match self.near {
            Some((_, plan)) => bands(col("shingles"), col("__scope"), plan),
            None => null_of(&DataType::Binary),
        };
        let shingles = if self.near.is_none() || self.across == Across::All {
            col("shingles")
        } else {
            // Not before the bands are made: the scope is not to decide which alike texts share one.
            scoped_shingles(col("shingles"), col("__scope")).alias("shingles")
        };
        let mut columns = vec![
            col("key"),
            col("source"),
            col("row"),
            col("current"),
            col("digest"),
            col("precedence"),
            bands.alias("bands"),
            shingles,
            col("listed"),
        ];
        columns.extend(fresh_ledger());
        Ok(rows.select(columns)?)
    }
}

/// The place of the record of an event as a key, of its columns `source`, `source_file` and `source_offset`.
pub fn place() -> Expr {
    row_key(
        "genome place",
        vec![col("source"), col("source_file"), cast(col("source_offset"), DataType::Utf8View)],
    )
}

/// Rows with their place, and with the key of the version that stays where they are another version of the same record.
/// A text that is still there stays before one that was taken away, then the version that was retrieved last.
fn with_versions(rows: DataFrame) -> Result<DataFrame, StageError> {
    let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
    // A record without an id of the platform is only itself, and what is equal to it in everything.
    let id = vec![col("platform"), col("kind"), col("native_id")];
    let record = when(col("native_id").is_null(), col("key")).otherwise(row_key("genome record", id))?;
    let taken_away =
        coalesce(vec![col("author_class").eq(lit("deleted")).or(is_removed(written())), lit(false)]);
    let version = version(taken_away, cast(col("retrieved_at"), DataType::Int64), col("key"), col("row"));
    let mut all = plain;
    all.push(place().alias("row"));
    let rows = rows.select(all)?;
    let repeated = rows
        .clone()
        .aggregate(
            vec![key_number(record.clone()).alias("__number")],
            vec![count(lit(1_i64)).alias("__versions")],
        )?
        .filter(col("__versions").gt(lit(1_i64)))?
        .select(vec![col("__number")])?;
    let versions = rows.clone().with_column("__of", key_number(record.clone()))?;
    let best = repeated
        .join(versions, JoinType::Inner, &["__number"], &["__of"], None)?
        .aggregate(vec![record.clone().alias(RECORD)], vec![min(version.clone()).alias(VERSION)])?;
    let rows = rows.with_column("__record_of", record)?;
    let joined = best.join(rows, JoinType::Right, &[RECORD], &["__record_of"], None)?;
    let is_other = col(VERSION).is_not_null().and(col(VERSION).not_eq(version));
    let current = when(is_other, version_key(col(VERSION))).end()?;
    Ok(joined.with_column("current", current)?)
}

impl Signatures {
    /// The shingles of the form that has the digest: texts of one digest have one set, and share what is decided.
    fn shingles(&self) -> Result<Expr, StageError> {
        Ok(match self.near {
            // What is in no scope is compared with nothing.
            Some((shingle, _)) => {
                when(self.across.scope().is_not_null(), shingles(col(FORM), shingle)).end()?
            }
            None => null_of(&DataType::Binary),
        })
    }
}

impl Across {
    /// What texts must have in common to be compared, null where they cannot.
    pub(crate) fn scope(self) -> Expr {
        match self {
            Self::Author => cast(col("author_id"), DataType::Utf8View),
            Self::Platform => cast(col("platform"), DataType::Utf8View),
            Self::All => lit(ScalarValue::Utf8View(Some(String::new()))),
        }
    }
}

/// The bytes in whose order texts stay, of events with a column `row`, their place; of equally old ones those of the source
/// that is preferred most come first.
pub(crate) fn precedence_of(prefer: &[String]) -> Expr {
    let last = u16::try_from(prefer.len()).unwrap_or(u16::MAX);
    let ranks = (0_u16..).zip(prefer);
    let ranks = ranks.map(|(rank, source)| (col("source").eq(lit(source.as_str())), lit(rank))).collect();
    let preference = if prefer.is_empty() { lit(last) } else { case_when(ranks, Some(lit(last))) };
    let automation = ["bot", "listed_bot"].map(lit).to_vec();
    precedence(Standing {
        at: cast(col("at"), DataType::Int64),
        preference,
        key: col("key"),
        row: col("row"),
        author: col("author_id"),
        automation: col("author_class").in_list(automation, false),
    })
}
