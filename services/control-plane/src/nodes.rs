//! Nodes: what all connections of one gateway know about the machines that do what agents ask.

use std::time::{Duration, Instant};

use bus::{Bucket, Store};
use chassis::clock::now_ms;
use futures_util::StreamExt;
use proto::{
    subject,
    v1::{Node, NodeParcel, ReplicaBeat},
};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::{Config, gateway::Gateway};
use calls::Calls;
use listeners::Listeners;
use mail::Post;
use policy::Policy;
use replicas::{BEAT, Replicas};

mod calls;
mod life;
mod listeners;
mod mail;
pub(crate) mod pairing;
pub(crate) mod policy;
mod record;
mod replicas;
pub(crate) mod row;

pub(crate) use calls::{Asked, Tried};
pub(crate) use life::PAIRERS;
pub(crate) use record::Change;

/// Pause before the bus is listened to again.
const BREATH: Duration = Duration::from_secs(1);

/// What all connections of one gateway know about nodes.
pub(crate) struct Nodes {
    store: Store,
    replicas: Replicas,
    calls: Calls,
    post: Post,
    /// What nodes may be asked for, by the settings.
    pub(crate) policy: Policy,
    /// Sessions whose answers nodes hear.
    pub(crate) listeners: Listeners,
}

impl Nodes {
    /// None yet.
    pub(crate) fn new(bus: &bus::Bus, config: &Config) -> Self {
        let replica = Uuid::new_v4().simple().to_string();
        Self {
            store: bus.bucket(Bucket::Nodes),
            replicas: Replicas::new(replica),
            calls: Calls::default(),
            post: Post::default(),
            policy: Policy::new(config),
            listeners: Listeners::default(),
        }
    }

    /// Whether the node is connected to a replica that lives.
    pub(crate) fn is_connected(&self, node: &Node) -> bool {
        let connection = node.connection.as_ref();
        connection.is_some_and(|at| self.replicas.lives(&at.replica, Instant::now()))
    }

    /// Whether what waits for an approval still matters: nobody approves what has gone long ago.
    pub(crate) fn is_pending(&self, node: &Node) -> bool {
        let asked = node.request.as_ref().map(|request| request.asked_at_ms);
        asked.is_some_and(|asked| {
            self.is_connected(node) || now_ms().saturating_sub(asked) < pairing::KEPT_MS
        })
    }
}

/// Tells the other replicas that this one lives, hears the same of them, and takes their mail; until the gateway
/// stops.
pub(crate) async fn keep(gateway: &Gateway) {
    let nodes = &gateway.nodes;
    while !gateway.stop.is_cancelled() {
        if let Err(error) = work(gateway).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "other replicas are not heard"
            );
            tokio::time::sleep(BREATH).await;
        }
    }
    let beat = nodes.replicas.beat(true);
    let _ = gateway.bus.tell(subject::REPLICA, &beat).await;
}

/// Works until the gateway stops or the connection to the bus ends for good.
async fn work(gateway: &Gateway) -> Result<(), bus::Error> {
    let (nodes, bus) = (&gateway.nodes, &gateway.bus);
    let mut beats = bus.listen::<ReplicaBeat>(subject::REPLICA).await?;
    let mut parcels = bus
        .listen::<NodeParcel>(&subject::mail(nodes.replicas.own()))
        .await?;
    let mut every = interval(BEAT);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = gateway.stop.cancelled() => return Ok(()),
            _ = every.tick() => {
                bus.tell(subject::REPLICA, &nodes.replicas.beat(false)).await?;
                nodes.fail_lost_calls();
            }
            beat = beats.next() => {
                let Some((_, beat)) = beat else { return Ok(()) };
                // Who is new hears of us at once.
                if nodes.replicas.hear(&beat, Instant::now()) {
                    bus.tell(subject::REPLICA, &nodes.replicas.beat(false)).await?;
                }
            }
            parcel = parcels.next() => {
                let Some((_, parcel)) = parcel else { return Ok(()) };
                if let Some(what) = nodes.post.take(parcel)
                    && let Some((replica, answer)) = gateway.open(what)
                {
                    gateway.send_mail(&replica, answer).await?;
                }
            }
        }
    }
}
