use genome_schemas::Platform;

use super::super::{Pseudonymizer, ReaderOptions, TruncatedPolicy};
use super::{Dumps, Run, assert_no_handles, gzip, tar, zip};

fn run() -> Run {
    Run::of(Platform::Blogger)
}

fn keep() -> Run {
    Run {
        options: ReaderOptions { on_truncated: TruncatedPolicy::Keep, ..ReaderOptions::default() },
        ..run()
    }
}

/// Another blogger than the one the tests know by name.
fn grace() -> String {
    let id = Pseudonymizer::from_secret("test").author_id(Platform::Blogger, "Grace of the sea");
    format!("unknown {}", id.as_str())
}

const HEAD: &str = "<?xml version='1.0' encoding='UTF-8'?><feed xmlns='http://www.w3.org/2005/Atom' \
                    xmlns:blogger='http://schemas.google.com/blogger/2018'><id>tag:blogger.com,1999:blog-77</id>\
                    <title type='text'>Ada writes</title><author><name>Ada</name></author>";

fn feed(entries: &[String]) -> Vec<u8> {
    format!("{HEAD}{}</feed>", entries.concat()).into_bytes()
}

const ADA: &str = "<author><name>Ada</name><uri>http://www.blogger.com/profile/1234567</uri>\
                   <email>noreply@blogger.com</email></author>";

/// An entry of Blogger's own exports.
fn own(kind: &str, id: &str, rest: &str) -> String {
    format!(
        "<entry><id>tag:blogger.com,1999:blog-77.{id}</id><published>2011-05-01T04:36:43.250+02:00</published>\
         <category scheme='http://schemas.google.com/g/2005#kind' \
         term='http://schemas.google.com/blogger/2008/kind#{kind}'/>{rest}</entry>"
    )
}

/// An entry of Takeout.
fn takeout(kind: &str, status: &str, id: &str, rest: &str) -> String {
    format!(
        "\n  <entry>\n<id>tag:blogger.com,1999:blog-77.post-{id}</id>\n<blogger:type>{kind}</blogger:type>\n\
         <blogger:status>{status}</blogger:status>\n<blogger:created>2011-05-01T02:36:43Z</blogger:created>\n{rest}\n  </entry>"
    )
}

const COLUMNS: [&str; 8] = ["kind", "author_id", "native_id", "at", "title", "text", "rule", "context"];

#[test]
fn both_dialects_give_posts_and_what_they_were_answered() {
    let own_feed = feed(&[
        own("settings", "settings.BLOG_NAME", "<content type='text'>Ada writes</content>"),
        own("template", "layout", "<content type='text'>&lt;html&gt;</content>"),
        own(
            "post",
            "post-1",
            &format!(
                "<category scheme='http://www.blogger.com/atom/ns#' term='tea &amp; cake'/>\
                 <title type='text'>Tea &amp; &quot;cake&quot;</title>\
                 <content type='html'>One&amp;nbsp;cup &amp;amp; a &amp;lt;b&gt;.&lt;br /&gt;Two &lt;i&gt;cups&lt;/i&gt;.</content>{ADA}"
            ),
        ),
        own("page", "page-2", &format!("<title>About</title><content type='html'>Me.</content>{ADA}")),
        own(
            "post",
            "post-3",
            &format!(
                "<app:control xmlns:app='http://purl.org/atom/app#'><app:draft>yes</app:draft></app:control>\
                 <content type='html'>Not yet.</content>{ADA}"
            ),
        ),
        own(
            "comment",
            "post-4",
            "<title type='text'>Fish &amp; chips...</title><content type='html'>Fish & chips&nbsp;&lt;3</content>\
             <author><name>Grace of the sea</name><email>noreply@blogger.com</email></author>\
             <thr:in-reply-to xmlns:thr='x' href='http://ada.example/' ref='tag:blogger.com,1999:blog-77.post-1'/>",
        ),
    ]);
    let dumps = Dumps::with(&[("own/blog-05-02-2011.xml", &own_feed)]);
    let found = run().read(&[dumps.path().join("own")]);
    let context = "post <1234567>: Tea & \"cake\"\n\nOne\u{a0}cup & a <b>.\nTwo cups.";
    assert_eq!(
        found.lines(&COLUMNS),
        [
            "unknown | - | - | - | - | - | blog_settings | -".to_owned(),
            "unknown | - | - | - | - | - | blog_settings | -".into(),
            "post | <1234567> | 1 | 2011-05-01T02:36:43.250Z | Tea & \"cake\" | \
             One\u{a0}cup & a <b>.\nTwo cups. | - | -"
                .into(),
            "post | <1234567> | 2 | 2011-05-01T02:36:43.250Z | About | Me. | - | -".into(),
            "unknown | - | 3 | - | - | - | draft | -".into(),
            format!(
                "comment | {} | 4 | 2011-05-01T02:36:43.250Z | - | Fish & chips\u{a0}<3 | - | {context}",
                grace()
            ),
        ]
    );
    assert_eq!(
        found.lines(&["attributes", "thread_id", "top_level", "outcome"])[2..],
        [
            "{\"labels\":[\"tea & cake\"]} | 1 | true | kept",
            "{\"page\":true} | 2 | true | kept",
            "- | - | true | notice",
            "- | 1 | true | kept"
        ]
    );
    assert_no_handles(&found, &["1234567", "Grace of the sea", "noreply"]);

    let by_ada = "<author><name>Ada</name><uri>https://www.blogger.com/profile/1234567</uri>\
                  <blogger:type>BLOGGER</blogger:type></author>";
    let parent = "<blogger:parent>tag:blogger.com,1999:blog-77.post-1</blogger:parent>";
    let taken_out = feed(&[
        takeout(
            "POST",
            "LIVE",
            "1",
            &format!(
                "{by_ada}<title></title><content type='html'>&lt;p&gt;One.&lt;/p&gt;\n&lt;p&gt;Two.&lt;/p&gt;</content>"
            ),
        ),
        takeout(
            "COMMENT",
            "LIVE",
            "5",
            &format!(
                "{parent}{by_ada}<blogger:inReplyTo>tag:blogger.com,1999:blog-77.post-4</blogger:inReplyTo>\
                      <content type='html'>Thanks</content><published>yesterday</published>"
            ),
        ),
        takeout("COMMENT", "SPAM", "6", &format!("{parent}<content>Buy</content>")),
        takeout(
            "COMMENT",
            "LIVE",
            "7",
            &format!(
                "{parent}<author><name>Anonymous</name><blogger:type>ANONYMOUS</blogger:type></author>\
             <content type='xhtml'><div>Some<br/>body</div></content><blogger:trashed/>"
            ),
        ),
        takeout("POST", "SOFT_TRASHED", "8", "<content>Gone</content>"),
        takeout("PAGE", "DRAFT", "9", "<content>Soon</content>"),
        takeout("WIDGET", "LIVE", "10", "<content>?</content>"),
    ]);
    dumps.put("feed.atom", &taken_out);
    let found = run().read(&[dumps.path().join("feed.atom")]);
    assert_eq!(
        found.lines(&COLUMNS),
        [
            "post | <1234567> | 1 | 2011-05-01T02:36:43Z | - | One.\n\nTwo. | - | -",
            "comment | <1234567> | 5 | - | - | Thanks | - | post <1234567>: One.\n\nTwo.",
            "unknown | - | 6 | - | - | - | spam_comment | -",
            "comment | - | 7 | 2011-05-01T02:36:43Z | - | Some\nbody | - | post <1234567>: One.\n\nTwo.",
            "unknown | - | 8 | - | - | - | trashed | -",
            "unknown | - | 9 | - | - | - | draft | -",
            "unknown | - | - | - | - | - | not_a_record | -",
        ]
    );
    assert_eq!(found.lines(&["top_level"])[1], "false");
    assert_eq!(found.counts.iter().map(|count| count.type_conflicts.len()).sum::<usize>(), 1);
}

#[test]
fn containers_of_feeds_are_alike() {
    let first = feed(&[takeout("POST", "LIVE", "1", "<content>One</content>")]);
    let second = feed(&[takeout(
        "COMMENT",
        "LIVE",
        "2",
        "<blogger:parent>blog-77.post-1</blogger:parent><content>Two</content>",
    )]);
    let members: [(&str, &[u8]); 6] = [
        ("Takeout/Blogger/Blogs/Ada writes/feed.atom", &first),
        ("Takeout/Blogger/Blogs/Ada writes/settings.csv", b"a,b\n1,2\n"),
        ("Takeout/Blogger/Blogs/Ada writes/theme-layouts.xml", b"<html/>"),
        ("Takeout/Blogger/Comments/Ada writes/feed.atom", &second),
        ("Takeout/Blogger/Profile/profile.csv", b"a,b\n1,2\n"),
        ("Takeout/archive_browser.html", b"<html>"),
    ];
    let packed = Dumps::with(&[
        ("a/takeout.zip", &zip(&members)),
        ("b/takeout.tgz", &gzip(&tar(&members))),
        ("c/feed.atom.gz", &gzip(&first)),
        ("c/other.xml", &second),
    ]);
    let unpacked = Dumps::with(&members);
    let one = "post | One | -";
    let two = "comment | Two | post ?: One";
    for path in [
        packed.path().join("a"),
        packed.path().join("b"),
        packed.path().join("c"),
        unpacked.path().to_owned(),
        unpacked.path().join("Takeout"),
        unpacked.path().join("Takeout/Blogger"),
    ] {
        let found = run().read(std::slice::from_ref(&path));
        assert_eq!(found.lines(&["kind", "text", "context"]), [one, two], "{}", path.display());
        assert_eq!(found.lines(&["author_class"])[0], "deleted");
    }
    let alone = run().read(&[unpacked.path().join("Takeout/Blogger/Blogs")]);
    assert_eq!(alone.lines(&["text", "source_file"]), ["One | Ada writes!feed.atom"]);
    let without = Run { context: false, ..run() }.read(&[packed.path().join("a")]);
    assert_eq!(without.lines(&["text", "context"]), ["One | -", "Two | -"]);
}

#[test]
fn broken_feeds_are_located_and_go_on() {
    let whole = |id: &str, text: &str| takeout("POST", "LIVE", id, &format!("<content>{text}</content>"));
    let entries = [
        whole("1", "one"),
        "<entry><id>cut".into(),
        whole("2", "<![CDATA[two & <more>]]>"),
        "</entry>".into(),
    ];
    let bytes = feed(&entries);
    let dumps = Dumps::with(&[("feed.atom", &bytes)]);
    let path = dumps.path().join("feed.atom");
    let found = run().read(std::slice::from_ref(&path));
    let at = |n: usize| HEAD.len() + entries[..n].concat().len();
    assert_eq!(
        found.lines(&["source_offset", "text", "rule"]),
        [
            format!("{} | one | -", at(0) + 3),
            format!("{} | - | unclosed_entry", at(1)),
            format!("{} | two & <more> | -", at(2) + 3),
            format!("{} | - | unopened_entry", at(3)),
        ]
    );
    let cut = &bytes[..at(2) + 40];
    dumps.put("feed.atom", cut);
    let error = run().read(std::slice::from_ref(&path)).error.unwrap();
    assert!(error.contains("feed.atom") && error.contains("inside an entry"), "{error}");
    assert_eq!(
        keep().read(std::slice::from_ref(&path)).lines(&["rule"]),
        ["-", "unclosed_entry", "truncated_file"]
    );
    dumps.put("feed.atom", &bytes[..at(1)]);
    let error = run().read(std::slice::from_ref(&path)).error.unwrap();
    assert!(error.contains("the feed is not closed"), "{error}");
    let options = ReaderOptions { max_line_bytes: 300, ..ReaderOptions::default() };
    dumps.put("feed.atom", &feed(&[whole("1", &"long ".repeat(100)), whole("2", "short")]));
    let found = Run { options, ..run() }.read(&[path]);
    assert_eq!(found.lines(&["text", "rule"]), ["- | line_too_long", "short | -"]);
}

#[test]
fn a_feed_can_be_empty_and_an_entry_in_its_own_encoding() {
    let dumps = Dumps::new();
    for empty in [&feed(&[])[..], b"<feed xmlns='http://www.w3.org/2005/Atom'/>", b""] {
        let found = run().read(&[dumps.put("feed.atom", empty)]);
        assert_eq!(found.lines(&["text"]), [""; 0]);
    }
    let mut bytes = HEAD.as_bytes().to_vec();
    bytes.extend_from_slice(b"<entry><content>caf\xe9 \x93quoted\x94</content></entry>");
    bytes.extend_from_slice("<entry><content>café \u{1}“quoted”</content></entry></feed>".as_bytes());
    let found = run().read(&[dumps.put("feed.atom", &bytes)]);
    assert_eq!(found.lines(&["text"]), ["café “quoted”", "café \u{1}“quoted”"]);
}
