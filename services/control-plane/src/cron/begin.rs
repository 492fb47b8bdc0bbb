//! From a due time, or an operator's word, to a run in the job's record: decided once, by whoever is first.

use chassis::clock::now_ms;
use proto::{
    session,
    v1::{Job, JobRun, Note, job::What},
};

use super::{
    end, heartbeat, notes,
    schedule::{self, Due},
    store,
};
use crate::{gateway::Gateway, refusal::Refusal};

/// What became of the wish to run a job by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    /// It runs, under this name.
    Run(String),
    /// It runs already.
    Running(String),
    /// It is not due.
    NotDue,
    /// It is switched off.
    Off,
}

/// Which runs by hand are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    /// Whatever is asked for.
    Any,
    /// Only what is due.
    Due,
    /// Only what is switched on.
    On,
}

/// Makes a run of the job `id` if it is due, or notes that its time was missed. The job as it is then.
///
/// # Errors
/// When the bus is away.
pub(super) async fn due(
    gateway: &Gateway,
    id: &str,
    now_ms: i64,
) -> Result<Option<Job>, bus::Error> {
    let (settings, bus) = (&gateway.config.cron, &gateway.bus);
    let (zone, grace_ms) = (settings.zone(), settings.grace_ms());
    let Some(job) = store::find(bus, id).await? else {
        return Ok(None);
    };
    let beside = Beside::of(gateway, &job).await?;
    let changed = store::change(bus, id, |job| {
        if job.running.is_some() {
            return Ok(None);
        }
        let (due_at_ms, missed) = match schedule::look(job, now_ms, grace_ms, &zone) {
            Due::Later(_) => return Ok(None),
            Due::Now(at_ms) => (at_ms, false),
            Due::Missed(at_ms) => (at_ms, true),
        };
        let mut run = run(gateway, job, &beside, due_at_ms, now_ms, false);
        job.next_at_ms = next(gateway, job, now_ms);
        if !missed {
            job.running = Some(run);
            return Ok(None);
        }
        let late = end::duration((now_ms - due_at_ms).unsigned_abs());
        run.status = "skipped".into();
        run.error = format!(
            "missed: nobody was there to run it, and {late} later is more than gateway.cron.missed_grace_s allows"
        );
        Ok(Some(end::close(job, run, now_ms)))
    });
    match changed.await {
        Ok(Some((job, None))) => Ok(Some(job)),
        Ok(Some((job, Some((run, number))))) => {
            store::note(bus, &run, number).await?;
            end::tell(gateway, &run).await;
            Ok(Some(job))
        }
        Ok(None) => Ok(None),
        Err(refusal) => Err(bus::Error::Refused(refusal.error(4).message)),
    }
}

/// Makes a run of the job `id` because somebody wants it; `None` where there is no such job.
///
/// # Errors
/// As [`store::change`].
pub(crate) async fn by_hand(
    gateway: &Gateway,
    id: &str,
    only: Only,
) -> Result<Option<Began>, Refusal> {
    let (bus, now_ms) = (&gateway.bus, now_ms());
    let Some(job) = store::find(bus, id).await? else {
        return Ok(None);
    };
    let beside = Beside::of(gateway, &job).await?;
    let changed = store::change(bus, id, |job| {
        if let Some(running) = &job.running {
            return Ok(Began::Running(running.id.clone()));
        }
        let is_due = job.enabled && (1..=now_ms).contains(&job.next_at_ms);
        match only {
            Only::Due if !is_due => return Ok(Began::NotDue),
            Only::On if !job.enabled => return Ok(Began::Off),
            _ => {}
        }
        let run = run(gateway, job, &beside, now_ms, now_ms, true);
        let name = run.id.clone();
        if is_due {
            job.next_at_ms = next(gateway, job, now_ms);
        }
        job.running = Some(run);
        Ok(Began::Run(name))
    });
    Ok(changed.await?.map(|(_, began)| began))
}

/// When `job` is due after `now_ms`; 0 when never, or while it is switched off.
pub(crate) fn next(gateway: &Gateway, job: &Job, now_ms: i64) -> i64 {
    let Some(when) = job.when.as_ref().filter(|_| job.enabled) else {
        return 0;
    };
    let next = schedule::next(&job.id, when, now_ms, &gateway.config.cron.zone());
    next.ok().flatten().unwrap_or_default()
}

/// What a run of a job depends on besides the job.
struct Beside {
    /// Notes that it takes along.
    notes: Vec<Note>,
    /// There will be a heartbeat.
    heartbeats: bool,
}

impl Beside {
    async fn of(gateway: &Gateway, job: &Job) -> Result<Self, bus::Error> {
        let agent = agent(gateway, job);
        Ok(match &job.what {
            Some(What::Event(_) | What::Heartbeat(_)) => Self {
                notes: notes::waiting(&gateway.bus, agent).await?,
                heartbeats: heartbeat::is_on(gateway, agent).await?,
            },
            _ => Self {
                notes: Vec::new(),
                heartbeats: false,
            },
        })
    }
}

/// The agent of a job.
pub(crate) fn agent<'a>(gateway: &'a Gateway, job: &'a Job) -> &'a str {
    match job.agent.as_str() {
        "" => &gateway.config.default_agent,
        agent => agent,
    }
}

/// A run of `job`, as it begins.
fn run(
    gateway: &Gateway,
    job: &Job,
    Beside { notes, heartbeats }: &Beside,
    due_at_ms: i64,
    now_ms: i64,
    by_hand: bool,
) -> JobRun {
    let id = match by_hand {
        true => format!("manual:{}:{now_ms}:{}", job.id, job.runs + 1),
        false => format!("cron:{}:{due_at_ms}", job.id),
    };
    let run = JobRun {
        id,
        job_id: job.id.clone(),
        job_name: job.name.clone(),
        due_at_ms,
        started_at_ms: now_ms,
        by_hand,
        ..JobRun::default()
    };
    let named = |notes: &[Note]| notes.iter().map(|note| note.id.clone()).collect();
    let main = session::Key::main().to_string();
    match &job.what {
        Some(What::Turn(turn)) => JobRun {
            prompt: format!(
                "[cron: {}, {}] {}",
                job.name,
                clock(gateway, now_ms),
                turn.message
            ),
            session_key: session_of(gateway, job),
            ..run
        },
        // Told with the next heartbeat: nobody is asked now.
        Some(What::Event(event)) if job.wake_mode != "now" && *heartbeats => JobRun {
            prompt: event.text.clone(),
            ..run
        },
        Some(What::Event(event)) => JobRun {
            prompt: notes::prompt(notes, &format!("cron: {}", job.name), &event.text),
            notes: named(notes),
            session_key: main,
            ..run
        },
        Some(What::Heartbeat(_)) => {
            let prompt = &gateway.config.heartbeat.prompt;
            JobRun {
                prompt: notes::prompt(notes, "heartbeat", prompt),
                notes: named(notes),
                // Most find nothing, which is no part of a conversation; what was noted for it is.
                session_key: if notes.is_empty() {
                    heartbeat::session()
                } else {
                    main
                },
                ..run
            }
        }
        None => run,
    }
}

/// Where a question to the agent is asked.
fn session_of(gateway: &Gateway, job: &Job) -> String {
    let key = match job.session_target.split_once(':') {
        Some(("session", name)) => session::from_client(name, agent(gateway, job)).1,
        _ if job.session_target == "main" => session::Key::main(),
        _ => session::Key {
            channel: "cron".into(),
            kind: "job".into(),
            identifier: job.id.clone(),
        },
    };
    key.to_string()
}

/// The time as the agent is told it.
fn clock(gateway: &Gateway, now_ms: i64) -> String {
    let zone = gateway.config.cron.zone();
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    now.to_zoned(zone)
        .strftime("%A %Y-%m-%d %H:%M %Z")
        .to_string()
}
