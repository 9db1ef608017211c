use std::collections::BTreeSet;

use genome_schemas::{Lost, Platform};

use super::super::{ReaderOptions, TruncatedPolicy};
use super::{Dumps, Run, assert_no_handles, gzip, tar, zip};

fn run() -> Run {
    Run::of(Platform::Blogger)
}

const NAME: &str = "1234567.female.17.Student.Leo.xml";

fn blog(posts: &[(&str, &str)]) -> Vec<u8> {
    let posts = posts
        .iter()
        .map(|(date, post)| format!("\r\n<date>{date}</date>\r\n<post>\r\n\r\n\t {post}\r\n    </post>\r\n"));
    format!("<Blog>\r\n{}\r\n</Blog>", posts.collect::<String>()).into_bytes()
}

#[test]
fn a_zip_and_its_unpacked_folder_are_alike() {
    let first = blog(&[("31,May,2004", "one &amp; two"), ("1,juin,2004", "trois"), (",,", "undated")]);
    let other = blog(&[("02,toukokuu,2004", "four")]);
    let members: [(&str, &[u8]); 4] = [
        (NAME, &first),
        ("0000001.male.33.indUnk.Aries.xml", &other),
        ("__MACOSX/._0000001.male.33.indUnk.Aries.xml", b"junk"),
        ("notes.txt", b"junk"),
    ];
    let prefixed: Vec<(String, &[u8])> =
        members.iter().map(|(name, bytes)| (format!("blogs/{name}"), *bytes)).collect();
    let prefixed: Vec<(&str, &[u8])> = prefixed.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let zipped = Dumps::with(&[("blogs.zip", &zip(&prefixed))]);
    let unpacked = Dumps::with(&prefixed);
    let columns = ["at", "text", "source_offset", "attributes", "outcome", "key"];
    let found = run().read(&[zipped.path().join("blogs.zip")]);
    let lines = found.lines(&columns[..5]);
    let (ada, bob) = (
        r#"{"gender":"female","age":17,"topic":"Student","sign":"Leo"}"#,
        r#"{"gender":"male","age":33,"topic":"indUnk","sign":"Aries"}"#,
    );
    assert_eq!(
        lines,
        [
            format!("2004-05-02T00:00:00Z | four | 0 | {bob} | kept"),
            format!("2004-05-31T00:00:00Z | one & two | 0 | {ada} | kept"),
            format!("2004-06-01T00:00:00Z | trois | 1 | {ada} | kept"),
            format!("- | undated | 2 | {ada} | kept"),
        ]
    );
    assert_eq!(found.lines(&["author_id", "source_file"])[1], "<1234567> | blogs.zip!1");
    assert_no_handles(&found, &["1234567", "0000001"]);
    let folder = run().read(&[unpacked.path().join("blogs")]);
    assert_eq!(folder.lines(&columns), found.lines(&columns));
    assert_eq!(folder.rows[1]["source_file"], "blogs!1");
}

#[test]
fn each_post_has_its_own_encoding() {
    let bytes = [
        &b"<Blog><date>1,May,2004</date><post>caf\xe9 \x93quoted\x94</post>"[..],
        "<date>1,May,2004</date><post>café “quoted”</post>".as_bytes(),
        b"<date>1,May,2004</date><post>nul\0nul &#151; &nbsp;end</post></Blog>",
    ]
    .concat();
    let dumps = Dumps::with(&[("b.zip", &zip(&[(NAME, &bytes)]))]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["text", "lossy"]),
        ["café “quoted” | false", "café “quoted” | false", "nulnul — \u{a0}end | true"]
    );
}

#[test]
fn broken_markup_is_located_and_goes_on() {
    let broken: [(&str, &[u8]); 5] = [
        ("1.male.20.Arts.Leo.xml", b"<Blog><date>1,May,2004</date></Blog>"),
        (
            "2.male.20.Arts.Leo.xml",
            b"<Blog><date>1,May,2004</date><post>a<date>2,May,2004</date><post>b</post></Blog>",
        ),
        ("3.male.20.Arts.Leo.xml", b"<Blog><date>1,May,2004</date><post>never closed"),
        ("4.male.20.Arts.Leo.xml", b"something else"),
        ("5.male.20.Arts.Leo.xml", b"<Blog>\r\n</Blog>"),
    ];
    let dumps = Dumps::with(&[("b.zip", &zip(&broken))]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["source_file", "source_offset", "outcome", "rule", "text"]),
        [
            "b.zip!0 | 0 | malformed | no_post | -",
            "b.zip!1 | 0 | malformed | unclosed_post | -",
            "b.zip!1 | 1 | kept | - | b",
            "b.zip!2 | 0 | malformed | unclosed_post | -",
            "b.zip!3 | 0 | malformed | not_a_blog | -",
        ]
    );
}

#[test]
fn a_broken_tag_of_a_date_costs_the_date_alone() {
    let (b, c) = ("2004-05-02T00:00:00Z | B | -", "2004-05-03T00:00:00Z | C | -");
    let rest = "<date>2,May,2004</date><post>B</post><date>3,May,2004</date><post>C</post></Blog>";
    for (first, shown, lost) in [
        ("<date>1,May,2004</dXte><post>A</post>", "- | A | -", 1),
        ("<date>1,May,2004<post>A</post>", "- | A | -", 1),
        ("<date><post>A</post>", "- | A | -", 1),
        ("<dXte>1,May,2004</date><post>A</post>", "- | A | -", 1),
        ("<post>A</post>", "- | A | -", 0),
        ("<date>1,May,2004</dXte><pXst>A</post>", "- | - | unclosed_date", 0),
        ("<date>1,May,2004</date><pXst>A</post>", "- | - | no_post", 0),
        ("<date>1,May,2004</dXte><post>A</pXst>", "- | - | unclosed_post", 0),
    ] {
        let blog = format!("<Blog>{first}{rest}");
        let dumps = Dumps::with(&[("b.zip", &zip(&[(NAME, blog.as_bytes())]))]);
        let found = run().read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["at", "text", "rule"]), [shown, b, c], "{first}");
        let counted = found.counts[0].type_conflicts.get("date").map_or(0, |conflict| conflict.count);
        assert_eq!(counted, lost, "{first}");
    }
}

#[test]
fn dates_that_mean_nothing_are_counted() {
    let bytes = blog(&[(",,", "a"), ("1,Smarch,2004", "b"), ("2,Smarch,2004", "c")]);
    let other = blog(&[("1,May,2004", "d")]);
    let dumps =
        Dumps::with(&[("b.zip", &zip(&[("0000001.male.33.indUnk.Aries.xml", &other), (NAME, &bytes)]))]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(found.lines(&["at", "text"]), ["2004-05-01T00:00:00Z | d", "- | a", "- | b", "- | c"]);
    let lost = Lost { count: 2, first_offset: 1, first_file: "b.zip!1".to_owned() };
    assert_eq!(found.counts[0].type_conflicts["date"], lost);
}

#[test]
fn what_is_no_corpus_is_an_error() {
    let whole = zip(&[(NAME, &blog(&[("1,May,2004", "a")]))]);
    let cases: [(&[u8], &str); 4] = [
        (b"no zip at all", "has no blog in it"),
        (&whole[..whole.len() / 2], "cannot be opened as a zip archive"),
        (&zip(&[("readme.txt", b"x")]), "has no blog in it"),
        (&whole, "max_member_bytes"),
    ];
    let options = ReaderOptions { max_member_bytes: 10, ..ReaderOptions::default() };
    for (bytes, part) in cases {
        let dumps = Dumps::with(&[("b.zip", bytes)]);
        let error = Run { options: options.clone(), ..run() }.read(&[dumps.path().to_owned()]).error;
        assert!(
            error.as_ref().is_some_and(|error| error.contains(part) && error.contains("b.zip")),
            "{error:?}"
        );
    }
}

#[test]
fn a_corrupt_member_is_an_error_or_a_row() {
    let text = "many different words, so that there is something to break: ".repeat(3)
        + &(0..2000).map(|n| (n * n * 31 % 9973).to_string()).collect::<Vec<_>>().join(" ");
    let good = blog(&[("1,May,2004", "whole")]);
    let bad = blog(&[("1,May,2004", "first"), ("2,May,2004", &text)]);
    let mut bytes = zip(&[("1.male.20.Arts.Leo.xml", &good), ("2.male.20.Arts.Leo.xml", &bad)]);
    let middle = bytes.len() * 3 / 4;
    bytes[middle] ^= 0x55;
    let dumps = Dumps::with(&[("b.zip", &bytes)]);
    let error = run().read(&[dumps.path().to_owned()]).error.unwrap();
    assert!(error.contains("b.zip") && error.contains("member 1") && error.contains("corrupt"), "{error}");
    let options = ReaderOptions { on_truncated: TruncatedPolicy::Keep, ..ReaderOptions::default() };
    let kept = Run { options, ..run() }.read(&[dumps.path().to_owned()]);
    let lines = kept.lines(&["source_file", "rule"]);
    assert_eq!(lines.first().map(String::as_str), Some("b.zip!0 | -"));
    assert_eq!(lines.last().map(String::as_str), Some("b.zip!1 | truncated_file"));
}

#[test]
fn what_is_broken_before_a_break_is_told_apart_from_it() {
    let before = b"<Blog><date>1,May,2004</date><post>not closed<date>2,May,2004</date><post>whole</post>\
                   <date>3,May,2004</date><post>cut he";
    let packed = tar(&[(NAME, &[&before[..], b"re</post></Blog>"].concat())]);
    let header = 512;
    let dumps = Dumps::with(&[("b.tar", &packed[..header + before.len()])]);
    let options = ReaderOptions { on_truncated: TruncatedPolicy::Keep, ..ReaderOptions::default() };
    let found = Run { options, ..run() }.read(&[dumps.path().to_owned()]);
    let mut lines = found.lines(&["source_file", "source_offset", "text", "rule"]);
    lines.retain(|line| line.starts_with("b.tar!0 "));
    assert_eq!(
        lines,
        ["b.tar!0 | 0 | - | unclosed_post", "b.tar!0 | 1 | whole | -", "b.tar!0 | 2 | - | truncated_file"]
    );
}

#[test]
fn places_stay_apart_when_their_handles_are_hidden() {
    let bytes =
        b"<Blog><date>1,May,2004</date><post>not closed<date>2,May,2004</date><post>whole</post></Blog>";
    let names = ["Grace.2003.xml", "grace.2003.xml", "grace.2004.xml", "old/grace.xml", "old/grace.xml.gz"];
    let packed = gzip(bytes);
    let members = names.map(|name| (name, if name.contains(".gz") { &packed[..] } else { &bytes[..] }));
    let [upper, lower] = ["Grace", "grace"].map(|name| super::mention(Platform::Blogger, name));
    let mut expected = Vec::new();
    for place in [
        format!("{upper}.2003.xml"),
        format!("{lower}.2003.xml#1"),
        format!("{lower}.2004.xml"),
        format!("old/{lower}.xml"),
        format!("old/{lower}.xml.gz"),
    ] {
        expected.extend([format!("b.zip!{place} | 0 | unclosed_post"), format!("b.zip!{place} | 1 | -")]);
    }
    expected.sort();
    let dumps = Dumps::with(&[("b.zip", &zip(&members))]);
    let found = run().read(&[dumps.path().to_owned()]);
    let mut lines = found.lines(&["source_file", "source_offset", "rule"]);
    lines.sort();
    assert_eq!(lines, expected);
    assert_eq!(found.counts[0].name, "b.zip");
    assert_no_handles(&found, &["grace"]);
    let broken = found.rows.iter().filter(|row| row["outcome"] == "malformed");
    let keys: BTreeSet<String> = broken.map(|row| row["key"].to_string()).collect();
    assert_eq!(keys.len(), names.len(), "each has its own");
}

#[test]
fn single_files_and_tars_hide_the_handle() {
    let bytes = blog(&[("31,May,2004", "one"), ("1,June,2004", "two")]);
    let dumps = Dumps::with(&[
        (&format!("x/{NAME}"), &bytes),
        ("y/1234567.xml.gz", &gzip(&bytes)),
        ("z/blogs.tar.gz", &gzip(&tar(&[("blogs/readme.txt", b"x"), (&format!("blogs/{NAME}"), &bytes)]))),
        ("z/blogs.zip", &zip(&[("1234567.xml", &bytes), ("rss.xml", b"<rss/>")])),
    ]);
    let hidden = super::mention(Platform::Blogger, "1234567");
    let leo = r#"{"gender":"female","age":17,"topic":"Student","sign":"Leo"}"#;
    for (path, place, attributes) in [
        (format!("x/{NAME}"), format!("{hidden}.female.17.Student.Leo.xml"), leo),
        ("y".into(), format!("{hidden}.xml.gz"), "-"),
        ("z/blogs.tar.gz".into(), "blogs.tar.gz!0".into(), leo),
    ] {
        let found = run().read(&[dumps.path().join(path)]);
        assert_eq!(
            found.lines(&["author_id", "text", "source_file", "source_offset", "attributes"]),
            ["one", "two"]
                .iter()
                .enumerate()
                .map(|(n, text)| format!("<1234567> | {text} | {place} | {n} | {attributes}"))
                .collect::<Vec<_>>()
        );
        assert_no_handles(&found, &["1234567"]);
        assert_eq!(Some(found.counts[0].name.as_str()), place.split('!').next());
        assert_eq!(found.plan.matches("ReadDumps").count(), if place.contains("tar") { 2 } else { 1 });
    }
    let found = run().read(&[dumps.path().join("z/blogs.zip")]);
    assert_eq!(
        found.lines(&["source_file", "rule"]),
        [
            "blogs.zip!rss.xml | not_a_blog".to_owned(),
            format!("blogs.zip!{hidden}.xml | -"),
            format!("blogs.zip!{hidden}.xml | -")
        ]
    );
}

const TABLE: &str = "id,gender,age,topic,sign,date,text\r\n";

#[test]
fn the_table_gives_what_the_files_give() {
    let bytes =
        blog(&[("31,May,2004", "one &amp; two\r\nthree \"four\""), (",,", ""), ("1,Smarch,2004", "x")]);
    let rows = "1234567,female,17,Student,Leo,\"31,May,2004\",\"   one &amp; two\r\nthree \"\"four\"\"   \"\r\n\
                1234567,female,17,Student,Leo,\",,\",\r\n1234567,female,17,Student,Leo,\"1,Smarch,2004\",x";
    let table = format!("{TABLE}{rows}");
    let dumps = Dumps::with(&[
        ("blogs.zip", &zip(&[(NAME, &bytes)])),
        ("blogtext.csv.zip", &zip(&[("blogtext.csv", table.as_bytes())])),
        ("blogtext.csv", table.as_bytes()),
    ]);
    let columns = ["kind", "author_id", "at", "text", "attributes", "key", "lossy", "outcome"];
    let files = run().read(&[dumps.path().join("blogs.zip")]);
    assert_eq!(files.lines(&["text"]), ["one & two\nthree \"four\"", "", "x"]);
    for path in ["blogtext.csv.zip", "blogtext.csv"] {
        let found = run().read(&[dumps.path().join(path)]);
        assert_eq!(found.lines(&columns), files.lines(&columns));
        let second = TABLE.len() + rows.find("1234567,female,17,Student,Leo,\",,\"").unwrap();
        assert_eq!(found.rows[1]["source_offset"], second);
        assert_eq!(found.counts[0].type_conflicts["date"].count, 1);
        // Nothing in it can be answered, so it is read once.
        assert_eq!(found.plan.matches("ReadDumps").count(), 1, "{}", found.plan);
        assert_no_handles(&found, &["1234567"]);
    }
}

#[test]
fn ages_that_mean_nothing_are_counted() {
    let bytes = blog(&[("1,May,2004", "a"), ("2,May,2004", "b")]);
    let ages = [("17", r#""age":17,"#, 0), ("", "", 0), ("old", "", 2), ("70000", "", 2), ("-1", "", 2)];
    for (age, shown, lost) in ages {
        let name = format!("1234567.female.{age}.Student.Leo.xml");
        let row = |date: &str, text: &str| format!("1234567,female,{age},Student,Leo,\"{date}\",{text}\r\n");
        let table = format!("{TABLE}{}{}", row("1,May,2004", "a"), row("2,May,2004", "b"));
        let dumps = Dumps::with(&[("b.zip", &zip(&[(&name, &bytes)])), ("b.csv", table.as_bytes())]);
        let attributes = format!(r#"{{"gender":"female",{shown}"topic":"Student","sign":"Leo"}}"#);
        for file in ["b.zip", "b.csv"] {
            let found = run().read(&[dumps.path().join(file)]);
            assert_eq!(found.lines(&["attributes"]), [attributes.as_str(); 2], "{file}: {age}");
            let counted = found.counts[0].type_conflicts.get("age").map_or(0, |conflict| conflict.count);
            assert_eq!(counted, lost, "{file}: {age}");
        }
    }
}

#[test]
fn the_table_names_its_columns() {
    let reordered = "Text;,sign,id,Date\nx,,,\n";
    let shuffled = b"DATE,text,Id,rest\n\"2,Mai,2004\",caf\xe9 \x93q\x94, 1234567 ,x\n,only text,,\nbroken\n";
    let dumps = Dumps::with(&[("a.csv", shuffled), ("b.csv", reordered.as_bytes())]);
    let found = run().read(&[dumps.path().join("a.csv")]);
    assert_eq!(
        found.lines(&["author_id", "author_class", "at", "text", "attributes", "rule"]),
        [
            "<1234567> | person | 2004-05-02T00:00:00Z | café “q” | - | -",
            "- | deleted | - | only text | - | -",
            "- | unknown | - | - | - | wrong_columns",
        ]
    );
    let path = dumps.path().join("b.csv");
    let error = run().read(std::slice::from_ref(&path)).error.unwrap();
    assert!(
        error.contains("b.csv") && error.contains("`id` and `text`") && error.contains("`sign`"),
        "{error}"
    );
    let options = ReaderOptions { on_truncated: TruncatedPolicy::Keep, ..ReaderOptions::default() };
    let kept = Run { options, ..run() }.read(&[path]);
    assert_eq!(kept.lines(&["source_offset", "rule"]), ["19 | not_a_record"]);
}

#[test]
fn posts_of_a_blog_speak_for_its_encoding() {
    let korean = "오늘은 날씨가 좋아서 친구와 함께 공원에 갔다. 꽃이 많이 피어 있었다.";
    let bytes = [
        b"<Blog>",
        encoding_rs::EUC_KR.encode(&format!("<date>1,May,2004</date><post>{korean}</post>")).0.as_ref(),
        encoding_rs::EUC_KR.encode("<date>2,May,2004</date><post>안녕 all</post>").0.as_ref(),
        b"<date>3,May,2004</date><post>a \x93quoted\x94 word</post>",
        "<date>4,ao\u{fb}t,2004</date><post>d\u{e9}j\u{e0}</post></Blog>".as_bytes(),
    ]
    .concat();
    let dumps = Dumps::with(&[("b.zip", &zip(&[(NAME, &bytes)]))]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["text", "lossy"]),
        [
            format!("{korean} | false"),
            "안녕 all | false".into(),
            "a “quoted” word | false".into(),
            "déjà | false".into()
        ]
    );
    assert_eq!(found.lines(&["at"])[3], "2004-08-04T00:00:00Z");
}
