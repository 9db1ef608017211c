//! The streams inside a dump: the file itself, or the members of an archive.

use std::collections::BTreeSet;
use std::io::Read as _;

use genome_schemas::Platform;

use super::bytes::archive::{Archive, is_blog};
use super::bytes::container::{Dump, Stream, decoded};
use super::bytes::frames::Fused;
use super::bytes::peek::beginning;
use super::config::Format;
use super::file_group::distinct;
use super::output::{Output, Read};
use super::reddit::without_profiles;
use crate::StageError;

/// A decompressed stream of a dump.
pub(super) struct Member<'m> {
    /// Name inside the archive; none for a file by itself.
    pub(super) name: Option<&'m str>,
    /// Its bytes.
    pub(super) stream: Stream<'m>,
}

impl Member<'_> {
    /// How the stream is written: as the config says, else by its first byte, else by the ending of its name.
    pub(super) fn format(&self, out: &Output<'_>) -> Format {
        if let Some(format) = out.source().format {
            return format;
        }
        let file = out.location().name();
        let name = self.name.unwrap_or(&file).to_ascii_lowercase();
        let head = beginning(self.stream.head());
        let has = |tag: &[u8]| memchr::memmem::find(head, tag).is_some();
        match head.first() {
            Some(b'{' | b'[') => Format::Json,
            Some(b'<') if has(b"<feed") || has(b"<entry") => Format::Atom,
            Some(b'<') => Format::Corpus,
            _ if name.contains(".csv") => Format::Csv,
            _ if name.contains(".tsv") => Format::Tsv,
            _ if name.contains(".xml") => Format::Corpus,
            _ if [".json", ".ndjson", ".jsonl"].iter().any(|ending| name.contains(ending)) => Format::Json,
            _ => {
                let header = head.split(|b| *b == b'\n').next().unwrap_or_default();
                match (header.contains(&b'\t'), header.contains(&b',')) {
                    (true, _) => Format::Tsv,
                    (false, true) => Format::Csv,
                    _ => Format::Json,
                }
            }
        }
    }
}

/// Gives every stream of a dump that is `wanted` to `read`, in the order of their names, or of the tar file.
///
/// Rows of a member are located in `file!member`. A member that cannot be unpacked is one malformed record where the
/// policy is to keep what can be read; the others are read nevertheless.
pub(super) fn each_member(
    out: &mut Output<'_>,
    dump: Dump,
    wanted: impl Fn(&str) -> bool,
    mut read: impl FnMut(&mut Output<'_>, Member<'_>) -> Read,
) -> Read {
    match dump {
        Dump::File(stream) => read(out, Member { name: None, stream }),
        Dump::Archive(archive) => each_in_archive(out, archive, wanted, read),
        Dump::Tar(stream) => {
            // Behind damage, nothing tells where the next member begins.
            let mut tar = tar::Archive::new(Fused::new(stream));
            let entries = match tar.entries() {
                Ok(entries) => entries,
                Err(error) => return out.broken(0, &error),
            };
            let mut read_so_far = 0;
            let mut places = BTreeSet::new();
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        out.set_source_file(out.file_name().to_owned());
                        return out.broken(0, &error);
                    }
                };
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                if !entry.header().entry_type().is_file() || !wanted(&name) {
                    continue;
                }
                // `tar --append` leaves members of one name, and a place must be that of one record.
                let place = place(out, &name, read_so_far);
                out.set_source_file(distinct(&mut places, place, read_so_far));
                read_so_far += 1;
                let length = entry.size();
                let member = decoded(out.location(), Box::new(Whole { entry, unread: length }));
                match member {
                    Ok(stream) => read(out, Member { name: Some(&name), stream })?,
                    Err(error) => out.unreadable(error)?,
                }
            }
            if read_so_far == 0 { out.unreadable(nothing_in(out)) } else { Ok(()) }
        }
        Dump::Parquet(_) => {
            out.unreadable(out.location().failed("is Parquet, which is not read for this platform"))
        }
    }
}

/// How rows call a member: by its name, without the handles of Reddit's profiles, or by its ordinal if the name is a handle.
fn place(out: &Output<'_>, name: &str, ordinal: usize) -> String {
    let facts = out.facts();
    let file = out.file_name();
    if is_blog(name) {
        format!("{file}!{ordinal}")
    } else if facts.platform == Platform::Reddit {
        format!("{file}!{}", without_profiles(facts.names, name))
    } else {
        format!("{file}!{name}")
    }
}

fn nothing_in(out: &Output<'_>) -> StageError {
    out.location().failed("holds no file that is read for this platform")
}

fn each_in_archive(
    out: &mut Output<'_>,
    mut archive: Archive,
    wanted: impl Fn(&str) -> bool,
    mut read: impl FnMut(&mut Output<'_>, Member<'_>) -> Read,
) -> Read {
    let members: Vec<String> = archive.members().iter().filter(|name| wanted(name)).cloned().collect();
    if members.is_empty() {
        return out.unreadable(nothing_in(out));
    }
    let mut places = BTreeSet::new();
    for (ordinal, name) in members.iter().enumerate() {
        let place = place(out, name, ordinal);
        out.set_source_file(distinct(&mut places, place, ordinal));
        let location = out.location();
        match archive.read(name).and_then(|stream| decoded(location, stream)) {
            Ok(stream) => read(out, Member { name: Some(name), stream })?,
            Err(error) => out.unreadable(error)?,
        }
    }
    Ok(())
}

/// An entry of a tar file, which tells when the file ends before it does.
struct Whole<R> {
    entry: R,
    unread: u64,
}

impl<R: std::io::Read> std::io::Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.entry.read(buffer)?;
        if n == 0 && self.unread > 0 && !buffer.is_empty() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the tar file ends inside it",
            ));
        }
        self.unread = self.unread.saturating_sub(n as u64);
        Ok(n)
    }
}

/// Reads a member as a whole, up to the limit for members; gives what was read, and what ended it early.
pub(super) fn read_whole(
    out: &mut Output<'_>,
    stream: &mut Stream<'_>,
    bytes: &mut Vec<u8>,
) -> Result<Option<std::io::Error>, super::output::Stop> {
    let limit = out.options().max_member_bytes as u64;
    bytes.clear();
    let result = stream.take(limit + 1).read_to_end(bytes);
    out.read_bytes(bytes.len() as u64);
    if bytes.len() as u64 > limit {
        let file = out.source_file().to_owned();
        return Err(super::output::Stop::Failed(StageError::Input {
            path: format!("{} ({file})", out.location()),
            reason: format!("is larger than `max_member_bytes` ({limit})"),
        }));
    }
    Ok(result.err())
}
