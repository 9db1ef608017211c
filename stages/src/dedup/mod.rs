//! Deduplication: of rows that say the same, one stays.

mod known;
mod near;
mod repeats;
mod signatures;

pub use known::{Known, TextHash, hash_list, index_columns};
pub use near::{Near, NearConfig};
pub(crate) use signatures::precedence_of;
pub use signatures::{Signatures, place};

use std::path::PathBuf;

use datafusion::prelude::{DataFrame, Expr, col, lit};
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::mark::{Mark, column, mark_rows};
use crate::stage::{Asset, Card, Outside, Scope, Stage, StageContext};
use repeats::{IS_NEAR, KNOWN, RELATION, SAME_RECORD, SIMILARITY, SURVIVOR};

/// Drops repeats: other versions of a record of the platform (rule `same_record`), other records of the same text, and
/// texts that are nearly the same as one that stays.
///
/// The earliest stays; of equally old ones that of the preferred source, then the one with the smallest key. Which ones
/// stay does not depend on the order of files or on threads, and later rows change nothing for earlier ones. What repeats a
/// known text leaves too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// What counts as the same text.
    #[serde(default)]
    pub exact: Exact,
    /// Which texts are nearly the same; `"off"` for none.
    #[serde(default)]
    pub near: NearConfig,
    /// Among which events repeats are looked for.
    #[serde(default)]
    pub across: Across,
    /// Names of sources, the most preferred one first; those that are not named come last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<String>,
    /// Texts from elsewhere that count as being there already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Known>,
    /// Folder in which the texts that stay are published, for other runs to know. It decides no result.
    #[serde(default, skip_serializing)]
    pub publish: Option<PathBuf>,
}

/// What counts as the same text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exact {
    /// Alike after case, Unicode, white space and forms of a link are folded.
    #[default]
    Normalized,
    /// As `normalized`, and any link is like any other, any mention of a person too.
    WithoutLinks,
    /// Alike byte for byte.
    Raw,
}

/// Among which events a repeat is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Across {
    /// One author's own.
    Author,
    /// One platform's.
    Platform,
    /// All.
    #[default]
    All,
}

/// What a repeat is to the text that stays: the rule by which the ledger knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// By the same author.
    OwnRepost,
    /// By somebody else.
    CrossUserCopy,
    /// A form filled in again: both authors are automation by name, or an author has [`TEMPLATE_REPEATS`] nearly the same
    /// texts.
    BotTemplate,
    /// From elsewhere, see [`Known`].
    Known,
}

/// From how many nearly the same texts of one author on they are a template.
pub const TEMPLATE_REPEATS: u32 = 10;

impl Relation {
    const ALL: [Self; 4] = [Self::Known, Self::OwnRepost, Self::CrossUserCopy, Self::BotTemplate];

    /// The relation of two texts: whether they have one author, whether both authors are automation by name, and how many
    /// texts of the one that stays' author leave for it because they are nearly the same.
    pub(crate) const fn of(is_own: bool, is_automation: bool, own_repeats: u32) -> Self {
        match (is_own, is_automation) {
            (_, true) => Self::BotTemplate,
            (true, false) if own_repeats >= TEMPLATE_REPEATS => Self::BotTemplate,
            (true, false) => Self::OwnRepost,
            (false, false) => Self::CrossUserCopy,
        }
    }

    /// The name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnRepost => "own_repost",
            Self::CrossUserCopy => "cross_user_copy",
            Self::BotTemplate => "bot_template",
            Self::Known => "known",
        }
    }
}

impl Stage for Dedup {
    fn card(&self) -> Card {
        Card {
            name: "dedup",
            version: 5,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::ExactDuplicate, Outcome::NearDuplicate],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        self.near.problems().into_iter().map(|problem| format!("dedup.near.{problem}")).collect()
    }

    fn remarks(&self) -> Vec<String> {
        self.near.remarks()
    }

    fn index(&self) -> Option<Signatures> {
        Some(self.signatures())
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        self.known.iter().map(|known| cx.outside_asset(known.path())).collect()
    }

    fn outside(&self) -> Vec<Outside<'_>> {
        self.known.iter().map(Outside::Known).collect()
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let signatures = match cx.tables.get(genome_schemas::signatures().name) {
            Some(stored) => stored.clone(),
            None => self.signatures().plan(cx, rows.clone())?,
        };
        let known = known::indexed(&self.known, cx)?;
        let rows = repeats::joined(rows, signatures, known, self.near.threshold())?;
        let mut marks = vec![same_record()];
        marks.extend(Relation::ALL.map(exact));
        let threshold = self.near.threshold().unwrap_or(1.0);
        marks.extend(Relation::ALL.map(|relation| nearly(relation, threshold)));
        if let Some(name) = known::name_of(&col(KNOWN), &self.known) {
            marks = marks.into_iter().map(|mark| mark.matching(name.clone())).collect();
        }
        Ok(mark_rows(rows, "dedup", &marks)?.select(plain)?)
    }
}

impl Dedup {
    /// What decides which texts can be compared with those of another run, as JSON.
    ///
    /// # Errors
    /// Only if it cannot be written as JSON, which would be a bug here.
    pub fn comparable(&self) -> Result<String, StageError> {
        let all = Signatures { prefer: Vec::new(), lists: Vec::new(), ..self.signatures() };
        let all = serde_json::json!({"signatures": all.card().version, "of": all});
        serde_json::to_string(&all).map_err(|error| StageError::Config(error.to_string()))
    }

    fn signatures(&self) -> Signatures {
        Signatures {
            exact: self.exact,
            across: self.across,
            near: self.near.signature(),
            prefer: self.prefer.clone(),
            lists: (0..).zip(self.known.clone()).filter(|(_, known)| known.hash().is_some()).collect(),
        }
    }
}

fn same_record() -> Mark {
    mark_of(SAME_RECORD, Outcome::ExactDuplicate, col(RELATION).eq(lit(SAME_RECORD)))
}

fn exact(relation: Relation) -> Mark {
    let when = col(RELATION).eq(lit(relation.name())).and(col(IS_NEAR).is_not_true());
    mark_of(relation.name(), Outcome::ExactDuplicate, when).measuring(col(SIMILARITY), 1.0)
}

fn nearly(relation: Relation, threshold: f64) -> Mark {
    let when = col(RELATION).eq(lit(relation.name())).and(col(IS_NEAR));
    mark_of(relation.name(), Outcome::NearDuplicate, when).measuring(col(SIMILARITY), threshold)
}

fn mark_of(rule: &'static str, outcome: Outcome, when: Expr) -> Mark {
    Mark::new(rule, outcome, when).duplicate_of(col(SURVIVOR)).similar(col(SIMILARITY))
}
