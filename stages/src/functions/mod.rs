//! DataFusion functions over the kernels. A function here has a signature and one call into `genome-kernels`.

mod answer;
mod author_history;
mod calls;
mod context;
mod engines;
mod generate;
mod history;
mod k_core;
mod key;
mod leak;
mod likelihood;
mod overlap;
mod passages;
mod prior;
mod redact;
mod repeats;
mod rules;
mod semantic;
mod signature;
mod template;
mod text;

pub use answer::check_answer;
pub use author_history::author_history;
pub(crate) use calls::Call;
pub(crate) use context::{answered_text, message_parts};
pub use engines::{Answerer, Answers, EngineSource, NoEngines, PromptCounter};
pub(crate) use generate::ReduceView;
pub use generate::{CallSpec, PartSpec, answer_parts, generate};
pub use history::in_time_order;
pub(crate) use k_core::{core_rule_name, pairs_outside_core};
pub use key::{key_fraction, key_hex, row_key};
pub(crate) use key::{key_number, opening_key, short_number};
pub(crate) use leak::{LeakSpec, RULE, SIMILARITY, WORDS, leaks};
pub(crate) use likelihood::{Likelihood, likelihoods};
pub(crate) use overlap::{overlap, overlap_part};
pub(crate) use passages::{Elsewhere, passage_keys, passage_places, passage_share, without_passages};
pub(crate) use prior::{calibrated, choice_prior};
pub(crate) use redact::{Redactor, redact, redactions, rewriting, with_redactions};
pub(crate) use repeats::{near_repeats, sharing_texts};
pub(crate) use rules::{RuleList, broken_rule, rule_measure};
pub(crate) use semantic::{embed, semantic_repeats};
pub(crate) use signature::{
    Standing, bands, known_number, known_precedence, precedence, precedence_key, relation, scoped_shingles,
    shingles, text_digest, text_hash, version, version_key,
};
pub(crate) use template::Template;
pub use text::is_removed;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, FixedSizeBinaryArray, ListArray, StringViewArray, StructArray,
    new_empty_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Schema};
use arrow::json::ReaderBuilder;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use genome_kernels::KernelError;
use genome_schemas::KEY_BYTES;
use serde::Serialize;

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

/// Lists of structs of type `item`, one list per row.
pub(crate) fn list_array<T: Serialize>(item: &FieldRef, rows: &[Vec<T>]) -> Result<ArrayRef> {
    #[derive(Serialize)]
    struct Row<'a, T> {
        list: &'a [T],
    }
    let list_type = DataType::List(Arc::clone(item));
    let schema = Arc::new(Schema::new(vec![Field::new("list", list_type.clone(), false)]));
    let mut decoder = ReaderBuilder::new(schema).build_decoder()?;
    let rows: Vec<Row<'_, T>> = rows.iter().map(|list| Row { list }).collect();
    decoder.serialize(&rows)?;
    Ok(decoder.flush()?.map_or_else(|| new_empty_array(&list_type), |batch| Arc::clone(batch.column(0))))
}

/// An argument as strings.
pub(crate) fn strings(args: &[ArrayRef], index: usize) -> Result<&StringViewArray> {
    argument(args, index)?.as_string_view_opt().ok_or_else(|| wrong_type(index, "strings"))
}

/// An argument as keys.
pub(crate) fn keys(args: &[ArrayRef], index: usize) -> Result<&FixedSizeBinaryArray> {
    argument(args, index)?.as_fixed_size_binary_opt().ok_or_else(|| wrong_type(index, "keys"))
}

/// An argument as bytes.
pub(crate) fn binaries(args: &[ArrayRef], index: usize) -> Result<&BinaryViewArray> {
    argument(args, index)?.as_binary_view_opt().ok_or_else(|| wrong_type(index, "bytes"))
}

/// The string of a row, null as none.
pub(crate) fn string_at(array: &StringViewArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

/// An error of something else.
pub(crate) fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn argument(args: &[ArrayRef], index: usize) -> Result<&ArrayRef> {
    args.get(index).ok_or_else(|| DataFusionError::Internal(format!("argument {index} is missing")))
}

fn wrong_type(index: usize, wanted: &str) -> DataFusionError {
    DataFusionError::Internal(format!("argument {index} should be {wanted}"))
}

/// The states of an aggregate whose state is bytes.
pub(crate) fn state_bytes(states: &[ArrayRef]) -> Result<impl Iterator<Item = &[u8]>> {
    let states = states.first().and_then(|states| states.as_binary_opt::<i64>());
    let states = states.ok_or_else(|| DataFusionError::Internal("a state should be bytes".to_owned()))?;
    Ok(states.iter().flatten())
}

/// A number that an aggregate is given with every row, and that is the same in all.
#[derive(Debug, Default)]
pub(crate) struct Constant(Option<f64>);

impl Constant {
    /// Takes it from rows, or from a state.
    pub(crate) fn take(&mut self, values: Option<&ArrayRef>) {
        let values = values.and_then(|values| values.as_primitive_opt::<Float64Type>());
        self.0 = self.0.or_else(|| values.and_then(|values| values.iter().flatten().next()));
    }

    /// The number; 1 where there was no row, and so nothing that it matters for.
    pub(crate) fn get(&self) -> f64 {
        self.0.unwrap_or(1.0)
    }

    /// The number as a state.
    pub(crate) const fn state(&self) -> ScalarValue {
        ScalarValue::Float64(self.0)
    }
}

/// Keys as a column, also where there are none.
pub(crate) fn key_column(keys: impl ExactSizeIterator<Item = [u8; KEY_BYTES]>) -> Result<ArrayRef> {
    let count = keys.len();
    Ok(Arc::new(FixedSizeBinaryArray::try_from_iter(keys.chain([[0; KEY_BYTES]]))?.slice(0, count)))
}

/// One list of structs, from their members as columns.
pub(crate) fn struct_list(item: FieldRef, fields: Fields, columns: Vec<ArrayRef>) -> Result<ScalarValue> {
    let structs = StructArray::try_new(fields, columns, None)?;
    let offsets = OffsetBuffer::from_lengths([structs.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(item, offsets, Arc::new(structs), None)?)))
}

/// An error of a kernel as one of a plan.
pub(crate) fn failed(error: KernelError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
