//! Events as vectors.

use datafusion::functions_aggregate::expr_fn::min;
use datafusion::prelude::{DataFrame, Expr, col, lit};
use genome_schemas::{embeddings, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::filter::written;
use crate::functions::{embed, key_hex, row_key};
use crate::mark::{fresh_ledger, is_kept};
use crate::stage::{Asset, Card, ModelStage, Scope, Stage, StageContext};

/// Gives each event a vector by an encoder, of title and text together. What was given one is not asked again until model or
/// text change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embed {
    /// Name of the model, which must be an encoder.
    pub model: String,
}

impl Stage for Embed {
    fn card(&self) -> Card {
        Card {
            name: "embed",
            version: 1,
            scope: Scope::Row,
            at_rest: true,
            input: events,
            output: embeddings,
            reads: &[],
            outcomes: &[],
        }
    }

    fn detail(&self) -> String {
        self.model.clone()
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        Ok(vec![cx.model_asset(&self.model)?])
    }

    fn problems(&self, cx: &StageContext) -> Vec<String> {
        cx.model_digest(&self.model).err().map(|error| error.to_string()).into_iter().collect()
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        self.answers(cx, self.prompts(cx, rows)?)
    }

    fn model_stage(&self) -> Option<&dyn ModelStage> {
        Some(self)
    }
}

impl ModelStage for Embed {
    fn prompts(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let rows = rows.filter(is_kept())?.select(vec![
            col("key").alias("event_key"),
            col("source"),
            written().alias("prompt"),
        ])?;
        let rows = rows.filter(col("prompt").not_eq(lit("")))?;
        let key = call_key(cx.model_digest(&self.model)?, col("event_key"), col("prompt"));
        // Of rows that are the same in everything, one is asked.
        let columns = ["event_key", "source", "prompt"].map(|name| min(col(name)).alias(name)).to_vec();
        Ok(rows.with_column("key", key)?.aggregate(vec![col("key")], columns)?)
    }

    fn answers(&self, cx: &StageContext, prompts: DataFrame) -> Result<DataFrame, StageError> {
        let mut columns = vec![
            col("key"),
            col("event_key"),
            col("source"),
            lit(self.model.as_str()).alias("model"),
            lit(cx.model_digest(&self.model)?).alias("model_digest"),
            embed(&self.model, cx.engines.clone(), col("prompt")).alias("vector"),
        ];
        columns.extend(fresh_ledger());
        Ok(prompts.select(columns)?)
    }

    fn call_column(&self) -> &'static str {
        "key"
    }

    fn models(&self) -> Vec<&str> {
        vec![&self.model]
    }
}

/// Key of the call that gives an event's text its vector.
pub(super) fn call_key(model_digest: &str, event_key: Expr, text: Expr) -> Expr {
    row_key("genome embeddings", vec![lit(model_digest), key_hex(event_key), text])
}
