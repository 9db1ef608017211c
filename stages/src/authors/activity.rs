//! Who has enough to say.

use arrow::datatypes::DataType;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{ExprFunctionExt, WindowFunctionDefinition};
use datafusion::prelude::{DataFrame, Expr, cast, col, lit, when};
use genome_schemas::{EventKind, Outcome, Platform, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::mark::{Mark, column, count_where, is_kept, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops the events of authors who have too few of them left, or on too few days, and events that name no author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorActivity {
    /// Fewest kept events of an author (`HumanLLM`: 6 on Reddit and Twitter, 8 on Amazon; papers' section 1.2).
    pub min_events: u32,
    /// Fewest days (UTC) on which an author has kept events. Events without a time are of no day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_active_days: Option<u32>,
    /// Platforms of whose authors this is asked; all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// Kinds of events that are counted; all if none is named. Events of other kinds leave with their author.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<EventKind>,
    /// Whether an author with a kept event without a time leaves (`HumanLLM`, filter of blogs).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_dated: bool,
}

impl Stage for AuthorActivity {
    fn card(&self) -> Card {
        Card {
            name: "author_activity",
            version: 1,
            scope: Scope::Corpus,
            at_rest: false,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::InactiveAuthor, Outcome::Undated],
        }
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const COUNT: &str = "__events";
        const DAYS: &str = "__days";
        const UNDATED: &str = "__undated";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let author = || vec![col("author_id")];
        let counted = || is_kept().and(self.is_counted());
        let is_meant = |condition: Expr| self.is_meant().and(condition);
        let too_few = is_meant(col(COUNT).lt(lit(i64::from(self.min_events))));
        let mut windows = vec![count_where(counted(), author())?.alias(COUNT)];
        let mut marks = vec![
            Mark::new("no_author", Outcome::InactiveAuthor, is_meant(col("author_id").is_null())),
            Mark::new("min_events", Outcome::InactiveAuthor, too_few)
                .measuring(col(COUNT), f64::from(self.min_events)),
        ];
        if self.all_dated {
            windows.push(count_where(is_kept().and(col("at").is_null()), author())?.alias(UNDATED));
            marks.push(
                Mark::new("all_dated", Outcome::Undated, is_meant(col(UNDATED).gt(lit(0_i64))))
                    .measuring(col(UNDATED), 0.0),
            );
        }
        if let Some(fewest) = self.min_active_days {
            windows.push(days(counted())?.alias(DAYS));
            let too_few = is_meant(col(DAYS).lt(lit(i64::from(fewest))));
            let mark = Mark::new("min_active_days", Outcome::InactiveAuthor, too_few);
            marks.push(mark.measuring(col(DAYS), f64::from(fewest)));
        }
        let rows = rows.window(windows)?;
        Ok(mark_rows(rows, "author_activity", &marks)?.select(plain)?)
    }
}

impl AuthorActivity {
    /// Whether an event's author is asked.
    fn is_meant(&self) -> Expr {
        one_of("platform", self.platforms.iter().map(|platform| platform.as_str()))
    }

    /// Whether an event is counted.
    fn is_counted(&self) -> Expr {
        one_of("kind", self.kinds.iter().map(|kind| kind.as_str()))
    }
}

/// Whether a column has one of some names; always, if none is given.
fn one_of<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Expr {
    let names: Vec<Expr> = names.map(lit).collect();
    if names.is_empty() { lit(true) } else { col(name).in_list(names, false) }
}

/// Number of days on which the author of a row has events for which `condition` holds.
fn days(condition: Expr) -> Result<Expr, StageError> {
    let day = when(condition, cast(col("at"), DataType::Date32)).end()?;
    let count = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(count_udaf()), vec![day]);
    Ok(Expr::from(count).partition_by(vec![col("author_id")]).distinct().build()?)
}
