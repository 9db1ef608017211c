//! Archives of many members: a zip file, or the folder it was unpacked to.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::StageError;

/// A zip file, or an unpacked folder, whose members are addressed by their `/`-separated paths.
pub(super) struct Archive {
    path: PathBuf,
    members: Vec<String>,
    zip: Option<ZipArchive<BufReader<File>>>,
}

/// No dump nests its files deeper (`data/js/tweets` inside a folder of its own).
const MAX_DEPTH: usize = 6;

impl Archive {
    /// Opens `path` and lists its members in the order of their names.
    ///
    /// # Errors
    /// A path that cannot be read, or is no zip file.
    pub(super) fn open(path: &Path) -> Result<Self, StageError> {
        let mut members = Vec::new();
        let zip = if path.is_dir() {
            walk(path, "", MAX_DEPTH, &mut members)?;
            None
        } else {
            let file = File::open(path).map_err(|e| input(path, e.to_string()))?;
            let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| {
                input(
                    path,
                    format!("cannot be opened as a zip archive ({e}); download it again and check its hash"),
                )
            })?;
            members.extend(zip.file_names().filter(|name| !name.ends_with('/')).map(str::to_owned));
            Some(zip)
        };
        // macOS adds a shadow of every member.
        members.retain(|name| !name.starts_with("__MACOSX/") && !file_name(name).starts_with("._"));
        members.sort_unstable();
        Ok(Self { path: path.to_owned(), members, zip })
    }

    /// Names of the members, sorted.
    pub(super) fn members(&self) -> &[String] {
        &self.members
    }

    /// A member's bytes.
    ///
    /// # Errors
    /// A member that is encrypted, or packed in a way that is not read.
    pub(super) fn read(&mut self, member: &str) -> Result<Box<dyn Read + '_>, StageError> {
        let path = format!("{}!{member}", self.path.display());
        if let Some(zip) = &mut self.zip {
            let file = zip.by_name(member).map_err(|e| StageError::Input { path, reason: e.to_string() })?;
            return Ok(Box::new(file));
        }
        let file = File::open(self.path.join(member))
            .map_err(|e| StageError::Input { path, reason: e.to_string() })?;
        Ok(Box::new(BufReader::new(file)))
    }
}

/// Whether a file of this name is a blog of the Blog Authorship Corpus.
pub(super) fn is_blog(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

/// The last part of a member's path.
pub(super) fn file_name(member: &str) -> &str {
    member.rsplit('/').next().unwrap_or(member)
}

fn walk(folder: &Path, prefix: &str, depth: usize, members: &mut Vec<String>) -> Result<(), StageError> {
    for entry in fs::read_dir(folder).map_err(|e| input(folder, e.to_string()))? {
        let entry = entry.map_err(|e| input(folder, e.to_string()))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().map_err(|e| input(&entry.path(), e.to_string()))?;
        if kind.is_file() {
            members.push(format!("{prefix}{name}"));
        } else if kind.is_dir() && depth > 0 {
            walk(&entry.path(), &format!("{prefix}{name}/"), depth - 1, members)?;
        }
    }
    Ok(())
}

fn input(path: &Path, reason: String) -> StageError {
    StageError::Input { path: path.display().to_string(), reason }
}
