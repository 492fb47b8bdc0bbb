//! Which agents there are.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{Call, Method, method};
use crate::refusal::Refusal;

/// What it serves.
pub(super) const METHODS: &[Method] = &[method!("agents.list", Read, list)];

async fn list(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(listed(call))
}

/// The agents by name. The settings name one; more come with the agents themselves.
pub(super) fn listed(call: &Call) -> Value {
    let agent = &call.gateway.config.default_agent;
    json!({"defaultId": agent, "mainKey": "main", "scope": "per-sender", "agents": [{"id": agent}]})
}
