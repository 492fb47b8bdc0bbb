//! A run from its record to its end, where any step may be the second time: the one before may have died in the middle.

use std::{fmt::Debug, time::Duration};

use bus::Fence;
use chassis::clock::now_ms;
use proto::v1::{Dead, Event, Job, JobRun, Sender, event, job};
use tokio::sync::oneshot;

use super::{begin, end, notes, store};
use crate::{gateway::Gateway, refusal::Refusal, turns};

/// Pause before the bus is asked again.
const BREATH: Duration = Duration::from_secs(1);
/// How often the ledger is asked how a turn ended: its end may have been told while nobody listened.
const ASK: Duration = Duration::from_secs(20);
/// Longer than any message lives.
const LONGEST_MS: i64 = 25 * 60 * 60 * 1000;

/// Tends the run that `job` has, to its end; the job as it is then, `None` once it is gone.
pub(super) async fn tend(
    gateway: &Gateway,
    fence: &Fence,
    job: Job,
    ended: oneshot::Receiver<Event>,
) -> Option<Job> {
    // What was seen may be old: only what is stored now counts.
    let now = insist(|| store::find(&gateway.bus, &job.id)).await?;
    let run = match &now.running {
        Some(run) if job.running.as_ref().is_some_and(|seen| seen.id == run.id) => run.clone(),
        _ => return Some(now),
    };
    if run.session_key.is_empty() {
        let agent = begin::agent(gateway, &now);
        insist(|| notes::leave(&gateway.bus, agent, &run.id, &run.prompt)).await;
        return end::noted(gateway, &now, run).await;
    }
    if !run.asked {
        end::tell(gateway, &run).await;
        match ask(gateway, fence, &now, &run).await {
            Asked::Yes => {}
            Asked::Lost => return Some(now),
            Asked::Never(why) => return end::never(gateway, &now, run, why).await,
        }
    }
    let event = wait(gateway, &run, ended).await;
    end::ended(gateway, &now, run, event).await
}

/// How the question went.
enum Asked {
    Yes,
    /// Another replica may tend the run.
    Lost,
    /// It will never be taken.
    Never(String),
}

async fn ask(gateway: &Gateway, fence: &Fence, job: &Job, run: &JobRun) -> Asked {
    let question = question(gateway, job, run);
    loop {
        if !fence.holds() {
            return Asked::Lost;
        }
        match turns::begin(gateway, &question).await {
            Ok(_) => break,
            Err(Refusal::Busy(_)) => tokio::time::sleep(BREATH).await,
            Err(refusal) => return Asked::Never(refusal.error(4).message),
        }
    }
    let agent = begin::agent(gateway, job);
    insist(|| notes::told(&gateway.bus, agent, &run.notes)).await;
    let mark = |job: &mut Job| {
        if let Some(running) = job.running.as_mut().filter(|it| it.id == run.id) {
            running.asked = true;
        }
        Ok(())
    };
    insist(|| store::change(&gateway.bus, &job.id, mark)).await;
    Asked::Yes
}

/// What the agent is asked.
fn question(gateway: &Gateway, job: &Job, run: &JobRun) -> turns::Ask {
    let mut ask = turns::Ask {
        run_id: run.id.clone(),
        agent: begin::agent(gateway, job).to_owned(),
        session_key: run.session_key.clone(),
        text: run.prompt.clone(),
        literal: true,
        fresh: run.session_key.starts_with("cron:"),
        sender: Sender {
            id: "cron".into(),
            display_name: job.name.clone(),
            ..Sender::default()
        },
        ..turns::Ask::default()
    };
    if let Some(job::What::Turn(turn)) = &job.what {
        let wished = [("model", &turn.model), ("thinking", &turn.thinking)];
        let wished = wished.into_iter().filter(|(_, value)| !value.is_empty());
        ask.preferences = wished.map(|(name, value)| (name, value.clone())).collect();
        let allowed = u64::try_from(turn.timeout_ms).ok().filter(|ms| *ms > 0);
        ask.allowed = allowed.map(Duration::from_millis);
    }
    ask
}

/// The end of a run: heard, or asked of the ledger.
async fn wait(gateway: &Gateway, run: &JobRun, mut ended: oneshot::Receiver<Event>) -> Event {
    let turn_id = turns::turn_id(&run.id);
    let mut deaf = false;
    loop {
        let known = async {
            let known = turns::outcome(&gateway.bus, &turn_id).await;
            let end = known.ok().and_then(|known| known.end);
            if end.is_none() {
                tokio::time::sleep(ASK).await;
            }
            end
        };
        tokio::select! {
            heard = &mut ended, if !deaf => match heard {
                Ok(event) => return event,
                // Nobody tells any more: the ledger alone is asked.
                Err(_) => deaf = true,
            },
            known = known => if let Some(event) = known {
                return event;
            }
        }
        if now_ms() - run.started_at_ms > LONGEST_MS {
            let reason = "its end was never heard; look with `openclaw trace`".into();
            let dead = Dead {
                reason,
                ..Dead::default()
            };
            return Event {
                what: Some(event::What::Dead(dead)),
                ..Event::default()
            };
        }
    }
}

/// Does it until it is done.
pub(super) async fn insist<T, E: Debug, F>(mut act: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    loop {
        match act().await {
            Ok(done) => return done,
            Err(error) => tracing::debug!(?error, "a run of a job waits for the bus"),
        }
        tokio::time::sleep(BREATH).await;
    }
}
