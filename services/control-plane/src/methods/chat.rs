//! Talking to an agent: send, see what was said, stop.

use proto::session;
use serde_json::Value;

use super::Call;
use crate::refusal::Refusal;

mod abort;
mod history;
mod send;

pub(super) use abort::abort;
pub(super) use history::history;
pub(super) use send::send;

/// Longest session key of a client.
const MAX_KEY_CHARS: usize = 512;

/// What was said, and what a page needs besides to begin.
pub(super) async fn startup(call: &Call, params: history::History) -> Result<Value, Refusal> {
    let mut answer = history(call, params).await?;
    answer["agentsList"] = super::agents::list(call);
    answer["metadata"] = serde_json::json!({});
    Ok(answer)
}

/// The agent and the session that a client means.
fn meant(
    call: &Call,
    spelled: &str,
    agent: Option<&str>,
) -> Result<(String, session::Key), Refusal> {
    if spelled.chars().count() > MAX_KEY_CHARS {
        let why = format!("at /sessionKey: must NOT have more than {MAX_KEY_CHARS} characters");
        return Err(Refusal::Invalid(format!(
            "invalid {} params: {why}",
            call.method
        )));
    }
    let default = agent.unwrap_or(&call.gateway.config.default_agent);
    Ok(session::from_client(spelled, default))
}
