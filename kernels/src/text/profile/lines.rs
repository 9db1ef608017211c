//! The lines of a text: those said before, and those that are somebody else's.

use std::collections::HashSet;

/// Counts of characters, white space around lines left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lines {
    /// In all lines.
    pub(super) all: usize,
    /// In lines that repeat an earlier one.
    pub(super) repeated: usize,
    /// In lines that quote.
    pub(super) quoted: usize,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let mut counts = Self::default();
        let mut seen = HashSet::new();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
        while let Some(line) = lines.next() {
            let len = line.chars().count();
            counts.all += len;
            counts.quoted += if is_quote(line) { len } else { 0 };
            // A single line has nothing to be held against.
            let only = seen.is_empty() && lines.peek().is_none();
            counts.repeated += if only || seen.insert(line) { 0 } else { len };
        }
        counts
    }
}

/// Whether a line, without the space before it, begins as quotes do.
fn is_quote(line: &str) -> bool {
    let rest = line.strip_prefix('>').or_else(|| line.strip_prefix("&gt;"));
    // A spoiler in Markdown, or an angry face.
    rest.is_some_and(|rest| !rest.starts_with(['!', ':', ';', '.', '_', '<', '=']))
}
