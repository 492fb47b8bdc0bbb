//! Events for the clients of every replica: told on the bus, passed on by each replica to its own clients.

use std::sync::Arc;

use proto::{subject, v1::Announcement, ws::Event};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{clients::Audience, gateway::Gateway, meter, outbox::Worth};

impl Gateway {
    /// Tells the event `name` to the clients of every replica that are of `audience`, this one's included. It is not
    /// stored: who is not connected does not hear it.
    pub(crate) async fn announce(
        &self,
        name: &str,
        payload: &impl Serialize,
        audience: Audience,
        worth: Worth,
    ) {
        let Ok(payload_json) = serde_json::to_string(payload) else {
            return;
        };
        let announcement = Announcement {
            name: name.to_owned(),
            payload_json,
            scope: audience.scope.map_or("", |scope| scope.name()).to_owned(),
            oldest_protocol: audience.protocols.0.into(),
            newest_protocol: audience.protocols.1.into(),
            needed: worth == Worth::Needed,
        };
        if let Err(error) = self.bus.tell(subject::ANNOUNCE, &announcement).await {
            tracing::warn!(%error, event.name = name, "clients of other replicas do not hear of `{name}`");
            pass_on(self, &announcement);
        }
    }
}

/// Tells this replica's clients what some replica announced.
pub(crate) fn pass_on(gateway: &Gateway, announced: &Announcement) {
    let payload: Result<&RawValue, _> = serde_json::from_str(&announced.payload_json);
    // A scope of a newer replica is not known here: nobody is told rather than everybody.
    let scope = match announced.scope.as_str() {
        "" => Ok(None),
        name => name.parse().map(Some),
    };
    let (Ok(payload), Ok(scope)) = (payload, scope) else {
        return meter::refused("announcement");
    };
    let version = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    let audience = Audience {
        scope,
        protocols: (
            version(announced.oldest_protocol),
            version(announced.newest_protocol),
        ),
    };
    let worth = match announced.needed {
        true => Worth::Needed,
        false => Worth::Droppable,
    };
    let event = Arc::new(Event::new(&announced.name, &payload, None));
    gateway.clients.tell(&event, audience, worth);
}
