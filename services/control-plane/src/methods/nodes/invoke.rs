//! Asking a node to do something, wherever it is connected: denied unless approved, and never asked twice by itself.

use std::time::{Duration, Instant};

use proto::{
    v1::{Node, NodeOutcome},
    ws::Error,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json, value::RawValue};

use super::{super::Call, invalid, once, pairing_changed, pending, unavailable};
use crate::{
    nodes::{Asked, policy},
    refusal::Refusal,
    schema::Text,
    scope::Scope,
};

/// How long a node may take where nobody says.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take at most.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// A payload above this is told once, as `payload`: told twice it might not fit into a frame.
const MAX_TOLD_TWICE_BYTES: usize = 4 << 20;
/// What `system.run` is forwarded with. Who approved it is not for the one who asks to say.
const RUN_KEYS: [&str; 11] = [
    "command",
    "rawCommand",
    "systemRunPlan",
    "cwd",
    "env",
    "timeoutMs",
    "needsScreenRecording",
    "agentId",
    "sessionKey",
    "runId",
    "suppressNotifyOnExit",
];

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Invoke {
    node_id: Text,
    command: Text,
    params: Option<Value>,
    /// Milliseconds; absent or 0 is half a minute.
    timeout_ms: Option<u64>,
    idempotency_key: Text,
    #[serde(rename = "sessionKey")]
    #[schemars(with = "Option<String>")]
    _session_key: Option<Text>,
    #[serde(rename = "turnSourceChannel")]
    #[schemars(with = "Option<String>")]
    _channel: Option<IgnoredAny>,
    #[serde(rename = "turnSourceTo")]
    #[schemars(with = "Option<String>")]
    _to: Option<IgnoredAny>,
    #[serde(rename = "turnSourceAccountId")]
    #[schemars(with = "Option<String>")]
    _account: Option<IgnoredAny>,
    #[serde(rename = "turnSourceThreadId")]
    #[schemars(with = "Option<Value>")]
    _thread: Option<IgnoredAny>,
}

/// What the node answered.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answered {
    ok: bool,
    node_id: String,
    command: String,
    #[schemars(with = "Value")]
    payload: Option<Box<RawValue>>,
    #[serde(rename = "payloadJSON")]
    payload_json: Option<String>,
}

/// Asks the node and waits for what it answers.
pub(super) async fn invoke(call: &Call, params: Invoke) -> Result<Answered, Refusal> {
    let began = Instant::now();
    let patience = match params.timeout_ms {
        None | Some(0) => PATIENCE,
        Some(ms) => Duration::from_millis(ms).min(MOST),
    };
    let (id, command) = (params.node_id.trim(), params.command.trim());
    may_ask(call, command)?;
    let protocol = call.client.grant.protocol;
    let nodes = &call.gateway.nodes;
    let node = match nodes.find(id).await? {
        Some(node) => node,
        None if protocol < 4 => return Err(not_connected()),
        None => return Err(pairing_changed()),
    };
    if !nodes.is_connected(&node) {
        return Err(not_connected());
    }
    if let Err(denied) = nodes.policy.check(&node, command) {
        let message = match protocol {
            3 => "node command not allowed".to_owned(),
            _ => format!("node command not allowed: {}", denied.hint),
        };
        let details = json!({"reason": denied.reason, "command": command});
        return Err(invalid(&message, details));
    }
    let forwarded = match (command, params.params) {
        ("system.run", Some(Value::Object(run))) => Some(unapproved(run)?),
        (_, params) => params,
    };
    let asked = Asked {
        command: command.to_owned(),
        params_json: forwarded.as_ref().map(Value::to_string),
        patience: patience.saturating_sub(began.elapsed()),
        idempotency_key: params.idempotency_key.0,
    };
    let outcome = once::ask(call, &node, &asked).await?;
    if outcome.ok {
        return Ok(answered(&node, command, outcome.payload_json));
    }
    match pending::queue(call, &node, &asked, &outcome).await? {
        Some(queued) => Err(queued),
        None => Err(failed(&outcome, protocol)),
    }
}

/// What is not for `node.invoke` at all, and what takes more than writing.
fn may_ask(call: &Call, command: &str) -> Result<(), Refusal> {
    let details = || json!({"command": command});
    if policy::is_private(command) {
        return Err(invalid(
            "node.invoke does not allow private node controls",
            details(),
        ));
    }
    if policy::is_exec_approvals(command) && call.client.grant.protocol >= 4 {
        let message =
            "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*";
        return Err(invalid(message, details()));
    }
    let runs = policy::is_admin_only(command) || policy::is_exec_approvals(command);
    if runs && !call.client.grant.scopes.allow(Scope::Admin) {
        return Err(Refusal::Missing(Scope::Admin));
    }
    Ok(())
}

/// The parameters of `system.run` without what would pass for somebody's approval.
fn unapproved(mut run: serde_json::Map<String, Value>) -> Result<Value, Refusal> {
    let claims = |key: &str| {
        run.get(key)
            .is_some_and(|value| !value.is_null() && *value != Value::Bool(false))
    };
    if ["approved", "approvalDecision", "approvalSource"]
        .into_iter()
        .any(claims)
    {
        let message = "exec approvals unavailable: send system.run without approved, approvalDecision and \
                       approvalSource; the node decides by its own rules";
        return Err(invalid(message, json!({"code": "APPROVALS_UNAVAILABLE"})));
    }
    run.retain(|key, _| RUN_KEYS.contains(&key.as_str()));
    Ok(Value::Object(run))
}

fn answered(node: &Node, command: &str, payload_json: String) -> Answered {
    let large = payload_json.len() > MAX_TOLD_TWICE_BYTES;
    let payload = RawValue::from_string(payload_json.clone()).ok();
    let once = payload_json.is_empty() || (large && payload.is_some());
    Answered {
        ok: true,
        node_id: node.id.clone(),
        command: command.to_owned(),
        payload,
        payload_json: (!once).then_some(payload_json),
    }
}

fn not_connected() -> Refusal {
    let error = json!({"code": "NOT_CONNECTED", "message": "node not connected"});
    let details =
        json!({"code": "NOT_CONNECTED", "nodeError": error, "nodeCommandDispatched": false});
    Refusal::Told(Box::new(unavailable("node not connected", details)))
}

/// What went wrong, as the node said it or its connection showed.
pub(super) fn failed(outcome: &NodeOutcome, protocol: u8) -> Refusal {
    let (code, said) = (&outcome.error_code, &outcome.error_message);
    if !outcome.dispatched && code == "NOT_CONNECTED" {
        return not_connected();
    }
    let said = match said.as_str() {
        "" => "node invoke failed",
        said => said,
    };
    let mut details = json!({"nodeError": {"message": said}});
    if !code.is_empty() {
        details["nodeError"]["code"] = code.as_str().into();
    }
    if code == "NOT_CONNECTED" {
        details["code"] = code.as_str().into();
    }
    if protocol < 4 {
        return Refusal::Told(Box::new(unavailable(said, details)));
    }
    details["nodeCommandDispatched"] = outcome.dispatched.into();
    let message = match code.as_str() {
        "" => said.to_owned(),
        code => format!("{code}: {said}"),
    };
    Refusal::Told(Box::new(Error {
        message,
        ..unavailable("", details)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(refusal: Refusal) -> Error {
        refusal.error(4)
    }

    #[test]
    fn an_approval_that_the_asker_brings_along_is_no_approval() {
        let run = |value: Value| match value {
            Value::Object(run) => unapproved(run),
            _ => unreachable!(),
        };
        for forged in [
            json!({"command": ["rm"], "approved": true}),
            json!({"command": ["rm"], "approvalDecision": "allow-once"}),
            json!({"command": ["rm"], "approvalSource": "ask-fallback", "runId": "x"}),
        ] {
            let error = error(run(forged).unwrap_err());
            assert_eq!(error.details.unwrap()["code"], "APPROVALS_UNAVAILABLE");
        }
        let plain =
            json!({"command": ["ls"], "cwd": "/", "approved": false, "resolvedPath": "/bin/sh"});
        assert_eq!(run(plain).unwrap(), json!({"command": ["ls"], "cwd": "/"}));
    }

    #[test]
    fn a_failure_is_told_in_the_words_of_each_protocol() {
        let outcome = NodeOutcome {
            error_code: "E".into(),
            error_message: "no".into(),
            dispatched: true,
            ..NodeOutcome::default()
        };
        let new = error(failed(&outcome, 4));
        assert_eq!((new.code, new.message.as_str()), ("UNAVAILABLE", "E: no"));
        let told =
            json!({"nodeError": {"code": "E", "message": "no"}, "nodeCommandDispatched": true});
        assert_eq!(new.details.unwrap(), told);
        let old = error(failed(&outcome, 3));
        assert_eq!(old.message, "no");
        assert_eq!(
            old.details.unwrap(),
            json!({"nodeError": {"code": "E", "message": "no"}})
        );
    }

    #[test]
    fn a_large_payload_is_told_once_and_text_that_is_no_json_as_it_is() {
        let of = |text: &str| answered(&Node::default(), "c", text.to_owned());
        let small = of("{\"a\":1}");
        assert!(small.payload.is_some() && small.payload_json.is_some());
        let large = of(&format!("\"{}\"", "x".repeat(MAX_TOLD_TWICE_BYTES)));
        assert!(large.payload.is_some() && large.payload_json.is_none());
        let text = of("plain");
        assert!(text.payload.is_none() && text.payload_json.as_deref() == Some("plain"));
        assert!(of("").payload_json.is_none());
    }
}
