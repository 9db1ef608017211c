//! The broken files: whatever can be read of each is read, and what is lost is located.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use serde_json::Value;

use super::{FIRST_STAGE, Source, config, first_rows, real_data};
use crate::support::project::Project;
use crate::support::rows::read_columns;

const KEEP: &str = "\n[reader]\non_truncated = \"keep\"\n";

/// What must come of a place in a file: the id of its record, or none if there is none to be had.
type Places = BTreeMap<u64, Option<String>>;

/// What is unpacked of a file before it breaks off, and whether it does.
fn unpacked(path: &Path) -> (Vec<u8>, bool) {
    let packed = std::fs::read(path).unwrap();
    let name = path.to_string_lossy();
    let mut stream: Box<dyn Read> = if packed.is_empty() {
        Box::new(std::io::empty())
    } else if packed.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::read::MultiGzDecoder::new(&packed[..]))
    } else if name.ends_with("bz2") {
        Box::new(bzip2::read::MultiBzDecoder::new(&packed[..]))
    } else if name.ends_with("xz") {
        Box::new(liblzma::read::XzDecoder::new_multi_decoder(&packed[..]))
    } else {
        // Byte by byte, so that nothing which comes before a break is lost to it.
        let mut decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(1, &packed[..])).unwrap();
        decoder.window_log_max(31).unwrap();
        Box::new(decoder)
    };
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (bytes, false),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(_) => return (bytes, true),
        }
    }
}

/// The id of a record, however its text is damaged; none if it is no JSON.
fn id_of(line: &[u8], lone: &Regex) -> Option<String> {
    let text = String::from_utf8_lossy(line).replace('\0', " ").into_bytes();
    let parsed = serde_json::from_slice::<Value>(&text).ok();
    let parsed = parsed.or_else(|| serde_json::from_slice(&lone.replace_all(&text, &b"\\ufffd"[..])).ok());
    parsed.and_then(|record| record["id"].as_str().map(str::to_owned))
}

/// Every line that ends before the break, by its offset; and where the line begins that does not.
fn places(bytes: &[u8], cut: bool) -> (Places, u64) {
    let lone = Regex::new(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}").unwrap();
    let mut places = Places::new();
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (begin, mut content) = (offset, line.trim_ascii());
        if !line.ends_with(b"\n") && cut {
            break;
        }
        offset += line.len() as u64;
        let mark = if content.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        content = &content[mark..];
        if !content.is_empty() {
            places.insert(begin + mark as u64, id_of(content, &lone));
        }
    }
    (places, offset)
}

/// What came of each place of each file, and where which rule found no record.
fn read(project: &Project) -> (BTreeMap<String, Places>, BTreeMap<String, BTreeMap<u64, String>>) {
    let (mut found, mut lost) =
        (BTreeMap::<String, Places>::new(), BTreeMap::<String, BTreeMap<_, _>>::new());
    for (outcome, path) in first_rows(project) {
        for row in read_columns(&path, &["source_file", "source_offset", "native_id", "rule"]) {
            let file = row["source_file"].as_str().unwrap().to_owned();
            let offset = row["source_offset"].as_u64().unwrap();
            if outcome == "malformed" {
                let rule = row["rule"].as_str().unwrap().to_owned();
                lost.entry(file).or_default().insert(offset, rule);
            } else {
                let id = row["native_id"].as_str().map(str::to_owned);
                assert!(id.is_some(), "{file} at {offset} has no id");
                found.entry(file).or_default().insert(offset, id);
            }
        }
    }
    (found, lost)
}

#[test]
fn what_can_be_had_of_broken_files_is_had() {
    let Some(data) = real_data() else { return };
    let folder = data.join("reddit/faults");
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
    let manifest: BTreeMap<String, Value> = serde_json::from_slice(&manifest).unwrap();
    let paths: Vec<PathBuf> = manifest.keys().map(|name| folder.join(name)).collect();
    let project = Project::new(&(config(&[Source::new("reddit", paths)], KEEP) + FIRST_STAGE));
    project.genome(&["run", "genome.toml"]).succeeded();
    let (mut found, mut lost) = read(&project);
    for (name, facts) in &manifest {
        let (bytes, breaks) = unpacked(&folder.join(name));
        let (mut expected, mut end) = places(&bytes, breaks);
        let found = found.remove(name).unwrap_or_default();
        let mut lost = lost.remove(name).unwrap_or_default();
        assert_eq!(breaks, name == "truncated_frame.zst" || name == "second_frame_corrupt.zst", "{name}");
        if breaks {
            // Of the block that is broken as much may be had as its decoder gives, up to a whole line.
            let (place, rule) = lost.pop_last().unwrap();
            assert_eq!(rule, "truncated_file", "{name}");
            let cli = facts["zstd_cli_complete_lines"].as_u64().unwrap();
            let complete = expected.range(..place).count() as u64;
            assert!(complete >= cli, "{name}: {complete} lines, and {cli} by another program");
            assert!(place == end || expected.contains_key(&place), "{name}: {place} is within a line");
            expected.split_off(&place);
            end = place;
        }
        let records: Places =
            expected.iter().filter(|(_, id)| id.is_some()).map(|(k, v)| (*k, v.clone())).collect();
        assert!(found == records, "{name}: {} records, and {} can be had", found.len(), records.len());
        let located: Vec<u64> = lost.keys().copied().collect();
        let none: Vec<u64> = expected.iter().filter(|(_, id)| id.is_none()).map(|(k, _)| *k).collect();
        assert_eq!(located, none, "{name}: where there is none");
        assert!(end <= bytes.len() as u64);

        // What is written down beside the files.
        let fact = |key: &str| facts[key].as_u64().and_then(|n| usize::try_from(n).ok());
        let records = fact("records_lenient_max").or(fact("lines")).or(fact("records"));
        assert!(
            records.is_none_or(|records| records == found.len()),
            "{name}: {} of {records:?}",
            found.len()
        );
        assert!(fact("records_first_frame").is_none_or(|first| found.len() >= first), "{name}");
        if name == "bad_lines.zst" {
            let rules: Vec<&str> = lost.values().map(String::as_str).collect();
            assert_eq!(rules, ["truncated", "nul_bytes"], "{name}");
        }
    }
    assert!(found.is_empty() && lost.is_empty(), "{:?} {:?}", found.keys(), lost.keys());
}

#[test]
fn of_repeated_records_one_survives() {
    let Some(data) = real_data() else { return };
    let path = data.join("reddit/faults/duplicates_out_of_order.zst");
    let (bytes, _) = unpacked(&path);
    let ids: std::collections::BTreeSet<String> = places(&bytes, false).0.into_values().flatten().collect();
    let stage = "\n[[stage]]\ndedup = {}\n";
    let source = Source { keys: "deletions = \"keep\"", ..Source::new("reddit", vec![path]) };
    let project = Project::new(&(config(&[source], "") + stage));
    project.genome(&["run", "genome.toml"]).succeeded();
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    let source = &report["sources"][0];
    let by_rule = |rule: &str| -> u64 {
        let dropped = source["dropped"].as_array().unwrap().iter();
        dropped.filter(|drop| drop["rule"] == rule).map(|drop| drop["rows"].as_u64().unwrap()).sum()
    };
    assert_eq!(source["records"], 1350);
    assert_eq!((by_rule("same_record"), ids.len()), (150, 1200));
    let others: u64 = ["own_repost", "cross_user_copy", "bot_template"].into_iter().map(by_rule).sum();
    assert_eq!(source["kept"].as_u64().unwrap() + others, 1200);
}
