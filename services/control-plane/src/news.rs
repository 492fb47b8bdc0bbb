//! Tells operators' pages that something which they may show has changed: they look again, and nobody asks in vain.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bus::Bucket;
use futures_util::StreamExt;
use proto::{
    subject,
    v1::{Event, PairingEntry},
    ws,
};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::{clients::Audience, gateway::Gateway, outbox::Worth, scope::Scope};

/// Name of the event; its payload is `{"what"}`: dead, unknown, people, schedules.
pub(crate) const EVENT: &str = "ops.changed";
/// Changes are told together, at most this often.
const PAUSE: Duration = Duration::from_millis(300);
/// Pause before the bus is listened to again.
const BREATH: Duration = Duration::from_secs(1);

/// Tells this replica's clients until the gateway stops.
pub(crate) async fn keep(gateway: &Gateway) {
    loop {
        let told = tokio::select! {
            () = gateway.stop.cancelled() => return,
            told = tell(gateway) => told,
        };
        if let Err(error) = told {
            tracing::debug!(%error, "pages are not told of changes just now");
        }
        tokio::time::sleep(BREATH).await;
    }
}

async fn tell(gateway: &Gateway) -> Result<(), bus::Error> {
    let mut dead = Box::pin(gateway.bus.listen::<Event>(subject::LIVE_DEAD).await?);
    let mut unsure = Box::pin(gateway.bus.listen::<Event>(subject::LIVE_UNSURE).await?);
    let mut people = gateway
        .bus
        .bucket(Bucket::People)
        .watch::<PairingEntry>()
        .await?;
    let mut changed = BTreeSet::new();
    let mut then = Instant::now();
    loop {
        let what = tokio::select! {
            next = dead.next() => next.map(|_| "dead"),
            next = unsure.next() => next.map(|_| "unknown"),
            next = people.next() => next.map(|_| "people"),
            () = sleep_until(then), if !changed.is_empty() => {
                for what in std::mem::take(&mut changed) {
                    pass_on(gateway, what);
                }
                continue;
            }
        };
        // The connection ended for good: listen anew.
        let Some(what) = what else { return Ok(()) };
        if changed.is_empty() {
            then = Instant::now() + PAUSE;
        }
        changed.insert(what);
    }
}

fn pass_on(gateway: &Gateway, what: &str) {
    let scope = if what == "people" {
        Scope::Pairing
    } else {
        Scope::Read
    };
    let audience = Audience {
        scope: Some(scope),
        protocols: (4, 4),
    };
    let event = Arc::new(ws::Event::new(EVENT, &json!({"what": what}), None));
    gateway.clients.tell(&event, audience, Worth::Droppable);
}
