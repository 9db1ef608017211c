//! Packed files as streams of bytes, told apart by their first bytes and not by their names.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use liblzma::bufread::XzDecoder;
use parquet::file::FOOTER_SIZE;
use zstd::zstd_safe::DCtx;

use super::archive::Archive;
use super::bzip2_blocks::Blocks;
use super::faults::Faults;
use super::frames::{Frames, Fused, Members, SpareContext};
use super::location::{Location, ReadSeek};
use super::overlap::Overlapped;
use super::peek::{Peeked, beginning};
use crate::StageError;

/// What libzstd takes without being told.
const USUAL_WINDOW_BYTES: u64 = 1 << 27;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const PARQUET_MAGIC: &[u8] = b"PAR1";
/// Bytes of a stream that are looked at to tell what it is; more than the header of a CSV file or an Atom feed.
const HEAD_BYTES: usize = 16 << 10;
/// Smaller files are decompressed where they are read.
const OVERLAP_BYTES: u64 = 256 << 10;

/// A decompressed stream with its beginning.
pub(in crate::sources) type Stream<'m> = Peeked<Box<dyn Read + 'm>>;

/// What a dump file is, once it is open.
pub(in crate::sources) enum Dump {
    /// A zip file, or an unpacked folder.
    Archive(Archive),
    /// A tar file, decompressed.
    Tar(Stream<'static>),
    /// Parquet, which is read from its end.
    Parquet(Box<dyn ReadSeek>),
    /// Any other file, decompressed.
    File(Stream<'static>),
}

/// Opens a folder, or a file: packed with zstd, gzip, bzip2 or xz (any number of frames, members or streams), as a
/// tar or zip archive, or plain.
///
/// # Errors
/// A file that cannot be opened, or is of a kind that is not read.
pub(in crate::sources) fn open(location: &Location) -> Result<Dump, StageError> {
    open_with(location, &SpareContext::default(), &Faults::default())
}

/// Opens a dump as [`open`] does, with a context that the files before it have used; notes what fails while it is read.
///
/// # Errors
/// As [`open`].
pub(in crate::sources) fn open_with(
    location: &Location,
    spare: &SpareContext,
    faults: &Faults,
) -> Result<Dump, StageError> {
    if location.is_folder() {
        return Ok(Dump::Archive(Archive::of_folder(location, faults)?));
    }
    let failed = |error: io::Error| location.failed(error);
    let mut file = location.open_watched(faults).map_err(failed)?;
    let bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let mut head = [0; FOOTER_SIZE];
    let length = Peeked::new(&mut file, head.len()).read(&mut head).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let head = &head[..length];
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Dump::Archive(Archive::of_zip(location, file)?));
    }
    if head.starts_with(PARQUET_MAGIC) {
        return Ok(Dump::Parquet(file));
    }
    let stream = match packing(head).filter(|_| bytes >= OVERLAP_BYTES) {
        None => decoded(location, Box::new(file))?,
        Some(packing) => {
            let spare = spare.clone();
            let overlapped = Overlapped::start(move |filling| match packing {
                Packing::Zstd => {
                    let mut context = spare.take();
                    filling.pass_on(Frames::new(file, &mut context));
                    spare.give_back(context);
                }
                other => filling.pass_on(unpacked(other, Box::new(file))),
            });
            checked(location, Box::new(overlapped.map_err(failed)?))?
        }
    };
    // Where the beginning is damaged, the name has to tell.
    let named_tar = || {
        let name = location.name().to_ascii_lowercase();
        stream.is_cut() && (name.contains(".tar") || name.contains(".tgz"))
    };
    let is_tar = is_tar(stream.head()) || named_tar();
    Ok(if is_tar { Dump::Tar(stream) } else { Dump::File(stream) })
}

/// Decompresses a stream, if it is compressed, with its beginning.
///
/// # Errors
/// A stream of a kind that is not read.
pub(in crate::sources) fn decoded<'m>(
    location: &Location,
    stream: Box<dyn Read + 'm>,
) -> Result<Stream<'m>, StageError> {
    let stream = checked(location, stream)?;
    match packing(stream.head()) {
        None => Ok(stream),
        Some(packing) => {
            let stream = unpacked(packing, Box::new(stream)).map_err(|error| location.failed(error))?;
            checked(location, stream)
        }
    }
}

/// A stream with its beginning, unless that says that it is nothing that is read.
fn checked<'m>(location: &Location, stream: Box<dyn Read + 'm>) -> Result<Stream<'m>, StageError> {
    let stream = Peeked::new(stream, HEAD_BYTES);
    match refusal(location, stream.head()) {
        Some(reason) => Err(location.failed(reason)),
        None => Ok(stream),
    }
}

fn unpacked<'m>(packing: Packing, stream: Box<dyn Read + 'm>) -> io::Result<Box<dyn Read + 'm>> {
    Ok(match packing {
        Packing::Zstd => Box::new(Frames::new(stream, DCtx::create())?),
        Packing::Gzip => Box::new(Members::new(stream)),
        Packing::Bzip2 => Box::new(Blocks::new(stream)),
        Packing::Xz => {
            let buffered = BufReader::with_capacity(128 << 10, stream);
            Box::new(Fused::new(XzDecoder::new_multi_decoder(buffered)))
        }
    })
}

#[derive(Clone, Copy)]
enum Packing {
    Zstd,
    Gzip,
    Bzip2,
    Xz,
}

fn packing(head: &[u8]) -> Option<Packing> {
    if head.starts_with(&ZSTD_MAGIC) || is_skippable(head) {
        Some(Packing::Zstd)
    } else if head.starts_with(&[0x1f, 0x8b]) {
        Some(Packing::Gzip)
    } else if head.starts_with(b"BZh") {
        Some(Packing::Bzip2)
    } else if head.starts_with(b"\xfd7zXZ\0") {
        Some(Packing::Xz)
    } else {
        None
    }
}

/// Whether a file is plain and begins with an object, so that it is one of lines and any part of it can be read by
/// itself. A part of an array or of a table does not tell what it is.
pub(in crate::sources) fn has_plain_lines(location: &Location) -> bool {
    let Ok(mut file) = location.open() else { return false };
    let head = Peeked::new(&mut file, HEAD_BYTES);
    let head = head.head();
    // No packing begins like this; a tar file does if its first member is named so.
    beginning(head).starts_with(b"{") && !is_tar(head)
}

fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// Whether decoding a file takes a window larger than the usual 128 MiB. Files that cannot be read do not.
///
/// Only the first frame is looked at; dumps that were joined from several have equal windows.
pub(in crate::sources) fn has_wide_window(location: &Location) -> bool {
    !location.is_folder()
        && location.open().is_ok_and(|mut file| {
            first_frame_window(&mut file).ok().flatten().is_some_and(|window| window > USUAL_WINDOW_BYTES)
        })
}

/// Window of the first data frame in bytes, by the header of RFC 8878, section 3.1.1.1.
fn first_frame_window(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let mut head = [0; 14];
    loop {
        let length = Peeked::new(&mut *file, head.len()).read(&mut head)?;
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

fn refusal(location: &Location, head: &[u8]) -> Option<&'static str> {
    let lower = head[..head.len().min(64)].trim_ascii_start().to_ascii_lowercase();
    if Path::new(&location.name()).extension().is_some_and(|e| e == "zst_blocks") {
        Some(
            "Arctic Shift's block container of 2023 and 2024 is not read; download the .zst file of that month",
        )
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
