//! Answers to posts that are gone.

use datafusion::prelude::{DataFrame, Expr, col, lit};
use genome_schemas::{EventKind, Outcome, Platform, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::mark::{Mark, column, count_where, is_kept, mark_rows};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops comments whose thread's post is not kept or not there (`HumanLLM`'s Reddit comments, papers' section 1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptThreads {
    /// Platforms of which this is asked; their dumps must have both posts and comments.
    pub platforms: Vec<Platform>,
}

impl Stage for KeptThreads {
    fn card(&self) -> Card {
        Card {
            name: "kept_threads",
            version: 1,
            scope: Scope::Corpus,
            at_rest: false,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::Orphaned],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let is_empty = self.platforms.is_empty();
        is_empty
            .then(|| "kept_threads.platforms must name at least one platform".to_owned())
            .into_iter()
            .collect()
    }

    fn plan(&self, _cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const POSTS: &str = "__posts";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let kind = |kind: EventKind| col("kind").eq(lit(kind.as_str()));
        let posts =
            count_where(is_kept().and(kind(EventKind::Post)), vec![col("platform"), col("thread_id")])?;
        let rows = rows.window(vec![posts.alias(POSTS)])?;
        let platforms = self.platforms.iter().map(|platform| lit(platform.as_str())).collect();
        let is_meant = col("platform").in_list(platforms, false).and(kind(EventKind::Comment));
        let is_orphan = col("thread_id").is_null().or(col(POSTS).eq(lit(0_i64)));
        let mark = Mark::new("post_not_kept", Outcome::Orphaned, is_meant.and(is_orphan));
        Ok(mark_rows(rows, "kept_threads", &[mark])?.select(plain)?)
    }
}
