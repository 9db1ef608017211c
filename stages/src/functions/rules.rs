//! The rules of a content filter in plans: which one a row breaks first, and what that one measured.
//!
//! All rules are held against a row in one call, so that what several of them need is measured once.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, PrimitiveArray, StringViewArray,
};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int32Type, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{Expr, cast, col};
use genome_kernels::text::language::LanguageDetector;

use super::{answered_text, array_function, string_at, strings};
use crate::filter::{Checker, Record, Rule, RuleScope, Subject, Verdict};
use crate::mark::null_of;

/// Rules in the order of their precedence, numbered from 0 through all groups.
#[derive(Debug)]
pub(crate) struct RuleList {
    scope: RuleScope,
    groups: Vec<(RuleScope, Vec<Checker>)>,
    languages: Arc<LanguageDetector>,
}

impl RuleList {
    /// Rules and where they hold, inside of where all of them hold.
    pub(crate) fn new(
        scope: RuleScope,
        groups: Vec<(RuleScope, Vec<Rule>)>,
        languages: Arc<LanguageDetector>,
    ) -> Self {
        let groups = groups
            .into_iter()
            .map(|(scope, rules)| (scope, rules.into_iter().map(Checker::new).collect()))
            .collect();
        Self { scope, groups, languages }
    }

    /// The rules in the order of their numbers.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.checkers().map(|checker| &checker.rule)
    }

    fn checkers(&self) -> impl Iterator<Item = &Checker> {
        self.groups.iter().flat_map(|(_, checkers)| checkers)
    }

    /// The number of the first rule that a record breaks.
    fn first_broken(&self, platform: &str, kind: &str, subject: &Subject<'_>) -> Option<i32> {
        if !self.scope.holds(platform, kind) {
            return None;
        }
        let mut number = 0;
        for (scope, checkers) in &self.groups {
            if scope.holds(platform, kind) {
                for checker in checkers {
                    if checker.check(subject, &self.languages).is_broken {
                        return Some(number);
                    }
                    number += 1;
                }
            } else {
                number += i32::try_from(checkers.len()).unwrap_or(i32::MAX);
            }
        }
        None
    }
}

/// The number of the first rule that a row breaks, -1 for a row that breaks none or was dropped before.
pub(crate) fn broken_rule(rules: &Arc<RuleList>) -> Expr {
    let list = Arc::clone(rules);
    let (types, columns): (Vec<DataType>, Vec<Expr>) = inputs(rules).into_iter().unzip();
    array_function("broken_rule", types, DataType::Int32, move |args| {
        let rows = Rows::new(args)?;
        let numbers = (0..rows.len()).map(|row| {
            if !rows.is_kept(row) {
                return -1;
            }
            let mut joined = String::new();
            let subject = Subject::new(rows.record(row), &mut joined);
            list.first_broken(rows.platform(row), rows.kind(row), &subject).unwrap_or(-1)
        });
        Ok(Arc::new(numbers.collect::<Int32Array>()) as ArrayRef)
    })
    .call(columns)
}

/// What the rule with a number measures on a row; null where it measures no number, and for negative numbers.
pub(crate) fn rule_measure(rules: &Arc<RuleList>, number: Expr) -> Expr {
    let list = Arc::clone(rules);
    let (mut types, mut columns): (Vec<DataType>, Vec<Expr>) = inputs(rules).into_iter().unzip();
    types.push(DataType::Int32);
    columns.push(number);
    array_function("rule_measure", types, DataType::Float64, move |args| {
        let rows = Rows::new(args)?;
        let numbers = primitive::<Int32Type>(args, args.len() - 1)?;
        let checkers: Vec<&Checker> = list.checkers().collect();
        let measures = (0..rows.len()).map(|row| {
            let checker = checkers.get(usize::try_from(numbers.value(row)).ok()?)?;
            let mut joined = String::new();
            let subject = Subject::new(rows.record(row), &mut joined);
            let Verdict { measured, .. } = checker.check(&subject, &list.languages);
            measured
        });
        Ok(Arc::new(measures.collect::<Float64Array>()) as ArrayRef)
    })
    .call(columns)
}

/// Types and expressions of what rules look at, in the order in which [`Rows`] reads them.
fn inputs(rules: &RuleList) -> Vec<(DataType, Expr)> {
    let reads_context = rules.rules().any(|rule| matches!(rule, Rule::MaxContained(_)));
    let context = if reads_context { answered_text(col("context")) } else { null_of(&DataType::Utf8View) };
    let text = |name: &str| (DataType::Utf8View, cast(col(name), DataType::Utf8View));
    let is_there = |name: &str| (DataType::Boolean, col(name).is_not_null());
    vec![
        text("platform"),
        text("kind"),
        text("author_class"),
        text("title"),
        text("text"),
        text("outcome"),
        (DataType::Utf8View, context),
        is_there("author_id"),
        is_there("at"),
        is_there("context"),
        is_there("link_domain"),
        (DataType::Boolean, col("top_level")),
        (DataType::Float64, col("rating")),
        (DataType::Int64, col("engagement")),
        (DataType::Int64, col("replies")),
    ]
}

/// The arguments of the functions above.
struct Rows<'a> {
    texts: [&'a StringViewArray; 7],
    flags: [&'a BooleanArray; 5],
    rating: &'a PrimitiveArray<Float64Type>,
    engagement: &'a PrimitiveArray<Int64Type>,
    replies: &'a PrimitiveArray<Int64Type>,
}

impl<'a> Rows<'a> {
    fn new(args: &'a [ArrayRef]) -> Result<Self> {
        let mut texts = Vec::with_capacity(7);
        for index in 0..7 {
            texts.push(strings(args, index)?);
        }
        let mut flags = Vec::with_capacity(5);
        for array in &args[7..12] {
            flags.push(array.as_boolean_opt().ok_or_else(wrong_type)?);
        }
        Ok(Self {
            texts: texts.try_into().map_err(|_| wrong_type())?,
            flags: flags.try_into().map_err(|_| wrong_type())?,
            rating: primitive(args, 12)?,
            engagement: primitive(args, 13)?,
            replies: primitive(args, 14)?,
        })
    }

    fn len(&self) -> usize {
        self.rating.len()
    }

    fn text(&self, column: usize, row: usize) -> &'a str {
        string_at(self.texts[column], row).unwrap_or_default()
    }

    fn platform(&self, row: usize) -> &'a str {
        self.text(0, row)
    }

    fn kind(&self, row: usize) -> &'a str {
        self.text(1, row)
    }

    fn is_kept(&self, row: usize) -> bool {
        self.text(5, row) == "kept"
    }

    fn record(&self, row: usize) -> Record<'a> {
        let flag = |column: usize| self.flags[column].is_valid(row) && self.flags[column].value(row);
        Record {
            kind: self.kind(row),
            author_class: self.text(2, row),
            title: self.text(3, row),
            text: self.text(4, row),
            context: self.text(6, row),
            has_author: flag(0),
            has_time: flag(1),
            has_context: flag(2),
            is_link: flag(3),
            top_level: flag(4),
            rating: value(self.rating, row),
            engagement: value(self.engagement, row),
            replies: value(self.replies, row),
        }
    }
}

fn value<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    array.is_valid(row).then(|| array.value(row))
}

fn primitive<T: ArrowPrimitiveType>(args: &[ArrayRef], index: usize) -> Result<&PrimitiveArray<T>> {
    args.get(index).and_then(|array| array.as_primitive_opt::<T>()).ok_or_else(wrong_type)
}

fn wrong_type() -> DataFusionError {
    DataFusionError::Internal("an argument of the content filter has the wrong type".to_owned())
}
