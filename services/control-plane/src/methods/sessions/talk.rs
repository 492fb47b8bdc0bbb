//! Talking in a session under its key: as `chat.send` and `chat.abort` do, in the names of this family.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{
    Call,
    chat::{self, abort as stopping, meant},
};
use crate::{refusal::Refusal, schema::Text};

/// A message for a session. Open, as `chat.send` is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Send {
    key: Text,
    agent_id: Option<Text>,
    message: String,
    idempotency_key: Option<Text>,
    thinking: Option<String>,
    attachments: Option<Value>,
    timeout_ms: Option<u64>,
}

/// Which run, or all of a session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Abort {
    key: Option<Text>,
    run_id: Option<Text>,
    agent_id: Option<Text>,
    /// What waits is stopped with what runs.
    #[serde(rename = "clearQueued")]
    _clear_queued: Option<bool>,
}

/// Sends a message to a session.
pub(super) async fn send(call: &Call, params: Send) -> Result<Value, Refusal> {
    let run_id = params.idempotency_key.map_or_else(new_run, |key| key.0);
    let mut message = json!({
        "sessionKey": params.key.0, "message": params.message, "idempotencyKey": run_id,
    });
    for (key, value) in [
        ("agentId", params.agent_id.map(|id| id.0.into())),
        ("thinking", params.thinking.map(Value::from)),
        ("attachments", params.attachments),
        ("timeoutMs", params.timeout_ms.map(Value::from)),
    ] {
        if let Some(value) = value {
            message[key] = value;
        }
    }
    ask(call, message).await
}

/// Stops what runs in a session and sends it a message.
pub(super) async fn steer(call: &Call, params: Send) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let stopped = stopping::stop_all(call, &agent, &key.to_string()).await?;
    let mut sent = send(call, params).await?;
    sent["interruptedActiveRun"] = (!stopped.is_empty()).into();
    Ok(sent)
}

/// Stops a run, or all of a session.
pub(super) async fn abort(call: &Call, params: Abort) -> Result<Value, Refusal> {
    let run = params.run_id.as_deref();
    let known = run.and_then(|run| {
        let runs = call.gateway.runs();
        let (_, agent, key) = runs.find(run)?;
        Some((agent.to_owned(), key.to_owned()))
    });
    let (agent, key) = match (&params.key, known) {
        (Some(spelled), _) => {
            let (agent, key) = meant(call, spelled, params.agent_id.as_deref())?;
            (agent, key.to_string())
        }
        (None, Some(known)) => known,
        (None, None) if run.is_some() => return Ok(stopped(&[])),
        (None, None) => {
            return Err(Refusal::Invalid(
                "invalid sessions.abort params: must have required property 'key' or 'runId'"
                    .into(),
            ));
        }
    };
    let ended = match run {
        Some(run) => stopping::stop_one(call, &agent, &key, run).await?,
        None => stopping::stop_all(call, &agent, &key).await?,
    };
    Ok(stopped(&ended))
}

fn stopped(runs: &[String]) -> Value {
    let status = if runs.is_empty() {
        "no-active-run"
    } else {
        "aborted"
    };
    json!({"ok": true, "abortedRunId": runs.first(), "runIds": runs, "status": status})
}

/// Sends `message` to the session `key`, as the run `run_id` or one with a name of its own.
pub(super) async fn say(
    call: &Call,
    key: &str,
    message: &str,
    run_id: Option<String>,
) -> Result<Value, Refusal> {
    let run_id = run_id.unwrap_or_else(new_run);
    ask(
        call,
        json!({"sessionKey": key, "message": message, "idempotencyKey": run_id}),
    )
    .await
}

async fn ask(call: &Call, message: Value) -> Result<Value, Refusal> {
    let message = serde_json::from_value(message)
        .map_err(|why| Refusal::Invalid(format!("invalid {} params: {why}", call.name())))?;
    chat::send::send(call, message).await
}

fn new_run() -> String {
    Uuid::new_v4().to_string()
}
