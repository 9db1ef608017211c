//! Texts that are known from elsewhere: published indexes of other runs, and lists of hashes.

use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::JoinType;
use datafusion::prelude::{DataFrame, Expr, col, lit};
use genome_schemas::text_index;
use serde::{Deserialize, Serialize};

use super::Exact;
use crate::StageError;
use crate::filter::written;
use crate::functions::text_hash;
use crate::mark::{case_when, column};
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

/// Known texts as frames.
#[derive(Default)]
pub(super) struct KnownTexts {
    /// Columns `digest`, `precedence`, `bands`, `shingles`, and [`NUMBER`], that of the index.
    pub(super) indexed: Option<DataFrame>,
    /// Column [`LISTED`], the place of a row of the run, and [`NUMBER`], that of the list that has its text.
    pub(super) listed: Option<DataFrame>,
}

/// Place of a row whose text is in a list.
pub(super) const LISTED: &str = "__listed";
/// Place in the config of what is known.
pub(super) const NUMBER: &str = "__known";

impl KnownTexts {
    /// Looks up in the context what a config names, and `rows` in the lists among it.
    pub(super) fn of(
        known: &[Known],
        exact: Exact,
        cx: &StageContext,
        rows: &DataFrame,
    ) -> Result<Self, StageError> {
        let mut texts = Self::default();
        for (number, known) in (0_u16..).zip(known) {
            let found = cx.tables.get(&known.table_name()).cloned().ok_or_else(|| {
                StageError::Config(format!("`{}` of dedup.known was not read", known.name()))
            })?;
            if let Some(hash) = known.hash() {
                let listed = in_list(rows, found, exact, hash)?.with_column(NUMBER, lit(number))?;
                texts.listed = Some(both(texts.listed, listed)?);
            } else {
                let mut columns = ["digest", "precedence", "bands", "shingles"].map(col).to_vec();
                columns.push(lit(number).alias(NUMBER));
                texts.indexed = Some(both(texts.indexed, found.select(columns)?)?);
            }
        }
        if let Some(listed) = texts.listed {
            // A text that several lists have is the first one's.
            let first = datafusion::functions_aggregate::expr_fn::min(col(NUMBER)).alias(NUMBER);
            texts.listed = Some(listed.aggregate(vec![col(LISTED)], vec![first])?);
        }
        Ok(texts)
    }
}

fn both(one: Option<DataFrame>, other: DataFrame) -> Result<DataFrame, StageError> {
    Ok(match one {
        Some(one) => one.union(other)?,
        None => other,
    })
}

/// The places of the rows whose text a list has.
fn in_list(rows: &DataFrame, list: DataFrame, exact: Exact, hash: TextHash) -> Result<DataFrame, StageError> {
    const HASH: &str = "__hash";
    let rows = rows.clone().filter(crate::mark::is_kept())?.select(vec![
        super::signatures::place().alias(LISTED),
        text_hash(written(), exact, hash).alias(HASH),
    ])?;
    let list = list.select(vec![col("hash")])?;
    let found = list.join(rows, JoinType::RightSemi, &["hash"], &[HASH], None)?;
    Ok(found.select(vec![col(LISTED)])?)
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
