//! What a person is told when a message of theirs waits or came to nothing, and what is told of it: pure.

use proto::{
    id, session,
    v1::{
        Address, ConversationKind, Dead, Event, Inbound, Outbound, Text, Turn, event::What,
        inbound::Body, outbound::Action,
    },
};

/// A notice that could not be sent for this long says nothing any more.
const SLOW_LIFE_MS: i64 = 10 * 60 * 1000;

const WAITS: &str = "I am a little behind. Your message is kept and will be answered.";
const UNANSWERED: &str = "Sorry, something went wrong on my side and your message was not answered; please send it again.";
const UNDELIVERED: &str =
    "Sorry, my answer could not be delivered in full; please send your message again.";
const EXPIRED: &str = "Sorry, your message waited too long to be answered; if it still matters, please send it again.";

/// The end of a message that was given up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Farewell {
    /// What happened.
    pub(crate) event: Event,
    /// What the person reads, if somebody is to be told and was let in.
    pub(crate) notice: Option<Outbound>,
    /// Where the letter itself does not prove that the person was let in: what must be looked up.
    pub(crate) proof: Proof,
}

/// What proves that a person was let in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Proof {
    /// Given: only what was let in gets this far.
    Given,
    /// This message was let in.
    Turn(String),
    /// Something said in this conversation was let in before.
    Place(Address),
}

/// The end of an inbound.
pub(crate) fn of_inbound(inbound: &Inbound, dead: Dead, now_ms: i64) -> Farewell {
    let address = inbound.address.clone().unwrap_or_default();
    let session_key = match inbound.session_key.as_str() {
        "" => {
            let sender = inbound.sender.clone().unwrap_or_default();
            session::Key::of(&address, &sender).to_string()
        }
        key => key.to_owned(),
    };
    let about = About {
        turn_id: &inbound.id,
        agent: &inbound.agent,
        session_key: &session_key,
        reply_to: "",
        now_ms,
    };
    let said = matches!(inbound.body, Some(Body::Said(_) | Body::Pressed(_)));
    let person = inbound
        .sender
        .as_ref()
        .is_some_and(|sender| !sender.is_bot && !sender.is_self);
    let told = said && person && is_private(&address);
    Farewell {
        notice: told.then(|| about.notice(&address, sentence(&dead.reason, UNANSWERED))),
        event: about.event(format!("{}.dead", inbound.id), dead),
        proof: Proof::Place(address),
    }
}

/// The end of a turn; `None` for one that only stops another.
pub(crate) fn of_turn(turn: &Turn, dead: Dead, now_ms: i64) -> Option<Farewell> {
    if !turn.cancel.is_empty() {
        return None;
    }
    let about = About {
        turn_id: &turn.id,
        agent: &turn.agent,
        session_key: &turn.session_key,
        reply_to: &turn.reply_to_message,
        now_ms,
    };
    let to = turn.reply_to.as_ref().filter(|_| turn.deliver);
    Some(Farewell {
        notice: to.map(|to| about.notice(to, sentence(&dead.reason, UNANSWERED))),
        event: about.event(format!("{}.dead", turn.id), dead),
        proof: Proof::Given,
    })
}

/// The end of an outbound.
pub(crate) fn of_outbound(outbound: &Outbound, dead: Dead, now_ms: i64) -> Farewell {
    let turn_id = match outbound.turn_id.as_str() {
        "" => &outbound.id,
        turn_id => turn_id,
    };
    let about = About {
        turn_id,
        agent: &outbound.agent,
        session_key: &outbound.session_key,
        reply_to: match &outbound.action {
            Some(Action::Text(text)) => &text.reply_to,
            Some(Action::Media(media)) => &media.reply_to,
            _ => "",
        },
        now_ms,
    };
    // Of all that a turn brings forth only the answer is missed; what an operator sends is missed by the operator.
    let missed = outbound.id == id::of_outbound(&outbound.turn_id, 0);
    let to = outbound.to.as_ref().filter(|_| missed);
    let dead = Dead {
        outbound_id: outbound.id.clone(),
        ..dead
    };
    Farewell {
        notice: to.map(|to| about.notice(to, UNDELIVERED)),
        event: about.event(format!("{}.dead", outbound.id), dead),
        proof: Proof::Turn(turn_id.to_owned()),
    }
}

/// The end of a message that vanished after it was let in as `accepted` says.
pub(crate) fn of_lost(accepted: &Event, dead: Dead, now_ms: i64) -> Farewell {
    let about = About {
        turn_id: &accepted.turn_id,
        agent: &accepted.agent,
        session_key: &accepted.session_key,
        reply_to: "",
        now_ms,
    };
    let to = origin(accepted).filter(|to| to.platform != "webchat");
    Farewell {
        notice: to.map(|to| about.notice(to, UNANSWERED)),
        event: about.event(format!("{}.dead", accepted.turn_id), dead),
        proof: Proof::Given,
    }
}

/// Tells the writer of `accepted` that the message waits.
pub(crate) fn of_slow(accepted: &Event, now_ms: i64) -> Option<Outbound> {
    let about = About {
        turn_id: &accepted.turn_id,
        agent: &accepted.agent,
        session_key: &accepted.session_key,
        reply_to: "",
        now_ms,
    };
    let outbound = about.notice(origin(accepted)?, WAITS);
    Some(Outbound {
        id: id::of_slow_notice(&accepted.turn_id),
        expires_at_ms: now_ms + SLOW_LIFE_MS,
        ..outbound
    })
}

/// Where an accepted message was written.
pub(crate) fn origin(accepted: &Event) -> Option<&Address> {
    match &accepted.what {
        Some(What::Accepted(accepted)) => accepted.inbound.as_ref()?.address.as_ref(),
        _ => None,
    }
}

fn is_private(address: &Address) -> bool {
    address.kind() == ConversationKind::Direct && address.platform != "webchat"
}

fn sentence<'a>(reason: &str, otherwise: &'a str) -> &'a str {
    match reason {
        "expired" => EXPIRED,
        _ => otherwise,
    }
}

/// The message that a notice is about.
struct About<'a> {
    turn_id: &'a str,
    agent: &'a str,
    session_key: &'a str,
    reply_to: &'a str,
    now_ms: i64,
}

impl About<'_> {
    fn event(&self, id: String, dead: Dead) -> Event {
        Event {
            id,
            at_ms: self.now_ms,
            agent: self.agent.into(),
            session_key: self.session_key.into(),
            turn_id: self.turn_id.into(),
            what: Some(What::Dead(dead)),
            ..Event::default()
        }
    }

    fn notice(&self, to: &Address, markdown: &str) -> Outbound {
        let text = Text {
            markdown: markdown.into(),
            reply_to: self.reply_to.into(),
            ..Text::default()
        };
        Outbound {
            id: id::of_dead_notice(self.turn_id),
            to: Some(to.clone()),
            action: Some(Action::Text(text)),
            turn_id: self.turn_id.into(),
            session_key: self.session_key.into(),
            agent: self.agent.into(),
            created_at_ms: self.now_ms,
            ..Outbound::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{AnswerCallback, Reacted, Said, Sender};

    use super::*;

    fn dead(reason: &str) -> Dead {
        Dead {
            reason: reason.into(),
            ..Dead::default()
        }
    }

    fn address(kind: ConversationKind) -> Address {
        let mut address = Address {
            platform: "telegram".into(),
            conversation: "7".into(),
            ..Address::default()
        };
        address.set_kind(kind);
        address
    }

    fn inbound(kind: ConversationKind, body: Body) -> Inbound {
        Inbound {
            id: "t".into(),
            address: Some(address(kind)),
            sender: Some(Sender {
                id: "7".into(),
                ..Sender::default()
            }),
            body: Some(body),
            ..Inbound::default()
        }
    }

    fn text(outbound: Option<Outbound>) -> String {
        match outbound.and_then(|outbound| outbound.action) {
            Some(Action::Text(text)) => text.markdown,
            _ => String::new(),
        }
    }

    #[test]
    fn who_wrote_privately_is_told_and_nobody_else() {
        let told = |kind, body| of_inbound(&inbound(kind, body), dead("expired"), 1).notice;
        let said = || Body::Said(Said::default());
        assert_eq!(text(told(ConversationKind::Direct, said())), EXPIRED);
        assert_eq!(told(ConversationKind::Group, said()), None);
        let reaction = Body::Reacted(Reacted::default());
        assert_eq!(told(ConversationKind::Direct, reaction), None);
    }

    #[test]
    fn an_inbound_proves_nothing_of_its_writer() {
        let farewell = of_inbound(
            &inbound(ConversationKind::Direct, Body::Said(Said::default())),
            dead("panicked"),
            1,
        );
        assert_eq!(
            farewell.proof,
            Proof::Place(address(ConversationKind::Direct))
        );
        assert_eq!(
            (farewell.event.id.as_str(), farewell.event.turn_id.as_str()),
            ("t.dead", "t")
        );
    }

    #[test]
    fn a_turn_that_nobody_waits_for_is_an_event_only() {
        let turn = Turn {
            id: "t".into(),
            reply_to: Some(address(ConversationKind::Group)),
            deliver: true,
            ..Turn::default()
        };
        let farewell = of_turn(&turn, dead("broken"), 1).unwrap();
        assert_eq!(farewell.notice.as_ref().unwrap().id, "t-dead");
        assert_eq!(text(farewell.notice), UNANSWERED);
        let quiet = Turn {
            deliver: false,
            ..turn.clone()
        };
        assert_eq!(of_turn(&quiet, dead("broken"), 1).unwrap().notice, None);
        let cancel = Turn {
            cancel: "*".into(),
            ..turn
        };
        assert_eq!(of_turn(&cancel, dead("broken"), 1), None);
    }

    #[test]
    fn of_what_a_turn_sends_only_the_answer_is_missed() {
        let outbound = |id: &str, turn_id: &str| Outbound {
            id: id.into(),
            turn_id: turn_id.into(),
            to: Some(address(ConversationKind::Direct)),
            action: Some(Action::AnswerCallback(AnswerCallback::default())),
            ..Outbound::default()
        };
        let told = |id, turn_id| {
            of_outbound(&outbound(id, turn_id), dead("rejected"), 1)
                .notice
                .map(|notice| notice.id)
        };
        assert_eq!(told("t-0", "t").as_deref(), Some("t-dead"));
        for nothing in [("t-1", "t"), ("t-dead", "t"), ("t-slow", "t"), ("op", "")] {
            assert_eq!(told(nothing.0, nothing.1), None, "{nothing:?}");
        }
        let event = of_outbound(&outbound("op", ""), dead("rejected"), 1).event;
        assert_eq!(
            (event.id.as_str(), event.turn_id.as_str()),
            ("op.dead", "op")
        );
    }
}
