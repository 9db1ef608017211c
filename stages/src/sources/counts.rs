//! What the reader counted in each file: the independent side of every row account.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use genome_schemas::Lost;

/// What was found in one input file, counted while it was read and before any join.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileReadCount {
    /// Name of the source in the config.
    pub source: String,
    /// Path of the file as it was opened; it may hold a handle, and so stays with whoever runs the plan.
    pub path: String,
    /// Where the counted part of the file begins; 0 for a file that is read as a whole.
    pub start: u64,
    /// What rows call the file, without handles: the beginning of their `source_file`.
    pub name: String,
    /// Whether its records become events. False for product metadata, which is only context.
    pub yields_events: bool,
    /// Records found, malformed ones included; blank lines are no records. A stream that breaks off counts as one
    /// more record where the policy is to keep what can be read.
    pub records: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Records that could not be read.
    pub malformed: u64,
    /// Records that had bytes or characters replaced.
    pub lossy: u64,
    /// Values lost to their type, by field.
    pub type_conflicts: BTreeMap<&'static str, Lost>,
    /// Of a file that yields no events, records that could not be read, by rule: no row says so.
    pub unread: BTreeMap<&'static str, Lost>,
    /// Whether the file was read to its end; false if the plan stopped early or the file is broken.
    pub complete: bool,
}

impl FileReadCount {
    /// Counts a value of `field` that was lost in the record at `offset` of a file or member.
    pub(super) fn conflict(&mut self, field: &'static str, file: &str, offset: u64) {
        lose(&mut self.type_conflicts, field, file, offset);
    }

    /// Counts a record without a row that could not be read by `rule`, at `offset` of a file or member.
    pub(super) fn pass_over(&mut self, rule: &'static str, file: &str, offset: u64) {
        lose(&mut self.unread, rule, file, offset);
    }

    /// Adds what was found in a later part of the same file.
    fn add(&mut self, part: &Self) {
        self.records += part.records;
        self.bytes += part.bytes;
        self.malformed += part.malformed;
        self.lossy += part.lossy;
        self.complete &= part.complete;
        lose_more(&mut self.type_conflicts, &part.type_conflicts);
        lose_more(&mut self.unread, &part.unread);
    }
}

type Losses = BTreeMap<&'static str, Lost>;

/// Adds one loss.
fn lose(losses: &mut Losses, what: &'static str, file: &str, offset: u64) {
    let first = || Lost { count: 1, first_offset: offset, first_file: file.to_owned() };
    losses.entry(what).and_modify(|lost| lost.count += 1).or_insert_with(first);
}

/// Adds the losses of a later part of the same file.
fn lose_more(losses: &mut Losses, later: &Losses) {
    for (what, more) in later {
        losses.entry(*what).and_modify(|lost| lost.count += more.count).or_insert_with(|| more.clone());
    }
}

/// Counts of every file read so far, shared between a plan's readers and whoever ran the plan.
///
/// A file's count replaces the one from an earlier execution of the same plan, so running a plan twice does not
/// count twice. Files that are read again only to find context are not counted.
#[derive(Debug, Default)]
pub struct ReadCounts(Mutex<BTreeMap<(String, String, u64), FileReadCount>>);

impl ReadCounts {
    /// The counts by source and path, in that order; those of the parts of a file together.
    pub fn files(&self) -> Vec<FileReadCount> {
        let mut files: Vec<FileReadCount> = Vec::new();
        for part in self.lock().values() {
            match files.last_mut() {
                Some(file) if (&file.source, &file.path) == (&part.source, &part.path) => file.add(part),
                _ => files.push(part.clone()),
            }
        }
        files
    }

    /// Records of `source` that must be found again as rows of `events`.
    pub fn records_of(&self, source: &str) -> u64 {
        self.lock().values().filter(|c| c.source == source && c.yields_events).map(|c| c.records).sum()
    }

    pub(super) fn put(&self, count: FileReadCount) {
        self.lock().insert((count.source.clone(), count.path.clone(), count.start), count);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String, u64), FileReadCount>> {
        // A count is inserted whole, so a reader that panicked elsewhere cannot have left half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
