//! The end of a run: what became of it is written down, sent where that was asked for, and told to clients.

use chassis::clock::now_ms;
use proto::v1::{Answered, Event, Job, JobRun, event, job, job::When};
use serde_json::{Value, json};

use super::{
    begin,
    delivery::{self, Delivered},
    heartbeat, notes, store,
    tend::insist,
};
use crate::{clients::Audience, gateway::Gateway, outbox::Worth, turns};

/// Longest beginning of an answer that is kept with the run, in bytes.
const SUMMARY_BYTES: usize = 2000;

/// Ends a run that asked nobody: its note waits.
pub(super) async fn noted(gateway: &Gateway, job: &Job, run: JobRun) -> Option<Job> {
    let summary = cut(&run.prompt).to_owned();
    let run = JobRun {
        status: "ok".into(),
        summary,
        delivery: "not-requested".into(),
        ..run
    };
    finish(gateway, job, run).await
}

/// Ends a run that could not even be asked.
pub(super) async fn never(gateway: &Gateway, job: &Job, run: JobRun, why: String) -> Option<Job> {
    let run = JobRun {
        status: "error".into(),
        error: why,
        delivery: "not-requested".into(),
        ..run
    };
    finish(gateway, job, run).await
}

/// Ends a run as its turn ended.
pub(super) async fn ended(gateway: &Gateway, job: &Job, run: JobRun, event: Event) -> Option<Job> {
    let mut run = JobRun {
        delivery: "not-requested".into(),
        ..run
    };
    let mut answer = String::new();
    match event.what {
        Some(event::What::Answered(answered)) => {
            answer.clone_from(&answered.text);
            run = good(run, answered);
        }
        what => {
            run.status = "error".into();
            run.error = why(what);
        }
    }
    let beats = matches!(job.what, Some(job::What::Heartbeat(_)));
    let most = if beats {
        gateway.config.heartbeat.ack_max_chars
    } else {
        0
    };
    let said = heartbeat::worth_telling(&answer, most).filter(|_| run.status == "ok");
    if let Some(said) = said {
        run = send(gateway, job, run, beats, said).await;
        if let Some(aside) = &job.aside {
            let most = match aside.max_chars {
                0 => SUMMARY_BYTES,
                most => most as usize,
            };
            let text = if aside.full { said } else { cut(said) };
            let text: String = text.chars().take(most).collect();
            let text = format!("{}: {text}", aside.prefix);
            let agent = begin::agent(gateway, job);
            insist(|| notes::leave(&gateway.bus, agent, &run.id, &text)).await;
        }
    }
    run.ended_at_ms = now_ms();
    if beats {
        insist(|| heartbeat::tell(gateway, &run, said)).await;
    }
    finish(gateway, job, run).await
}

fn good(run: JobRun, answered: Answered) -> JobRun {
    JobRun {
        status: "ok".into(),
        summary: cut(&answered.text).to_owned(),
        provider: answered.provider,
        model: answered.model,
        input_tokens: answered.input_tokens,
        output_tokens: answered.output_tokens,
        ..run
    }
}

fn why(what: Option<event::What>) -> String {
    match what {
        Some(event::What::Failed(failed)) => failed.message,
        Some(event::What::Aborted(_)) => "it was stopped".into(),
        Some(event::What::Dead(dead)) => dead.reason,
        Some(event::What::Refused(refused)) => format!("it was refused: {}", refused.reason),
        _ => "it ended, and nobody knows how".into(),
    }
}

/// Sends an answer where the job, or the heartbeat, has it sent.
async fn send(gateway: &Gateway, job: &Job, run: JobRun, beats: bool, said: &str) -> JobRun {
    let target = match beats {
        true => heartbeat::target(gateway),
        false => job.delivery.clone(),
    };
    let Some(target) = target else {
        return run;
    };
    let (agent, turn_id) = (begin::agent(gateway, job), turns::turn_id(&run.id));
    let delivered =
        delivery::deliver(gateway, &target, agent, &turn_id, &run.session_key, said).await;
    let (delivery, delivery_error) = match delivered {
        Delivered::Yes => ("delivered", String::new()),
        Delivered::No(why) => ("not-delivered", why),
        Delivered::Unknown(why) => ("unknown", why),
    };
    let mut run = JobRun {
        delivery: delivery.into(),
        delivery_error,
        ..run
    };
    if run.delivery == "not-delivered" && !target.best_effort {
        run.status = "error".into();
        run.error = format!("the answer was not sent: {}", run.delivery_error);
    }
    run
}

/// Writes the end down: the line in the record of runs first, so that a job that says it ended has one.
async fn finish(gateway: &Gateway, job: &Job, mut run: JobRun) -> Option<Job> {
    let (bus, now_ms) = (&gateway.bus, now_ms());
    if run.ended_at_ms == 0 {
        run.ended_at_ms = now_ms;
    }
    let mut after = job.clone();
    after.next_at_ms = next_after(gateway, job, now_ms);
    let (run, number) = close(&mut after, run, now_ms);
    insist(|| store::note(bus, &run, number)).await;
    let change = |job: &mut Job| {
        if job.running.as_ref().is_some_and(|it| it.id == run.id) {
            job.next_at_ms = next_after(gateway, job, now_ms);
            close(job, run.clone(), now_ms);
        }
        Ok(())
    };
    let changed = insist(|| store::change(bus, &job.id, change)).await;
    let mut left = changed.map(|(job, ())| job);
    if run.status == "ok"
        && left
            .as_ref()
            .is_some_and(|job| job.delete_after_run && !job.enabled)
    {
        insist(|| store::remove(bus, &job.id)).await;
        left = None;
    }
    tell(gateway, &run).await;
    if left.is_none() {
        let payload = json!({"action": "removed", "jobId": job.id});
        gateway
            .announce("cron", &payload, Audience::READERS, Worth::Droppable)
            .await;
    }
    left
}

/// When a job is due after a run: times that passed meanwhile are left out.
fn next_after(gateway: &Gateway, job: &Job, now_ms: i64) -> i64 {
    match job.next_at_ms {
        next_ms if next_ms > now_ms => next_ms,
        _ => begin::next(gateway, job, now_ms),
    }
}

/// Makes `run` the last run of `job`. The run as it is kept, and its place in the record.
pub(super) fn close(job: &mut Job, run: JobRun, now_ms: i64) -> (JobRun, u64) {
    let run = JobRun {
        ended_at_ms: match run.ended_at_ms {
            0 => now_ms,
            ended_at_ms => ended_at_ms,
        },
        next_at_ms: job.next_at_ms,
        prompt: String::new(),
        notes: Vec::new(),
        ..run
    };
    let number = job.runs;
    job.runs += 1;
    job.errors = match run.status.as_str() {
        "error" => job.errors.saturating_add(1),
        "ok" => 0,
        _ => job.errors,
    };
    if matches!(job.when, Some(When::At(_))) && job.next_at_ms == 0 {
        job.enabled = false;
    }
    job.running = None;
    job.last = Some(run.clone());
    (run, number)
}

/// Tells clients that a run began, or how it ended.
pub(super) async fn tell(gateway: &Gateway, run: &JobRun) {
    let payload = match run.status.as_str() {
        "" => json!({
            "action": "started", "jobId": run.job_id, "runId": run.id, "runAtMs": run.started_at_ms,
        }),
        _ => told(run),
    };
    gateway
        .announce("cron", &payload, Audience::READERS, Worth::Droppable)
        .await;
}

/// How a run ended, as clients are told it.
pub(crate) fn told(run: &JobRun) -> Value {
    let mut told = json!({
        "ts": run.ended_at_ms, "jobId": run.job_id, "action": "finished", "status": run.status,
        "completionStatus": if run.status == "ok" { "succeeded" } else { "failed" },
        "runId": run.id, "runAtMs": run.started_at_ms, "durationMs": (run.ended_at_ms - run.started_at_ms).max(0),
        "jobName": run.job_name,
    });
    let texts = [
        ("error", &run.error),
        ("summary", &run.summary),
        ("deliveryStatus", &run.delivery),
        ("deliveryError", &run.delivery_error),
        ("provider", &run.provider),
        ("model", &run.model),
    ];
    for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
        told[name] = value.as_str().into();
    }
    if run.delivery == "delivered" {
        told["delivered"] = true.into();
    }
    if run.next_at_ms > 0 {
        told["nextRunAtMs"] = run.next_at_ms.into();
    }
    let tokens = run.input_tokens + run.output_tokens;
    if tokens > 0 {
        told["usage"] = json!({
            "input_tokens": run.input_tokens, "output_tokens": run.output_tokens, "total_tokens": tokens,
        });
    }
    told
}

/// A time for people: the largest unit alone.
pub(super) fn duration(ms: u64) -> String {
    match ms / 60_000 {
        0 => format!("{} s", ms / 1000),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SUMMARY_BYTES)]
}
