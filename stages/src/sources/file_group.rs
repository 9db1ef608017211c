//! The leaf of a scan: an in-memory table of files, one partition a group.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array as _, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use genome_schemas::Platform;

use super::batches::Produces;
use super::bytes::container::has_plain_lines;
use super::bytes::location::Location;
use super::listing::InputFile;

/// What is looked for in a file, and so which reader reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReaderKind {
    RedditEvents,
    RedditSubmissions,
    RedditComments,
    TwitterEvents,
    TwitterTweets,
    TwitterDeletions,
    TwitterUsers,
    BloggerEvents,
    BloggerPosts,
    AmazonReviews,
    AmazonItems,
}

impl ReaderKind {
    const ALL: [Self; 11] = [
        Self::RedditEvents,
        Self::RedditSubmissions,
        Self::RedditComments,
        Self::TwitterEvents,
        Self::TwitterTweets,
        Self::TwitterDeletions,
        Self::TwitterUsers,
        Self::BloggerEvents,
        Self::BloggerPosts,
        Self::AmazonReviews,
        Self::AmazonItems,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::RedditEvents => "reddit_events",
            Self::RedditSubmissions => "reddit_submissions",
            Self::RedditComments => "reddit_comments",
            Self::TwitterEvents => "twitter_events",
            Self::TwitterTweets => "twitter_tweets",
            Self::TwitterDeletions => "twitter_deletions",
            Self::TwitterUsers => "twitter_users",
            Self::BloggerEvents => "blogger_events",
            Self::BloggerPosts => "blogger_posts",
            Self::AmazonReviews => "amazon_reviews",
            Self::AmazonItems => "amazon_items",
        }
    }

    pub(super) const fn platform(self) -> Platform {
        match self {
            Self::RedditEvents | Self::RedditSubmissions | Self::RedditComments => Platform::Reddit,
            Self::TwitterEvents | Self::TwitterTweets | Self::TwitterDeletions | Self::TwitterUsers => {
                Platform::Twitter
            }
            Self::BloggerEvents | Self::BloggerPosts => Platform::Blogger,
            Self::AmazonReviews | Self::AmazonItems => Platform::Amazon,
        }
    }

    pub(super) const fn produces(self) -> Produces {
        match self {
            Self::RedditEvents | Self::TwitterEvents | Self::BloggerEvents | Self::AmazonReviews => {
                Produces::Events
            }
            Self::RedditSubmissions
            | Self::RedditComments
            | Self::TwitterTweets
            | Self::TwitterDeletions
            | Self::TwitterUsers
            | Self::BloggerPosts
            | Self::AmazonItems => Produces::Messages,
        }
    }

    /// Whether its files can be read in parts if they are lines.
    const fn splits(self) -> bool {
        matches!(
            self,
            Self::RedditEvents
                | Self::RedditSubmissions
                | Self::RedditComments
                | Self::AmazonReviews
                | Self::AmazonItems
        )
    }

    /// Whether this is the only reader of its files, whose records must therefore be counted.
    pub(super) const fn is_counted(self) -> bool {
        matches!(self.produces(), Produces::Events) || matches!(self, Self::AmazonItems | Self::TwitterUsers)
    }
}

/// One file to read, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DumpFile {
    pub(super) source: String,
    pub(super) location: Location,
    /// What rows call it: its name without folders, or with as many as set it apart from the source's other files.
    pub(super) name: String,
    pub(super) reader: ReaderKind,
    /// Length of what is to be read as it lies there; 0 for a folder.
    pub(super) bytes: u64,
    /// Where in a plain file of lines the part begins and ends; of lines, those that begin inside.
    pub(super) range: Option<Range<u64>>,
}

impl DumpFile {
    /// Where in the file reading begins.
    pub(super) fn start(&self) -> u64 {
        self.range.as_ref().map_or(0, |range| range.start)
    }
}

static LEAF_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("reader", DataType::Utf8, false),
        Field::new("bytes", DataType::UInt64, false),
        Field::new("start", DataType::UInt64, true),
        Field::new("end", DataType::UInt64, true),
    ]))
});

/// Schema of the leaf: source, path, name, reader, byte length, byte range.
pub(super) fn leaf_schema() -> SchemaRef {
    Arc::clone(&LEAF_SCHEMA)
}

/// Plain files of lines that are longer are read in parts of this length. It must not depend on the number of groups:
/// the parts of a file are counted by where they begin.
const PART_BYTES: u64 = 64 << 20;

/// The files of `source` for `reader`, in the order of `files`; long plain ones of lines in parts.
pub(super) fn dump_files(source: &str, reader: ReaderKind, files: &[InputFile]) -> Vec<DumpFile> {
    in_parts(source, reader, files, PART_BYTES)
}

/// As [`dump_files`], in parts of `part_bytes`.
pub(super) fn in_parts(
    source: &str,
    reader: ReaderKind,
    files: &[InputFile],
    part_bytes: u64,
) -> Vec<DumpFile> {
    let names = distinct_names(files);
    let mut dumps = Vec::with_capacity(files.len());
    for (file, name) in files.iter().zip(names) {
        let whole = DumpFile {
            source: source.to_owned(),
            location: file.location.clone(),
            name,
            reader,
            bytes: file.bytes,
            range: None,
        };
        if file.bytes < 2 * part_bytes || !reader.splits() || !has_plain_lines(&file.location) {
            dumps.push(whole);
            continue;
        }
        let mut start = 0;
        while start < file.bytes {
            let end = (start + part_bytes).min(file.bytes);
            dumps.push(DumpFile { bytes: end - start, range: Some(start..end), ..whole.clone() });
            start = end;
        }
    }
    dumps
}

/// The shortest ends of the locations that tell them apart. Of those that differ in case alone all but the first get a
/// number: a handle in a name is replaced by what is the same for all ways to write it.
fn distinct_names(files: &[InputFile]) -> Vec<String> {
    let parts: Vec<Vec<String>> = files.iter().map(|file| file.location.parts()).collect();
    let ends = |length: usize| -> Vec<String> {
        parts.iter().map(|parts| parts[parts.len().saturating_sub(length)..].join("/")).collect()
    };
    let longest = parts.iter().map(Vec::len).max().unwrap_or_default();
    let mut names = ends(1);
    for length in 2..=longest {
        let longer = ends(length);
        let mut seen = BTreeMap::new();
        for name in &names {
            *seen.entry(name.clone()).or_insert(0_usize) += 1;
        }
        if seen.len() == names.len() {
            break;
        }
        for (name, longer) in names.iter_mut().zip(longer) {
            if seen.get(name).is_some_and(|count| *count > 1) {
                *name = longer;
            }
        }
    }
    let mut seen = BTreeSet::new();
    names.into_iter().enumerate().map(|(number, name)| distinct(&mut seen, name, number)).collect()
}

/// A name that differs from those seen by more than its case: with `number` behind it if it does not by itself.
pub(super) fn distinct(seen: &mut BTreeSet<String>, name: String, number: usize) -> String {
    if seen.insert(name.to_lowercase()) { name } else { format!("{name}#{number}") }
}

/// Deals files out to at most `groups` groups of similar byte length: the largest first, each to the group that is
/// smallest so far. The same files give the same groups.
pub(super) fn grouped(mut files: Vec<DumpFile>, groups: usize) -> Vec<Vec<DumpFile>> {
    files.sort_by(|a, b| {
        b.bytes.cmp(&a.bytes).then_with(|| (&a.location, a.start()).cmp(&(&b.location, b.start())))
    });
    let mut dealt: Vec<(u64, Vec<DumpFile>)> = Vec::new();
    dealt.resize_with(groups.clamp(1, files.len().max(1)), Default::default);
    for file in files {
        if let Some((bytes, group)) = dealt.iter_mut().min_by_key(|(bytes, group)| (*bytes, group.len())) {
            *bytes += file.bytes;
            group.push(file);
        }
    }
    dealt.into_iter().map(|(_, group)| group).collect()
}

/// A group as one record batch of the leaf.
pub(super) fn to_batch(files: &[DumpFile]) -> Result<RecordBatch> {
    let path = |file: &DumpFile| file.location.to_string();
    let end = |file: &DumpFile| file.range.as_ref().map(|range| range.end);
    let batch = RecordBatch::try_new(
        leaf_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.source))),
            Arc::new(StringArray::from_iter_values(files.iter().map(path))),
            Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.name))),
            Arc::new(StringArray::from_iter_values(files.iter().map(|file| file.reader.as_str()))),
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|file| file.bytes))),
            Arc::new(
                files
                    .iter()
                    .map(|file| file.range.as_ref().map(|range| range.start))
                    .collect::<UInt64Array>(),
            ),
            Arc::new(files.iter().map(end).collect::<UInt64Array>()),
        ],
    )?;
    Ok(batch)
}

/// The files in a batch of the leaf.
pub(super) fn from_batch(batch: &RecordBatch) -> Result<Vec<DumpFile>> {
    let text = |i: usize| batch.column(i).as_string_opt::<i32>();
    let numbers = |i: usize| batch.column(i).as_primitive_opt::<UInt64Type>();
    let (Some(sources), Some(paths), Some(names), Some(readers), Some(bytes), Some(starts), Some(ends)) =
        (text(0), text(1), text(2), text(3), numbers(4), numbers(5), numbers(6))
    else {
        return Err(DataFusionError::Internal("the leaf of a dump scan has other columns".into()));
    };
    (0..batch.num_rows())
        .map(|row| {
            let name = readers.value(row);
            let reader = ReaderKind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == name)
                .ok_or_else(|| DataFusionError::Internal(format!("`{name}` is no dump reader")))?;
            Ok(DumpFile {
                source: sources.value(row).to_owned(),
                location: Location::parse(paths.value(row))
                    .map_err(|error| DataFusionError::External(Box::new(error)))?,
                name: names.value(row).to_owned(),
                reader,
                bytes: bytes.value(row),
                range: (!starts.is_null(row)).then(|| starts.value(row)..ends.value(row)),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64) -> DumpFile {
        DumpFile {
            source: "s".into(),
            location: Location::Local(path.into()),
            name: path.into(),
            reader: ReaderKind::RedditEvents,
            bytes,
            range: None,
        }
    }

    #[test]
    fn groups_do_not_depend_on_the_order_of_files() {
        let files = vec![file("a", 5), file("b", 9), file("c", 4), file("d", 4), file("e", 0)];
        let mut reversed = files.clone();
        reversed.reverse();
        let groups = grouped(files.clone(), 2);
        let names: Vec<Vec<&str>> =
            groups.iter().map(|g| g.iter().map(|f| f.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["b", "d"], vec!["a", "c", "e"]]);
        assert_eq!(groups, grouped(reversed, 2));
        assert_eq!(grouped(files, 100).len(), 5);
        assert_eq!(grouped(Vec::new(), 3).len(), 1);
    }

    #[test]
    fn names_are_as_long_as_they_must_be() {
        let input =
            |path: &str| InputFile { location: Location::Local(path.into()), bytes: 0, version: None };
        let paths = ["/d/2020/a.zst", "/d/2021/a.zst", "/d/b.zst", "/e/2020/a.zst"].map(input);
        assert_eq!(distinct_names(&paths), ["d/2020/a.zst", "2021/a.zst", "b.zst", "e/2020/a.zst"]);
        assert_eq!(distinct_names(&paths[1..3]), ["a.zst", "b.zst"]);
        let cases = ["d/x/ann.csv", "d/x/Ann.csv", "d/y/ANN.csv"].map(input);
        assert_eq!(distinct_names(&cases), ["ann.csv", "Ann.csv#1", "ANN.csv#2"]);
    }

    #[test]
    fn files_survive_the_leaf() {
        let files: Vec<DumpFile> =
            ReaderKind::ALL.into_iter().map(|reader| DumpFile { reader, ..file("x/y.zst", 7) }).collect();
        let part = DumpFile { range: Some(3..9), ..file("s.jsonl", 6) };
        let files = [files, vec![part]].concat();
        assert_eq!(from_batch(&to_batch(&files).unwrap()).unwrap(), files);
    }
}
