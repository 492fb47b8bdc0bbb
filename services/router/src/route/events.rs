//! What is told of an event that was routed.

use proto::v1::{
    Accepted, ConversationKind, Delivered, Delivery, Event, Inbound, Refused, event::What,
    inbound::Body,
};

use super::{About, Decision};
use crate::store::Session;

/// A message that was late already gets at least so long before its writer is told that it waits.
const SETTLE_MS: i64 = 2000;

impl About<'_> {
    pub(super) fn accepted(&self, session: &Session, text: String, turn: bool) -> Event {
        // The ledger keeps what was said; the platform's own bytes stay in IN's message.
        let inbound = Inbound {
            raw: Vec::new(),
            ..self.inbound.clone()
        };
        let accepted = Accepted {
            inbound: Some(inbound),
            text,
            session_id: session.id.clone(),
            turn,
            deadline_ms: if turn { self.deadline_ms() } else { 0 },
            slow_at_ms: if turn { self.slow_at_ms() } else { 0 },
        };
        self.event("accepted", What::Accepted(accepted))
    }

    pub(super) fn silence(&self, reason: &str) -> Decision {
        let refused = Refused {
            reason: reason.into(),
            address: self.inbound.address.clone(),
            sender: self.inbound.sender.clone(),
        };
        Decision {
            events: vec![self.event("refused", What::Refused(refused))],
            ..Decision::default()
        }
    }

    pub(super) fn told(&self, delivery: &Delivery) -> Event {
        let delivered = Delivered {
            platform_message_id: delivery.message_id.clone(),
            status: delivery.status.clone(),
            why: delivery.why.clone(),
            to: self.inbound.address.clone(),
        };
        self.event("delivered", What::Delivered(delivered))
    }

    pub(super) fn event(&self, kind: &str, what: What) -> Event {
        Event {
            id: format!("{}.{kind}", self.inbound.id),
            at_ms: self.now_ms,
            agent: self.agent().into(),
            session_key: self.key.into(),
            turn_id: self.inbound.id.clone(),
            run_id: self
                .inbound
                .wish
                .as_ref()
                .map(|wish| wish.run_id.clone())
                .unwrap_or_default(),
            what: Some(what),
        }
    }

    /// When the writer is told that the message waits; 0 for never: only somebody who talks with us alone is.
    fn slow_at_ms(&self) -> i64 {
        let kind = self.inbound.address.as_ref().map(proto::v1::Address::kind);
        let told = self.delivered() && kind == Some(ConversationKind::Direct);
        match self.config.slow_notice_s {
            0 => 0,
            _ if !told => 0,
            wait_s => {
                let wait_ms = i64::try_from(wait_s.saturating_mul(1000)).unwrap_or(i64::MAX / 2);
                let received_ms = match self.inbound.received_at_ms {
                    0 => self.now_ms,
                    received_ms => received_ms,
                };
                received_ms
                    .saturating_add(wait_ms)
                    .max(self.now_ms + SETTLE_MS)
            }
        }
    }
}

pub(super) fn kind(body: &Body) -> &'static str {
    match body {
        Body::Edited(_) => "an edit",
        Body::Deleted(_) => "a deletion",
        Body::Reacted(_) => "a reaction",
        Body::Membership(_) => "a change of members",
        Body::Delivery(_) => "a delivery report",
        Body::Moved(_) => "a conversation that moved",
        Body::PollAnswer(_) => "a vote",
        Body::Unknown(_) => "an unknown kind of event",
        Body::Managed(_) => "a change of the session",
        Body::Said(_) | Body::Pressed(_) | Body::Stopped(_) => "a message",
    }
}
