//! The containers, byte for byte the same on every run: no times, no names of machines.

use std::io::{Cursor, Write as _};

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};
use zstd::zstd_safe::CParameter;

/// Window of the monthly Reddit dumps, as a power of two: 2 GiB.
const REDDIT_WINDOW_LOG: u32 = 31;

/// One frame with the 2 GiB window and the checksum of the monthly dumps, and like them without a content size.
pub(crate) fn zstd_month(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 9)?;
    encoder.window_log(REDDIT_WINDOW_LOG)?;
    encoder.long_distance_matching(true)?;
    // By default the table grows with the window, to 128 MiB for nothing.
    encoder.set_parameter(CParameter::LdmHashLog(16))?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(false)?;
    encoder.write_all(bytes)?;
    // A frame whose end is announced with its first bytes would get a window of its own size.
    encoder.flush()?;
    encoder.finish().context("zstd")
}

/// One gzip member that names the file inside.
pub(crate) fn gzip(name: &str, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().filename(name).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish().context("gzip")
}

/// A zip of deflated members in the order given.
pub(crate) fn zip(members: &[(String, Vec<u8>)]) -> anyhow::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(name.as_str(), options)?;
        writer.write_all(bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}
