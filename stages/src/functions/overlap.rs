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
/// see [`overlap_part`]; null if none has. `name` tells the given texts from others, and each text stands behind the name of
/// its column.
pub(crate) fn overlap(name: &str, given: GivenTexts, texts: Vec<(&'static str, Expr)>) -> Expr {
    let (columns, texts): (Vec<&'static str>, Vec<Expr>) = texts.into_iter().unzip();
    array_function(
        &format!("overlap[{name}]"),
        vec![DataType::Utf8View; texts.len()],
        DataType::Utf8View,
        move |args| {
            let all = (0..args.len()).map(|index| strings(args, index)).collect::<Result<Vec<_>, _>>()?;
            let rows = all.first().map_or(0, |texts| Array::len(*texts));
            let mut finder = given.finder();
            let mut out = StringViewBuilder::with_capacity(rows);
            for row in 0..rows {
                let named = columns.iter().zip(&all);
                let texts = named.filter_map(|(column, texts)| Some((*column, string_at(texts, row)?)));
                let found = texts.filter_map(|(column, text)| Some((column, finder.find(text)?)));
                match found.min_by_key(|(_, found)| found.kind) {
                    Some((column, found)) => out.append_value(described(column, &found)),
                    None => out.append_null(),
                }
            }
            Ok(Arc::new(out.finish()) as ArrayRef)
        },
    )
    .call(texts)
}

fn described(column: &str, found: &Overlap<'_>) -> String {
    let mut passage: String = found.passage.chars().take(SHOWN).collect();
    if passage.len() < found.passage.len() {
        passage.push('…');
    }
    let passage = passage.replace(|c: char| c.is_control(), " ");
    let Overlap { kind, name, measure, .. } = found;
    format!("{}{BETWEEN}{measure}{BETWEEN}{name} in `{column}`: {passage}", rule_name(*kind))
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
