//! Dumps behind a web server of this machine.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use genome_schemas::Platform;

use super::{ReaderOptions, Run, zstd};
use crate::sources::TruncatedPolicy;

/// What a server does when it is asked for more than the beginning of a file whose name begins so.
const DENIES: &str = "denied";
const CHANGES: &str = "changed";

/// Serves `files` by name, whole or in ranges; gives its address. It ends with the test's process.
fn serve(files: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let files = Arc::new(files);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, files) = (stream.unwrap(), Arc::clone(&files));
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some((method, path, range)) = request(&mut reader) {
                    let file = files.iter().find(|(name, _)| path == format!("/{name}"));
                    let Some((_, bytes)) = file else {
                        write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
                        continue;
                    };
                    let later =
                        |name: &str| path[1..].starts_with(name) && range.is_some_and(|(from, _)| from > 0);
                    if later(DENIES) {
                        write!(stream, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
                        continue;
                    }
                    let tag = if later(CHANGES) { 2 } else { 1 };
                    let (status, bytes, more) = match range {
                        Some((from, to)) => {
                            let to = to.min(bytes.len() - 1);
                            let more = format!("content-range: bytes {from}-{to}/{}\r\n", bytes.len());
                            ("206 Partial Content", &bytes[from..=to], more)
                        }
                        None => ("200 OK", &bytes[..], String::new()),
                    };
                    write!(
                        stream,
                        "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"{tag}\"\r\n\
                         last-modified: Wed, 01 May 2024 00:00:00 GMT\r\n{more}\r\n",
                        bytes.len()
                    )
                    .unwrap();
                    if method == "GET" {
                        stream.write_all(bytes).unwrap();
                    }
                }
            });
        }
    });
    address
}

/// What is asked for: method, path, first and last byte.
type Request = (String, String, Option<(usize, usize)>);

fn request(reader: &mut impl BufRead) -> Option<Request> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut range = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            return Some((method, path, range));
        }
        if let Some(bytes) = line.strip_prefix("range: bytes=") {
            let (from, to) = bytes.split_once('-').unwrap();
            range = Some((from.parse().unwrap(), to.parse().unwrap()));
        }
    }
}

/// A packed file of as many posts that takes several ranges of 8 MiB, and its first lines unpacked.
fn large_dump(posts: usize) -> (Vec<u8>, Vec<u8>) {
    // Random digits do not pack well.
    let mut digits = 1_u64;
    let mut lines = String::new();
    for n in 0..posts {
        let _ = write!(lines, "{{\"id\":\"p{n}\",\"author\":\"grace\",\"title\":\"");
        for _ in 0..24 {
            digits = digits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let _ = write!(lines, "{digits:016x}");
        }
        lines.push_str("\"}\n");
    }
    let packed = zstd(lines.as_bytes(), 20);
    assert!(packed.len() > 10 << 20, "{}", packed.len());
    (packed, lines.as_bytes()[..4000].to_vec())
}

#[test]
fn files_behind_a_url_are_read_in_ranges() {
    let (packed, lines) = large_dump(60_000);
    let address = serve(vec![("RS_2020-01.zst", packed), ("small.jsonl", lines)]);
    let run = Run { context: false, ..Run::of(Platform::Reddit) };
    let read = |name: &str| run.read(&[format!("{address}/{name}").into()]);
    let found = read("RS_2020-01.zst");
    assert_eq!(found.lines(&["native_id"]).len(), 60_000);
    assert_eq!(found.rows[0]["source_file"], "RS_2020-01.zst");
    let small = read("small.jsonl");
    assert_eq!(small.lines(&["rule"]).last().unwrap(), "truncated");
    assert!(small.rows.len() > 5);
    let missing = read("none.zst").error.unwrap();
    assert!(missing.contains("none.zst") && missing.contains("does not exist"), "{missing}");
    let folder = run.read(&[format!("{address}/").into()]).error.unwrap();
    assert!(folder.contains("name each of them"), "{folder}");
}

#[test]
fn a_network_that_fails_is_no_damage() {
    let (packed, _) = large_dump(60_000);
    let address = serve(vec![("denied.zst", packed.clone()), ("changed.zst", packed)]);
    let options = ReaderOptions { on_truncated: TruncatedPolicy::Keep, ..ReaderOptions::default() };
    let run = Run { context: false, options, ..Run::of(Platform::Reddit) };
    for (name, reason) in [
        ("denied.zst", "403 Forbidden"),
        ("changed.zst", "it was changed while it was read"),
        ("none.zst", "does not exist"),
    ] {
        let error = run.read(&[format!("{address}/{name}").into()]).error.unwrap();
        assert!(error.contains(reason) && error.contains(name), "{error}");
    }
}
