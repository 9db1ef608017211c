use genome_schemas::Platform;

use super::super::{Deletions, ReaderOptions, TruncatedPolicy};
use super::{Dumps, Run, assert_no_handles, mention, zip};

fn run() -> Run {
    Run::of(Platform::Twitter)
}

const OLD_TWEETS: &str = r#"Grailbird.data.tweets_2011_01 = 
 [ {
  "source" : "\u003Ca href=\"http:\/\/x.example\/\"\u003EBird App\u003C\/a\u003E",
  "geo" : { },
  "id_str" : "90071992547409931", "id" : 90071992547409931,
  "text" : "cats &amp; dogs with @Bob_TW",
  "created_at" : "2011-01-02 17:48:21 +0000",
  "user" : { "screen_name" : "ada_tw", "id" : 7 }
}, {
  "id_str" : "90071992547409932", "text" : "@bob_tw @carl_tw no way",
  "in_reply_to_status_id_str" : "5", "in_reply_to_user_id" : 8, "in_reply_to_screen_name" : "bob_tw",
  "created_at" : "Sun Jan 02 18:48:21 +0000 2011", "user" : { "screen_name" : "ada_tw" }
}, {
  "id" : 90071992547409933, "text" : "and more", "in_reply_to_status_id" : 90071992547409931,
  "created_at" : "2011-01-02 19:00:00 +0000", "user" : { "screen_name" : "ada_tw" }
}, {
  "id_str" : "90071992547409934", "text" : "RT @bob_tw: only the beginn…",
  "retweeted_status" : { "id_str" : "6", "text" : "only the beginning, &lt;3 @ada_tw", "user" : { "screen_name" : "bob_tw" } },
  "created_at" : "2011-01-02 20:00:00 +0000", "user" : { "screen_name" : "ada_tw" }
}, {
  "id_str" : "90071992547409935", "text" : "so true RT @bob_tw: short",
  "created_at" : "2011-01-02 21:00:00 +0000", "user" : { "screen_name" : "ada_tw" }
} ]"#;

const OLD_USER: &str = r#"var user_details = { "screen_name" : "ada_tw", "bio" : "Compilers." }"#;

fn old_archive() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("data/js/tweets/2011_01.js", OLD_TWEETS.as_bytes()),
        ("data/js/user_details.js", OLD_USER.as_bytes()),
        ("data/js/tweet_index.js", b"var tweet_index = [ { broken"),
        ("data/js/payload_details.js", b"not even close"),
        ("tweets.csv", b"\"id\",\"text\""),
    ]
}

#[test]
fn old_archives_zipped_and_unpacked() {
    let zipped = Dumps::with(&[("ada_TW-archive.zip", &zip(&old_archive()))]);
    let unpacked = Dumps::new();
    for (name, bytes) in old_archive() {
        unpacked.put(&format!("mine/{name}"), bytes);
    }
    let (ada, bob) = (mention(Platform::Twitter, "ada_tw"), mention(Platform::Twitter, "bob_tw"));
    let columns = ["kind", "native_id", "thread_id", "text", "context", "at"];
    let expected = [
        format!("post | 90071992547409931 | 90071992547409931 | cats & dogs with @{bob} | - | 2011-01-02T17:48:21Z"),
        "comment | 90071992547409932 | 5 | no way | - | 2011-01-02T18:48:21Z".into(),
        format!(
            "comment | 90071992547409933 | 90071992547409931 | and more | \
             tweet <ada_tw>: cats & dogs with @{bob} | 2011-01-02T19:00:00Z"
        ),
        format!(
            "repost | 90071992547409934 | 90071992547409934 |  | \
             tweet <bob_tw>: only the beginning, <3 @{ada} | 2011-01-02T20:00:00Z"
        ),
        "comment | 90071992547409935 | 90071992547409935 | so true | tweet <bob_tw>: short | 2011-01-02T21:00:00Z".into(),
    ];
    let found = run().read(&[zipped.path().to_owned()]);
    assert_eq!(found.lines(&columns), expected);
    assert_eq!(
        found.lines(&["author_id", "author_class", "attributes", "source_file", "source_offset"])[0],
        format!(
            "<ada_tw> | person | {{\"app\":\"Bird App\"}} | {ada}-archive.zip!data/js/tweets/2011_01.js | 36"
        )
    );
    assert_no_handles(&found, &["ada_tw", "bob_tw", "carl_tw"]);
    let folder = run().read(&[unpacked.path().to_owned()]);
    assert_eq!(folder.lines(&columns), expected);
    assert_eq!(folder.rows[0]["source_file"], "mine!data/js/tweets/2011_01.js");
}

const ACCOUNT: &str = r#"window.YTD.account.part0 = [ { "account" : { "email" : null, "username" : "ada_tw", "accountId" : "7" } } ]"#;

fn new_archive(tweets: &[(&str, &str)]) -> Vec<u8> {
    let mut members: Vec<(&str, &[u8])> = vec![
        ("data/account.js", ACCOUNT.as_bytes()),
        ("data/direct-messages.js", b"window.YTD.direct_messages.part0 = [ {\"text\":\"secret\"} ]"),
        (
            "data/deleted-tweets.js",
            b"window.YTD.deleted_tweets.part0 = [ {\"tweet\":{\"id_str\":\"9\",\"text\":\"gone\"}} ]",
        ),
        ("data/like.js", b"window.YTD.like.part0 = [ {\"like\":{\"fullText\":\"liked\"}} ]"),
    ];
    members.extend(tweets.iter().map(|(name, text)| (*name, text.as_bytes())));
    zip(&members)
}

#[test]
fn new_archives_with_all_their_parts() {
    let tweet = |id: u32, text: &str, more: &str| {
        format!(
            "{{ \"tweet\" : {{ \"id_str\" : \"{id}\", \"id\" : \"{id}\", \"full_text\" : \"{text}\", \
             \"created_at\" : \"Thu Nov 03 08:50:26 +0000 2022\", \"favorite_count\" : \"5\", \"lang\" : \"en\"{more} }} }}"
        )
    };
    let part0 = format!(
        "window.YTD.tweets.part0 = [\n{},\n{}\n]",
        tweet(1, "good morning", ""),
        tweet(2, "RT @bob_tw: words", "")
    );
    let part1 = format!(
        "window.YTD.tweets.part1 = [ {}, {{ \"id_str\" : \"4\", \"full_text\" : \"not wrapped\" }} ]",
        tweet(3, "@ada_tw thread", r#", "in_reply_to_status_id_str" : "1", "in_reply_to_user_id_str" : "7""#)
    );
    for names in [["data/tweets.js", "data/tweets-part1.js"], ["data/tweet.js", "data/tweet-part1.js"]] {
        let bytes = new_archive(&[(names[0], &part0), (names[1], &part1)]);
        let dumps = Dumps::with(&[("archive.zip", &bytes)]);
        let found = run().read(&[dumps.path().to_owned()]);
        let mut lines = found.lines(&["native_id", "kind", "author_id", "engagement", "text", "context"]);
        lines.sort();
        assert_eq!(
            lines,
            [
                "1 | post | <ada_tw> | 5 | good morning | -",
                "2 | repost | <ada_tw> | 5 |  | tweet <bob_tw>: words",
                "3 | comment | <ada_tw> | 5 | thread | tweet <ada_tw>: good morning",
                "4 | post | <ada_tw> | - | not wrapped | -",
            ]
        );
        assert_no_handles(&found, &["ada_tw", "bob_tw", "secret", "gone", "liked"]);
    }
}

#[test]
fn broken_elements_are_rows() {
    let tweets = "window.YTD.tweets.part0 = [ {\"tweet\":{\"id_str\":\"1\",\"full_text\":\"a\"}}, \
                  {\"tweet\":{\"id_str\":\"2\",\"full_text\":\"lone \\ud83d\"}}, {\"tweet\":{\"id_str\":\"3\"}}, \
                  {\"a\":tru}, oops, {\"tweet\":{\"id_str\":\"4\",\"full_text\":\"d\"}} ]";
    let dumps = Dumps::with(&[("archive.zip", &new_archive(&[("data/tweets.js", tweets)]))]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["native_id", "rule", "lossy"]),
        [
            "1 | - | false",
            "2 | - | true",
            "- | not_a_record | false",
            "- | invalid_json | false",
            "- | invalid_json | false",
            "4 | - | false",
        ]
    );
}

#[test]
fn a_list_that_is_not_closed_is_a_broken_file() {
    let tweets =
        "window.YTD.tweets.part0 = [ {\"tweet\":{\"id_str\":\"1\",\"full_text\":\"a\"}}, {\"tweet\":{\"id_s";
    let dumps = Dumps::with(&[("archive.zip", &new_archive(&[("data/tweets.js", tweets)]))]);
    let error = run().read(&[dumps.path().to_owned()]).error.unwrap();
    assert!(
        error.contains("archive.zip") && error.contains("data/tweets.js") && error.contains("not closed"),
        "{error}"
    );
    let options = ReaderOptions { on_truncated: TruncatedPolicy::Keep, ..ReaderOptions::default() };
    let kept = Run { options, ..run() }.read(&[dumps.path().to_owned()]);
    assert_eq!(kept.lines(&["native_id", "rule"]), ["1 | -", "- | truncated_file"]);
}

#[test]
fn what_is_no_archive_is_an_error() {
    let tweets = "window.YTD.tweets.part0 = [ {\"tweet\":{\"id_str\":\"1\",\"full_text\":\"a\"}} ]";
    let cases = [
        ("data/like.js", "[]", "no personal archive"),
        ("data/tweets.js", tweets, "`data/account.js` is missing"),
    ];
    for (name, content, part) in cases {
        let dumps = Dumps::with(&[("archive.zip", &zip(&[(name, content.as_bytes())]))]);
        let error = run().read(&[dumps.path().to_owned()]).error.unwrap_or_default();
        assert!(error.contains(part) && error.contains("archive.zip"), "{error}");
    }
}

#[test]
fn an_archive_is_known_under_any_name() {
    let tweets = "window.YTD.tweets.part0 = [ {\"tweet\":{\"id_str\":\"1\",\"full_text\":\"a\"}} ]";
    let archive = new_archive(&[("data/tweets.js", tweets)]);
    for name in ["archive.zip", "archive.zip.1", "archive of 2022"] {
        let dumps = Dumps::new();
        let found = Run { deletions: Deletions::Honour, ..run() }.read(&[dumps.put(name, &archive)]);
        assert_eq!(found.lines(&["native_id", "author_id", "outcome"]), ["1 | <ada_tw> | kept"], "{name}");
    }
}

/// Bob quotes Ada: with her words in v1.1, with the id or the mark alone, and with and without her words in v2.
const QUOTING: [&str; 6] = [
    r#"{"id_str":"2","text":"so true","user":{"screen_name":"bob_tw"},"is_quote_status":true,"quoted_status_id_str":"1","quoted_status":{"id_str":"1","text":"her words","user":{"screen_name":"ada_tw"}}}"#,
    r#"{"id_str":"2","text":"so true","user":{"screen_name":"bob_tw"},"is_quote_status":true,"quoted_status_id":1,"quoted_status_id_str":"1"}"#,
    r#"{"id_str":"2","text":"so true","user":{"screen_name":"bob_tw"},"quoted_status_id":1}"#,
    r#"{"id_str":"2","text":"so true","user":{"screen_name":"bob_tw"},"is_quote_status":true}"#,
    r#"{"id":"2","text":"so true","author":{"id":"8","username":"bob_tw"},"referenced_tweets":[{"type":"quoted","id":"1","text":"her words","author":{"id":"7","username":"ada_tw"}}]}"#,
    r#"{"id":"2","text":"so true","author":{"id":"8","username":"bob_tw"},"referenced_tweets":[{"type":"quoted","id":"1"}]}"#,
];

/// Bob passes on what Ada wrote: with her tweet in v1.1, by the text alone, and with the id alone in v2.
const PASSING_ON: [&str; 4] = [
    r#"{"id_str":"2","text":"RT @ada_tw: her w…","user":{"screen_name":"bob_tw"},"retweeted_status":{"id":1,"text":"her words","user":{"screen_name":"ada_tw"}}}"#,
    r#"{"id_str":"2","text":"RT @ada_tw: her w…","user":{"screen_name":"bob_tw"}}"#,
    r#"{"id":"2","text":"RT @ada_tw: her w…","author":{"id":"8","username":"bob_tw"},"referenced_tweets":[{"type":"retweeted","id":"1"}]}"#,
    r#"{"id":"2","text":"her words","author":{"id":"8","username":"bob_tw"},"referenced_tweets":[{"type":"retweeted","id":"1"}]}"#,
];

#[test]
fn a_tweet_is_one_event_in_all_forms() {
    for (expected, forms) in [("comment | so true", &QUOTING[..]), ("repost | ", &PASSING_ON[..])] {
        let mut keys = Vec::new();
        for form in forms {
            let dumps = Dumps::with(&[("a.jsonl", form.as_bytes())]);
            let found = run().read(&[dumps.path().to_owned()]);
            assert_eq!(found.lines(&["kind", "text"]), [expected], "{form}");
            keys.extend(found.lines(&["key"]));
        }
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }
}

/// Bob passes on Ada's words: quoted and retweeted in v1.1; flattened, beside a page and by hand in v2.
const PASSED_ON: [&str; 5] = [
    r#"{"id_str":"2","text":"so true","user":{"screen_name":"bob_tw"},"quoted_status":{"id_str":"1","text":"her words","user":{"screen_name":"ada_tw"}}}"#,
    r#"{"id_str":"2","text":"RT @ada_tw: her w…","user":{"screen_name":"bob_tw"},"retweeted_status":{"id":1,"text":"her words","user":{"screen_name":"ada_tw"}}}"#,
    r#"{"id":"2","text":"so true","author":{"id":"8","username":"bob_tw"},"referenced_tweets":[{"type":"quoted","id":"1","text":"her words","author":{"id":"7","username":"ada_tw"}}]}"#,
    r#"{"data":[{"id":"2","text":"so true","author_id":"8","referenced_tweets":[{"type":"quoted","id":"1"}]}],"includes":{"users":[{"id":"7","username":"ada_tw"},{"id":"8","username":"bob_tw"}],"tweets":[{"id":"1","text":"her words","author_id":"7"}]}}"#,
    r#"{"id":"2","text":"RT @ada_tw: her words","author":{"id":"8","username":"bob_tw"},"referenced_tweets":[{"type":"retweeted","id":"1"}]}"#,
];

const DELETED_TWEET: &str = r#"{"delete":{"status":{"id_str":"1"}}}"#;

/// Outcome and context of the first record of some lines, where deletions are honoured and where they are not.
fn honoured_and_kept(lines: &str) -> [String; 2] {
    let dumps = Dumps::with(&[("a.jsonl", lines.as_bytes())]);
    [Deletions::Honour, Deletions::Keep].map(|deletions| {
        let found = Run { deletions, ..run() }.read(&[dumps.path().to_owned()]);
        found.lines(&["native_id", "outcome", "context"])[0].clone()
    })
}

#[test]
fn words_of_deleted_tweets_are_quoted_by_nobody() {
    let shown = "2 | kept | tweet <ada_tw>: her words";
    for line in PASSED_ON {
        assert_eq!(honoured_and_kept(line), [shown, shown], "{line}");
        let with_notice = format!("{line}\n{DELETED_TWEET}\n");
        assert_eq!(honoured_and_kept(&with_notice), ["2 | kept | -", shown], "{line}");
        let about_another = with_notice.replace("\"id_str\":\"1\"}}}", "\"id_str\":\"11\"}}}");
        assert_eq!(honoured_and_kept(&about_another)[0], shown, "{line}");
    }
}

#[test]
fn words_of_withheld_tweets_and_people_are_quoted_by_nobody() {
    let tweet = r#""text":"her words","withheld":{"country_codes":["XY"]}"#;
    let older = r#""text":"her words","withheld_in_countries":["XY"]"#;
    let person = r#""ada_tw","withheld":{"country_codes":["XY"]}"#;
    let older_person = r#""ada_tw","withheld_in_countries":["XY"]"#;
    let expected = ["2 | kept | -", "2 | kept | tweet <ada_tw>: her words"];
    for line in &PASSED_ON[..4] {
        let withheld = line.replace(r#""text":"her words""#, tweet);
        assert_eq!(honoured_and_kept(&withheld), expected, "{withheld}");
        let withheld = line.replace(r#""ada_tw""#, person);
        assert_eq!(honoured_and_kept(&withheld), expected, "{withheld}");
    }
    for line in &PASSED_ON[..2] {
        let withheld = line.replace(r#""text":"her words""#, older);
        assert_eq!(honoured_and_kept(&withheld), expected, "{withheld}");
        let withheld = line.replace(r#""ada_tw""#, older_person);
        assert_eq!(honoured_and_kept(&withheld), expected, "{withheld}");
    }
    let answered = PASSED_ON[2].replace("quoted", "replied_to");
    assert_eq!(honoured_and_kept(&answered), [expected[1], expected[1]]);
    let answered = answered.replace(r#""text":"her words""#, tweet);
    assert_eq!(honoured_and_kept(&answered), expected);
}

#[test]
fn a_notice_may_name_any_version_of_a_tweet() {
    let page = r#"{"data":[{"id":"102","text":"second version","author_id":"7","edit_history_tweet_ids":["101","102"]},{"id":"103","text":"another","author_id":"7"}]}"#;
    let deleted = "101 | deleted | source | delete_notice | deleted";
    let kept = "101 | kept | - | - | person";
    let columns = ["native_id", "outcome", "stage", "rule", "author_class"];
    for (named, expected) in [("101", deleted), ("102", deleted), ("103", kept), ("104", kept)] {
        let lines = format!("{page}\n{{\"delete\":{{\"status\":{{\"id_str\":\"{named}\"}}}}}}\n");
        let dumps = Dumps::with(&[("a.jsonl", lines.as_bytes())]);
        let found = Run { deletions: Deletions::Honour, ..run() }.read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&columns)[0], expected, "{named}");
        let found = run().read(&[dumps.path().to_owned()]);
        let class = if expected == deleted { "deleted" } else { "person" };
        assert_eq!(found.lines(&columns)[0], format!("101 | kept | - | - | {class}"), "{named}");
    }
}
