//! Asking an agent: the one way from the control plane to a turn, for clients, schedules and HTTP alike.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bus::Bus;
use chassis::clock::now_ms;
use prost::Message as _;
use proto::{
    id, priority, session, subject,
    v1::{
        Address, Before, ConversationKind, Event, Inbound, OutcomeReply, OutcomeRequest, Part,
        PartKind, Said, Sender, Trust, Turn, Wish, inbound::Body,
    },
};

use tokio::sync::watch;

use crate::{
    client::Client,
    gateway::Gateway,
    once::{self, Claim, Content},
    refusal::Refusal,
    runs::{Progress, Stage},
};

/// How long the ledger may take to say how a turn ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked while a turn goes on: an end is told, but who tells may have been restarted.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// What an agent is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// Name of the run for clients, and what makes it one: asked again under this name, nothing is asked twice.
    pub(crate) run_id: String,
    pub(crate) agent: String,
    /// `channel:type:identifier`.
    pub(crate) session_key: String,
    pub(crate) text: String,
    /// Id of the message that this one answers; empty for none.
    pub(crate) reply_to: String,
    /// The text is for the agent even where it looks like a command.
    pub(crate) literal: bool,
    /// What was said before in the session is no context.
    pub(crate) fresh: bool,
    /// Who asks; trusted as the operator.
    pub(crate) sender: Sender,
    /// Where the answer is sent besides being told to clients; `None` where nobody waits on a platform.
    pub(crate) deliver_to: Option<Address>,
    /// Told to the model after the agent's own instructions.
    pub(crate) system: String,
    /// What was said before, for a session that has no past: user or assistant, and the text.
    pub(crate) before: Vec<(&'static str, String)>,
    /// Over what the session prefers, for this once: `model`, `thinking`, each with what is wished for.
    pub(crate) preferences: Vec<(&'static str, String)>,
    /// How long the agent may take; `None` as the settings say.
    pub(crate) allowed: Option<Duration>,
}

/// How a run stands that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Asked just now.
    New,
    /// Asked before; it has not ended.
    Running,
    /// Asked before, and over.
    Ended,
}

impl Ask {
    /// Id of its turn, on every replica the same.
    pub(crate) fn turn_id(&self) -> String {
        turn_id(&self.run_id)
    }

    /// What must be the same when it is asked again.
    fn content(&self) -> Content {
        let to = self.deliver_to.as_ref().map(Address::encode_to_vec);
        let to = to.unwrap_or_default();
        let pieces = [
            self.agent.as_bytes(),
            self.session_key.as_bytes(),
            self.text.as_bytes(),
            self.reply_to.as_bytes(),
            self.system.as_bytes(),
            &to,
        ];
        let before = self.before.iter();
        let before = before.flat_map(|(role, text)| [role.as_bytes(), text.as_bytes()]);
        once::content(pieces.into_iter().chain(before))
    }

    fn inbound(&self, now_ms: i64) -> Inbound {
        let dedupe_key = dedupe_key(&self.run_id);
        let spelled = session::to_client(&self.agent, &self.session_key);
        let conversation = spelled.splitn(3, ':').nth(2).unwrap_or("main").to_owned();
        let said = Said {
            message_id: self.run_id.clone(),
            parts: vec![Part {
                kind: PartKind::Text.into(),
                text: self.text.clone(),
                ..Part::default()
            }],
            reply_to: self.reply_to.clone(),
            no_commands: self.literal,
            ..Said::default()
        };
        let preferences = self.preferences.iter();
        let wish = Wish {
            run_id: self.run_id.clone(),
            system: self.system.clone(),
            before: self
                .before
                .iter()
                .map(|(role, text)| Before {
                    role: (*role).to_owned(),
                    text: text.clone(),
                })
                .collect(),
            preferences: preferences
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            allowed_ms: self
                .allowed
                .map_or(0, |allowed| i64::try_from(allowed.as_millis()).unwrap_or(0)),
            fresh: self.fresh,
        };
        Inbound {
            id: id::of_event(&dedupe_key),
            dedupe_key,
            address: Some(Address {
                platform: "webchat".into(),
                account: "main".into(),
                conversation,
                kind: ConversationKind::Direct.into(),
                ..Address::default()
            }),
            sender: Some(Sender {
                trust: Trust::Owner.into(),
                ..self.sender.clone()
            }),
            occurred_at_ms: now_ms,
            received_at_ms: now_ms,
            body: Some(Body::Said(said)),
            agent: self.agent.clone(),
            session_key: self.session_key.clone(),
            wish: Some(wish),
            deliver_to: self.deliver_to.clone(),
            ..Inbound::default()
        }
    }
}

/// Asks an agent. The question is stored on the bus when this returns; its answer is told by events, and
/// [`outcome`] knows it later.
///
/// Repeating it is harmless: on any replica, after any failure, the same ask is one turn for a week.
///
/// # Errors
/// [`Refusal::Conflict`] when the run's name was used for another question; [`Refusal::Busy`] when it is not known to
/// be stored: ask again under the same name.
pub(crate) async fn begin(gateway: &Gateway, ask: &Ask) -> Result<Standing, Refusal> {
    let turn_id = ask.turn_id();
    let claim = once::claim(&gateway.bus, &format!("turn.{turn_id}"), ask.content()).await?;
    if let Claim::Repeated(_) = claim
        && let Some(standing) = standing(gateway, &turn_id).await
    {
        return Ok(standing);
    }
    // First, or claimed by who could not store it: the stream and the router drop it if it was stored after all.
    let inbound = ask.inbound(now_ms());
    let asked = (&*ask.agent, &*ask.session_key);
    // Known before it is stored: its answer may be told before the store is.
    gateway
        .runs()
        .asked(&turn_id, &ask.run_id, asked.0, asked.1, Instant::now());
    let urgency = priority::of(&inbound);
    let partitions = gateway.bus.partitions();
    let to = subject::inbound(partitions, urgency, "webchat", &ask.session_key);
    let stored = gateway.bus.publish(&to, &turn_id, &inbound).await;
    if !matches!(&stored, Ok(stored) if !stored.duplicate) {
        gateway.runs().unasked(&turn_id);
    }
    match (claim, stored?.duplicate) {
        (Claim::First, false) => Ok(Standing::New),
        _ => Ok(Standing::Running),
    }
}

/// How a turn stands that was claimed before; `None` where nobody has seen it.
async fn standing(gateway: &Gateway, turn_id: &str) -> Option<Standing> {
    match gateway.runs().stage(turn_id) {
        Stage::Running => return Some(Standing::Running),
        Stage::Ended => return Some(Standing::Ended),
        Stage::Unknown => {}
    }
    // Without the ledger it is stored again, which is harmless.
    let told = outcome(&gateway.bus, turn_id).await.ok()?;
    match (told.known, told.end) {
        (_, Some(_)) => Some(Standing::Ended),
        (true, None) => Some(Standing::Running),
        (false, None) => None,
    }
}

/// How the turn goes on from now; to be watched before it is asked for.
///
/// # Errors
/// [`Refusal::Busy`] when too many are watched.
pub(crate) fn watch(
    gateway: &Gateway,
    turn_id: &str,
) -> Result<watch::Receiver<Progress>, Refusal> {
    let watching = gateway.runs().watch(turn_id);
    watching
        .ok_or_else(|| Refusal::Busy("too many runs are waited for; try again in a moment".into()))
}

/// Waits until a turn ends, on whichever replica it was asked and whenever. `watching` was begun before it was asked.
///
/// Waits on while the bus or the ledger is away; whoever calls decides how long.
pub(crate) async fn end(
    gateway: &Gateway,
    turn_id: &str,
    watching: &mut watch::Receiver<Progress>,
    standing: Standing,
) -> Arc<Event> {
    // What is asked just now is told; what was asked before may have ended before it was watched.
    let mut pause = match standing {
        Standing::New => LOOK_AGAIN,
        Standing::Running | Standing::Ended => Duration::ZERO,
    };
    loop {
        let ended = watching.wait_for(|progress| progress.end.is_some());
        let seen = match tokio::time::timeout(pause, ended).await {
            Ok(Ok(progress)) => progress.end.clone(),
            _ => None,
        };
        if let Some(end) = seen {
            return end;
        }
        if let Ok(told) = outcome(&gateway.bus, turn_id).await
            && let Some(end) = told.end
        {
            return Arc::new(end);
        }
        pause = LOOK_AGAIN;
        // Nobody tells any more what was ended or forgotten long ago.
        if watching.has_changed().is_err() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Stops the turn `turn` of a session, or all that run in it for "*".
///
/// # Errors
/// [`bus::Error::Unavailable`] when the bus is gone for good.
pub(crate) async fn cancel(
    gateway: &Gateway,
    agent: &str,
    session_key: &str,
    turn: &str,
) -> Result<(), bus::Error> {
    let turn = Turn {
        agent: agent.to_owned(),
        session_key: session_key.to_owned(),
        cancel: turn.to_owned(),
        ..Turn::default()
    };
    gateway.bus.tell(subject::CANCEL, &turn).await
}

/// What the ledger knows of how a turn ended.
///
/// # Errors
/// [`bus::Error::Unavailable`] when the ledger does not answer.
pub(crate) async fn outcome(bus: &Bus, turn_id: &str) -> Result<OutcomeReply, bus::Error> {
    let turn_id = turn_id.to_owned();
    bus.ask(subject::OUTCOME, &OutcomeRequest { turn_id }, PATIENCE)
        .await
}

/// Id of the turn that clients know as `run_id`.
pub(crate) fn turn_id(run_id: &str) -> String {
    id::of_event(&dedupe_key(run_id))
}

fn dedupe_key(run_id: &str) -> String {
    format!("webchat:main:{run_id}")
}

/// A client as who asks.
pub(crate) fn asker(client: &Client) -> Sender {
    let program = &client.program;
    let name = program.display_name.as_deref().unwrap_or(&program.id);
    let device = client.grant.device.clone();
    Sender {
        id: device.unwrap_or_else(|| "operator".into()),
        display_name: name.to_owned(),
        ..Sender::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> Ask {
        Ask {
            run_id: "k".into(),
            agent: "main".into(),
            session_key: "webchat:main".into(),
            text: "hi".into(),
            ..Ask::default()
        }
    }

    #[test]
    fn the_same_name_means_the_same_words_to_the_same_session() {
        let low = Ask {
            preferences: vec![("thinking", "low".into())],
            ..ask()
        };
        assert_eq!(ask().content(), low.content());
        let other = Ask {
            text: "ho".into(),
            ..ask()
        };
        assert_ne!(ask().content(), other.content());
        let elsewhere = Ask {
            session_key: "webchat:dm:x".into(),
            ..ask()
        };
        assert_ne!(ask().content(), elsewhere.content());
        let sent = Ask {
            deliver_to: Some(Address::default()),
            ..ask()
        };
        assert_eq!(ask().content(), sent.content(), "an empty address is none");
    }

    #[test]
    fn an_ask_is_the_operators_and_carries_what_is_wished() {
        let ask = Ask {
            allowed: Some(Duration::from_secs(7)),
            preferences: vec![("model", "m".into())],
            ..ask()
        };
        let inbound = ask.inbound(5);
        assert_eq!(inbound.id, ask.turn_id());
        assert_eq!(inbound.sender.as_ref().unwrap().trust(), Trust::Owner);
        let wish = inbound.wish.unwrap();
        assert_eq!((wish.run_id.as_str(), wish.allowed_ms), ("k", 7000));
        assert_eq!(wish.preferences["model"], "m");
        assert_eq!(inbound.address.unwrap().conversation, "main");
    }
}
