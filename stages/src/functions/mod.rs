//! DataFusion functions over the kernels. A function here has a signature and one call into `genome-kernels`.

mod answer;
mod generate;
mod history;
mod key;
mod text;

pub use answer::check_answer;
pub use generate::{CallSpec, EngineSource, NoEngines, answer_parts, generate};
pub use history::in_time_order;
pub use key::{key_fraction, key_hex, row_key};
pub use text::{Measure, detect_language, is_advertising, measure, redact, text_digest};

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// Declares an immutable function over whole arrays.
pub(crate) fn array_function(
    name: &str,
    inputs: Vec<DataType>,
    output: DataType,
    run: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
) -> ScalarUDF {
    create_udf(
        name,
        inputs,
        output,
        Volatility::Immutable,
        Arc::new(move |args: &[ColumnarValue]| {
            let arrays = ColumnarValue::values_to_arrays(args)?;
            run(&arrays).map(ColumnarValue::Array)
        }),
    )
}

/// An argument as strings.
pub(crate) fn strings(args: &[ArrayRef], index: usize) -> Result<&StringViewArray> {
    argument(args, index)?.as_string_view_opt().ok_or_else(|| wrong_type(index, "strings"))
}

/// An argument as keys.
pub(crate) fn keys(args: &[ArrayRef], index: usize) -> Result<&FixedSizeBinaryArray> {
    argument(args, index)?.as_fixed_size_binary_opt().ok_or_else(|| wrong_type(index, "keys"))
}

/// The string of a row, null as none.
pub(crate) fn string_at(array: &StringViewArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

fn argument(args: &[ArrayRef], index: usize) -> Result<&ArrayRef> {
    args.get(index).ok_or_else(|| DataFusionError::Internal(format!("argument {index} is missing")))
}

fn wrong_type(index: usize, wanted: &str) -> DataFusionError {
    DataFusionError::Internal(format!("argument {index} should be {wanted}"))
}
