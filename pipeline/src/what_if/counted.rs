//! Counts of a sample, and what they say of all records.

use std::collections::{BTreeMap, BTreeSet};

use genome_schemas::Outcome;

use super::estimate::{Change, Estimate, Interval, SampleFacts};
use super::sample::Sample;
use super::setting::{Changed, event_stages};

/// Half the width of an interval in standard deviations: 95 % of a normal distribution.
const WIDTH: f64 = 1.96;

/// Largest number of cases that are to be expected where none was seen, in 95 of 100 samples (the rule of three).
const UNSEEN: f64 = 3.0;

/// A way to end: stage, rule, outcome.
pub(super) type Way = (String, String, String);

/// Rows of an author by where they went, with the config as it is and as it would be.
type Ways = [BTreeMap<Way, u64>; 2];

/// Author and source.
pub(super) type Cluster = (String, String);

/// The counts of a sample under both configs.
pub(super) struct Counted {
    share: f64,
    records: BTreeMap<String, u64>,
    clusters: BTreeMap<Cluster, Ways>,
}

impl Counted {
    pub(super) fn new(
        sample: &Sample,
        now: BTreeMap<Cluster, BTreeMap<Way, u64>>,
        then: BTreeMap<Cluster, BTreeMap<Way, u64>>,
    ) -> Self {
        let mut clusters: BTreeMap<Cluster, Ways> = BTreeMap::new();
        for (which, counts) in [now, then].into_iter().enumerate() {
            for (cluster, ways) in counts {
                clusters.entry(cluster).or_default()[which] = ways;
            }
        }
        Self { share: sample.share, records: sample.records.clone(), clusters }
    }

    /// Whether the sample has no record.
    pub(super) fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// Leaves records of other sources out.
    pub(super) fn only(&mut self, source: &str) {
        self.records.retain(|name, _| name == source);
        self.clusters.retain(|(_, name), _| name == source);
    }

    /// Scales the counts to all records.
    pub(super) fn estimate(&self, changed: &Changed) -> Estimate {
        let ways: BTreeSet<&Way> = self.clusters.values().flatten().flat_map(BTreeMap::keys).collect();
        let change = |way: &Way| {
            let of = |which: usize, ways: &Ways| ways[which].get(way).copied().unwrap_or(0);
            let sum = |which: usize| self.clusters.values().map(|ways| of(which, ways)).sum();
            let number = |which: usize, ways: &Ways| of(which, ways) as f64;
            Change {
                stage: way.0.clone(),
                rule: way.1.clone(),
                outcome: way.2.clone(),
                in_sample: (sum(0), sum(1)),
                now: self.interval(&|ways| number(0, ways)).not_negative(),
                then: self.interval(&|ways| number(1, ways)).not_negative(),
                difference: self.interval(&|ways| number(1, ways) - number(0, ways)),
            }
        };
        let kept = change(&(String::new(), String::new(), Outcome::Kept.as_str().to_owned()));
        let mut dropped: Vec<Change> =
            ways.into_iter().filter(|way| way.2 != Outcome::Kept.as_str()).map(change).collect();
        let order: Vec<&str> = event_stages(&changed.then)
            .into_iter()
            .map(|index| changed.then.config.stages[index].stage().card().name)
            .collect();
        let place =
            |change: &Change| order.iter().position(|name| *name == change.stage).map_or(0, |at| at + 1);
        dropped.sort_by_key(|change| {
            (place(change), std::cmp::Reverse(change.in_sample.0.max(change.in_sample.1)))
        });
        let authors: BTreeSet<&String> = self.clusters.keys().map(|(author, _)| author).collect();
        Estimate {
            settings: changed.settings.clone(),
            sample: SampleFacts {
                records: self.clusters.values().map(|[now, _]| now.values().sum::<u64>()).sum(),
                of_records: self.records.values().sum(),
                authors: authors.len() as u64,
                share: self.share,
            },
            kept,
            dropped,
            notes: self.notes(changed),
        }
    }

    /// The sum of a quantity over all records, from its sums over the sampled authors: of each source the sample's sum
    /// times records in all by records of the sample (ratio estimator), with the variance of drawing each author with
    /// the same probability (Poisson sampling; Särndal, Swensson and Wretman, *Model Assisted Survey Sampling*, 7.3).
    fn interval(&self, of: &dyn Fn(&Ways) -> f64) -> Interval {
        let mut totals: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for ((_, source), ways) in &self.clusters {
            let (quantity, records) = totals.entry(source).or_default();
            *quantity += of(ways);
            *records += ways[0].values().sum::<u64>() as f64;
        }
        let scale = |source: &str| {
            let (_, sampled) = totals.get(source).copied().unwrap_or_default();
            let all = self.records.get(source).copied().unwrap_or(0) as f64;
            if sampled > 0.0 { all / sampled } else { 0.0 }
        };
        let estimate: f64 = totals.iter().map(|(source, (quantity, _))| scale(source) * quantity).sum();
        // What each author adds beyond their share, over all sources that they are in.
        let mut residuals: BTreeMap<&str, f64> = BTreeMap::new();
        let mut seen = false;
        for ((author, source), ways) in &self.clusters {
            let (quantity, records) = totals.get(source.as_str()).copied().unwrap_or((0.0, 1.0));
            let value = of(ways);
            seen |= value != 0.0;
            let expected = quantity / records * ways[0].values().sum::<u64>() as f64;
            *residuals.entry(author).or_default() += scale(source) * (value - expected);
        }
        let variance = (1.0 - self.share) * residuals.values().map(|r| r * r).sum::<f64>();
        let width = if seen || self.share >= 1.0 { WIDTH * variance.sqrt() } else { 0.0 };
        Interval {
            estimate: whole(estimate),
            low: whole((estimate - width).floor()),
            high: whole((estimate + width).ceil()),
        }
    }

    fn notes(&self, changed: &Changed) -> Vec<String> {
        let mut notes =
            vec!["every dump was read once; nothing was written, and no artifact was needed".to_owned()];
        let stages = &changed.then.config.stages;
        if let Some(model) = stages.iter().find(|config| config.stage().model_stage().is_some()) {
            notes.push(format!("stages from `{}` on are not part of it", model.stage().card().name));
        }
        if self.share >= 1.0 {
            notes.push("the sample is all records: these are no estimates".to_owned());
            return notes;
        }
        if event_stages(&changed.then).into_iter().any(|index| stages[index].stage().card().name == "dedup") {
            notes.push(
                "a text whose earlier copy is by an author outside the sample is not seen as a copy: what `dedup` drops \
                 across authors is more than this, and what comes after it less"
                    .to_owned(),
            );
        }
        notes.push(format!(
            "intervals are rough where few authors have most of the records; what no author of the sample has, up to {} \
             authors can have",
            whole((UNSEEN / self.share).ceil())
        ));
        let unseen: Vec<&str> = self
            .records
            .keys()
            .filter(|source| !self.clusters.keys().any(|(_, name)| name == *source))
            .map(String::as_str)
            .collect();
        if !unseen.is_empty() {
            notes.push(format!("no author of {} is in the sample", unseen.join(", ")));
        }
        notes
    }
}

impl Interval {
    fn not_negative(self) -> Self {
        Self { low: self.low.max(0), ..self }
    }
}

/// The nearest whole number; counts of records are far below where that is not exact.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and counts are far below the limit")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Authors of different zeal whose records end as their author does, sampled over and over: the interval holds the truth
    /// about as often as it says.
    #[test]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the draws are small and positive"
    )]
    fn intervals_hold_the_truth() {
        let kept = || (String::new(), String::new(), "kept".to_owned());
        let short = || ("content_filter".to_owned(), "min_chars".to_owned(), "too_short".to_owned());
        // SplitMix64
        let mut random = 1_u64;
        let mut draw = move || {
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        let authors: Vec<(u64, u64)> = (0..2000)
            .map(|_| {
                let records = 1 + (draw() * draw() * 40.0) as u64;
                (records, (draw() * draw() * records as f64) as u64)
            })
            .collect();
        let all: u64 = authors.iter().map(|(records, _)| records).sum();
        let truth = i64::try_from(authors.iter().map(|(_, short)| short).sum::<u64>()).unwrap();
        let (share, rounds) = (0.15, 400);
        let mut holds = 0;
        for _ in 0..rounds {
            let mut clusters = BTreeMap::new();
            for (number, (records, n_short)) in authors.iter().enumerate().filter(|_| draw() < share) {
                let now = BTreeMap::from([(kept(), *records)]);
                let then = BTreeMap::from([(kept(), records - n_short), (short(), *n_short)]);
                clusters.insert((number.to_string(), "s".to_owned()), [now, then]);
            }
            let counted = Counted { share, records: BTreeMap::from([("s".to_owned(), all)]), clusters };
            let interval = counted.interval(&|ways| ways[1].get(&short()).copied().unwrap_or(0) as f64);
            assert!(interval.low <= interval.estimate && interval.estimate <= interval.high);
            holds += i32::from(interval.low <= truth && truth <= interval.high);
        }
        assert!((rounds * 92 / 100..=rounds * 98 / 100).contains(&holds), "{holds} of {rounds} hold {truth}");
    }

    #[test]
    fn all_records_are_no_estimate() {
        let way = |name: &str| (String::new(), String::new(), name.to_owned());
        let cluster = |author: &str, source: &str, kept: u64| {
            let ways = BTreeMap::from([(way("kept"), kept), (way("too_short"), 3)]);
            ((author.to_owned(), source.to_owned()), [ways.clone(), ways])
        };
        let clusters = BTreeMap::from([cluster("a", "s", 4), cluster("b", "s", 1), cluster("a", "t", 2)]);
        let records = BTreeMap::from([("s".to_owned(), 11), ("t".to_owned(), 5)]);
        let mut counted = Counted { share: 1.0, records, clusters };
        let kept = |counted: &Counted| {
            counted.interval(&|ways| ways[0].get(&way("kept")).copied().unwrap_or(0) as f64)
        };
        assert_eq!(kept(&counted), Interval { estimate: 7, low: 7, high: 7 });
        counted.only("t");
        assert_eq!(kept(&counted), Interval { estimate: 2, low: 2, high: 2 });
    }
}
