//! Schedules against calendars: daylight saving, missed times, and what cannot be read.

use super::*;

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn pattern(expression: &str, time_zone: &str) -> When {
    When::Pattern(JobPattern {
        expression: expression.into(),
        time_zone: time_zone.into(),
        ..JobPattern::default()
    })
}

/// The next `count` times after `after`, as people of UTC read them.
fn times(when: &When, after: &str, count: usize) -> Vec<String> {
    let mut at = ms(after);
    let mut times = Vec::new();
    for _ in 0..count {
        at = next("job", when, at, &TimeZone::UTC).unwrap().unwrap();
        times.push(Timestamp::from_millisecond(at).unwrap().to_string());
    }
    times
}

#[test]
fn a_time_that_spring_leaves_out_comes_right_after_the_gap() {
    // Berlin goes from 02:00 to 03:00 on 2026-03-29, at 01:00 UTC.
    let when = pattern("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        times(&when, "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
}

#[test]
fn a_time_that_autumn_repeats_comes_once() {
    // Berlin goes from 03:00 back to 02:00 on 2026-10-25, at 01:00 UTC.
    let when = pattern("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        times(&when, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
}

#[test]
fn every_half_hour_is_every_half_hour_whatever_the_clocks_do() {
    let when = pattern("*/30 * * * *", "Europe/Berlin");
    for after in ["2026-03-29T00:15:00Z", "2026-10-25T00:15:00Z"] {
        let mut at = ms(after);
        for n in 0..6 {
            let then = next("job", &when, at, &TimeZone::UTC).unwrap().unwrap();
            let wait = if n == 0 { 15 } else { 30 };
            assert_eq!(then - at, wait * 60_000, "{n} after {after}");
            at = then;
        }
    }
}

#[test]
fn nine_o_clock_stays_nine_o_clock_where_people_live() {
    let when = pattern("0 9 * * 1-5", "America/New_York");
    assert_eq!(
        times(&when, "2026-03-06T00:00:00Z", 3),
        [
            "2026-03-06T14:00:00Z",
            "2026-03-09T13:00:00Z",
            "2026-03-10T13:00:00Z"
        ]
    );
    let here = pattern("0 9 * * *", "");
    let zone = zone("Asia/Tokyo").unwrap();
    assert_eq!(
        next("job", &here, ms("2026-01-01T00:00:00Z"), &zone),
        Ok(Some(ms("2026-01-02T00:00:00Z")))
    );
}

#[test]
fn an_interval_counts_from_its_anchor() {
    let when = When::Every(JobEvery {
        every_ms: 60_000,
        anchor_ms: 10_000,
    });
    let next = |after_ms| next("job", &when, after_ms, &TimeZone::UTC).unwrap();
    assert_eq!(next(0), Some(10_000));
    assert_eq!(next(10_000), Some(70_000));
    assert_eq!(next(69_999), Some(70_000));
    assert_eq!(next(1_000_000), Some(1_030_000));
}

#[test]
fn a_staggered_job_is_late_by_the_same_time_everywhere() {
    let when = When::Pattern(JobPattern {
        expression: "0 * * * *".into(),
        stagger_ms: 300_000,
        ..JobPattern::default()
    });
    let first = next("a", &when, ms("2026-01-01T00:10:00Z"), &TimeZone::UTC)
        .unwrap()
        .unwrap();
    let late = first - ms("2026-01-01T01:00:00Z");
    assert!((0..300_000).contains(&late));
    let second = next("a", &when, first, &TimeZone::UTC).unwrap().unwrap();
    assert_eq!(second - first, 3_600_000);
}

#[test]
fn a_wrong_schedule_says_how_it_would_be_right() {
    let why = |expression: &str, zone: &str| {
        next("job", &pattern(expression, zone), 0, &TimeZone::UTC).unwrap_err()
    };
    assert!(why("0 9 * *", "").contains("has 4 fields; write five fields"));
    assert!(why("0 25 * * *", "").contains("\"0 25 * * *\" cannot be read"));
    assert!(why("0 9 * * funday", "").contains("weekday"));
    assert!(why("0 9 * * *", "Mars/Olympus").contains("unknown time zone \"Mars/Olympus\""));
    let never = pattern("0 0 30 2 *", "UTC");
    assert_eq!(next("job", &never, 0, &TimeZone::UTC), Ok(None));
}

fn job(when: When, next_at: &str) -> Job {
    Job {
        id: "job".into(),
        enabled: true,
        when: Some(when),
        next_at_ms: ms(next_at),
        ..Job::default()
    }
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn what_was_missed_within_the_grace_runs_once() {
    let minutely = job(pattern("* * * * *", "UTC"), "2026-01-01T00:00:00Z");
    let now = ms("2026-01-01T00:30:20Z");
    let last = ms("2026-01-01T00:30:00Z");
    assert_eq!(
        look(&minutely, now, HOUR_MS, &TimeZone::UTC),
        Due::Now(last)
    );
    let daily = job(pattern("0 9 * * *", "UTC"), "2026-01-01T09:00:00Z");
    let due = ms("2026-01-01T09:00:00Z");
    assert_eq!(
        look(&daily, due + HOUR_MS, HOUR_MS, &TimeZone::UTC),
        Due::Now(due)
    );
}

#[test]
fn what_was_missed_longer_ago_does_not_run() {
    let daily = job(pattern("0 9 * * *", "UTC"), "2026-01-01T09:00:00Z");
    let due = ms("2026-01-01T09:00:00Z");
    for late in [HOUR_MS + 1, 12 * HOUR_MS] {
        assert_eq!(
            look(&daily, due + late, HOUR_MS, &TimeZone::UTC),
            Due::Missed(due)
        );
    }
    // Of three days the last one is recent enough.
    let now = ms("2026-01-03T09:00:01Z");
    let last = ms("2026-01-03T09:00:00Z");
    assert_eq!(look(&daily, now, HOUR_MS, &TimeZone::UTC), Due::Now(last));
}

#[test]
fn a_job_for_once_runs_late_rather_than_never() {
    let at_ms = ms("2026-01-01T09:00:00Z");
    let once = job(When::At(JobAt { at_ms }), "2026-01-01T09:00:00Z");
    let look = |now_ms| look(&once, now_ms, HOUR_MS, &TimeZone::UTC);
    assert_eq!(look(at_ms - 1), Due::Later(Some(at_ms)));
    assert_eq!(look(at_ms + 20 * HOUR_MS), Due::Now(at_ms));
    assert_eq!(look(at_ms + ONCE_GRACE_MS + 1), Due::Missed(at_ms));
}

#[test]
fn what_is_switched_off_is_never_due() {
    let mut off = job(pattern("* * * * *", "UTC"), "2026-01-01T00:00:00Z");
    off.enabled = false;
    let now = ms("2026-01-01T00:30:00Z");
    assert_eq!(look(&off, now, HOUR_MS, &TimeZone::UTC), Due::Later(None));
}
