//! Archives of many members: a zip file, or the folder it was unpacked to.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::faults::{Faults, Watched};
use super::location::{Location, ReadSeek};
use crate::StageError;

/// A zip file, or an unpacked folder, whose members are addressed by their `/`-separated paths.
pub(in crate::sources) struct Archive {
    location: Location,
    members: Vec<String>,
    zip: Option<ZipArchive<BufReader<Box<dyn ReadSeek>>>>,
    faults: Faults,
}

/// No dump nests its files deeper (`data/js/tweets` inside a folder of its own).
const MAX_DEPTH: usize = 6;

impl Archive {
    /// The files of a folder, and of those in it, in the order of their names; what fails while they are read is noted.
    /// Links stand for what they lead to.
    ///
    /// # Errors
    /// A folder that cannot be listed, a link that leads nowhere, a name that is not UTF-8.
    pub(in crate::sources) fn of_folder(location: &Location, faults: &Faults) -> Result<Self, StageError> {
        let folder = location.local().unwrap_or(Path::new(""));
        let mut members = Vec::new();
        walk(folder, "", MAX_DEPTH, &mut Vec::new(), &mut members)?;
        Ok(Self { faults: faults.clone(), ..Self::of_members(location, members, None) })
    }

    /// The zip archive that `file` is.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn of_zip(location: &Location, file: Box<dyn ReadSeek>) -> Result<Self, StageError> {
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| {
            location.failed(format!(
                "cannot be opened as a zip archive ({e}); download it again and check its hash"
            ))
        })?;
        let members = zip.file_names().filter(|name| !name.ends_with('/')).map(str::to_owned).collect();
        Ok(Self::of_members(location, members, Some(zip)))
    }

    fn of_members(
        location: &Location,
        mut members: Vec<String>,
        zip: Option<ZipArchive<BufReader<Box<dyn ReadSeek>>>>,
    ) -> Self {
        // macOS adds a shadow of every member.
        members.retain(|name| !name.starts_with("__MACOSX/") && !file_name(name).starts_with("._"));
        members.sort_unstable();
        Self { location: location.clone(), members, zip, faults: Faults::default() }
    }

    /// Names of the members, sorted.
    pub(in crate::sources) fn members(&self) -> &[String] {
        &self.members
    }

    /// A member's bytes.
    ///
    /// # Errors
    /// A member that is encrypted, or packed in a way that is not read.
    pub(in crate::sources) fn read(&mut self, member: &str) -> Result<Box<dyn Read + '_>, StageError> {
        let path = format!("{}!{member}", self.location);
        if let Some(zip) = &mut self.zip {
            let file = zip.by_name(member).map_err(|e| StageError::Input { path, reason: e.to_string() })?;
            return Ok(Box::new(file));
        }
        let folder = self.location.local().unwrap_or(Path::new(""));
        let file = self.faults.note(File::open(folder.join(member)));
        let file = file.map_err(|e| StageError::Input { path, reason: e.to_string() })?;
        Ok(Box::new(BufReader::new(Watched::new(file, &self.faults))))
    }
}

/// Whether a file of this name is a blog of the Blog Authorship Corpus: `<id>.<gender>.<age>.<topic>.<sign>.xml`.
pub(in crate::sources) fn is_blog(name: &str) -> bool {
    let parts: Vec<&str> = file_name(name).split('.').collect();
    parts.len() == 6 && parts[0].bytes().all(|b| b.is_ascii_digit()) && parts[5].eq_ignore_ascii_case("xml")
}

/// The last part of a member's path.
pub(in crate::sources) fn file_name(member: &str) -> &str {
    member.rsplit('/').next().unwrap_or(member)
}

/// A name without the ending of a packer.
pub(in crate::sources) fn unpacked(name: &str) -> &str {
    const PACKED: [&str; 4] = [".zst", ".gz", ".bz2", ".xz"];
    PACKED.iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(name)
}

/// Gathers the files of a folder, and of those below it but for such that lie in themselves by a link.
fn walk(
    folder: &Path,
    prefix: &str,
    depth: usize,
    above: &mut Vec<PathBuf>,
    members: &mut Vec<String>,
) -> Result<(), StageError> {
    let own = folder.canonicalize().map_err(|e| input(folder, e.to_string()))?;
    if above.contains(&own) {
        return Ok(());
    }
    above.push(own);
    for (name, path) in entries(folder)? {
        // Unlike the type of the entry, this is of what a link leads to.
        let facts = path.metadata().map_err(|e| input(&path, e.to_string()))?;
        if facts.is_file() {
            members.push(format!("{prefix}{name}"));
        } else if facts.is_dir() && depth > 0 {
            walk(&path, &format!("{prefix}{name}/"), depth - 1, above, members)?;
        }
    }
    above.pop();
    Ok(())
}

/// What lies in a folder: names and paths, in the order of the names.
pub(in crate::sources) fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, StageError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| input(folder, e.to_string()))? {
        let entry = entry.map_err(|e| input(folder, e.to_string()))?;
        let path = entry.path();
        match entry.file_name().into_string() {
            Ok(name) => found.push((name, path)),
            Err(name) => return Err(input(&path, format!("the file name {} is not UTF-8", name.display()))),
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn input(path: &Path, reason: String) -> StageError {
    StageError::Input { path: path.display().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
    fn put(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }

    fn members(folder: &Path) -> Result<Vec<String>, StageError> {
        let location = Location::Local(folder.to_owned());
        Archive::of_folder(&location, &Faults::default()).map(|archive| archive.members().to_vec())
    }

    #[test]
    fn links_stand_for_what_they_lead_to() {
        let elsewhere = tempfile::tempdir().unwrap();
        put(&elsewhere.path().join("js/a.js"));
        put(&elsewhere.path().join("b.js"));
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("data/c.js"));
        symlink(elsewhere.path().join("js"), folder.path().join("data/js")).unwrap();
        symlink(elsewhere.path().join("b.js"), folder.path().join("b.js")).unwrap();
        assert_eq!(members(folder.path()).unwrap(), ["b.js", "data/c.js", "data/js/a.js"]);
        // One that leads back adds nothing.
        symlink(folder.path(), folder.path().join("data/again")).unwrap();
        assert_eq!(members(folder.path()).unwrap(), ["b.js", "data/c.js", "data/js/a.js"]);
        symlink(elsewhere.path().join("nothing"), folder.path().join("lost.js")).unwrap();
        assert!(members(folder.path()).unwrap_err().to_string().contains("lost.js"));
    }

    #[test]
    fn names_that_are_not_utf_8_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.js");
        put(&folder.path().join("data").join(name));
        let error = members(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is not UTF-8"), "{error}");
    }
}
