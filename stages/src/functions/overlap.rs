//! What texts have in common with given ones, in plans.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::prelude::Expr;
use genome_kernels::dedup::overlap::{GivenTexts, Overlap};

use super::{array_function, string_at, strings};
use crate::decontaminate::rule_name;

/// Between the parts of what [`overlap`] says.
const BETWEEN: char = '\u{1f}';

/// Characters of a passage that are shown.
const SHOWN: usize = 160;

/// What the first of some texts that has anything in common with given ones has in common: rule, measure and what matched,
/// see [`overlap_part`]; null if none has. `name` tells the given texts from others.
pub(crate) fn overlap(name: &str, given: GivenTexts, texts: Vec<Expr>) -> Expr {
    array_function(
        &format!("overlap[{name}]"),
        vec![DataType::Utf8View; texts.len()],
        DataType::Utf8View,
        move |args| {
            let columns = (0..args.len()).map(|index| strings(args, index)).collect::<Result<Vec<_>, _>>()?;
            let rows = columns.first().map_or(0, |column| Array::len(*column));
            let mut finder = given.finder();
            let mut out = StringViewBuilder::with_capacity(rows);
            for row in 0..rows {
                let texts = columns.iter().filter_map(|column| string_at(column, row));
                let found = texts.filter_map(|text| finder.find(text));
                match found.min_by_key(|found| found.kind) {
                    Some(found) => out.append_value(described(&found)),
                    None => out.append_null(),
                }
            }
            Ok(Arc::new(out.finish()) as ArrayRef)
        },
    )
    .call(texts)
}

fn described(found: &Overlap<'_>) -> String {
    let mut passage: String = found.passage.chars().take(SHOWN).collect();
    if passage.len() < found.passage.len() {
        passage.push('…');
    }
    let passage = passage.replace(|c: char| c.is_control(), " ");
    format!("{}{BETWEEN}{}{BETWEEN}{}: {passage}", rule_name(found.kind), found.measure, found.name)
}

/// A part of what [`overlap`] says: 0 for the rule, 1 for the measure, 2 for what matched. Null for null.
pub(crate) fn overlap_part(found: Expr, part: u8) -> Expr {
    let name = format!("overlap_part[{part}]");
    array_function(&name, vec![DataType::Utf8View], DataType::Utf8View, move |args| {
        let all = strings(args, 0)?;
        let mut out = StringViewBuilder::with_capacity(all.len());
        for found in all {
            out.append_option(found.and_then(|found| found.splitn(3, BETWEEN).nth(usize::from(part))));
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![found])
}
