//! Downloads over HTTP that survive a cut connection.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use ureq::http::header::{CONTENT_RANGE, RANGE};
use ureq::http::{Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, ResponseExt as _};

use super::ModelError;
use super::checksum::BUFFER_BYTES;

/// Longest text that a package index may answer with.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// How downloads are tried again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    /// Attempts in a row without a single new byte before a download is given up.
    pub(super) attempts: u32,
    /// Pause after the first failure; it doubles with every further one.
    pub(super) pause: Duration,
}

/// A client that downloads files.
#[derive(Debug, Clone)]
pub(super) struct Downloader {
    agent: Agent,
    retry: Retry,
}

/// Why one attempt failed.
enum Failure {
    /// Trying again may help.
    Passing(String),
    /// Trying again will not help.
    Final(ModelError),
}

impl Downloader {
    /// A client that trusts the certificates of the system, or of `SSL_CERT_FILE`.
    pub(super) fn new(retry: Retry, proxy_from_environment: bool) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let mut config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .user_agent(concat!("genome/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_mins(1)))
            .timeout_per_read(Some(Duration::from_mins(1)));
        if !proxy_from_environment {
            config = config.proxy(None);
        }
        Self { agent: config.build().into(), retry }
    }

    /// A text and the address it came from after redirects.
    pub(super) fn text(&self, url: &str, accept: &str) -> Result<(String, String), ModelError> {
        self.with_retries(url, |_| {
            let mut response =
                self.agent.get(url).header("Accept", accept).call().map_err(|e| passing(&e))?;
            check_status(url, &response)?;
            let from = response.get_uri().to_string();
            let text = response.body_mut().with_config().limit(MAX_TEXT_BYTES).read_to_string();
            Ok((text.map_err(|e| passing(&e))?, from))
        })
    }

    /// Downloads into a file and goes on where it ends; `progress` is told its length as it grows.
    ///
    /// The server decides whether it is gone on with or begun anew; a checksum must tell afterwards whether the
    /// pieces belong together.
    pub(super) fn file(
        &self,
        url: &str,
        path: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), ModelError> {
        self.with_retries(url, |grew| self.attempt(url, path, grew, progress))
    }

    fn attempt(
        &self,
        url: &str,
        path: &Path,
        grew: &mut bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let on_file = |error| Failure::Final(ModelError::io("write", path)(error));
        let mut file =
            File::options().create(true).truncate(false).write(true).open(path).map_err(on_file)?;
        let mut done = file.metadata().map_err(on_file)?.len();
        let mut request = self.agent.get(url).header("Accept", "*/*");
        if done > 0 {
            request = request.header(RANGE, format!("bytes={done}-"));
        }
        let response = request.call().map_err(|e| passing(&e))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, done) => {}
            // The file may be complete already, or longer than what the server has now: start again.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                if total_of(&response) == Some(done) {
                    return Ok(());
                }
                file.set_len(0).map_err(on_file)?;
                return Err(Failure::Passing(
                    "the server does not go on where the download was cut off".to_owned(),
                ));
            }
            _ => {
                check_status(url, &response)?;
                if done > 0 {
                    file.set_len(0).map_err(on_file)?;
                    done = 0;
                }
            }
        }
        file.seek(SeekFrom::Start(done)).map_err(on_file)?;
        let expected = response.body().content_length().map(|rest| done + rest);
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER_BYTES];
        progress(done);
        loop {
            match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    file.write_all(&buffer[..n]).map_err(on_file)?;
                    *grew = true;
                    done += n as u64;
                    progress(done);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Passing(error.to_string())),
            }
        }
        if let Some(expected) = expected.filter(|expected| *expected != done) {
            return Err(Failure::Passing(format!("the connection ended after {done} of {expected} bytes")));
        }
        file.sync_data().map_err(on_file)
    }

    fn with_retries<T>(
        &self,
        url: &str,
        mut attempt: impl FnMut(&mut bool) -> Result<T, Failure>,
    ) -> Result<T, ModelError> {
        let mut failures = 0;
        loop {
            let mut grew = false;
            match attempt(&mut grew) {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(reason)) => {
                    failures = if grew { 1 } else { failures + 1 };
                    if failures >= self.retry.attempts {
                        let reason = format!("{reason} (tried {failures} times)");
                        return Err(ModelError::Network { url: without_credentials(url), reason });
                    }
                    std::thread::sleep(self.retry.pause * 2_u32.pow(failures - 1));
                }
            }
        }
    }
}

/// The address without the user's name and password.
pub(super) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn passing(error: &ureq::Error) -> Failure {
    Failure::Passing(error.to_string())
}

fn check_status(url: &str, response: &Response<Body>) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let may_pass = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    Err(if may_pass {
        Failure::Passing(format!("the server answers {status}"))
    } else {
        Failure::Final(ModelError::Status { url: without_credentials(url), status: status.as_u16() })
    })
}

fn content_range(response: &Response<Body>) -> Option<&str> {
    response.headers().get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")
}

fn starts_at(response: &Response<Body>, offset: u64) -> bool {
    let start = content_range(response).and_then(|range| range.split('-').next()?.parse::<u64>().ok());
    start == Some(offset)
}

/// Length of the whole file, as the server states it beside a range.
fn total_of(response: &Response<Body>) -> Option<u64> {
    content_range(response)?.rsplit('/').next()?.parse().ok()
}
