//! Where a reader puts what it finds: batches for the plan, counts for the account.

use std::io;
use std::ops::Range;

use arrow::array::RecordBatch;
use genome_schemas::Outcome;

use super::batches::{EventBuilder, FileFacts, MessageBuilder, Produces, Refused};
use super::bytes::faults::Faults;
use super::bytes::location::Location;
use super::config::SourceConfig;
use super::counts::FileReadCount;
use super::file_group::DumpFile;
use super::options::{ReaderOptions, TruncatedPolicy};
use super::record::Record;
use crate::StageError;

/// Why a reader stops before the end of its file.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody wants the rows any more.
    Cancelled,
    /// The file cannot be read further.
    Failed(StageError),
}

impl From<StageError> for Stop {
    fn from(error: StageError) -> Self {
        Self::Failed(error)
    }
}

impl From<arrow::error::ArrowError> for Stop {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Failed(error.into())
    }
}

/// What reading gives: the value, or why it stopped.
pub(super) type Read<T = ()> = Result<T, Stop>;

enum Builder {
    Events(Box<EventBuilder>),
    Messages(Box<MessageBuilder>),
}

/// Collects the rows of one file and sends them off in batches.
pub(super) struct Output<'a> {
    file: &'a DumpFile,
    facts: FileFacts<'a>,
    options: &'a ReaderOptions,
    produces: Produces,
    builder: Builder,
    rows: usize,
    bytes: usize,
    source_file: String,
    count: FileReadCount,
    faults: Faults,
    /// Takes a batch; false if nobody wants it.
    send: &'a mut dyn FnMut(RecordBatch) -> bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        file: &'a DumpFile,
        facts: FileFacts<'a>,
        options: &'a ReaderOptions,
        produces: Produces,
        send: &'a mut dyn FnMut(RecordBatch) -> bool,
    ) -> Self {
        // A record takes more of a file as a rule, packed or not.
        let expected = usize::try_from(file.bytes / 64).unwrap_or(usize::MAX);
        let rows = options.batch_rows.min(expected.max(64));
        let builder = match produces {
            Produces::Events => Builder::Events(Box::new(EventBuilder::new(rows))),
            Produces::Messages => Builder::Messages(Box::new(MessageBuilder::new())),
        };
        let count = FileReadCount {
            source: facts.config.name.clone(),
            path: file.location.to_string(),
            start: file.start(),
            name: file.name.clone(),
            yields_events: produces == Produces::Events,
            ..FileReadCount::default()
        };
        let source_file = file.name.clone();
        Self {
            file,
            facts,
            options,
            produces,
            builder,
            rows: 0,
            bytes: 0,
            source_file,
            count,
            faults: Faults::default(),
            send,
        }
    }

    /// What becomes of the records.
    pub(super) fn produces(&self) -> Produces {
        self.produces
    }

    pub(super) fn location(&self) -> &'a Location {
        &self.file.location
    }

    /// The part of the file that is to be read, if not all of it.
    pub(super) fn range(&self) -> Option<Range<u64>> {
        self.file.range.clone()
    }

    /// What the config says of the source.
    pub(super) fn source(&self) -> &'a SourceConfig {
        self.facts.config
    }

    pub(super) fn options(&self) -> &'a ReaderOptions {
        self.options
    }

    pub(super) fn facts(&self) -> &FileFacts<'a> {
        &self.facts
    }

    /// Where the failures of the disk or the network are noted.
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(super) fn source_file(&self) -> &str {
        &self.source_file
    }

    /// Name of the file itself, without the handles that are known to stand in it.
    pub(super) fn file_name(&self) -> &str {
        &self.count.name
    }

    /// Gives the file itself another name, for one that would tell a handle. Of `file!member` that is the part before
    /// the member; a member that leaves it as it is does not take back what another one has told.
    pub(super) fn rename_file(&mut self, name: &str) {
        // The name of a file can have the sign that stands before members, too.
        let signs = self.file.name.matches('!').count();
        let end = name.match_indices('!').nth(signs).map_or(name.len(), |(at, _)| at);
        let own = &name[..end];
        if own != self.file.name {
            own.clone_into(&mut self.count.name);
        }
    }

    /// Names the file or member that the following rows are located in.
    pub(super) fn set_source_file(&mut self, name: String) {
        self.source_file = name;
    }

    /// Counts a record that was found, before anything is known of it.
    pub(super) fn found(&mut self) {
        self.count.records += 1;
    }

    /// How many records could not be read yet.
    pub(super) fn malformed_so_far(&self) -> u64 {
        self.count.malformed
    }

    /// Counts decompressed bytes.
    pub(super) fn read_bytes(&mut self, bytes: u64) {
        self.count.bytes += bytes;
    }

    /// Counts values of the record at `offset` that had to be given up.
    pub(super) fn conflicts(&mut self, fields: impl Iterator<Item = &'static str>, offset: u64) {
        for field in fields {
            self.count.conflict(field, &self.source_file, offset);
        }
    }

    /// Adds a record that was read.
    pub(super) fn record(&mut self, record: Record<'_>) -> Read {
        match &mut self.builder {
            Builder::Events(builder) => {
                let (bytes, lossy) = builder.record(&self.facts, &self.source_file, record)?;
                self.count.lossy += u64::from(lossy);
                self.added(bytes)
            }
            Builder::Messages(builder) => match builder.record(&self.facts, &record) {
                Some(bytes) => self.added(bytes),
                None => Ok(()),
            },
        }
    }

    /// Adds a row for something at `offset` that is nobody's doing: a notice of the platform, a page without records.
    pub(super) fn notice(&mut self, rule: &'static str, offset: u64, native_id: Option<&str>) -> Read {
        match &mut self.builder {
            Builder::Events(builder) => {
                let refused = Refused { outcome: Outcome::Notice, rule, offset, native_id };
                builder.refused(&self.facts, &self.source_file, &refused)?;
                self.added(200)
            }
            Builder::Messages(_) => Ok(()),
        }
    }

    /// Adds a row for the record at `offset` that could not be read; where records are only messages, notes it.
    pub(super) fn malformed(&mut self, rule: &'static str, offset: u64) -> Read {
        self.count.malformed += 1;
        match &mut self.builder {
            Builder::Events(builder) => {
                let refused = Refused { outcome: Outcome::Malformed, rule, offset, native_id: None };
                builder.refused(&self.facts, &self.source_file, &refused)?;
                self.added(200)
            }
            Builder::Messages(_) => {
                self.count.pass_over(rule, &self.source_file, offset);
                Ok(())
            }
        }
    }

    /// Stops if the disk or the network has failed, whatever the policy: the file may be whole.
    fn without_faults(&self) -> Read {
        self.faults.first().map_or(Ok(()), |fault| {
            let reason = format!("cannot be read: {fault}; what was read of it is not stored, so run again");
            Err(Stop::Failed(StageError::Input { path: self.file.location.to_string(), reason }))
        })
    }

    /// Ends a stream that breaks off at `offset`, by the policy of the options.
    pub(super) fn broken(&mut self, offset: u64, error: &io::Error) -> Read {
        self.without_faults()?;
        if self.options.on_truncated == TruncatedPolicy::Keep {
            self.found();
            return self.malformed("truncated_file", offset);
        }
        self.flush()?;
        let member = self.source_file.split_once('!').map(|(_, member)| format!("member {member}, "));
        let reason = format!(
            "breaks off or is corrupt ({}byte {offset} after decompression, {} records before it): {error}; \
             download it again and check its hash, or set `on_truncated = \"keep\"` to go on with what can be read",
            member.unwrap_or_default(),
            self.count.records,
        );
        Err(Stop::Failed(StageError::Input { path: self.file.location.to_string(), reason }))
    }

    /// Passes over a file or member that cannot be opened, by the policy of the options.
    pub(super) fn unreadable(&mut self, error: StageError) -> Read {
        self.without_faults()?;
        if self.options.on_truncated == TruncatedPolicy::Keep {
            self.found();
            return self.malformed("unreadable_file", 0);
        }
        Err(Stop::Failed(error))
    }

    /// Sends the last rows and gives the counts of the whole file.
    pub(super) fn finish(mut self, result: Read) -> (FileReadCount, Read) {
        let result = result.and_then(|()| self.without_faults()).and_then(|()| self.flush());
        self.count.complete = result.is_ok();
        (self.count, result)
    }

    fn added(&mut self, bytes: usize) -> Read {
        self.rows += 1;
        self.bytes += bytes;
        if self.rows >= self.options.batch_rows || self.bytes >= self.options.batch_bytes {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Read {
        if self.rows == 0 {
            return Ok(());
        }
        let batch = match &mut self.builder {
            Builder::Events(builder) => builder.finish()?,
            Builder::Messages(builder) => builder.finish()?,
        };
        (self.rows, self.bytes) = (0, 0);
        if (self.send)(batch) { Ok(()) } else { Err(Stop::Cancelled) }
    }
}
