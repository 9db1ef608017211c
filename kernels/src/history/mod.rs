//! What the whole history of an account says of it: when it posts, and how much of what it posts repeats.
//!
//! A [`History`] is a sketch that is fed with (time, text) in any order and in any number of pieces, which are merged:
//! the same posts give the same sketch. It measures, and judges nothing; limits are the caller's.
//!
//! It is exact for accounts of up to [`MAX_POSTS`] posts in up to [`MAX_MINUTES`] minutes. Of larger ones it looks at
//! whole days and at posts that are drawn by their hash, so that it never holds more than about 120 KiB.

mod bytes;
mod clock;
mod post;
mod sample;

use self::bytes::{Reader, Writer};
use self::clock::Clock;
use self::post::Post;
use self::sample::Sample;
use crate::KernelError;
use crate::mix::mix;

pub use self::clock::MAX_MINUTES;
pub use self::sample::MAX_POSTS;

/// A sketch of everything an account has posted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    events: u64,
    clock: Clock,
    sample: Sample,
}

/// What a [`History`] measures; none where there is nothing to measure it on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HistoryMeasures {
    /// Posts.
    pub events: f64,
    /// Posts without those that begin as another one of the same minute, or of the same date where no hour is known:
    /// sent twice on a bad line, or shown twice by the platform. The shares below are over these; of large accounts
    /// it is an estimate.
    pub separate_events: f64,
    /// Posts whose time of day is known, of the days that were looked at. A time at midnight sharp is only a date.
    pub timed_events: f64,
    /// Hours of the calendar with such posts.
    pub active_hours: f64,
    /// Posts an hour, over the hours of the calendar with at least one.
    pub per_active_hour: Option<f64>,
    /// Posts a day, over the days (UTC) with at least one.
    pub per_active_day: Option<f64>,
    /// Most posts in one minute of the calendar.
    pub busiest_minute: Option<f64>,
    /// Median of the minutes since the post before, of the same day; those of the first post of a day are a day's.
    pub median_gap_minutes: Option<f64>,
    /// Share of the days with posts in which the longest pause, around midnight if it must be, is shorter than
    /// [`PAUSE_MINUTES`]: nobody slept.
    pub tireless_days: Option<f64>,
    /// Share of posts that are made like another one but filled in differently: once numbers, links, names and
    /// quotations are masked they are the same, or they begin and end with the same words over at least a third of
    /// their length.
    pub template_share: f64,
    /// Share of posts that say the same as another one, or nearly: they have the same words, or share about three
    /// quarters of their runs of three words.
    pub copy_share: f64,
    /// Share of posts that link to a site. Links to places where everybody is, and shortened ones, do not count.
    pub link_share: f64,
    /// Entropy of the sites that are linked to, in bits: 0 for one site, 1 for two in equal parts.
    pub link_entropy: Option<f64>,
}

/// A pause that nobody who sleeps goes without, in minutes.
pub const PAUSE_MINUTES: u32 = 300;

impl History {
    /// Adds a post: its time in microseconds UTC, where it is known, and what it says.
    pub fn add(&mut self, at: Option<i64>, text: &str) {
        self.events += 1;
        if let Some(at) = at {
            self.clock.add(at);
        }
        self.sample.add(Post::new(at, text));
    }

    /// Adds all posts of another sketch.
    pub fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.clock.merge(&other.clock);
        self.sample.merge(&other.sample);
    }

    /// What the posts come to.
    pub fn measures(&self) -> HistoryMeasures {
        let mut measures = HistoryMeasures { events: self.events as f64, ..HistoryMeasures::default() };
        self.clock.measure(&mut measures);
        self.sample.measure(&mut measures);
        measures
    }

    /// Bytes that the sketch holds in memory, about.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.clock.size() + self.sample.size()
    }

    /// The sketch as bytes, the same ones for the same posts.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u64(self.events);
        self.clock.write(&mut writer);
        self.sample.write(&mut writer);
        writer.finish()
    }

    /// The sketch that [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are no sketch.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KernelError> {
        let mut reader = Reader::new(bytes);
        let history = (|| {
            let events = reader.u64()?;
            let clock = Clock::read(&mut reader)?;
            let sample = Sample::read(&mut reader)?;
            reader.is_at_end().then_some(Self { events, clock, sample })
        })();
        history.ok_or_else(|| KernelError::Internal("these bytes are no history".to_owned()))
    }
}

/// A hash of two numbers, in this order.
fn pair(a: u64, b: u64) -> u64 {
    mix(a.rotate_left(23).wrapping_add(0x9e37_79b9_7f4a_7c15) ^ mix(b.wrapping_add(0x632b_e59b_d9b4_e019)))
}

/// A hash of a text (FNV-1a, spread).
fn hash_text(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

#[cfg(test)]
mod tests;
