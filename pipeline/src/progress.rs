//! Progress: bars on a terminal, plain lines otherwise, nothing on standard output.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a plain line is written for work that goes on.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Prints one message on standard error.
pub fn tell(message: &str) {
    let mut stderr = std::io::stderr().lock();
    // Nobody can be told that standard error is gone.
    let _ = writeln!(stderr, "{message}");
}

/// Prints data on standard output.
///
/// # Errors
/// Standard output is closed.
pub fn print(data: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(data.as_bytes())?;
    if !data.ends_with('\n') {
        stdout.write_all(b"\n")?;
    }
    stdout.flush()
}

/// A task under way.
#[derive(Debug)]
pub struct Task {
    bar: Option<ProgressBar>,
    name: String,
    last: Instant,
}

impl Task {
    /// Begins a task of `total` steps; 0 if the number is not known.
    pub fn begin(name: &str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
            let template =
                if total == 0 { "{spinner} {prefix} {msg}" } else { "{prefix} {bar:30} {pos}/{len} {msg}" };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar
        });
        if bar.is_none() {
            tell(&format!("{name} …"));
        }
        Self { bar, name: name.to_owned(), last: Instant::now() }
    }

    /// Shows how far it is.
    pub fn update(&mut self, done: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(message.to_owned());
        } else if self.last.elapsed() >= PLAIN_INTERVAL {
            self.last = Instant::now();
            tell(&format!("{} … {message}", self.name));
        }
    }

    /// Sets the number of steps once it is known.
    pub fn set_total(&self, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }

    /// Prints data on standard output without tearing the bar.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn print_above(&self, data: &str) -> std::io::Result<()> {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(data)),
            None => print(data),
        }
    }

    /// Ends it with a line that says what came out.
    pub fn end(self, message: &str) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        tell(&format!("{}: {message}", self.name));
    }
}
