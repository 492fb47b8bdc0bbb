//! Whether a job makes sense, said in a sentence where it does not.

use proto::v1::{Job, JobPattern, job::What, job::When};

use super::params::wrong;
use crate::{
    cron::schedule::{self, SHORTEST_MS},
    gateway::Gateway,
    refusal::Refusal,
};

/// Longest text for an agent, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Longest name, description or session, in bytes.
const MAX_NAME_BYTES: usize = 512;
/// A time may lie this long back when it arrives here.
const LATE_MS: i64 = 60_000;

/// Refuses a new job that cannot be.
///
/// # Errors
/// A sentence that says how it could be.
pub(super) fn check(gateway: &Gateway, job: &Job, now_ms: i64) -> Result<(), Refusal> {
    check_change(gateway, job, true, now_ms)
}

/// Refuses a changed job that cannot be; `moved` says that its schedule is new.
///
/// # Errors
/// As [`check`].
pub(super) fn check_change(
    gateway: &Gateway,
    job: &Job,
    moved: bool,
    now_ms: i64,
) -> Result<(), Refusal> {
    for (name, text) in [
        ("name", &job.name),
        ("displayName", &job.display_name),
        ("description", &job.description),
        ("sessionTarget", &job.session_target),
        ("sessionKey", &job.session_key),
        ("agentId", &job.agent),
    ] {
        if text.len() > MAX_NAME_BYTES {
            return Err(wrong(&format!(
                "{name} is too long; {MAX_NAME_BYTES} bytes are taken"
            )));
        }
    }
    what(job)?;
    if moved && let Some(when) = &job.when {
        self::when(gateway, job, when, now_ms)?;
    }
    Ok(())
}

/// What it does, and where.
fn what(job: &Job) -> Result<(), Refusal> {
    let target = job.session_target.as_str();
    let named = target
        .strip_prefix("session:")
        .is_some_and(|name| !name.is_empty());
    if !matches!(target, "main" | "isolated") && !named {
        return Err(wrong(
            "sessionTarget is main, isolated, current or session:<name>",
        ));
    }
    let text = match &job.what {
        Some(What::Event(event)) => &event.text,
        Some(What::Turn(turn)) => &turn.message,
        Some(What::Heartbeat(_)) | None => return Ok(()),
    };
    if text.len() > MAX_TEXT_BYTES {
        return Err(wrong(&format!(
            "the text is too long; {MAX_TEXT_BYTES} bytes are taken"
        )));
    }
    let event = matches!(job.what, Some(What::Event(_)));
    match (target, event) {
        ("main", false) => {
            return Err(wrong(
                "the main session takes payload.kind systemEvent; for agentTurn use sessionTarget isolated",
            ));
        }
        ("main", true) => {}
        (_, true) => {
            return Err(wrong(
                "an isolated session takes payload.kind agentTurn; for systemEvent use sessionTarget main",
            ));
        }
        (_, false) => {}
    }
    let Some(delivery) = &job.delivery else {
        return Ok(());
    };
    if event {
        return Err(wrong(
            "a systemEvent has no answer to deliver; use agentTurn, or delivery.mode none",
        ));
    }
    if delivery.channel != "last" && delivery.to.is_empty() {
        return Err(wrong(&format!(
            "delivery.channel {} needs delivery.to: the conversation there, such as 123456789",
            delivery.channel
        )));
    }
    Ok(())
}

/// When it does it.
fn when(gateway: &Gateway, job: &Job, when: &When, now_ms: i64) -> Result<(), Refusal> {
    match when {
        When::At(at) if at.at_ms < now_ms - LATE_MS => {
            return Err(wrong("schedule.at lies in the past; name a time to come"));
        }
        When::Every(every) if every.every_ms < SHORTEST_MS => {
            return Err(wrong(&format!(
                "at /schedule/everyMs: must be >= {SHORTEST_MS}; a job runs once a second at most"
            )));
        }
        When::Pattern(JobPattern { stagger_ms, .. }) if !(0..=86_400_000).contains(stagger_ms) => {
            return Err(wrong("schedule.staggerMs is 0 to 86400000, a day"));
        }
        _ => {}
    }
    let next = schedule::next(&job.id, when, now_ms - LATE_MS, &gateway.config.cron.zone());
    match next {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(wrong(
            "its time never comes; look at day and month of the cron expression",
        )),
        Err(why) => Err(wrong(&why)),
    }
}
