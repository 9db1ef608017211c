//! What is given up of a record is told, and what names of files tell of people is not.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use genome_schemas::Platform;

use super::super::CsvConfig;
use super::{Dumps, Found, Run, assert_no_handles, mention, zip};

/// The fields that the only file of a source lost values of, and how many.
fn given_up(found: &Found) -> Vec<(&'static str, u64)> {
    found.counts[0].type_conflicts.iter().map(|(field, conflict)| (*field, conflict.count)).collect()
}

#[test]
fn what_an_object_gives_up_is_told_of_its_field() {
    let reddit = r#"{"id":"a","title":"t","author":"Ada_L""#;
    let tweet = r#"{"id":"1","text":"x""#;
    for (platform, begin, more, field) in [
        (
            Platform::Reddit,
            reddit,
            r#","_meta":{"was_deleted_later":{"at":1},"removal_type":"deleted"}"#,
            "_meta",
        ),
        (Platform::Reddit, reddit, r#","_meta":{"was_deleted_later":"True","removal_type":"removed"}"#, ""),
        (Platform::Reddit, reddit, r#","_meta":{"retrieved_2nd_on":"never"}"#, "_meta"),
        (Platform::Reddit, reddit, r#","_meta":{"retrieved_2nd_on":"1600000000","note":{"x":1}}"#, ""),
        (Platform::Twitter, tweet, r#","public_metrics":{"like_count":"1.2K"}"#, "public_metrics"),
        (Platform::Twitter, tweet, r#","public_metrics":{"like_count":"12","retweet_count":[]}"#, ""),
        (Platform::Twitter, tweet, r#","user":{"screen_name":["ada_tw"]}"#, "user"),
        (Platform::Twitter, tweet, r#","user":{"screen_name":"ada_tw","id":7,"entities":{}}"#, ""),
        (
            Platform::Twitter,
            tweet,
            r#","referenced_tweets":[{"type":"quoted","id":2},{"id":[]}]"#,
            "referenced_tweets",
        ),
        (Platform::Twitter, tweet, r#","referenced_tweets":[{"type":"quoted","id":2}]"#, ""),
        (
            Platform::Twitter,
            tweet,
            r#","retweeted_status":{"id":"2","text":"y","user":{"screen_name":{}}}"#,
            "retweeted_status",
        ),
    ] {
        let dumps = Dumps::with(&[("a.jsonl", format!("{begin}{more}}}\n").as_bytes())]);
        let found = Run::of(platform).read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["outcome"]), ["kept"], "{more}");
        let expected = if field.is_empty() { vec![] } else { vec![(field, 1)] };
        assert_eq!(given_up(&found), expected, "{more}");
    }
}

#[test]
fn times_beyond_all_clocks_are_told() {
    for (created, at, lost) in [
        ("1600000000", "2020-09-13T12:26:40Z", 0),
        ("null", "-", 0),
        ("1e17", "-", 1),
        ("\"200000000000000000\"", "-", 1),
        ("false", "-", 1),
    ] {
        let line = format!("{{\"id\":\"a\",\"title\":\"t\",\"created_utc\":{created}}}\n");
        let dumps = Dumps::with(&[("a.jsonl", line.as_bytes())]);
        let found = Run::of(Platform::Reddit).read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["at"]), [at], "{created}");
        let expected = if lost == 0 { vec![] } else { vec![("created_utc", lost)] };
        assert_eq!(given_up(&found), expected, "{created}");
    }
}

#[test]
fn what_tables_of_tweets_give_up_is_told() {
    let table = "tweet_id,screen_name,text,created_at,in_reply_to_status_id,favorite_count,reply_count\n\
                 1,ada_tw,one,2015-02-24 11:35:52,5.70306E+17,\"1,234\",2\n\
                 2,ada_tw,two,2015-02-24 11:35:52,1,3,many\n\
                 3,ada_tw,three,2015-02-24 11:35:52, , ,\n\
                 4,ada_tw,four,2015-02-24 11:35:52,,4.0,0\n";
    let dumps = Dumps::with(&[("a.csv", table.as_bytes())]);
    let found = Run::of(Platform::Twitter).read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["native_id", "kind", "thread_id", "engagement", "replies"]),
        ["1 | post | 1 | - | 2", "2 | comment | 1 | 3 | -", "3 | post | 3 | - | -", "4 | post | 4 | 4 | 0"]
    );
    assert_eq!(given_up(&found), [("engagement", 1), ("replies", 1), ("reply_to", 1)]);
}

#[test]
fn numbers_of_rows_are_no_identifiers() {
    let named = CsvConfig { columns: [("id".into(), "id".into())].into(), ..CsvConfig::default() };
    let numbered = "ID,text\n1,one\n0000000002,two\n20072008,three\n";
    for (table, csv, ids, lost) in [
        (numbered, None, ["- | -", "- | -", "20072008 | 20072008"], 2),
        (numbered, Some(named), ["1 | 1", "0000000002 | 0000000002", "20072008 | 20072008"], 0),
        ("id,tweet_id,text\n1,20,one\n2,,two\n3,x,three\n", None, ["20 | 20", "- | -", "- | -"], 1),
        (
            "id,text,link\n1,one,https://x.com/ada_tw/status/20\n2,two,\n3,three,https://example.org/3\n",
            None,
            ["20 | 20", "- | -", "- | -"],
            2,
        ),
    ] {
        let dumps = Dumps::with(&[("a.csv", table.as_bytes())]);
        let found = Run { csv, ..Run::of(Platform::Twitter) }.read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["native_id", "thread_id"]), ids, "{table}");
        let expected = if lost == 0 { vec![] } else { vec![("id", lost)] };
        assert_eq!(given_up(&found), expected, "{table}");
    }
}

#[test]
fn identifiers_that_parquet_ruined_are_told() {
    let strings = |values: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let columns = [
        ("user", strings(["ada_tw", "ada_tw", "bob_tw"])),
        ("id", strings(["5.7E+17", "12", ""])),
        ("tweet", strings(["one", "two", "three"])),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let dumps = Dumps::with(&[("a.parquet", &bytes)]);
    let found = Run::of(Platform::Twitter).read(&[dumps.path().to_owned()]);
    assert_eq!(found.lines(&["native_id", "text"]), ["- | one", "12 | two", "- | three"]);
    assert_eq!(given_up(&found), [("id", 1)]);
}

#[test]
fn folders_in_archives_are_named_without_their_owner() {
    let account = br#"window.YTD.account.part0 = [ { "account" : { "username" : "ada_tw" } } ]"#;
    let tweets = br#"window.YTD.tweets.part0 = [ {"tweet":{"id_str":"1","full_text":"a"}}, {"a":1} ]"#;
    let archive = zip(&[
        ("twitter-2022-Ada_TW/data/account.js", account),
        ("twitter-2022-Ada_TW/data/tweets.js", tweets),
    ]);
    let dumps = Dumps::with(&[("ada_tw.zip", &archive)]);
    let found = Run::of(Platform::Twitter).read(&[dumps.path().to_owned()]);
    let ada = mention(Platform::Twitter, "ada_tw");
    let place = format!("{ada}.zip!twitter-2022-{ada}/data/tweets.js");
    assert_eq!(
        found.lines(&["source_file", "rule"]),
        [format!("{place} | -"), format!("{place} | not_a_record")]
    );
    assert_no_handles(&found, &["ada_tw"]);
}

#[test]
fn tables_are_named_without_their_author() {
    let ada = mention(Platform::Twitter, "ada_tw");
    for (author, table, rules) in [
        (None, "screen_name,text\none,two,three\nada_tw,hello\nfour\n", "wrong_columns - wrong_columns"),
        (None, "screen_name,text\n\n1\n2\n @Ada_tw ,hello\n", "wrong_columns wrong_columns -"),
        (Some("@ada_tw"), "id,text\n1,hello\n2,again\n", "- -"),
        (Some(" ada_tw"), "id,text\none\n1,hello\n", "wrong_columns -"),
        (Some("ada_tw"), "id,text\none\n", "wrong_columns"),
        (Some("ADA_tw"), "screen_name,text\n@ada_tw,hello\nbob_tw,hello\n", "- -"),
        (Some("ada_tw"), "screen_name,text\nbob_tw,hello\n", "-"),
    ] {
        let dumps = Dumps::with(&[("of ada_tw.csv", table.as_bytes())]);
        let csv = CsvConfig { author: author.map(str::to_owned), ..CsvConfig::default() };
        let found = Run { csv: Some(csv), ..Run::of(Platform::Twitter) }.read(&[dumps.path().to_owned()]);
        let expected: Vec<String> = rules.split(' ').map(|rule| format!("of {ada}.csv | {rule}")).collect();
        assert_eq!(found.lines(&["source_file", "rule"]), expected, "{author:?} {table}");
        assert_eq!(found.counts[0].name, format!("of {ada}.csv"));
        assert_no_handles(&found, &["ada_tw"]);
    }
}
