//! Personal data in texts is replaced by typed placeholders.

use datafusion::prelude::DataFrame;
use genome_schemas::events;
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::functions::redact;
use crate::mark::column;
use crate::stage::{Card, Scope, Stage, StageContext};

/// Replaces e-mail addresses, phone numbers, IP addresses, card numbers and IBANs in title and text by placeholders
/// such as `<EMAIL>`. Drops nothing. Contexts are other people's texts and are scrubbed where a prompt or an
/// example is made of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PiiScrub {}

impl Stage for PiiScrub {
    fn card(&self) -> Card {
        Card {
            name: "pii_scrub",
            version: 1,
            scope: Scope::Row,
            at_rest: false,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[],
        }
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let columns = rows
            .schema()
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                name @ ("title" | "text") => redact(column(name)).alias(name),
                name => column(name),
            })
            .collect::<Vec<_>>();
        Ok(rows.select(columns)?)
    }
}
