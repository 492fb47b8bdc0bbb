//! Days as clients name them, and when they begin.

use schemars::JsonSchema;
use serde::Deserialize;
use time::{Date, Month};

/// Julian day of 1970-01-01.
const EPOCH: i32 = 2_440_588;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Days told where a client does not say which.
const USUAL_DAYS: i32 = 30;

/// A span that ends today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum Range {
    #[serde(rename = "7d")]
    Week,
    #[serde(rename = "30d")]
    Month,
    #[serde(rename = "90d")]
    Quarter,
    #[serde(rename = "1y")]
    Year,
    #[serde(rename = "all")]
    All,
}

/// First and last day of what is asked for, as days since 1970-01-01; `today` where nothing is said.
///
/// # Errors
/// In the words of a schema.
pub(super) fn span(
    start: Option<&str>,
    end: Option<&str>,
    range: Option<Range>,
    today: i32,
) -> Result<(i32, i32), String> {
    let last = end.map_or(Ok(today), |text| read("endDate", text))?;
    let first = match (start, range) {
        (Some(text), _) => read("startDate", text)?,
        (None, Some(Range::Week)) => last - 6,
        (None, Some(Range::Quarter)) => last - 89,
        (None, Some(Range::Year)) => last - 364,
        (None, Some(Range::All)) => 0,
        (None, Some(Range::Month) | None) => last - USUAL_DAYS + 1,
    };
    match first <= last {
        true => Ok((first, last)),
        false => Err("at /startDate: must not be after endDate".into()),
    }
}

/// The day of a time, where the clock is `offset_min` ahead of UTC.
pub(super) fn day(at_ms: i64, offset_min: i32) -> i32 {
    let local_ms = at_ms + i64::from(offset_min) * 60_000;
    i32::try_from(local_ms.div_euclid(DAY_MS)).unwrap_or_default()
}

/// When a day begins there, Unix epoch.
pub(super) fn begin_ms(day: i32, offset_min: i32) -> i64 {
    i64::from(day) * DAY_MS - i64::from(offset_min) * 60_000
}

/// "2026-11-20" of days since 1970-01-01.
pub(super) fn date(day: i32) -> String {
    let date = Date::from_julian_day(EPOCH.saturating_add(day)).unwrap_or(Date::MIN);
    let month = u8::from(date.month());
    format!("{:04}-{month:02}-{:02}", date.year(), date.day())
}

/// Minutes of "UTC+5:30"; none of them where nothing is said.
///
/// # Errors
/// In the words of a schema.
pub(super) fn offset_min(text: Option<&str>) -> Result<i32, String> {
    let Some(text) = text else { return Ok(0) };
    let read = || {
        let rest = text.strip_prefix("UTC")?;
        let sign = match rest.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, minutes) = rest[1..].split_once(':').unwrap_or((&rest[1..], "0"));
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let sound = (0..=14).contains(&hours) && (0..60).contains(&minutes);
        sound.then_some(sign * (hours * 60 + minutes))
    };
    let pattern = r"^UTC[+-]\d{1,2}(?::[0-5]\d)?$";
    read().ok_or_else(|| format!("at /utcOffset: must match pattern \"{pattern}\""))
}

fn read(name: &str, text: &str) -> Result<i32, String> {
    let parse = || {
        let mut parts = text.splitn(3, '-');
        let year: i32 = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
        let month: u8 = parts
            .next()
            .filter(|month| month.len() == 2)?
            .parse()
            .ok()?;
        let day: u8 = parts.next().filter(|day| day.len() == 2)?.parse().ok()?;
        let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
        Some(date.to_julian_day() - EPOCH)
    };
    parse().ok_or_else(|| format!("at /{name}: must be a day as 2026-01-31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_written_and_begin_where_the_clock_says() {
        assert_eq!(read("startDate", "1970-01-02"), Ok(1));
        assert_eq!(date(read("startDate", "2024-02-29").unwrap()), "2024-02-29");
        assert!(read("startDate", "2023-02-29").is_err() && read("startDate", "1-1-1").is_err());
        let ahead = offset_min(Some("UTC+5:30")).unwrap();
        assert_eq!((ahead, offset_min(Some("UTC-3"))), (330, Ok(-180)));
        assert!(offset_min(Some("GMT+1")).is_err() && offset_min(Some("UTC+99")).is_err());
        assert_eq!(day(begin_ms(7, ahead), ahead), 7);
        assert_eq!(day(begin_ms(7, ahead) - 1, ahead), 6);
    }

    #[test]
    fn a_span_is_what_was_asked_for_or_thirty_days() {
        assert_eq!(span(None, None, None, 100), Ok((71, 100)));
        assert_eq!(span(None, None, Some(Range::Week), 100), Ok((94, 100)));
        let some = span(Some("1970-01-02"), Some("1970-01-03"), None, 100);
        assert_eq!(some, Ok((1, 2)));
        assert!(span(Some("1970-01-09"), Some("1970-01-03"), None, 100).is_err());
    }
}
