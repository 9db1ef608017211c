//! The leaf of a scan: an in-memory table of files, one partition a group.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use genome_schemas::Platform;

use super::batches::Produces;

/// What is looked for in a file, and so which reader reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReaderKind {
    RedditEvents,
    RedditSubmissions,
    RedditComments,
    TwitterEvents,
    TwitterTweets,
    BloggerEvents,
    AmazonReviews,
    AmazonItems,
}

impl ReaderKind {
    const ALL: [Self; 8] = [
        Self::RedditEvents,
        Self::RedditSubmissions,
        Self::RedditComments,
        Self::TwitterEvents,
        Self::TwitterTweets,
        Self::BloggerEvents,
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
            Self::BloggerEvents => "blogger_events",
            Self::AmazonReviews => "amazon_reviews",
            Self::AmazonItems => "amazon_items",
        }
    }

    pub(super) const fn platform(self) -> Platform {
        match self {
            Self::RedditEvents | Self::RedditSubmissions | Self::RedditComments => Platform::Reddit,
            Self::TwitterEvents | Self::TwitterTweets => Platform::Twitter,
            Self::BloggerEvents => Platform::Blogger,
            Self::AmazonReviews | Self::AmazonItems => Platform::Amazon,
        }
    }

    pub(super) const fn produces(self) -> Produces {
        match self {
            Self::RedditEvents | Self::TwitterEvents | Self::BloggerEvents | Self::AmazonReviews => {
                Produces::Events
            }
            Self::RedditSubmissions | Self::RedditComments | Self::TwitterTweets | Self::AmazonItems => {
                Produces::Messages
            }
        }
    }

    /// Whether this is the only reader of its files, whose records must therefore be counted.
    pub(super) const fn is_counted(self) -> bool {
        !matches!(self, Self::RedditSubmissions | Self::RedditComments | Self::TwitterTweets)
    }
}

/// One file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DumpFile {
    pub(super) source: String,
    pub(super) path: PathBuf,
    /// What rows call it: its name without folders, or with as many as set it apart from the source's other files.
    pub(super) name: String,
    pub(super) reader: ReaderKind,
    /// Length of the file as it is on disk; 0 for a folder.
    pub(super) bytes: u64,
}

static LEAF_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("reader", DataType::Utf8, false),
        Field::new("bytes", DataType::UInt64, false),
    ]))
});

/// Schema of the leaf: source, path, name, reader, byte length.
pub(super) fn leaf_schema() -> SchemaRef {
    Arc::clone(&LEAF_SCHEMA)
}

/// The files of `source` for `reader`, in the order of `paths`.
pub(super) fn dump_files(source: &str, reader: ReaderKind, paths: &[PathBuf]) -> Vec<DumpFile> {
    let names = distinct_names(paths);
    paths
        .iter()
        .zip(names)
        .map(|(path, name)| DumpFile {
            source: source.to_owned(),
            path: path.clone(),
            name,
            reader,
            bytes: file_bytes(path),
        })
        .collect()
}

/// The shortest ends of `paths` that tell them apart.
fn distinct_names(paths: &[PathBuf]) -> Vec<String> {
    let ends = |length: usize| -> Vec<String> {
        paths
            .iter()
            .map(|path| {
                let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
                parts[parts.len().saturating_sub(length)..].join("/")
            })
            .collect()
    };
    let longest = paths.iter().map(|path| path.iter().count()).max().unwrap_or_default();
    let mut names = ends(1);
    for length in 2..=longest {
        let longer = ends(length);
        let seen = names.clone();
        for (name, longer) in names.iter_mut().zip(longer) {
            if seen.iter().filter(|other| *other == name).count() > 1 {
                *name = longer;
            }
        }
    }
    names
}

fn file_bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |facts| if facts.is_file() { facts.len() } else { 0 })
}

/// Deals files out to at most `groups` groups of similar byte length: the largest first, each to the group that is
/// smallest so far. The same files give the same groups.
pub(super) fn grouped(mut files: Vec<DumpFile>, groups: usize) -> Vec<Vec<DumpFile>> {
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
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
    let path = |file: &DumpFile| file.path.display().to_string();
    let batch = RecordBatch::try_new(
        leaf_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.source))),
            Arc::new(StringArray::from_iter_values(files.iter().map(path))),
            Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.name))),
            Arc::new(StringArray::from_iter_values(files.iter().map(|file| file.reader.as_str()))),
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|file| file.bytes))),
        ],
    )?;
    Ok(batch)
}

/// The files in a batch of the leaf.
pub(super) fn from_batch(batch: &RecordBatch) -> Result<Vec<DumpFile>> {
    let text = |i: usize| batch.column(i).as_string_opt::<i32>();
    let numbers = batch.column(4).as_primitive_opt::<UInt64Type>();
    let (Some(sources), Some(paths), Some(names), Some(readers), Some(bytes)) =
        (text(0), text(1), text(2), text(3), numbers)
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
                path: PathBuf::from(paths.value(row)),
                name: names.value(row).to_owned(),
                reader,
                bytes: bytes.value(row),
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
            path: path.into(),
            name: path.into(),
            reader: ReaderKind::RedditEvents,
            bytes,
        }
    }

    #[test]
    fn groups_do_not_depend_on_the_order_of_files() {
        let files = vec![file("a", 5), file("b", 9), file("c", 4), file("d", 4), file("e", 0)];
        let mut reversed = files.clone();
        reversed.reverse();
        let groups = grouped(files.clone(), 2);
        let names: Vec<Vec<&str>> =
            groups.iter().map(|g| g.iter().filter_map(|f| f.path.to_str()).collect()).collect();
        assert_eq!(names, [vec!["b", "d"], vec!["a", "c", "e"]]);
        assert_eq!(groups, grouped(reversed, 2));
        assert_eq!(grouped(files, 100).len(), 5);
        assert_eq!(grouped(Vec::new(), 3).len(), 1);
    }

    #[test]
    fn names_are_as_long_as_they_must_be() {
        let paths = ["/d/2020/a.zst", "/d/2021/a.zst", "/d/b.zst", "/e/2020/a.zst"].map(PathBuf::from);
        assert_eq!(distinct_names(&paths), ["d/2020/a.zst", "2021/a.zst", "b.zst", "e/2020/a.zst"]);
        assert_eq!(distinct_names(&paths[1..3]), ["a.zst", "b.zst"]);
    }

    #[test]
    fn files_survive_the_leaf() {
        let files: Vec<DumpFile> =
            ReaderKind::ALL.into_iter().map(|reader| DumpFile { reader, ..file("x/y.zst", 7) }).collect();
        assert_eq!(from_batch(&to_batch(&files).unwrap()).unwrap(), files);
    }
}
