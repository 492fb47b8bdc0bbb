//! A line that an operator puts into a transcript in the agent's name.

use std::time::Duration;

use chassis::clock::now_ms;
use proto::{
    subject,
    v1::{Event, HistoryReply, HistoryRequest, Injected, event::What},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{super::Call, check_size, meant};
use crate::{refusal::Refusal, schema::Text};

/// Longest label, in characters.
const MAX_LABEL_CHARS: usize = 100;
/// How long the ledger may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The line, and what it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Inject {
    session_key: Text,
    agent_id: Option<Text>,
    message: Text,
    label: Option<String>,
}

/// Puts the line into the transcript and tells it to everybody who reads.
pub(super) async fn inject(call: &Call, params: Inject) -> Result<Value, Refusal> {
    check_size(&params.message)?;
    let label = params.label.unwrap_or_default();
    if label.chars().count() > MAX_LABEL_CHARS {
        return Err(Refusal::Invalid(format!(
            "invalid chat.inject params: at /label: must NOT have more than {MAX_LABEL_CHARS} characters"
        )));
    }
    let (agent, key) = meant(call, &params.session_key, params.agent_id.as_deref())?;
    let (bus, session_key) = (&call.gateway.bus, key.to_string());
    let question = HistoryRequest {
        agent: agent.clone(),
        session_key: session_key.clone(),
        limit: 1,
        ..HistoryRequest::default()
    };
    let known: HistoryReply = bus.ask(subject::HISTORY, &question, PATIENCE).await?;
    if known.total == 0 {
        return Err(Refusal::NotFound("session not found".into()));
    }
    let id = Uuid::new_v4().simple().to_string();
    let text = match label.as_str() {
        "" => params.message.0,
        label => format!("[{label}]\n\n{}", params.message.0),
    };
    let event = Event {
        id: format!("{id}.injected"),
        at_ms: now_ms(),
        agent,
        session_key,
        turn_id: id.clone(),
        run_id: format!("inject-{id}"),
        what: Some(What::Injected(Injected { text, label })),
    };
    bus.publish(&subject::event(&event), &event.id, &event)
        .await?;
    Ok(json!({"ok": true, "messageId": id}))
}
