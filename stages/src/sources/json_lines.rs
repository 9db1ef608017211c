//! Files of one JSON object a line, compressed or not.

use super::container::open_stream;
use super::lines::{Line, LineReader};
use super::output::{Output, Read};

/// Gives every line of the file that is not blank to `read`, with its offset in the decompressed file.
///
/// Lines over the limit become `malformed` rows here; a stream that breaks off ends by the policy of the options.
pub(super) fn each_line(
    out: &mut Output<'_>,
    mut read: impl FnMut(&mut Output<'_>, &[u8], u64) -> Read,
) -> Read {
    let mut lines = LineReader::new(open_stream(out.path())?, out.options().max_line_bytes);
    let result = loop {
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
            Err(error) => break Err(error),
        }
    };
    out.read_bytes(lines.offset());
    match result {
        Ok(()) => Ok(()),
        Err(error) => out.broken(lines.offset(), &error),
    }
}
