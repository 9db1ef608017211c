//! The history of an account as an aggregate over its posts.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Float64Array, StructArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility, cast,
};
use datafusion::prelude::Expr;
use genome_kernels::history::{History, HistoryMeasures};

use super::{failed, string_at, strings};

/// What a history tells of an account, as a struct of numbers: the fields of [`HistoryMeasures`].
///
/// `at` is a time in microseconds or null, `text` what the post says. Order and partitions do not matter.
pub fn author_history(at: Expr, text: Expr) -> Expr {
    let signature = Signature::exact(vec![DataType::Int64, DataType::Utf8View], Volatility::Immutable);
    AggregateUDF::from(AuthorHistoryFunction { signature }).call(vec![cast(at, DataType::Int64), text])
}

/// A measure and its name.
type Field64 = (&'static str, fn(&HistoryMeasures) -> Option<f64>);

/// The fields of the struct.
const MEASURES: [Field64; 13] = [
    ("events", |m| Some(m.events)),
    ("separate_events", |m| Some(m.separate_events)),
    ("timed_events", |m| Some(m.timed_events)),
    ("active_hours", |m| Some(m.active_hours)),
    ("per_active_hour", |m| m.per_active_hour),
    ("per_active_day", |m| m.per_active_day),
    ("busiest_minute", |m| m.busiest_minute),
    ("median_gap_minutes", |m| m.median_gap_minutes),
    ("tireless_days", |m| m.tireless_days),
    ("template_share", |m| Some(m.template_share)),
    ("copy_share", |m| Some(m.copy_share)),
    ("link_share", |m| Some(m.link_share)),
    ("link_entropy", |m| m.link_entropy),
];

#[derive(Debug, PartialEq, Eq, Hash)]
struct AuthorHistoryFunction {
    signature: Signature,
}

impl AggregateUDFImpl for AuthorHistoryFunction {
    fn name(&self) -> &'static str {
        "author_history"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _inputs: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[history]", args.name), DataType::Binary, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneHistory(History::default())))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Histories::default()))
    }
}

/// The posts of one account.
#[derive(Debug)]
struct OneHistory(History);

impl Accumulator for OneHistory {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_post(values, |_, at, text| self.0.add(at, text))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        each_state(states, |_, history| self.0.merge(&history))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.0.to_bytes()))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Struct(Arc::new(measured(std::slice::from_ref(&self.0))?)))
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

/// The posts of many accounts.
#[derive(Debug, Default)]
struct Histories {
    histories: Vec<History>,
    /// What they hold on the heap. Adding it up anew for each batch would take longer than the batch.
    bytes: usize,
}

impl Histories {
    fn change(&mut self, group: usize, change: impl FnOnce(&mut History)) {
        if let Some(history) = self.histories.get_mut(group) {
            let before = history.size();
            change(history);
            self.bytes = (self.bytes + history.size()).saturating_sub(before);
        }
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<History> {
        let taken = emit_to.take_needed(&mut self.histories);
        let bytes: usize = taken.iter().map(|history| history.size() - size_of::<History>()).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        taken
    }
}

impl GroupsAccumulator for Histories {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.histories.resize_with(total, History::default);
        each_post(values, |row, at, text| {
            if let Some(group) = groups.get(row).filter(|_| is_in(filter, row)) {
                self.change(*group, |history| history.add(at, text));
            }
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.histories.resize_with(total, History::default);
        each_state(states, |row, other| {
            if let Some(group) = groups.get(row) {
                self.change(*group, |history| history.merge(&other));
            }
        })
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut states = BinaryBuilder::new();
        each_post(values, |row, at, text| {
            let mut history = History::default();
            if is_in(filter, row) {
                history.add(at, text);
            }
            states.append_value(history.to_bytes());
        })?;
        Ok(vec![Arc::new(states.finish())])
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let histories = self.take(emit_to);
        Ok(Arc::new(measured(&histories)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let histories = self.take(emit_to);
        let states = BinaryArray::from_iter_values(histories.iter().map(History::to_bytes));
        Ok(vec![Arc::new(states)])
    }

    fn size(&self) -> usize {
        self.histories.capacity() * size_of::<History>() + self.bytes
    }
}

fn is_in(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

/// Calls `add` with the row, time and text of every post; a post without text is an empty one.
fn each_post(values: &[ArrayRef], mut add: impl FnMut(usize, Option<i64>, &str)) -> Result<()> {
    let times = values.first().and_then(|times| times.as_primitive_opt::<Int64Type>());
    let times = times.ok_or_else(|| DataFusionError::Internal("times should be whole numbers".to_owned()))?;
    let texts = strings(values, 1)?;
    for row in 0..times.len() {
        let at = times.is_valid(row).then(|| times.value(row));
        add(row, at, string_at(texts, row).unwrap_or_default());
    }
    Ok(())
}

/// Calls `add` with the row and history of every state.
fn each_state(states: &[ArrayRef], mut add: impl FnMut(usize, History)) -> Result<()> {
    let states = states.first().and_then(|states| states.as_binary_opt::<i32>());
    let states = states.ok_or_else(|| DataFusionError::Internal("a state should be bytes".to_owned()))?;
    for (row, bytes) in states.iter().enumerate() {
        if let Some(bytes) = bytes {
            add(row, History::from_bytes(bytes).map_err(failed)?);
        }
    }
    Ok(())
}

fn fields() -> Fields {
    MEASURES.iter().map(|(name, _)| Field::new(*name, DataType::Float64, true)).collect()
}

fn measured(histories: &[History]) -> Result<StructArray> {
    let measures: Vec<HistoryMeasures> = histories.iter().map(History::measures).collect();
    let columns = MEASURES
        .iter()
        .map(|(_, value)| Arc::new(measures.iter().map(value).collect::<Float64Array>()) as ArrayRef);
    Ok(StructArray::try_new(fields(), columns.collect(), None)?)
}
