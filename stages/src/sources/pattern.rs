//! Patterns of paths.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::bytes::archive::entries;
use crate::StageError;

/// `*` and `?` stand for anything within a part of a path, `**` for any folders; not for what is hidden by a leading dot.
pub(super) const GLOB: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether a path is a pattern, unless it exists.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?'])
}

/// The files and folders that a pattern means, in the order in which its folders are listed.
///
/// # Errors
/// What is no pattern; a folder that it leads to but cannot be listed, or that has a name that is not UTF-8.
pub(super) fn matching(pattern: &str) -> Result<Vec<PathBuf>, StageError> {
    let compiled = |part: &str| {
        Pattern::new(part).map_err(|error| StageError::Input {
            path: pattern.to_owned(),
            reason: format!("is no pattern: {error}"),
        })
    };
    let mut parts: Vec<Part<'_>> = Vec::new();
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        parts.push(match part {
            // Twice in a row says no more than once.
            "**" if matches!(parts.last(), Some(Part::AnyFolders)) => continue,
            "**" => Part::AnyFolders,
            _ if part.contains(['*', '?', '[']) => Part::Pattern(part, compiled(part)?),
            _ => Part::Name(part),
        });
    }
    if matches!(parts.last(), Some(Part::AnyFolders)) {
        parts.push(Part::Pattern("*", compiled("*")?));
    }
    let root = if pattern.starts_with('/') { "/" } else { "" };
    let mut walk = Walk::default();
    walk.follow(Path::new(root), &parts)?;
    Ok(walk.found)
}

/// A part of a pattern, between two slashes.
enum Part<'a> {
    AnyFolders,
    Pattern(&'a str, Pattern),
    Name(&'a str),
}

/// A walk along a pattern.
#[derive(Default)]
struct Walk {
    found: Vec<PathBuf>,
    /// Folders that the walk is in by a `**`: one that lies in itself by a link is not entered again.
    above: Vec<PathBuf>,
}

impl Walk {
    fn follow(&mut self, folder: &Path, parts: &[Part<'_>]) -> Result<(), StageError> {
        let Some((part, rest)) = parts.split_first() else {
            self.found.push(folder.to_owned());
            return Ok(());
        };
        match part {
            Part::Name(name) => self.follow_name(&folder.join(name), rest),
            // A name that exists is meant literally.
            Part::Pattern(name, _) if folder.join(name).exists() => {
                self.follow_name(&folder.join(name), rest)
            }
            Part::Pattern(_, pattern) => {
                for (name, path) in listed(folder)? {
                    if pattern.matches_with(&name, GLOB) {
                        self.follow_name(&path, rest)?;
                    }
                }
                Ok(())
            }
            Part::AnyFolders => {
                let own = shown(folder).canonicalize().unwrap_or_else(|_| folder.to_owned());
                if self.above.contains(&own) {
                    return Ok(());
                }
                self.above.push(own);
                self.follow(folder, rest)?;
                for (name, path) in listed(folder)? {
                    if !name.starts_with('.') && path.is_dir() {
                        self.follow(&path, parts)?;
                    }
                }
                self.above.pop();
                Ok(())
            }
        }
    }

    /// Goes on behind a path, if it exists and is a folder where more is to come.
    fn follow_name(&mut self, path: &Path, rest: &[Part<'_>]) -> Result<(), StageError> {
        let goes_on = if rest.is_empty() { path.exists() } else { path.is_dir() };
        if goes_on { self.follow(path, rest) } else { Ok(()) }
    }
}

/// What lies in a folder, each with its path from the folder's own; nothing in what is none.
fn listed(folder: &Path) -> Result<Vec<(String, PathBuf)>, StageError> {
    if !shown(folder).is_dir() {
        return Ok(Vec::new());
    }
    let entries = entries(shown(folder))?;
    Ok(entries.into_iter().map(|(name, _)| (name.clone(), folder.join(name))).collect())
}

/// A folder by a name that can be opened: the empty path is where the program runs.
fn shown(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(names: &[&[u8]]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(OsStr::from_bytes(name));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
            std::fs::write(path, b"").unwrap();
        }
        folder
    }

    fn found(root: &Path, pattern: &str) -> Result<Vec<String>, StageError> {
        let mut found: Vec<String> = matching(&format!("{}/{pattern}", root.display()))?
            .iter()
            .map(|path| path.strip_prefix(root).unwrap().display().to_string())
            .collect();
        found.sort();
        Ok(found)
    }

    #[test]
    fn parts_stand_for_names_and_two_stars_for_folders() {
        let folder = folder(&[
            b"RC_1.zst",
            b".RC_2.zst",
            b".old/RC_3.zst",
            b"new/RC_4.zst",
            b"new/a/b/RS_5.zst",
            b"x[1]/RC_6.zst",
        ]);
        for (pattern, expected) in [
            ("*.zst", &["RC_1.zst"][..]),
            (".*.zst", &[".RC_2.zst"]),
            ("**/RC_*.zst", &["RC_1.zst", "new/RC_4.zst", "x[1]/RC_6.zst"]),
            ("**/*_?.zst", &["RC_1.zst", "new/RC_4.zst", "new/a/b/RS_5.zst", "x[1]/RC_6.zst"]),
            (".o*/*.zst", &[".old/RC_3.zst"]),
            (".old/*", &[".old/RC_3.zst"]),
            ("x[1]/*", &["x[1]/RC_6.zst"]),
            ("n[ef]w/*.zst", &["new/RC_4.zst"]),
            ("new/**", &["new/RC_4.zst", "new/a", "new/a/b", "new/a/b/RS_5.zst"]),
            ("new/**/b/*", &["new/a/b/RS_5.zst"]),
            ("new/**/**/RS*", &["new/a/b/RS_5.zst"]),
            ("**/a/**/RS*", &["new/a/b/RS_5.zst"]),
            ("new/../R*", &["new/../RC_1.zst"]),
            ("none/*.zst", &[]),
            ("RC_1.zst/*", &[]),
        ] {
            assert_eq!(found(folder.path(), pattern).unwrap(), expected, "{pattern}");
        }
        let error = found(folder.path(), "a***").unwrap_err().to_string();
        assert!(error.contains("is no pattern"), "{error}");
        assert!(matching("stages/src/../no-such-folder/*").unwrap().is_empty());
    }

    #[test]
    fn hidden_folders_are_not_entered_and_links_not_in_circles() {
        let folder = folder(&[b"a/RC_1.zst", b".trash/x\xff/RC_2.zst"]);
        symlink(folder.path(), folder.path().join("a/up")).unwrap();
        symlink(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_eq!(found(folder.path(), "**/*.zst").unwrap(), ["a/RC_1.zst", "b/RC_1.zst"]);
    }

    #[test]
    fn names_that_are_not_utf_8_are_told_where_a_pattern_looks() {
        let folder = folder(&[b"RC_\xff.zst", b"new/RC_4.zst", b"deep/x\xff/RC_5.zst"]);
        for pattern in ["*.zst", "**/*.zst", "none*", "deep/**/RC*"] {
            let error = found(folder.path(), pattern).unwrap_err().to_string();
            assert!(error.contains("is not UTF-8"), "{pattern}: {error}");
        }
        assert_eq!(found(folder.path(), "new/*").unwrap(), ["new/RC_4.zst"]);
    }
}
