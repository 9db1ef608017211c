use genome_schemas::Platform;

use super::super::{ReaderOptions, TypeConflict};
use super::{Dumps, Run, assert_no_handles, mention, zstd};

fn run() -> Run {
    Run::of(Platform::Reddit)
}

/// Each line of the file alone, without context.
fn check(cases: &[(&str, &str)], columns: &[&str]) {
    for (line, expected) in cases {
        let dumps = Dumps::with(&[("a.jsonl", line.as_bytes())]);
        let found = Run { context: false, ..run() }.read(&[dumps.path().join("a.jsonl")]);
        assert_eq!(found.lines(columns), [*expected], "{line}");
    }
}

#[test]
fn kinds_are_told_per_record() {
    check(
        &[
            (
                r#"{"id":"c1","body":"b","link_id":"t3_p1","parent_id":"t3_p1"}"#,
                "comment | c1 | t3_p1 | true | kept | -",
            ),
            (
                r#"{"id":"c2","body":"b","link_id":"t3_p1","parent_id":"t1_c1"}"#,
                "comment | c2 | t3_p1 | false | kept | -",
            ),
            (r#"{"name":"t1_c3","body":"b","link_id":"t3_p1"}"#, "comment | c3 | t3_p1 | true | kept | -"),
            (r#"{"id":"p1","title":"t"}"#, "post | p1 | t3_p1 | true | kept | -"),
            (r#"{"id":"p1","is_self":false}"#, "post | p1 | t3_p1 | true | kept | -"),
            (r#"{"name":"t3_p1","url":"x"}"#, "post | p1 | t3_p1 | true | kept | -"),
            (r#"{"title":"no id"}"#, "post | - | - | true | kept | -"),
            (r#"{"id":"x","body":"b"}"#, "unknown | - | - | true | malformed | not_a_record"),
            (r#"{"id":"x","link_id":"t3_p1"}"#, "unknown | - | - | true | malformed | not_a_record"),
            ("17", "unknown | - | - | true | malformed | not_a_record"),
            (r#"{"id":"x","#, "unknown | - | - | true | malformed | truncated"),
            (r#"{"id":"x"]"#, "unknown | - | - | true | malformed | invalid_json"),
            ("\0\0\0\0", "unknown | - | - | true | malformed | nul_bytes"),
        ],
        &["kind", "native_id", "thread_id", "top_level", "outcome", "rule"],
    );
}

#[test]
fn fields_bend_to_their_history() {
    check(
        &[
            (
                r#"{"title":"t","created_utc":1134365188,"score":2,"edited":false}"#,
                "2005-12-12T05:26:28Z | 2",
            ),
            (
                r#"{"title":"t","created_utc":"1134365188","score":"2","edited":1e9}"#,
                "2005-12-12T05:26:28Z | 2",
            ),
            (
                r#"{"title":"t","created_utc":1134365188.0,"score":null,"edited":true}"#,
                "2005-12-12T05:26:28Z | -",
            ),
            (r#"{"title":"t","created_utc":null,"score":-7}"#, "- | -7"),
        ],
        &["at", "engagement"],
    );
}

#[test]
fn texts_are_unescaped_once_and_then_markdown() {
    check(
        &[
            (
                r#"{"title":"a &amp; b","selftext":"1 &lt; 2\r\n\n&amp;#x200B;\n\n\u00e9\/"}"#,
                "a & b | 1 < 2\r\n\n\n\né/ | false",
            ),
            (r#"{"title":"x","selftext":""}"#, "x |  | false"),
            (r#"{"title":"","selftext":"nul\u0000nul"}"#, "- | nulnul | true"),
            (r#"{"title":"t","selftext":"lone \ud83d end"}"#, "t | lone \u{fffd} end | true"),
        ],
        &["title", "text", "lossy"],
    );
}

#[test]
fn authors_are_classed_and_then_forgotten() {
    let class = |author: &str, more: &str| format!(r#"{{"title":"t","author":{author}{more}}}"#);
    let deleted_later = r#","_meta":{"was_deleted_later":true,"removal_type":"deleted"}"#;
    let removed_later = r#","_meta":{"was_deleted_later":true,"removal_type":"removed"}"#;
    let cases = [
        (class("\"Ada_L\"", ""), "<Ada_L> | person"),
        (class("\"ADA_l\"", ""), "<Ada_L> | person"),
        (class("\"[deleted]\"", ""), "- | deleted"),
        (class("null", ""), "- | deleted"),
        (class("\"grace\"", r#","distinguished":"moderator""#), "<grace> | moderator"),
        (class("\"grace\"", deleted_later), "<grace> | deleted"),
        (class("\"grace\"", removed_later), "<grace> | person"),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(line, expected)| (line.as_str(), *expected)).collect();
    check(&cases, &["author_id", "author_class"]);
}

#[test]
fn no_handle_gets_out() {
    let lines = r#"
{"id":"p1","title":"ask u/grace","author":"Ada_L","subreddit":"u_Ada_L","author_flair_text":"friend of u/grace","selftext":"by /u/Ada_L"}
{"id":"c1","body":"hi https://reddit.com/user/ADA_L","author":"grace","link_id":"t3_p1","parent_id":"t3_p1"}
"#;
    let dumps = Dumps::with(&[("a.jsonl", lines.as_bytes())]);
    let found = run().read(&[dumps.path().to_owned()]);
    let (ada, grace) = (mention(Platform::Reddit, "Ada_L"), mention(Platform::Reddit, "grace"));
    assert_eq!(
        found.lines(&["author_id", "title", "text", "context", "attributes"]),
        [
            format!(
                "<Ada_L> | ask u/{grace} | by /u/{ada} | - | \
                 {{\"subreddit\":\"u_{ada}\",\"flair\":\"friend of u/{grace}\"}}"
            ),
            format!(
                "<grace> | - | hi https://reddit.com/user/{ada} | post <Ada_L>: ask u/{grace}\n\nby /u/{ada} | {{}}"
            ),
        ]
    );
    assert_no_handles(&found, &["Ada_L", "grace"]);
}

const THREAD: &str = r#"
{"id":"p1","title":"Title","selftext":"Self","author":"Ada_L","created_utc":1}
{"id":"c1","body":"one","author":"grace","link_id":"t3_p1","parent_id":"t3_p1"}
{"id":"c2","body":"two","author":"Ada_L","link_id":"t3_p1","parent_id":"t1_c1"}
{"id":"c3","body":"three","author":"grace","link_id":"t3_p1","parent_id":"t1_gone"}
{"id":"c4","body":"[removed]","author":"[deleted]","link_id":"t3_p1","parent_id":"t1_c1"}
{"id":"c5","body":"five","author":"grace","link_id":"t3_p1","parent_id":"t1_c4"}
{"id":"c6","body":"six","author":"grace","link_id":"t3_gone","parent_id":"t1_c1"}
{"id":"c7","body":"seven","author":"grace","link_id":"t3_gone","parent_id":"t3_gone"}
"#;

const THREAD_CONTEXT: [&str; 8] = [
    "p1 | -",
    "c1 | post <Ada_L>: Title\n\nSelf",
    "c2 | post <Ada_L>: Title\n\nSelf / comment <grace>: one",
    "c3 | post <Ada_L>: Title\n\nSelf",
    "c4 | post <Ada_L>: Title\n\nSelf / comment <grace>: one",
    "c5 | post <Ada_L>: Title\n\nSelf",
    "c6 | comment <grace>: one",
    "c7 | -",
];

#[test]
fn comments_come_with_what_they_answer() {
    let dumps = Dumps::with(&[("a.zst", &zstd(THREAD.as_bytes(), 20))]);
    for partitions in [1, 2, 5] {
        let found = Run { partitions, ..run() }.read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["native_id", "context"]), THREAD_CONTEXT, "{partitions} partitions");
        let streamed = if partitions == 1 {
            "mode=CollectLeft, join_type=Right"
        } else {
            "SortMergeJoinExec: join_type=Right"
        };
        assert_eq!(found.plan.matches(streamed).count(), 2, "{}", found.plan);
        assert_eq!(found.plan.matches("JoinExec").count(), 2, "{}", found.plan);
        // Only the scan for events counts.
        assert_eq!(found.counts.len(), 1);
        assert_eq!(found.counts[0].records, 8);
        assert!(found.counts[0].complete);
    }
    let without = Run { context: false, ..run() }.read(&[dumps.path().to_owned()]);
    assert!(without.lines(&["context"]).iter().all(|context| context == "-"));
}

#[test]
fn repeated_records_neither_multiply_nor_choose_by_file_order() {
    let version = |title: &str, retrieved: u32| {
        format!("{{\"id\":\"p1\",\"title\":\"{title}\",\"author\":\"Ada_L\",\"retrieved_on\":{retrieved}}}\n")
    };
    let comment = "{\"id\":\"c1\",\"body\":\"one\",\"author\":\"grace\",\"link_id\":\"t3_p1\",\"parent_id\":\"t3_p1\"}\n";
    let mut seen = std::collections::BTreeSet::new();
    for names in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
        let dumps = Dumps::new();
        let contents = [
            version("old", 5) + comment,
            version("late", 9) + comment + &version("[removed]", 10),
            version("late, too", 9),
        ];
        let mut paths = Vec::new();
        for (name, content) in names.iter().zip(&contents) {
            paths.push(dumps.put(&format!("{name}.jsonl"), content.as_bytes()));
        }
        let found = run().read(&paths);
        assert_eq!(found.rows.len(), 6);
        let mut lines = found.lines(&["key", "native_id", "context"]);
        lines.sort();
        seen.insert(lines);
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    let lines = seen.into_iter().next().unwrap();
    let comments: Vec<&String> = lines.iter().filter(|line| line.contains("c1")).collect();
    assert_eq!(comments[0], comments[1], "the same record in two files has the same key");
    assert!(comments[0].contains("post <Ada_L>: late"), "{}", comments[0]);
}

#[test]
fn values_lost_to_their_type_are_counted() {
    let lines = "{\"id\":\"a\",\"title\":\"t\"}\n{\"id\":\"b\",\"title\":\"t\",\"score\":{\"up\":1}}\n\
                 {\"id\":\"c\",\"title\":\"t\",\"score\":false,\"author\":[\"x\"]}\n";
    let dumps = Dumps::with(&[("a.jsonl", lines.as_bytes())]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(found.lines(&["native_id", "author_class"]), ["a | deleted", "b | deleted", "c | deleted"]);
    let conflicts: Vec<_> = found.counts[0].type_conflicts.iter().collect();
    let at = |line: usize| lines.match_indices('\n').nth(line - 1).map(|(i, _)| i as u64 + 1).unwrap();
    assert_eq!(
        conflicts,
        [
            (&"author", &TypeConflict { count: 1, first_offset: at(2) }),
            (&"score", &TypeConflict { count: 2, first_offset: at(1) }),
        ]
    );
}

#[test]
fn long_contexts_are_cut() {
    let dumps = Dumps::with(&[("a.jsonl", THREAD.as_bytes())]);
    let options = ReaderOptions { context_chars: 4, ..ReaderOptions::default() };
    let found = Run { options, ..run() }.read(&[dumps.path().to_owned()]);
    assert_eq!(found.lines(&["context"])[2], "post <Ada_L>: Tit… / comment <grace>: one");
}
