//! Talking to an agent: send, see what was said, stop.

use proto::session;
use serde_json::Value;

use super::{Call, Method, method};
use crate::refusal::Refusal;

pub(super) mod abort;
pub(super) mod history;
mod inject;
pub(super) mod send;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("chat.startup", Read, startup),
    method!("chat.history", Read, history::history),
    method!("chat.send", Write, send::send),
    method!("chat.abort", Write, abort::abort),
    method!("chat.inject", Admin, inject::inject),
];

/// Longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 512 * 1024;
/// Longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 256;
/// Longest session key of a client.
const MAX_KEY_CHARS: usize = 512;

/// What was said, and what a page needs besides to begin.
async fn startup(call: &Call, params: history::History) -> Result<Value, Refusal> {
    let mut answer = history::history(call, params).await?;
    answer["agentsList"] = super::agents::listed(call);
    answer["metadata"] = serde_json::json!({});
    Ok(answer)
}

/// Refuses an idempotency key that is too long.
pub(super) fn check_key(call: &Call, key: &str) -> Result<(), Refusal> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "invalid {} params: at /idempotencyKey: must NOT have more than {MAX_KEY_BYTES} characters",
        call.name()
    )))
}

/// Refuses a message that is too long.
pub(super) fn check_size(message: &str) -> Result<(), Refusal> {
    if message.len() <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    let size = message.len();
    Err(Refusal::Invalid(format!(
        "message too long: {size} bytes; at most {MAX_MESSAGE_BYTES} are taken"
    )))
}

/// Files do not go to an agent yet.
pub(super) fn no_attachments() -> Refusal {
    Refusal::Invalid("attachments are not taken by this version; send the text without them".into())
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
