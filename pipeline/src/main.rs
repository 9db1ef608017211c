//! The command line: parse, dispatch, print the error, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    genome::memory::return_large_arrays();
    let cli = genome::cli::Cli::parse();
    match genome::commands::dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            genome::progress::tell(&genome::error::describe(&error));
            ExitCode::from(2)
        }
    }
}
