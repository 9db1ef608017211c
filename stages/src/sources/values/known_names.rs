//! The names of fields that come next, guessed from the records before.

use super::scanner::FieldNames;

/// Names of fields in the order in which records have them, learnt from the records so far.
///
/// A field that most records lack stands in its place all the same: the name that comes is looked for a little ahead.
#[derive(Debug, Default)]
pub(super) struct KnownNames {
    names: Vec<KnownName>,
    next: usize,
}

#[derive(Debug)]
struct KnownName {
    /// The record that it was met in, by the address of its names.
    record: usize,
    /// With its quotes.
    quoted: Box<[u8]>,
    /// The first bytes of it in one number, and which bits of a number that are.
    begin: u128,
    begin_mask: u128,
    field: Option<usize>,
}

impl KnownName {
    fn new(record: usize, quoted: &[u8], field: Option<usize>) -> Self {
        let mut begin = [0; 16];
        let length = quoted.len().min(begin.len());
        begin[..length].copy_from_slice(&quoted[..length]);
        let begin_mask = u128::MAX >> (8 * (begin.len() - length));
        Self { record, quoted: quoted.into(), begin: u128::from_le_bytes(begin), begin_mask, field }
    }

    /// Whether `rest` begins with it.
    fn begins(&self, rest: &[u8]) -> bool {
        let Some(begin) = rest.first_chunk() else { return rest.starts_with(&self.quoted) };
        u128::from_le_bytes(*begin) & self.begin_mask == self.begin
            && (self.quoted.len() <= begin.len() || rest.starts_with(&self.quoted))
    }
}

/// Names that are remembered, and how many of them are looked through for one that comes early.
const MAX_NAMES: usize = 256;
const MAX_AHEAD: usize = 16;
/// Longer names are none, but texts behind a quote that is missing.
const MAX_NAME_BYTES: usize = 64;

impl KnownNames {
    pub(super) fn rewound(self) -> Self {
        Self { next: 0, ..self }
    }

    /// The length of the expected name and its field, if `rest` begins with it.
    #[inline]
    pub(super) fn expected(&mut self, fields: FieldNames, rest: &[u8]) -> Option<(usize, Option<usize>)> {
        let known = self.names.get(self.next)?;
        if known.record != fields.as_ptr().addr() || !known.begins(rest) {
            return None;
        }
        self.next += 1;
        Some((known.quoted.len(), known.field))
    }

    /// Notes that `quoted` came next.
    pub(super) fn learn(&mut self, fields: FieldNames, quoted: &[u8], field: Option<usize>) {
        let record = fields.as_ptr().addr();
        let mut ahead = self.names[self.next..].iter().take(MAX_AHEAD);
        if let Some(skipped) = ahead.position(|known| known.record == record && *known.quoted == *quoted) {
            self.next += skipped + 1;
        } else if quoted.len() <= MAX_NAME_BYTES {
            if self.names.len() == MAX_NAMES {
                // Records are not alike, or not any more.
                self.names.clear();
                self.next = 0;
            }
            self.names.insert(self.next, KnownName::new(record, quoted, field));
            self.next += 1;
        }
    }
}
