//! The report for people, at most 100 columns wide.

use std::fmt::{self, Write as _};

use super::{Drop, RecipeReport, Report, SourceReport};

impl Report {
    /// The report as text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        for source in &self.sources {
            funnel(source, text)?;
        }
        for segment in self.segments.iter().filter(|s| s.table != "events") {
            writeln!(text, "{} → {} ({:.1} s)", segment.segment, segment.table, segment.seconds)?;
            for (source, outcomes) in &segment.rows {
                let counts: Vec<String> =
                    outcomes.iter().map(|(outcome, rows)| format!("{} {outcome}", grouped(*rows))).collect();
                writeln!(text, "  {source}: {}", counts.join(", "))?;
            }
        }
        for recipe in &self.recipes {
            answers(recipe, text)?;
        }
        for pair in &self.agreements {
            writeln!(
                text,
                "{} of {}: {} and {} differ by {} on {} answers, by at most 1 on {}{}",
                pair.metric,
                pair.rubric,
                pair.judge,
                pair.other,
                number(pair.mean_difference),
                grouped(pair.answers),
                percent(pair.within_one).trim_start(),
                pair.correlation.map_or_else(String::new, |r| format!(", correlation {}", number(r))),
            )?;
        }
        // A label that everybody gets is worth a word; in a handful of answers it is chance.
        for label in
            self.labels.iter().filter(|label| label.choices >= FEWEST_LABELS && label.share >= ONE_SIDED)
        {
            writeln!(
                text,
                "{} of {}: {} of {} say \"{}\", which tells little of anybody",
                label.field,
                label.recipe,
                percent(label.share).trim_start(),
                grouped(label.choices),
                label.option,
            )?;
        }
        // Where neither has a kept answer there is nothing to tell.
        let told = self.comparisons.iter().filter(|pair| pair.both + pair.only_recipe + pair.only_other > 0);
        for pair in told {
            let same = pair.same_choices.map(|share| percent(share).trim_start().to_owned());
            writeln!(
                text,
                "{} and {} have one form: {} were answered by both, {} and {} by one alone; {} and {} statements an answer{}",
                pair.recipe,
                pair.other,
                grouped(pair.both),
                grouped(pair.only_recipe),
                grouped(pair.only_other),
                number(pair.statements),
                number(pair.other_statements),
                same.map_or_else(String::new, |share| format!("; {share} of the choices are the same")),
            )?;
        }
        for remark in &self.remarks {
            writeln!(text, "\nnote: {remark}")?;
        }
        Ok(())
    }
}

/// Fewest choices of which it is told that they are nearly all the same.
const FEWEST_LABELS: u64 = 20;

/// Share of one option from which it is told.
const ONE_SIDED: f64 = 0.6;

/// What came of a recipe, in a line, and why answers left, in another.
fn answers(report: &RecipeReport, text: &mut String) -> fmt::Result {
    let rate = |rate: Option<f64>| {
        rate.map_or_else(|| "none".to_owned(), |rate| percent(rate).trim_start().to_owned())
    };
    write!(
        text,
        "{} by {}: {} kept of {} answers; null {}, checks passed {}",
        report.recipe,
        report.model,
        grouped(report.kept),
        grouped(report.answers),
        rate(Some(report.null_rate)),
        rate(report.check_rate),
    )?;
    if report.gate_rate.is_some() {
        write!(text, ", gates passed {}", rate(report.gate_rate))?;
    }
    if let Some(tokens) = report.tokens_per_kept {
        write!(text, "; {} tokens for each kept", number(tokens.round()))?;
    }
    writeln!(text)?;
    for (reason, rows) in &report.dropped {
        writeln!(text, "  {:>10}  {reason}", grouped(*rows))?;
    }
    Ok(())
}

fn funnel(report: &SourceReport, text: &mut String) -> fmt::Result {
    let files = if report.files == 1 { "file" } else { "files" };
    writeln!(text, "{}: {} records in {} {files}", report.source, grouped(report.records), report.files)?;
    for step in &report.steps {
        writeln!(text, "  {:<40} {:>12} kept  {}", step.stage, grouped(step.kept), percent(step.share))?;
        for drop in report.dropped.iter().filter(|drop| drop.stage == step.stage) {
            writeln!(text, "    {}", reason(drop).trim_end())?;
        }
    }
    let dropped: u64 = report.dropped.iter().map(|drop| drop.rows).sum();
    let verdict = if report.accounted { "all" } else { "NOT ALL" };
    writeln!(
        text,
        "  {verdict} accounted for: {} kept + {} dropped of {} read",
        grouped(report.kept),
        grouped(dropped),
        grouped(report.records)
    )?;
    if let Some(ended) = &report.shards {
        writeln!(text, "  {:>10}  of the kept are in shards", grouped(ended.records))?;
        for (reason, rows) in &ended.unused {
            writeln!(text, "  {:>10}  are in none: {reason}", grouped(*rows))?;
        }
    }
    if report.lossy > 0 {
        writeln!(text, "  {:>10}  read with characters replaced", grouped(report.lossy))?;
    }
    for lost in &report.lost_values {
        writeln!(text, "              value of another type: {lost}")?;
    }
    for lost in &report.unread {
        writeln!(text, "              context that cannot be read: {lost}")?;
    }
    writeln!(text)
}

/// Outcome, rule, count, share, and what was measured against which limit.
fn reason(drop: &Drop) -> String {
    let measured = match (drop.median, drop.limit) {
        (Some(median), Some(limit)) => format!("median {}, limit {}", number(median), number(limit)),
        (Some(median), None) => format!("median {}", number(median)),
        (None, Some(limit)) => format!("limit {}", number(limit)),
        (None, None) => String::new(),
    };
    format!(
        "{:<18} {:<22} {:>10}  {}  {measured}",
        drop.outcome,
        drop.rule,
        grouped(drop.rows),
        percent(drop.share)
    )
}

/// A share in per cent, seven characters wide.
pub(crate) fn percent(share: f64) -> String {
    format!("{:>5.1} %", 100.0 * share)
}

/// A number with at most three digits after the point, and none that say nothing.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number in groups of three digits.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        for (value, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(value), expected);
        }
        for (value, expected) in [(0.0, "0"), (180.0, "180"), (0.5, "0.5"), (1.0 / 3.0, "0.333")] {
            assert_eq!(number(value), expected);
        }
        assert_eq!((percent(1.0), percent(0.004)), ("100.0 %".to_owned(), "  0.4 %".to_owned()));
    }
}
