//! Files in object stores, read by ranges as if they were files of this machine.
//!
//! Credentials and endpoints come from the environment, under the names that the vendors' own tools use
//! (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT`, `GOOGLE_SERVICE_ACCOUNT`, …).

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, parse_url_opts};
use tokio::runtime::Runtime;
use url::{Position, Url};

/// Bytes of one request. The next range is asked for while one is read, so a file holds two of them.
const RANGE_BYTES: u64 = 8 << 20;

/// Requests are made here, so that readers on any thread can wait for them.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("object store")
        .enable_all()
        .build()
});

/// One client per host.
static STORES: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>> = Mutex::new(BTreeMap::new());

fn start<T: Send + 'static>(
    request: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> io::Result<Receiver<object_store::Result<T>>> {
    let runtime = RUNTIME.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let (sender, receiver) = sync_channel(1);
    runtime.spawn(async move {
        // Whoever asked may have stopped waiting.
        let _ = sender.send(request.await);
    });
    Ok(receiver)
}

fn wait<T>(answer: &Receiver<object_store::Result<T>>) -> io::Result<T> {
    let answer = answer.recv().map_err(|_| io::Error::other("a request was dropped"))?;
    answer.map_err(|error| match error {
        object_store::Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, "does not exist"),
        other => io::Error::other(with_advice(&other)),
    })
}

/// Where clients look for credentials when the environment names none.
const METADATA_SERVERS: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

fn with_advice(error: &object_store::Error) -> String {
    let error = error.to_string();
    if METADATA_SERVERS.iter().any(|server| error.contains(server)) {
        return format!(
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or GOOGLE_SERVICE_ACCOUNT; for a \
             public bucket AWS_SKIP_SIGNATURE=true or GOOGLE_SKIP_SIGNATURE=true ({error})"
        );
    }
    error
}

/// Whether the environment names a store that speaks plain HTTP, which then needs no further leave.
fn is_plain_endpoint((name, value): &(String, String)) -> bool {
    name.starts_with("AWS_ENDPOINT") && value.starts_with("http://")
}

fn store(url: &Url) -> io::Result<Arc<dyn ObjectStore>> {
    let host = url[..Position::BeforePath].to_owned();
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = stores.get(&host) {
        return Ok(Arc::clone(store));
    }
    let vendor = |name: &str| ["AWS_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix));
    let mut options: Vec<(String, String)> = std::env::vars().filter(|(name, _)| vendor(name)).collect();
    if url.scheme() == "http" || options.iter().any(is_plain_endpoint) {
        options.push(("allow_http".into(), "true".into()));
    }
    let (store, _) = parse_url_opts(url, options).map_err(io::Error::other)?;
    let store: Arc<dyn ObjectStore> = Arc::from(store);
    stores.insert(host, Arc::clone(&store));
    Ok(store)
}

fn path_of(url: &Url) -> io::Result<Path> {
    Path::from_url_path(url.path()).map_err(io::Error::other)
}

/// Length of an object in bytes, and what changes when it does: its `ETag`, else when it was last written.
pub(in crate::sources) fn facts(url: &Url) -> io::Result<(u64, String)> {
    Ok(facts_of(&head(url)?))
}

fn head(url: &Url) -> io::Result<ObjectMeta> {
    let (store, path) = (store(url)?, path_of(url)?);
    wait(&start(async move { store.head(&path).await })?)
}

/// Whether two answers are about the same bytes, as far as the store tells.
fn is_same(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    let tags = one.e_tag.as_deref().zip(other.e_tag.as_deref());
    // A server marks a tag as weak (`W/`) by how it sends the bytes.
    let is_one_tag =
        |(one, other): (&str, &str)| one.trim_start_matches("W/") == other.trim_start_matches("W/");
    one.size == other.size && tags.is_none_or(is_one_tag)
}

fn facts_of(object: &ObjectMeta) -> (u64, String) {
    let version = object.e_tag.clone().unwrap_or_else(|| object.last_modified.to_rfc3339());
    (object.size, version)
}

/// Objects under `folder` (a URL that ends in `/`) at any depth: path behind the folder, length, version.
pub(in crate::sources) fn list(folder: &Url) -> io::Result<Vec<(String, u64, String)>> {
    let (store, prefix) = (store(folder)?, path_of(folder)?);
    let head = format!("{prefix}/");
    let listed = start(async move {
        let all: Vec<_> = store.list(Some(&prefix)).collect().await;
        all.into_iter().collect::<object_store::Result<Vec<_>>>()
    })?;
    let objects = wait(&listed)?;
    Ok(objects
        .iter()
        .map(|object| {
            let path = object.location.as_ref();
            let (bytes, version) = facts_of(object);
            (path.strip_prefix(&head).unwrap_or(path).to_owned(), bytes, version)
        })
        .collect())
}

/// An object that is read range by range.
pub(super) struct RemoteFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// As it was when it was opened.
    object: ObjectMeta,
    at: u64,
    /// The range that is at hand, and where it begins.
    range: Bytes,
    begins: u64,
    /// The range behind it, on its way.
    next: Option<(u64, Receiver<object_store::Result<Ranged>>)>,
}

/// Bytes of an object, and what it was when they were given.
type Ranged = (ObjectMeta, Bytes);

impl RemoteFile {
    pub(super) fn open(url: &Url) -> io::Result<Self> {
        let (store, path) = (store(url)?, path_of(url)?);
        let object = head(url)?;
        Ok(Self { store, path, object, at: 0, range: Bytes::new(), begins: 0, next: None })
    }

    fn request(&self, from: u64) -> io::Result<Receiver<object_store::Result<Ranged>>> {
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let range = from..self.object.size.min(from + RANGE_BYTES);
        start(async move {
            let given = store.get_opts(&path, GetOptions::new().with_range(Some(range))).await?;
            Ok((given.meta.clone(), given.bytes().await?))
        })
    }

    /// What is at hand of the range.
    fn unread(&self) -> &[u8] {
        let inside = self.at.checked_sub(self.begins).and_then(|at| usize::try_from(at).ok());
        inside.and_then(|at| self.range.get(at..)).unwrap_or_default()
    }

    /// Waits for the range that begins where reading has come to, and asks for the one behind it.
    fn next_range(&mut self) -> io::Result<()> {
        let answer = match self.next.take() {
            Some((from, answer)) if from == self.at => answer,
            _ => self.request(self.at)?,
        };
        let (object, range) = wait(&answer)?;
        if !is_same(&self.object, &object) {
            return Err(io::Error::other("it was changed while it was read"));
        }
        self.range = range;
        if self.range.is_empty() {
            let reason = "the store gave fewer bytes than it has";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        self.begins = self.at;
        let behind = self.at + self.range.len() as u64;
        if behind < self.object.size {
            self.next = Some((behind, self.request(behind)?));
        }
        Ok(())
    }
}

impl Read for RemoteFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.object.size || buffer.is_empty() {
            return Ok(0);
        }
        if self.unread().is_empty() {
            self.next_range()?;
        }
        let unread = self.unread();
        let n = unread.len().min(buffer.len());
        buffer[..n].copy_from_slice(&unread[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for RemoteFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(back) => self.object.size.checked_add_signed(back),
            SeekFrom::Current(step) => self.at.checked_add_signed(step),
        };
        self.at = at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "before the beginning"))?;
        Ok(self.at)
    }
}
