//! Content filter: rules on single records, in the order of their precedence.

mod facts;
mod preset;
mod rule;
mod subject;

use std::sync::Arc;

use datafusion::prelude::{DataFrame, Expr, col, concat_ws, lit, nullif};
use genome_schemas::{EventKind, Outcome, Platform, events};
use serde::{Deserialize, Serialize};

pub use facts::RuleFacts;
pub use preset::Preset;
pub use rule::{Engagement, LanguageRule, NgramLimit, Rule, RuleScope, WordList};

pub(crate) use rule::language_problem;
pub(crate) use subject::{Checker, Record, Subject, Verdict, is_placeholder};

use crate::StageError;
use crate::functions::{RuleList, broken_rule, rule_measure};
use crate::mark::{Mark, case_when, column, mark_numbered};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops events by rules; the first rule that holds gives the reason.
///
/// Without keys it is the preset `short_posts`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentFilter {
    /// Rules to begin with. Those of `rules` take the place of their kind in it, on the platforms where it has one; those of
    /// other kinds come after it, everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Rules, in the order of their precedence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    /// Platforms whose records are held against the rules; all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// Kinds of events that are held against the rules; all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<EventKind>,
}

impl ContentFilter {
    /// Rules and where they hold, in the order of their precedence.
    pub fn groups(&self) -> Vec<(RuleScope, Vec<Rule>)> {
        let own = self.rules.as_deref().unwrap_or_default();
        let groups = match (self.preset, &self.rules) {
            (None, Some(rules)) => return vec![(RuleScope::default(), rules.clone())],
            (preset, _) => preset.unwrap_or(Preset::ShortPosts).groups(),
        };
        let is_known = |rule: &Rule| groups.iter().any(|(_, rules)| rules.iter().any(|r| rule.replaces(r)));
        let (known, new): (Vec<&Rule>, Vec<&Rule>) = own.iter().partition(|rule| is_known(rule));
        let with_own = |rules: &[Rule]| -> Vec<Rule> {
            let replaced = rules.iter().flat_map(|rule| {
                let instead: Vec<&Rule> = known.iter().copied().filter(|own| own.replaces(rule)).collect();
                if instead.is_empty() { vec![rule] } else { instead }
            });
            replaced.chain(new.iter().copied()).cloned().collect()
        };
        groups.iter().map(|(scope, rules)| (scope.clone(), with_own(rules))).collect()
    }

    fn scope(&self) -> RuleScope {
        RuleScope { platforms: self.platforms.clone(), kinds: self.kinds.clone() }
    }
}

impl Stage for ContentFilter {
    fn card(&self) -> Card {
        Card {
            name: "content_filter",
            version: 4,
            scope: Scope::Row,
            at_rest: false,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[
                Outcome::Deleted,
                Outcome::Incomplete,
                Outcome::BotAuthor,
                Outcome::Moderator,
                Outcome::CorporateAuthor,
                Outcome::Advertisement,
                Outcome::Repost,
                Outcome::NotTopLevel,
                Outcome::TooShort,
                Outcome::TooLong,
                Outcome::LinkPost,
                Outcome::TooManyLinks,
                Outcome::TooManySymbols,
                Outcome::Boilerplate,
                Outcome::Quoted,
                Outcome::Repetitive,
                Outcome::LowEngagement,
                Outcome::Harmful,
                Outcome::OtherLanguage,
            ],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        self.rules.iter().flatten().filter_map(Rule::problem).collect()
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const WHICH: &str = "__rule";
        let rules = Arc::new(RuleList::new(self.scope(), self.groups(), Arc::clone(&cx.languages)));
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let mut numbered = plain.clone();
        numbered.push(broken_rule(&rules).alias(WHICH));
        let rows = rows.select(numbered)?;
        let marks: Vec<Mark> = rules.rules().map(Mark::of_rule).collect();
        let measured = rule_measure(&rules, col(WHICH));
        let mut rows = mark_numbered(rows, self.card().name, WHICH, &marks, &measured)?;
        let by_replies: Vec<(Expr, Expr)> = (0_i32..)
            .zip(rules.rules())
            .filter_map(|(number, rule)| {
                let is_it = column(WHICH).eq(lit(number)).and(shows_replies(rule)?);
                Some((is_it, lit(rule.replies_limit()?)))
            })
            .collect();
        if !by_replies.is_empty() {
            let limit = case_when(by_replies, Some(column("limit_value")));
            rows = rows.with_column("limit_value", limit)?;
        }
        Ok(rows.select(plain)?)
    }
}

/// Of a rule over score and answers: whether the answers are what it measured on a row that it drops, and not the score (see
/// [`Checker::check`]). They are held against a limit of their own.
fn shows_replies(rule: &Rule) -> Option<Expr> {
    match rule {
        Rule::EngagementAny(_) => Some(col("engagement").is_null()),
        Rule::EngagementAll(limits) => Some(col("engagement").lt(lit(limits.engagement)).is_not_true()),
        _ => None,
    }
}

/// Title and text together: what the person wrote.
pub(crate) fn written() -> Expr {
    concat_ws(lit("\n"), vec![nullif(col("title"), lit("")), nullif(col("text"), lit(""))])
}
