//! What was said to a node: it joins a session like any other message.

use proto::v1::{Node, Sender};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    super::Call,
    event::{Came, read},
};
use crate::{
    methods::chat::meant,
    nodes::row,
    refusal::Refusal,
    turns::{self, Ask, Standing},
};

/// Longest text, in characters.
const MAX_CHARS: usize = 20_000;

/// What a node heard its person say.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transcript {
    text: String,
    session_key: Option<String>,
    /// Whatever names this utterance, so that it is taken once.
    event_id: Option<Value>,
    provider_event_id: Option<Value>,
    timestamp: Option<Value>,
}

/// What a person shared with an agent through a node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shared {
    #[serde(default)]
    message: String,
    session_key: Option<String>,
    #[serde(default)]
    attachments: Vec<Value>,
}

/// Takes what a node heard.
pub(super) async fn transcript(call: &Call, node: &Node, payload: &str) -> Result<Came, Refusal> {
    let Ok(heard) = read::<Transcript>(payload) else {
        return Ok(Err("invalid_payload"));
    };
    let named = [heard.event_id, heard.provider_event_id, heard.timestamp];
    let name = match named.into_iter().flatten().next() {
        Some(name) => format!("{name}:{}", heard.text),
        None => Uuid::new_v4().to_string(),
    };
    let session_key = heard.session_key.filter(|key| !key.trim().is_empty());
    let session_key = session_key.unwrap_or_else(|| "main".into());
    say(call, node, &session_key, &heard.text, &name).await
}

/// Takes what a person shared.
pub(super) async fn request(call: &Call, node: &Node, payload: &str) -> Result<Came, Refusal> {
    let Ok(shared) = read::<Shared>(payload) else {
        return Ok(Err("invalid_payload"));
    };
    if !shared.attachments.is_empty() {
        return Ok(Err("attachments_not_taken"));
    }
    let session_key = shared.session_key.filter(|key| !key.trim().is_empty());
    let session_key = session_key.unwrap_or_else(|| format!("node-{}", node.id));
    let name = Uuid::new_v4().to_string();
    say(call, node, &session_key, &shared.message, &name).await
}

/// Asks the agent of the session; `name` makes it the same question when it comes again.
async fn say(
    call: &Call,
    node: &Node,
    spelled: &str,
    text: &str,
    name: &str,
) -> Result<Came, Refusal> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_CHARS {
        return Ok(Err("invalid_payload"));
    }
    let (agent, key) = meant(call, spelled.trim(), None)?;
    let name = &blake3::hash(name.as_bytes()).to_hex()[..32];
    let ask = Ask {
        run_id: format!("node:{}:{name}", node.id),
        agent,
        session_key: key.to_string(),
        text: text.to_owned(),
        // Only what a person typed is read for commands.
        literal: true,
        sender: Sender {
            id: node.id.clone(),
            display_name: row::name(node).to_owned(),
            ..Sender::default()
        },
        ..Ask::default()
    };
    let _in_turn = call.client.sending.lock().await;
    match turns::begin(&call.gateway, &ask).await? {
        Standing::New => Ok(Ok("stored")),
        Standing::Running | Standing::Ended => Ok(Ok("duplicate")),
    }
}
