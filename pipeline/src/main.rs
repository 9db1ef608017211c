//! The command line: parse, dispatch, print the error, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    return_large_arrays();
    let cli = genome::cli::Cli::parse();
    match genome::commands::dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            genome::progress::tell(&genome::error::describe(&error));
            ExitCode::from(2)
        }
    }
}

/// Has the allocator of glibc give arrays of 4 MiB and more back to the system as soon as they are freed. By itself it raises
/// that limit to 32 MiB, and what one thread makes and another frees then stays: measured as a third of the peak memory
/// of a deduplication.
fn return_large_arrays() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "a call into the C library, before there is a second thread")]
    // SAFETY: it sets one number of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
    }
}
