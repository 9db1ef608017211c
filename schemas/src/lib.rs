//! The vocabulary of the Cognitive Genome builder: data types and checks, nothing that runs.
//!
//! Tables, in the order a row meets them: [`events()`] → [`authors()`] → [`completions()`] → [`judgements()`] →
//! [`examples()`]. [`signatures()`] and [`embeddings()`] stand beside events, [`ledger()`] over all. A row of any table
//! leaves by an [`Outcome`], is identified by a [`Key`], and rests in an artifact described by a [`Manifest`] under a
//! [`Fingerprint`].

mod authors;
mod completions;
mod embeddings;
mod events;
mod examples;
mod fingerprint;
mod judgements;
mod key;
mod ledger;
mod manifest;
mod message;
mod outcome;
mod platform;
mod signatures;
mod table;

pub use authors::{author_event_fields, authors};
pub use completions::completions;
pub use embeddings::{embeddings, vector_type};
pub use events::{events, redaction_list_type};
pub use examples::examples;
pub use fingerprint::{Fingerprint, FingerprintHasher};
pub use judgements::judgements;
pub use key::{KEY_BYTES, Key, KeyDomain, KeyHasher, key_type};
pub use ledger::{LEDGER_COLUMNS, ledger, ledger_fields, shard_row_fields, shard_rows_type};
pub use manifest::{Component, FileCount, Freshness, Lost, Manifest, StaleReason};
pub use message::{Message, message_fields, message_list_type, message_type};
pub use outcome::{Outcome, UnknownOutcome};
pub use platform::{EventKind, Platform};
pub use signatures::{signatures, text_index};
pub use table::{ContractError, Table, all_tables};
