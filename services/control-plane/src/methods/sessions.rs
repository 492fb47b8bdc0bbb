//! Which sessions there are.

use chassis::clock::now_ms;
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{Call, Method, method};
use crate::{health, refusal::Refusal};

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("sessions.list", Read, list),
    method!("sessions.subscribe", Read, subscribe),
    method!("sessions.unsubscribe", Read, unsubscribe),
];

/// Most sessions of one answer.
const MOST: u32 = 1000;

/// What of a list is wanted. Open: the filters of the reference that are not here leave nothing out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct List {
    limit: Option<u32>,
    agent_id: Option<String>,
}

/// The sessions, newest first.
async fn list(call: &Call, params: List) -> Result<Value, Refusal> {
    let limit = params.limit.unwrap_or(MOST).clamp(1, MOST);
    let reply = health::sessions(&call.gateway.bus, limit).await?;
    let now_ms = now_ms();
    let wanted = |agent: &str| {
        params
            .agent_id
            .as_deref()
            .is_none_or(|wanted| wanted == agent)
    };
    let rows = reply.sessions.iter().filter(|line| wanted(&line.agent));
    let rows: Vec<_> = rows.map(|line| health::row(line, now_ms)).collect();
    Ok(json!({
        "ts": now_ms, "path": "ledger", "count": rows.len(), "totalCount": reply.total, "limitApplied": limit,
        "hasMore": reply.total > u64::from(limit),
        "defaults": {"modelProvider": null, "model": null, "contextTokens": null}, "sessions": rows,
    }))
}

/// Every operator hears of every session, so there is nothing to note.
async fn subscribe(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(json!({"subscribed": true}))
}

async fn unsubscribe(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(json!({"subscribed": false}))
}
