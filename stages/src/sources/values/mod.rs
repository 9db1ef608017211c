//! From bytes to values: JSON whose types drift, texts as platforms escape them, times in many dialects.

pub(super) mod encoding;
pub(super) mod fields;
pub(super) mod html;
pub(super) mod json;
mod known_names;
pub(super) mod outline;
pub(super) mod python;
pub(super) mod scanner;
pub(super) mod text;
pub(super) mod time;
