//! Times of day without a clock: parsed from the TOML files, printed as each platform prints them.

use anyhow::{Context as _, ensure};
use serde::Deserialize;

const DAY: i64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A second, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Instant {
    /// Seconds since 1970.
    pub(crate) unix: i64,
}

/// Year, month from 1 and day from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: usize,
    pub(crate) day: i64,
}

impl Instant {
    /// The calendar day.
    pub(crate) fn date(self) -> Date {
        let days = self.unix.div_euclid(DAY);
        let mut year = 1970 + days / 366;
        while days_before(year + 1) <= days {
            year += 1;
        }
        let mut rest = days - days_before(year);
        let mut month = 1;
        while rest >= days_in(year, month) {
            rest -= days_in(year, month);
            month += 1;
        }
        Date { year, month, day: rest + 1 }
    }

    /// `2018-02-28 20:59:00`.
    pub(crate) fn plain(self) -> String {
        let Date { year, month, day } = self.date();
        format!("{year:04}-{month:02}-{day:02} {}", self.clock())
    }

    /// `2018-02-28T20:59:00.000Z`.
    pub(crate) fn iso_millis(self) -> String {
        format!("{}.000Z", self.plain().replace(' ', "T"))
    }

    /// `Wed Feb 28 20:59:00 +0000 2018`.
    pub(crate) fn twitter(self) -> String {
        let Date { year, month, day } = self.date();
        let weekday = usize::try_from(self.unix.div_euclid(DAY).rem_euclid(7)).unwrap_or_default();
        format!("{} {} {day:02} {} +0000 {year}", WEEKDAYS[weekday], MONTHS[month - 1], self.clock())
    }

    fn clock(self) -> String {
        let second = self.unix.rem_euclid(DAY);
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}

impl TryFrom<String> for Instant {
    type Error = anyhow::Error;

    /// Reads `2018-02-28 20:59:00` or `2018-02-28`.
    fn try_from(text: String) -> anyhow::Result<Self> {
        let wrong = || format!("`{text}` is no time like 2018-02-28 20:59:00");
        let numbers: Vec<i64> =
            text.split(['-', ' ', ':']).map(str::parse).collect::<Result<_, _>>().with_context(wrong)?;
        let (&[year, month, day], clock) = numbers.split_first_chunk::<3>().with_context(wrong)?;
        let (hour, minute, second) = match *clock {
            [] => (0, 0, 0),
            [hour, minute, second] => (hour, minute, second),
            _ => anyhow::bail!(wrong()),
        };
        let month = usize::try_from(month)?;
        ensure!((1970..2100).contains(&year) && (1..=12).contains(&month), wrong());
        ensure!((1..=days_in(year, month)).contains(&day), wrong());
        ensure!((0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second), wrong());
        let days = days_before(year) + (1..month).map(|m| days_in(year, m)).sum::<i64>() + day - 1;
        Ok(Self { unix: days * DAY + hour * 3600 + minute * 60 + second })
    }
}

/// Days from 1970 to the first of January.
fn days_before(year: i64) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

fn days_in(year: i64, month: usize) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
