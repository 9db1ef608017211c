//! The entries of an Atom feed one after the other, found by their tags alone.
//!
//! An XML parser gives up at its first error and loses the rest of the file. Here an entry is what stands between
//! `<entry` and `</entry`: texts have their brackets escaped, so nothing else looks like these.

use std::io::{self, Read};

use memchr::memmem;

use crate::sources::bytes::read_ahead::ReadAhead;

/// What is found in a feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// An entry without its end tag, and the offset of its beginning.
    Whole { bytes: &'a [u8], offset: u64 },
    /// One that is not closed before the next one begins, or the feed ends.
    Unclosed { offset: u64 },
    /// An end tag without a beginning.
    Unopened { offset: u64 },
    /// One over the limit, which was skipped.
    TooLong { offset: u64 },
    /// The stream ends inside one.
    Cut { offset: u64 },
}

const WORD: &[u8] = b"entry";
const FEED_END: &[u8] = b"</feed";
/// Bytes that are looked at again when more have been read: the longest tag, and the byte behind it.
const MARGIN: usize = 8;

/// Splits a feed into its entries.
pub(super) struct EntryReader<R> {
    source: ReadAhead<R>,
    limit: usize,
    /// Whether there was an entry and the feed was not closed behind it.
    open: bool,
}

impl<R: Read> EntryReader<R> {
    /// A reader whose entries have at most `limit` bytes.
    pub(super) fn new(stream: R, limit: usize) -> Self {
        Self { source: ReadAhead::new(stream), limit: limit.max(8 * MARGIN), open: false }
    }

    /// Bytes consumed so far.
    pub(super) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Whether the feed has entries and was not closed behind the last one.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The next entry, or none at the end of the stream.
    ///
    /// # Errors
    /// The stream's own.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry<'_>>> {
        let mut from = 0;
        loop {
            let (unread, ended) = (self.source.unread(), self.source.ended());
            if let Some(tag) = next_tag(unread, from, ended) {
                self.open = true;
                self.source.take(tag.start);
                if tag.opens {
                    return self.entry().map(Some);
                }
                let (_, offset) = self.source.take(tag.end - tag.start);
                return Ok(Some(Entry::Unopened { offset }));
            }
            if memmem::find(unread, FEED_END).is_some() {
                self.open = false;
            }
            if ended {
                self.source.take_all();
                return Ok(None);
            }
            let seen = unread.len().saturating_sub(MARGIN);
            self.source.take(seen);
            from = 0;
            self.source.fill()?;
        }
    }

    /// The entry that the unread bytes begin with.
    fn entry(&mut self) -> io::Result<Entry<'_>> {
        let offset = self.source.offset();
        let mut from = 1 + WORD.len();
        let mut too_long = false;
        loop {
            let (unread, ended) = (self.source.unread(), self.source.ended());
            match next_tag(unread, from, ended) {
                Some(tag) if tag.opens => {
                    too_long |= tag.start > self.limit;
                    self.source.take(tag.start);
                    return Ok(if too_long { Entry::TooLong { offset } } else { Entry::Unclosed { offset } });
                }
                Some(tag) => {
                    let (taken, _) = self.source.take(tag.end);
                    let bytes = &taken[..tag.start];
                    if too_long || bytes.len() > self.limit {
                        return Ok(Entry::TooLong { offset });
                    }
                    return Ok(Entry::Whole { bytes, offset });
                }
                None if ended => {
                    let closed = memmem::find(unread, FEED_END).is_some();
                    self.source.take_all();
                    self.open = !closed;
                    return Ok(if closed { Entry::Unclosed { offset } } else { Entry::Cut { offset } });
                }
                None => {
                    from = unread.len().saturating_sub(MARGIN).max(from);
                    if unread.len() > self.limit {
                        too_long = true;
                        self.source.take(from);
                        from = 0;
                    }
                    self.source.fill()?;
                }
            }
        }
    }
}

/// Where a tag of an entry stands.
struct EntryTag {
    start: usize,
    /// Behind the name.
    end: usize,
    opens: bool,
}

/// The next tag whose name begins at or after `from`, if the byte behind the name is there or the stream has `ended`.
fn next_tag(bytes: &[u8], from: usize, ended: bool) -> Option<EntryTag> {
    memmem::find_iter(bytes.get(from..)?, WORD).find_map(|at| {
        let name = from + at;
        let end = name + WORD.len();
        match bytes.get(end) {
            Some(b'>' | b'/') => {}
            Some(byte) if byte.is_ascii_whitespace() => {}
            None if ended => {}
            _ => return None,
        }
        let before = &bytes[..name];
        if before.ends_with(b"</") {
            Some(EntryTag { start: name - 2, end, opens: false })
        } else if before.ends_with(b"<") {
            Some(EntryTag { start: name - 1, end, opens: true })
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn all(text: &str, step: usize) -> Vec<String> {
        let mut entries = EntryReader::new(Drip(text.as_bytes(), step), 0);
        let mut shown = Vec::new();
        while let Some(entry) = entries.next().unwrap() {
            shown.push(match entry {
                Entry::Whole { bytes, offset } => format!("{offset} {}", String::from_utf8_lossy(bytes)),
                Entry::Unclosed { offset } => format!("{offset} unclosed"),
                Entry::Unopened { offset } => format!("{offset} unopened"),
                Entry::TooLong { offset } => format!("{offset} too long"),
                Entry::Cut { offset } => format!("{offset} cut"),
            });
        }
        if entries.is_open() {
            shown.push("open".into());
        }
        shown
    }

    #[test]
    fn entries_do_not_depend_on_how_bytes_arrive() {
        let long = format!("<entry>{}</entry><entry>b</entry></feed>", "x".repeat(100));
        let long_cut = format!("<entry>{}<entry>b</entry></feed>", "x".repeat(100));
        for (text, expected) in [
            ("", vec![]),
            ("<feed/>", vec![]),
            ("<feed></feed>", vec![]),
            (
                "<feed><entry>a</entry><entry a='b'>entry</entry\n></feed>",
                vec!["6 <entry>a", "22 <entry a='b'>entry"],
            ),
            ("<feed><entry>a</entry>", vec!["6 <entry>a", "open"]),
            ("<entry>a<entry>b</entry></feed>", vec!["0 unclosed", "8 <entry>b"]),
            ("<entrys/><entry>a</feed>", vec!["9 unclosed"]),
            ("<entry>a</entry><entry>b", vec!["0 <entry>a", "16 cut", "open"]),
            ("<entry>a</entry></entry></feed>", vec!["0 <entry>a", "16 unopened"]),
            ("<entry", vec!["0 cut", "open"]),
            (&long, vec!["0 too long", "115 <entry>b"]),
            (&long_cut, vec!["0 too long", "107 <entry>b"]),
        ] {
            for step in [1, 2, 7, 1000] {
                assert_eq!(all(text, step), expected, "{text:?} by {step}");
            }
        }
    }
}
