//! Talking to an agent: send, see what was said, stop.

use proto::session;
use serde_json::Value;

use super::{Call, Method, method};
use crate::refusal::Refusal;

pub(super) mod abort;
pub(super) mod history;
pub(super) mod send;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("chat.startup", Read, startup),
    method!("chat.history", Read, history::history),
    method!("chat.send", Write, send::send),
    method!("chat.abort", Write, abort::abort),
];

/// Longest session key of a client.
const MAX_KEY_CHARS: usize = 512;

/// What was said, and what a page needs besides to begin.
async fn startup(call: &Call, params: history::History) -> Result<Value, Refusal> {
    let mut answer = history::history(call, params).await?;
    answer["agentsList"] = super::agents::listed(call);
    answer["metadata"] = serde_json::json!({});
    Ok(answer)
}

/// The agent and the session that a client means; the agent is one that there is.
pub(super) fn meant(
    call: &Call,
    spelled: &str,
    agent: Option<&str>,
) -> Result<(String, session::Key), Refusal> {
    if spelled.chars().count() > MAX_KEY_CHARS {
        let why = format!("at /sessionKey: must NOT have more than {MAX_KEY_CHARS} characters");
        return Err(Refusal::Invalid(format!(
            "invalid {} params: {why}",
            call.name()
        )));
    }
    let agents = &call.gateway.agents;
    let (agent, key) = session::from_client(spelled, agent.unwrap_or(agents.default()));
    agents.must_know(call.name(), &agent)?;
    Ok((agent, key))
}
