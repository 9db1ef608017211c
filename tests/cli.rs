//! The real program: exit code, data and messages, as transcripts under `snapshots/cli/`.

mod bad_input;
mod commands;
mod decontaminate;
mod disk;
mod known;
mod ledger;
mod mistakes;
mod semantic;
mod synthesis;
mod what_if;
