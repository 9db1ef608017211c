//! Accounts whose whole history is that of a program or of spam.

use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::avg;
use datafusion::prelude::{DataFrame, Expr, col, get_field, lit, when};
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::filter::written;
use crate::functions::author_history;
use crate::mark::{Mark, column, is_kept, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops all events of accounts that behave like programs or spammers, judged from everything of theirs that is still
/// in. It sees most where it stands before stages that thin histories out, `dedup` above all.
///
/// All rules but the first are about behaviour, and need [`min_events`](Self::min_events). Each is measured over
/// sources and platforms together, on title and text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorHistory {
    /// Whether accounts leave whose names are known, or say that they are programs, in at least half of their events.
    pub known_bots: bool,
    /// Fewest events from which behaviour is judged: a person with three posts is no bot by behaviour.
    pub min_events: u32,
    /// Largest share of events that are made like another one but filled in differently: the same once numbers,
    /// links, names and quotations are masked, or beginning and ending alike over a third of their words.
    pub max_template_share: f64,
    /// Fewest hours of the calendar with events from which their times are judged: anybody can be quick for an evening.
    pub min_active_hours: u32,
    /// Most events an hour, over the hours in which there are any.
    pub max_events_per_hour: f64,
    /// Most events in one minute.
    pub max_events_per_minute: u32,
    /// Smallest median of the minutes since the event before, of the same day; the first of a day comes a day after it.
    pub min_median_gap: f64,
    /// Largest share of days without a pause of five hours, of accounts that are as busy as
    /// [`tireless_events_per_day`](Self::tireless_events_per_day).
    pub max_tireless_days: f64,
    /// Events a day, over the days with any, from which sleep is looked for. With fewer events pauses say little.
    pub tireless_events_per_day: f64,
    /// Largest share of events that say the same as another one of the author, or nearly.
    pub max_copy_share: f64,
    /// Largest share of events that link to a site, if [`min_link_entropy`](Self::min_link_entropy) is not reached.
    pub max_link_share: f64,
    /// Smallest entropy of the sites that are linked to, in bits: two sites in equal parts have 1.
    pub min_link_entropy: f64,
}

impl Default for AuthorHistory {
    fn default() -> Self {
        Self {
            known_bots: true,
            min_events: 10,
            max_template_share: 0.5,
            min_active_hours: 24,
            max_events_per_hour: 30.0,
            max_events_per_minute: 30,
            min_median_gap: 1.0,
            max_tireless_days: 0.5,
            tireless_events_per_day: 100.0,
            max_copy_share: 0.5,
            max_link_share: 0.5,
            min_link_entropy: 1.0,
        }
    }
}

impl Stage for AuthorHistory {
    fn card(&self) -> Card {
        Card {
            name: "author_history",
            version: 2,
            scope: Scope::Corpus,
            at_rest: true,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::BotAuthor, Outcome::SpamAuthor],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let shares = [
            ("max_template_share", self.max_template_share),
            ("max_tireless_days", self.max_tireless_days),
            ("max_copy_share", self.max_copy_share),
            ("max_link_share", self.max_link_share),
        ];
        let amounts = [
            ("max_events_per_hour", self.max_events_per_hour),
            ("min_median_gap", self.min_median_gap),
            ("tireless_events_per_day", self.tireless_events_per_day),
            ("min_link_entropy", self.min_link_entropy),
        ];
        let outside = shares.iter().filter(|(_, share)| !(0.0..=1.0).contains(share));
        let outside = outside
            .map(|(name, share)| format!("author_history.{name} must be between 0 and 1, not {share}"));
        // Not a number is no amount either.
        let negative = amounts.iter().filter(|(_, amount)| amount.is_nan() || *amount < 0.0);
        let negative = negative
            .map(|(name, amount)| format!("author_history.{name} must not be negative, not {amount}"));
        outside.chain(negative).collect()
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const ACCOUNT: &str = "__account";
        const HISTORY: &str = "__history";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let is_bot = col("author_class").in_list(vec![lit("bot"), lit("listed_bot")], false);
        let is_bot = when(is_bot, lit(1.0)).otherwise(lit(0.0))?;
        let accounts = rows.clone().filter(is_kept().and(col("author_id").is_not_null()))?.aggregate(
            vec![col("author_id").alias(ACCOUNT)],
            vec![avg(is_bot).alias(KNOWN), author_history(col("at"), written()).alias(HISTORY)],
        )?;
        let mut columns = vec![col(ACCOUNT), col(KNOWN)];
        columns.extend(MEASURES.map(|name| get_field(col(HISTORY), &name[2..]).alias(name)));
        let marks = self.marks();
        let hit = marks.iter().fold(lit(false), |any, mark| any.or(mark.when.clone().is_true()));
        // Only the accounts that leave are joined, which are few.
        let accounts = accounts.select(columns)?.filter(hit)?;
        let rows = rows.join(accounts, JoinType::Left, &["author_id"], &[ACCOUNT], None)?;
        Ok(mark_rows(rows, "author_history", &marks)?.select(plain)?)
    }
}

const KNOWN: &str = "__known";
const EVENTS: &str = "__separate_events";
const TIMED: &str = "__timed_events";
const HOURS: &str = "__active_hours";
const PER_HOUR: &str = "__per_active_hour";
const PER_DAY: &str = "__per_active_day";
const BUSIEST: &str = "__busiest_minute";
const GAP: &str = "__median_gap_minutes";
const TIRELESS: &str = "__tireless_days";
const TEMPLATES: &str = "__template_share";
const COPIES: &str = "__copy_share";
const LINKS: &str = "__link_share";
const ENTROPY: &str = "__link_entropy";

/// The measures that are used, as columns: two underscores and the name of the kernel's.
const MEASURES: [&str; 12] =
    [EVENTS, TIMED, HOURS, PER_HOUR, PER_DAY, BUSIEST, GAP, TIRELESS, TEMPLATES, COPIES, LINKS, ENTROPY];

impl AuthorHistory {
    /// The rules in the order of their precedence. Their names are those of the keys.
    fn marks(&self) -> Vec<Mark> {
        let at_least = |measure: &str, fewest: u32| col(measure).gt_eq(lit(f64::from(fewest)));
        // What is judged by its texts, and what by its times.
        let told = at_least(EVENTS, self.min_events);
        let timed = at_least(TIMED, self.min_events).and(at_least(HOURS, self.min_active_hours));
        let above = |rule, outcome, enough: &Expr, measure: &str, limit: f64| {
            let is_above = col(measure).gt(lit(limit));
            Mark::new(rule, outcome, enough.clone().and(is_above)).measuring(col(measure), limit)
        };
        let below = |rule, outcome, enough: &Expr, measure: &str, limit: f64| {
            let is_below = col(measure).lt(lit(limit));
            Mark::new(rule, outcome, enough.clone().and(is_below)).measuring(col(measure), limit)
        };
        let busy = timed.clone().and(col(PER_DAY).gt_eq(lit(self.tireless_events_per_day)));
        let linking = told.clone().and(col(LINKS).gt(lit(self.max_link_share)));
        let per_minute = f64::from(self.max_events_per_minute);
        let known = Mark::new("known_bots", Outcome::BotAuthor, col(KNOWN).gt_eq(lit(0.5)));
        let mut marks = vec![
            known.measuring(col(KNOWN), 0.5),
            above("max_template_share", Outcome::BotAuthor, &told, TEMPLATES, self.max_template_share),
            above("max_events_per_hour", Outcome::BotAuthor, &timed, PER_HOUR, self.max_events_per_hour),
            above("max_events_per_minute", Outcome::BotAuthor, &timed, BUSIEST, per_minute),
            below("min_median_gap", Outcome::BotAuthor, &timed, GAP, self.min_median_gap),
            above("max_tireless_days", Outcome::BotAuthor, &busy, TIRELESS, self.max_tireless_days),
            above("max_copy_share", Outcome::SpamAuthor, &told, COPIES, self.max_copy_share),
            below("min_link_entropy", Outcome::SpamAuthor, &linking, ENTROPY, self.min_link_entropy),
        ];
        marks.retain(|mark| self.known_bots || mark.rule != "known_bots");
        marks
    }
}
