//! JSON objects of a dump, however they are laid out: one a line, in an array, or as rows of Parquet.

use super::bytes::archive::unpacked;
use super::bytes::container::{Dump, open_with};
use super::bytes::elements::{Element, ElementReader};
use super::bytes::peek::beginning;
use super::json_lines::{each_line, each_line_in};
use super::members::{Member, each_member};
use super::output::{Output, Read};
use super::parquet_rows;

/// Gives every JSON object of the dump to `read`, with its offset: in bytes after decompression, or the index of its
/// row in Parquet. Members of archives that are not named like JSON are passed over.
pub(super) fn each_object(
    out: &mut Output<'_>,
    mut read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    if let Some(range) = out.range() {
        return each_line_in(out, range, read);
    }
    match open_dump(out)? {
        None => Ok(()),
        Some(Dump::Parquet(file)) => parquet_rows::each_row(out, file, read),
        Some(dump) => each_member(out, dump, is_json, |out, member| objects(out, member, &mut read)),
    }
}

/// Opens the dump; none if it cannot be, and the options say to go on.
pub(super) fn open_dump(out: &mut Output<'_>) -> Read<Option<Dump>> {
    match open_with(out.location(), out.facts().spare, out.faults()) {
        Ok(dump) => Ok(Some(dump)),
        Err(error) => out.unreadable(error).map(|()| None),
    }
}

/// Whether a member of an archive is named like a file of JSON.
pub(super) fn is_json(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = unpacked(&name);
    [".json", ".jsonl", ".ndjson"].iter().any(|ending| name.ends_with(ending))
}

/// Gives every object of a stream to `read`.
pub(super) fn objects(
    out: &mut Output<'_>,
    member: Member<'_>,
    read: &mut impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    if beginning(member.stream.head()).starts_with(b"[") {
        each_element(out, member.stream, read)
    } else {
        each_line(out, member.stream, read)
    }
}

/// Gives every object of the first JSON array in `stream` to `read`, with its offset.
pub(super) fn each_element(
    out: &mut Output<'_>,
    stream: impl std::io::Read,
    mut read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let mut elements = ElementReader::new(stream, out.options().max_line_bytes);
    let result = loop {
        match elements.next() {
            Err(error) => break Err(error),
            Ok(None) => break Ok(()),
            Ok(Some(Element::Unclosed { .. })) => {
                break Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the list is not closed"));
            }
            Ok(Some(Element::TooLong { offset })) => {
                out.found();
                out.malformed("line_too_long", offset)?;
            }
            Ok(Some(Element::Foreign { offset })) => {
                out.found();
                out.malformed("invalid_json", offset)?;
            }
            Ok(Some(Element::Whole { bytes, offset })) => {
                let (length, malformed) = (bytes.len(), out.malformed_so_far());
                out.found();
                read(out, bytes, offset)?;
                if out.malformed_so_far() > malformed {
                    elements.go_back(length);
                }
            }
        }
    };
    out.read_bytes(elements.offset());
    match result {
        Ok(()) => Ok(()),
        Err(error) => out.broken(elements.offset(), &error),
    }
}
