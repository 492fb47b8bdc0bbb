//! Sharing a group's shards among its live workers: each shard has one owner at a time.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use crate::claim::Fence;
use crate::{
    Bus, Error,
    claim::{Attempt, Claim, Pulse},
    members::{Beat, Members},
};

/// A shard that this process owns.
pub(crate) struct Held {
    pub(crate) shard: String,
    pub(crate) claim: Claim,
    pub(crate) fence: Fence,
    /// Cancelled when the shard is to be handed over, or is lost.
    pub(crate) drain: CancellationToken,
}

impl Held {
    /// Begins a new epoch, repeating while the bus is away; `false` when the shard is lost.
    pub(crate) async fn renew(&self) -> bool {
        loop {
            match self.claim.renew().await {
                Ok(true) => return true,
                Ok(false) => {
                    self.fence.lose();
                    return false;
                }
                Err(error) => {
                    debug!(
                        error = &error as &dyn std::error::Error,
                        "{} waits for the bus", self.shard
                    );
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

/// Runs `work` while this process, and no other of `group`, owns `shard`; again whenever it comes to own it again.
///
/// The token is cancelled when the shard is lost or to be handed over, and at `stop`: `work` then returns soon.
///
/// # Errors
/// [`Error::Unavailable`] when the connection is closed for good.
pub async fn owned<W, F>(
    bus: &Bus,
    group: &str,
    shard: &str,
    stop: &CancellationToken,
    work: W,
) -> Result<(), Error>
where
    W: Fn(Fence, CancellationToken) -> F + Sync,
    F: Future<Output = ()> + Send,
{
    let shards = [shard.to_owned()];
    hold(bus, group, &shards, stop, |held: Arc<Held>| {
        work(held.fence.clone(), held.drain.clone())
    })
    .await
}

/// Owns this worker's share of `shards` until `stop`, running `work` for each as long as it is owned.
pub(crate) async fn hold<W, F>(
    bus: &Bus,
    group: &str,
    shards: &[String],
    stop: &CancellationToken,
    work: W,
) -> Result<(), Error>
where
    W: Fn(Arc<Held>) -> F + Sync,
    F: Future<Output = ()> + Send,
{
    let settings = &bus.inner.settings;
    let subject = format!(
        "beat.{}",
        group.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
    );
    let client = &bus.inner.client;
    let mut beats = client
        .subscribe(subject.clone())
        .await
        .map_err(Error::away)?;
    let mut group = Group {
        bus,
        shards,
        work: &work,
        subject,
        me: uuid::Uuid::new_v4().to_string(),
        born: Instant::now(),
        members: Members::new("", settings.lease, Instant::now()),
        pulse: Arc::new(Pulse::new(Instant::now(), settings.lease)),
        busy: HashMap::new(),
        tasks: FuturesUnordered::new(),
        leaving: false,
    };
    group.members = Members::new(&group.me, settings.lease, group.born);
    group.pulse = Arc::new(Pulse::new(group.born, settings.lease));
    let mut tick = tokio::time::interval(settings.lease / 4);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !(group.leaving && group.tasks.is_empty()) {
        tokio::select! {
            () = stop.cancelled(), if !group.leaving => group.leave().await,
            _ = tick.tick() => {
                group.members.forget_silent(Instant::now());
                group.beat().await;
                group.settle();
            }
            beat = beats.next() => {
                let Some(beat) = beat else { return Err(Error::away("subscription ended")) };
                if let Ok(beat) = serde_json::from_slice(&beat.payload) {
                    group.hear(beat);
                }
            }
            Some(index) = group.tasks.next(), if !group.tasks.is_empty() => {
                group.busy.remove(&index);
                group.beat().await;
                group.settle();
            }
        }
    }
    group.beat().await;
    Ok(())
}

struct Group<'a, W> {
    bus: &'a Bus,
    shards: &'a [String],
    work: &'a W,
    subject: String,
    me: String,
    born: Instant,
    members: Members,
    pulse: Arc<Pulse>,
    /// Shards that are being taken or held.
    busy: HashMap<usize, CancellationToken>,
    tasks: FuturesUnordered<BoxFuture<'a, usize>>,
    leaving: bool,
}

impl<'a, W, F> Group<'a, W>
where
    W: Fn(Arc<Held>) -> F + Sync,
    F: Future<Output = ()> + Send + 'a,
{
    async fn leave(&mut self) {
        self.leaving = true;
        self.busy.values().for_each(CancellationToken::cancel);
        self.beat().await;
    }

    async fn beat(&mut self) {
        let beat = Beat {
            worker: self.me.clone(),
            sent_ms: u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX),
            shards: self.busy.keys().copied().collect(),
            leaving: self.leaving,
        };
        let payload = serde_json::to_vec(&beat).unwrap_or_default();
        if let Err(error) = self
            .bus
            .inner
            .client
            .publish(self.subject.clone(), payload.into())
            .await
        {
            debug!(error = &error as &dyn std::error::Error, "beat not sent");
        }
    }

    fn hear(&mut self, beat: Beat) {
        if beat.worker == self.me {
            self.pulse.echo(beat.sent_ms);
        } else if self.members.hear(beat, Instant::now()) {
            self.settle();
        }
    }

    /// Takes what should be ours and is free; hands over what should be another's.
    fn settle(&mut self) {
        let settled = self.bus.inner.settings.exclusive || self.members.settled(Instant::now());
        for (index, mine) in self.members.mine(self.shards.len()).into_iter().enumerate() {
            match self.busy.get(&index) {
                Some(drain) if !mine => drain.cancel(),
                None if mine && !self.leaving && !self.members.taken(index) => {
                    let drain = CancellationToken::new();
                    self.busy.insert(index, drain.clone());
                    self.tasks.push(self.tend(index, settled, drain));
                }
                _ => {}
            }
        }
    }

    /// One ownership of one shard, from the claim to the release.
    fn tend(&self, index: usize, settled: bool, drain: CancellationToken) -> BoxFuture<'a, usize> {
        let (bus, work, shard, me) = (self.bus, self.work, &self.shards[index], self.me.clone());
        let pulse = self.pulse.clone();
        let pause = bus.inner.settings.lease / 5;
        async move {
            match Claim::take(bus, shard, &me, settled).await {
                Ok(Attempt::Won(claim)) => {
                    debug!(shard, epoch = claim.epoch(), "took {shard}");
                    let held = Held {
                        shard: shard.clone(),
                        claim,
                        fence: Fence::new(pulse),
                        drain,
                    };
                    keep(Arc::new(held), work, pause).await;
                }
                Ok(Attempt::NotNow) => tokio::time::sleep(pause).await,
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot take {shard} yet"
                    );
                    tokio::time::sleep(pause).await;
                }
            }
            index
        }
        .boxed()
    }
}

/// Works on a shard until it is drained or lost, then releases it.
async fn keep<W, F>(held: Arc<Held>, work: &W, pause: Duration)
where
    W: Fn(Arc<Held>) -> F,
    F: Future<Output = ()>,
{
    let watch = async {
        loop {
            tokio::time::sleep(pause * 8).await;
            if matches!(held.claim.stands().await, Ok(false)) {
                held.fence.lose();
                held.drain.cancel();
                return;
            }
        }
    };
    let (working, mut watch) = (work(held.clone()), std::pin::pin!(watch));
    let mut working = std::pin::pin!(working);
    tokio::select! {
        () = &mut working => {}
        () = &mut watch => working.await,
    }
    // From here on the next owner acts, whatever still holds a fence of ours.
    held.fence.lose();
    match held.claim.release().await {
        Ok(true) => debug!(shard = held.shard, "released {}", held.shard),
        _ => warn!(shard = held.shard, "lost {}", held.shard),
    }
}
