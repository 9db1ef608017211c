//! Writing a shard folder: rows in, files out, all or nothing.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use serde::Serialize;
use tempfile::TempDir;

use super::example::read_examples;
use super::file::write_text;
use super::rows::{RlRow, SftRow};
use super::series::Series;
use super::{
    CARD_FILE, CHECKSUMS_FILE, CardFacts, DATASET_INFO_FILE, Form, ShardConfig, ShardError, Split, card,
};
use crate::store::replace_folder;

/// One data file of a shard folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardFile {
    /// Its name.
    pub name: String,
    /// The form of its rows.
    pub form: Form,
    /// The split of its rows.
    pub split: Split,
    /// Number of rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in hex digits.
    pub sha256: String,
}

impl ShardFile {
    /// `parquet` or `jsonl`.
    pub fn ending(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(_, ending)| ending)
    }
}

/// How many rows of a kind there are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RowCount {
    /// The form.
    pub form: Form,
    /// The training task.
    pub task: String,
    /// The platform.
    pub platform: String,
    /// The split.
    pub split: Split,
    /// Number of rows.
    pub rows: u64,
}

/// What a finished shard folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardSummary {
    /// The folder.
    pub folder: PathBuf,
    /// SHA-256 of `checksums.txt` in hex digits: equal for equal folders.
    pub digest: String,
    /// The data files, by name.
    pub files: Vec<ShardFile>,
    /// Rows by form, task, platform and split.
    pub counts: Vec<RowCount>,
    /// Number of people by form and split.
    pub authors: Vec<(Form, Split, u64)>,
}

/// Writes a shard folder. Until [`ShardWriter::finish`] nothing has the folder's name; a writer that is dropped
/// leaves nothing.
pub struct ShardWriter {
    target: PathBuf,
    temporary: TempDir,
    config: ShardConfig,
    file_limit: u64,
    sft: BTreeMap<Split, Series<SftRow>>,
    rl: BTreeMap<Split, Series<RlRow>>,
    counts: BTreeMap<(Form, String, String, Split), u64>,
    authors: BTreeMap<(Form, Split), HashSet<String>>,
}

/// Writes the rows of some batches as a shard folder; see [`ShardWriter`].
///
/// # Errors
/// Those of [`ShardWriter`], and the first error among the batches, by which nothing is left either.
pub fn write_shards<E: From<ShardError>>(
    batches: impl IntoIterator<Item = Result<RecordBatch, E>>,
    folder: &Path,
    config: ShardConfig,
    facts: &CardFacts,
) -> Result<ShardSummary, E> {
    let mut writer = ShardWriter::create(folder, config)?;
    for batch in batches {
        writer.push(&batch?)?;
    }
    Ok(writer.finish(facts)?)
}

impl ShardWriter {
    /// Starts a shard folder; an older shard folder of this name is replaced at the end.
    ///
    /// # Errors
    /// The folder holds something else, or its parent cannot be written to.
    pub fn create(folder: &Path, config: ShardConfig) -> Result<Self, ShardError> {
        Self::create_limited(folder, config, u64::MAX)
    }

    /// A writer on a disk that has room for files of `file_limit` bytes only.
    pub(super) fn create_limited(
        folder: &Path,
        config: ShardConfig,
        file_limit: u64,
    ) -> Result<Self, ShardError> {
        check_replaceable(folder)?;
        let target = std::path::absolute(folder).map_err(ShardError::io("write", folder))?;
        let parent = target.parent().unwrap_or(&target).to_owned();
        std::fs::create_dir_all(&parent).map_err(ShardError::io("create", &parent))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let prefix = format!(".{name}.partial-");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        // A temporary folder is private by default; this one becomes an ordinary folder.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let temporary = builder.tempdir_in(&parent).map_err(ShardError::io("create", &parent))?;
        Ok(Self {
            target,
            temporary,
            config,
            file_limit,
            sft: BTreeMap::new(),
            rl: BTreeMap::new(),
            counts: BTreeMap::new(),
            authors: BTreeMap::new(),
        })
    }

    /// Takes the rows of a batch of table `examples`: kept rows only, and in key order within each form and split.
    ///
    /// # Errors
    /// A column is missing, a row is out of order or of no use to a trainer, or the disk refuses.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), ShardError> {
        for example in read_examples(batch)? {
            let (form, split) = example.place()?;
            let count = (form, example.task.clone(), example.platform.clone(), split);
            *self.counts.entry(count).or_default() += 1;
            let authors = self.authors.entry((form, split)).or_default();
            if !authors.contains(&example.author_id) {
                authors.insert(example.author_id.clone());
            }
            let (folder, rows, limit) = (self.temporary.path(), self.config.rows_per_shard, self.file_limit);
            match form {
                Form::Sft => {
                    let series =
                        self.sft.entry(split).or_insert_with(|| Series::new(folder, split, rows, limit));
                    series.push(example.into_sft()?)?;
                }
                Form::Rl => {
                    let series =
                        self.rl.entry(split).or_insert_with(|| Series::new(folder, split, rows, limit));
                    let index = series.n_rows();
                    series.push(example.into_rl(index)?)?;
                }
            }
        }
        Ok(())
    }

    /// Writes card and checksums and gives the folder its name.
    ///
    /// # Errors
    /// The disk refuses; then nothing is left, and an older folder stays as it was.
    pub fn finish(self, facts: &CardFacts) -> Result<ShardSummary, ShardError> {
        let Self { target, temporary, file_limit, sft, rl, counts, authors, .. } = self;
        let mut files = Vec::new();
        for series in sft.into_values() {
            files.extend(series.finish()?);
        }
        for series in rl.into_values() {
            files.extend(series.finish()?);
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let count = |((form, task, platform, split), rows)| RowCount { form, task, platform, split, rows };
        let mut summary = ShardSummary {
            folder: target.clone(),
            digest: String::new(),
            files,
            counts: counts.into_iter().map(count).collect(),
            authors: authors
                .into_iter()
                .map(|((form, split), ids)| (form, split, ids.len() as u64))
                .collect(),
        };
        let mut sums: Vec<(String, String)> =
            summary.files.iter().map(|file| (file.name.clone(), file.sha256.clone())).collect();
        for (name, text) in
            [(CARD_FILE, card::card(facts, &summary)), (DATASET_INFO_FILE, card::dataset_info(&summary))]
        {
            let (sha256, _) = write_text(&temporary.path().join(name), &text, file_limit)?;
            sums.push((name.to_owned(), sha256));
        }
        sums.sort();
        let lines: Vec<String> = sums.iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect();
        let (digest, _) = write_text(&temporary.path().join(CHECKSUMS_FILE), &lines.concat(), file_limit)?;
        summary.digest = digest;
        put_in_place(temporary, &target)?;
        Ok(summary)
    }
}

/// Whether a folder may be replaced: it is not there, empty, or a shard folder.
pub(crate) fn check_replaceable(folder: &Path) -> Result<(), ShardError> {
    let Ok(mut entries) = std::fs::read_dir(folder) else {
        return if folder.exists() { Err(ShardError::OtherFolder(folder.to_owned())) } else { Ok(()) };
    };
    if folder.join(CHECKSUMS_FILE).exists() || entries.next().is_none() {
        Ok(())
    } else {
        Err(ShardError::OtherFolder(folder.to_owned()))
    }
}

/// Gives a complete folder its name; what had this name before goes away.
fn put_in_place(temporary: TempDir, target: &Path) -> Result<(), ShardError> {
    let aside = temporary.path().with_extension("old");
    replace_folder(temporary.path(), target, &aside).map_err(ShardError::io("write", target))?;
    let _ = temporary.keep();
    Ok(())
}
