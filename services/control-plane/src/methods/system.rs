//! What the gateway is and who is there.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Answer, Call, Method, method};
use crate::refusal::Refusal;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("health", Read, health),
    method!("status", Read, status),
    method!("system-presence", Read, presence),
];

async fn health(call: &Call, _: IgnoredAny) -> Result<Answer, Refusal> {
    Ok(call.gateway.health.now().payload.clone())
}

async fn status(call: &Call, _: IgnoredAny) -> Result<Answer, Refusal> {
    Ok(call.gateway.health.now().status.clone())
}

/// Those present.
async fn presence(call: &Call, _: IgnoredAny) -> Result<Vec<Value>, Refusal> {
    Ok(call.gateway.presence(call.client.grant.protocol))
}
