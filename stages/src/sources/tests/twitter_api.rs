//! Streams, pages, search results and tables of Twitter.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use genome_schemas::Platform;

use super::super::{CsvConfig, DateOrder, Deletions};
use super::{Dumps, Run, assert_no_handles, bzip2, gzip, mention, tar, zip};

fn run() -> Run {
    Run::of(Platform::Twitter)
}

fn honouring() -> Run {
    Run { deletions: Deletions::Honour, ..run() }
}

/// A tweet of v1.1 by Ada.
fn tweet(id: u64, text: &str, more: &str) -> String {
    format!(
        "{{\"created_at\":\"Wed Jul 03 06:30:00 +0000 2019\",\"id\":{id},\"id_str\":\"{id}\",\"text\":\"{text}\",\
         \"source\":\"web\",\"user\":{{\"id\":7,\"id_str\":\"7\",\"screen_name\":\"ada_tw\",\"description\":null}}{more}}}\r\n"
    )
}

const BOB: &str = r#""user":{"id_str":"8","screen_name":"bob_tw"}"#;

#[test]
fn streams_have_tweets_and_notices() {
    let lines = [
        tweet(1, "cats &amp; dogs", ""),
        "\r\n".into(),
        tweet(2, "only the begin… https:\\/\\/t.example", r#","truncated":true,"extended_tweet":{"full_text":"only the beginning &lt;3"}"#),
        tweet(3, "RT @bob_tw: cut…", &format!(r#","retweeted_status":{{"id_str":"30","text":"cut…",{BOB},"extended_tweet":{{"full_text":"cut no more"}}}}"#)),
        tweet(4, "look at this", &format!(r#","is_quote_status":true,"quoted_status_id":40,"quoted_status":{{"id_str":"40","full_text":"a quoted word",{BOB}}}"#)),
        tweet(5, "without the object", r#","is_quote_status":true,"quoted_status_id_str":"41""#),
        tweet(6, "@ada_tw and so on", r#","in_reply_to_status_id_str":"1","in_reply_to_user_id_str":"7""#),
        r#"{"delete":{"status":{"id":50,"id_str":"50","user_id":9,"user_id_str":"9"},"timestamp_ms":"1"}}"#.into(),
        "\r\n".into(),
        r#"{"limit":{"track":5}}"#.into(),
        "\n".into(),
        r#"{"scrub_geo":{"user_id":9,"up_to_status_id":1}}"#.into(),
        "\n".into(),
        r#"{"status_withheld":{"id":51,"user_id":9,"withheld_in_countries":["XY"]}}"#.into(),
        "\n".into(),
        r#"{"user_withheld":{"id":9,"withheld_in_countries":["XY"]}}"#.into(),
        "\n".into(),
        r#"{"friends":[1,2]}"#.into(),
        "\n".into(),
        r#"{"something":"else"}"#.into(),
        "\n".into(),
        r#"{"id_str":"60","text":"cut off"#.into(),
    ]
    .concat();
    let lines = lines.as_bytes();
    let forms: [(&str, Vec<u8>); 5] = [
        ("stream.tar", tar(&[("2019/07/03/06/30.json.bz2", &bzip2(lines))])),
        ("stream.zip", zip(&[("30.json.gz", &gzip(lines)), ("readme.txt", b"x")])),
        ("stream.json", lines.to_vec()),
        ("stream.json.gz", gzip(lines)),
        ("stream.jsonl", [b"\xef\xbb\xbf", lines].concat()),
    ];
    for (name, bytes) in forms {
        let dumps = Dumps::with(&[(name, &bytes)]);
        let found = run().read(&[dumps.path().to_owned()]);
        let lines = found.lines(&["outcome", "rule", "native_id", "kind", "text", "context"]);
        assert_eq!(
            lines,
            [
                "kept | - | 1 | post | cats & dogs | -",
                "kept | - | 2 | post | only the beginning <3 | -",
                "kept | - | 3 | repost |  | tweet <bob_tw>: cut no more",
                "kept | - | 4 | comment | look at this | tweet <bob_tw>: a quoted word",
                "kept | - | 5 | comment | without the object | -",
                "kept | - | 6 | comment | and so on | tweet <ada_tw>: cats & dogs",
                "notice | delete_notice | 50 | unknown | - | -",
                "notice | limit_notice | - | unknown | - | -",
                "notice | scrub_geo | - | unknown | - | -",
                "notice | status_withheld | 51 | unknown | - | -",
                "notice | user_withheld | - | unknown | - | -",
                "notice | friends_list | - | unknown | - | -",
                "malformed | not_a_record | - | unknown | - | -",
                "malformed | truncated | - | unknown | - | -",
            ],
            "{name}"
        );
        assert_no_handles(&found, &["ada_tw", "bob_tw"]);
    }
}

#[test]
fn a_notice_takes_back_a_tweet_of_another_file() {
    let tweets = [
        tweet(1, "stays", ""),
        tweet(2, "is deleted", ""),
        tweet(3, "is withheld", ""),
        tweet(4, "@ada_tw answers what is gone", r#","in_reply_to_status_id_str":"2""#),
        tweet(5, "is withheld where it says", r#","withheld_in_countries":["XY"]"#),
        tweet(6, "is gone by a list", ""),
    ]
    .concat();
    let notices = "{\"delete\":{\"status\":{\"id_str\":\"2\"}}}\n{\"delete\":{\"status\":{\"id_str\":\"2\"}}}\n\
                   {\"status_withheld\":{\"id\":3,\"withheld_in_countries\":[\"XY\"]}}\n\
                   {\"delete\":{\"status\":{\"id_str\":\"99\"}}}\n";
    let list = "{\"id\":\"6\",\"action\":\"delete\",\"created_at\":\"2020-01-01T00:00:00+00:00\",\"reason\":\"deleted\"}\n";
    let dumps = Dumps::with(&[
        ("a.json.gz", &gzip(tweets.as_bytes())),
        ("b.tar", &tar(&[("01.json.bz2", &bzip2(notices.as_bytes()))])),
        ("c.jsonl", list.as_bytes()),
    ]);
    let columns = ["native_id", "outcome", "stage", "rule", "author_class", "context"];
    let own = |run: &Run| -> Vec<String> {
        let found = run.read(&[dumps.path().to_owned()]);
        found.lines(&columns).into_iter().filter(|line| !line.contains("notice | source")).collect()
    };
    assert_eq!(
        own(&honouring()),
        [
            "1 | kept | - | - | person | -",
            "2 | deleted | source | delete_notice | deleted | -",
            "3 | deleted | source | status_withheld | deleted | -",
            "4 | kept | - | - | person | -",
            "5 | deleted | source | deletions | deleted | -",
            "6 | deleted | source | compliance_notice | deleted | -",
        ]
    );
    assert_eq!(
        own(&run()),
        [
            "1 | kept | - | - | person | -",
            "2 | kept | - | - | deleted | -",
            "3 | kept | - | - | deleted | -",
            "4 | kept | - | - | person | tweet <ada_tw>: is deleted",
            "5 | kept | - | - | deleted | -",
            "6 | kept | - | - | deleted | -",
        ]
    );
    let without_context = Run { context: false, ..honouring() };
    assert_eq!(own(&without_context), own(&honouring()));
}

#[test]
fn tweets_that_are_withheld_nowhere_are_kept() {
    for (countries, outcome) in
        [(r#"["XY"]"#, "deleted"), ("[]", "kept"), (r#""""#, "kept"), ("null", "kept")]
    {
        let of_tweet = tweet(1, "says", &format!(r#","withheld_in_countries":{countries}"#));
        let person = format!(r#""screen_name":"ada_tw","withheld_in_countries":{countries}"#);
        let of_person = tweet(1, "says", "").replace(r#""screen_name":"ada_tw""#, &person);
        for line in [of_tweet, of_person] {
            let dumps = Dumps::with(&[("a.json", line.as_bytes())]);
            let found = honouring().read(&[dumps.path().to_owned()]);
            assert_eq!(found.lines(&["outcome"]), [outcome], "{line}");
        }
    }
}

#[test]
fn files_are_named_without_whoever_wrote_their_first_tweet() {
    let ada = mention(Platform::Twitter, "ada_tw");
    let ours = format!("oops\n{}{}", tweet(1, "one", ""), tweet(2, "two", ""));
    let theirs = format!("{{\"id_str\":\"9\",\"text\":\"hi\",{BOB}}}\n");
    let page = PAGE.replace('\n', "");
    let members = tar(&[("ada_tw/1.json", ours.as_bytes()), ("2.json", theirs.as_bytes())]);
    let cases: [(&str, &[u8], &str, Vec<String>); 4] = [
        ("Ada_TW_timeline.jsonl", ours.as_bytes(), "<>_timeline.jsonl", vec!["<>_timeline.jsonl".into(); 3]),
        ("of ada_tw.json", page.as_bytes(), "of <>.json", vec!["of <>.json".into(); 7]),
        ("bob_tw.jsonl", ours.as_bytes(), "bob_tw.jsonl", vec!["bob_tw.jsonl".into(); 3]),
        ("ada_tw.tar", &members, "<>.tar", {
            let mut places = vec!["<>.tar!2.json".to_owned()];
            places.resize(4, "<>.tar!<>/1.json".to_owned());
            places
        }),
    ];
    for (name, bytes, shown, places) in cases {
        let dumps = Dumps::with(&[(name, bytes)]);
        let found = run().read(&[dumps.path().to_owned()]);
        let hidden = |name: &str| name.replace("<>", &ada);
        let mut expected: Vec<String> = places.iter().map(|place| hidden(place)).collect();
        expected.sort();
        assert_eq!(found.lines(&["source_file"]), expected, "{name}");
        assert_eq!(found.counts[0].name, hidden(shown), "{name}");
        assert_no_handles(&found, &["ada_tw"]);
    }
}

/// A page of v2 with accounts and tweets beside it.
const PAGE: &str = r#"{"data":[
{"id":"1","author_id":"7","text":"hello &amp; good day","created_at":"2019-07-03T06:30:00.000Z","conversation_id":"1","public_metrics":{"like_count":4,"retweet_count":0},"lang":"en"},
{"id":"2","author_id":"7","text":"RT @bob_tw: cut…","referenced_tweets":[{"type":"retweeted","id":"20"}]},
{"id":"3","author_id":"7","text":"@bob_tw yes","conversation_id":"21","in_reply_to_user_id":"8","referenced_tweets":[{"type":"replied_to","id":"21"}]},
{"id":"4","author_id":"7","text":"so it is","referenced_tweets":[{"type":"quoted","id":"20"}]},
{"id":"5","author_id":"9","text":"nobody tells my name","note_tweet":{"text":"nobody tells my name, and I am long"}},
{"id":"6","author_id":"7","text":"withheld","withheld":{"copyright":false,"country_codes":["XY"]}},
{"id":"71","author_id":"7","text":"second version","edit_history_tweet_ids":["70","71"],"created_at":"2019-07-03T06:31:00.000Z"}
],"includes":{"users":[{"id":"7","username":"ada_tw"},{"id":"8","username":"bob_tw"}],
"tweets":[{"id":"20","author_id":"8","text":"cut no more"},{"id":"21","author_id":"8","text":"is it so?"}]},"meta":{"result_count":7}}"#;

#[test]
fn pages_give_a_record_for_each_tweet() {
    let line = PAGE.replace('\n', "");
    let forms: [(&str, String); 3] = [
        ("one a line.jsonl", format!("{line}\n")),
        ("pretty.json", PAGE.replacen("{\"data\"", "{\n\"data\"", 1)),
        ("in a list.json", format!("[{line}]")),
    ];
    for (name, text) in forms {
        let dumps = Dumps::with(&[(name, text.as_bytes())]);
        let found = run().read(&[dumps.path().to_owned()]);
        let columns = ["native_id", "kind", "author_class", "thread_id", "engagement", "text", "context"];
        assert_eq!(
            found.lines(&columns),
            [
                "1 | post | person | 1 | 4 | hello & good day | -",
                "2 | repost | person | 2 | - |  | tweet <bob_tw>: cut no more",
                "3 | comment | person | 21 | - | yes | tweet <bob_tw>: is it so?",
                "4 | comment | person | 4 | - | so it is | tweet <bob_tw>: cut no more",
                "5 | post | person | 5 | - | nobody tells my name, and I am long | -",
                "6 | post | deleted | 6 | - | withheld | -",
                "70 | post | person | 71 | - | second version | -",
            ],
            "{name}"
        );
        assert_eq!(
            found.lines(&["author_id", "at", "retrieved_at"])[6],
            "<ada_tw> | 2019-07-03T06:31:00Z | 2019-07-03T06:31:00Z"
        );
        for row in &found.rows {
            let at = usize::try_from(row["source_offset"].as_u64().unwrap()).unwrap();
            assert!(text[at..].starts_with("{\"id\""), "{name}: {at}");
        }
        assert_no_handles(&found, &["ada_tw", "bob_tw"]);
    }
}

#[test]
fn pages_that_hold_no_tweets_are_notices() {
    let lines = [
        r#"{"data":[{"start":"2019","end":"2020","tweet_count":3}],"meta":{"total_tweet_count":3}}"#,
        r#"{"data":[{"id":"7","username":"ada_tw","name":"Ada"}],"includes":{"tweets":[{"id":"5","text":"pinned"}]}}"#,
        r#"{"errors":[{"title":"Not Found Error","resource_id":"1"}]}"#,
        r#"{"meta":{"result_count":0}}"#,
        r#"{"data":{"id":"1","text":"one by itself","author_id":"7"},"matching_rules":[{"id":"1"}]}"#,
        r#"{"id":"2","text":"flat","author_id":"7","author":{"id":"7","username":"ada_tw"},"referenced_tweets":[{"type":"replied_to","id":"3","text":"answered","author":{"username":"bob_tw"}}]}"#,
    ]
    .join("\n");
    let dumps = Dumps::with(&[("v2.jsonl", lines.as_bytes()), ("empty.jsonl", b"")]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["outcome", "rule", "native_id", "text", "context"]),
        [
            "notice | page_without_tweets | - | - | -",
            "notice | page_without_tweets | - | - | -",
            "notice | page_without_tweets | - | - | -",
            "notice | page_without_tweets | - | - | -",
            "kept | - | 1 | one by itself | -",
            "kept | - | 2 | flat | tweet <bob_tw>: answered",
        ]
    );
}

#[test]
fn of_a_damaged_page_the_other_tweets_are_read() {
    let line = PAGE.replace('\n', "").replace("\"text\":\"so it is\"", "\"text\":so it is\"");
    let dumps = Dumps::with(&[("v2.jsonl", line.as_bytes())]);
    let found = run().read(&[dumps.path().to_owned()]);
    let lines = found.lines(&["native_id", "rule"]);
    assert_eq!(lines.iter().filter(|line| line.ends_with("| -")).count(), 6, "{lines:?}");
    assert!(lines.contains(&"- | invalid_json".into()), "{lines:?}");
    assert_eq!(found.lines(&["author_id"])[0], "<ada_tw>");
    let unbalanced = PAGE.replace('\n', "").replace("\"like_count\":4", "\"like_count\":{");
    let dumps = Dumps::with(&[("v2.jsonl", unbalanced.as_bytes())]);
    let lines = run().read(&[dumps.path().to_owned()]).lines(&["native_id", "rule"]);
    assert_eq!(lines.iter().filter(|line| line.ends_with("| -")).count(), 6, "{lines:?}");
    let cut = &PAGE.replace('\n', "")[..300];
    let dumps = Dumps::with(&[("v2.jsonl", cut.as_bytes())]);
    assert_eq!(run().read(&[dumps.path().to_owned()]).lines(&["native_id", "outcome"])[0], "1 | kept");
}

/// A page as scripts lay it out, with one tweet.
fn laid_out(id: u64) -> String {
    let tweet = format!("{{\n   \"id\": \"{id}\",\n   \"text\": \"page {id}\"\n  }}");
    format!("{{\n \"data\": [\n  {tweet}\n ],\n \"meta\": {{\n  \"result_count\": 1\n }}\n}}")
}

#[test]
fn pages_laid_out_follow_each_other_in_a_file() {
    let pages = [1, 2, 3].map(laid_out);
    let empty = "{\n \"meta\": {\n  \"result_count\": 0\n }\n}";
    let cut = &pages[1][..pages[1].len() - 9];
    let alone = [1, 2].map(|id| format!("{{\n \"id\": \"{id}\",\n \"text\": \"alone\"\n}}"));
    let cases: [(&str, String, &[&str]); 8] = [
        ("one", pages[0].clone(), &["1 | -"]),
        ("line ends between", pages.join("\n") + "\n", &["1 | -", "2 | -", "3 | -"]),
        ("nothing between", pages.concat(), &["1 | -", "2 | -", "3 | -"]),
        (
            "byte-order marks",
            "\u{feff}".to_owned() + &pages.join("\n\u{feff}").replace('\n', "\r\n"),
            &["1 | -", "2 | -", "3 | -"],
        ),
        (
            "a page without tweets at the end",
            [pages[0].as_str(), &pages[1], empty].join("\n"),
            &["1 | -", "2 | -", "- | page_without_tweets"],
        ),
        ("tweets", alone.join("\n"), &["1 | -", "2 | -"]),
        (
            "the second damaged",
            pages.join("\n").replace("page 2\"", "page 2"),
            &["1 | -", "- | invalid_json", "3 | -"],
        ),
        ("the second cut", [pages[0].as_str(), cut, &pages[2]].join("\n"), &["1 | -", "2 | -", "3 | -"]),
    ];
    for (name, text, expected) in cases {
        let dumps = Dumps::with(&[("pages.json", text.as_bytes())]);
        let found = run().read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["native_id", "rule"]), expected, "{name}");
        for row in found.rows.iter().filter(|row| row["outcome"] == "kept") {
            let at = usize::try_from(row["source_offset"].as_u64().unwrap()).unwrap();
            let id = format!("\"id\": {}", row["native_id"]);
            assert!(text[at..].trim_start_matches(['{', ' ', '\r', '\n']).starts_with(&id), "{name}: {at}");
        }
    }
}

#[test]
fn what_stands_behind_a_damaged_page_is_told() {
    let (first, second) = (laid_out(1), laid_out(2));
    // Its first field is none that pages are known by.
    let other = second.replacen("{\n", "{\n \"query\": \"q\",\n", 1);
    let cut = &first[..first.len() - 9];
    let cases: [(String, Option<&str>, &[&str]); 3] = [
        (format!("{first}\n? {second}"), Some("? {"), &["1", "2"]),
        (format!("{first}\n? {other}"), Some("? {"), &["1"]),
        // A brace that begins a line begins a page.
        (format!("{cut}\n{other}"), None, &["1", "2"]),
    ];
    for (text, behind, ids) in cases {
        let dumps = Dumps::with(&[("pages.json", text.as_bytes())]);
        let found = run().read(&[dumps.path().to_owned()]);
        let place = behind.map(|behind| format!("- | {} | invalid_json", text.find(behind).unwrap()));
        let lines = found.lines(&["native_id", "source_offset", "rule"]);
        let (lost, read): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.ends_with("invalid_json"));
        assert_eq!(lost, place.iter().collect::<Vec<_>>(), "{text}");
        let read: Vec<&str> = read.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(read, ids, "{text}");
    }
}

#[test]
fn a_damaged_object_costs_none_behind_it() {
    let object = |id: usize, text: &str| format!("{{\n \"id\": \"{id}\",\n \"text\": {text}\n}}");
    let (first, damaged, third) = (object(1, "\"one\""), object(2, "\"two"), object(3, "\"three\""));
    for (text, malformed) in
        [([first.as_str(), &damaged, &third].join("\n"), 4), ([first.as_str(), &third].join(",\n"), 0)]
    {
        let dumps = Dumps::with(&[("tweets.json", text.as_bytes())]);
        let lines = run().read(&[dumps.path().to_owned()]).lines(&["native_id", "outcome"]);
        assert_eq!(lines.iter().filter(|line| line.ends_with("malformed")).count(), malformed, "{lines:?}");
        assert!(
            lines.contains(&"1 | kept".to_owned()) && lines.contains(&"3 | kept".to_owned()),
            "{lines:?}"
        );
    }
}

#[test]
fn notices_laid_out_take_back_tweets() {
    let tweets = [1, 2, 3].map(|id| tweet(id, "says", "")).concat();
    let notices = [2, 3]
        .map(|id| format!("{{\n \"delete\": {{\n  \"status\": {{\n   \"id_str\": \"{id}\"\n  }}\n }}\n}}\n"));
    let dumps = Dumps::with(&[("a.json", tweets.as_bytes()), ("b.json", notices.concat().as_bytes())]);
    assert_eq!(
        honouring().read(&[dumps.path().to_owned()]).lines(&["native_id", "outcome", "rule"]),
        [
            "1 | kept | -",
            "2 | deleted | delete_notice",
            "3 | deleted | delete_notice",
            "2 | notice | delete_notice",
            "3 | notice | delete_notice",
        ]
    );
}

#[test]
fn search_results_of_v1() {
    let results = format!(
        "{{\n  \"statuses\": [\n {},\n {}\n ],\n \"search_metadata\": {{\"count\": 2}}\n}}\n",
        tweet(1, "found", "").trim_end(),
        tweet(2, "found too", "").trim_end()
    );
    let dumps = Dumps::with(&[("search.json", results.as_bytes())]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["native_id", "text", "author_id"]),
        ["1 | found | <ada_tw>", "2 | found too | <ada_tw>"]
    );
}

#[test]
fn programs_named_after_their_owner() {
    let line = tweet(1, "automatic", "").replace("\"web\"", "\"<a href=\\\"x\\\">AdA_tw's bot</a>\"");
    let dumps = Dumps::with(&[("a.json", line.as_bytes())]);
    let found = run().read(&[dumps.path().to_owned()]);
    let ada = mention(Platform::Twitter, "ada_tw");
    assert_eq!(found.lines(&["attributes"]), [format!("{{\"app\":\"{ada}'s bot\"}}")]);
}

#[test]
fn long_posts_of_archives_are_whole() {
    // Each in a second of its own, by which they are found.
    let tweet = |second: u32, text: &str| {
        format!(
            "{{\"tweet\":{{\"id_str\":\"{second}\",\"full_text\":\"{text}\",\"created_at\":\"Thu Nov 03 08:50:{second} +0000 2022\"}}}}"
        )
    };
    let note = |second: u32, text: &str| {
        format!(
            "{{\"noteTweet\":{{\"createdAt\":\"2022-11-03T08:50:{second}.000Z\",\"core\":{{\"text\":\"{text}\"}}}}}}"
        )
    };
    let file = |elements: &[String]| format!("window.YTD.any.part0 = [ {} ]", elements.join(", "));
    let tweets = file(&[
        tweet(10, "The beginning of something long that a tweet cuts… https://t.example/x"),
        tweet(20, "Cats &amp; dogs… https://t.example/x"),
        tweet(30, "Salt & pepper… https://t.example/x"),
        tweet(40, "A part of its own…"),
    ]);
    let notes = file(&[
        note(10, "The beginning of something long that a tweet cuts, and its end."),
        note(20, "Cats & dogs, and their end."),
        note(30, "Salt &amp; pepper, and their end."),
    ]);
    let more_notes = file(&[note(40, "A part of its own, and its end.")]);
    let deleted = file(&[
        note(10, "The beginning of something long that a tweet cuts, and was deleted."),
        note(40, "A part of its own, and was deleted."),
    ]);
    let among_friends = file(&[tweet(50, "among friends")]);
    let account = r#"window.YTD.account.part0 = [ { "account" : { "username" : "ada_tw" } } ]"#;
    let archive = zip(&[
        ("data/deleted-note-tweet.js", deleted.as_bytes()),
        ("data/tweets.js", tweets.as_bytes()),
        ("data/note-tweet.js", notes.as_bytes()),
        ("data/note-tweet-part1.js", more_notes.as_bytes()),
        ("data/community-tweet.js", among_friends.as_bytes()),
        ("data/account.js", account.as_bytes()),
    ]);
    let dumps = Dumps::with(&[("a.zip", &archive)]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["text"]),
        [
            "among friends",
            "The beginning of something long that a tweet cuts, and its end.",
            "Cats & dogs, and their end.",
            "Salt & pepper, and their end.",
            "A part of its own, and its end.",
        ]
    );
}

#[test]
fn tables_of_academic_tools() {
    let table = "tweet_id,name,text,tweet_created,source\r\n\
                 5.70306E+17,ada_tw,\"two\nlines, and a \"\"quote\"\"\",2015-02-24 11:35:52 -0800,web\r\n\
                 570306133677760513,@bob_tw,@ada_tw caf\u{e9},2/24/15 11:35,\r\n\
                 570306133677760514,bob_tw,RT @ada_tw: words,24-02-2015 11.35,\r\n\
                 one,two\r\n";
    let dumps = Dumps::with(&[("Tweets.csv", table.as_bytes())]);
    let found = run().read(&[dumps.path().to_owned()]);
    let columns = ["native_id", "author_id", "kind", "text", "at", "rule"];
    assert_eq!(
        found.lines(&columns),
        [
            "- | <ada_tw> | post | two\nlines, and a \"quote\" | 2015-02-24T19:35:52Z | -",
            "570306133677760513 | <bob_tw> | comment | café | - | -",
            "570306133677760514 | <bob_tw> | repost |  | - | -",
            "- | - | unknown | - | - | wrong_columns",
        ]
    );
    let conflicts: Vec<_> =
        found.counts[0].type_conflicts.iter().map(|(field, c)| (*field, c.count)).collect();
    assert_eq!(conflicts, [("at", 2), ("id", 1)]);
    let csv = CsvConfig { dates: Some(DateOrder::MonthFirst), ..CsvConfig::default() };
    let found = Run { csv: Some(csv), ..run() }.read(&[dumps.path().to_owned()]);
    assert_eq!(found.lines(&["at"])[1], "2015-02-24T11:35:00Z");
}

#[test]
fn tables_with_columns_of_their_own() {
    let table = b"when,words,link\n2017-08-27 00:05:34,caf\xe9,https://twitter.com/ada_tw/status/123\n";
    let dumps = Dumps::with(&[("ada_tw.csv", table)]);
    let error = run().read(&[dumps.path().to_owned()]).error.unwrap();
    assert!(error.contains("no column of texts") && error.contains("`when`, `words`, `link`"), "{error}");
    let columns = [("at", "when"), ("text", "words")].map(|(field, column)| (field.into(), column.into()));
    let csv = CsvConfig { columns: columns.into(), author: Some("ada_tw".into()), dates: None };
    let found = Run { csv: Some(csv.clone()), ..run() }.read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["native_id", "author_id", "text", "at", "lossy"]),
        ["123 | <ada_tw> | café | 2017-08-27T00:05:34Z | true"]
    );
    assert_no_handles(&found, &["ada_tw"]);
    let wrong = CsvConfig { columns: [("text".into(), "wrods".into())].into(), ..csv };
    let error = Run { csv: Some(wrong), ..run() }.read(&[dumps.path().to_owned()]).error.unwrap();
    assert!(error.contains("no column `wrods` for `text`"), "{error}");
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn parquet_of_users_and_tweets() {
    let tweets = parquet(vec![
        ("user", strings(&["ada_tw", "bob_tw"])),
        ("id", Arc::new(Int64Array::from(vec![570_306_133_677_760_513, 2]))),
        ("tweet", strings(&["hello &amp; good day @bob_tw", "buy our things"])),
        ("likes", Arc::new(Int64Array::from(vec![3, 0]))),
        ("date", strings(&["2019-07-03 06:30:00", "2019-07-03T06:30:00"])),
    ]);
    let users = parquet(vec![
        ("user", strings(&["ada_tw", "bob_tw"])),
        ("followers", Arc::new(Int64Array::from(vec![3, 4]))),
        ("description", strings(&["Sailor.", "The official account of a shop"])),
    ]);
    let dumps = Dumps::with(&[("tweets.parquet", &tweets), ("users.parquet", &users)]);
    let found = run().read(&[dumps.path().to_owned()]);
    let bob = mention(Platform::Twitter, "bob_tw");
    assert_eq!(
        found.lines(&["native_id", "author_id", "author_class", "engagement", "text", "at"]),
        [
            format!(
                "570306133677760513 | <ada_tw> | person | 3 | hello & good day @{bob} | 2019-07-03T06:30:00Z"
            ),
            "2 | <bob_tw> | corporate | 0 | buy our things | 2019-07-03T06:30:00Z".into(),
        ]
    );
    let users_only = run().read(&[dumps.path().join("users.parquet")]).error.unwrap();
    assert!(users_only.contains("none of tweets"), "{users_only}");
    let other = Dumps::with(&[("x.parquet", &parquet(vec![("a", strings(&["b"]))]))]);
    let error = run().read(&[other.path().to_owned()]).error.unwrap();
    assert!(error.contains("twitter100m"), "{error}");
}
