//! Each person's history as one row.

use datafusion::functions_aggregate::expr_fn::{array_agg, count, max, min};
use datafusion::prelude::{DataFrame, col, lit, named_struct};
use genome_schemas::{author_event_fields, authors, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::functions::{in_time_order, row_key};
use crate::mark::{column, fresh_ledger, is_kept};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Groups the kept train events of each author, oldest first, into table `authors`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupAuthors {}

impl Stage for GroupAuthors {
    fn card(&self) -> Card {
        Card {
            name: "group_authors",
            version: 1,
            scope: Scope::Corpus,
            at_rest: false,
            input: events,
            output: authors,
            reads: &[],
            outcomes: &[],
        }
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let mut members = Vec::new();
        for field in &author_event_fields() {
            members.extend([lit(field.name().as_str()), column(field.name())]);
        }
        let history = array_agg(named_struct(members));
        let people = rows.filter(is_kept().and(col("split").eq(lit("train"))))?.aggregate(
            vec![col("author_id"), col("platform"), col("source")],
            vec![
                count(col("key")).alias("n_events"),
                min(col("at")).alias("first_at"),
                max(col("at")).alias("last_at"),
                history.alias("events"),
            ],
        )?;
        // Sorted afterwards: an ordered aggregate handles every row by itself, and takes minutes where this takes seconds.
        let history_type = people.schema().field_with_unqualified_name("events")?.data_type().clone();
        let key = row_key("genome authors", vec![col("author_id"), col("source")]);
        let mut columns = vec![
            key.alias("key"),
            col("author_id"),
            col("platform"),
            col("source"),
            col("n_events"),
            col("first_at"),
            col("last_at"),
            in_time_order(col("events"), &history_type).alias("events"),
        ];
        columns.extend(fresh_ledger());
        Ok(people.select(columns)?)
    }
}
