//! Stopping answers that are being made.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Call, meant};
use crate::{refusal::Refusal, runs::Running, schema::Text, turns};

/// Which run, or all of a session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Abort {
    session_key: Text,
    agent_id: Option<Text>,
    run_id: Option<Text>,
    /// Runs beside the main one; there are none.
    #[serde(rename = "preserveSideRuns")]
    _preserve_side_runs: Option<bool>,
}

/// Stops what is meant, and names the runs that were seen running.
pub(crate) async fn abort(call: &Call, params: Abort) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.session_key, params.agent_id.as_deref())?;
    let session_key = key.to_string();
    let stopped = match params.run_id.as_deref() {
        None => stop_all(call, &agent, &session_key).await?,
        Some(run_id) => stop_one(call, &agent, &session_key, run_id).await?,
    };
    Ok(json!({"ok": true, "aborted": !stopped.is_empty(), "runIds": stopped}))
}

/// Stops every run of a session and names those that were seen.
pub(in crate::methods) async fn stop_all(
    call: &Call,
    agent: &str,
    session_key: &str,
) -> Result<Vec<String>, Refusal> {
    let seen = call.gateway.runs().of(agent, session_key);
    // By name as well: a cancel by name also means a turn that has not begun yet.
    for run in &seen {
        turns::cancel(&call.gateway, agent, session_key, &run.turn_id).await?;
    }
    turns::cancel(&call.gateway, agent, session_key, "*").await?;
    Ok(seen.into_iter().map(|run| run.id).collect())
}

/// Stops one run, and names it if it was seen.
pub(in crate::methods) async fn stop_one(
    call: &Call,
    agent: &str,
    session_key: &str,
    run_id: &str,
) -> Result<Vec<String>, Refusal> {
    let seen = call
        .gateway
        .runs()
        .find(run_id)
        .map(|(run, agent, key)| (run, agent.to_owned(), key.to_owned()));
    let Some((Running { id, turn_id }, its_agent, its_key)) = seen else {
        return stop_unseen(call, agent, session_key, run_id).await;
    };
    if its_key != session_key && call.client.grant.protocol < 4 {
        return Err(Refusal::Invalid("runId does not match sessionKey".into()));
    }
    turns::cancel(&call.gateway, &its_agent, &its_key, &turn_id).await?;
    Ok(vec![id])
}

/// Stops a run that began before this replica: by its name, which whoever runs it knows.
async fn stop_unseen(
    call: &Call,
    agent: &str,
    session_key: &str,
    run_id: &str,
) -> Result<Vec<String>, Refusal> {
    let mut runs = false;
    for turn_id in [run_id, &turns::turn_id(run_id)] {
        // Before it is stopped: a run that was stopped has ended.
        let told = turns::outcome(&call.gateway.bus, turn_id).await;
        runs |= told.is_ok_and(|told| told.known && told.end.is_none());
        turns::cancel(&call.gateway, agent, session_key, turn_id).await?;
    }
    // Not claimed to be stopped where nobody knows of it.
    Ok(runs.then(|| run_id.to_owned()).into_iter().collect())
}
