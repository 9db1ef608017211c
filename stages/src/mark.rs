//! Marking: the only code that sets an outcome. Rows are never removed, and the first reason wins.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{AggregateUDF, Case, ExprFunctionExt, SortExpr, WindowFunctionDefinition};
use datafusion::prelude::{DataFrame, Expr, col, lit, when};
use genome_schemas::{KEY_BYTES, LEDGER_COLUMNS, Outcome, ledger_fields};

use crate::StageError;
use crate::filter::Rule;

/// One reason for which a stage drops rows.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Name of the rule inside its stage, as the ledger shows it.
    pub rule: &'static str,
    /// The outcome it gives.
    pub outcome: Outcome,
    /// True for the rows to drop; null counts as false.
    pub when: Expr,
    /// What the rule measures, if it measures a number.
    pub measured: Option<Expr>,
    /// The limit it is held against.
    pub limit: Option<f64>,
    /// Key of the surviving row that a dropped one repeats.
    pub duplicate_of: Option<Expr>,
    /// How alike the row and its survivor are, `0.0..=1.0`.
    pub similarity: Option<Expr>,
    /// What the row matches outside of the run's own rows.
    pub matched: Option<Expr>,
}

impl Mark {
    /// A mark that measures nothing.
    pub fn new(rule: &'static str, outcome: Outcome, when: Expr) -> Self {
        Self {
            rule,
            outcome,
            when,
            measured: None,
            limit: None,
            duplicate_of: None,
            similarity: None,
            matched: None,
        }
    }

    /// The mark of a filter rule, whose `when` is decided elsewhere.
    pub(crate) fn of_rule(rule: &Rule) -> Self {
        Self { limit: rule.limit(), ..Self::new(rule.name(), rule.outcome(), lit(false)) }
    }

    /// With what it measures and the limit.
    #[must_use]
    pub fn measuring(mut self, measured: Expr, limit: f64) -> Self {
        self.measured = Some(measured);
        self.limit = Some(limit);
        self
    }

    /// With the key of the survivor.
    #[must_use]
    pub fn duplicate_of(mut self, key: Expr) -> Self {
        self.duplicate_of = Some(key);
        self
    }

    /// With what the row matches outside of the run's own rows.
    #[must_use]
    pub fn matching(mut self, matched: Expr) -> Self {
        self.matched = Some(matched);
        self
    }

    /// With how alike the row and its survivor are, `0.0..=1.0`.
    #[must_use]
    pub fn similar(mut self, similarity: Expr) -> Self {
        self.similarity = Some(similarity);
        self
    }
}

/// True for rows that are still in.
pub fn is_kept() -> Expr {
    col("outcome").eq(lit(Outcome::Kept.as_str()))
}

const HIT: &str = "__hit";

/// Marks the kept rows of `rows` by the first of `marks` that holds. Rows that were dropped before stay as they
/// are; columns stay as they are, but for the ledger's.
///
/// # Errors
/// A mark's expression does not fit the rows.
pub fn mark_rows(rows: DataFrame, stage: &'static str, marks: &[Mark]) -> Result<DataFrame, StageError> {
    if marks.is_empty() {
        return Ok(rows);
    }
    let columns: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    // Which mark holds first: evaluated once per row, then looked up for each ledger column.
    let mut branches = vec![(is_kept().is_not_true(), lit(-1_i32))];
    for (index, mark) in (0_i32..).zip(marks) {
        branches.push((mark.when.clone().is_true(), lit(index)));
    }
    let hit = case_when(branches, Some(lit(-1_i32)));
    let mut first: Vec<Expr> = columns.iter().map(column).collect();
    first.push(hit.alias(HIT));
    let rows = rows.select(first)?;
    let pick = |value: &dyn Fn(&Mark) -> Option<Expr>, otherwise: &str, data_type: &DataType| {
        let branches: Vec<(Expr, Expr)> = (0_i32..)
            .zip(marks)
            .filter_map(|(index, mark)| value(mark).map(|v| (col(HIT).eq(lit(index)), v)))
            .collect();
        let chosen = if branches.is_empty() {
            column(otherwise)
        } else {
            // A mark without a value of this kind sets null, never what an earlier stage left.
            let mut all = vec![(col(HIT).eq(lit(-1_i32)), column(otherwise))];
            all.extend(branches);
            case_when(all, None)
        };
        datafusion::logical_expr::cast(chosen, data_type.clone()).alias(otherwise)
    };
    let exprs: Vec<Expr> = columns
        .iter()
        .map(|name| match name.as_str() {
            "outcome" => pick(&|m| Some(lit(m.outcome.as_str())), "outcome", &DataType::Utf8),
            "stage" => pick(&|_| Some(lit(stage)), "stage", &DataType::Utf8),
            "rule" => pick(&|m| Some(lit(m.rule)), "rule", &DataType::Utf8),
            "measured" => pick(&|m| m.measured.clone(), "measured", &DataType::Float64),
            "limit_value" => pick(&|m| m.limit.map(lit), "limit_value", &DataType::Float64),
            "similarity" => pick(&|m| m.similarity.clone(), "similarity", &DataType::Float64),
            "matched" => pick(&|m| m.matched.clone(), "matched", &DataType::Utf8),
            "duplicate_of" => pick(
                &|m| m.duplicate_of.clone(),
                "duplicate_of",
                &DataType::FixedSizeBinary(i32::try_from(KEY_BYTES).unwrap_or(16)),
            ),
            _ => column(name),
        })
        .collect();
    Ok(rows.select(exprs)?)
}

/// Number of rows that share `partition` with a row and for which `condition` holds.
///
/// # Errors
/// Only if DataFusion refuses the window, which would be a bug here.
pub fn count_where(condition: Expr, partition: Vec<Expr>) -> Result<Expr, StageError> {
    let one = when(condition.is_true(), lit(1_i64)).otherwise(lit(0_i64))?;
    window(sum_udaf(), one, partition)
}

/// An aggregate over the rows that share `partition` with a row.
pub(crate) fn window(
    aggregate: Arc<AggregateUDF>,
    value: Expr,
    partition: Vec<Expr>,
) -> Result<Expr, StageError> {
    let function = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(aggregate), vec![value]);
    Ok(Expr::from(function).partition_by(partition).build()?)
}

/// Position (from 1) of a row among the kept rows that share `partition`, by `order`; dropped rows are numbered
/// apart.
///
/// # Errors
/// As [`count_where`].
pub fn rank_kept(mut partition: Vec<Expr>, order: Vec<SortExpr>) -> Result<Expr, StageError> {
    partition.push(is_kept());
    Ok(row_number().partition_by(partition).order_by(order).build()?)
}

/// Ledger columns of rows that are new, and therefore kept.
pub fn fresh_ledger() -> Vec<Expr> {
    ledger_fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "outcome" => lit(Outcome::Kept.as_str()).alias("outcome"),
            name => null_of(field.data_type()).alias(name),
        })
        .collect()
}

/// A column by its exact name.
pub fn column(name: impl AsRef<str>) -> Expr {
    Expr::Column(datafusion::common::Column::from_name(name.as_ref()))
}

/// The columns of `rows` that are not the ledger's.
pub fn columns_without_ledger(rows: &DataFrame) -> Vec<Expr> {
    rows.schema()
        .fields()
        .iter()
        .filter(|f| !LEDGER_COLUMNS.contains(&f.name().as_str()))
        .map(|f| column(f.name()))
        .collect()
}

pub(crate) fn null_of(data_type: &DataType) -> Expr {
    Expr::Literal(ScalarValue::try_from(data_type).unwrap_or(ScalarValue::Null), None)
}

pub(crate) fn case_when(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: branches.into_iter().map(|(w, t)| (Box::new(w), Box::new(t))).collect(),
        else_expr: otherwise.map(Box::new),
    })
}

/// Marks rows by the number of the mark that holds for each, which column `which` has: negative for none. `measured`
/// is what that mark measured. It is [`mark_rows`] for marks that are decided in one call.
///
/// # Errors
/// As [`mark_rows`].
pub(crate) fn mark_numbered(
    rows: DataFrame,
    stage: &'static str,
    which: &str,
    marks: &[Mark],
    measured: &Expr,
) -> Result<DataFrame, StageError> {
    let is_marked = || column(which).gt_eq(lit(0_i32));
    let looked_up = |value: &dyn Fn(&Mark) -> Expr| {
        Expr::Case(Case {
            expr: Some(Box::new(column(which))),
            when_then_expr: (0_i32..)
                .zip(marks)
                .map(|(number, mark)| (Box::new(lit(number)), Box::new(value(mark))))
                .collect(),
            else_expr: None,
        })
    };
    let columns: Vec<Expr> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let name = field.name().as_str();
            if marks.is_empty() || !LEDGER_COLUMNS.contains(&name) {
                return column(name);
            }
            let value = match name {
                "outcome" => looked_up(&|mark| lit(mark.outcome.as_str())),
                "stage" => lit(stage),
                "rule" => looked_up(&|mark| lit(mark.rule)),
                "measured" => measured.clone(),
                "limit_value" => looked_up(&|mark| lit(ScalarValue::Float64(mark.limit))),
                _ => null_of(field.data_type()),
            };
            let value = datafusion::logical_expr::cast(value, field.data_type().clone());
            case_when(vec![(is_marked(), value)], Some(column(name))).alias(name)
        })
        .collect();
    Ok(rows.select(columns)?)
}
