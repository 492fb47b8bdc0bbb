//! One owned shard: its four consumers of this epoch, and the messages in hand.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    self, ErrorCode,
    consumer::{AckPolicy, pull},
    stream::{ConsumerErrorKind, Stream},
};
use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    future::{BoxFuture, poll_fn, try_join_all},
};
use prost::Message;
use std::task::Poll;
use tracing::debug;

use super::{
    Delivery, Outcome, Source,
    executor::{Executor, Job, PROGRESS},
};
use crate::{
    Bus, Error,
    ownership::Held,
    pull::{BATCH, EXPIRES, HEARTBEAT},
};

/// Letters of the priorities in subjects, most urgent first.
const PRIORITIES: [char; 4] = ['c', 'h', 'n', 'l'];
/// Messages of one priority that may wait here; more wait in the stream.
const WAITING: usize = 128;
/// Deliveries of one consumer that are not acknowledged yet.
const UNACKNOWLEDGED: i64 = 512;
/// A delivery that was not heard of for this long comes again: short, because work in hand is heard of.
const ACK_WAIT: Duration = Duration::from_secs(9);
/// Hand-over waits this long for what runs.
const HAND_OVER: Duration = Duration::from_secs(8);

/// Handles the shard's messages until it is drained or lost.
pub(super) async fn work<M, L, H, F>(
    bus: &Bus,
    source: &Source,
    held: Arc<Held>,
    lane: &L,
    handle: &H,
) where
    M: Message + Default + Clone + 'static,
    L: Fn(&M) -> String + Sync,
    H: Fn(Delivery<M>) -> F + Sync,
    F: Future<Output = Outcome> + Send,
{
    let job = Job {
        bus,
        stream: source.stream,
        in_hand: source.in_hand,
        lane,
        handle,
    };
    let mut executor: Executor<'_, M, L, H> = Executor::new(job, held.clone());
    let mut connections = bus.inner.connections.clone();
    connections.mark_unchanged();
    let mut opening: Option<BoxFuture<'_, Option<Pulls>>> =
        Some(Pulls::open(bus, source, &held, false).boxed());
    let mut pulls: Option<Pulls> = None;
    let mut report = tokio::time::interval(PROGRESS);
    loop {
        let room = executor.room(WAITING);
        let broken = tokio::select! {
            () = held.drain.cancelled() => break,
            opened = async { opening.as_mut().expect("guarded").await }, if opening.is_some() => {
                opening = None;
                pulls = opened;
                if pulls.is_none() {
                    break;
                }
                false
            }
            next = async { pulls.as_mut().expect("guarded").next(room).await }, if pulls.is_some() => {
                match next {
                    Some((priority, message)) => {
                        executor.take(message, priority).await;
                        false
                    }
                    None => true,
                }
            }
            _ = connections.changed() => true,
            Some(finished) = executor.next_run(), if !executor.idle() => {
                executor.finish(finished).await;
                false
            }
            _ = report.tick() => {
                executor.report().await;
                false
            }
        };
        if broken {
            // What was on its way here may be lost: a new epoch delivers all that is not acknowledged, in order.
            debug!(shard = held.shard, "new epoch for {}", held.shard);
            pulls = None;
            executor.forget_waiting();
            opening = Some(Pulls::open(bus, source, &held, true).boxed());
        }
    }
    executor.forget_waiting();
    let finish = async {
        while let Some(finished) = executor.next_run().await {
            executor.finish(finished).await;
        }
    };
    if !held.fence.lost() && tokio::time::timeout(HAND_OVER, finish).await.is_err() {
        debug!(
            shard = held.shard,
            "{} handed over with work undone", held.shard
        );
    }
}

/// The pull streams of one epoch.
struct Pulls {
    streams: [pull::Stream; 4],
    delivered: [u64; 4],
}

impl Pulls {
    /// Makes this epoch's consumers in place of all older ones; `None` when the shard is lost.
    async fn open(bus: &Bus, source: &Source, held: &Held, renew: bool) -> Option<Self> {
        let mut renew = renew;
        loop {
            if renew && !held.renew().await {
                return None;
            }
            match Self::try_open(bus, source, held).await {
                Ok(Some(pulls)) => return Some(pulls),
                Ok(None) => {
                    held.fence.lose();
                    return None;
                }
                Err(error) => {
                    debug!(
                        error = &error as &dyn std::error::Error,
                        "{} is not open yet", held.shard
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    renew = true;
                }
            }
        }
    }

    async fn try_open(bus: &Bus, source: &Source, held: &Held) -> Result<Option<Self>, Error> {
        let stream = bus
            .inner
            .context
            .get_stream_no_info(source.stream)
            .await
            .map_err(Error::away)?;
        let epoch = held.claim.epoch();
        let name = held.shard.replace('.', "_");
        for _ in 0..50 {
            // The list may be stale in a cluster, so it is read again in each round.
            if !remove_older(&stream, &name, epoch).await? {
                return Ok(None);
            }
            let consumers = PRIORITIES.map(|letter| {
                let config = pull::Config {
                    durable_name: Some(format!("{name}-{letter}-{epoch}")),
                    filter_subject: format!("{}.{letter}.>", held.shard),
                    ack_policy: AckPolicy::Explicit,
                    ack_wait: ACK_WAIT,
                    max_ack_pending: UNACKNOWLEDGED,
                    inactive_threshold: Duration::from_secs(300),
                    // The stream itself knows what is not acknowledged, so the consumer may forget.
                    memory_storage: true,
                    ..pull::Config::default()
                };
                stream.create_consumer(config)
            });
            let consumers = match try_join_all(consumers).await {
                Ok(consumers) => consumers,
                Err(error) if overlaps(&error) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                Err(error) => return Err(Error::away(error)),
            };
            let streams = try_join_all(consumers.iter().map(|consumer| {
                let builder = consumer.stream().max_messages_per_batch(BATCH);
                builder.expires(EXPIRES).heartbeat(HEARTBEAT).messages()
            }));
            let streams = streams.await.map_err(Error::away)?;
            let Ok(streams) = streams.try_into() else {
                return Err(Error::away("four streams"));
            };
            return Ok(Some(Self {
                streams,
                delivered: [0; 4],
            }));
        }
        Err(Error::away("older consumers do not go away"))
    }

    /// The next message and its priority; `None` when a stream broke or skipped a delivery.
    async fn next(&mut self, room: [bool; 4]) -> Option<(usize, jetstream::Message)> {
        poll_fn(|context| {
            for (priority, stream) in self.streams.iter_mut().enumerate() {
                if !room[priority] {
                    continue;
                }
                if let Poll::Ready(next) = stream.poll_next_unpin(context) {
                    let Some(Ok(message)) = next else {
                        return Poll::Ready(None);
                    };
                    let expected = self.delivered[priority] + 1;
                    self.delivered[priority] = expected;
                    let in_order = message
                        .info()
                        .is_ok_and(|info| info.consumer_sequence == expected);
                    return Poll::Ready(in_order.then_some((priority, message)));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Deletes this shard's consumers of earlier epochs; false when there is one of a later epoch.
async fn remove_older(stream: &Stream<()>, shard: &str, epoch: u64) -> Result<bool, Error> {
    let names: Vec<String> = stream
        .consumer_names()
        .try_collect()
        .await
        .map_err(Error::away)?;
    for name in names {
        let mut parts = name.rsplitn(3, '-');
        let (of_epoch, _letter, of_shard) = (parts.next(), parts.next(), parts.next());
        let (Some(of_epoch), true) = (
            of_epoch.and_then(|e| e.parse::<u64>().ok()),
            of_shard == Some(shard),
        ) else {
            continue;
        };
        if of_epoch > epoch {
            return Ok(false);
        }
        if of_epoch < epoch {
            // Already gone is as good.
            let _ = stream.delete_consumer(&name).await;
        }
    }
    Ok(true)
}

fn overlaps(error: &jetstream::stream::ConsumerError) -> bool {
    // 10100: filtered consumer not unique on a work queue. Source: nats-server errors.json, 2.15.
    matches!(error.kind(), ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode(10100))
}
