//! Messages as texts, in plans.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use genome_kernels::dedup::overlap::BETWEEN_PARTS;

/// The messages of a context as one text, a line end behind each; null for null.
pub(crate) fn answered_text(context: Expr) -> Expr {
    Joined { name: "answered_text", between: None, signature: of_anything() }.call(context)
}

/// Messages as the parts of one text, with [`BETWEEN_PARTS`] between them; null for null.
pub(crate) fn message_parts(messages: Expr) -> Expr {
    Joined { name: "message_parts", between: Some(BETWEEN_PARTS), signature: of_anything() }.call(messages)
}

fn of_anything() -> Signature {
    Signature::any(1, Volatility::Immutable)
}

/// Takes lists of structs whatever strings they are made of: readers and files have different ones.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    name: &'static str,
    /// What stands between two messages; a line end behind each if nothing does.
    between: Option<char>,
    signature: Signature,
}

impl Joined {
    fn call(self, messages: Expr) -> Expr {
        ScalarUDF::from(self).call(vec![messages])
    }
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _inputs: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let wrong = || DataFusionError::Internal(format!("{} takes a list of messages", self.name));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let lists = arrays.first().and_then(|array| array.as_list_opt::<i32>()).ok_or_else(wrong)?;
        let messages = lists.values().as_struct_opt().ok_or_else(wrong)?;
        let contents = cast(messages.column_by_name("content").ok_or_else(wrong)?, &DataType::Utf8View)?;
        let contents = contents.as_string_view();
        let mut out = StringViewBuilder::with_capacity(lists.len());
        let mut text = String::new();
        for (row, range) in lists.value_offsets().windows(2).enumerate() {
            if lists.is_null(row) {
                out.append_null();
                continue;
            }
            text.clear();
            for message in usize::try_from(range[0]).unwrap_or(0)..usize::try_from(range[1]).unwrap_or(0) {
                if contents.is_valid(message) {
                    if let Some(between) = self.between
                        && !text.is_empty()
                    {
                        text.push(between);
                    }
                    text.push_str(contents.value(message));
                    if self.between.is_none() {
                        text.push('\n');
                    }
                }
            }
            out.append_value(&text);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}
