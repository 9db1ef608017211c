use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampSecondArray,
};
use genome_schemas::{Lost, Platform};
use parquet::arrow::ArrowWriter;

use super::super::{Deletions, ReaderOptions};
use super::{Dumps, Run, assert_no_handles, json_rows, mention, tar, text, zstd};
use crate::dedup::{Across, Dedup, Exact};
use crate::{Stage, StageContext};

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

#[test]
fn no_handle_gets_out_of_markdown() {
    let (ada, lin) = (mention(Platform::Reddit, "Ada_L"), mention(Platform::Reddit, "lin-42"));
    for (body, expected) in [
        ("u/[Ada_L](https://reddit.com/user/Ada_L/)", format!("u/[{ada}](https://reddit.com/user/{ada}/)")),
        ("[Ada\\\\_L](https://reddit.com/user/Ada_L)", format!("[{ada}](https://reddit.com/user/{ada})")),
        ("/u/Ada\\\\_L, u/lin\\\\-42", format!("/u/{ada}, u/{lin}")),
    ] {
        let line = format!("{{\"id\":\"c\",\"body\":\"{body}\",\"author\":\"grace\",\"link_id\":\"t3_p1\"}}");
        check(&[(line.as_str(), expected.as_str())], &["text"]);
    }
}

#[test]
fn no_handle_gets_out_of_the_names_of_exports() {
    let grace = mention(Platform::Reddit, "grace");
    let lines = b"{\"id\":\"p1\",\"title\":\"t\",\"author\":\"grace\"}\noops\n";
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("u_grace_comments.jsonl", lines.to_vec(), "u_<>_comments.jsonl"),
        ("U_GRACE_submissions.zst", zstd(lines, 20), "U_<>_submissions.zst"),
        ("u_grace_posts (1).jsonl", lines.to_vec(), "u_<>_posts (1).jsonl"),
        ("r_u_Grace.jsonl", lines.to_vec(), "r_u_<>.jsonl"),
        ("u_grace/a.jsonl", lines.to_vec(), "a.jsonl"),
        ("menu_comments.jsonl", lines.to_vec(), "menu_comments.jsonl"),
        ("u_grace.tar", tar(&[("x/u_grace_posts.json", lines)]), "u_<>.tar!x/u_<>_posts.json"),
    ];
    for (name, bytes, place) in cases {
        let dumps = Dumps::new();
        let found = run().read(&[dumps.put(name, &bytes)]);
        let place = place.replace("<>", &grace);
        assert_eq!(found.lines(&["source_file"]), [place.as_str(); 2], "{name}");
        assert_eq!(found.counts[0].name, place.split('!').next().unwrap_or_default(), "{name}");
        assert_no_handles(&found, &["grace"]);
    }
    let dumps = Dumps::with(&[("u_grace/a.jsonl", lines), ("u_lin-42/a.jsonl", lines)]);
    let found = run().read(&[dumps.path().join("u_grace"), dumps.path().join("u_lin-42")]);
    let mut folders =
        ["grace", "lin-42"].map(|name| format!("u_{}/a.jsonl", mention(Platform::Reddit, name)));
    folders.sort();
    let [first, second] = folders;
    assert_eq!(found.lines(&["source_file"]), [first.clone(), first, second.clone(), second]);
}

#[test]
fn no_handle_gets_out_of_a_domain() {
    let grace = mention(Platform::Reddit, "grace");
    let post = |domain: &str, is_self: bool| {
        format!("{{\"title\":\"t\",\"is_self\":{is_self},\"domain\":\"{domain}\"}}")
    };
    let cases = [
        (post("self.u_grace", false), format!("self.u_{grace}")),
        (post("Self.U_Grace", false), format!("Self.u_{grace}")),
        (post("self.u_grace", true), "-".to_owned()),
        (post("self.math", false), "self.math".to_owned()),
        (post("u_grace.example.org", false), "u_grace.example.org".to_owned()),
    ];
    let cases: Vec<(&str, &str)> =
        cases.iter().map(|(line, expected)| (line.as_str(), expected.as_str())).collect();
    check(&cases, &["link_domain"]);
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
    let lost = |count: u64, line: usize| {
        let at = lines.match_indices('\n').nth(line - 1).map(|(i, _)| i as u64 + 1).unwrap();
        Lost { count, first_offset: at, first_file: "a.jsonl".to_owned() }
    };
    assert_eq!(conflicts, [(&"author", &lost(1, 2)), (&"score", &lost(2, 1))]);
}

#[test]
fn long_contexts_are_cut() {
    let dumps = Dumps::with(&[("a.jsonl", THREAD.as_bytes())]);
    let options = ReaderOptions { context_chars: 4, ..ReaderOptions::default() };
    let found = Run { options, ..run() }.read(&[dumps.path().to_owned()]);
    assert_eq!(found.lines(&["context"])[2], "post <Ada_L>: Tit… / comment <grace>: one");
}

#[test]
fn when_a_record_was_retrieved() {
    let record = |more: &str| format!(r#"{{"title":"t"{more}}}"#);
    let cases = [
        (record(""), "-"),
        (record(r#","retrieved_on":null"#), "-"),
        (record(r#","retrieved_on":1600000000"#), "2020-09-13T12:26:40Z"),
        (record(r#","retrieved_utc":"1600000000""#), "2020-09-13T12:26:40Z"),
        (record(r#","retrieved_on":5,"retrieved_utc":1600000000.0"#), "2020-09-13T12:26:40Z"),
        (
            record(r#","retrieved_on":5,"_meta":{"retrieved_2nd_on":1600000000,"note":"x"}"#),
            "2020-09-13T12:26:40Z",
        ),
        (record(r#","retrieved_on":1600000000,"_meta":null"#), "2020-09-13T12:26:40Z"),
        (record(r#","retrieved_on":1600000000,"_meta":{"note":"no_2nd_retrieval"}"#), "2020-09-13T12:26:40Z"),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(line, expected)| (line.as_str(), *expected)).collect();
    check(&cases, &["retrieved_at"]);
}

#[test]
fn fields_may_be_missing_or_of_another_kind() {
    let comment = |more: &str| format!(r#"{{"id":"c1","body":"b","link_id":"t3_p1"{more}}}"#);
    let cases = [
        // Monthly dumps have no `name` before 2007-11; submissions of 2017 can lack `subreddit_id`.
        (r#"{"id":"p1","title":"t","name":null,"subreddit_id":null}"#.into(), "p1 | true | kept | {}"),
        // The service of 2022 and 2023 gave the parent as a number in base 10, and none to the top level.
        (comment(r#","parent_id":null"#), "c1 | true | kept | {}"),
        (comment(r#","parent_id":41785179015"#), "c1 | false | kept | {}"),
        (comment(r#","parent_id":"41785179015""#), "c1 | false | kept | {}"),
        (comment(r#","parent_id":{"id":"t1_x"}"#), "c1 | true | kept | {}"),
        (comment(r#","author":null,"author_flair_text":null,"subreddit":null"#), "c1 | true | kept | {}"),
        (comment(r#","edited":{"when":1},"media":[{"type":"x"}],"stickied":3"#), "c1 | true | kept | {}"),
        // A text that is none leaves nothing to tell a comment by.
        (comment("").replace("\"b\"", "{\"text\":\"b\"}"), "- | true | malformed | -"),
        (r#"{"id":"p1","title":["a"],"selftext":{"b":1},"is_self":true}"#.into(), "p1 | true | kept | {}"),
        (r#"{"id":"p1","title":true,"over_18":"True","subreddit":5}"#.into(), {
            r#"p1 | true | kept | {"subreddit":"5","over_18":true}"#
        }),
    ];
    let cases: Vec<(&str, &str)> =
        cases.iter().map(|(line, expected): &(String, &str)| (line.as_str(), *expected)).collect();
    check(&cases, &["native_id", "top_level", "outcome", "attributes"]);
}

#[test]
fn a_parent_in_base_10_is_found() {
    // 41785179015 is j71teh3 in base 36.
    let lines = r#"{"id":"j71teh3","body":"asked","author":"Ada_L","link_id":"t3_p1","parent_id":null}
{"id":"j71tehk","body":"answered","author":"grace","link_id":"t3_p1","parent_id":41785179015}
"#;
    let dumps = Dumps::with(&[("a.jsonl", lines.as_bytes())]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(found.lines(&["native_id", "context"]), ["j71teh3 | -", "j71tehk | comment <Ada_L>: asked"]);
}

#[test]
fn texts_that_were_taken_away_stay_as_they_are_and_are_nobodys_context() {
    for words in [
        "[deleted]",
        "[removed]",
        "[ Removed by reddit ]",
        "[deleted by user]",
        "[ Removed by reddit in response to a copyright notice. ]",
        "[ Removed by Reddit on account of violating the [content policy](/help/contentpolicy). ]",
    ] {
        let lines = format!(
            "{{\"id\":\"p1\",\"title\":\"{words}\",\"selftext\":\"{words}\",\"author\":\"Ada_L\"}}\n\
             {{\"id\":\"c1\",\"body\":\"why\",\"author\":\"grace\",\"link_id\":\"t3_p1\",\"parent_id\":\"t3_p1\"}}\n"
        );
        let dumps = Dumps::with(&[("a.jsonl", lines.as_bytes())]);
        let found = run().read(&[dumps.path().to_owned()]);
        let expected = [format!("<Ada_L> | {words} | -"), "<grace> | why | -".into()];
        assert_eq!(found.lines(&["author_id", "text", "context"]), expected);
        let honoured = Run { deletions: Deletions::Honour, ..run() }.read(&[dumps.path().to_owned()]);
        assert_eq!(honoured.lines(&["outcome"]), ["deleted", "kept"], "{words}");
    }
}

#[test]
fn what_was_crossposted_is_not_its_posters_own() {
    let line = r#"{"id":"p2","title":"look","selftext":"","author":"grace","score":1,"created_utc":1600000000,"crosspost_parent":"t3_p1","crosspost_parent_list":[{"id":"p1","title":"theirs","selftext":"their words","author":"Ada_L","score":99,"created_utc":5,"crosspost_parent_list":[]}],"subreddit":"a"}"#;
    check(
        &[(line, r#"p2 | <grace> | look |  | 1 | 2020-09-13T12:26:40Z | {"subreddit":"a"}"#)],
        &["native_id", "author_id", "title", "text", "engagement", "at", "attributes"],
    );
    let dumps = Dumps::with(&[("a.jsonl", line.as_bytes())]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert!(found.rows.iter().all(|row| !row.to_string().contains("their words")));
    assert_no_handles(&found, &["Ada_L"]);
}

/// A Parquet file of these columns.
fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn parquet_with_everything_as_strings_or_not_and_with_times() {
    let text = |values: [Option<&'static str>; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let shared = || {
        vec![
            ("id", text([Some("p1"), Some("c1"), Some("p2")])),
            ("author", text([Some("Ada_L"), Some("grace"), None])),
            ("title", text([Some("a &amp; b"), None, Some("second")])),
            ("selftext", text([Some("words"), None, Some("[removed]")])),
            ("body", text([None, Some("answer"), None])),
            ("link_id", text([None, Some("t3_p1"), None])),
            ("parent_id", text([None, Some("t3_p1"), None])),
        ]
    };
    let mut strings = shared();
    strings.extend([
        ("is_self", text([Some("True"), None, Some("False")])),
        ("over_18", text([Some("True"), Some("False"), Some("False")])),
        ("score", text([Some("12"), Some("-3"), None])),
        ("created_utc", text([Some("1600000000"), Some("1600000000.0"), None])),
    ]);
    let mut typed = shared();
    typed.extend([
        ("is_self", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef),
        ("over_18", Arc::new(BooleanArray::from(vec![true, false, false])) as ArrayRef),
        ("score", Arc::new(Int64Array::from(vec![Some(12), Some(-3), None])) as ArrayRef),
        ("created_utc", Arc::new(Float64Array::from(vec![Some(1.6e9), Some(1.6e9), None])) as ArrayRef),
    ]);
    let mut dated = shared();
    let seconds = TimestampSecondArray::from(vec![Some(1_600_000_000), Some(1_600_000_000), None]);
    dated.extend([
        ("is_self", text([Some("True"), None, Some("False")])),
        ("over_18", text([Some("True"), Some("False"), Some("False")])),
        ("score", text([Some("12"), Some("-3"), None])),
        ("created_utc", Arc::new(seconds) as ArrayRef),
    ]);
    for columns in [strings, typed, dated] {
        let dumps = Dumps::with(&[("math.parquet", &parquet(columns))]);
        let found = run().read(&[dumps.path().to_owned()]);
        assert_eq!(
            found.lines(&[
                "native_id",
                "source_offset",
                "author_id",
                "title",
                "text",
                "engagement",
                "at",
                "context"
            ]),
            [
                "p1 | 0 | <Ada_L> | a & b | words | 12 | 2020-09-13T12:26:40Z | -",
                "c1 | 1 | <grace> | - | answer | -3 | 2020-09-13T12:26:40Z | post <Ada_L>: a & b\n\nwords",
                "p2 | 2 | - | second | [removed] | - | - | -",
            ]
        );
        assert_eq!(found.lines(&["attributes"])[0], r#"{"over_18":true}"#);
        assert!(found.counts[0].type_conflicts.is_empty(), "{:?}", found.counts[0].type_conflicts);
    }
}

#[test]
fn of_versions_out_of_order_one_survives() {
    let version = |n: usize, retrieved: usize, body: &str| {
        format!(
            "{{\"id\":\"c{n}\",\"author\":\"grace\",\"link_id\":\"t3_p\",\"body\":\"{body}\",\"retrieved_on\":{retrieved}}}\n"
        )
    };
    let mut lines: Vec<String> = Vec::new();
    for n in 0..20 {
        lines.push(version(n, 100, &format!("first version of number {n}")));
        if n % 2 == 0 {
            lines.push(version(n, 200, &format!("later version of number {n}")));
        }
        if n % 4 == 0 {
            lines.push(version(n, 300, "[removed]"));
        }
        if n % 5 == 0 {
            lines.push(version(n, 100, &format!("first version of number {n}")));
        }
    }
    let mut survivors = std::collections::BTreeSet::new();
    for step in [1, 7, 11] {
        // Steps that share no factor with the number of lines give another order of all of them.
        assert_eq!(lines.len(), 39);
        let mixed: String = (0..lines.len()).map(|i| lines[i * step % lines.len()].as_str()).collect();
        let dumps = Dumps::with(&[("a.jsonl", mixed.as_bytes())]);
        let cx = run().context();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let batches = runtime.block_on(async {
            let rows = run().source(&[dumps.path().to_owned()]).events(&cx).unwrap();
            let dedup = Dedup { exact: Exact::Raw, across: Across::Author, ..Dedup::default() };
            dedup.plan(&StageContext::default(), rows).unwrap().collect().await.unwrap()
        });
        let rows: Vec<_> = batches.iter().flat_map(json_rows).collect();
        assert_eq!(rows.len(), 39);
        let dropped: Vec<_> = rows.iter().filter(|row| row["outcome"] != "kept").collect();
        assert!(dropped.iter().all(|row| row["rule"] == "same_record"), "{dropped:?}");
        let mut kept: Vec<String> = rows
            .iter()
            .filter(|row| row["outcome"] == "kept")
            .map(|row| format!("{} {}", text(row, "native_id"), text(row, "text")))
            .collect();
        kept.sort();
        survivors.insert(kept);
    }
    assert_eq!(survivors.len(), 1, "the order decides nothing");
    let kept = survivors.into_iter().next().unwrap();
    assert_eq!(kept.len(), 20);
    for n in 0..20 {
        let version = if n % 2 == 0 { "later" } else { "first" };
        assert!(kept.contains(&format!("c{n} {version} version of number {n}")), "{kept:?}");
    }
}

#[test]
fn what_was_taken_back_is_marked_and_nobodys_context() {
    let post = |id: &str, more: &str| format!("{{\"id\":\"{id}\",\"title\":\"about {id}\"{more}}}\n");
    let answer = |id: &str| {
        format!(
            "{{\"id\":\"c{id}\",\"body\":\"hm\",\"author\":\"grace\",\"link_id\":\"t3_{id}\",\"parent_id\":\"t3_{id}\"}}\n"
        )
    };
    let later = |kind: &str| {
        format!(r#","author":"Ada_L","_meta":{{"was_deleted_later":true,"removal_type":"{kind}"}}"#)
    };
    let posts = [
        // The account is gone, its words are not.
        post("p1", r#","author":"[deleted]","selftext":"words""#),
        post("p2", &later("deleted")),
        post("p3", &later("removed")),
        post("p4", r#","author":"Ada_L","selftext":"[removed]""#),
    ];
    let lines = posts.concat() + &["p1", "p2", "p3", "p4"].map(answer).concat();
    let dumps = Dumps::with(&[("a.jsonl", lines.as_bytes())]);
    let found = Run { deletions: Deletions::Honour, ..run() }.read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["native_id", "outcome", "stage", "rule", "context"]),
        [
            "p1 | deleted | source | deletions | -",
            "p2 | deleted | source | deletions | -",
            "p3 | kept | - | - | -",
            "p4 | deleted | source | deletions | -",
            "cp1 | kept | - | - | post ?: about p1\n\nwords",
            "cp2 | kept | - | - | -",
            "cp3 | kept | - | - | post <Ada_L>: about p3",
            "cp4 | kept | - | - | post <Ada_L>: about p4",
        ]
    );
    let kept = run().read(&[dumps.path().to_owned()]);
    assert!(kept.lines(&["outcome"]).iter().all(|outcome| outcome == "kept"));
    assert_eq!(kept.lines(&["context"])[5], "post <Ada_L>: about p2");
}
