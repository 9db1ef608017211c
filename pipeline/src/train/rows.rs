//! Rows of shards, chosen and ordered by a seed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use genome_schemas::{Key, KeyHasher};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Hinted;
use crate::progress::Task;
use crate::shards::{ShardError, ShardReader, ShardRow, Split};

/// Rows tokenised at once.
const CHUNK_ROWS: usize = 1024;

/// What became of a row.
pub(super) enum Fate<T> {
    /// It can be learnt from.
    Fits(T),
    /// It has too many tokens.
    TooLong,
    /// The config does not ask for it, or it has nothing to learn.
    NotWanted,
    /// It cannot be made tokens of, for this reason: the model's chat template refuses it, or changes what is to be learnt.
    Unfit(String),
}

/// How many rows there were, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowCounts {
    /// Rows that can be learnt from.
    pub(super) fitting: usize,
    /// Rows of too many tokens.
    pub(super) too_long: usize,
    /// Rows that the config does not ask for, or with nothing to learn.
    pub(super) not_wanted: usize,
    /// Rows that the model's chat template refuses, or in which it changes what is to be learnt.
    #[serde(default)]
    pub(super) unfit: usize,
}

impl RowCounts {
    pub(super) fn describe(&self) -> String {
        let others = [(self.too_long, "too long"), (self.not_wanted, "not wanted"), (self.unfit, "unfit")];
        let others = others.into_iter().filter(|(count, _)| *count > 0);
        let others = others.map(|(count, why)| format!("{count} {why}"));
        std::iter::once(format!("{} rows", self.fitting)).chain(others).collect::<Vec<_>>().join(", ")
    }
}

/// Rows in the order in which a run takes them: shuffled by a seed, anew in each epoch.
///
/// The place of a row depends on its key, the seed and the epoch alone. No more rows are held than a run can take
/// in its first epoch.
#[derive(Debug)]
pub(super) struct Rows<T> {
    held: Vec<(String, T)>,
    counts: RowCounts,
    first_unfit: Option<String>,
    seed: u64,
    /// The epoch that `order` is of.
    epoch: usize,
    order: Vec<usize>,
}

impl<T> Rows<T> {
    /// Takes the first `limit` of the rows, which come with their keys.
    #[cfg(test)]
    pub(super) fn new(rows: impl IntoIterator<Item = (String, T)>, seed: u64, limit: usize) -> Self {
        let mut choice = Choice::new(seed, limit);
        for (key, row) in rows {
            choice.add(key, Fate::Fits(row));
        }
        choice.finish()
    }

    pub(super) fn counts(&self) -> RowCounts {
        self.counts
    }

    /// How many rows there were, and why the first of the unfit ones is.
    pub(super) fn describe(&self) -> String {
        match &self.first_unfit {
            None => self.counts.describe(),
            Some(why) => format!("{} ({why})", self.counts.describe()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// All rows that are held, in the order of the first epoch.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.held.iter().map(|(_, row)| row)
    }

    /// The rows at places `from..from + count` of the endless order. There must be rows.
    pub(super) fn take(&mut self, from: usize, count: usize) -> Vec<(&str, &T)> {
        let mut places = Vec::with_capacity(count);
        for place in from..from + count {
            let (epoch, at) = (place / self.counts.fitting, place % self.counts.fitting);
            if epoch != self.epoch {
                self.epoch = epoch;
                self.order.sort_by_cached_key(|&row| rank(self.seed, epoch, &self.held[row].0));
            }
            places.push(self.order[at]);
        }
        places.into_iter().map(|row| (self.held[row].0.as_str(), &self.held[row].1)).collect()
    }
}

/// Reads the rows of some splits; those missing have none. At most the `limit` that come first in the order of the
/// first epoch are kept, all are counted.
pub(super) fn read<R: ShardRow + Sync, T: Send>(
    folder: &Path,
    splits: &[Split],
    (seed, limit): (u64, usize),
    fate: impl Fn(&R) -> Fate<T> + Sync,
) -> Result<Rows<T>> {
    let mut choice = Choice::new(seed, limit);
    let names = splits.iter().map(|split| split.as_str()).collect::<Vec<_>>().join(" and ");
    let mut task = Task::begin(&format!("{} rows of {names}", R::FORM), 0);
    for &split in splits {
        let mut reader = match ShardReader::<R>::open(folder, split) {
            Err(ShardError::NoShards { .. }) => continue,
            opened => opened.map_err(|error| {
                anyhow::Error::from(Hinted::new(
                    error.to_string(),
                    "`genome run` with this config writes its shards",
                ))
            })?,
        };
        loop {
            let rows = reader.by_ref().take(CHUNK_ROWS).collect::<Result<Vec<R>, ShardError>>()?;
            if rows.is_empty() {
                break;
            }
            let judged = |row: &R| (row.key().to_owned(), fate(row));
            for (key, fate) in rows.par_iter().map(judged).collect::<Vec<_>>() {
                choice.add(key, fate);
            }
            task.update(0, &choice.counts.describe());
        }
    }
    let rows = choice.finish();
    task.end(&rows.describe());
    Ok(rows)
}

/// The first rows of the order, found in one pass.
struct Choice<T> {
    seed: u64,
    limit: usize,
    first: BTreeMap<Key, (String, T)>,
    counts: RowCounts,
    first_unfit: Option<String>,
}

impl<T> Choice<T> {
    fn new(seed: u64, limit: usize) -> Self {
        Self { seed, limit, first: BTreeMap::new(), counts: RowCounts::default(), first_unfit: None }
    }

    fn add(&mut self, key: String, fate: Fate<T>) {
        match fate {
            Fate::Fits(row) => {
                self.counts.fitting += 1;
                self.first.insert(rank(self.seed, 0, &key), (key, row));
                if self.first.len() > self.limit {
                    self.first.pop_last();
                }
            }
            Fate::TooLong => self.counts.too_long += 1,
            Fate::NotWanted => self.counts.not_wanted += 1,
            Fate::Unfit(why) => {
                self.counts.unfit += 1;
                if self.first_unfit.is_none() {
                    self.first_unfit = Some(format!("example {key}: {why}"));
                }
            }
        }
    }

    fn finish(self) -> Rows<T> {
        let rows: Vec<(String, T)> = self.first.into_values().collect();
        Rows {
            order: (0..rows.len()).collect(),
            held: rows,
            counts: self.counts,
            first_unfit: self.first_unfit,
            seed: self.seed,
            epoch: 0,
        }
    }
}

/// Place of a row in an epoch, relative to the others.
fn rank(seed: u64, epoch: usize, key: &str) -> Key {
    KeyHasher::new("genome training order")
        .part(seed.to_le_bytes())
        .part((epoch as u64).to_le_bytes())
        .part(key)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows(count: usize, seed: u64, limit: usize) -> Rows<usize> {
        Rows::new((0..count).map(|n| (format!("{n:032x}"), n)), seed, limit)
    }

    fn taken(rows: &mut Rows<usize>, from: usize, count: usize) -> Vec<usize> {
        rows.take(from, count).into_iter().map(|(_, n)| *n).collect()
    }

    #[test]
    fn every_epoch_has_every_row_once_in_another_order() {
        let order = taken(&mut rows(10, 1, 1000), 0, 30);
        for epoch in order.chunks(10) {
            assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 10);
        }
        assert_ne!(order[..10], order[10..20]);
        assert_ne!(order[..10], (0..10).collect::<Vec<_>>());
        assert_ne!(order, taken(&mut rows(10, 2, 1000), 0, 30));
    }

    #[test]
    fn a_place_has_the_same_row_however_it_is_asked_for() {
        let straight = taken(&mut rows(7, 3, 1000), 0, 40);
        let mut other = rows(7, 3, 1000);
        for from in [33, 0, 12, 5] {
            assert_eq!(taken(&mut other, from, 7), straight[from..from + 7]);
        }
    }

    #[test]
    fn a_limit_keeps_the_beginning_of_the_order_and_counts_all() {
        let straight = taken(&mut rows(50, 4, 1000), 0, 12);
        let mut limited = rows(50, 4, 12);
        assert_eq!(limited.held.len(), 12);
        assert_eq!(limited.counts().fitting, 50);
        assert_eq!(taken(&mut limited, 0, 12), straight);
    }

    #[test]
    fn rows_left_out_are_counted() {
        let mut choice = Choice::new(0, 10);
        choice.add("a".into(), Fate::Fits(1));
        choice.add("b".into(), Fate::TooLong);
        choice.add("c".into(), Fate::NotWanted);
        choice.add("d".into(), Fate::TooLong);
        assert_eq!(choice.counts.describe(), "1 rows, 2 too long, 1 not wanted");
        choice.add("e".into(), Fate::Unfit("no system message".into()));
        choice.add("f".into(), Fate::Unfit("no end".into()));
        assert_eq!(
            choice.finish().describe(),
            "1 rows, 2 too long, 1 not wanted, 2 unfit (example e: no system message)"
        );
    }
}
