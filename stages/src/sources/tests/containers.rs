use std::path::Path;

use arrow::array::RecordBatch;
use genome_schemas::Platform;
use serde_json::Value;

use super::super::batches::FileFacts;
use super::super::bytes::frames::SpareContext;
use super::super::bytes::location::Location;
use super::super::file_group::{ReaderKind, in_parts};
use super::super::listing::InputFile;
use super::super::output::Output;
use super::super::read_dumps::read_file;
use super::super::{Pseudonymizer, ReaderOptions, TruncatedPolicy};
use super::{Dumps, Run, bzip2, gzip, json_rows, tar, text, xz, zip, zstd};

fn run() -> Run {
    Run { context: false, ..Run::of(Platform::Reddit) }
}

fn keeping() -> Run {
    let options = ReaderOptions { on_truncated: TruncatedPolicy::Keep, ..ReaderOptions::default() };
    Run { options, ..run() }
}

fn posts(range: std::ops::Range<u32>) -> String {
    range.fold(String::new(), |lines, n| {
        lines + &format!("{{\"id\":\"p{n}\",\"title\":\"post number {n}\",\"author\":\"grace\"}}\n")
    })
}

#[test]
fn the_container_makes_no_difference() {
    let (a, b) = (posts(0..100), posts(100..200));
    let all = posts(0..200);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"notes"].concat();
    let plain = all.as_bytes();
    let containers: [(&str, Vec<u8>); 18] = [
        ("plain.jsonl", plain.to_vec()),
        ("small window.zst", zstd(plain, 17)),
        ("window of 2 GiB.zst", zstd(plain, 31)),
        ("two frames.zst", [zstd(a.as_bytes(), 20), zstd(b.as_bytes(), 31)].concat()),
        ("skippable first.zst", [skippable.clone(), zstd(plain, 20)].concat()),
        (
            "skippable between.zst",
            [zstd(a.as_bytes(), 20), skippable.clone(), zstd(b.as_bytes(), 20), skippable].concat(),
        ),
        ("frames split a line.zst", [zstd(&plain[..777], 20), zstd(&plain[777..], 20)].concat()),
        ("gzip in disguise.zst", gzip(plain)),
        ("two members.jsonl.gz", [gzip(a.as_bytes()), gzip(b.as_bytes())].concat()),
        ("two streams.bz2", [bzip2(a.as_bytes()), bzip2(b.as_bytes())].concat()),
        ("two streams.xz", [xz(a.as_bytes()), xz(b.as_bytes())].concat()),
        (
            "zip.zst",
            zip(&[("a.jsonl", a.as_bytes()), ("b/b.json.gz", &gzip(b.as_bytes())), ("notes.txt", b"x")]),
        ),
        ("tar", tar(&[("b.jsonl", b.as_bytes()), ("readme", b"x"), ("a/a.json.bz2", &bzip2(a.as_bytes()))])),
        ("tar.gz", gzip(&tar(&[("a.jsonl", plain)]))),
        ("array.json", format!("\u{feff}[{}]", all.trim().replace('\n', ",\r\n")).into_bytes()),
        ("byte-order mark and CRLF.jsonl", format!("\u{feff}{}", all.replace('\n', "\r\n")).into_bytes()),
        ("no final newline.zst", zstd(all.trim_end().as_bytes(), 20)),
        ("blank lines.jsonl", all.replace('\n', "\n\n \r\n").into_bytes()),
    ];
    let columns = ["key", "native_id", "title", "outcome"];
    let expected = run().read(&[Dumps::new().put("plain.jsonl", b"")]).lines(&columns);
    assert!(expected.is_empty(), "an empty file has no records");
    let mut rows = std::collections::BTreeSet::new();
    for (name, bytes) in containers {
        let dumps = Dumps::new();
        let path = dumps.put(name, &bytes);
        let found = run().read(&[path]);
        let lines = found.lines(&columns);
        assert_eq!(lines.len(), 200, "{name}");
        assert!(text(&found.rows[0], "source_file").starts_with(name));
        rows.insert(lines);
    }
    assert_eq!(rows.len(), 1);
}

/// How many parts of `part_bytes` a file has, and the rows that reading them one after the other gives.
fn read_in_parts(reader: ReaderKind, path: &Path, part_bytes: u64) -> (usize, Vec<Value>) {
    let bytes = path.metadata().unwrap().len();
    let file = InputFile { location: Location::Local(path.to_owned()), bytes, version: None };
    let parts = in_parts("source", reader, &[file], part_bytes);
    let run = Run::of(reader.platform());
    let source = run.source(&[]);
    let (names, spare) = (Pseudonymizer::from_secret("test"), SpareContext::default());
    let mut rows = Vec::new();
    for part in &parts {
        let facts = FileFacts {
            config: &source,
            platform: source.platform,
            names: &names,
            context_chars: 100,
            spare: &spare,
        };
        let mut send = |batch: RecordBatch| {
            rows.extend(json_rows(&batch));
            true
        };
        let mut out = Output::new(part, facts, &run.options, reader.produces(), &mut send);
        let result = read_file(&mut out, reader);
        let (_, result) = out.finish(result);
        assert!(result.is_ok(), "{result:?}");
    }
    (parts.len(), rows)
}

#[test]
fn only_plain_lines_are_read_in_parts() {
    use ReaderKind::{AmazonItems, AmazonReviews, RedditEvents};
    let review = |n: u32| format!("{{\"user_id\":\"A{n}\",\"asin\":\"B{n}\",\"text\":\"words {n}\"}}\n");
    let item = |n: u32| format!("{{'asin': 'B{n}', 'title': 'Kettle {n}'}}\n");
    let row = |n: u32| format!("A{n}\tB{n}\t5\twords {n}\t2015-08-31\n");
    let reviews: String = (0..40).map(review).collect();
    let items: String = (0..40).map(item).collect();
    let table = "customer_id\tproduct_id\tstar_rating\treview_body\treview_date\n".to_owned()
        + &(0..40).map(row).collect::<String>();
    let lines = posts(0..40);
    let list = |lines: &str, between: &str| format!("[{}]", lines.trim().replace('\n', between)).into_bytes();
    let cases: [(&str, ReaderKind, Vec<u8>, bool); 12] = [
        ("lines.jsonl", RedditEvents, lines.clone().into_bytes(), true),
        ("blanks.jsonl", RedditEvents, format!("\u{feff}\r\n  {lines}").into_bytes(), true),
        ("array over lines.json", RedditEvents, list(&lines, ",\n"), false),
        ("array on one line.json", RedditEvents, list(&lines, ","), false),
        ("mark.json", RedditEvents, [&b"\xef\xbb\xbf\n"[..], &list(&lines, ",\n")].concat(), false),
        ("tar", RedditEvents, tar(&[("{a}.jsonl", lines.as_bytes())]), false),
        ("lines.jsonl.gz", RedditEvents, gzip(lines.as_bytes()), false),
        ("reviews.jsonl", AmazonReviews, reviews.clone().into_bytes(), true),
        ("reviews.json", AmazonReviews, list(&reviews, ",\n"), false),
        ("reviews.tsv", AmazonReviews, table.into_bytes(), false),
        ("meta_lines.json", AmazonItems, items.clone().into_bytes(), true),
        ("meta_array.json", AmazonItems, list(&items.replace('\'', "\""), ",\n"), false),
    ];
    for (name, reader, bytes, is_split) in cases {
        let dumps = Dumps::new();
        let path = dumps.put(name, &bytes);
        let (parts, rows) = read_in_parts(reader, &path, 100);
        assert_eq!(parts > 1, is_split, "{name}");
        assert_eq!(rows.len(), 40, "{name}");
        assert!(rows.iter().all(|row| row["rule"].is_null()), "{name}: {rows:?}");
        assert_eq!(read_in_parts(reader, &path, bytes.len() as u64), (1, rows), "{name}");
    }
}

#[test]
fn offsets_point_into_the_decompressed_file() {
    let lines = "\u{feff}{\"id\":\"a\",\"title\":\"t\"}\r\n\r\n{\"id\":\"b\",\"title\":\"t\"}\r\nbroken\r\n";
    let dumps = Dumps::with(&[("a.zst", &zstd(lines.as_bytes(), 20))]);
    let found = run().read(&[dumps.path().to_owned()]);
    let second = lines.find("{\"id\":\"b\"").unwrap();
    let third = lines.find("broken").unwrap();
    assert_eq!(
        found.lines(&["native_id", "source_offset", "rule", "stage"]),
        [
            "a | 3 | - | -".into(),
            format!("b | {second} | - | -"),
            format!("- | {third} | invalid_json | source")
        ]
    );
    assert_eq!(found.counts[0].bytes, lines.len() as u64);
}

#[test]
fn a_file_that_breaks_off_is_an_error_or_a_row() {
    // Many blocks of 128 KiB, so that some are whole before the cut.
    let plain = posts(0..900).replace("post number", &"four hundred characters ".repeat(17));
    let whole = zstd(plain.as_bytes(), 20);
    let mut corrupt = whole.clone();
    let last = corrupt.len() - 2;
    corrupt[last] ^= 0xff;
    let gz = gzip(plain.as_bytes());
    let cases: [(&str, &[u8]); 4] = [
        ("cut.zst", &whole[..whole.len() * 3 / 5]),
        ("corrupt.zst", &corrupt),
        ("cut.jsonl.gz", &gz[..gz.len() / 2]),
        ("second frame cut.zst", &[&whole[..], &whole[..whole.len() / 2]].concat()),
    ];
    for (name, bytes) in cases {
        let dumps = Dumps::new();
        let path = dumps.put(name, bytes);
        let error = run().read(std::slice::from_ref(&path)).error.unwrap_or_default();
        for part in [name, "breaks off or is corrupt", "download it again", "on_truncated"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let kept = keeping().read(&[path]);
        let lines = kept.lines(&["native_id", "rule"]);
        assert!(lines.len() > 1, "{name}");
        assert_eq!(lines.last().map(String::as_str), Some("- | truncated_file"));
        for (n, line) in lines[..lines.len() - 1].iter().enumerate() {
            assert_eq!(
                *line,
                format!("p{} | -", n % 900),
                "{name}: only whole records come before the break"
            );
        }
        assert!(kept.counts[0].complete);
    }
}

#[test]
fn what_is_no_dump_is_refused_with_advice() {
    let plain = posts(0..1);
    let nothing = zip(&[("readme.txt", plain.as_bytes())]);
    let cases: [(&str, &[u8], &str); 9] = [
        ("a.bz2", b"BZh91AY&SY", "breaks off"),
        ("a.xz", b"\xfd7zXZ\0\0", "breaks off"),
        ("a.zst", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.zst", b"\n<!DOCTYPE html><html>", "web page"),
        ("a.jsonl", b"\xff\xfe{\0", "UTF-16"),
        ("a.zst_blocks", b"whatever", "block container"),
        ("a.zst", &nothing, "holds no file that is read"),
        ("a.zst", &zip(&[("a.jsonl", plain.as_bytes())])[..40], "zip archive"),
        ("a.zst", &zstd(plain.as_bytes(), 20)[..5], "breaks off"),
    ];
    for (name, bytes, part) in cases {
        let dumps = Dumps::new();
        let error = run().read(&[dumps.put(name, bytes)]).error.unwrap_or_default();
        assert!(error.contains(part) && error.contains(name), "{name}: {error}");
    }
}

#[test]
fn lines_over_the_limit_are_rows_too() {
    let lines = format!("{}{{\"title\":\"{}\"}}\n{}", posts(0..1), "x".repeat(5000), posts(1..2));
    let dumps = Dumps::with(&[("a.jsonl", lines.as_bytes())]);
    let options = ReaderOptions { max_line_bytes: 1000, ..ReaderOptions::default() };
    let found = Run { options, ..run() }.read(&[dumps.path().to_owned()]);
    assert_eq!(found.lines(&["native_id", "rule"]), ["p0 | -", "- | line_too_long", "p1 | -"]);
}

#[test]
fn few_wide_windows_never_block_for_ever() {
    let dumps = Dumps::new();
    let wide = zstd(posts(0..100).as_bytes(), 31);
    for n in 0..6 {
        dumps.put(&format!("RC_{n}.zst"), &wide);
    }
    let options = ReaderOptions { batch_rows: 7, ..ReaderOptions::default() };
    for context in [false, true] {
        let found = Run { partitions: 4, context, options: options.clone(), ..run() }
            .read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["native_id"]).len(), 600);
    }
}

#[test]
fn running_twice_counts_once() {
    let dumps = Dumps::with(&[("a.jsonl", posts(0..9).as_bytes()), ("b.jsonl", posts(9..11).as_bytes())]);
    let cx = run().context();
    for _ in 0..2 {
        let found = run().read_in(&cx, &[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["native_id"]).len(), 11);
    }
    assert_eq!(cx.counts.records_of("source"), 11);
    assert_eq!(cx.counts.records_of("another"), 0);
    let records: Vec<u64> = cx.counts.files().iter().map(|count| count.records).collect();
    assert_eq!(records, [9, 2]);
}

#[test]
fn batches_keep_their_limits_and_metrics_their_counts() {
    let dumps = Dumps::with(&[("a.jsonl", posts(0..10).as_bytes())]);
    let options = ReaderOptions { batch_rows: 4, ..ReaderOptions::default() };
    let run = Run { partitions: 1, options, ..run() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let cx = run.context();
        let frame = run.source(&[dumps.path().to_owned()]).events(&cx).unwrap();
        let task = std::sync::Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.unwrap();
        let batches = datafusion::physical_plan::collect(std::sync::Arc::clone(&plan), task).await.unwrap();
        let rows: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows, [4, 4, 2]);
        let reader = plan.children()[0];
        assert_eq!(reader.name(), "ReadDumps");
        let metrics = reader.metrics().unwrap();
        assert_eq!(metrics.output_rows(), Some(10));
        let count = |name: &str| metrics.sum_by_name(name).map(|value| value.as_usize());
        assert_eq!((count("records_read"), count("files_read")), (Some(10), Some(1)));
    });
}

/// Sets the type of the first block of a frame to the one that is reserved. The frame must have no content size.
fn broken_block(mut frame: Vec<u8>) -> Vec<u8> {
    frame[6] |= 0b110;
    frame
}

#[test]
fn a_loss_is_located_and_costs_nothing_before_it() {
    let (a, b, c) = (posts(0..40), posts(40..80), posts(80..120));
    let frame = |lines: &str| zstd(lines.as_bytes(), 20);
    let mut unchecked = frame(&b);
    let last = unchecked.len() - 1;
    unchecked[last] ^= 0xff;
    let whole = frame(&a);
    let member = |lines: &str| gzip(lines.as_bytes());
    let mut wrong = member(&b);
    wrong[12] ^= 0xff;
    let mut broken = bzip2(b.as_bytes());
    broken[30] ^= 0xff;
    // The file, how many records come before the break and how many can, and how many come behind it.
    let cases = [
        ("cut between frames.zst", [whole.clone(), frame(&b)[..3].to_vec()].concat(), 40, 40, 0),
        ("second frame broken.zst", [whole.clone(), broken_block(frame(&b)), frame(&c)].concat(), 40, 40, 40),
        ("second frame changed.zst", [whole.clone(), unchecked, frame(&c)].concat(), 40, 80, 40),
        ("second frame cut.zst", [whole.clone(), frame(&b)[..99].to_vec(), frame(&c)].concat(), 40, 40, 40),
        ("no frame behind.zst", [whole.clone(), b"\nnonsense\n".to_vec()].concat(), 40, 40, 0),
        ("second member cut.gz", [member(&a), member(&b)[..40].to_vec()].concat(), 40, 80, 0),
        ("second member broken.gz", [member(&a), wrong, member(&c)].concat(), 40, 80, 40),
        (
            "second stream cut.bz2",
            [bzip2(a.as_bytes()), bzip2(b.as_bytes())[..40].to_vec()].concat(),
            40,
            40,
            0,
        ),
        ("second stream broken.bz2", [bzip2(a.as_bytes()), broken, bzip2(c.as_bytes())].concat(), 40, 40, 40),
        ("second stream cut.xz", [xz(a.as_bytes()), xz(b.as_bytes())[..40].to_vec()].concat(), 40, 80, 0),
    ];
    let lines = a + &b + &c;
    for (name, bytes, least, most, behind) in cases {
        let dumps = Dumps::new();
        let found = keeping().read(&[dumps.put(name, &bytes)]);
        let mut rows = found.lines(&["native_id", "source_offset", "rule"]);
        // It can have the place of the record behind it.
        let lost = rows.iter().position(|row| row.ends_with("truncated_file")).unwrap();
        let lost = rows.remove(lost);
        let whole = rows.len() - behind;
        assert!((least..=most).contains(&whole), "{name}: {whole} records");
        let mut offset = 0;
        for (n, line) in lines.lines().take(whole).enumerate() {
            assert_eq!(rows[n], format!("p{n} | {offset} | -"), "{name}");
            offset += line.len() + 1;
        }
        assert_eq!(lost, format!("- | {offset} | truncated_file"), "{name}");
        for (n, row) in rows[whole..].iter().enumerate() {
            assert!(row.starts_with(&format!("p{} | ", 80 + n)) && row.ends_with(" | -"), "{name}: {row}");
            let offset = |row: &str| row.split(" | ").nth(1).unwrap().parse::<usize>().unwrap();
            let line =
                format!("{{\"id\":\"p{}\",\"title\":\"post number {0}\",\"author\":\"grace\"}}\n", 80 + n);
            if let Some(next) = rows.get(whole + n + 1) {
                assert_eq!(offset(next) - offset(row), line.len(), "{name}: {row}");
            }
        }
    }
}

#[test]
fn damage_to_a_block_of_bzip2_costs_its_lines() {
    let lines = posts(0..6000);
    let n_lines = lines.lines().count();
    // Blocks of 100,000 bytes, which begin anywhere in a line.
    let mut packed = bzip2(lines.as_bytes());
    let middle = packed.len() / 2;
    packed[middle] ^= 0xff;
    let dumps = Dumps::new();
    let found = keeping().read(&[dumps.put("RS_2010-01.bz2", &packed)]);
    let rules = found.lines(&["rule"]);
    let n_read = rules.iter().filter(|rule| *rule == "-").count();
    let most_lost = 100_000 * n_lines / lines.len() + 2;
    assert!(
        n_read < n_lines && n_read + most_lost >= n_lines,
        "{n_read} of {n_lines}, {most_lost} in a block"
    );
    let lost: Vec<&String> = rules.iter().filter(|rule| *rule != "-").collect();
    // The line that begins in the damage ends behind it.
    assert!(lost == ["truncated_file", "invalid_json"] || lost == ["truncated_file"], "{lost:?}");
    let ids = found.lines(&["native_id"]);
    assert!(ids.contains(&"p0".to_owned()) && ids.contains(&"p5999".to_owned()));
    assert_eq!(found.counts[0].records, rules.len() as u64);
}

#[test]
fn every_loss_is_a_row_and_ends_nothing() {
    let (a, b) = (posts(0..40), posts(40..80));
    let damaged = |lines: &[u8]| {
        let mut member = gzip(lines);
        let checksum = member.len() - 8;
        member[checksum] ^= 0xff;
        member
    };
    // The second loss leaves no line behind the first.
    let bytes =
        [gzip(a.as_bytes()), damaged(b"one line\n"), damaged(b"no end of a line"), gzip(b.as_bytes())]
            .concat();
    let dumps = Dumps::new();
    let found = keeping().read(&[dumps.put("a.jsonl.gz", &bytes)]);
    let rules = found.lines(&["rule"]);
    let count = |rule: &str| rules.iter().filter(|found| *found == rule).count();
    assert_eq!((count("-"), count("truncated_file")), (80, 2), "{rules:?}");
    assert_eq!(found.counts[0].records, rules.len() as u64);
}

#[test]
fn a_damaged_tar_file_mixes_no_members() {
    let (a, b) = (posts(0..40), posts(40..80));
    let plain = tar(&[("a.jsonl", a.as_bytes()), ("b.jsonl", b.as_bytes())]);
    let cut = |at: usize| -> Vec<Vec<u8>> { plain.chunks(at).map(|part| zstd(part, 20)).collect() };
    // The header of the first member and some of its lines; then the rest of it; then the second one.
    for (at, broken) in [(1024, 0), (1024, 1), (2048, 0)] {
        let mut frames = cut(at);
        frames[broken] = broken_block(std::mem::take(&mut frames[broken]));
        let dumps = Dumps::new();
        let found = keeping().read(&[dumps.put("dump.tar.zst", &frames.concat())]);
        let rows = found.lines(&["source_file", "native_id", "rule"]);
        let (lost, read): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.ends_with("truncated_file"));
        assert!(!lost.is_empty(), "{rows:?}");
        assert!(read.iter().all(|row| row.starts_with("dump.tar.zst!a.jsonl | p")), "{rows:?}");
        assert_eq!(read.is_empty(), broken == 0, "{rows:?}");
    }
}

#[test]
fn members_of_one_name_have_places_of_their_own() {
    let (a, b) = (posts(0..2), posts(2..4));
    let dumps = Dumps::new();
    let appended = tar(&[("a.jsonl", a.as_bytes()), ("a.jsonl", b.as_bytes())]);
    let found = keeping().read(&[dumps.put("dump.tar", &appended)]);
    let places: Vec<String> = found.rows.iter().map(|row| text(row, "source_file")).collect();
    let (first, again) = ("dump.tar!a.jsonl", "dump.tar!a.jsonl#1");
    assert_eq!(places, [first, first, again, again]);
}

#[test]
fn a_broken_line_costs_itself_alone() {
    let post = |n: usize, title: &str| format!("{{\"id\":\"p{n}\",\"title\":\"{title}\"}}");
    let mut lines: Vec<Vec<u8>> = (0..12).map(|n| post(n, &format!("number {n}")).into_bytes()).collect();
    lines[1].truncate(12);
    lines[3] = [&b"{\"id\":\"p3\",\"title\":\"a\xff\xfeb\"}"[..]].concat();
    lines[4] = post(4, "nul \\u0000 inside").into_bytes();
    lines[5] = post(5, "half \\ud83d of a pair").into_bytes();
    lines[6] = vec![0; 512];
    lines[7].clear();
    lines[8] = post(8, "raw \0 inside").into_bytes();
    let bytes = lines.join(&b'\n');
    let begins = |line: usize| lines[..line].iter().map(|line| line.len() + 1).sum::<usize>();
    let dumps = Dumps::with(&[("a.zst", &zstd(&bytes, 20))]);
    let found = run().read(&[dumps.path().to_owned()]);
    let expected = [
        (0, "p0 | number 0 | false | -"),
        (1, "- | - | false | truncated"),
        (2, "p2 | number 2 | false | -"),
        (3, "p3 | a\u{fffd}\u{fffd}b | true | -"),
        (4, "p4 | nul  inside | true | -"),
        (5, "p5 | half \u{fffd} of a pair | true | -"),
        (6, "- | - | false | nul_bytes"),
        (8, "p8 | raw   inside | true | -"),
        (9, "p9 | number 9 | false | -"),
        (10, "p10 | number 10 | false | -"),
        (11, "p11 | number 11 | false | -"),
    ];
    let expected = expected.map(|(line, shown)| format!("{} | {shown}", begins(line)));
    assert_eq!(found.lines(&["source_offset", "native_id", "title", "lossy", "rule"]), expected);
}

#[test]
fn a_line_of_eight_megabytes_is_a_record() {
    let words = "eight million characters of it ".repeat(270_000);
    let lines = format!("{}{{\"id\":\"long\",\"title\":\"{words}\"}}\n{}", posts(0..2), posts(2..4));
    for bytes in [zstd(lines.as_bytes(), 20), gzip(lines.as_bytes())] {
        let dumps = Dumps::with(&[("a.zst", &bytes)]);
        let found = run().read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["native_id"]), ["p0", "p1", "long", "p2", "p3"]);
        assert_eq!(text(&found.rows[2], "title").len(), words.len());
    }
}

#[test]
fn one_file_can_mix_the_types_of_all_years() {
    let record = |n: usize| {
        let at = 1_600_000_000 + n;
        let at = match n % 4 {
            0 => at.to_string(),
            1 => format!("\"{at}\""),
            2 => format!("{at}.0"),
            _ => format!("\"{at}.0\""),
        };
        let score = ["1", "\"1\"", "1.0", "null"][n % 4];
        format!("{{\"score\":{score},\"title\":\"t\",\"created_utc\":{at},\"id\":\"p{n}\"}}\n")
    };
    let lines: String = (0..40).map(record).collect();
    let dumps = Dumps::with(&[("a.zst", &zstd(lines.as_bytes(), 20))]);
    let found = run().read(&[dumps.path().to_owned()]);
    for (n, line) in found.lines(&["at", "engagement"]).iter().enumerate() {
        let score = if n % 4 == 3 { "-" } else { "1" };
        assert_eq!(*line, format!("2020-09-13T12:{}:{:02}Z | {score}", 26 + (40 + n) / 60, (40 + n) % 60));
    }
    assert!(found.counts[0].type_conflicts.is_empty());
}
