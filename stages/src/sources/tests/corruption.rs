//! Damaged dumps: whatever bytes are changed, cut out, put in or left off, readers neither panic nor lose a record that
//! was not touched, and every record that they find is a row.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::array::{AsArray, RecordBatch};
use genome_schemas::{Lost, Platform};

use super::super::batches::{FileFacts, Produces};
use super::super::bytes::frames::SpareContext;
use super::super::bytes::location::Location;
use super::super::file_group::{DumpFile, ReaderKind};
use super::super::output::Output;
use super::super::read_dumps::read_file;
use super::super::{Deletions, Pseudonymizer, ReaderOptions, SourceConfig, TruncatedPolicy};
use super::{Dumps, Run, bzip2, gzip, tar, xz, zip, zstd};

/// Corruptions of each form that every run of the tests tries, and those that the ignored test tries.
const CASES: u64 = 10_000;
const MORE_CASES: u64 = 1_000_000;

/// A small generator of numbers that are the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap()
    }
}

/// A dump in one of the forms that are read.
struct Form {
    name: &'static str,
    platform: Platform,
    reader: ReaderKind,
    bytes: Vec<u8>,
    /// Where each record stands in the file, and a text that only it has. None of them where the file is packed, so that
    /// one damaged byte can touch all of it.
    records: Vec<(Range<usize>, String)>,
    /// Bytes before the records that say what they mean, such as the header of a table.
    head: usize,
}

/// What a reader made of a file.
struct Outcome {
    texts: BTreeSet<String>,
    rows: usize,
    counted: u64,
}

fn read(form: &Form, path: &std::path::Path) -> Outcome {
    let source = SourceConfig {
        name: "s".into(),
        platform: form.platform,
        paths: Vec::new(),
        context: false,
        format: None,
        csv: None,
        deletions: Deletions::Honour,
    };
    let names = Pseudonymizer::from_secret("test");
    let options = ReaderOptions { on_truncated: TruncatedPolicy::Keep, ..ReaderOptions::default() };
    let file = DumpFile {
        source: "s".into(),
        location: Location::Local(path.to_owned()),
        name: "f".into(),
        reader: form.reader,
        bytes: 0,
        range: None,
    };
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut send = |batch| {
        batches.push(batch);
        true
    };
    let spare = SpareContext::default();
    let facts = FileFacts {
        config: &source,
        platform: form.platform,
        names: &names,
        context_chars: 100,
        spare: &spare,
    };
    let mut out = Output::new(&file, facts, &options, Produces::Events, &mut send);
    let result = read_file(&mut out, form.reader);
    let (count, result) = out.finish(result);
    assert!(result.is_ok(), "{}: {result:?}", form.name);
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let texts = batches.iter().flat_map(|batch| {
        let texts = batch.column_by_name("text").unwrap().as_string_view().clone();
        (0..batch.num_rows()).map(move |row| texts.value(row).to_owned()).collect::<Vec<_>>()
    });
    Outcome { texts: texts.collect(), rows, counted: count.records }
}

/// Damages `bytes` in one of the ways in which files are damaged; tells which of them were touched.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) -> Range<usize> {
    let at = random.below(bytes.len());
    let length = match random.below(4) {
        0 => 1,
        1 => 1 + random.below(8),
        2 => 1 + random.below(64),
        _ => 1 + random.below(bytes.len()),
    };
    let end = (at + length).min(bytes.len());
    // Bytes that mean something to a parser do more harm than others.
    let byte = |random: &mut Random| match random.below(3) {
        0 => b"\"{}[],:\n\r\\<>&\t\0\xff"[random.below(15)],
        _ => random.next().to_le_bytes()[0],
    };
    match random.below(5) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => {
            for touched in &mut bytes[at..end] {
                *touched = byte(random);
            }
            return at..end;
        }
        2 => {
            bytes.drain(at..end);
            return at..end;
        }
        3 => {
            let more: Vec<u8> = (0..length.min(64)).map(|_| byte(random)).collect();
            bytes.splice(at..at, more);
            return at.saturating_sub(1)..at + 1;
        }
        _ => {
            let length = bytes.len();
            bytes.truncate(at);
            return at..length;
        }
    }
    at..at + 1
}

fn check(form: &Form, cases: u64) {
    let dumps = Dumps::new();
    let path = dumps.path().join(form.name);
    let whole = read(form, &dumps.put(form.name, &form.bytes));
    assert!(whole.rows >= 12, "{}: {} rows", form.name, whole.rows);
    for (_, text) in &form.records {
        assert!(whole.texts.contains(text), "{}: {text} in {:?}", form.name, whole.texts);
    }
    for case in 0..cases {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (case + 1));
        let mut bytes = form.bytes.clone();
        let touched = damage(&mut bytes, &mut random);
        dumps.put(form.name, &bytes);
        let found = read(form, &path);
        assert_eq!(found.rows as u64, found.counted, "{} case {case}", form.name);
        if touched.start < form.head {
            continue;
        }
        for (place, text) in &form.records {
            if place.end <= touched.start || touched.end <= place.start {
                assert!(
                    found.texts.contains(text),
                    "{} case {case}: {text} at {place:?} is lost to {touched:?}:\n{}",
                    form.name,
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
    }
}

/// A file of `records` between `head` and `tail`, each with its own text.
fn form(
    name: &'static str,
    reader: ReaderKind,
    head: &str,
    tail: &str,
    record: impl Fn(usize, &str) -> String,
) -> Form {
    let mut bytes = head.as_bytes().to_vec();
    let mut records = Vec::new();
    for n in 0..12 {
        let text = format!("what number {n:02} has to say");
        let start = bytes.len();
        bytes.extend_from_slice(record(n, &text).as_bytes());
        // The bytes around a record set it apart from others; damage to them is damage to it.
        records.push((start.saturating_sub(1)..bytes.len() + 1, text));
    }
    bytes.extend_from_slice(tail.as_bytes());
    Form { name, platform: reader.platform(), reader, bytes, records, head: head.len() }
}

/// The same file in a container, in which damage is not confined.
fn packed(name: &'static str, form: &Form, pack: impl Fn(&[u8]) -> Vec<u8>) -> Form {
    Form {
        name,
        bytes: pack(&form.bytes),
        records: Vec::new(),
        head: 0,
        platform: form.platform,
        reader: form.reader,
    }
}

fn reddit() -> Form {
    form("lines.jsonl", ReaderKind::RedditEvents, "", "", |n, text| {
        format!(
            "{{\"id\":\"c{n}\",\"author\":\"grace\",\"link_id\":\"t3_p\",\"body\":\"{text}\",\"created_utc\":{n}}}\n"
        )
    })
}

fn array() -> Form {
    form("array.json", ReaderKind::RedditEvents, "[\n", "]", |n, text| {
        let comma = if n < 11 { ",\n" } else { "\n" };
        format!("{{\"id\":\"p{n}\",\"title\":\"t\",\"x\":[{{\"y\":1}}],\"selftext\":\"{text}\"}}{comma}")
    })
}

fn reviews() -> Form {
    form("reviews.jsonl", ReaderKind::AmazonReviews, "", "", |n, text| {
        format!(
            "{{\"user_id\":\"A{n}\",\"asin\":\"B{n}\",\"rating\":5.0,\"text\":\"{text}\",\"timestamp\":{n}}}\r\n"
        )
    })
}

fn table() -> Form {
    let head = "customer_id\tproduct_id\tstar_rating\treview_body\treview_date\n";
    form("reviews.tsv", ReaderKind::AmazonReviews, head, "", |n, text| {
        format!("{n}\tB{n}\t5\t{text}\t2015-08-31\n")
    })
}

fn stream() -> Form {
    form("stream.json", ReaderKind::TwitterEvents, "", "", |n, text| {
        format!(
            "{{\"id_str\":\"{n}\",\"text\":\"{text}\",\"user\":{{\"screen_name\":\"ada\",\"id\":7}},\"entities\":{{\"urls\":[]}}}}\r\n"
        )
    })
}

fn page() -> Form {
    let tail =
        "],\"includes\":{\"users\":[{\"id\":\"7\",\"username\":\"ada\"}]},\"meta\":{\"result_count\":12}}\n";
    form("page.jsonl", ReaderKind::TwitterEvents, "{\"data\":[", tail, |n, text| {
        let comma = if n < 11 { "," } else { "" };
        format!(
            "{{\"id\":\"{n}\",\"author_id\":\"7\",\"text\":\"{text}\",\"metrics\":{{\"likes\":[1]}}}}{comma}"
        )
    })
}

fn personal_archive() -> Form {
    form("tweets.js", ReaderKind::TwitterEvents, "window.YTD.tweets.part0 = [\n", "]", |n, text| {
        let comma = if n < 11 { ",\n" } else { "\n" };
        format!(
            "{{\"tweet\":{{\"id_str\":\"{n}\",\"full_text\":\"{text}\",\"user\":{{\"screen_name\":\"ada\"}}}}}}{comma}"
        )
    })
}

fn in_archive(tweets: &[u8]) -> Vec<u8> {
    zip(&[("data/tweets.js", tweets)])
}

fn academic_table() -> Form {
    form("tweets.csv", ReaderKind::TwitterEvents, "id,user,text,date\n", "", |n, text| {
        format!("{n},ada,\"{text}\",2015-08-31 00:00:00\r\n")
    })
}

fn blog() -> Form {
    form("1.female.17.Student.Leo.xml", ReaderKind::BloggerEvents, "<Blog>\n", "</Blog>", |n, text| {
        format!("<date>{},May,2004</date>\n<post>\n {text}\n</post>\n", n + 1)
    })
}

fn posts() -> Form {
    let head = "id,gender,age,topic,sign,date,text\n";
    form("blogtext.csv", ReaderKind::BloggerEvents, head, "", |n, text| {
        format!("{n},male,33,indUnk,Aries,\"{},May,2004\",\"  {text}  \"\n", n + 1)
    })
}

fn feed() -> Form {
    let head = "<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom'>";
    form("feed.atom", ReaderKind::BloggerEvents, head, "</feed>", |n, text| {
        // Laying HTML out is slow in a build for debugging.
        let text = if n % 6 == 0 { format!("&lt;p&gt;{text}&lt;/p&gt;") } else { text.to_owned() };
        format!(
            "<entry><id>tag:blogger.com,1999:blog-7.post-{n}</id><blogger:type>POST</blogger:type>\
             <author><name>Ada</name></author><title type='text'>t</title>\
             <content type='html'>{text}</content></entry>"
        )
    })
}

fn in_blogs(blog: &[u8]) -> Vec<u8> {
    zip(&[("1.female.17.Student.Leo.xml", blog)])
}

/// Products are no rows, so what is lost of them is told of their file.
#[test]
fn damaged_products_are_told() {
    let review = "{\"user_id\":\"A1\",\"asin\":\"B1\",\"rating\":5.0,\"text\":\"good\",\"timestamp\":1}\n";
    let reviews = format!("{review}{{\"user_id\":?}}\n");
    let (broken, nameless) = ("{\"title\":?}\n", "{\"title\":\"nameless\"}\n");
    let items =
        format!("{{\"parent_asin\":\"B1\",\"title\":\"t\"}}\n{broken}{nameless}{{\"x\":1}}\n{broken}");
    let packed = tar(&[("meta_K.jsonl", items.as_bytes())]);
    for (file, bytes, place) in [
        ("meta_K.jsonl", items.as_bytes(), "meta_K.jsonl"),
        ("meta_K.tar", &packed[..], "meta_K.tar!meta_K.jsonl"),
    ] {
        let dumps = Dumps::new();
        let paths = [dumps.put("K.jsonl", reviews.as_bytes()), dumps.put(file, bytes)];
        let found = Run::of(Platform::Amazon).read(&paths);
        assert_eq!(found.lines(&["rule"]), ["-", "invalid_json"], "{file}");
        let [rows, context] = &found.counts[..] else { panic!("{:?}", found.counts) };
        assert!(rows.unread.is_empty(), "they are rows: {:?}", rows.unread);
        let lost = |first: &str| Lost {
            count: 2,
            first_offset: items.find(first).unwrap() as u64,
            first_file: place.to_owned(),
        };
        let unread: Vec<_> = context.unread.iter().collect();
        let expected = [(&"invalid_json", &lost(broken)), (&"not_a_record", &lost(nameless))];
        assert_eq!(unread, expected, "{file}");
        assert_eq!(context.malformed, 4, "{file}");
    }
}

macro_rules! forms {
    ($($name:ident: $form:expr;)*) => {
        $(
            #[test]
            fn $name() {
                check(&$form, CASES);
            }
        )*

        #[test]
        #[ignore = "takes hours"]
        fn many_more() {
            $(check(&$form, MORE_CASES);)*
        }
    };
}

forms! {
    json_lines: reddit();
    json_array: array();
    json_lines_with_crlf: reviews();
    tab_separated: table();
    zstd_frame: packed("a.zst", &reddit(), |bytes| zstd(bytes, 20));
    gzip_member: packed("a.gz", &reviews(), gzip);
    bzip2_stream: packed("a.bz2", &reddit(), bzip2);
    xz_stream: packed("a.xz", &reddit(), xz);
    tar_archive: packed("a.tar", &reddit(), |bytes| tar(&[("a.json", bytes), ("b.json.gz", &gzip(bytes))]));
    zip_archive: packed("a.zip", &reddit(), |bytes| zip(&[("a.json", bytes), ("b.json", bytes)]));
    twitter_stream: stream();
    twitter_page: page();
    twitter_table: academic_table();
    twitter_archive: packed("t.zip", &personal_archive(), in_archive);
    blog_corpus: packed("b.zip", &blog(), in_blogs);
    blog_by_itself: blog();
    table_of_posts: posts();
    blog_feed: feed();
}
