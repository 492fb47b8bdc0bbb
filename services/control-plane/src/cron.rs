//! Jobs by the clock: kept on the bus, watched by one replica at a time, each due time run once.
//!
//! Everything follows from what is stored. A due time becomes a run by one compare-and-swap on the job's record, which
//! names the turn; whoever watches the jobs then sees a run that is being made and tends it to its end. Each step of
//! that may be repeated by the next owner after any crash: the turn, the message that tells its answer and the line in
//! the record of runs have names that follow from the run.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bus::{Bucket, Fence};
use chassis::clock::now_ms;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use proto::{
    subject,
    v1::{Event, Job, event::What},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{gateway::Gateway, turns};
use schedule::Due;

mod begin;
mod delivery;
mod end;
pub(crate) mod heartbeat;
mod notes;
pub(crate) mod schedule;
pub(crate) mod settings;
pub(crate) mod store;
mod tend;

pub(crate) use begin::{Began, Only, by_hand, next};
pub(crate) use end::told;
pub(crate) use notes::{leave, wake};

/// Runs that are made at once; others that are due wait for their turn.
const AT_ONCE: usize = 16;
/// The clock is looked at this often at least: it may be set.
const LOOK: Duration = Duration::from_secs(20);
/// Pause after the bus did not do as asked.
const BREATH: Duration = Duration::from_secs(1);

/// Watches the jobs whenever this replica is the one to do it, until the gateway stops.
///
/// # Errors
/// When the bus is gone for good.
pub(crate) async fn keep(gateway: &Arc<Gateway>) -> Result<(), bus::Error> {
    let (bus, stop) = (&gateway.bus, &gateway.stop);
    bus::owned(bus, "cron", "cron", stop, |fence, drain| async move {
        let watch = Watch::begin(gateway, fence).await;
        let kept = match watch {
            Ok(mut watch) => tokio::select! {
                () = drain.cancelled() => return,
                kept = watch.keep() => kept,
            },
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "jobs are not watched just now");
            pause(&drain).await;
        }
    })
    .await
}

async fn pause(drain: &CancellationToken) {
    tokio::select! {
        () = drain.cancelled() => {}
        () = tokio::time::sleep(BREATH) => {}
    }
}

type Jobs = futures_util::stream::BoxStream<'static, (String, Option<Job>)>;
type Events = futures_util::stream::BoxStream<'static, (String, Event)>;

/// A run that was tended to its end.
struct Tended {
    turn_id: String,
    key: String,
    /// The job after it; `None` once it is gone.
    job: Option<Job>,
}

/// The jobs, as the replica that owns them sees them.
struct Watch {
    gateway: Arc<Gateway>,
    fence: Fence,
    changes: Jobs,
    happened: Events,
    /// By the key under which they are kept.
    jobs: BTreeMap<String, Job>,
    /// Who waits for the end of which turn.
    waiting: HashMap<String, oneshot::Sender<Event>>,
    tending: FuturesUnordered<BoxFuture<'static, Tended>>,
}

impl Watch {
    async fn begin(gateway: &Arc<Gateway>, fence: Fence) -> Result<Self, bus::Error> {
        // Heard before any run is looked at: an end is either heard or known to the ledger by then.
        let happened = gateway.bus.listen::<Event>(subject::LIVE_EVENTS).await?;
        heartbeat::settle(gateway).await?;
        let changes = gateway.bus.bucket(Bucket::Jobs).watch::<Job>().await?;
        Ok(Self {
            gateway: gateway.clone(),
            fence,
            changes: changes.boxed(),
            happened: happened.boxed(),
            jobs: BTreeMap::new(),
            waiting: HashMap::new(),
            tending: FuturesUnordered::new(),
        })
    }

    async fn keep(&mut self) -> Result<(), bus::Error> {
        loop {
            let wait = self.look().await?;
            tokio::select! {
                change = self.changes.next() => match change {
                    Some((key, Some(job))) => { self.jobs.insert(key, job); }
                    Some((key, None)) => { self.jobs.remove(&key); }
                    None => return Ok(()),
                },
                event = self.happened.next() => match event {
                    Some((_, event)) => self.hear(event),
                    None => return Ok(()),
                },
                Some(Tended { turn_id, key, job }) = self.tending.next(), if !self.tending.is_empty() => {
                    self.waiting.remove(&turn_id);
                    match job {
                        Some(job) => self.jobs.insert(key, job),
                        None => self.jobs.remove(&key),
                    };
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Begins what is due and tends what runs; how long nothing will be due.
    async fn look(&mut self) -> Result<Duration, bus::Error> {
        let (now_ms, mut next_ms) = (now_ms(), i64::MAX);
        let settings = &self.gateway.config.cron;
        let (zone, grace_ms) = (settings.zone(), settings.grace_ms());
        let mut due = Vec::new();
        for (key, job) in &self.jobs {
            match (&job.running, schedule::look(job, now_ms, grace_ms, &zone)) {
                (Some(run), _) if !self.waiting.contains_key(&turns::turn_id(&run.id)) => {
                    due.push(key.clone())
                }
                (Some(_), _) => {}
                (None, Due::Later(then)) => next_ms = next_ms.min(then.unwrap_or(i64::MAX)),
                (None, _) if settings.enabled => due.push(key.clone()),
                (None, _) => {}
            }
        }
        for key in due {
            if !self.fence.holds() {
                return Ok(BREATH);
            }
            self.take(&key, now_ms).await?;
        }
        let wait = u64::try_from(next_ms.saturating_sub(now_ms)).unwrap_or_default();
        Ok(LOOK.min(Duration::from_millis(wait)))
    }

    /// Makes a run of a due job, and tends the run that a job has.
    async fn take(&mut self, key: &str, now_ms: i64) -> Result<(), bus::Error> {
        let Some(job) = self.jobs.get(key) else {
            return Ok(());
        };
        if job.running.is_none() {
            if self.tending.len() >= AT_ONCE {
                return Ok(());
            }
            let claimed = begin::due(&self.gateway, &job.id, now_ms).await?;
            match claimed {
                Some(job) => self.jobs.insert(key.to_owned(), job),
                None => self.jobs.remove(key),
            };
        }
        let Some(job) = self.jobs.get(key).filter(|job| job.running.is_some()) else {
            return Ok(());
        };
        let turn_id = turns::turn_id(job.running.as_ref().map_or("", |run| &run.id));
        let (ended, end) = oneshot::channel();
        self.waiting.insert(turn_id.clone(), ended);
        let (gateway, fence, job) = (self.gateway.clone(), self.fence.clone(), job.clone());
        let key = key.to_owned();
        self.tending.push(Box::pin(async move {
            let job = tend::tend(&gateway, &fence, job, end).await;
            Tended { turn_id, key, job }
        }));
        Ok(())
    }

    /// Tells who waits for it that a turn ended.
    fn hear(&mut self, event: Event) {
        let ends = match &event.what {
            Some(What::Answered(_) | What::Failed(_) | What::Aborted(_)) => true,
            Some(What::Dead(dead)) => dead.outbound_id.is_empty(),
            _ => false,
        };
        if ends
            && let Some(waits) = self.waiting.get_mut(&event.turn_id)
            && !waits.is_closed()
        {
            // The name stays taken until the run is tended to its end.
            let (spent, _) = oneshot::channel();
            let waits = std::mem::replace(waits, spent);
            // Who waited has heard it from the ledger meanwhile.
            let _ = waits.send(event);
        }
    }
}
