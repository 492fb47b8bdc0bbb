//! The heartbeat: a job like others, whose answer matters only where it has something to say.

use bus::Bucket;
use chassis::clock::now_ms;
use proto::{
    session,
    v1::{Job, JobDelivery, JobEvery, JobHeartbeat, JobRun, LastHeartbeat, job::What, job::When},
};
use serde_json::{Value, json};

use super::{begin, store};
use crate::{clients::Audience, gateway::Gateway, outbox::Worth, refusal::Refusal};

/// What an agent answers when there is nothing to say.
pub(super) const OK: &str = "HEARTBEAT_OK";
/// Where the last heartbeat is kept.
const LAST: &str = "last";
/// Longest beginning of an answer that is told to clients, in bytes.
const PREVIEW_BYTES: usize = 200;

/// Whether heartbeats of `agent` are on.
///
/// # Errors
/// As [`store::find`].
pub(crate) async fn is_on(gateway: &Gateway, agent: &str) -> Result<bool, bus::Error> {
    let job = store::find(&gateway.bus, &id(agent)).await?;
    Ok(job.is_some_and(|job| job.enabled) && gateway.config.cron.enabled)
}

/// Session of a heartbeat that takes no notes along.
pub(super) fn session() -> String {
    let key = session::Key {
        channel: "cron".into(),
        kind: "job".into(),
        identifier: "heartbeat".into(),
    };
    key.to_string()
}

/// Makes the job what the settings say. Whether it is on is a client's word once a client has said it.
///
/// # Errors
/// When the bus is away.
pub(super) async fn settle(gateway: &Gateway) -> Result<(), bus::Error> {
    let every_ms = gateway.config.heartbeat.every_ms();
    let (bus, now_ms) = (&gateway.bus, now_ms());
    let agent = &gateway.config.default_agent;
    let id = id(agent);
    let on = gateway.config.heartbeat.every_s > 0;
    let every = |anchor_ms| {
        When::Every(JobEvery {
            every_ms,
            anchor_ms,
        })
    };
    let Some(_) = store::find(bus, &id).await? else {
        let mut job = Job {
            id,
            name: "Heartbeat".into(),
            description: "The agent looks around by itself.".into(),
            agent: agent.clone(),
            enabled: on,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            when: Some(every(now_ms)),
            what: Some(What::Heartbeat(JobHeartbeat {})),
            session_target: "main".into(),
            wake_mode: "next-heartbeat".into(),
            ..Job::default()
        };
        job.next_at_ms = begin::next(gateway, &job, now_ms);
        return store::add(bus, &job).await.map(drop);
    };
    let changed = store::change(bus, &id, |job| {
        let Some(When::Every(was)) = &job.when else {
            return Ok(());
        };
        if was.every_ms != every_ms {
            job.when = Some(every(now_ms));
            job.next_at_ms = begin::next(gateway, job, now_ms);
        }
        Ok(())
    });
    match changed.await {
        Ok(_) => Ok(()),
        Err(refusal) => Err(bus::Error::Refused(refusal.error(4).message)),
    }
}

/// Switches heartbeats on or off, for good.
///
/// # Errors
/// [`Refusal::Busy`] when the bus is away.
pub(crate) async fn switch(gateway: &Gateway, on: bool) -> Result<(), Refusal> {
    settle(gateway).await?;
    let now_ms = now_ms();
    let id = id(&gateway.config.default_agent);
    store::change(&gateway.bus, &id, |job| {
        if job.enabled != on {
            (job.enabled, job.updated_at_ms) = (on, now_ms);
            job.next_at_ms = begin::next(gateway, job, now_ms);
        }
        Ok(())
    })
    .await?;
    gateway.health.age();
    Ok(())
}

/// The last heartbeat as clients were told it; null before the first one.
///
/// # Errors
/// As [`bus::Store::get`].
pub(crate) async fn last(gateway: &Gateway) -> Result<Value, bus::Error> {
    let bucket = gateway.bus.bucket(Bucket::Heartbeats);
    let last = bucket.get::<LastHeartbeat>(LAST).await?;
    let payload = last.and_then(|(last, _)| serde_json::from_str(&last.payload_json).ok());
    Ok(payload.unwrap_or(Value::Null))
}

/// What of an answer is worth telling; `None` where it says that there is nothing.
pub(super) fn worth_telling(answer: &str, ack_max_chars: usize) -> Option<&str> {
    let answer = answer.trim();
    let rest = answer
        .strip_prefix(OK)
        .or_else(|| answer.strip_suffix(OK))
        .map(|rest| rest.trim_matches(|c: char| c.is_whitespace() || c == '.'));
    match rest {
        _ if answer.is_empty() => None,
        Some(rest) if rest.chars().count() <= ack_max_chars => None,
        Some(rest) => Some(rest),
        None => Some(answer),
    }
}

/// Where a heartbeat that has something to say is sent; `None` is nowhere.
pub(super) fn target(gateway: &Gateway) -> Option<JobDelivery> {
    let to = gateway.config.heartbeat.to.as_str();
    let delivery = JobDelivery {
        best_effort: true,
        ..JobDelivery::default()
    };
    match to.splitn(3, ':').collect::<Vec<_>>().as_slice() {
        ["" | "none"] => None,
        ["last"] => Some(JobDelivery {
            channel: "last".into(),
            ..delivery
        }),
        [channel, account, to] => Some(JobDelivery {
            channel: (*channel).into(),
            account: (*account).into(),
            to: (*to).into(),
            ..delivery
        }),
        [channel, rest @ ..] => Some(JobDelivery {
            channel: (*channel).into(),
            to: rest.concat(),
            ..delivery
        }),
        [] => None,
    }
}

/// Tells every client how a heartbeat went, and keeps it for who asks later.
///
/// # Errors
/// When the bus is away.
pub(super) async fn tell(
    gateway: &Gateway,
    run: &JobRun,
    said: Option<&str>,
) -> Result<(), bus::Error> {
    let status = match (run.status.as_str(), said) {
        ("ok", Some(_)) => "sent",
        ("ok", None) if run.summary.is_empty() => "ok-empty",
        ("ok", None) => "ok-token",
        ("skipped", _) => "skipped",
        _ => "failed",
    };
    let preview = &run.summary[..run.summary.floor_char_boundary(PREVIEW_BYTES)];
    let mut payload = json!({
        "ts": run.ended_at_ms, "status": status, "durationMs": run.ended_at_ms - run.started_at_ms,
        "hasMedia": false, "silent": said.is_none(),
    });
    let more = [
        ("preview", preview),
        ("reason", run.error.as_str()),
        ("to", gateway.config.heartbeat.to.as_str()),
    ];
    for (name, value) in more.into_iter().filter(|(_, value)| !value.is_empty()) {
        payload[name] = value.into();
    }
    let last = LastHeartbeat {
        payload_json: payload.to_string(),
    };
    let bucket = gateway.bus.bucket(Bucket::Heartbeats);
    bucket.put(LAST, &last).await?;
    gateway
        .announce("heartbeat", &payload, Audience::ALL, Worth::Droppable)
        .await;
    Ok(())
}

fn id(agent: &str) -> String {
    format!("heartbeat:{agent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_says_nothing_is_told_to_nobody() {
        for nothing in [
            "",
            " \n",
            "HEARTBEAT_OK",
            "HEARTBEAT_OK.",
            "All quiet. HEARTBEAT_OK",
        ] {
            assert_eq!(worth_telling(nothing, 300), None, "{nothing:?}");
        }
        assert_eq!(
            worth_telling("The disk is full.", 300),
            Some("The disk is full.")
        );
        // What stands beside it is worth telling once it is more than a courtesy.
        assert_eq!(
            worth_telling("HEARTBEAT_OK but the disk is full", 5),
            Some("but the disk is full")
        );
        // In the middle it is quoted, not said.
        assert_eq!(
            worth_telling("I say HEARTBEAT_OK when idle", 300),
            Some("I say HEARTBEAT_OK when idle")
        );
    }
}
