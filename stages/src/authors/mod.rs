//! Authors: who is a person, who has enough to say, and each person's history.
//!
//! - [`AuthorHistory`]: accounts whose whole history is that of a program or of spam leave;
//! - [`AuthorActivity`]: people with too few events, or on too few days, leave;
//! - [`KCore`]: reviews of people with too few items, and of items with too few people, leave;
//! - [`GroupAuthors`]: one row for each person.

mod activity;
mod group;
mod history;
mod k_core;

pub use activity::AuthorActivity;
pub use group::GroupAuthors;
pub use history::AuthorHistory;
pub use k_core::{KCore, Within};
