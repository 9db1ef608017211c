//! Authors: who has enough to say, and each person's history.

use datafusion::functions_aggregate::expr_fn::{array_agg, count, max, min};
use datafusion::prelude::{DataFrame, Expr, col, lit, named_struct};
use genome_schemas::{Outcome, author_event_fields, authors, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::functions::{in_time_order, row_key};
use crate::mark::{Mark, column, count_kept, fresh_ledger, is_kept, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops the events of authors who have too few of them left, and events that name no author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorActivity {
    /// Fewest kept events of an author (`HumanLLM`: 6 on Reddit and Twitter, 8 on Amazon; papers' section 1.2).
    pub min_events: u32,
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
            outcomes: &[Outcome::InactiveAuthor],
        }
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const COUNT: &str = "__events";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let rows = rows.window(vec![count_kept(vec![col("author_id")])?.alias(COUNT)])?;
        let marks = [
            Mark::new("no_author", Outcome::InactiveAuthor, col("author_id").is_null()),
            Mark::new("min_events", Outcome::InactiveAuthor, col(COUNT).lt(lit(i64::from(self.min_events))))
                .measuring(col(COUNT), f64::from(self.min_events)),
        ];
        Ok(mark_rows(rows, "author_activity", &marks)?.select(plain)?)
    }
}

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
