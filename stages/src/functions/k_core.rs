//! The core of a graph of people and items as an aggregate over its pairs.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, ListArray, StringViewArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::prelude::Expr;
use genome_kernels::kcore::{CoreLimits, CoreRule, Interactions};

use super::{failed, state_bytes, string_at, strings};

/// The pairs outside of the core, as a list of {`author_id`, `item_id`, `rule`, `measured`}. A pair counts once,
/// however often it is there; pairs with a null do not count.
pub(crate) fn pairs_outside_core(author: Expr, item: Expr, limits: CoreLimits) -> Expr {
    let signature = Signature::exact(vec![DataType::Utf8View, DataType::Utf8View], Volatility::Immutable);
    let CoreLimits { user, item: of_item, top_items } = limits;
    let function = CoreFunction { signature, user, item: of_item, top_items: top_items.to_bits() };
    AggregateUDF::from(function).call(vec![author, item])
}

/// The name of a rule in the ledger.
pub(crate) const fn core_rule_name(rule: CoreRule) -> &'static str {
    match rule {
        CoreRule::TopItems => "top_item_share",
        CoreRule::User => "min_user_events",
        CoreRule::Item => "min_item_events",
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CoreFunction {
    signature: Signature,
    user: u32,
    item: u32,
    /// The bits of the share: functions are compared.
    top_items: u64,
}

impl AggregateUDFImpl for CoreFunction {
    fn name(&self) -> &'static str {
        "pairs_outside_core"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _inputs: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item_field()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[pairs]", args.name), DataType::LargeBinary, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let limits =
            CoreLimits { user: self.user, item: self.item, top_items: f64::from_bits(self.top_items) };
        Ok(Box::new(CoreAccumulator { limits, pairs: Interactions::default() }))
    }
}

#[derive(Debug)]
struct CoreAccumulator {
    limits: CoreLimits,
    pairs: Interactions,
}

impl Accumulator for CoreAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (users, items) = (strings(values, 0)?, strings(values, 1)?);
        for row in 0..users.len() {
            if let (Some(user), Some(item)) = (string_at(users, row), string_at(items, row)) {
                self.pairs.add(user, item).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        state_bytes(states)?.try_for_each(|bytes| self.pairs.merge_bytes(bytes).map_err(failed))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::LargeBinary(Some(self.pairs.to_bytes()))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let outside = self.pairs.outside_core(self.limits);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from_iter_values(outside.iter().map(|pair| pair.user))),
            Arc::new(StringViewArray::from_iter_values(outside.iter().map(|pair| pair.item))),
            Arc::new(StringViewArray::from_iter_values(outside.iter().map(|pair| core_rule_name(pair.rule)))),
            Arc::new(outside.iter().map(|pair| Some(pair.measured)).collect::<Float64Array>()),
        ];
        let offsets = OffsetBuffer::from_lengths([outside.len()]);
        let pairs = StructArray::try_new(fields(), columns, None)?;
        Ok(ScalarValue::List(Arc::new(ListArray::try_new(item_field(), offsets, Arc::new(pairs), None)?)))
    }

    fn size(&self) -> usize {
        self.pairs.size()
    }
}

fn fields() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8View, true);
    vec![text("author_id"), text("item_id"), text("rule"), Field::new("measured", DataType::Float64, true)]
        .into()
}

fn item_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(fields()), true))
}
