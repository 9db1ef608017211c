//! Times as dumps write them, in microseconds since 1970 UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::sources::config::DateOrder;

/// Microseconds of an epoch whose unit is told by its size: seconds below 10^11 (the year 5138), milliseconds
/// below 10^14, else microseconds.
pub(in crate::sources) fn epoch_micros(epoch: f64) -> Option<i64> {
    let size = epoch.abs();
    let micros = if size < 1e11 {
        epoch * 1e6
    } else if size < 1e14 {
        epoch * 1e3
    } else if size < 1e17 {
        epoch
    } else {
        return None;
    };
    #[expect(clippy::cast_possible_truncation, reason = "at most 10^17, far inside i64")]
    Some(micros.round() as i64)
}

/// A Twitter time in any of its three dialects: `2011-01-02 17:48:21 +0000`, `Sun May 01 02:36:43 +0000 2011`,
/// `2022-11-03T09:20:26.000Z`.
pub(in crate::sources) fn twitter_time(text: &str) -> Option<i64> {
    let text = text.trim();
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S %z")
        .or_else(|_| DateTime::parse_from_str(text, "%a %b %d %H:%M:%S %z %Y"))
        .or_else(|_| DateTime::parse_from_rfc3339(text))
        .ok()
        .map(|time| time.timestamp_micros())
}

/// A time in a table: as Twitter writes it; beginning with the year, in UTC if it has no zone; or in figures such as
/// `24/2/15 11.35`, whose order of day and month must be given.
pub(in crate::sources) fn table_time(text: &str, order: Option<DateOrder>) -> Option<i64> {
    const YEAR_FIRST: [&str; 4] =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S%.f"];
    let text = text.trim();
    if let Some(time) = twitter_time(text) {
        return Some(time);
    }
    let naive = YEAR_FIRST.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let naive = naive.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    Some(naive.or_else(|| in_figures(text, order?))?.and_utc().timestamp_micros())
}

/// `24/2/2015 11:35:07` and the like: any one-character separators, years of two figures in this century.
fn in_figures(text: &str, order: DateOrder) -> Option<NaiveDateTime> {
    let (date, time) = text.split_once(' ').unwrap_or((text, "0:0"));
    let numbers = |text: &str, separators: &[char]| -> Option<Vec<u32>> {
        text.trim().split(separators).map(|part| part.parse().ok()).collect()
    };
    let (date, time) = (numbers(date, &['/', '-', '.'])?, numbers(time, &[':', '.'])?);
    let (&[first, second, year], &[hour, minute, ref rest @ ..]) = (&date[..], &time[..]) else {
        return None;
    };
    let (day, month) = match order {
        DateOrder::DayFirst => (first, second),
        DateOrder::MonthFirst => (second, first),
    };
    let year = i32::try_from(if year < 100 { 2000 + year } else { year }).ok()?;
    let second = rest.first().copied().unwrap_or_default();
    NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(hour, minute, second)
}

/// The date of an Amazon review, `09 4, 2015` or `2015-09-04`, at midnight UTC.
pub(in crate::sources) fn review_date(text: &str) -> Option<i64> {
    let text = text.trim();
    let date =
        NaiveDate::parse_from_str(text, "%m %d, %Y").or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d"));
    Some(date.ok()?.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
}

/// A time of an Atom feed, `2004-05-31T12:00:00.000-07:00`; one without a zone is taken as UTC.
pub(in crate::sources) fn feed_time(text: &str) -> Option<i64> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_micros());
    zoned.ok().or_else(|| {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        Some(time.and_utc().timestamp_micros())
    })
}

/// A date of the Blog Authorship Corpus, `31,May,2004` with the month in the blogger's language, at midnight UTC.
pub(in crate::sources) fn blog_date(text: &str) -> Option<i64> {
    let mut parts = text.split(',').map(str::trim);
    let day = parts.next()?.parse().ok()?;
    let month = month_number(parts.next()?)?;
    let year = parts.next()?.parse().ok()?;
    let date = NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(0, 0, 0)?;
    Some(date.and_utc().timestamp_micros())
}

/// Month names by number, in the languages that occur in the Blog Authorship Corpus and those next to them.
///
/// Some names stand in several languages, but none with two numbers.
const MONTHS: [&[&str]; 12] = [
    &[
        "january",
        "janeiro",
        "janvier",
        "enero",
        "gennaio",
        "januari",
        "januar",
        "jaanuar",
        "tammikuu",
        "styczeń",
        "siječanj",
        "ianuarie",
        "jan",
    ],
    &[
        "february",
        "fevereiro",
        "février",
        "fevrier",
        "febrero",
        "febbraio",
        "februari",
        "februar",
        "veebruar",
        "helmikuu",
        "luty",
        "veljača",
        "februarie",
        "feb",
    ],
    &[
        "march",
        "março",
        "marco",
        "mars",
        "marzo",
        "maart",
        "märz",
        "marts",
        "märts",
        "maaliskuu",
        "marzec",
        "ožujak",
        "martie",
        "marec",
        "mar",
    ],
    &["april", "abril", "avril", "aprile", "aprill", "huhtikuu", "kwiecień", "travanj", "aprilie", "apr"],
    &["may", "maio", "mai", "mayo", "maggio", "mei", "maj", "toukokuu", "svibanj"],
    &[
        "june", "junho", "juin", "junio", "giugno", "juni", "juuni", "kesäkuu", "czerwiec", "lipanj",
        "iunie", "junij", "jun",
    ],
    &[
        "july",
        "julho",
        "juillet",
        "julio",
        "luglio",
        "juli",
        "juuli",
        "heinäkuu",
        "lipiec",
        "srpanj",
        "iulie",
        "julij",
        "jul",
    ],
    &[
        "august",
        "agosto",
        "août",
        "aout",
        "augustus",
        "augusti",
        "elokuu",
        "sierpień",
        "kolovoz",
        "avgust",
        "aug",
    ],
    &[
        "september",
        "setembro",
        "septembre",
        "septiembre",
        "settembre",
        "syyskuu",
        "wrzesień",
        "rujan",
        "septembrie",
        "sep",
        "sept",
    ],
    &[
        "october",
        "outubro",
        "octobre",
        "octubre",
        "ottobre",
        "oktober",
        "oktoober",
        "lokakuu",
        "październik",
        "octombrie",
        "oct",
    ],
    &["november", "novembro", "novembre", "noviembre", "marraskuu", "studeni", "noiembrie", "nov"],
    &[
        "december",
        "dezembro",
        "décembre",
        "decembre",
        "diciembre",
        "dicembre",
        "desember",
        "dezember",
        "detsember",
        "joulukuu",
        "grudzień",
        "prosinac",
        "decembrie",
        "dec",
    ],
];

fn month_number(name: &str) -> Option<u32> {
    let name = name.to_lowercase();
    let index = MONTHS.iter().position(|names| names.contains(&name.as_str()))?;
    u32::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAY_1_2011: i64 = 1_304_208_000_000_000;

    #[test]
    fn epochs_tell_their_unit_by_size() {
        for (epoch, micros) in [
            (1_304_208_000.0, Some(MAY_1_2011)),
            (1_304_208_000_123.0, Some(MAY_1_2011 + 123_000)),
            (1_304_208_000_123_456.0, Some(MAY_1_2011 + 123_456)),
            (0.0, Some(0)),
            (1e18, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(epoch_micros(epoch), micros, "{epoch}");
        }
    }

    #[test]
    fn twitter_dialects_agree() {
        let expected = Some(MAY_1_2011 + 9_403_000_000);
        for text in [
            "2011-05-01 02:36:43 +0000",
            "Sun May 01 02:36:43 +0000 2011",
            "2011-05-01T02:36:43.000Z",
            "2011-05-01 04:36:43 +0200",
        ] {
            assert_eq!(twitter_time(text), expected, "{text}");
        }
        assert_eq!(twitter_time("yesterday"), None);
    }

    #[test]
    fn times_of_tables() {
        use DateOrder::{DayFirst, MonthFirst};
        for (text, order, known) in [
            ("2011-05-01 00:00:00", None, true),
            ("2011-05-01T00:00:00.000", None, true),
            ("2011-05-01", None, true),
            ("Sun May 01 00:00:00 +0000 2011", None, true),
            ("01-05-2011 00.00", Some(DayFirst), true),
            ("5/1/11 0:00", Some(MonthFirst), true),
            ("5/1/11", Some(MonthFirst), true),
            ("5/1/11 0:00", None, false),
            ("13/13/11 0:00", Some(DayFirst), false),
            ("1/5/11 24:00", Some(DayFirst), false),
            ("yesterday", Some(DayFirst), false),
        ] {
            assert_eq!(table_time(text, order), known.then_some(MAY_1_2011), "{text} {order:?}");
        }
    }

    #[test]
    fn dates_of_reviews() {
        for text in ["05 1, 2011", "05 01, 2011", "2011-05-01", " 5 1, 2011"] {
            assert_eq!(review_date(text), Some(MAY_1_2011), "{text}");
        }
        for text in ["", "13 1, 2011", "02 30, 2011", "May 1, 2011"] {
            assert_eq!(review_date(text), None, "{text}");
        }
    }

    #[test]
    fn feed_times_have_zones() {
        let expected = Some(MAY_1_2011 + 9_403_000_000);
        for text in [
            "2011-05-01T02:36:43Z",
            " 2011-04-30T19:36:43.000-07:00\n",
            "2011-05-01T02:36:43.000",
            "2011-05-01t02:36:43z",
        ] {
            assert_eq!(feed_time(text), expected, "{text}");
        }
        for text in ["", "2011-05-01", "2011-13-01T02:36:43Z"] {
            assert_eq!(feed_time(text), None, "{text}");
        }
    }

    #[test]
    fn blog_dates_in_many_languages() {
        for text in ["01,May,2011", "1,maio,2011", " 01 , Mai , 2011 ", "01,toukokuu,2011", "01,MAYO,2011"] {
            assert_eq!(blog_date(text), Some(MAY_1_2011), "{text}");
        }
        for text in [",,", "", "31,April,2004", "1,Smarch,2004", "May 1, 2004"] {
            assert_eq!(blog_date(text), None, "{text}");
        }
    }

    #[test]
    fn no_month_name_has_two_numbers() {
        let all: Vec<&str> = MONTHS.iter().copied().flatten().copied().collect();
        let unique: std::collections::BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), unique.len());
    }
}
