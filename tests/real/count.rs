//! Records of dump files, counted by other means than the readers': names of files, whole files in memory, JSON as
//! plain values.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

/// Counts the records of a file, and collects names of some who wrote them.
pub(super) fn count(path: &Path, names: &mut BTreeSet<String>) -> u64 {
    let mut records = 0;
    each_member(path, &mut |name, bytes| {
        records += count_member(name, bytes, &mut |record| {
            names.extend(writer(record).map(str::to_lowercase));
        });
        // The id of a blog is a handle.
        names.extend(blog_id(name).map(str::to_owned));
    });
    // A name that is a word would be found by accident.
    names.retain(|name| name.len() >= 6 && name.bytes().any(|b| b.is_ascii_digit() || b == b'_'));
    records
}

/// Gives the unpacked members of a file, or the file itself, with their names.
fn each_member(path: &Path, give: &mut impl FnMut(&str, &[u8])) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    match name.rsplit('.').next() {
        Some("zip") => {
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
            for index in 0..archive.len() {
                let mut member = archive.by_index(index).unwrap();
                let name = member.name().to_owned();
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).unwrap();
                unpack(&name, &bytes, give);
            }
        }
        Some("tar") => {
            for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().to_string_lossy().into_owned();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                unpack(&name, &bytes, give);
            }
        }
        _ => unpack(&name, &bytes, give),
    }
}

fn unpack(name: &str, packed: &[u8], give: &mut impl FnMut(&str, &[u8])) {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let mut bytes = Vec::new();
    match ending {
        "zst" => {
            let mut decoder = zstd::Decoder::new(packed).unwrap();
            decoder.window_log_max(31).unwrap();
            decoder.read_to_end(&mut bytes).unwrap();
        }
        "gz" => {
            flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        }
        "bz2" => {
            bzip2::read::MultiBzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        }
        "xz" => {
            liblzma::read::XzDecoder::new_multi_decoder(packed).read_to_end(&mut bytes).unwrap();
        }
        _ => return give(name, packed),
    }
    give(stem, &bytes);
}

/// One record in so many is looked at; the others are only counted.
const ONE_IN: usize = 7;

fn count_member(name: &str, bytes: &[u8], seen: &mut impl FnMut(&Value)) -> u64 {
    if blog_id(name).is_some() {
        return occurrences(bytes, b"<post>");
    }
    match name.rsplit('.').next() {
        Some("xml" | "atom") => occurrences(bytes, b"<entry"),
        // Old archives have all of their tweets in a table once more.
        Some("csv") if name == "tweets.csv" || name.ends_with("/tweets.csv") => 0,
        Some("csv") => {
            let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
            reader.byte_records().inspect(|record| assert!(record.is_ok())).count() as u64
        }
        Some("js") if name.ends_with("data/tweets.js") || name.contains("data/js/tweets/") => {
            let start = bytes.iter().position(|byte| *byte == b'[').unwrap();
            let tweets: Vec<Value> = serde_json::from_slice(&bytes[start..]).unwrap();
            tweets.iter().step_by(ONE_IN).for_each(seen);
            tweets.len() as u64
        }
        Some("json" | "jsonl") => json(bytes, seen),
        // A monthly dump without its packing has no ending; other members hold no records.
        _ if !name.contains('.') => json(bytes, seen),
        _ => 0,
    }
}

/// Records of a document of JSON, or of one a line.
fn json(bytes: &[u8], seen: &mut impl FnMut(&Value)) -> u64 {
    if let Ok(document) = serde_json::from_slice::<Value>(bytes) {
        return page(&document, seen);
    }
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.enumerate().fold(0, |records, (number, line)| {
        // Products of 2014 are literals of Python.
        let looked_at = number % ONE_IN == 0 && !line.starts_with(b"{'");
        if looked_at || line.starts_with(b"{\"data\"") || line.starts_with(b"{\"statuses\"") {
            records + page(&serde_json::from_slice(line).unwrap(), seen)
        } else {
            assert!(line.starts_with(b"{") && line.ends_with(b"}"), "line {number} is no object");
            records + 1
        }
    })
}

/// Tweets of a page; 1 for a page without tweets, and for what is no page.
fn page(value: &Value, seen: &mut impl FnMut(&Value)) -> u64 {
    let tweets = value.get("data").or_else(|| value.get("statuses")).and_then(Value::as_array);
    match tweets {
        Some(tweets) if tweets.iter().any(|tweet| tweet.get("text").is_some()) => {
            tweets.iter().for_each(seen);
            tweets.len() as u64
        }
        _ => {
            seen(value);
            1
        }
    }
}

fn occurrences(bytes: &[u8], tag: &[u8]) -> u64 {
    bytes.windows(tag.len()).filter(|window| *window == tag).count() as u64
}

/// The handle of who wrote a record.
fn writer(record: &Value) -> Option<&str> {
    let direct = ["author", "user_id", "reviewerID"].iter().find_map(|field| record[*field].as_str());
    direct.or_else(|| record["user"]["screen_name"].as_str())
}

/// The id in the name of a file of the Blog Authorship Corpus.
fn blog_id(name: &str) -> Option<&str> {
    let name = name.rsplit('/').next()?;
    let mut parts = name.split('.');
    let id = parts.next()?;
    (id.bytes().all(|b| b.is_ascii_digit()) && parts.clone().count() == 5 && parts.next_back() == Some("xml"))
        .then_some(id)
}
