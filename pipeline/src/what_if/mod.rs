//! What another limit would drop, estimated before any run: the stages over events, up to the first that calls a
//! model, go over one sample of records twice, as the config has them and as they would be. Nothing is written.
//!
//! The sample takes whole authors, so that stages that look at an author's records see all of them.

mod counted;
mod estimate;
mod sample;
mod setting;
#[cfg(test)]
mod tests;
mod text;

pub use estimate::{Change, Estimate, Interval, SampleFacts, estimate};
pub use sample::SampleSize;
pub use setting::{Changed, Setting, changed};
