//! What one shard has in hand: waiting in lanes, running, or finished a moment ago.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::{self, AckKind};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use prost::Message;
use tokio::time::Instant;
use tracing::{Instrument, debug, info_span};

use super::{Delivery, Outcome};
use crate::{Bus, dead, lanes::Lanes, ownership::Held, sabotaged, trace};

/// Finished messages remembered, to acknowledge them at once should they come again.
const REMEMBERED: usize = 4096;
/// A message in hand for longer is reported to the server as being worked on.
pub(super) const PROGRESS: Duration = Duration::from_secs(3);

/// How a consumer's messages are told apart and handled.
pub(super) struct Job<'a, L, H> {
    pub(super) bus: &'a Bus,
    pub(super) stream: &'static str,
    pub(super) in_hand: usize,
    pub(super) lane: &'a L,
    pub(super) handle: &'a H,
}

struct Item<M> {
    message: jetstream::Message,
    sequence: u64,
    decoded: Option<M>,
}

/// A message that has run.
pub(super) struct Finished {
    priority: usize,
    lane: String,
    sequence: u64,
    /// False when it was left undone because the shard is being handed over.
    settled: bool,
}

pub(super) struct Executor<'a, M, L, H> {
    job: Job<'a, L, H>,
    held: Arc<Held>,
    lanes: Lanes<Item<M>>,
    running: FuturesUnordered<BoxFuture<'a, Finished>>,
    /// The newest delivery of each message in hand: only that one can be acknowledged.
    newest: HashMap<u64, (jetstream::Message, Instant)>,
    finished: (HashSet<u64>, VecDeque<u64>),
}

impl<'a, M, L, H, F> Executor<'a, M, L, H>
where
    M: Message + Default + Clone + 'static,
    L: Fn(&M) -> String,
    H: Fn(Delivery<M>) -> F + Sync,
    F: Future<Output = Outcome> + Send + 'a,
{
    pub(super) fn new(job: Job<'a, L, H>, held: Arc<Held>) -> Self {
        Self {
            job,
            held,
            lanes: Lanes::new(),
            running: FuturesUnordered::new(),
            newest: HashMap::new(),
            finished: Default::default(),
        }
    }

    /// For each priority, whether more may wait here.
    pub(super) fn room(&self, most: usize) -> [bool; 4] {
        std::array::from_fn(|priority| self.lanes.waiting(priority) < most)
    }

    pub(super) fn idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Takes a delivered message in hand, unless it is there already.
    pub(super) async fn take(&mut self, message: jetstream::Message, priority: usize) {
        let Ok(info) = message.info() else { return };
        let sequence = info.stream_sequence;
        if self.finished.0.contains(&sequence) {
            acknowledge(&message).await;
            return;
        }
        let news = self
            .newest
            .insert(sequence, (message.clone(), Instant::now()))
            .is_none();
        if news {
            let decoded = M::decode(message.payload.clone()).ok();
            // What cannot be decoded gets a lane of its own, and is buried when its turn comes.
            let lane = decoded
                .as_ref()
                .filter(|_| !sabotaged("order"))
                .map_or_else(|| format!("?{sequence}"), self.job.lane);
            self.lanes.push(
                priority,
                lane,
                Item {
                    message,
                    sequence,
                    decoded,
                },
            );
            self.start();
        }
    }

    /// Starts as many waiting messages as there is room for.
    pub(super) fn start(&mut self) {
        while self.running.len() < self.job.in_hand {
            let Some((priority, lane, item)) = self.lanes.next() else {
                return;
            };
            let sequence = item.sequence;
            let run = run(
                self.job.bus,
                self.job.stream,
                self.held.clone(),
                self.job.handle,
                item,
            );
            let finished = run.map(move |settled| Finished {
                priority,
                lane,
                sequence,
                settled,
            });
            self.running.push(finished.boxed());
        }
    }

    /// Waits until one of the running messages has run; give it to [`Executor::finish`]. Safe to cancel.
    pub(super) async fn next_run(&mut self) -> Option<Finished> {
        self.running.next().await
    }

    /// Acknowledges a message that has run, and starts the next.
    pub(super) async fn finish(&mut self, finished: Finished) {
        let Finished {
            priority,
            lane,
            sequence,
            settled,
        } = finished;
        self.lanes.done(priority, &lane);
        let newest = self.newest.remove(&sequence);
        if settled {
            if let Some((message, _)) = newest {
                acknowledge(&message).await;
            }
            let (known, order) = &mut self.finished;
            known.insert(sequence);
            order.push_back(sequence);
            if order.len() > REMEMBERED {
                order.pop_front().map(|oldest| known.remove(&oldest));
            }
        }
        self.start();
    }

    /// Forgets what waits, because a new epoch delivers it again; what runs goes on.
    pub(super) fn forget_waiting(&mut self) {
        for item in self.lanes.clear() {
            self.newest.remove(&item.sequence);
        }
    }

    /// Tells the server which messages are still in hand.
    pub(super) async fn report(&mut self) {
        for (message, since) in self.newest.values_mut() {
            if since.elapsed() >= PROGRESS {
                *since = Instant::now();
                if let Err(error) = message.ack_with(AckKind::Progress).await {
                    debug!(error, "progress not told");
                }
            }
        }
    }
}

/// Handles one message to its end; false when it is left to the next owner.
async fn run<M, H, F>(
    bus: &Bus,
    stream: &'static str,
    held: Arc<Held>,
    handle: &H,
    item: Item<M>,
) -> bool
where
    M: Message + Default + Clone,
    H: Fn(Delivery<M>) -> F,
    F: Future<Output = Outcome>,
{
    let Item {
        message,
        sequence,
        decoded,
    } = item;
    let header = message
        .headers
        .as_ref()
        .and_then(|headers| headers.get(trace::HEADER));
    let trace = header
        .and_then(|header| header.as_str().parse().ok())
        .unwrap_or_else(trace::Trace::begin);
    let stored_ms = message
        .info()
        .map(|info| info.published.unix_timestamp_nanos() / 1_000_000);
    let stored_ms = stored_ms
        .ok()
        .and_then(|at| i64::try_from(at).ok())
        .unwrap_or_default();
    let Some(decoded) = decoded else {
        dead::bury(
            bus,
            &message,
            "undecodable: not a message of this version",
            0,
        )
        .await;
        return true;
    };
    let mut attempt = 1;
    loop {
        let delivery = Delivery {
            message: decoded.clone(),
            subject: message.subject.to_string(),
            sequence: dead::first_sequence(&message).unwrap_or(sequence),
            attempt,
            epoch: held.claim.epoch(),
            stored_ms,
            fence: held.fence.clone(),
        };
        let traced = async {
            let span = info_span!("handle", stream, subject = %message.subject, sequence, attempt);
            handle(delivery).instrument(span).await
        };
        let outcome = AssertUnwindSafe(trace::scope(trace, traced))
            .catch_unwind()
            .await;
        let outcome =
            outcome.unwrap_or_else(|_| Outcome::Dead("the handler panicked; see the log".into()));
        let name = match &outcome {
            Outcome::Ack => "ack",
            Outcome::Retry(_) => "retry",
            Outcome::Dead(_) => "dead",
        };
        metrics::counter!("openclaw_bus_handled_total", "stream" => stream, "outcome" => name)
            .increment(1);
        match outcome {
            Outcome::Ack => return true,
            Outcome::Dead(reason) => {
                dead::bury(bus, &message, &reason, attempt).await;
                return true;
            }
            Outcome::Retry(pause) => {
                tokio::select! {
                    () = tokio::time::sleep(pause) => attempt += 1,
                    () = held.drain.cancelled() => return false,
                }
            }
        }
    }
}

async fn acknowledge(message: &jetstream::Message) {
    // A lost acknowledgement means that the message comes again, and is known.
    if let Err(error) = message.ack().await {
        debug!(error, "acknowledgement not sent");
    }
}
