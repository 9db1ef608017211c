//! Compressed files as streams of bytes, told apart by their first bytes and not by their names.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::StageError;

/// Pushshift's and Arctic Shift's dumps have windows of 2^31 bytes; libzstd refuses more than 2^27 unless told.
const MAX_WINDOW_LOG: u32 = 31;
/// What libzstd takes without being told.
const USUAL_WINDOW_BYTES: u64 = 1 << 27;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Opens a zstd file (any number of frames), a gzip file (any number of members) or a plain one.
///
/// # Errors
/// A file that cannot be opened, or is of a kind that is not read.
pub(super) fn open_stream(path: &Path) -> Result<Box<dyn Read + Send>, StageError> {
    let failed =
        |error: &io::Error| StageError::Input { path: path.display().to_string(), reason: error.to_string() };
    let mut file = File::open(path).map_err(|e| failed(&e))?;
    let mut head = [0; 64];
    let length = read_up_to(&mut file, &mut head).map_err(|e| failed(&e))?;
    file.rewind().map_err(|e| failed(&e))?;
    let head = &head[..length];
    if let Some(reason) = refusal(path, head) {
        return Err(StageError::Input { path: path.display().to_string(), reason: reason.into() });
    }
    let stream = BufReader::with_capacity(128 << 10, file);
    if head.starts_with(&ZSTD_MAGIC) || is_skippable(head) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(stream).map_err(|e| failed(&e))?;
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(|e| failed(&e))?;
        return Ok(Box::new(decoder));
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(MultiGzDecoder::new(stream)));
    }
    Ok(Box::new(stream))
}

/// Whether decoding `path` takes a window larger than the usual 128 MiB. Files that cannot be read do not.
///
/// Only the first frame is looked at; dumps that were joined from several have equal windows.
pub(super) fn has_wide_window(path: &Path) -> bool {
    File::open(path).is_ok_and(|mut file| {
        first_frame_window(&mut file).ok().flatten().is_some_and(|window| window > USUAL_WINDOW_BYTES)
    })
}

/// Window of the first data frame in bytes, by the header of RFC 8878, section 3.1.1.1.
fn first_frame_window(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let mut head = [0; 14];
    loop {
        let length = read_up_to(file, &mut head)?;
        let head = &head[..length];
        if !is_skippable(head) {
            return Ok(head.strip_prefix(&ZSTD_MAGIC).and_then(window_of_header));
        }
        let Some(&[a, b, c, d]) = head.get(4..8) else { return Ok(None) };
        let skipped = i64::from(u32::from_le_bytes([a, b, c, d])) + 8;
        // Back over what was read of this frame, then over the frame.
        let back = i64::try_from(length).unwrap_or_default();
        file.seek(SeekFrom::Current(skipped - back))?;
    }
}

fn window_of_header(header: &[u8]) -> Option<u64> {
    let descriptor = *header.first()?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = *header.get(1)?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = header.get(1 + dictionary..)?;
    let take = |n: usize| {
        let mut bytes = [0; 8];
        bytes[..n].copy_from_slice(size.get(..n)?);
        Some(u64::from_le_bytes(bytes))
    };
    match descriptor >> 6 {
        0 => take(1),
        1 => take(2).map(|size| size + 256),
        2 => take(4),
        _ => take(8),
    }
}

fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50)
}

fn refusal(path: &Path, head: &[u8]) -> Option<&'static str> {
    let lower = head.trim_ascii_start().to_ascii_lowercase();
    if path.extension().is_some_and(|e| e == "zst_blocks") {
        Some(
            "Arctic Shift's block container of 2023 and 2024 is not read; download the .zst file of that month",
        )
    } else if head.starts_with(b"BZh") {
        Some("bzip2 files are not read; recompress it: bzcat FILE | zstd > FILE.zst")
    } else if head.starts_with(b"\xfd7zXZ") {
        Some("xz files are not read; recompress it: xzcat FILE | zstd > FILE.zst")
    } else if head.starts_with(b"PK\x03\x04") {
        Some("is a zip archive where a file of JSON lines was expected")
    } else if head.starts_with(b"version https://git-lfs") {
        Some("is a Git LFS pointer and not the data; run `git lfs pull` where it came from")
    } else if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        Some("is UTF-16; convert it to UTF-8")
    } else if lower.starts_with(b"<!doctype") || lower.starts_with(b"<html") {
        Some("is a web page and not a dump; the download failed")
    } else {
        None
    }
}

fn read_up_to(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn frame(window_log: u32, pledge: bool) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.set_pledged_src_size(pledge.then_some(300)).unwrap();
        encoder.write_all(&[b'x'; 300]).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn windows_are_read_from_the_first_data_frame() {
        let skippable = [&[0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let two_skippables = [skippable.clone(), skippable.clone(), frame(31, false)].concat();
        for (bytes, window) in [
            (frame(31, false), Some(1 << 31)),
            (frame(20, false), Some(1 << 20)),
            (frame(31, true), Some(300)),
            (two_skippables, Some(1 << 31)),
            (skippable, None),
            (b"{}".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(first_frame_window(&mut Cursor::new(&bytes)).unwrap(), window, "{bytes:?}");
        }
    }
}
