//! What agents say and what happens, as the bus tells it live, to every client that may read.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use bus::Record;
use chassis::clock::now_ms;
use futures_util::{Stream, StreamExt};
use proto::{
    subject,
    v1::{Announcement, Delta, Event},
    ws,
};
use tokio::time::interval;

use crate::{
    announce, client::Client, clients::Audience, cursor::Cursor, gateway::Gateway, runs::Tale,
};

/// The stream of what happened.
pub(crate) const EVENT: &str = "EVENT";

/// How often runs that fell silent are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// Pause before the bus is listened to again.
const BREATH: Duration = Duration::from_secs(1);

type Told<M> = Pin<Box<dyn Stream<Item = (String, M)> + Send>>;

/// What is told, heard from the moment this exists.
pub(crate) struct Heard {
    deltas: Told<Delta>,
    announced: Told<Announcement>,
    /// Read from the stream, so that none is missed, whatever becomes of the connection.
    events: Pin<Box<dyn Stream<Item = Record<Event>> + Send>>,
}

impl Heard {
    /// Begins to listen: to events from where clients were told last, or else from now on.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn begin(gateway: &Gateway) -> Result<Self, bus::Error> {
        let bus = &gateway.bus;
        let deltas = bus.listen::<Delta>(subject::LIVE_DELTAS).await?;
        let announced = bus.listen(subject::ANNOUNCE).await?;
        let stream = bus.stream_state(EVENT).await?;
        let newest = Cursor {
            created_ms: stream.created_ms,
            sequence: stream.last,
        };
        let told = gateway.clients.told();
        let from = match told.created_ms == newest.created_ms {
            true => told,
            false => newest,
        };
        gateway
            .clients
            .tell_happened(from, true, std::iter::empty());
        let events = bus.follow::<Event>(EVENT, from.sequence).await?;
        Ok(Self {
            deltas: Box::pin(deltas),
            announced: Box::pin(announced),
            events: Box::pin(events),
        })
    }

    /// Tells clients what is heard until the gateway stops.
    pub(crate) async fn tell(mut self, gateway: &Gateway) {
        let mut sweep = interval(SWEEP);
        loop {
            tokio::select! {
                // Deltas first: an answer's end is never told before its last piece.
                biased;
                () = gateway.stop.cancelled() => return,
                Some((_, delta)) = self.deltas.next() => {
                    gateway.watch.heard(&delta);
                    let tales = gateway.runs().delta(&delta, Instant::now(), now_ms());
                    tell_nodes(gateway, &delta.agent, &delta.session_key, &tales);
                    for tale in &tales {
                        gateway.clients.tell(&tale.event, tale.audience(), tale.worth);
                    }
                }
                Some(record) = self.events.next() => happened(gateway, &record),
                Some((_, announced)) = self.announced.next() => announce::pass_on(gateway, &announced),
                _ = sweep.tick() => gateway.runs().forget(Instant::now()),
                else => {
                    // The connection ended for good and the bus makes a new one.
                    tokio::time::sleep(BREATH).await;
                    if let Ok(anew) = Self::begin(gateway).await {
                        self = anew;
                    }
                }
            }
        }
    }
}

/// Tells clients what happened, and notes that they know.
fn happened(gateway: &Gateway, record: &Record<Event>) {
    let tales = match &record.message {
        Some(event) => {
            let tales = gateway.runs().happened(event, Instant::now());
            tell_nodes(gateway, &event.agent, &event.session_key, &tales);
            gateway.watch.happened(event);
            gateway.awaited.happened(event);
            tales
        }
        None => Vec::new(),
    };
    if !tales.is_empty() {
        gateway.health.age();
    }
    let at = Cursor {
        sequence: record.sequence,
        ..gateway.clients.told()
    };
    gateway
        .clients
        .tell_happened(at, record.rest == 0, tales.iter());
}

/// Tells the nodes that asked to hear this session.
fn tell_nodes(gateway: &Gateway, agent: &str, session_key: &str, tales: &[Tale]) {
    if tales.is_empty() {
        return;
    }
    let nodes = gateway.nodes.listeners.of(agent, session_key);
    let nodes: Vec<_> = nodes
        .iter()
        .filter_map(|id| gateway.clients.find(id))
        .collect();
    for tale in tales {
        let known = |node: &&std::sync::Arc<Client>| node.grant.protocol >= tale.since_protocol;
        for node in nodes.iter().filter(known) {
            node.outbox.tell(&tale.event, tale.worth);
        }
    }
}

impl Tale {
    /// The event, saying where it happened.
    pub(crate) fn marked(&self, at: Cursor) -> ws::Event {
        self.event.with("cursor", &at.to_string())
    }

    /// Who is told: all who may read and know it.
    pub(crate) fn audience(&self) -> Audience {
        Audience {
            protocols: (self.since_protocol, 4),
            ..Audience::READERS
        }
    }
}
