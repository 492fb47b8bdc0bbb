//! From an event and what is known of it to what is to be done: no clock, no network.

use std::collections::HashMap;

use proto::{
    id, priority, session,
    v1::{
        Address, AnswerCallback, Answered, Attachment, Event, Inbound, Outbound, Reset, Text, Turn,
        event::What, inbound::Body, outbound::Action,
    },
};

use crate::{
    commands::{self, Effect},
    config::Config,
    store::Session,
    text,
};

mod events;
mod managed;

/// What is to be done for one inbound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Asked of the agent.
    pub turn: Option<Turn>,
    /// Stop these runs at once, and in order too.
    pub cancel: Option<Turn>,
    /// Sent by the gateway itself.
    pub outbound: Vec<Outbound>,
    /// What happened.
    pub events: Vec<Event>,
    /// The session as it is now, if it changed.
    pub session: Option<Session>,
    /// The session is forgotten.
    pub forget: bool,
}

/// An inbound that was let in, and what goes with it.
pub struct Admitted<'a> {
    /// The event.
    pub inbound: &'a Inbound,
    /// Its session's key.
    pub key: &'a str,
    /// Its session as it stands.
    pub session: Session,
    /// Now, Unix epoch.
    pub now_ms: i64,
}

/// Routes an event that was let in.
#[must_use]
pub fn route(config: &Config, admitted: Admitted<'_>) -> Decision {
    let Admitted {
        inbound,
        key,
        mut session,
        now_ms,
    } = admitted;
    let about = About {
        config,
        inbound,
        key,
        now_ms,
    };
    match &inbound.body {
        Some(Body::Stopped(_)) => Decision {
            cancel: Some(about.cancel()),
            ..about.silence("a stop button")
        },
        Some(Body::Pressed(pressed)) => {
            let stop_spinning = AnswerCallback {
                callback_id: pressed.callback_id.clone(),
                text: String::new(),
            };
            let outbound = about.outbound(1, Action::AnswerCallback(stop_spinning));
            let mut decision = about.said(&mut session);
            decision.outbound.insert(0, outbound);
            decision
        }
        Some(Body::Said(_)) => about.said(&mut session),
        Some(Body::Managed(managed)) => about.managed(managed, &mut session),
        Some(body) => about.silence(events::kind(body)),
        None => about.silence("an empty event"),
    }
}

/// An event that is not answered, and why.
#[must_use]
pub fn refuse(
    config: &Config,
    inbound: &Inbound,
    key: &str,
    reason: &str,
    now_ms: i64,
) -> Decision {
    About {
        config,
        inbound,
        key,
        now_ms,
    }
    .silence(reason)
}

/// What the platform tells of a message of ours; `None` if `inbound` is nothing of the kind.
#[must_use]
pub fn delivered(config: &Config, inbound: &Inbound, key: &str, now_ms: i64) -> Option<Decision> {
    let Some(Body::Delivery(delivery)) = &inbound.body else {
        return None;
    };
    let about = About {
        config,
        inbound,
        key,
        now_ms,
    };
    Some(Decision {
        events: vec![about.told(delivery)],
        ..Decision::default()
    })
}

/// Whether an event that the stream has had since `stored_ms` is too old to be answered.
#[must_use]
pub fn expired(config: &Config, inbound: &Inbound, stored_ms: i64, now_ms: i64) -> bool {
    let said = (inbound.expires_at_ms > 0).then_some(inbound.expires_at_ms);
    let lived = stored_ms.saturating_add(config.lifetime_ms());
    said.unwrap_or(i64::MAX).min(lived) <= now_ms
}

/// An event that the gateway answers by itself, without a session.
#[must_use]
pub fn tell(
    config: &Config,
    inbound: &Inbound,
    key: &str,
    markdown: String,
    now_ms: i64,
) -> Decision {
    let about = About {
        config,
        inbound,
        key,
        now_ms,
    };
    let outbound = vec![about.outbound(0, about.text(markdown))];
    Decision {
        outbound,
        ..about.silence("asked to pair")
    }
}

/// The agent that answers `inbound`.
#[must_use]
pub fn agent<'a>(config: &'a Config, inbound: &'a Inbound) -> &'a str {
    match inbound.agent.as_str() {
        "" => &config.agent,
        named => named,
    }
}

struct About<'a> {
    config: &'a Config,
    inbound: &'a Inbound,
    key: &'a str,
    now_ms: i64,
}

impl About<'_> {
    fn agent(&self) -> &str {
        agent(self.config, self.inbound)
    }

    /// A message: a command, or a turn of the agent.
    fn said(&self, session: &mut Session) -> Decision {
        let Some(text) = text::of(self.inbound, self.config.max_text_chars) else {
            return self.silence("nothing was said");
        };
        if text.trim().is_empty() {
            return self.silence("an empty message");
        }
        if let Some((name, rest)) = self.command(&text) {
            return self.commanded(name, rest, session, &text);
        }
        session.turns += 1;
        session.last_turn = self.inbound.id.clone();
        Decision {
            turn: Some(self.turn(session, self.with_name(text.clone()))),
            events: vec![self.accepted(session, text, true)],
            session: Some(session.clone()),
            ..Decision::default()
        }
    }

    fn command<'t>(&self, text: &'t str) -> Option<(&'static str, &'t str)> {
        match &self.inbound.body {
            Some(Body::Said(said)) if said.no_commands || said.forwarded => None,
            _ => priority::command(text),
        }
    }

    fn commanded(&self, name: &str, rest: &str, session: &mut Session, text: &str) -> Decision {
        let accepted = self.accepted(session, text.into(), false);
        let (reply, effect) = commands::answer(name, rest, session, self.agent(), self.now_ms);
        let outbound = match self.delivered() {
            true => vec![self.outbound(0, self.text(reply.clone()))],
            false => Vec::new(),
        };
        let answered = Answered {
            text: reply,
            provider: "gateway".into(),
            stop_reason: "stop".into(),
            reply_to: self.answers_to(),
            outbound_id: outbound.first().map(|it| it.id.clone()).unwrap_or_default(),
            ..Answered::default()
        };
        let mut events = vec![accepted, self.event("answered", What::Answered(answered))];
        if effect == Effect::Reset {
            events.push(self.event(
                "reset",
                What::Reset(Reset {
                    session_id: session.id.clone(),
                }),
            ));
        }
        let cancel = (effect == Effect::Stop).then(|| self.cancel());
        Decision {
            turn: None,
            cancel,
            outbound,
            events,
            session: Some(session.clone()),
            forget: false,
        }
    }

    fn turn(&self, session: &Session, text: String) -> Turn {
        let inbound = self.inbound;
        Turn {
            id: inbound.id.clone(),
            agent: self.agent().into(),
            session_key: self.key.into(),
            session_id: session.id.clone(),
            session_started_at_ms: session.started_at_ms,
            reply_to: self.answers_to(),
            sender: inbound.sender.clone(),
            text,
            attachments: attachments(inbound),
            reply_to_message: self.reply_to(),
            received_at_ms: inbound.received_at_ms,
            deadline_ms: self.deadline_ms(),
            preferences: self.preferences(session),
            deliver: self.delivered(),
            cancel: String::new(),
            priority: priority::of(inbound).into(),
            lifetime_ms: self.config.lifetime_ms(),
            allowed_ms: self.allowed_ms(),
            wish: inbound.wish.clone(),
            compactions: session.compactions,
        }
    }

    /// What the session prefers, and over it what is wished for this once.
    fn preferences(&self, session: &Session) -> HashMap<String, String> {
        let wished = self.inbound.wish.iter().flat_map(|wish| &wish.preferences);
        let session = session.preferences.iter();
        session
            .chain(wished)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn allowed_ms(&self) -> i64 {
        let wished = self.inbound.wish.as_ref().map(|wish| wish.allowed_ms);
        if let Some(wished @ 1..) = wished {
            return wished;
        }
        i64::try_from(self.config.turn_timeout_s.saturating_mul(1000)).unwrap_or(i64::MAX / 2)
    }

    fn deadline_ms(&self) -> i64 {
        self.now_ms + self.allowed_ms()
    }

    /// Stops what the session was asked up to now.
    fn cancel(&self) -> Turn {
        Turn {
            id: self.inbound.id.clone(),
            agent: self.agent().into(),
            session_key: self.key.into(),
            reply_to: self.inbound.address.clone(),
            received_at_ms: self.inbound.received_at_ms,
            cancel: "*".into(),
            priority: proto::v1::Priority::Critical.into(),
            ..Turn::default()
        }
    }

    /// Where the answer is sent, if it is.
    fn answers_to(&self) -> Option<Address> {
        let elsewhere = self.inbound.deliver_to.clone();
        elsewhere.or_else(|| self.inbound.address.clone())
    }

    /// Somebody waits on a platform; the gateway's own page reads events instead.
    fn delivered(&self) -> bool {
        self.answers_to()
            .is_some_and(|address| address.platform != "webchat")
    }

    fn in_group(&self) -> bool {
        let kind = self.inbound.address.as_ref().map(proto::v1::Address::kind);
        kind.is_some_and(|kind| kind != proto::v1::ConversationKind::Direct)
    }

    /// In a group, the agent has to know who speaks.
    fn with_name(&self, text: String) -> String {
        let name = self
            .inbound
            .sender
            .as_ref()
            .map(|sender| text::name(&sender.display_name))
            .unwrap_or_default();
        match self.in_group() && self.delivered() && !name.is_empty() {
            true => format!("{name}: {text}"),
            false => text,
        }
    }

    fn reply_to(&self) -> String {
        match &self.inbound.body {
            Some(Body::Said(said)) if self.in_group() && self.config.reply_in_groups => {
                said.message_id.clone()
            }
            _ => String::new(),
        }
    }

    fn text(&self, markdown: String) -> Action {
        Action::Text(Text {
            markdown,
            reply_to: self.reply_to(),
            ..Text::default()
        })
    }

    fn outbound(&self, n: usize, action: Action) -> Outbound {
        Outbound {
            id: id::of_outbound(&self.inbound.id, n),
            to: self.answers_to(),
            action: Some(action),
            turn_id: self.inbound.id.clone(),
            session_key: self.key.into(),
            agent: self.agent().into(),
            created_at_ms: self.now_ms,
            expires_at_ms: self.now_ms + self.config.lifetime_ms(),
            ..Outbound::default()
        }
    }
}

/// The key of the session that an inbound joins.
#[must_use]
pub fn session_key(inbound: &Inbound) -> String {
    if !inbound.session_key.is_empty() {
        return inbound.session_key.clone();
    }
    let (address, sender) = (inbound.address.clone(), inbound.sender.clone());
    session::Key::of(&address.unwrap_or_default(), &sender.unwrap_or_default()).to_string()
}

fn attachments(inbound: &Inbound) -> Vec<Attachment> {
    match &inbound.body {
        Some(Body::Said(said)) => said
            .parts
            .iter()
            .filter_map(|part| part.attachment.clone())
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
