//! Texts that are known from elsewhere: published indexes of other runs, and lists of hashes.

use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::prelude::{DataFrame, Expr, coalesce, col, lit};
use genome_schemas::text_index;
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::functions::text_hash;
use crate::mark::{case_when, column, null_of};
use crate::stage::StageContext;

/// Texts that count as being there already: what repeats one of them leaves (rule `known`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// A folder that another run published (`dedup.publish`).
    Index(PathBuf),
    /// A file of SHA-256 digests of texts, 64 hexadecimal digits a line. The digest is that of the form that `exact` names.
    Sha256(PathBuf),
    /// The same of BLAKE3 digests.
    Blake3(PathBuf),
}

/// A function that turns a text into a digest of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextHash {
    /// SHA-256.
    Sha256,
    /// BLAKE3.
    Blake3,
}

impl Known {
    /// Where it lies, as the config has it.
    pub fn path(&self) -> &Path {
        match self {
            Self::Index(path) | Self::Sha256(path) | Self::Blake3(path) => path,
        }
    }

    /// What it is called in the ledger.
    pub fn name(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    /// The table of its rows in a [`StageContext`]: those of [`text_index()`], or of [`hash_list`].
    pub fn table_name(&self) -> String {
        format!("known:{}", self.path().display())
    }

    /// The digests of a list; none for an index.
    pub const fn hash(&self) -> Option<TextHash> {
        match self {
            Self::Index(_) => None,
            Self::Sha256(_) => Some(TextHash::Sha256),
            Self::Blake3(_) => Some(TextHash::Blake3),
        }
    }
}

/// The column of a list of hashes, `hash`: 32 bytes each.
pub fn hash_list() -> SchemaRef {
    Schema::new(vec![Field::new("hash", DataType::FixedSizeBinary(32), false)]).into()
}

/// Place in the config of what is known.
pub(super) const NUMBER: &str = "__known";

fn read(known: &Known, cx: &StageContext) -> Result<DataFrame, StageError> {
    let found = cx.tables.get(&known.table_name()).cloned();
    found.ok_or_else(|| StageError::Config(format!("`{}` of dedup.known was not read", known.name())))
}

fn both(one: Option<DataFrame>, other: DataFrame) -> Result<DataFrame, StageError> {
    Ok(match one {
        Some(one) => one.union(other)?,
        None => other,
    })
}

/// The texts of all indexes of a config: columns `key`, `digest`, `bands`, `shingles`, and [`NUMBER`], that of the index.
pub(super) fn indexed(known: &[Known], cx: &StageContext) -> Result<Option<DataFrame>, StageError> {
    let mut texts = None;
    for (number, known) in (0_u16..).zip(known).filter(|(_, known)| known.hash().is_none()) {
        let mut columns = index_columns();
        columns.push(lit(number).alias(NUMBER));
        texts = Some(both(texts, read(known, cx)?.select(columns)?)?);
    }
    Ok(texts)
}

/// `rows` with a column `listed`: the number of the list that has a text by its hash, the first of several; null for none. A
/// text has its hash in column [`hash_column`].
pub(super) fn looked_up(
    mut rows: DataFrame,
    lists: &[(u16, Known)],
    cx: &StageContext,
) -> Result<DataFrame, StageError> {
    const LISTED: [&str; 2] = ["__listed_sha256", "__listed_blake3"];
    const OF: &str = "__of_list";
    let plain: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut columns: Vec<Expr> = plain.iter().map(column).collect();
    let mut found = Vec::new();
    for (hash, listed) in HASHES.into_iter().zip(LISTED) {
        let mut all = None;
        for (number, known) in lists.iter().filter(|(_, known)| known.hash() == Some(hash)) {
            let list = read(known, cx)?.select(vec![col("hash").alias(OF), lit(*number).alias(listed)])?;
            all = Some(both(all, list)?);
        }
        if let Some(all) = all {
            // A digest may stand on several lines.
            let once = all.aggregate(vec![col(OF)], vec![min(col(listed)).alias(listed)])?;
            rows = once.join(rows, JoinType::Right, &[OF], &[hash_column(hash)], None)?;
            columns.push(col(listed));
            rows = rows.select(columns.clone())?;
            found.push(col(listed));
        }
    }
    found.push(null_of(&DataType::UInt16));
    let mut columns: Vec<Expr> = plain.iter().map(column).collect();
    columns.push(coalesce(found).alias("listed"));
    Ok(rows.select(columns)?)
}

const HASHES: [TextHash; 2] = [TextHash::Sha256, TextHash::Blake3];

const fn hash_column(hash: TextHash) -> &'static str {
    match hash {
        TextHash::Sha256 => "__sha256",
        TextHash::Blake3 => "__blake3",
    }
}

/// The hashes of texts that lists ask for, each in its column; `form` is what of the texts is compared.
pub(super) fn hashes(lists: &[(u16, Known)], form: &Expr) -> Vec<Expr> {
    let asked = HASHES.into_iter().filter(|hash| lists.iter().any(|(_, known)| known.hash() == Some(*hash)));
    asked.map(|hash| text_hash(form.clone(), hash).alias(hash_column(hash))).collect()
}

/// The name of what is known, by its place in the config; null for null.
pub(super) fn name_of(number: &Expr, known: &[Known]) -> Option<Expr> {
    let names = (0_u16..).zip(known).map(|(at, known)| (number.clone().eq(lit(at)), lit(known.name())));
    let names: Vec<_> = names.collect();
    (!names.is_empty()).then(|| case_when(names, None))
}

/// The columns of an index, of table `signatures`.
pub fn index_columns() -> Vec<Expr> {
    text_index().columns().map(column).collect()
}
