//! What agents say and what happens, as the bus tells it live, to every client that may read.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use chassis::clock::now_ms;
use futures_util::{Stream, StreamExt};
use proto::{
    subject,
    v1::{Announcement, Delta, Event},
};
use tokio::time::interval;

use crate::{announce, client::Client, clients::Audience, gateway::Gateway, runs::Tale};

/// How often runs that fell silent are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// Pause before the bus is listened to again.
const BREATH: Duration = Duration::from_secs(1);

type Told<M> = Pin<Box<dyn Stream<Item = (String, M)> + Send>>;

/// What is told live, heard from the moment this exists.
pub(crate) struct Heard {
    deltas: Told<Delta>,
    events: Told<Event>,
    announced: Told<Announcement>,
}

impl Heard {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn begin(gateway: &Gateway) -> Result<Self, bus::Error> {
        let deltas = gateway.bus.listen::<Delta>(subject::LIVE_DELTAS).await?;
        let events = gateway.bus.listen::<Event>(subject::LIVE_EVENTS).await?;
        let announced = gateway.bus.listen(subject::ANNOUNCE).await?;
        Ok(Self {
            announced: Box::pin(announced),
            deltas: Box::pin(deltas),
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
                    tell(gateway, &delta.agent, &delta.session_key, &tales);
                }
                Some((_, event)) = self.events.next() => {
                    let tales = gateway.runs().happened(&event, Instant::now());
                    if !tales.is_empty() {
                        gateway.health.age();
                    }
                    tell(gateway, &event.agent, &event.session_key, &tales);
                    gateway.watch.happened(&event);
                    gateway.awaited.happened(&event);
                }
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

/// Tells whoever may read, and the nodes that asked to hear this session.
fn tell(gateway: &Gateway, agent: &str, session_key: &str, tales: &[Tale]) {
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
        let audience = Audience {
            protocols: (tale.since_protocol, 4),
            ..Audience::READERS
        };
        gateway.clients.tell(&tale.event, audience, tale.worth);
    }
}
