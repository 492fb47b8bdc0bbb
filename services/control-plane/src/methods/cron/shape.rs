//! A job as clients read it, in the words of their protocol.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message;
use proto::v1::{Job, JobDelivery, JobTurn, job::What, job::When};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A job.
pub(super) fn job(job: &Job, protocol: u8) -> Value {
    let mut shown = json!({
        "id": job.id, "name": job.name, "enabled": job.enabled, "createdAtMs": job.created_at_ms,
        "updatedAtMs": job.updated_at_ms, "schedule": schedule(job.when.as_ref(), protocol),
        "sessionTarget": target(job, protocol), "wakeMode": job.wake_mode, "payload": payload(job, protocol),
        "state": state(job, protocol),
    });
    let texts = [("agentId", &job.agent), ("description", &job.description)];
    for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
        shown[name] = value.as_str().into();
    }
    if job.delete_after_run {
        shown["deleteAfterRun"] = true.into();
    }
    if protocol < 4 {
        if let Some(aside) = &job.aside {
            shown["isolation"] = json!({
                "postToMainPrefix": aside.prefix, "postToMainMode": if aside.full { "full" } else { "summary" },
                "postToMainMaxChars": aside.max_chars,
            });
        }
        return shown;
    }
    for (name, value) in [
        ("displayName", &job.display_name),
        ("sessionKey", &job.session_key),
    ] {
        if !value.is_empty() {
            shown[name] = value.as_str().into();
        }
    }
    if let Some(delivery) = &job.delivery {
        shown["delivery"] = announce(delivery);
    } else if matches!(job.what, Some(What::Turn(_))) {
        shown["delivery"] = json!({"mode": "none"});
    }
    shown["configRevision"] = revision(job).into();
    for name in [
        "nextRunAtMs",
        "lastRunAtMs",
        "lastRunStatus",
        "lastDeliveryStatus",
        "lastDeliveryError",
    ] {
        if let Some(value) = shown["state"].get(name) {
            shown[name] = value.clone();
        }
    }
    if let Some(value) = shown["state"].get("lastError") {
        shown["lastRunError"] = value.clone();
    }
    shown
}

/// A job that was just made or changed.
pub(super) fn made(made: &Job, protocol: u8) -> Value {
    let mut shown = job(made, protocol);
    if protocol >= 4 {
        shown["deliveryPreview"] = preview(made);
    }
    shown
}

/// Where the answers of a job go, for people.
pub(super) fn preview(job: &Job) -> Value {
    match &job.delivery {
        None => json!({"label": "not requested", "detail": "not requested"}),
        Some(JobDelivery { channel, to, .. }) if to.is_empty() => {
            json!({"label": "announce", "detail": format!("announce -> {channel}")})
        }
        Some(JobDelivery { channel, to, .. }) => {
            json!({"label": "announce", "detail": format!("announce -> {channel}:{to}")})
        }
    }
}

/// Names what a person chose of a job: another choice, another name.
pub(super) fn revision(job: &Job) -> String {
    let chosen = Job {
        updated_at_ms: 0,
        next_at_ms: 0,
        running: None,
        last: None,
        errors: 0,
        runs: 0,
        ..job.clone()
    };
    let hash = Sha256::digest(chosen.encode_to_vec());
    format!("sha256:{}", BASE64_URL_SAFE_NO_PAD.encode(hash))
}

fn schedule(when: Option<&When>, protocol: u8) -> Value {
    match when {
        Some(When::At(at)) if protocol < 4 => json!({"kind": "at", "atMs": at.at_ms}),
        Some(When::At(at)) => {
            let at = jiff::Timestamp::from_millisecond(at.at_ms).unwrap_or_default();
            json!({"kind": "at", "at": format!("{at:.3}")})
        }
        Some(When::Every(every)) => {
            json!({"kind": "every", "everyMs": every.every_ms, "anchorMs": every.anchor_ms})
        }
        Some(When::Pattern(pattern)) => {
            let mut shown = json!({"kind": "cron", "expr": pattern.expression});
            if !pattern.time_zone.is_empty() {
                shown["tz"] = pattern.time_zone.as_str().into();
            }
            if pattern.stagger_ms > 0 && protocol >= 4 {
                shown["staggerMs"] = pattern.stagger_ms.into();
            }
            shown
        }
        None => Value::Null,
    }
}

/// Protocol 3 knows of two kinds of session.
fn target(job: &Job, protocol: u8) -> &str {
    match job.session_target.as_str() {
        "main" => "main",
        _ if protocol < 4 => "isolated",
        target => target,
    }
}

fn payload(job: &Job, protocol: u8) -> Value {
    match &job.what {
        Some(What::Event(event)) => json!({"kind": "systemEvent", "text": event.text}),
        Some(What::Turn(turn)) => {
            let mut shown = agent_turn(turn);
            if let Some(delivery) = job.delivery.as_ref().filter(|_| protocol < 4) {
                shown["deliver"] = true.into();
                shown["channel"] = delivery.channel.as_str().into();
                if !delivery.to.is_empty() {
                    shown["to"] = delivery.to.as_str().into();
                }
                shown["bestEffortDeliver"] = delivery.best_effort.into();
            }
            shown
        }
        Some(What::Heartbeat(_)) => json!({"kind": "heartbeat"}),
        None => Value::Null,
    }
}

fn agent_turn(turn: &JobTurn) -> Value {
    let mut shown = json!({"kind": "agentTurn", "message": turn.message});
    for (name, value) in [("model", &turn.model), ("thinking", &turn.thinking)] {
        if !value.is_empty() {
            shown[name] = value.as_str().into();
        }
    }
    if turn.timeout_ms > 0 {
        shown["timeoutSeconds"] = (turn.timeout_ms / 1000).max(1).into();
    }
    shown
}

fn announce(delivery: &JobDelivery) -> Value {
    let mut shown = json!({"mode": "announce", "channel": delivery.channel, "bestEffort": delivery.best_effort});
    let texts = [
        ("to", &delivery.to),
        ("accountId", &delivery.account),
        ("threadId", &delivery.thread),
    ];
    for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
        shown[name] = value.as_str().into();
    }
    shown
}

/// How it stands.
fn state(job: &Job, protocol: u8) -> Value {
    let mut state = json!({});
    if job.next_at_ms > 0 {
        state["nextRunAtMs"] = job.next_at_ms.into();
    }
    if let Some(running) = &job.running {
        state["runningAtMs"] = running.started_at_ms.into();
    }
    let Some(last) = &job.last else {
        return state;
    };
    state["lastRunAtMs"] = last.started_at_ms.into();
    state["lastStatus"] = last.status.as_str().into();
    state["lastDurationMs"] = (last.ended_at_ms - last.started_at_ms).max(0).into();
    if !last.error.is_empty() {
        state["lastError"] = last.error.as_str().into();
    }
    if protocol < 4 {
        return state;
    }
    state["lastRunStatus"] = last.status.as_str().into();
    state["consecutiveErrors"] = job.errors.into();
    for (name, value) in [
        ("lastDeliveryStatus", &last.delivery),
        ("lastDeliveryError", &last.delivery_error),
    ] {
        if !value.is_empty() {
            state[name] = value.as_str().into();
        }
    }
    if last.delivery == "delivered" {
        state["lastDelivered"] = true.into();
    }
    state
}
