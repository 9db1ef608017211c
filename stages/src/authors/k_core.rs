//! Reviews of people with too few items, and of items with too few people.

use datafusion::common::JoinType;
use datafusion::functions_window::expr_fn::{first_value, row_number};
use datafusion::logical_expr::{ExprFunctionExt, SortExpr};
use datafusion::prelude::{DataFrame, Expr, col, get_field, lit};
use genome_kernels::kcore::{CoreLimits, CoreRule};
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::functions::{core_rule_name, pairs_outside_core};
use crate::mark::{Mark, column, is_kept, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Keeps the core of the graph of people and items: of events with an item only those of people with enough items and
/// of items with enough people, counted again until nothing more leaves. The defaults are `HumanLLM`'s for Amazon
/// (papers' section 1.2). Events without an item are not touched.
///
/// The graph is held in memory: about 100 bytes for each person and item, and about 100 for each pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KCore {
    /// Among which events people and items are counted.
    pub within: Within,
    /// Whether of several events of one person with one item only the first stays.
    pub one_per_item: bool,
    /// Share of the items, the most frequent ones, that stay before people are counted; of equally frequent ones
    /// those whose identifiers come first.
    pub top_item_share: f64,
    /// Fewest items of a person.
    pub min_user_events: u32,
    /// Fewest people of an item.
    pub min_item_events: u32,
}

/// Among which events people and items are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// Those of one source: with a source for each category of products, what the paper does.
    #[default]
    Source,
    /// All.
    All,
}

impl Default for KCore {
    fn default() -> Self {
        Self {
            within: Within::default(),
            one_per_item: true,
            top_item_share: 0.5,
            min_user_events: 8,
            min_item_events: 3,
        }
    }
}

impl Stage for KCore {
    fn card(&self) -> Card {
        Card {
            name: "k_core",
            version: 1,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::RepeatedItem, Outcome::RareItem, Outcome::InactiveAuthor],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let share = self.top_item_share;
        let is_wrong = !(0.0..=1.0).contains(&share);
        is_wrong
            .then(|| format!("k_core.top_item_share must be between 0 and 1, not {share}"))
            .into_iter()
            .collect()
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let outside = self.outside(rows.clone())?;
        let rows = self.first_of_each(rows)?.select(plain.clone())?;
        let (left, right): (Vec<&str>, Vec<&str>) = self.joined().into_iter().unzip();
        let rows = rows.join(outside, JoinType::Left, &left, &right, None)?;
        Ok(mark_rows(rows, "k_core", &self.marks())?.select(plain)?)
    }
}

const OUTSIDE: &str = "__outside";
const SOURCE: &str = "__source";
const RULE: &str = "__rule";
const MEASURED: &str = "__measured";

/// An event that says who had to do with which item.
fn is_interaction() -> Expr {
    is_kept().and(col("author_id").is_not_null()).and(col("item_id").is_not_null())
}

impl KCore {
    /// The pairs outside of the core, with the rule by which each left and what it measured. Repeated events of a pair
    /// make no difference to it.
    fn outside(&self, rows: DataFrame) -> Result<DataFrame, StageError> {
        let limits = CoreLimits {
            user: self.min_user_events,
            item: self.min_item_events,
            top_items: self.top_item_share,
        };
        let pairs = pairs_outside_core(col("author_id"), col("item_id"), limits).alias(OUTSIDE);
        let groups = match self.within {
            Within::Source => vec![col("source").alias(SOURCE)],
            Within::All => Vec::new(),
        };
        let mut columns = groups.iter().map(|_| col(SOURCE)).collect::<Vec<_>>();
        let part = |name: &str| get_field(col(OUTSIDE), name);
        columns.extend([
            part("author_id").alias("__author"),
            part("item_id").alias("__item"),
            part("rule").alias(RULE),
            part("measured").alias(MEASURED),
        ]);
        let pairs = rows.filter(is_interaction())?.aggregate(groups, vec![pairs])?;
        Ok(pairs.unnest_columns(&[OUTSIDE])?.select(columns)?)
    }

    /// Columns by which events and pairs belong together.
    fn joined(&self) -> Vec<(&'static str, &'static str)> {
        let mut joined = vec![("author_id", "__author"), ("item_id", "__item")];
        if self.within == Within::Source {
            joined.insert(0, ("source", SOURCE));
        }
        joined
    }

    /// Drops events with an item and without an author, and, if it is asked for, all events of a person with an item
    /// but the earliest.
    fn first_of_each(&self, rows: DataFrame) -> Result<DataFrame, StageError> {
        const RANK: &str = "__rank";
        const FIRST: &str = "__first";
        let nobody = col("item_id").is_not_null().and(col("author_id").is_null());
        let mut marks = vec![Mark::new("no_author", Outcome::InactiveAuthor, nobody)];
        if !self.one_per_item {
            return mark_rows(rows, "k_core", &marks);
        }
        let mut partition: Vec<Expr> = self.joined().into_iter().map(|(name, _)| col(name)).collect();
        partition.push(is_kept());
        let mut order: Vec<SortExpr> = vec![col("at").sort(true, false)];
        order.extend(
            ["key", "source", "source_file", "source_offset"].map(|name| col(name).sort(true, false)),
        );
        let rank = row_number().partition_by(partition.clone()).order_by(order.clone()).build()?;
        let first = first_value(col("key")).partition_by(partition).order_by(order).build()?;
        let rows = rows.window(vec![rank.alias(RANK), first.alias(FIRST)])?;
        let again = is_interaction().and(col(RANK).gt(lit(1_u64)));
        let again = Mark::new("one_per_item", Outcome::RepeatedItem, again);
        marks.push(again.measuring(col(RANK), 1.0).duplicate_of(col(FIRST)));
        mark_rows(rows, "k_core", &marks)
    }

    fn marks(&self) -> [Mark; 3] {
        let of = |rule: CoreRule, outcome, limit: f64| {
            let name = core_rule_name(rule);
            Mark::new(name, outcome, col(RULE).eq(lit(name))).measuring(col(MEASURED), limit)
        };
        [
            of(CoreRule::TopItems, Outcome::RareItem, self.top_item_share),
            of(CoreRule::User, Outcome::InactiveAuthor, f64::from(self.min_user_events)),
            of(CoreRule::Item, Outcome::RareItem, f64::from(self.min_item_events)),
        ]
    }
}
