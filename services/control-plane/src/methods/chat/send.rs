//! A message from an operator to an agent: stored on the bus before it is answered.

use std::time::Instant;

use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::clock::now_ms;
use proto::{
    id, priority, session, subject,
    v1::{Address, ConversationKind, Inbound, Part, PartKind, Said, Sender, Trust, inbound::Body},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Call, abort, meant};
use crate::{refusal::Refusal, runs::Stage, schema::Text, sends::Novelty};

/// Longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 512 * 1024;
/// Longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 256;

/// A message. Open: what the reference has besides changes how an agent works, and none of ours knows it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Send {
    session_key: Text,
    agent_id: Option<Text>,
    message: String,
    idempotency_key: Text,
    reply_to_id: Option<Text>,
    suppress_command_interpretation: Option<bool>,
    #[serde(default)]
    attachments: Option<Vec<Attachment>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    file_name: Option<String>,
    content: Option<Value>,
}

/// Stores the message and says under which name its answer will be told: the idempotency key.
pub(crate) async fn send(call: &Call, params: Send) -> Result<Value, Refusal> {
    check(&params)?;
    let (agent, key) = meant(call, &params.session_key, params.agent_id.as_deref())?;
    let session_key = key.to_string();
    let run_id = params.idempotency_key.0.as_str();
    let literal = params.suppress_command_interpretation == Some(true);
    let command = priority::command(&params.message).filter(|_| !literal);
    if matches!(command, Some(("stop" | "abort", ""))) {
        let stopped = abort::stop_all(call, &agent, &session_key).await?;
        return Ok(json!({"ok": true, "aborted": !stopped.is_empty(), "runIds": stopped}));
    }
    let content = content(&params, &agent, &session_key);
    let gateway = &call.gateway;
    let sent = gateway
        .sends
        .of(run_id, content, Instant::now())
        .map_err(|_| Refusal::Conflict)?;
    let inbound = inbound(call, &params, &agent, &session_key);
    let turn_id = inbound.id.clone();
    let _in_turn = call.client.sending.lock().await;
    let novelty = sent
        .once(async || {
            // Known before it is stored: its answer may be told before the store is.
            gateway
                .runs()
                .asked(&turn_id, run_id, &agent, &session_key, Instant::now());
            let urgency = priority::of(&inbound);
            let partitions = gateway.bus.partitions();
            let to = subject::inbound(partitions, urgency, "webchat", &session_key);
            let stored = gateway.bus.publish(&to, &turn_id, &inbound).await;
            if !matches!(&stored, Ok(stored) if !stored.duplicate) {
                gateway.runs().unasked(&turn_id);
            }
            stored.map(drop)
        })
        .await?;
    let status = match (novelty, gateway.runs().stage(&turn_id)) {
        (Novelty::New, _) => "started",
        (Novelty::Repeated, Stage::Running) => "in_flight",
        (Novelty::Repeated, _) => "ok",
    };
    Ok(json!({"runId": run_id, "status": status}))
}

fn check(params: &Send) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::Invalid(why));
    let attachments = params.attachments.as_deref().unwrap_or_default();
    if params.idempotency_key.len() > MAX_KEY_BYTES {
        return invalid(format!(
            "invalid chat.send params: at /idempotencyKey: must NOT have more than {MAX_KEY_BYTES} characters"
        ));
    }
    if params.message.trim().is_empty() && attachments.is_empty() {
        return invalid("message or attachment required".into());
    }
    if params.message.len() > MAX_MESSAGE_BYTES {
        let size = params.message.len();
        return invalid(format!(
            "message too long: {size} bytes; at most {MAX_MESSAGE_BYTES} are taken"
        ));
    }
    for (n, attachment) in attachments.iter().enumerate() {
        let name = attachment
            .file_name
            .clone()
            .unwrap_or_else(|| format!("attachment-{}", n + 1));
        let content = attachment
            .content
            .as_ref()
            .and_then(Value::as_str)
            .unwrap_or_default();
        let content = content
            .split_once(";base64,")
            .map_or(content, |(_, content)| content);
        if content.is_empty() || BASE64_STANDARD.decode(content).is_err() {
            return invalid(format!("Error: attachment {name}: invalid base64 content"));
        }
    }
    if !attachments.is_empty() {
        return invalid(
            "attachments are not taken by this version; send the text without them".into(),
        );
    }
    Ok(())
}

/// What must be the same for a repeated key.
fn content(params: &Send, agent: &str, session_key: &str) -> [u8; 32] {
    let reply_to = params.reply_to_id.as_deref().unwrap_or_default();
    let mut hash = blake3::Hasher::new();
    for piece in [agent, session_key, &params.message, reply_to] {
        hash.update(&(piece.len() as u64).to_le_bytes());
        hash.update(piece.as_bytes());
    }
    hash.finalize().into()
}

fn inbound(call: &Call, params: &Send, agent: &str, session_key: &str) -> Inbound {
    let (client, now_ms) = (&call.client, now_ms());
    let dedupe_key = dedupe_key(&params.idempotency_key);
    let spelled = session::to_client(agent, session_key);
    let conversation = spelled.splitn(3, ':').nth(2).unwrap_or("main").to_owned();
    let part = Part {
        kind: PartKind::Text.into(),
        text: params.message.clone(),
        ..Part::default()
    };
    let said = Said {
        message_id: params.idempotency_key.0.clone(),
        parts: vec![part],
        reply_to: params
            .reply_to_id
            .as_ref()
            .map(|id| id.0.clone())
            .unwrap_or_default(),
        no_commands: params.suppress_command_interpretation == Some(true),
        ..Said::default()
    };
    let program = &client.program;
    let name = program.display_name.as_deref().unwrap_or(&program.id);
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
            id: client
                .grant
                .device
                .clone()
                .unwrap_or_else(|| "operator".into()),
            display_name: name.to_owned(),
            trust: Trust::Owner.into(),
            ..Sender::default()
        }),
        occurred_at_ms: now_ms,
        received_at_ms: now_ms,
        body: Some(Body::Said(said)),
        agent: agent.to_owned(),
        session_key: session_key.to_owned(),
        ..Inbound::default()
    }
}

/// What makes the turn's id out of an idempotency key, on every replica the same.
pub(super) fn dedupe_key(idempotency_key: &str) -> String {
    format!("webchat:main:{idempotency_key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(change: impl FnOnce(&mut Value)) -> Send {
        let mut params = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "k"});
        change(&mut params);
        serde_json::from_value(params).unwrap()
    }

    fn why(change: impl FnOnce(&mut Value)) -> String {
        match check(&params(change)) {
            Err(Refusal::Invalid(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        assert_eq!(
            why(|p| p["message"] = json!(" ")),
            "message or attachment required"
        );
        assert!(
            why(|p| p["message"] = json!("x".repeat(MAX_MESSAGE_BYTES + 1))).contains("too long")
        );
        let file =
            |content: &str| json!([{"type": "image", "fileName": "a.png", "content": content}]);
        assert_eq!(
            why(|p| p["attachments"] = file("!!")),
            "Error: attachment a.png: invalid base64 content"
        );
        assert!(why(|p| p["attachments"] = file("aGk=")).contains("not taken"));
        assert_eq!(check(&params(|_| ())), Ok(()));
    }

    #[test]
    fn the_same_key_means_the_same_words_to_the_same_session() {
        let first = content(&params(|_| ()), "main", "webchat:main");
        assert_eq!(
            first,
            content(
                &params(|p| p["thinking"] = json!("low")),
                "main",
                "webchat:main"
            )
        );
        assert_ne!(
            first,
            content(
                &params(|p| p["message"] = json!("ho")),
                "main",
                "webchat:main"
            )
        );
        assert_ne!(first, content(&params(|_| ()), "main", "webchat:dm:x"));
    }
}
