//! A source in the config, and the files that it means.

use std::fs;
use std::path::{Path, PathBuf};

use genome_schemas::Platform;
use serde::{Deserialize, Serialize};

use super::archive::{Archive, is_blog};
use super::twitter::holds_tweets;
use crate::StageError;

/// A platform dump that is read as `events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct SourceConfig {
    /// Name in tables and reports.
    pub name: String,
    /// Which platform's formats the files have.
    pub platform: Platform,
    /// Files, folders, or patterns with `*` and `?` in their last part. Their order does not matter.
    pub paths: Vec<String>,
    /// Whether to look up what people answered or reviewed, in the same files.
    #[serde(default = "yes")]
    pub context: bool,
}

fn yes() -> bool {
    true
}

/// The files that a source means, sorted, each once.
///
/// A folder stands for the dumps in it (not in its subfolders), unless it is an unpacked archive, which is read as
/// one dump.
///
/// # Errors
/// A path that means nothing, with what was looked for; a folder that cannot be read.
pub fn list_files(source: &SourceConfig) -> Result<Vec<PathBuf>, StageError> {
    if source.paths.is_empty() {
        return Err(StageError::Config(format!("source `{}` has no paths", source.name)));
    }
    let mut files = Vec::new();
    for path in &source.paths {
        let found = expand(path, source.platform)?;
        if found.is_empty() {
            return Err(StageError::Input {
                path: path.clone(),
                reason: format!(
                    "source `{}` finds nothing here; expected {}",
                    source.name,
                    expected(source.platform)
                ),
            });
        }
        files.extend(found);
    }
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

fn expand(path: &str, platform: Platform) -> Result<Vec<PathBuf>, StageError> {
    let whole = Path::new(path);
    let pattern = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // A name that exists is meant literally, even with a star in it.
    if !pattern.contains(['*', '?']) || whole.exists() {
        return one(whole, platform);
    }
    let folder = whole.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for (name, entry) in entries(folder)? {
        if matches(pattern, &name) {
            found.extend(one(&entry, platform)?);
        }
    }
    Ok(found)
}

/// The dumps that one existing file or folder means.
fn one(path: &Path, platform: Platform) -> Result<Vec<PathBuf>, StageError> {
    if !path.is_dir() {
        return Ok(if path.exists() { vec![path.to_owned()] } else { Vec::new() });
    }
    if is_unpacked_archive(path, platform)? {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for (name, entry) in entries(path)? {
        let is_dump = if entry.is_dir() {
            matches!(platform, Platform::Twitter | Platform::Blogger)
                && is_unpacked_archive(&entry, platform)?
        } else {
            extensions(platform).iter().any(|extension| name.ends_with(extension))
        };
        if is_dump {
            found.push(entry);
        }
    }
    Ok(found)
}

fn is_unpacked_archive(folder: &Path, platform: Platform) -> Result<bool, StageError> {
    match platform {
        Platform::Reddit | Platform::Amazon => Ok(false),
        Platform::Blogger => Ok(entries(folder)?.iter().any(|(name, _)| is_blog(name))),
        Platform::Twitter => {
            if !folder.join("data").is_dir() {
                return Ok(false);
            }
            Ok(Archive::open(folder)?.members().iter().any(|member| holds_tweets(member)))
        }
    }
}

const fn extensions(platform: Platform) -> &'static [&'static str] {
    match platform {
        Platform::Reddit => &[".zst", ".jsonl", ".ndjson"],
        Platform::Amazon => &[".jsonl.gz", ".jsonl", ".jsonl.zst"],
        Platform::Blogger | Platform::Twitter => &[".zip"],
    }
}

const fn expected(platform: Platform) -> &'static str {
    match platform {
        Platform::Reddit => "dumps named *.zst, *.jsonl or *.ndjson",
        Platform::Amazon => "reviews named <Category>.jsonl.gz and products named meta_<Category>.jsonl.gz",
        Platform::Blogger => "blogs.zip, or its unpacked folder of <id>.<gender>.<age>.<topic>.<sign>.xml",
        Platform::Twitter => {
            "a personal archive: a zip file or folder with data/tweets.js or data/js/tweets/*.js"
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, StageError> {
    let failed = |error: std::io::Error| StageError::Input {
        path: folder.display().to_string(),
        reason: error.to_string(),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether `name` matches a pattern in which `*` stands for any characters and `?` for one.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on if what follows the last star turns out not to match.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            p = star + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*.zst", "a.zst", true),
            ("*.zst", "a.zst.part", false),
            ("RC_2020-0?.zst", "RC_2020-01.zst", true),
            ("RC_2020-0?.zst", "RC_2020-012.zst", false),
            ("*a*b*", "xxaxxaxxbxx", true),
            ("*a*b", "ab-", false),
            ("*", "", true),
            ("?", "é", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    fn source(platform: Platform, paths: &[&Path]) -> SourceConfig {
        let paths = paths.iter().map(|path| path.display().to_string()).collect();
        SourceConfig { name: "s".into(), platform, paths, context: true }
    }

    #[test]
    fn folders_and_patterns_mean_their_dumps() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            "reddit/RC_2020-01.zst",
            "reddit/RS_2020-01.zst",
            "reddit/notes.txt",
            "reddit/old/RC_2019-01.zst",
            "twitter/me/data/tweets.js",
            "twitter/other/readme.txt",
            "twitter/you.zip",
            "blogs/1.female.17.Student.Leo.xml",
            "amazon/Books.jsonl.gz",
            "amazon/meta_Books.jsonl.gz",
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
            fs::write(root.join(file), b"").unwrap();
        }
        let listed = |platform, paths: &[&str]| -> Vec<String> {
            let paths: Vec<PathBuf> = paths.iter().map(|path| root.join(path)).collect();
            let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
            let files = list_files(&source(platform, &paths)).unwrap();
            files.iter().map(|file| file.strip_prefix(root).unwrap().display().to_string()).collect()
        };
        let both = ["reddit/RC_2020-01.zst", "reddit/RS_2020-01.zst"];
        assert_eq!(listed(Platform::Reddit, &["reddit"]), both);
        assert_eq!(listed(Platform::Reddit, &["reddit/R*.zst"]), both);
        assert_eq!(listed(Platform::Reddit, &["reddit/RS*", "reddit/RC_*", "reddit"]), both);
        assert_eq!(listed(Platform::Twitter, &["twitter"]), ["twitter/me", "twitter/you.zip"]);
        assert_eq!(listed(Platform::Twitter, &["twitter/me"]), ["twitter/me"]);
        assert_eq!(listed(Platform::Blogger, &["blogs"]), ["blogs"]);
        assert_eq!(
            listed(Platform::Amazon, &["amazon"]),
            ["amazon/Books.jsonl.gz", "amazon/meta_Books.jsonl.gz"]
        );
        for missing in ["reddit/none.zst", "reddit/*.bz2", "blogs"] {
            let error =
                list_files(&source(Platform::Reddit, &[&root.join(missing)])).unwrap_err().to_string();
            assert!(error.contains(missing) && error.contains("expected dumps named *.zst"), "{error}");
        }
    }

    #[test]
    fn unknown_keys_are_errors() {
        let config = "name = \"r\"\nplatform = \"reddit\"\npaths = [\"a\"]\n";
        assert!(toml::from_str::<SourceConfig>(config).unwrap().context);
        let error = toml::from_str::<SourceConfig>(&format!("{config}pahts = []")).unwrap_err();
        assert!(error.to_string().contains("unknown field `pahts`"), "{error}");
    }
}
