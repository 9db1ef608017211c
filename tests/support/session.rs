//! Transcripts: what was typed, how it ended, what was said; with what changes from run to run filtered out.

use std::fmt::Write as _;

use regex::Regex;

use super::program::Ran;
use super::project::Project;
use super::snapshot::assert_snapshot;
use super::{root, toy::toy_model};

/// A transcript of commands in one project.
pub(crate) struct Session<'a> {
    project: &'a Project,
    transcript: String,
}

impl<'a> Session<'a> {
    /// An empty transcript.
    pub(crate) fn new(project: &'a Project) -> Self {
        Self { project, transcript: String::new() }
    }

    /// Runs a command line and writes down what happens.
    pub(crate) fn genome(&mut self, arguments: &[&str]) -> Ran {
        let ran = self.project.genome(arguments);
        self.add(arguments, &ran);
        ran
    }

    /// Writes down a command that was run elsewhere.
    pub(crate) fn add(&mut self, arguments: &[&str], ran: &Ran) {
        let quoted = |word: &&str| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() };
        let words: Vec<String> = arguments.iter().map(quoted).collect();
        let _ = writeln!(self.transcript, "$ genome {}", words.join(" "));
        let code = ran.code.map_or_else(|| "signal".to_owned(), |code| code.to_string());
        let _ = writeln!(self.transcript, "exit {code}");
        for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            let text = self.filtered(text);
            if !text.trim().is_empty() {
                let _ = writeln!(self.transcript, "--- {name}\n{}", text.trim_end());
            }
        }
        self.transcript.push('\n');
    }

    /// Writes down a remark.
    pub(crate) fn note(&mut self, text: &str) {
        let _ = writeln!(self.transcript, "# {text}");
    }

    /// Compares the transcript with `tests/snapshots/cli/<name>.txt`.
    #[track_caller]
    pub(crate) fn ends_as(self, name: &str) {
        assert_snapshot(&format!("cli/{name}.txt"), &self.transcript);
    }

    /// Text without paths of this machine, times and digests, and without lines that depend on the time.
    fn filtered(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let model = toy_model().path.display().to_string();
        let project = self.project.path("").display().to_string();
        let places = [
            (model.as_str(), "<toy>"),
            (project.trim_end_matches('/'), "<project>"),
            (&root().display().to_string(), "<root>"),
        ];
        for (place, name) in places {
            text = text.replace(place, name);
        }
        let patterns = [
            (r"\b[0-9a-f]{64}\b", "<sha256>"),
            (r"\b[0-9a-f]{32}\b", "<key>"),
            (r"\b\d+\.\d s\b", "<n> s"),
            (r#""seconds": \d+\.\d+(e-\d+)?"#, r#""seconds": <n>"#),
            (r"\b[0-9a-f]{16}\b", "<digest>"),
            (r"-[0-9a-f]{8}\b", "-<fp>"),
            // Carets under a value that holds a path are as many as the path is long.
            (r"\^{30,}", "^^^"),
            // Told again and again while work goes on, and while a model is looked at.
            (r"(?m)^\S+ … .*\n", ""),
            (r"(?m)^model toy.*\n", ""),
        ];
        for (pattern, name) in patterns {
            text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
        }
        text
    }
}
