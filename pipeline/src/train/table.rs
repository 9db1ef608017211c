//! The table of steps on standard output: columns for people, objects for programs.

use anyhow::Result;
use serde::Serialize;

use crate::cli::Format;
use crate::progress::Task;

/// A row of the table of steps.
pub(super) trait StepRow: Serialize {
    /// Names of the columns.
    fn columns(&self) -> Vec<String>;
    /// The cells, as many as columns.
    fn cells(&self) -> Vec<String>;
}

/// Prints rows as they come.
pub(super) struct Table {
    format: Format,
    widths: Vec<usize>,
}

impl Table {
    pub(super) fn new(format: Format) -> Self {
        Self { format, widths: Vec::new() }
    }

    /// Prints a row above the progress bar; before the first one the names of the columns.
    pub(super) fn print(&mut self, task: &Task, row: &impl StepRow) -> Result<()> {
        task.print_above(&self.text(row)?)?;
        Ok(())
    }

    fn text(&mut self, row: &impl StepRow) -> Result<String> {
        if self.format == Format::Json {
            return Ok(serde_json::to_string(row)?);
        }
        let mut lines = Vec::new();
        if self.widths.is_empty() {
            let names = row.columns();
            self.widths = names.iter().map(|name| name.chars().count().max(7)).collect();
            lines.push(self.line(&names));
        }
        lines.push(self.line(&row.cells()));
        Ok(lines.join("\n"))
    }

    fn line(&self, cells: &[String]) -> String {
        let cells = cells.iter().zip(&self.widths).map(|(cell, &width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    }
}

/// A number of the table; a dash if there is none.
pub(super) fn number(value: Option<f32>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row {
        step: usize,
        loss: Option<f32>,
    }

    impl StepRow for Row {
        fn columns(&self) -> Vec<String> {
            vec!["step".into(), "held-out loss".into()]
        }

        fn cells(&self) -> Vec<String> {
            vec![self.step.to_string(), number(self.loss)]
        }
    }

    #[test]
    fn columns_are_named_once_and_aligned() {
        let mut table = Table::new(Format::Text);
        let first = table.text(&Row { step: 0, loss: None }).unwrap();
        assert_eq!(first, "   step  held-out loss\n      0              -");
        assert_eq!(table.text(&Row { step: 1, loss: Some(2.5) }).unwrap(), "      1         2.5000");
    }

    #[test]
    fn programs_get_an_object_a_row() {
        let mut table = Table::new(Format::Json);
        assert_eq!(table.text(&Row { step: 0, loss: None }).unwrap(), r#"{"step":0,"loss":null}"#);
    }
}
