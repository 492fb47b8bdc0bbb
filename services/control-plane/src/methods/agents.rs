//! Which agents there are.

use serde_json::{Value, json};

use super::Call;

/// The agents by name. The settings name one; more come with the agents themselves.
pub(super) fn list(call: &Call) -> Value {
    let agent = &call.gateway.config.default_agent;
    json!({"defaultId": agent, "mainKey": "main", "scope": "per-sender", "agents": [{"id": agent}]})
}
