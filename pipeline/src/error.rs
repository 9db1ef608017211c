//! How a failure is told: one line, its causes, and a hint where something can be done.

use std::fmt;

/// A failure with advice.
#[derive(Debug)]
pub struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    /// A failure that says what is wrong and what to do about it.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// The lines that tell a failure.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Wrappers often repeat what they wrap.
        if !said.contains(&cause) {
            text.push_str("\n  caused by: ");
            text.push_str(&cause);
            said.push_str(&cause);
        }
    }
    if let Some(hinted) = error.chain().find_map(|cause| cause.downcast_ref::<Hinted>()) {
        text.push_str("\nhint: ");
        text.push_str(&hinted.hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn causes_are_told_once_and_the_hint_last() {
        let error = anyhow::Error::from(Hinted::new("no model", "name one")).context("while running judge");
        assert_eq!(describe(&error), "error: while running judge\n  caused by: no model\nhint: name one");
        let repeated: anyhow::Result<()> = Err(anyhow::anyhow!("disk full"));
        let repeated = repeated.context("writing failed: disk full").unwrap_err();
        assert_eq!(describe(&repeated), "error: writing failed: disk full");
    }
}
