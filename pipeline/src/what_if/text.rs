//! The estimate for people, at most 100 columns wide.

use std::fmt::Write as _;

use super::{Change, Estimate, Interval};
use crate::report::{grouped, number};

impl Estimate {
    /// The estimate as text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for setting in &self.settings {
            let _ = writeln!(text, "what if {} = {} (now {})", setting.path, setting.then, setting.now);
        }
        let sample = &self.sample;
        let _ = writeln!(
            text,
            "sample: {} of {} records, all those of {} authors, a share of {}\n",
            grouped(sample.records),
            grouped(sample.of_records),
            grouped(sample.authors),
            number(sample.share)
        );
        let _ = writeln!(
            text,
            "  {:<17} {:<24} {:>10} {:>10} {:>11}  95 % interval",
            "stage", "rule", "now", "then", "difference"
        );
        for change in &self.dropped {
            let _ = writeln!(text, "  {}", line(&change.stage, &change.rule, change));
        }
        let _ = writeln!(text, "  {}", line(&self.kept.outcome, "", &self.kept));
        for note in &self.notes {
            let _ = writeln!(text, "\nnote: {note}");
        }
        text
    }
}

fn line(stage: &str, rule: &str, change: &Change) -> String {
    let Interval { estimate, low, high } = change.difference;
    let interval = if low == high { String::new() } else { format!("  {} to {}", signed(low), signed(high)) };
    format!(
        "{stage:<17} {rule:<24} {:>10} {:>10} {:>11}{interval}",
        signed(change.now.estimate),
        signed(change.then.estimate),
        change_of(estimate)
    )
}

fn change_of(value: i64) -> String {
    if value > 0 { format!("+{}", signed(value)) } else { signed(value) }
}

fn signed(value: i64) -> String {
    let digits = grouped(value.unsigned_abs());
    if value < 0 { format!("-{digits}") } else { digits }
}
