//! A message from an operator to an agent: stored on the bus before it is answered.

use base64::{Engine, prelude::BASE64_STANDARD};
use proto::priority;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Call, abort, check_key, check_size, meant, no_attachments};
use crate::{
    refusal::Refusal,
    schema::Text,
    turns::{self, Ask, Standing},
};

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
    check_key(call, &params.idempotency_key)?;
    check(&params)?;
    let (agent, key) = meant(call, &params.session_key, params.agent_id.as_deref())?;
    let session_key = key.to_string();
    let run_id = params.idempotency_key.0.clone();
    let literal = params.suppress_command_interpretation == Some(true);
    let command = priority::command(&params.message).filter(|_| !literal);
    if matches!(command, Some(("stop" | "abort", ""))) {
        let stopped = abort::stop_all(call, &agent, &session_key).await?;
        return Ok(json!({"ok": true, "aborted": !stopped.is_empty(), "runIds": stopped}));
    }
    let set = call.gateway.set_of(&agent, &session_key);
    if set.is_some_and(|set| set.send_policy == "deny") {
        return Err(Refusal::Invalid("send blocked by session policy".into()));
    }
    let ask = Ask {
        run_id: run_id.clone(),
        agent,
        session_key,
        text: params.message,
        reply_to: params.reply_to_id.map(|id| id.0).unwrap_or_default(),
        literal,
        sender: turns::asker(&call.client),
        ..Ask::default()
    };
    let _in_turn = call.client.sending.lock().await;
    let status = match turns::begin(&call.gateway, &ask).await? {
        Standing::New => "started",
        Standing::Running => "in_flight",
        Standing::Ended => "ok",
    };
    Ok(json!({"runId": run_id, "status": status}))
}

fn check(params: &Send) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::Invalid(why));
    let attachments = params.attachments.as_deref().unwrap_or_default();
    if params.message.trim().is_empty() && attachments.is_empty() {
        return invalid("message or attachment required".into());
    }
    check_size(&params.message)?;
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
        return Err(no_attachments());
    }
    Ok(())
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
            why(|p| p["message"] = json!("x".repeat(super::super::MAX_MESSAGE_BYTES + 1)))
                .contains("too long")
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
}
