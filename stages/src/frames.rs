//! Frames of one table, one after the other.

use datafusion::error::DataFusionError;
use datafusion::prelude::DataFrame;

/// All rows of several frames with the same columns; nothing if there is no frame.
///
/// # Errors
/// Their columns differ.
pub fn union_all(frames: impl IntoIterator<Item = DataFrame>) -> Result<Option<DataFrame>, DataFusionError> {
    frames.into_iter().try_fold(None, |all: Option<DataFrame>, frame| match all {
        None => Ok(Some(frame)),
        Some(others) => others.union(frame).map(Some),
    })
}
