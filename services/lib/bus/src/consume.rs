//! Handling messages in order: this process's share of a stream's shards, each with four priorities.

use std::{sync::Arc, time::Duration};

use prost::Message;
use tokio_util::sync::CancellationToken;

use crate::{Bus, Error, Fence, ownership};

mod executor;
mod shard;

/// What is to become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; forget it.
    Ack,
    /// Not now; hand it out again after this. Later messages of its lane wait.
    Retry(Duration),
    /// Never; keep it in `DEAD` with this reason.
    Dead(String),
}

/// What to consume.
#[derive(Clone, Debug)]
pub struct Source {
    /// The stream.
    pub stream: &'static str,
    /// Who shares the work: workers of the same group never handle the same shard at the same time.
    pub group: String,
    /// Subject prefixes; each is followed by `.<priority letter>.`
    pub shards: Vec<String>,
    /// Messages handled at once in one shard.
    pub in_hand: usize,
}

impl Source {
    /// All partitions of `IN` or `TURN`.
    #[must_use]
    pub fn partitions(bus: &Bus, stream: &'static str, group: &str) -> Self {
        let prefix = stream.to_lowercase();
        let shards = (0..bus.partitions())
            .map(|part| format!("{prefix}.{part}"))
            .collect();
        Self {
            stream,
            group: group.into(),
            shards,
            in_hand: 64,
        }
    }
}

/// A message, handed out.
#[derive(Clone)]
pub struct Delivery<M> {
    /// What it says.
    pub message: M,
    /// Its subject.
    pub subject: String,
    /// Its sequence in the stream: the same whenever it is delivered again, also as a dead letter that is replayed.
    pub sequence: u64,
    /// 1 at first; more after [`Outcome::Retry`]. A new owner begins at 1 again.
    pub attempt: u32,
    /// Number of this ownership: higher than that of any earlier owner of the shard.
    pub epoch: u64,
    /// When the stream stored it, Unix epoch.
    pub stored_ms: i64,
    /// Ask it right before doing anything that people see.
    pub fence: Fence,
}

/// Handles this process's share of `source` until `stop`; then finishes what is in hand.
///
/// `lane` names a message's lane: within one, messages of the same priority are handled one after the other; a slow
/// lane holds up no other. A message is acknowledged after `handle` says so, and handed out again, by whoever owns
/// the shard then, if this process dies. A handler that panics makes a dead letter.
///
/// # Errors
/// [`Error::Unavailable`] when the connection is closed for good.
pub async fn consume<M, L, H, F>(
    bus: &Bus,
    source: Source,
    stop: &CancellationToken,
    lane: L,
    handle: H,
) -> Result<(), Error>
where
    M: Message + Default + Clone + 'static,
    L: Fn(&M) -> String + Sync,
    H: Fn(Delivery<M>) -> F + Sync,
    F: Future<Output = Outcome> + Send,
{
    let (source, lane, handle) = (&source, &lane, &handle);
    ownership::hold(
        bus,
        &source.group,
        &source.shards,
        stop,
        |held: Arc<ownership::Held>| shard::work(bus, source, held, lane, handle),
    )
    .await
}
