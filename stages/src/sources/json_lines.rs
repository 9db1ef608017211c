//! Streams of one JSON object a line.

use std::io::{self, Seek, SeekFrom};

use super::bytes::lines::{Line, LineReader};
use super::output::{Output, Read};

/// Gives every line of `stream` that is not blank to `read`, with its offset in the decompressed stream.
///
/// Lines over the limit become `malformed` rows here; a stream that breaks off ends by the policy of the options.
pub(super) fn each_line(
    out: &mut Output<'_>,
    stream: impl io::Read,
    read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let lines = LineReader::new(stream, out.options().max_line_bytes);
    each_line_of(out, lines, u64::MAX, read)
}

/// Gives every line of a plain file that begins in `range` to `read`, with its offset in the file.
pub(super) fn each_line_in(
    out: &mut Output<'_>,
    range: std::ops::Range<u64>,
    read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let location = out.location();
    let mut file = location.open_watched(out.faults()).map_err(|error| location.failed(error))?;
    // The line that holds the byte before the range belongs to the part before it.
    let before = range.start.saturating_sub(1);
    file.seek(SeekFrom::Start(before)).map_err(|error| location.failed(error))?;
    let mut lines = LineReader::at(file, out.options().max_line_bytes, before);
    if range.start > 0
        && let Err(error) = lines.next()
    {
        return out.broken(before, &error);
    }
    each_line_of(out, lines, range.end, read)
}

fn each_line_of<R: io::Read>(
    out: &mut Output<'_>,
    mut lines: LineReader<R>,
    end: u64,
    mut read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let begin = lines.offset();
    // Where the last error was: another one, with no byte in between, is the end.
    let mut broken_at = None;
    let result = loop {
        if lines.offset() >= end {
            break Ok(());
        }
        match lines.next() {
            Ok(None) => break Ok(()),
            Ok(Some(Line::TooLong { offset })) => {
                out.found();
                out.malformed("line_too_long", offset)?;
            }
            Ok(Some(Line::Whole { bytes, offset })) => {
                if !bytes.trim_ascii().is_empty() {
                    out.found();
                    read(out, bytes, offset)?;
                }
            }
            Err(error) => {
                let offset = lines.offset();
                if lines.resume() == 0 && broken_at == Some(offset) {
                    break Ok(());
                }
                if let Err(stop) = out.broken(offset, &error) {
                    break Err(stop);
                }
                broken_at = Some(lines.offset());
            }
        }
    };
    out.read_bytes(lines.offset() - begin);
    result
}
