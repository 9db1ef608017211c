//! Writes the made-up dumps of `examples/data`: invented people, texts of our own, each platform's true container.
//!
//! ```text
//! cargo run --example make_dumps -- [--check] [FOLDER]
//! ```
//!
//! Without `--check` the files are written under FOLDER (`examples/data` if none is given). With it nothing is
//! written: what would be written is compared, byte for byte, with what lies there.
//! What people and crowds write is in `people/` and `crowd/`, one TOML file a person.

mod amazon;
mod blogger;
mod corpus;
mod instant;
mod json;
mod pack;
mod reddit;
mod truth;
mod twitter;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::corpus::{Dump, DumpFile};

fn main() -> anyhow::Result<ExitCode> {
    let (mut check, mut folder) = (false, None);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            flag if flag.starts_with('-') => {
                bail!("`{flag}` is unknown; usage: make_dumps [--check] [FOLDER]")
            }
            path if folder.is_none() => folder = Some(PathBuf::from(path)),
            path => bail!("one folder is enough, `{path}` is a second one"),
        }
    }
    let folder = folder.unwrap_or_else(|| PathBuf::from("examples/data"));
    let files = all_files()?;
    if check { compare(&folder, &files) } else { write(&folder, &files) }
}

/// Every file of the data set.
fn all_files() -> anyhow::Result<Vec<DumpFile>> {
    let dumps = [
        reddit::dump().context("reddit")?,
        blogger::dump().context("blogger")?,
        twitter::dump().context("twitter")?,
        amazon::dump().context("amazon")?,
    ];
    let truth = truth::render(&dumps)?;
    let mut files: Vec<_> = dumps.into_iter().flat_map(|Dump { files, .. }| files).collect();
    files.push(DumpFile { path: "truth.json".to_owned(), bytes: truth, metadata: 0 });
    Ok(files)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example's plain files; nobody reads them while they are written"
)]
fn write(folder: &Path, files: &[DumpFile]) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for DumpFile { path, bytes, .. } in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(out, "{:>8} bytes  {}", bytes.len(), path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(folder: &Path, files: &[DumpFile]) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut stale = 0_usize;
    for DumpFile { path, bytes, .. } in files {
        let path = folder.join(path);
        let problem = match std::fs::read(&path) {
            Ok(found) if found == *bytes => continue,
            Ok(_) => "differs from what would be written".to_owned(),
            Err(error) => error.to_string(),
        };
        stale += 1;
        writeln!(out, "{}: {problem}", path.display())?;
    }
    if stale == 0 {
        writeln!(out, "{} files are up to date", files.len())?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{stale} of {} files are stale; run `cargo run --example make_dumps`", files.len())?;
    Ok(ExitCode::FAILURE)
}
