//! What an event answers, in plans.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;

/// The messages of a context as one text, a line end between them; null for null.
pub(crate) fn answered_text(context: Expr) -> Expr {
    ScalarUDF::from(AnsweredText { signature: Signature::any(1, Volatility::Immutable) }).call(vec![context])
}

/// Takes lists of structs whatever strings they are made of: readers and files have different ones.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AnsweredText {
    signature: Signature,
}

impl ScalarUDFImpl for AnsweredText {
    fn name(&self) -> &'static str {
        "answered_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _inputs: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let wrong = || DataFusionError::Internal("a context should be a list of messages".to_owned());
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let contexts = arrays.first().and_then(|array| array.as_list_opt::<i32>()).ok_or_else(wrong)?;
        let messages = contexts.values().as_struct_opt().ok_or_else(wrong)?;
        let contents = cast(messages.column_by_name("content").ok_or_else(wrong)?, &DataType::Utf8View)?;
        let contents = contents.as_string_view();
        let mut out = StringViewBuilder::with_capacity(contexts.len());
        let mut text = String::new();
        for (row, range) in contexts.value_offsets().windows(2).enumerate() {
            if contexts.is_null(row) {
                out.append_null();
                continue;
            }
            text.clear();
            for message in usize::try_from(range[0]).unwrap_or(0)..usize::try_from(range[1]).unwrap_or(0) {
                if contents.is_valid(message) {
                    text.push_str(contents.value(message));
                    text.push('\n');
                }
            }
            out.append_value(&text);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}
