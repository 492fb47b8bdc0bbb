//! Who wants to hear of sessions: of every change, and of each message of some.

use proto::v1::HistoryRequest;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{Call, chat::meant},
    list::{self, List},
};
use crate::{refusal::Refusal, schema::Text, watch::MOST_FOLLOWED};

/// The list that a client wants with it, if it says what of one.
pub(super) type Subscribe = List;

/// Which session. Approvals are nobody's of one session here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Follow {
    key: Text,
    agent_id: Option<Text>,
    #[serde(rename = "includeApprovals")]
    _include_approvals: Option<bool>,
}

/// Tells this client of every change of a session from now on.
pub(super) async fn subscribe(call: &Call, params: Subscribe) -> Result<Value, Refusal> {
    call.client.hears.every_change(true);
    let mut answer = json!({"subscribed": true});
    if params.is_asked() {
        answer["list"] = list::list(call, params).await?;
    }
    Ok(answer)
}

/// Tells it no more.
pub(super) async fn unsubscribe(call: &Call, _: serde::de::IgnoredAny) -> Result<Value, Refusal> {
    call.client.hears.every_change(false);
    Ok(json!({"subscribed": false}))
}

/// Tells this client each message of a session from now on.
pub(super) async fn follow(call: &Call, params: Follow) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let name = (agent, key.to_string());
    // Up to here it can read; from here on it is told.
    let request = HistoryRequest {
        agent: name.0.clone(),
        session_key: name.1.clone(),
        limit: 1,
        ..HistoryRequest::default()
    };
    let told = call.gateway.history(&request).await?;
    let newest = told.lines.last().map_or(0, |line| line.id);
    call.gateway.watch.begin(&name, newest);
    if !call.client.hears.follow(name) {
        return Err(Refusal::Invalid(format!(
            "at most {MOST_FOLLOWED} sessions are followed at once; call sessions.messages.unsubscribe for some"
        )));
    }
    Ok(json!({"subscribed": true, "key": &*params.key}))
}

/// Tells it no more.
pub(super) async fn unfollow(call: &Call, params: Follow) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    call.client.hears.unfollow(&(agent, key.to_string()));
    Ok(json!({"subscribed": false, "key": &*params.key}))
}
