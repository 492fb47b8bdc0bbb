//! Sending the answer of a run to a conversation on a platform, once.

use std::time::Duration;

use bus::{Bucket, Store};
use chassis::clock::now_ms;
use proto::{
    id, subject,
    v1::{
        Address, Intent, IntentState, JobDelivery, Outbound, Priority, RowsReply, RowsRequest,
        Text, TraceReply, TraceRequest, outbound::Action,
    },
};

use crate::{admin, gateway::Gateway};

/// How long it is waited for the platform's word that it has the answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often that is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// Pause before the bus is asked again.
const BREATH: Duration = Duration::from_secs(1);
/// Sessions among which the last conversation is looked for.
const SESSIONS: u32 = 200;
/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(5);

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The platform has it.
    Yes,
    /// It was not sent, and why.
    No(String),
    /// It is on its way, or nobody can say.
    Unknown(String),
}

/// Sends `text` as the answer of the turn `turn_id`. Repeated, it is sent once.
pub(super) async fn deliver(
    gateway: &Gateway,
    delivery: &JobDelivery,
    agent: &str,
    turn_id: &str,
    session_key: &str,
    text: &str,
) -> Delivered {
    let to = match address(gateway, delivery, agent).await {
        Ok(to) => to,
        Err(why) => return Delivered::No(why),
    };
    if let Err(status) = admin::known(&gateway.bus, &to.platform, &to.account).await {
        return Delivered::No(status.message().to_owned());
    }
    let outbound = Outbound {
        id: id::of_outbound(turn_id, 0),
        action: Some(Action::Text(Text {
            markdown: text.to_owned(),
            ..Text::default()
        })),
        turn_id: turn_id.to_owned(),
        session_key: session_key.to_owned(),
        agent: agent.to_owned(),
        created_at_ms: now_ms(),
        to: Some(to.clone()),
        ..Outbound::default()
    };
    let at = subject::outbound(&to, Priority::Normal);
    loop {
        match gateway.bus.publish(&at, &outbound.id, &outbound).await {
            Ok(_) => break,
            Err(bus::Error::Unavailable(_) | bus::Error::Full(_)) => {
                tokio::time::sleep(BREATH).await;
            }
            Err(error) => return Delivered::No(error.to_string()),
        }
    }
    let arrives = async {
        loop {
            if let Some(end) = arrived(gateway, &outbound.id).await {
                return end;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let slow = || Delivered::Unknown("it waits to be sent".into());
    let arrived = tokio::time::timeout(PATIENCE, arrives).await;
    arrived.unwrap_or_else(|_| slow())
}

/// What became of an outbound; `None` while it is on its way.
async fn arrived(gateway: &Gateway, outbound_id: &str) -> Option<Delivered> {
    let intents = gateway.bus.bucket(Bucket::Intents);
    let mut intent = chunk(&intents, outbound_id, 0).await?;
    if intent.state() == IntentState::Sent && intent.chunks > 1 {
        intent = chunk(&intents, outbound_id, intent.chunks - 1).await?;
    }
    match intent.state() {
        IntentState::Sent => Some(Delivered::Yes),
        IntentState::Failed => Some(Delivered::No(intent.why)),
        IntentState::Unknown => Some(Delivered::Unknown(intent.why)),
        IntentState::Queued | IntentState::Sending => None,
    }
}

async fn chunk(intents: &Store, outbound_id: &str, n: u32) -> Option<Intent> {
    let found = intents.get::<Intent>(&id::of_chunk(outbound_id, n)).await;
    found.ok().flatten().map(|(intent, _)| intent)
}

/// Where it goes.
///
/// # Errors
/// A sentence for people.
async fn address(
    gateway: &Gateway,
    delivery: &JobDelivery,
    agent: &str,
) -> Result<Address, String> {
    if delivery.channel != "last" || !delivery.to.is_empty() {
        let account = match delivery.account.as_str() {
            "" => "main",
            account => account,
        };
        return Ok(Address {
            platform: delivery.channel.clone(),
            account: account.to_owned(),
            conversation: delivery.to.clone(),
            thread: delivery.thread.clone(),
            ..Address::default()
        });
    }
    let nowhere = || {
        "nobody has talked to the agent on a platform yet, so there is no last conversation; name a \
         channel and a conversation"
            .to_owned()
    };
    let away = |error: bus::Error| format!("the last conversation is not known just now: {error}");
    let asked = RowsRequest {
        agents: vec![agent.to_owned()],
        without_cron: true,
        limit: SESSIONS,
        ..RowsRequest::default()
    };
    let sessions = gateway.rows(&asked).await.map_err(away)?;
    let last = last(&sessions, agent).ok_or_else(nowhere)?;
    let request = TraceRequest {
        about: last.to_owned(),
        limit: 1,
    };
    let told = gateway.bus.ask(subject::JOURNEY, &request, LEDGER).await;
    let told: TraceReply = told.map_err(away)?;
    let from = told.walks.into_iter().rev().find_map(|walk| walk.from);
    from.ok_or_else(nowhere)
}

/// Key of the session on a platform in which `agent` was talked to last.
fn last<'a>(sessions: &'a RowsReply, agent: &str) -> Option<&'a str> {
    let ours = |key: &str| key.starts_with("webchat:") || key.starts_with("cron:");
    let theirs = sessions
        .rows
        .iter()
        .filter(|line| line.agent == agent && !ours(&line.session_key));
    let newest = theirs.max_by_key(|line| line.updated_at_ms)?;
    Some(&newest.session_key)
}

#[cfg(test)]
mod tests {
    use proto::v1::SessionRow;

    use super::*;

    #[test]
    fn the_last_conversation_is_one_of_people_on_a_platform() {
        let line = |session_key: &str, agent: &str, updated_at_ms| SessionRow {
            agent: agent.into(),
            session_key: session_key.into(),
            updated_at_ms,
            ..SessionRow::default()
        };
        let sessions = vec![
            line("cron:job:x", "main", 9),
            line("webchat:main", "main", 8),
            line("telegram:dm:2", "other", 7),
            line("telegram:dm:1", "main", 5),
            line("telegram:dm:3", "main", 4),
        ];
        let reply = RowsReply {
            rows: sessions,
            total: 5,
        };
        assert_eq!(last(&reply, "main"), Some("telegram:dm:1"));
        assert_eq!(last(&reply, "nobody"), None);
    }
}
