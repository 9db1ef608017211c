//! Aggregates that find repeats among signatures.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, Float64Array, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, UInt32Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::prelude::{Expr, lit};
use genome_kernels::dedup::from_bytes;
use genome_kernels::dedup::sharing::BandTable;
use genome_kernels::dedup::survivors::{Digest, Texts};
use genome_schemas::key_type;

use super::signature::Precedence;
use super::{Constant, binaries, failed, key_column, keys, state_bytes, struct_list};

/// The texts that share a band with another, as a list of the numbers that stand for them; of known ones those that share
/// it with one that is not.
pub(crate) fn sharing_texts(text: Expr, bands: Expr, is_known: Expr) -> Expr {
    let inputs = vec![DataType::UInt32, DataType::BinaryView, DataType::Boolean];
    let signature = Signature::exact(inputs, Volatility::Immutable);
    AggregateUDF::from(SharingTexts { signature }).call(vec![text, bands, is_known])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SharingTexts {
    signature: Signature,
}

impl AggregateUDFImpl for SharingTexts {
    fn name(&self) -> &'static str {
        "sharing_texts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _inputs: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(number_field()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[bands]", args.name), DataType::LargeBinary, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SharingAccumulator::default()))
    }
}

#[derive(Debug, Default)]
struct SharingAccumulator {
    table: BandTable,
}

impl Accumulator for SharingAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let texts = values.first().and_then(|texts| texts.as_primitive_opt::<UInt32Type>());
        let texts = texts.ok_or_else(|| DataFusionError::Internal("a text should be a number".to_owned()))?;
        let known = values.get(2).and_then(|known| known.as_boolean_opt());
        let known =
            known.ok_or_else(|| DataFusionError::Internal("`is_known` is no truth value".to_owned()))?;
        for ((text, bands), is_known) in texts.iter().zip(binaries(values, 1)?).zip(known) {
            if let (Some(text), Some(bands)) = (text, bands) {
                let bands = from_bytes(bands);
                let added = match is_known {
                    Some(true) => self.table.add_given(text, bands),
                    _ => self.table.add(text, bands),
                };
                added.map_err(failed)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in state_bytes(states)? {
            self.table.merge_bytes(bytes).map_err(failed)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::LargeBinary(Some(std::mem::take(&mut self.table).to_bytes()))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let texts = UInt32Array::from(std::mem::take(&mut self.table).sharing());
        let offsets = OffsetBuffer::from_lengths([texts.len()]);
        Ok(ScalarValue::List(Arc::new(ListArray::try_new(number_field(), offsets, Arc::new(texts), None)?)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.table.size()
    }
}

fn number_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::UInt32, true))
}

/// The texts that leave for an alike one that stays, as a list of {`digest`, `survivor`, `similarity`, `own_repeats`}; see
/// [`Texts`].
pub(crate) fn near_repeats(
    precedence: Expr,
    digest: Expr,
    bands: Expr,
    shingles: Expr,
    threshold: f64,
) -> Expr {
    let binary = || DataType::BinaryView;
    let inputs = vec![binary(), key_type(), binary(), binary(), DataType::Float64];
    let signature = Signature::exact(inputs, Volatility::Immutable);
    let arguments = vec![precedence, digest, bands, shingles, lit(threshold)];
    AggregateUDF::from(NearRepeats { signature }).call(arguments)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NearRepeats {
    signature: Signature,
}

impl AggregateUDFImpl for NearRepeats {
    fn name(&self) -> &'static str {
        "near_repeats"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _inputs: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(repeat_field()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field =
            |name: &str, data_type| Arc::new(Field::new(format!("{}[{name}]", args.name), data_type, true));
        Ok(vec![field("texts", DataType::LargeBinary), field("threshold", DataType::Float64)])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(NearAccumulator { texts: Texts::default(), threshold: Constant::default() }))
    }
}

#[derive(Debug)]
struct NearAccumulator {
    texts: Texts,
    threshold: Constant,
}

impl Accumulator for NearAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (precedences, digests) = (binaries(values, 0)?, keys(values, 1)?);
        let (bands, shingles) = (binaries(values, 2)?, binaries(values, 3)?);
        for row in 0..digests.len() {
            let is_whole = precedences.is_valid(row) && digests.is_valid(row) && bands.is_valid(row);
            if is_whole && shingles.is_valid(row) {
                let mut digest = Digest::default();
                digest.copy_from_slice(digests.value(row));
                let (bands, shingles) = (from_bytes(bands.value(row)), from_bytes(shingles.value(row)));
                let precedence = precedences.value(row);
                let standing = Precedence::of(precedence)?;
                if standing.known().is_some() {
                    self.texts.add_given(precedence, digest, bands, shingles);
                } else {
                    self.texts.add(precedence, digest, standing.author(), bands, shingles);
                }
            }
        }
        self.threshold.take(values.get(4));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in state_bytes(states)? {
            self.texts.merge_bytes(bytes).map_err(failed)?;
        }
        self.threshold.take(states.get(1));
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let texts = std::mem::take(&mut self.texts);
        Ok(vec![ScalarValue::LargeBinary(Some(texts.to_bytes())), self.threshold.state()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let found = self.texts.repeats(self.threshold.get());
        let columns: Vec<ArrayRef> = vec![
            key_column(found.iter().map(|repeat| repeat.digest))?,
            Arc::new(BinaryViewArray::from_iter_values(found.iter().map(|repeat| repeat.survivor))),
            Arc::new(found.iter().map(|repeat| Some(repeat.similarity)).collect::<Float64Array>()),
            Arc::new(found.iter().map(|repeat| Some(repeat.own_repeats)).collect::<UInt32Array>()),
        ];
        struct_list(repeat_field(), repeat_fields(), columns)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.texts.size()
    }
}

fn repeat_fields() -> Fields {
    vec![
        Field::new("digest", key_type(), true),
        Field::new("survivor", DataType::BinaryView, true),
        Field::new("similarity", DataType::Float64, true),
        Field::new("own_repeats", DataType::UInt32, true),
    ]
    .into()
}

fn repeat_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(repeat_fields()), true))
}
