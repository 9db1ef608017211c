//! Columns of few different texts.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, StringViewArray, UInt32Builder};
use arrow::compute::take;
use arrow::error::ArrowError;

/// Builds a column whose value is nearly always that of the row before, and else one of few.
///
/// A row costs a comparison and a number; a text is kept once, or again where it was not met for long.
pub(super) struct Repeating {
    texts: Vec<String>,
    rows: UInt32Builder,
    /// The text of the last row that had one.
    last: usize,
}

/// Texts among which one is looked for.
const RECENT: usize = 16;

impl Repeating {
    /// A builder with room for `rows`.
    pub(super) fn new(rows: usize) -> Self {
        Self { texts: Vec::new(), rows: UInt32Builder::with_capacity(rows), last: 0 }
    }

    /// Adds a row without a text.
    pub(super) fn append_null(&mut self) {
        self.rows.append_null();
    }

    /// Adds a row.
    pub(super) fn append(&mut self, text: &str) {
        if self.texts.get(self.last).is_none_or(|last| last != text) {
            // One that was met longer ago is kept twice.
            let recent = self.texts.len().saturating_sub(RECENT);
            let known = self.texts[recent..].iter().rposition(|known| known == text);
            self.last = known.map_or(self.texts.len(), |known| recent + known);
            if known.is_none() {
                self.texts.push(text.to_owned());
            }
        }
        // A batch has fewer rows than that, and so fewer texts.
        self.rows.append_value(u32::try_from(self.last).unwrap_or(u32::MAX));
    }

    /// The column.
    ///
    /// # Errors
    /// Arrow's own.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let texts = StringViewArray::from_iter_values(std::mem::take(&mut self.texts));
        self.last = 0;
        // Nothing can be taken from no texts, not even nulls.
        let texts = if texts.is_empty() { StringViewArray::new_null(1) } else { texts };
        let texts: ArrayRef = Arc::new(texts);
        take(&texts, &self.rows.finish(), None)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in() {
        let long = "a text of more than twelve bytes";
        let many: Vec<String> = (0..100).map(|n| (n % 40).to_string()).collect();
        for rows in [
            many.iter().map(|text| Some(text.as_str())).collect(),
            vec![],
            vec![None, None],
            vec![Some("a"), Some("a"), None, Some("a"), Some(long), Some("a"), Some(long), Some(long)],
        ] {
            let mut column = Repeating::new(4);
            for _ in 0..2 {
                for row in rows.iter().copied() {
                    match row {
                        Some(text) => column.append(text),
                        None => column.append_null(),
                    }
                }
                let built = column.finish().unwrap();
                assert_eq!(built.as_string_view().iter().collect::<Vec<_>>(), rows);
            }
        }
    }
}
