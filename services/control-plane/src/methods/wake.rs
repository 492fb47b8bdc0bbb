//! Waking the agent: notes for its main session, and its heartbeat.

use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Call, Method, method};
use crate::{
    cron::{self, heartbeat},
    refusal::Refusal,
    schema::Text,
};

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("wake", Write, wake),
    method!("system-event", Admin, note),
    method!("last-heartbeat", Read, last),
    method!("set-heartbeats", Admin, switch),
];

/// Longest text of a note, in bytes.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// What the agent is to hear, and when. Open: clients send more with it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Wake {
    mode: Mode,
    text: Text,
    agent_id: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Now,
    NextHeartbeat,
}

/// Something that happened. Open: clients tell of themselves with it.
#[derive(Debug, Deserialize, JsonSchema)]
struct Happening {
    text: Option<Value>,
    /// Why it is told: `periodic` and the like are no news.
    reason: Option<String>,
}

/// On or off. Read by hand: the reference has words of its own for what is wrong.
#[derive(Debug, Deserialize, JsonSchema)]
struct Switch {
    enabled: Option<Value>,
}

/// Has the main session hear a text: now, or with the next heartbeat.
async fn wake(call: &Call, params: Wake) -> Result<Value, Refusal> {
    let agent = params
        .agent_id
        .as_ref()
        .map_or(&call.gateway.config.default_agent, |id| &id.0);
    let text = short(call, &params.text)?;
    cron::wake(&call.gateway, agent, text, params.mode == Mode::Now).await?;
    Ok(json!({"ok": true}))
}

/// Notes what happened for the next time that the agent looks around.
async fn note(call: &Call, params: Happening) -> Result<Value, Refusal> {
    let text = params.text.as_ref().and_then(Value::as_str).map(str::trim);
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Err(Refusal::Invalid(match call.client.grant.protocol {
            ..4 => "text required".into(),
            _ => "invalid system-event params: must have required property 'text'".into(),
        }));
    };
    let text = short(call, text)?;
    let news = !matches!(
        params.reason.as_deref(),
        Some("periodic" | "heartbeat" | "self")
    );
    if news {
        let id = Uuid::new_v4().to_string();
        let agent = &call.gateway.config.default_agent;
        cron::leave(&call.gateway.bus, agent, &id, text).await?;
    }
    Ok(json!({"ok": true}))
}

/// How the last heartbeat went; null before the first.
async fn last(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(heartbeat::last(&call.gateway).await?)
}

/// Switches heartbeats on or off, for good.
async fn switch(call: &Call, params: Switch) -> Result<Value, Refusal> {
    let Some(Value::Bool(enabled)) = params.enabled else {
        let why = "invalid set-heartbeats params: enabled (boolean) required";
        return Err(Refusal::Invalid(why.into()));
    };
    heartbeat::switch(&call.gateway, enabled).await?;
    Ok(json!({"ok": true, "enabled": enabled}))
}

fn short<'a>(call: &Call, text: &'a str) -> Result<&'a str, Refusal> {
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(text);
    }
    let name = call.name();
    let why = format!(
        "invalid {name} params: at /text: must NOT have more than {MAX_TEXT_BYTES} characters"
    );
    Err(Refusal::Invalid(why))
}
