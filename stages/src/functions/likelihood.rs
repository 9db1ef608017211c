//! The likelihood of a text after two conversations, as an async function.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::Expr;
use genome_kernels::llm::{FinishReason, Score, ScoreRequest};
use serde::{Deserialize, Serialize};

use super::{EngineSource, strings};
use crate::synthesis::conversations;

/// Mean log-likelihoods of a text in nats a token, as they travel through a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Likelihood {
    /// After the first conversation; none where it could not be computed.
    pub(crate) without: Option<f64>,
    /// After the second.
    pub(crate) with: Option<f64>,
    /// Tokens of the text.
    pub(crate) tokens: u32,
}

/// [`Likelihood`] as JSON of each prompt of [`conversations`].
pub(crate) fn likelihoods(model: &str, engines: Arc<dyn EngineSource>, prompt: Expr) -> Expr {
    let signature = Signature::exact(vec![DataType::Utf8View], Volatility::Volatile);
    let function = Likelihoods { signature, model: model.to_owned(), engines };
    AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf().call(vec![prompt])
}

#[derive(Debug)]
struct Likelihoods {
    signature: Signature,
    model: String,
    engines: Arc<dyn EngineSource>,
}

impl PartialEq for Likelihoods {
    fn eq(&self, other: &Self) -> bool {
        self.model == other.model
    }
}

impl Eq for Likelihoods {}

impl Hash for Likelihoods {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.model.hash(state);
    }
}

impl ScalarUDFImpl for Likelihoods {
    fn name(&self) -> &'static str {
        "likelihoods"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal("likelihoods is asynchronous".to_owned()))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Likelihoods {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let mut requests = Vec::new();
        for prompt in strings(&arrays, 0)? {
            let (conversations, text) = conversations(prompt.unwrap_or_default())
                .ok_or_else(|| DataFusionError::Internal("no prompt of a trace".to_owned()))?;
            requests
                .extend(conversations.map(|messages| ScoreRequest { messages, continuation: text.clone() }));
        }
        let (engines, model) = (Arc::clone(&self.engines), self.model.clone());
        // Loading a model and waiting for it must not stop the runtime's thread.
        let scores = tokio::task::spawn_blocking(move || engines.likelihoods(&model, requests))
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))?
            .map_err(DataFusionError::Execution)?;
        let found = scores.chunks(2).map(|pair| {
            let (without, with) = (pair.first().and_then(mean), pair.get(1).and_then(mean));
            let tokens = pair.first().map_or(0, |score| score.log_probs.len());
            let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
            serde_json::to_string(&Likelihood { without, with, tokens })
                .map_err(|e| DataFusionError::External(Box::new(e)))
        });
        let found = found.collect::<Result<Vec<String>>>()?;
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(found)) as ArrayRef))
    }
}

/// The mean over the tokens; none where not all could be scored, or there are none.
fn mean(score: &Score) -> Option<f64> {
    let is_whole = score.finish == FinishReason::Stop && !score.log_probs.is_empty();
    is_whole.then(|| score.total() / score.log_probs.len() as f64)
}
