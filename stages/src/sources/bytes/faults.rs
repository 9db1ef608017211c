//! Failures of the disk or the network, which are told from damage in a file: damage stays, a fault may be gone the next
//! time, so what could not be read because of one must never count as lost.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, OnceLock};

/// The first fault of a file, if it had one. Whatever decodes the bytes may wrap errors or take them for damage; this
/// knows better.
#[derive(Debug, Clone, Default)]
pub(in crate::sources) struct Faults(Arc<OnceLock<String>>);

impl Faults {
    /// What failed.
    pub(in crate::sources) fn first(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// The same result, noted if it is a fault.
    pub(super) fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            // Only the first counts.
            let _ = self.0.set(error.to_string());
        }
        result
    }
}

/// A file whose faults are noted.
pub(super) struct Watched<R> {
    file: R,
    faults: Faults,
}

impl<R> Watched<R> {
    pub(super) fn new(file: R, faults: &Faults) -> Self {
        Self { file, faults: faults.clone() }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.faults.note(self.file.read(buffer))
    }
}

/// A place that is none is the file's fault, and no fault of the disk.
impl<R: Seek> Seek for Watched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails as it is told, call by call.
    struct Failing(Vec<io::Result<usize>>);

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.remove(0)
        }
    }

    #[test]
    fn the_first_fault_is_noted() {
        let faults = Faults::default();
        let interrupted = io::Error::from(io::ErrorKind::Interrupted);
        let calls =
            vec![Ok(1), Err(interrupted), Err(io::Error::other("first")), Err(io::Error::other("second"))];
        let mut file = Watched::new(Failing(calls), &faults);
        for expected in [None, None, Some("first"), Some("first")] {
            let _ = file.read(&mut [0]);
            assert_eq!(faults.first(), expected);
        }
    }
}
