//! Keys in plans.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeBinaryBuilder, Float64Array, StringViewBuilder, UInt32Array, UInt64Array,
};
use arrow::datatypes::DataType;
use datafusion::prelude::Expr;
use genome_kernels::text::sentences::opening;
use genome_schemas::{KEY_BYTES, Key, KeyDomain, key_type};

use super::{array_function, keys, string_at, strings};

/// The key of a row from string columns; null parts count as absent, which differs from empty.
pub fn row_key(domain: &'static str, parts: Vec<Expr>) -> Expr {
    let name = format!("row_key[{domain}, {}]", parts.len());
    let inputs = vec![DataType::Utf8View; parts.len()];
    let domain = KeyDomain::new(domain);
    array_function(&name, inputs, key_type(), move |args| {
        let rows = args.first().map_or(0, |a| a.len());
        let columns = (0..args.len()).map(|i| strings(args, i)).collect::<Result<Vec<_>, _>>()?;
        let mut out = FixedSizeBinaryBuilder::with_capacity(rows, 16);
        for row in 0..rows {
            let hasher =
                columns.iter().fold(domain.hasher(), |hasher, column| match string_at(column, row) {
                    Some(text) => hasher.part([1]).part(text),
                    None => hasher.part([0]),
                });
            out.append_value(hasher.finish().0)?;
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(parts)
}

/// A key of the first words of a text, see [`opening`]; null for a text of fewer than `fewest`.
pub(crate) fn opening_key(text: Expr, fewest: usize, most: usize) -> Expr {
    let domain = KeyDomain::new("genome opening");
    let name = format!("opening_key[{fewest}, {most}]");
    array_function(&name, vec![DataType::Utf8View], key_type(), move |args| {
        let texts = strings(args, 0)?;
        let mut out = FixedSizeBinaryBuilder::new(16);
        for text in texts {
            match text.and_then(|text| opening(text, fewest, most)) {
                Some(opening) => out.append_value(domain.hasher().part(opening).finish().0)?,
                None => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![text])
}

/// A key in hex.
pub fn key_hex(key: Expr) -> Expr {
    array_function("key_hex", vec![key_type()], DataType::Utf8View, |args| {
        let mut out = StringViewBuilder::new();
        for key in keys(args, 0)? {
            out.append_option(key.map(|bytes| as_key(bytes).to_hex()));
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![key])
}

/// A number in `0.0..1.0` that depends on the key alone.
pub fn key_fraction(key: Expr) -> Expr {
    array_function("key_fraction", vec![key_type()], DataType::Float64, |args| {
        let values = keys(args, 0)?.iter().map(|key| {
            // 53 bits fill the mantissa of a double.
            key.map(|bytes| (as_key(bytes).seed() >> 11) as f64 / (1_u64 << 53) as f64)
        });
        Ok(Arc::new(values.collect::<Float64Array>()) as ArrayRef)
    })
    .call(vec![key])
}

/// The first eight bytes of a key as a number; null for null.
pub(crate) fn key_number(key: Expr) -> Expr {
    array_function("key_number", vec![key_type()], DataType::UInt64, |args| {
        let values = keys(args, 0)?.iter().map(|key| key.map(|bytes| as_key(bytes).seed()));
        Ok(Arc::new(values.collect::<UInt64Array>()) as ArrayRef)
    })
    .call(vec![key])
}

/// The first four bytes of a key as a number; null for null.
#[expect(clippy::cast_possible_truncation, reason = "the first four of eight bytes are wanted")]
pub(crate) fn short_number(key: Expr) -> Expr {
    array_function("short_number", vec![key_type()], DataType::UInt32, |args| {
        let values = keys(args, 0)?.iter().map(|key| key.map(|bytes| as_key(bytes).seed() as u32));
        Ok(Arc::new(values.collect::<UInt32Array>()) as ArrayRef)
    })
    .call(vec![key])
}

pub(crate) fn as_key(bytes: &[u8]) -> Key {
    let mut key = [0; KEY_BYTES];
    let len = bytes.len().min(KEY_BYTES);
    key[..len].copy_from_slice(&bytes[..len]);
    Key(key)
}
