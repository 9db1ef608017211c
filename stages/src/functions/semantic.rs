//! Encoders and vectors in plans.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, Float64Array, ListBuilder, PrimitiveBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float32Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Signature, Volatility, create_udf,
};
use datafusion::prelude::{Expr, lit};
use genome_kernels::dedup::semantic::Vectors;
use genome_kernels::dedup::survivors::Digest;
use genome_schemas::{key_type, vector_type};

use super::{Constant, EngineSource, binaries, failed, key_column, keys, state_bytes, strings, struct_list};

/// The vectors of texts by an encoder.
pub(crate) fn embed(model: &str, engines: Arc<dyn EngineSource>, text: Expr) -> Expr {
    let (name, model) = (format!("embed[{model}]"), model.to_owned());
    // The planner must neither fold nor repeat a call.
    let volatility = Volatility::Volatile;
    let run = move |args: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let texts = strings(&arrays, 0)?;
        let texts: Vec<&str> = texts.iter().map(Option::unwrap_or_default).collect();
        let encoder = engines.encoder(&model).map_err(DataFusionError::Execution)?;
        let mut out = ListBuilder::new(PrimitiveBuilder::<Float32Type>::new());
        for vector in encoder.embed(&texts).map_err(failed)? {
            out.values().append_slice(&vector);
            out.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish()) as ArrayRef))
    };
    create_udf(&name, vec![DataType::Utf8View], vector_type(), volatility, Arc::new(run)).call(vec![text])
}

/// The texts that leave for one of like meaning that stays, as a list of {`text`, `survivor`, `similarity`}; see
/// [`Vectors`]. `text` tells one from others.
pub(crate) fn semantic_repeats(precedence: Expr, text: Expr, vector: Expr, threshold: f64) -> Expr {
    let inputs = vec![DataType::BinaryView, key_type(), vector_type(), DataType::Float64];
    let signature = Signature::exact(inputs, Volatility::Immutable);
    AggregateUDF::from(SemanticRepeats { signature }).call(vec![precedence, text, vector, lit(threshold)])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SemanticRepeats {
    signature: Signature,
}

impl AggregateUDFImpl for SemanticRepeats {
    fn name(&self) -> &'static str {
        "semantic_repeats"
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
        Ok(vec![field("vectors", DataType::LargeBinary), field("threshold", DataType::Float64)])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SemanticAccumulator { vectors: Vectors::default(), threshold: Constant::default() }))
    }
}

#[derive(Debug)]
struct SemanticAccumulator {
    vectors: Vectors,
    threshold: Constant,
}

impl Accumulator for SemanticAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let wrong = || DataFusionError::Internal("a vector should be a list of numbers".to_owned());
        let (precedences, texts) = (binaries(values, 0)?, keys(values, 1)?);
        let vectors = values.get(2).and_then(|vectors| vectors.as_list_opt::<i32>()).ok_or_else(wrong)?;
        for row in 0..texts.len() {
            if precedences.is_null(row) || texts.is_null(row) || vectors.is_null(row) {
                continue;
            }
            let vector = vectors.value(row);
            let vector = vector.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?;
            let mut text = Digest::default();
            text.copy_from_slice(texts.value(row));
            self.vectors.add(precedences.value(row), text, vector.values()).map_err(failed)?;
        }
        self.threshold.take(values.get(3));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in state_bytes(states)? {
            self.vectors.merge_bytes(bytes).map_err(failed)?;
        }
        self.threshold.take(states.get(1));
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let vectors = std::mem::take(&mut self.vectors);
        Ok(vec![ScalarValue::LargeBinary(Some(vectors.to_bytes())), self.threshold.state()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        #[expect(clippy::cast_possible_truncation, reason = "vectors have numbers of 32 bits")]
        let threshold = self.threshold.get() as f32;
        let found = self.vectors.repeats(threshold);
        let columns: Vec<ArrayRef> = vec![
            key_column(found.iter().map(|repeat| repeat.digest))?,
            Arc::new(BinaryViewArray::from_iter_values(found.iter().map(|repeat| repeat.survivor))),
            Arc::new(found.iter().map(|repeat| Some(repeat.similarity)).collect::<Float64Array>()),
        ];
        struct_list(repeat_field(), repeat_fields(), columns)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.vectors.size()
    }
}

fn repeat_fields() -> Fields {
    vec![
        Field::new("text", key_type(), true),
        Field::new("survivor", DataType::BinaryView, true),
        Field::new("similarity", DataType::Float64, true),
    ]
    .into()
}

fn repeat_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(repeat_fields()), true))
}
