//! Tables whose lines end otherwise, or later, than they should.

use genome_schemas::Platform;

use super::super::ReaderOptions;
use super::{Dumps, Run, mention};

fn run() -> Run {
    Run::of(Platform::Twitter)
}

#[test]
fn lines_end_with_a_carriage_return_on_old_macs_only() {
    for (table, expected) in [
        ("tweet_id,text\r\n1,a\r\n2,b\r\n", vec!["1 | a | -", "2 | b | -"]),
        ("tweet_id,text\r1,a\r2,\"b\nc\"\r", vec!["1 | a | -", "2 | b\nc | -"]),
        ("\u{feff}\"tweet_id\",\"text\"\r\"1\",\"a\"\r\"2\",\"b\"", vec!["1 | a | -", "2 | b | -"]),
        ("tweet_id,text\n1,hello\rworld\n2,b\n", vec!["1 | hello\rworld | -", "2 | b | -"]),
        ("tweet_id,text\n1,\"hello\r\nworld\"\n", vec!["1 | hello\r\nworld | -"]),
        // Both ways in one table.
        ("tweet_id,text\n1,a\r2,b\n", vec!["- | - | wrong_columns"]),
        ("tweet_id,text\r1,a\r2,b\n", vec!["- | - | wrong_columns"]),
        ("tweet_id,text\n", vec![]),
    ] {
        let dumps = Dumps::with(&[("a.csv", table.as_bytes())]);
        let found = run().read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["native_id", "text", "rule"]), expected, "{table:?}");
    }
}

#[test]
fn a_line_over_the_limit_costs_itself_alone() {
    let options = ReaderOptions { max_line_bytes: 50, ..ReaderOptions::default() };
    let run = Run { options, ..run() };
    let long = "x".repeat(100);
    for (name, table) in [
        ("a.csv", format!("tweet_id,text\n1,a\n2,{long}\n3,\"{long}\n4,d\n")),
        ("a.tsv", format!("tweet_id\ttext\n1\ta\n2\t{long}\n3\t\"{long}\n4\td\n")),
    ] {
        let dumps = Dumps::with(&[(name, table.as_bytes())]);
        let found = run.read(&[dumps.path().to_owned()]);
        assert_eq!(
            found.lines(&["native_id", "source_offset", "rule"]),
            ["1 | 14 | -", "- | 18 | line_too_long", "- | 121 | line_too_long", "4 | 225 | -"],
            "{name}"
        );
    }
    let ada = mention(Platform::Twitter, "ada_tw");
    let table = format!("screen_name,text\n{long},x\nada_tw,hello\n");
    let dumps = Dumps::with(&[("of ada_tw.csv", table.as_bytes())]);
    let found = run.read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["source_file", "rule"]),
        [format!("of {ada}.csv | line_too_long"), format!("of {ada}.csv | -")]
    );
    let dumps = Dumps::with(&[("a.csv", format!("tweet_id,text,{long}\n1,a,b\n").as_bytes())]);
    let error = run.read(&[dumps.path().to_owned()]).error.unwrap_or_default();
    assert!(error.contains("the header is longer than `max_line_bytes`"), "{error}");
}
