//! Content filter: rules on single records, folded into one `CASE`.

mod rule;

use datafusion::prelude::DataFrame;
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

pub use rule::{LanguageRule, Rule};

pub(crate) use rule::written;

use crate::StageError;
use crate::mark::{Mark, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops events by rules; the first rule that holds gives the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentFilter {
    /// Rules, in the order of their precedence.
    pub rules: Vec<Rule>,
}

impl Stage for ContentFilter {
    fn card(&self) -> Card {
        Card {
            name: "content_filter",
            version: 1,
            scope: Scope::Row,
            at_rest: false,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[
                Outcome::Deleted,
                Outcome::BotAuthor,
                Outcome::Moderator,
                Outcome::CorporateAuthor,
                Outcome::Advertisement,
                Outcome::Repost,
                Outcome::NotTopLevel,
                Outcome::TooShort,
                Outcome::TooLong,
                Outcome::TooManyLinks,
                Outcome::Repetitive,
                Outcome::LowEngagement,
                Outcome::OtherLanguage,
            ],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        self.rules.iter().filter_map(Rule::problem).collect()
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let marks: Vec<Mark> = self.rules.iter().map(Rule::mark).collect();
        mark_rows(rows, self.card().name, &marks)
    }
}
