//! The files that a source means.

use std::path::Path;

use genome_schemas::Platform;
use glob::Pattern;

use super::bytes::archive::{Archive, entries, is_blog, unpacked};
use super::bytes::faults::Faults;
use super::bytes::location::{Location, is_url};
use super::bytes::remote;
use super::config::SourceConfig;
use super::pattern::{GLOB, is_pattern, matching};
use super::pseudonym::Pseudonymizer;
use super::reddit::without_profiles;
use super::twitter::holds_tweets;
use crate::StageError;

/// A dump file or an unpacked archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputFile {
    /// Where it lies.
    pub location: Location,
    /// Its length as it lies there; 0 for a folder.
    pub bytes: u64,
    /// What changes when an object of a store does: its `ETag`, else when it was last written. None for files of this
    /// machine, whose bytes can be hashed.
    pub version: Option<String>,
}

impl InputFile {
    /// Its name without folders, and without the handles of Reddit's profiles, after which exports are named.
    pub fn name_without_profiles(&self, platform: Platform, names: &Pseudonymizer) -> String {
        let name = self.location.name();
        if platform == Platform::Reddit { without_profiles(names, &name) } else { name }
    }
}

/// The files that a source means, sorted, each once.
///
/// A folder stands for the dumps in it (not in its subfolders), unless it is an unpacked archive, which is read as
/// one dump. In object stores, a URL that ends in `/` is a folder, and `*` and `**` are patterns.
///
/// # Errors
/// A path that means nothing, with what was looked for; a folder or store that cannot be read.
pub fn list_files(source: &SourceConfig) -> Result<Vec<InputFile>, StageError> {
    if source.paths.is_empty() {
        return Err(StageError::Config(format!("source `{}` has no paths", source.name)));
    }
    let mut files = Vec::new();
    for path in &source.paths {
        let found =
            if is_url(path) { expand_url(path, source.platform) } else { expand(path, source.platform) };
        let found = found?;
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

fn expand(path: &str, platform: Platform) -> Result<Vec<InputFile>, StageError> {
    let whole = Path::new(path);
    // A name that exists is meant literally, even with a star in it.
    if !is_pattern(path) || whole.exists() {
        return one(whole, platform);
    }
    let mut found = Vec::new();
    for entry in matching(path)? {
        found.extend(one(&entry, platform)?);
    }
    Ok(found)
}

fn expand_url(text: &str, platform: Platform) -> Result<Vec<InputFile>, StageError> {
    let Location::Remote(url) = Location::parse(text)? else { return Ok(Vec::new()) };
    let failed = |reason: String| StageError::Input { path: text.to_owned(), reason };
    let has_stars = url.path().contains('*');
    if !has_stars && !url.path().ends_with('/') {
        let (bytes, version) = remote::facts(&url).map_err(|error| failed(error.to_string()))?;
        return Ok(vec![InputFile { location: Location::Remote(url), bytes, version: Some(version) }]);
    }
    if matches!(url.scheme(), "http" | "https") {
        return Err(failed("a web server cannot be asked for its files; name each of them".into()));
    }
    // The part before the first star, up to its folder, is listed; the rest is matched.
    let before = url.path().split('*').next().unwrap_or_default();
    let folder_end = before.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, rest): (&str, &str) = url.path().split_at(folder_end);
    let mut folder_url = url.clone();
    folder_url.set_path(folder);
    let pattern = Pattern::new(rest).map_err(|error| failed(format!("is no pattern: {error}")))?;
    let wanted = |name: &str| -> bool {
        if has_stars {
            pattern.matches_with(name, GLOB)
        } else {
            !name.contains('/') && is_dump(name, platform)
        }
    };
    let mut found = Vec::new();
    for (name, bytes, version) in remote::list(&folder_url).map_err(|error| failed(error.to_string()))? {
        if wanted(&name) {
            let mut object = folder_url.clone();
            object.set_path(&format!("{folder}{name}"));
            found.push(InputFile { location: Location::Remote(object), bytes, version: Some(version) });
        }
    }
    Ok(found)
}

/// The dumps that one existing file or folder means.
fn one(path: &Path, platform: Platform) -> Result<Vec<InputFile>, StageError> {
    if !path.is_dir() {
        return Ok(if path.exists() { vec![local(path)] } else { Vec::new() });
    }
    if is_unpacked_archive(path, platform)? {
        return Ok(vec![local(path)]);
    }
    let mut found = Vec::new();
    for (name, entry) in entries(path)? {
        let wanted = if entry.is_dir() {
            matches!(platform, Platform::Twitter | Platform::Blogger)
                && is_unpacked_archive(&entry, platform)?
        } else {
            is_dump(&name, platform)
        };
        if wanted {
            found.push(local(&entry));
        }
    }
    Ok(found)
}

fn local(path: &Path) -> InputFile {
    let bytes = path.metadata().map_or(0, |facts| if facts.is_file() { facts.len() } else { 0 });
    InputFile { location: Location::Local(path.to_owned()), bytes, version: None }
}

fn is_unpacked_archive(folder: &Path, platform: Platform) -> Result<bool, StageError> {
    match platform {
        Platform::Reddit | Platform::Amazon => Ok(false),
        // Takeout has its blogs in `Blogger/Blogs/<title>/feed.atom`.
        Platform::Blogger => Ok(folder.join("Blogger/Blogs").is_dir()
            || entries(folder)?.iter().any(|(name, entry)| {
                is_blog(name) || name == "feed.atom" || (name == "Blogs" && entry.is_dir())
            })),
        Platform::Twitter => {
            if !folder.join("data").is_dir() {
                return Ok(false);
            }
            let archive = Archive::of_folder(&Location::Local(folder.to_owned()), &Faults::default())?;
            Ok(archive.members().iter().any(|member| holds_tweets(member)))
        }
    }
}

/// Whether a file of this name, in a folder that was named, is taken for a dump.
fn is_dump(name: &str, platform: Platform) -> bool {
    let name = name.to_ascii_lowercase();
    let name = unpacked(&name);
    // Months of Reddit are packed without an ending of their own: `RC_2020-01.zst`.
    let is_bare = platform == Platform::Reddit && !name.contains('.');
    is_bare || extensions(platform).iter().any(|extension| name.ends_with(extension))
}

const fn extensions(platform: Platform) -> &'static [&'static str] {
    match platform {
        Platform::Reddit => &[".zip", ".tar", ".tgz", ".jsonl", ".ndjson", ".json", ".parquet"],
        Platform::Amazon => &[".zip", ".tar", ".tgz", ".jsonl", ".json", ".tsv"],
        Platform::Blogger => &[".zip", ".tar", ".tgz", ".csv", ".atom", ".xml"],
        Platform::Twitter => &[".zip", ".tar", ".tgz", ".jsonl", ".json", ".csv", ".tsv", ".parquet"],
    }
}

const fn expected(platform: Platform) -> &'static str {
    match platform {
        Platform::Reddit => {
            "dumps named *.zst, *.bz2, *.xz, *.gz, *.jsonl, *.ndjson, *.json or *.parquet, or *.zip, *.tar or *.tgz of them"
        }
        Platform::Amazon => {
            "reviews named *.jsonl, *.json or *.tsv, packed or not, also in *.zip, *.tar or *.tgz, and products with `meta_` in their \
             names"
        }
        Platform::Blogger => {
            "blogs.zip or its unpacked folder of <id>.<gender>.<age>.<topic>.<sign>.xml, blogtext.csv, or an export \
             named *.xml or *.atom, also in a zip or tar file or an unpacked folder of Takeout"
        }
        Platform::Twitter => {
            "a personal archive (a zip file or folder with data/tweets.js or data/js/tweets/*.js), or files named \
             *.tar, *.tgz, *.zip, *.jsonl, *.json, *.csv, *.tsv or *.parquet"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::config::Deletions;
    use super::*;

    fn source(platform: Platform, paths: &[&Path]) -> SourceConfig {
        let paths = paths.iter().map(|path| path.display().to_string()).collect();
        SourceConfig {
            name: "s".into(),
            platform,
            paths,
            context: true,
            format: None,
            csv: None,
            deletions: Deletions::Honour,
        }
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
            "packed/months.tar",
            "packed/months.tar.gz",
            "packed/months.tgz",
            "packed/months.zip",
            "packed/readme.md",
            "twitter/me/data/tweets.js",
            "twitter/other/readme.txt",
            "twitter/you.zip",
            "twitter/stream.tar",
            "tables/a.tgz",
            "tables/b.tsv",
            "tables/c.tsv.gz",
            "blogs/1.female.17.Student.Leo.xml",
            "amazon/Books.jsonl.gz",
            "amazon/meta_Books.jsonl.gz",
        ] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
            std::fs::write(root.join(file), b"").unwrap();
        }
        let listed = |platform, paths: &[&str]| -> Vec<String> {
            let paths: Vec<PathBuf> = paths.iter().map(|path| root.join(path)).collect();
            let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
            let files = list_files(&source(platform, &paths)).unwrap();
            files
                .iter()
                .map(|file| file.location.local().unwrap().strip_prefix(root).unwrap().display().to_string())
                .collect()
        };
        let both = ["reddit/RC_2020-01.zst", "reddit/RS_2020-01.zst"];
        assert_eq!(listed(Platform::Reddit, &["reddit"]), both);
        assert_eq!(listed(Platform::Reddit, &["reddit/R*.zst"]), both);
        assert_eq!(
            listed(Platform::Reddit, &["**/RC_*.zst"]),
            ["reddit/RC_2020-01.zst", "reddit/old/RC_2019-01.zst"]
        );
        assert_eq!(listed(Platform::Reddit, &["reddit/RS*", "reddit/RC_*", "reddit"]), both);
        assert_eq!(
            listed(Platform::Twitter, &["twitter"]),
            ["twitter/me", "twitter/stream.tar", "twitter/you.zip"]
        );
        assert_eq!(listed(Platform::Twitter, &["twitter/me"]), ["twitter/me"]);
        assert_eq!(
            listed(Platform::Twitter, &["tables"]),
            ["tables/a.tgz", "tables/b.tsv", "tables/c.tsv.gz"]
        );
        for platform in [Platform::Reddit, Platform::Amazon] {
            let packed =
                ["packed/months.tar", "packed/months.tar.gz", "packed/months.tgz", "packed/months.zip"];
            assert_eq!(listed(platform, &["packed"]), packed);
        }
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
}
