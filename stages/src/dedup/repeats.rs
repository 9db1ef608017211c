//! Which rows leave for which, from their signatures.
//!
//! ```text
//! signatures ─ digests that several rows have ─ first of each ─────────────┐
//!            └ bands ─ texts that share one ─ one pass over these: Texts ─┴ leaving rows ─ join by place ─ rows
//! ```
//!
//! Held in memory are the bands of all texts (52 bytes for each with 12 bands), then those texts that share one with
//! another; what is decided of each text that several rows have or that leaves, other versions of records, and the list of the
//! rows that leave, which is joined to all rows. The first two are held twice for a moment, when what each partition has
//! collected is brought together; the decisions until the list is whole. Everything else spills.

use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::{count, min};
use datafusion::prelude::{DataFrame, Expr, cast, coalesce, col, get_field, lit, when};
use genome_schemas::key_type;

use super::Relation;
use super::known::NUMBER;
use super::signatures::place;
use crate::StageError;
use crate::functions::{
    key_number, known_number, known_precedence, near_repeats, precedence_key, relation, sharing_texts,
    short_number,
};
use crate::mark::{column, null_of};

/// Key of the row that stays for one that leaves.
pub(super) const SURVIVOR: &str = "__survivor";
/// How alike the two are.
pub(super) const SIMILARITY: &str = "__similarity";
/// What the one is to the other: [`SAME_RECORD`], or the name of a [`Relation`](super::Relation); null for rows that stay.
pub(super) const RELATION: &str = "__relation";
/// Whether the texts are only nearly the same.
pub(super) const IS_NEAR: &str = "__is_near";

/// Place in the config of the index or list whose text it is; null for those of the run.
pub(super) const KNOWN: &str = NUMBER;

/// Another version of the same record.
pub(super) const SAME_RECORD: &str = "same_record";

/// Place of a row that leaves.
const LEAVING: &str = "__leaving";
/// Digest of what decides about a row: its own, or that of the current version of its record.
const OF: &str = "__of";
/// The precedence that goes with the digest.
const OWN: &str = "__own";
/// The list of hashes that has the text that goes with the digest.
const LISTED: &str = "__listed";
/// Of another version of a record, the key of the current one.
const CURRENT: &str = "__current";
/// Whether the row has the text that goes with the digest.
const IS_SAME: &str = "__is_same";

/// A digest about which there is a decision.
const DIGEST: &str = "__digest";
/// Precedence of the row that stays of those that have it, or for them.
const STAYS: &str = "__stays";
/// Texts of that one's author that leave for it because they are nearly the same.
const OWN_REPEATS: &str = "__own_repeats";

/// `rows` with the columns above.
pub(super) fn joined(
    rows: DataFrame,
    signatures: DataFrame,
    known: Option<DataFrame>,
    threshold: Option<f64>,
) -> Result<DataFrame, StageError> {
    const PLACE: &str = "__place";
    let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
    let leaving = leaving(signatures, known, threshold)?;
    let mut placed = plain.clone();
    placed.push(place().alias(PLACE));
    let rows = rows.select(placed)?;
    let joined = leaving.join(rows, JoinType::Right, &[LEAVING], &[PLACE], None)?;
    let mut columns = plain;
    columns.extend([SURVIVOR, SIMILARITY, RELATION, IS_NEAR, KNOWN].map(col));
    Ok(joined.select(columns)?)
}

/// The rows that leave: for another of the same text or of one that is nearly the same, for a list that has the text, or
/// for the current version of their record. Where that one leaves itself, they leave for the row for which it does.
fn leaving(
    signatures: DataFrame,
    known: Option<DataFrame>,
    threshold: Option<f64>,
) -> Result<DataFrame, StageError> {
    let is_compared = col("current").is_null().and(col("digest").is_not_null()).and(col("listed").is_null());
    let decisions = decisions(signatures.clone().filter(is_compared)?, known, threshold)?;
    let rows = decisions.join(decided(signatures)?, JoinType::Right, &[DIGEST], &[OF], None)?;
    let is_repeat = col(IS_NEAR).or(col(STAYS).not_eq(col(OWN)));
    let leaves = is_repeat.clone().or(col(LISTED).is_not_null()).or(col(CURRENT).is_not_null());
    let survivor =
        when(is_repeat, precedence_key(col(STAYS))).when(col(LISTED).is_null(), col(CURRENT)).end()?;
    let name = |rule: &str| cast(lit(rule), DataType::Utf8View);
    let relation = when(col(CURRENT).is_not_null(), name(SAME_RECORD))
        .when(col(LISTED).is_not_null(), name(Relation::Known.name()))
        .otherwise(relation(col(STAYS), col(OWN), col(OWN_REPEATS)))?;
    Ok(rows.filter(leaves)?.select(vec![
        col(LEAVING),
        survivor.alias(SURVIVOR),
        when(col(IS_SAME), coalesce(vec![col(SIMILARITY), lit(1.0)])).end()?.alias(SIMILARITY),
        relation.alias(RELATION),
        col(IS_NEAR),
        coalesce(vec![col(LISTED), known_number(col(STAYS))]).alias(KNOWN),
    ])?)
}

/// Every row with what decides about it, in the columns [`LEAVING`] to [`IS_SAME`].
fn decided(signatures: DataFrame) -> Result<DataFrame, StageError> {
    let current = signatures.clone().filter(col("current").is_null())?;
    let decides = || vec![col("digest").alias(OF), col("precedence").alias(OWN), col("listed").alias(LISTED)];
    let mut own = decides();
    own.extend([col("row").alias(LEAVING), null_of(&key_type()).alias(CURRENT), lit(true).alias(IS_SAME)]);
    let own = current.clone().select(own)?;
    let others = signatures.filter(col("current").is_not_null())?.select(vec![
        col("row").alias(LEAVING),
        col("current").alias(CURRENT),
        // A version has the key of another only if its text is the same.
        col("key").eq(col("current")).alias(IS_SAME),
    ])?;
    // One row of a key is current: whatever has the key is a version of one record.
    let mut of_current = decides();
    of_current.push(col("key").alias("__current_key"));
    let others =
        others.join(current.select(of_current)?, JoinType::Inner, &[CURRENT], &["__current_key"], None)?;
    Ok(own.union(others.select([OF, OWN, LISTED, LEAVING, CURRENT, IS_SAME].map(col).to_vec())?)?)
}

/// The digests whose rows leave but for one, or all leave: [`STAYS`], [`SIMILARITY`], [`OWN_REPEATS`], [`IS_NEAR`].
fn decisions(
    compared: DataFrame,
    known: Option<DataFrame>,
    threshold: Option<f64>,
) -> Result<DataFrame, StageError> {
    let same = same_digest(compared.clone(), known.clone())?;
    let Some(threshold) = threshold else {
        return Ok(same.select(vec![
            col(DIGEST),
            col(STAYS),
            lit(1.0).alias(SIMILARITY),
            null_of(&DataType::UInt32).alias(OWN_REPEATS),
            lit(false).alias(IS_NEAR),
        ])?);
    };
    let part = |name: &str| get_field(col(FOUND), name);
    let near = near(compared, known, threshold)?.select(vec![
        part("digest").alias("__near_digest"),
        part("survivor").alias("__near_stays"),
        part("similarity").alias("__near_similarity"),
        part("own_repeats").alias(OWN_REPEATS),
    ])?;
    // A text that leaves takes its copies along, to the one for which it leaves. One join, since a plan that is used
    // twice is run twice.
    let either = |near: &str, same: Expr| coalesce(vec![col(near), same]);
    Ok(near.join(same, JoinType::Full, &["__near_digest"], &[DIGEST], None)?.select(vec![
        either("__near_digest", col(DIGEST)).alias(DIGEST),
        either("__near_stays", cast(col(STAYS), DataType::BinaryView)).alias(STAYS),
        either("__near_similarity", lit(1.0)).alias(SIMILARITY),
        col(OWN_REPEATS),
        col("__near_digest").is_not_null().alias(IS_NEAR),
    ])?)
}

/// The digests that several rows have, or a row and a known text, with the precedence of the first of each.
fn same_digest(compared: DataFrame, known: Option<DataFrame>) -> Result<DataFrame, StageError> {
    const COPIES: &str = "__copies";
    const KNOWN_COPIES: &str = "__known_copies";
    let number = key_number(col("digest"));
    let mut counted = vec![count(lit(1_i64)).alias(COPIES)];
    let mut is_repeated = col(COPIES).gt(lit(1_i64));
    let (mut texts, mut precedence) = (compared, col("precedence"));
    if let Some(known) = known {
        // Counted with the others and not joined to them: a count spills, a list of the digests of all rows would not.
        texts = texts_of(texts, Some(known), &["key", "digest"])?;
        counted.push(count(col(NUMBER)).alias(KNOWN_COPIES));
        // What indexes alone have concerns nobody.
        is_repeated = is_repeated.and(col(COPIES).gt(col(KNOWN_COPIES)));
        precedence = known_precedence(precedence, col("key"), col(NUMBER)).alias("precedence");
    }
    let repeated = texts
        .clone()
        .aggregate(vec![number.clone().alias("__number")], counted)?
        .filter(is_repeated)?
        .select(vec![col("__number")])?;
    let copies = texts.with_column("__of", number)?;
    let copies = repeated.join(copies, JoinType::Inner, &["__number"], &["__of"], None)?;
    let copies = copies.select(vec![col("digest"), precedence])?;
    Ok(copies.aggregate(vec![col("digest").alias(DIGEST)], vec![min(col("precedence")).alias(STAYS)])?)
}

/// Columns of the texts of the run, and of known ones if there are any; with the precedence of the former and the [`NUMBER`]
/// of the latter, which the others have not.
fn texts_of(
    compared: DataFrame,
    known: Option<DataFrame>,
    columns: &[&str],
) -> Result<DataFrame, StageError> {
    let part = |of: DataFrame, precedence: Expr, number: Expr| {
        let mut all: Vec<Expr> = columns.iter().map(|name| col(*name)).collect();
        all.push(cast(precedence, DataType::BinaryView).alias("precedence"));
        all.push(number.alias(NUMBER));
        of.select(all)
    };
    let texts = part(compared, col("precedence"), null_of(&DataType::UInt16))?;
    Ok(match known {
        Some(known) => texts.union(part(known, null_of(&DataType::BinaryView), col(NUMBER))?)?,
        None => texts,
    })
}

const FOUND: &str = "__near";

/// One row for each text that leaves for one that is nearly the same: see [`near_repeats`].
fn near(compared: DataFrame, known: Option<DataFrame>, threshold: f64) -> Result<DataFrame, StageError> {
    const TEXT: &str = "__text";
    const SHARING: &str = "__sharing";
    let text = short_number(col("digest"));
    let has_bands = || col("bands").is_not_null();
    let mut precedence = col("precedence");
    if known.is_some() {
        // Of the few that are left, and not of all.
        precedence = known_precedence(precedence, col("key"), col(NUMBER));
    }
    let known = known.map(|known| known.filter(has_bands())).transpose()?;
    let texts = texts_of(compared.filter(has_bands())?, known, &["key", "digest", "bands", "shingles"])?;
    let sharing = texts
        .clone()
        .aggregate(
            Vec::new(),
            vec![sharing_texts(text.clone(), col("bands"), col(NUMBER).is_not_null()).alias(SHARING)],
        )?
        .unnest_columns(&[SHARING])?;
    let texts = texts.with_column(TEXT, text)?;
    let texts = sharing.join(texts, JoinType::RightSemi, &[SHARING], &[TEXT], None)?;
    let found = near_repeats(precedence, col("digest"), col("bands"), col("shingles"), threshold);
    let found = texts.aggregate(Vec::new(), vec![found.alias(FOUND)])?;
    Ok(found.unnest_columns(&[FOUND])?.filter(col(FOUND).is_not_null())?)
}
