//! What is freed goes back to the system. Left to itself, glibc's allocator keeps arrays that one thread makes and another
//! frees: of the peak memory of a deduplication, a third.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "calls of the C library's allocator, which has no other way in")
)]

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often what is freed goes back while dumps are read. At 1,000,000 records of `content_filter` this and
/// [`return_large_arrays`] lower the peak by a fifth, for a twentieth more processor time (docs/performance.md, Filters).
const PERIOD: Duration = Duration::from_millis(75);

/// Gives back what was freed again and again, until dropped.
#[derive(Debug)]
pub struct Returning {
    /// None once it is to stop.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Returning {
    /// Begins. Where the system gives no thread for it, or its allocator cannot be asked, what is freed stays with that.
    pub fn begin() -> Self {
        let (running, stopped) = channel::<()>();
        let give_back = move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                return_freed();
            }
        };
        let can_return = cfg!(all(target_os = "linux", target_env = "gnu"));
        let named = std::thread::Builder::new().name("give-back".to_owned());
        let thread = can_return.then(|| named.spawn(give_back).ok()).flatten();
        Self { running: Some(running), thread }
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to fail with.
            drop(thread.join());
        }
    }
}

/// Has arrays of 512 KiB and more given back as soon as they are freed; of itself the allocator raises that limit to 32 MiB.
/// To be called before there is a second thread.
pub fn return_large_arrays() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets one number of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 512 << 10);
    }
}

/// Gives back what was freed in smaller pieces, as between two segments of a run.
pub fn return_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it looks for free pages under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
