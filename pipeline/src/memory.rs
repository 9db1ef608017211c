//! What is freed goes back to the system. Left to itself, glibc's allocator keeps arrays that one thread makes and another
//! frees: of the peak memory of a deduplication, a third.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "calls of the C library's allocator, which has no other way in")
)]

/// Has arrays of 4 MiB and more given back as soon as they are freed; of itself the allocator raises that limit to 32 MiB.
/// To be called before there is a second thread.
pub fn return_large_arrays() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets one number of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
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
