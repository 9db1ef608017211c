//! From a dump file to bytes: where it lies, how it is packed, and where its lines and objects end.

pub(super) mod archive;
mod bzip2_blocks;
pub(super) mod container;
pub(super) mod elements;
pub(super) mod faults;
pub(super) mod frames;
pub(super) mod lines;
pub(super) mod location;
mod overlap;
pub(super) mod peek;
pub(super) mod read_ahead;
pub(super) mod remote;
