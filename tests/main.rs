//! The one integration-test binary: what holds for the program as a whole.
//!
//! Nothing here needs a network or a downloaded model: answers come from a seeded toy model that is written as a
//! complete GGUF file. `UPDATE=1 cargo test --test it` rewrites the expectations under `cases/` and `snapshots/`,
//! which are then read as a diff.
#![expect(clippy::disallowed_methods, reason = "tests write folders of their own, never an artifact")]

#[cfg(test)]
mod answers;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod endpoint;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod real;
#[cfg(test)]
mod support;
#[cfg(test)]
mod truth;
