//! A person's history in the order of time.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::Expr;

use super::array_function;

/// Lists of structs with fields `at` and `key`, each list sorted by time and then key; without a time, last.
pub fn in_time_order(events: Expr, list_type: &DataType) -> Expr {
    array_function("in_time_order", vec![list_type.clone()], list_type.clone(), |args| {
        let lists = args[0]
            .as_list_opt::<i32>()
            .ok_or_else(|| DataFusionError::Internal("a history should be a list".to_owned()))?;
        sorted(lists)
    })
    .call(vec![events])
}

fn sorted(lists: &ListArray) -> Result<ArrayRef> {
    let wrong = || DataFusionError::Internal("a history should have `at` and `key`".to_owned());
    let events = lists.values().as_struct_opt().ok_or_else(wrong)?;
    let times = events
        .column_by_name("at")
        .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        .ok_or_else(wrong)?;
    let keys = events.column_by_name("key").and_then(|c| c.as_fixed_size_binary_opt()).ok_or_else(wrong)?;
    let compare = |a: &usize, b: &usize| -> Ordering {
        let by_time = match (times.is_valid(*a), times.is_valid(*b)) {
            (true, true) => times.value(*a).cmp(&times.value(*b)),
            (known, other) => other.cmp(&known),
        };
        by_time.then_with(|| keys.value(*a).cmp(keys.value(*b)))
    };
    // The permutation keeps every list within its own range, so that offsets and nulls stay as they are.
    let mut order: Vec<usize> = (0..events.len()).collect();
    for window in lists.offsets().windows(2) {
        let (start, end) = (usize::try_from(window[0]).unwrap_or(0), usize::try_from(window[1]).unwrap_or(0));
        if let Some(range) = order.get_mut(start..end) {
            range.sort_by(compare);
        }
    }
    let order: UInt64Array = order.into_iter().map(|i| i as u64).collect();
    let values = take(lists.values(), &order, None)?;
    let DataType::List(item) = lists.data_type() else { return Err(wrong()) };
    let nulls = lists.nulls().cloned();
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), lists.offsets().clone(), values, nulls)?))
}
