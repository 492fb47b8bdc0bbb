//! Jobs by the clock: listed, made, changed, run by hand, and what became of their runs.

use chassis::clock::now_ms;
use proto::{
    v1::{Job, job::What},
    ws::Error,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Call, Method, method};
use crate::{
    clients::Audience,
    cron::{self, Began, Only, store},
    outbox::Worth,
    refusal::Refusal,
    schema::Text,
};

mod check;
mod delivery;
mod list;
mod params;
mod patch;
mod shape;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("cron.list", Read, list::list),
    method!("cron.status", Read, status),
    method!("cron.get", Read, find),
    method!("cron.runs", Read, list::runs),
    method!("cron.add", Admin, add),
    method!("cron.update", Admin, update),
    method!("cron.remove", Admin, remove),
    method!("cron.run", Admin, run),
];

/// One job, by either of its names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Choice {
    id: Option<Text>,
    job_id: Option<Text>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Change {
    id: Option<Text>,
    job_id: Option<Text>,
    patch: patch::Patch,
    /// The change is made only to the job as it was then.
    expected_config_revision: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Run {
    id: Option<Text>,
    job_id: Option<Text>,
    mode: Option<Mode>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Due,
    Force,
    IfEnabled,
}

/// The id of the job that is meant.
fn meant<'a>(
    call: &Call,
    id: &'a Option<Text>,
    job_id: &'a Option<Text>,
) -> Result<&'a str, Refusal> {
    let named = id.as_ref().or(job_id.as_ref());
    named.map(|id| id.0.as_str()).ok_or_else(|| {
        let name = call.name();
        Refusal::Invalid(format!(
            "invalid {name} params: must have required property 'id'"
        ))
    })
}

/// How the schedule stands as a whole.
async fn status(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let jobs = list::shown(call).await?;
    let next = jobs
        .iter()
        .map(|job| job.next_at_ms)
        .filter(|next| *next > 0)
        .min();
    Ok(json!({
        "enabled": call.gateway.config.cron.enabled, "storePath": "nats:jobs", "storage": "nats",
        "jobs": jobs.len(), "nextWakeAtMs": next, "triggersEnabled": false,
    }))
}

async fn find(call: &Call, params: Choice) -> Result<Value, Refusal> {
    let id = meant(call, &params.id, &params.job_id)?;
    let job = store::find(&call.gateway.bus, id).await?;
    let job = job.ok_or_else(|| no_job(id))?;
    Ok(shape::job(&job, call.client.grant.protocol))
}

/// Makes a job.
async fn add(call: &Call, params: params::Add) -> Result<Value, Refusal> {
    let (gateway, now_ms) = (&call.gateway, now_ms());
    let protocol = call.client.grant.protocol;
    let mut job = params.job(Uuid::new_v4().to_string(), protocol, now_ms)?;
    check::check(gateway, &job, now_ms)?;
    let jobs = store::all(&gateway.bus).await?.len();
    if jobs >= store::MOST_JOBS {
        let why = format!(
            "there are {jobs} jobs, and {} is the most; remove some",
            store::MOST_JOBS
        );
        return Err(Refusal::Invalid(why));
    }
    job.next_at_ms = cron::next(gateway, &job, now_ms);
    store::add(&gateway.bus, &job).await?;
    tell(call, "added", &job).await;
    Ok(shape::made(&job, protocol))
}

/// Changes a job. What it does not name stays as it is.
async fn update(call: &Call, params: Change) -> Result<Value, Refusal> {
    let (gateway, now_ms) = (&call.gateway, now_ms());
    let protocol = call.client.grant.protocol;
    let id = meant(call, &params.id, &params.job_id)?;
    let changed = store::change(&gateway.bus, id, |job| {
        if let Some(expected) = &params.expected_config_revision
            && *expected != shape::revision(job)
        {
            let why = "the job was changed since it was read; read it again with cron.get";
            return Err(Refusal::Invalid(why.into()));
        }
        let when = job.when.clone();
        params.patch.apply(job, now_ms)?;
        // A time that passed while the job stood still is nobody's mistake now.
        let moved = job.when != when;
        check::check_change(gateway, job, moved, now_ms)?;
        job.updated_at_ms = now_ms;
        if moved || job.next_at_ms == 0 || !job.enabled {
            job.next_at_ms = cron::next(gateway, job, now_ms);
        }
        Ok(())
    });
    let (job, ()) = changed.await?.ok_or_else(|| no_job(id))?;
    if matches!(job.what, Some(What::Heartbeat(_))) {
        gateway.health.age();
    }
    tell(call, "updated", &job).await;
    Ok(shape::made(&job, protocol))
}

/// Removes a job. A run of it that is being made goes on, and what became of its runs is kept.
async fn remove(call: &Call, params: Choice) -> Result<Value, Refusal> {
    let id = meant(call, &params.id, &params.job_id)?;
    let removed = match store::find(&call.gateway.bus, id).await? {
        Some(job) if matches!(job.what, Some(What::Heartbeat(_))) => {
            let why = "the heartbeat is the gateway's own job; switch it off with set-heartbeats";
            return Err(Refusal::Invalid(why.into()));
        }
        Some(_) => store::remove(&call.gateway.bus, id).await?,
        None => false,
    };
    if !removed && call.client.grant.protocol >= 4 {
        return Err(no_job(id));
    }
    if removed {
        announce(call, &json!({"action": "removed", "jobId": id})).await;
    }
    Ok(json!({"ok": true, "removed": removed}))
}

/// Runs a job now; its schedule stays as it is.
async fn run(call: &Call, params: Run) -> Result<Value, Refusal> {
    let id = meant(call, &params.id, &params.job_id)?;
    let only = match params.mode {
        Some(Mode::Due) => Only::Due,
        Some(Mode::IfEnabled) => Only::On,
        Some(Mode::Force) | None => Only::Any,
    };
    let began = cron::by_hand(&call.gateway, id, only).await?;
    let not = |reason: &str| json!({"ok": true, "ran": false, "enqueued": false, "reason": reason});
    Ok(match began.ok_or_else(|| no_job(id))? {
        Began::Run(run_id) => json!({"ok": true, "ran": true, "enqueued": true, "runId": run_id}),
        Began::Running(run_id) => {
            let mut not = not("already-running");
            not["runId"] = run_id.into();
            not
        }
        Began::NotDue => not("not-due"),
        Began::Off => not("disabled"),
    })
}

fn no_job(id: &str) -> Refusal {
    Refusal::Told(Box::new(Error {
        code: "CRON_JOB_NOT_FOUND",
        message: format!("cron job not found: {id}; see cron.list for those there are"),
        details: Some(json!({"code": "CRON_JOB_NOT_FOUND", "jobId": id})),
        ..Error::default()
    }))
}

async fn tell(call: &Call, action: &str, job: &Job) {
    let mut payload = json!({"action": action, "jobId": job.id, "jobName": job.name});
    if job.next_at_ms > 0 {
        payload["nextRunAtMs"] = job.next_at_ms.into();
    }
    announce(call, &payload).await;
}

async fn announce(call: &Call, payload: &Value) {
    call.gateway
        .announce("cron", payload, Audience::READERS, Worth::Droppable)
        .await;
}
