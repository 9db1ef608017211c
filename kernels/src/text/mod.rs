//! Text kernels: plain functions over `&str`, equal text in, equal answer out.
//!
//! - [`normalize`]: the normal form under which two texts count as the same;
//! - [`profile`]: numbers about a text, each with its range and the paper that uses it, counted once;
//! - [`repetition`]: the loops that a language model falls into;
//! - [`language`]: which language a text is in;
//! - [`pii`]: personal identifiers (e-mail addresses, phone numbers, …), found and replaced;
//! - [`advertising`]: advertising phrases and the words by which organisations describe themselves;
//! - [`passages`]: the lines of a text, known again wherever they stand;
//! - [`automation`]: words by which programs sign what they post;
//! - [`claims`]: names and numbers that a text states, held against what it was written from;
//! - [`assistant`]: words by which a model speaks of itself or of its task, and not as or about the person;
//! - [`sentences`]: sentences, and words in a row that two texts have in common;
//! - [`links`]: links and mentions, as all of the above see them.
//!
//! Characters are Unicode scalar values everywhere, offsets are bytes, ratios lie in `0.0..=1.0`, and the ratio of
//! a text without anything to count is 0.

pub mod advertising;
pub mod assistant;
pub mod automation;
pub mod claims;
mod folding;
pub mod language;
pub mod links;
pub mod normalize;
pub mod passages;
pub mod pii;
pub mod profile;
pub mod repetition;
pub mod sentences;
