//! When an account posts, by the minutes of the calendar.

use std::collections::BTreeMap;

use super::bytes::{Reader, Writer};
use super::{HistoryMeasures, PAUSE_MINUTES};

/// Most minutes with posts that a history remembers, at least two whole days. Of accounts with more it remembers
/// whole days, drawn by a hash of the day.
pub const MAX_MINUTES: usize = 4096;

const DAY_MINUTES: i32 = 1440;
const DAY_MICROS: i64 = 86_400_000_000;

/// Posts by minute. Days stand in the order of their hashes, and those at the end leave first: whatever the order of
/// the posts, the days that fit remain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clock {
    /// Number of posts by hash of the day and minute since 1970.
    minutes: BTreeMap<(u32, i32), u32>,
    /// Days whose hash is not below it have left.
    ceiling: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { minutes: BTreeMap::new(), ceiling: 1 << 32 }
    }
}

impl Clock {
    /// Adds a time in microseconds UTC.
    pub(super) fn add(&mut self, at: i64) {
        // Platforms that give a date give midnight: it says nothing of the hour.
        if at.rem_euclid(DAY_MICROS) == 0 {
            return;
        }
        if let Ok(minute) = i32::try_from(at.div_euclid(60_000_000)) {
            self.add_posts((hash_day(minute.div_euclid(DAY_MINUTES)), minute), 1);
            self.shrink();
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.ceiling < self.ceiling {
            self.cut(other.ceiling);
        }
        for (minute, posts) in &other.minutes {
            self.add_posts(*minute, *posts);
        }
        self.shrink();
    }

    fn add_posts(&mut self, minute: (u32, i32), posts: u32) {
        if u64::from(minute.0) < self.ceiling {
            let all = self.minutes.entry(minute).or_insert(0);
            *all = all.saturating_add(posts);
        }
    }

    /// Lets the last days go until the rest fits.
    fn shrink(&mut self) {
        while self.minutes.len() > MAX_MINUTES
            && let Some(((last, _), _)) = self.minutes.last_key_value()
        {
            self.cut(u64::from(*last));
        }
    }

    fn cut(&mut self, ceiling: u64) {
        self.ceiling = ceiling;
        if let Ok(hash) = u32::try_from(ceiling) {
            self.minutes.split_off(&(hash, i32::MIN));
        }
    }

    pub(super) fn measure(&self, measures: &mut HistoryMeasures) {
        let (mut posts, mut hours, mut days, mut tireless, mut busiest) = (0_u64, 0_u32, 0_u32, 0_u32, 0);
        // Gaps within one minute are zero, and before the first post of a day there is a whole one.
        let mut short_gaps = 0_u64;
        let mut gaps: Vec<u32> = Vec::new();
        // First and last minute of the day, its longest pause, and the hour.
        let mut today: Option<Today> = None;
        for (&(_, minute), &count) in &self.minutes {
            posts += u64::from(count);
            busiest = busiest.max(count);
            short_gaps += u64::from(count.saturating_sub(1));
            let same_day = today.take().filter(|day| day.day == minute.div_euclid(DAY_MINUTES));
            if let Some(mut day) = same_day {
                let gap = minute.abs_diff(day.last);
                gaps.push(gap);
                day.longest = day.longest.max(gap);
                hours += u32::from(minute.div_euclid(60) != day.last.div_euclid(60));
                // The pause so far is replaced by the one with the new last minute.
                tireless -= u32::from(day.is_tireless());
                day.last = minute;
                tireless += u32::from(day.is_tireless());
                today = Some(day);
            } else {
                days += 1;
                hours += 1;
                gaps.push(DAY_MINUTES.unsigned_abs());
                today = Some(Today {
                    day: minute.div_euclid(DAY_MINUTES),
                    first: minute,
                    last: minute,
                    longest: 0,
                });
            }
        }
        if days == 0 {
            return;
        }
        measures.timed_events = posts as f64;
        measures.active_hours = f64::from(hours);
        measures.per_active_hour = Some(posts as f64 / f64::from(hours));
        measures.per_active_day = Some(posts as f64 / f64::from(days));
        measures.busiest_minute = Some(f64::from(busiest));
        measures.median_gap_minutes = median(short_gaps, gaps);
        measures.tireless_days = Some(f64::from(tireless) / f64::from(days));
    }

    /// Bytes on the heap, about.
    pub(super) fn size(&self) -> usize {
        // Nodes of a tree are two thirds full.
        self.minutes.len() * size_of::<((u32, i32), u32)>() * 3 / 2
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u64(self.ceiling);
        writer.u64(self.minutes.len() as u64);
        for ((day, minute), posts) in &self.minutes {
            writer.u32(*day);
            writer.i32(*minute);
            writer.u32(*posts);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut clock = Self { minutes: BTreeMap::new(), ceiling: reader.u64()? };
        for _ in 0..reader.u64()? {
            let minute = (reader.u32()?, reader.i32()?);
            clock.minutes.insert(minute, reader.u32()?);
        }
        Some(clock)
    }
}

/// A day as far as it has been looked at.
#[derive(Debug)]
struct Today {
    day: i32,
    first: i32,
    last: i32,
    longest: u32,
}

impl Today {
    /// Whether the day has no long pause, the one around midnight taken together.
    fn is_tireless(&self) -> bool {
        let around = DAY_MINUTES.abs_diff(self.last - self.first);
        self.longest.max(around) < PAUSE_MINUTES
    }
}

/// The median of some zeros and other numbers.
fn median(zeros: u64, mut others: Vec<u32>) -> Option<f64> {
    others.sort_unstable();
    let all = zeros + others.len() as u64;
    let nth = |n: u64| {
        let at = n.checked_sub(zeros).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| others.get(at)).copied().unwrap_or(0)
    };
    (all > 0).then(|| f64::midpoint(f64::from(nth((all - 1) / 2)), f64::from(nth(all / 2))))
}

/// A hash of a day, one to one.
fn hash_day(day: i32) -> u32 {
    let mut x = day.cast_unsigned();
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}
