//! When a job is due: pure, from its schedule, a time and a zone.

use std::str::FromStr as _;

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};
use proto::v1::{Job, JobAt, JobEvery, JobPattern, job::When};

/// Shortest time between two runs of a job.
pub(crate) const SHORTEST_MS: i64 = 1000;
/// A job that runs once and could not is still run this late: it has no other time.
const ONCE_GRACE_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What is to be done with a job now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing; look again then. `None`: never, as it stands.
    Later(Option<i64>),
    /// It runs, once, for this time.
    Now(i64),
    /// This time passed too long ago.
    Missed(i64),
}

/// When `when` is due after `after_ms`; `None` when never again.
///
/// # Errors
/// A sentence about what is wrong with the schedule.
pub(crate) fn next(
    id: &str,
    when: &When,
    after_ms: i64,
    zone: &TimeZone,
) -> Result<Option<i64>, String> {
    match when {
        When::At(JobAt { at_ms }) => Ok((*at_ms > after_ms).then_some(*at_ms)),
        When::Every(JobEvery {
            every_ms,
            anchor_ms,
        }) => {
            let every_ms = (*every_ms).max(SHORTEST_MS);
            let passed = after_ms.saturating_sub(*anchor_ms);
            let steps = if passed < 0 { 0 } else { passed / every_ms + 1 };
            Ok(anchor_ms.checked_add(steps.saturating_mul(every_ms)))
        }
        When::Pattern(pattern) => {
            let late_ms = late_ms(id, pattern);
            let next = matching(pattern, after_ms.saturating_sub(late_ms), zone)?;
            Ok(next.map(|next| next + late_ms))
        }
    }
}

/// What is to be done with `job` at `now_ms`. Times that passed while nobody could run it become one run if the last
/// of them is not older than `grace_ms`, and none otherwise: never a burst.
pub(crate) fn look(job: &Job, now_ms: i64, grace_ms: i64, zone: &TimeZone) -> Due {
    let (Some(when), true) = (&job.when, job.enabled && job.next_at_ms > 0) else {
        return Due::Later(None);
    };
    if job.next_at_ms > now_ms {
        return Due::Later(Some(job.next_at_ms));
    }
    let once = matches!(when, When::At(_));
    let grace_ms = if once { ONCE_GRACE_MS } else { grace_ms };
    let oldest_ms = now_ms - grace_ms;
    let mut last = (job.next_at_ms >= oldest_ms).then_some(job.next_at_ms);
    let mut after_ms = job.next_at_ms.max(oldest_ms - 1);
    while let Ok(Some(at_ms)) = next(&job.id, when, after_ms, zone)
        && at_ms <= now_ms
    {
        (last, after_ms) = (Some(at_ms), at_ms);
    }
    last.map_or(Due::Missed(job.next_at_ms), Due::Now)
}

/// The zone called `name`; the machine's own for an empty one.
///
/// # Errors
/// A sentence for who chose the name.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" => Ok(TimeZone::try_system().unwrap_or(TimeZone::UTC)),
        name => TimeZone::get(name).map_err(|_| {
            format!(
                "unknown time zone \"{name}\"; use a name of the IANA list such as Europe/Berlin or UTC"
            )
        }),
    }
}

/// The next time that fits the pattern, seconds sharp.
fn matching(
    pattern: &JobPattern,
    after_ms: i64,
    zone_of_gateway: &TimeZone,
) -> Result<Option<i64>, String> {
    let cron = parse(&pattern.expression)?;
    let zone = match pattern.time_zone.as_str() {
        "" => zone_of_gateway.clone(),
        name => zone(name)?,
    };
    let Ok(after) = Timestamp::from_millisecond(after_ms) else {
        return Ok(None);
    };
    let next = cron.find_next_occurrence(&after.to_zoned(zone), false);
    Ok(next.ok().map(|next| next.timestamp().as_millisecond()))
}

fn parse(expression: &str) -> Result<Cron, String> {
    let example = "five fields, minute hour day month weekday, such as \"0 9 * * 1-5\" for nine \
                   o'clock on working days; with six, the first is seconds";
    let fields = expression.split_whitespace().count();
    if !expression.starts_with('@') && !(5..=6).contains(&fields) {
        return Err(format!(
            "the cron expression \"{expression}\" has {fields} fields; write {example}"
        ));
    }
    Cron::from_str(expression).map_err(|error| {
        let why = error.to_string();
        let why = why
            .rsplit_once("error: ")
            .map_or(why.as_str(), |(_, why)| why);
        let why = why.trim_end_matches('.');
        format!("the cron expression \"{expression}\" cannot be read: {why}; write {example}")
    })
}

/// How late the job `id` is of its own: the same on every replica, spread evenly.
fn late_ms(id: &str, pattern: &JobPattern) -> i64 {
    if pattern.stagger_ms <= 0 {
        return 0;
    }
    let hash = blake3::hash(id.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    i64::from(u32::from_be_bytes([a, b, c, d])) % pattern.stagger_ms
}

#[cfg(test)]
mod tests;
