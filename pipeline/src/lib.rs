//! The machine around the stages.
