//! Pages of jobs, and of what became of their runs.

use std::cmp::Ordering;

use proto::v1::{Job, JobRun, job::What, job::When};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{super::Call, shape};
use crate::{
    cron::{self, store},
    refusal::Refusal,
    schema::Text,
};

/// Jobs or runs of one page where a client of protocol 4 does not say how many, and the most there are.
const PAGE: (usize, usize) = (50, 200);
/// Runs of one answer where a client of protocol 3 does not say how many.
const RUNS: usize = 200;

/// Which jobs. Open: other filters of the reference leave nothing out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct List {
    include_disabled: Option<bool>,
    enabled: Option<String>,
    query: Option<String>,
    schedule_kind: Option<String>,
    last_run_status: Option<String>,
    agent_id: Option<String>,
    session_key: Option<String>,
    sort_by: Option<String>,
    sort_dir: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// Which runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Runs {
    scope: Option<String>,
    id: Option<Text>,
    job_id: Option<Text>,
    run_id: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
    status: Option<String>,
    statuses: Option<Vec<String>>,
    delivery_status: Option<String>,
    delivery_statuses: Option<Vec<String>>,
    query: Option<String>,
    sort_dir: Option<String>,
}

/// The jobs that a client of its protocol can be shown: protocol 3 knows no heartbeat among them.
pub(super) async fn shown(call: &Call) -> Result<Vec<Job>, Refusal> {
    let mut jobs = store::all(&call.gateway.bus).await?;
    if call.client.grant.protocol < 4 {
        jobs.retain(|job| !matches!(job.what, Some(What::Heartbeat(_))));
    }
    Ok(jobs)
}

/// The jobs, the one that is due next first unless another order is asked for.
pub(super) async fn list(call: &Call, wanted: List) -> Result<Value, Refusal> {
    let protocol = call.client.grant.protocol;
    let mut jobs = shown(call).await?;
    jobs.retain(|job| wanted.wants(job));
    jobs.sort_by(|a, b| wanted.order(a, b).then_with(|| a.id.cmp(&b.id)));
    let total = jobs.len();
    let (offset, limit) = (
        wanted.offset.unwrap_or(0),
        limit(wanted.limit, protocol, total),
    );
    let page: Vec<_> = jobs.iter().skip(offset).take(limit).collect();
    let rows: Vec<_> = page.iter().map(|job| shape::job(job, protocol)).collect();
    if protocol < 4 {
        return Ok(json!({"jobs": rows}));
    }
    let previews = page.iter().map(|job| (job.id.clone(), shape::preview(job)));
    let mut answer = paged("jobs", rows, total, offset, limit);
    let revisions: String = jobs.iter().map(shape::revision).collect();
    let snapshot = blake3::hash(revisions.as_bytes()).to_hex();
    answer["snapshotRevision"] = snapshot[..32].into();
    answer["deliveryPreviews"] = previews.collect::<Map<_, _>>().into();
    Ok(answer)
}

/// What became of runs, the newest first unless another order is asked for.
pub(super) async fn runs(call: &Call, wanted: Runs) -> Result<Value, Refusal> {
    let protocol = call.client.grant.protocol;
    let id = wanted.id.as_ref().or(wanted.job_id.as_ref());
    let all = wanted.scope.as_deref() == Some("all");
    if id.is_none() && !all {
        let why = "invalid cron.runs params: must have required property 'id'";
        return Err(Refusal::Invalid(why.into()));
    }
    let id = id.filter(|_| !all).map(|id| id.0.as_str());
    let mut runs = store::runs(&call.gateway.bus, id).await?;
    runs.retain(|run| wanted.wants(run));
    let total = runs.len();
    let offset = wanted.offset.unwrap_or(0);
    if wanted.sort_dir.as_deref() == Some("asc") {
        runs.reverse();
    }
    let limit = match protocol {
        ..4 => wanted.limit.unwrap_or(RUNS),
        _ => limit(wanted.limit, protocol, total),
    };
    let page = runs.iter().skip(offset).take(limit);
    let mut rows: Vec<_> = page.map(|run| entry(run, protocol)).collect();
    if protocol < 4 {
        // Protocol 3 reads its log as it was written, the newest last.
        rows.reverse();
        return Ok(json!({"entries": rows}));
    }
    Ok(paged("entries", rows, total, offset, limit))
}

impl List {
    fn wants(&self, job: &Job) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted == "all" || wanted == value)
        };
        let enabled = match self.enabled.as_deref() {
            Some("enabled") => job.enabled,
            Some("disabled") => !job.enabled,
            Some(_) => true,
            None => job.enabled || self.include_disabled == Some(true),
        };
        let kind = match job.when {
            Some(When::At(_)) => "at",
            Some(When::Every(_)) => "every",
            Some(When::Pattern(_)) | None => "cron",
        };
        let status = job
            .last
            .as_ref()
            .map_or("unknown", |last| last.status.as_str());
        let found = self.query.as_deref().is_none_or(|query| {
            let query = query.trim().to_lowercase();
            [&job.name, &job.description, &job.display_name, &job.id]
                .iter()
                .any(|text| text.to_lowercase().contains(&query))
        });
        let agent = job.agent.is_empty() || is(&self.agent_id, &job.agent);
        let session = self
            .session_key
            .as_deref()
            .is_none_or(|key| key == job.session_key);
        enabled
            && is(&self.schedule_kind, kind)
            && is(&self.last_run_status, status)
            && found
            && agent
            && session
    }

    fn order(&self, a: &Job, b: &Job) -> Ordering {
        let order = match self.sort_by.as_deref() {
            Some("name") => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
            Some("updatedAtMs") => a.updated_at_ms.cmp(&b.updated_at_ms),
            // What is not due comes last.
            _ => (a.next_at_ms == 0, a.next_at_ms).cmp(&(b.next_at_ms == 0, b.next_at_ms)),
        };
        match self.sort_dir.as_deref() {
            Some("desc") => order.reverse(),
            _ => order,
        }
    }
}

impl Runs {
    fn wants(&self, run: &JobRun) -> bool {
        let among = |one: &Option<String>, many: &Option<Vec<String>>, value: &str| {
            let one = one
                .as_deref()
                .is_none_or(|one| one == "all" || one == value);
            let many = many
                .as_ref()
                .is_none_or(|many| many.is_empty() || many.iter().any(|it| it == value));
            one && many
        };
        let found = self.query.as_deref().is_none_or(|query| {
            let query = query.trim().to_lowercase();
            [&run.job_name, &run.summary, &run.error]
                .iter()
                .any(|text| text.to_lowercase().contains(&query))
        });
        among(&self.status, &self.statuses, &run.status)
            && among(
                &self.delivery_status,
                &self.delivery_statuses,
                &run.delivery,
            )
            && self.run_id.as_deref().is_none_or(|id| id == run.id)
            && found
    }
}

/// A run, with what its protocol knows of it.
fn entry(run: &JobRun, protocol: u8) -> Value {
    let mut entry = cron::told(run);
    if protocol < 4 {
        const KNOWN: [&str; 9] = [
            "ts",
            "jobId",
            "action",
            "status",
            "error",
            "summary",
            "runAtMs",
            "durationMs",
            "nextRunAtMs",
        ];
        if let Some(fields) = entry.as_object_mut() {
            fields.retain(|name, _| KNOWN.contains(&name.as_str()));
        }
    }
    entry
}

fn limit(asked: Option<usize>, protocol: u8, total: usize) -> usize {
    match protocol {
        ..4 => asked.unwrap_or(total).max(1),
        _ => asked.unwrap_or(PAGE.0).clamp(1, PAGE.1),
    }
}

fn paged(name: &str, rows: Vec<Value>, total: usize, offset: usize, limit: usize) -> Value {
    let next = offset + rows.len();
    let more = next < total;
    json!({
        name: rows, "total": total, "offset": offset, "limit": limit, "hasMore": more,
        "nextOffset": more.then_some(next),
    })
}
