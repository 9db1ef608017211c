//! The machine around the stages: config, planning, store, session, shards, training loops, command line.

pub mod cli;
pub mod commands;
pub mod config;
pub mod endpoint;
pub mod engines;
pub mod error;
pub mod export;
pub mod json_rows;
pub mod ledger;
pub mod memory;
pub mod models;
pub mod outside;
pub mod plan;
pub mod preview;
pub mod progress;
pub mod report;
pub mod run;
pub mod session;
pub mod shards;
pub mod store;
pub mod text_index;
pub mod train;
pub mod what_if;
