//! From what the plan gives to rows of the ledger: places get names, reasons an order.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use arrow::compute::cast;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray as _, ListArray, ListBuilder, StringBuilder, StructBuilder, UInt64Builder,
    new_null_array,
};
use datafusion::arrow::datatypes::{DataType, Field, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use genome_schemas::{Outcome, ledger, shard_row_fields};

use super::endings::LISTS;
use super::places::{Place, ShardPlaces};

/// Why a kept row ended in no shard if nothing was made of it.
const NO_EXAMPLE: &str = "no example";

/// Makes rows of the ledger.
pub(super) struct Decoder {
    shards: Option<ShardPlaces>,
}

impl Decoder {
    /// For rows with places in these shards; without, for a config that writes none.
    pub(super) fn new(shards: Option<ShardPlaces>) -> Self {
        Self { shards }
    }

    /// The rows as table `ledger`.
    pub(super) fn decode(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let table = ledger();
        let (shards, unused) = if let Some(places) = &self.shards {
            endings(rows, &places.names(), &places.tasks())?
        } else {
            let of = |name: &str| -> Result<ArrayRef> {
                Ok(new_null_array(table.schema.field_with_name(name)?.data_type(), rows.num_rows()))
            };
            (of("shards")?, of("unused")?)
        };
        let columns = table.schema.fields().iter().map(|field| match field.name().as_str() {
            "shards" => Ok(Arc::clone(&shards)),
            "unused" => Ok(Arc::clone(&unused)),
            name => {
                let column = rows.column_by_name(name);
                let missing = || anyhow!("internal error: the ledger's plan has no `{name}`");
                Ok(cast(column.ok_or_else(missing)?, field.data_type())?)
            }
        });
        Ok(RecordBatch::try_new(Arc::clone(&table.schema), columns.collect::<Result<Vec<_>>>()?)?)
    }
}

/// The columns `shards` and `unused`.
fn endings(rows: &RecordBatch, shards: &[String], tasks: &[String]) -> Result<(ArrayRef, ArrayRef)> {
    let missing = |name: &str| anyhow!("internal error: the ledger's plan has no `{name}`");
    let list = |name: &str| -> Result<&ListArray> {
        rows.column_by_name(name).and_then(|column| column.as_list_opt()).ok_or_else(|| missing(name))
    };
    let [own, own_reasons, shared, shared_reasons] =
        [list(LISTS[0])?, list(LISTS[1])?, list(LISTS[2])?, list(LISTS[3])?];
    let outcomes = rows.column_by_name("outcome").and_then(|column| column.as_string_view_opt());
    let outcomes = outcomes.ok_or_else(|| missing("outcome"))?;
    let item = Field::new("item", DataType::Struct(shard_row_fields()), false);
    let mut places =
        ListBuilder::new(StructBuilder::from_fields(shard_row_fields(), rows.num_rows())).with_field(item);
    let mut unused = StringBuilder::new();
    for row in 0..rows.num_rows() {
        if outcomes.value(row) != Outcome::Kept.as_str() {
            places.append_null();
            unused.append_null();
            continue;
        }
        let mut ended: Vec<Place> = places_of(own, row)?;
        ended.extend(places_of(shared, row)?);
        ended.sort_unstable();
        for place in &ended {
            let (shard, row, task) = place.parts();
            let (Some(shard), Some(task)) = (shards.get(shard), tasks.get(task)) else {
                return Err(anyhow!("internal error: a place in a shard that is not there"));
            };
            append(places.values(), shard, row, task)?;
        }
        places.append(true);
        if ended.is_empty() {
            let mut reasons = reasons_of(own_reasons, row)?;
            reasons.extend(reasons_of(shared_reasons, row)?);
            let reasons: Vec<String> = reasons.into_iter().collect();
            unused.append_value(if reasons.is_empty() { NO_EXAMPLE.to_owned() } else { reasons.join(", ") });
        } else {
            unused.append_null();
        }
    }
    Ok((Arc::new(places.finish()), Arc::new(unused.finish())))
}

fn append(item: &mut StructBuilder, shard: &str, row: u64, task: &str) -> Result<()> {
    let wrong = || anyhow!("internal error: the ledger's list has other fields");
    item.field_builder::<StringBuilder>(0).ok_or_else(wrong)?.append_value(shard);
    item.field_builder::<UInt64Builder>(1).ok_or_else(wrong)?.append_value(row);
    item.field_builder::<StringBuilder>(2).ok_or_else(wrong)?.append_value(task);
    item.append(true);
    Ok(())
}

fn places_of(lists: &ListArray, row: usize) -> Result<Vec<Place>> {
    if lists.is_null(row) {
        return Ok(Vec::new());
    }
    let values = lists.value(row);
    let values = values.as_primitive_opt::<UInt64Type>();
    let values = values.ok_or_else(|| anyhow!("internal error: places are not numbers"))?;
    Ok(values.iter().flatten().map(Place).collect())
}

fn reasons_of(lists: &ListArray, row: usize) -> Result<BTreeSet<String>> {
    if lists.is_null(row) {
        return Ok(BTreeSet::new());
    }
    let values = cast(&lists.value(row), &DataType::Utf8)?;
    Ok(values.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
}
