//! From what a client knows of a session to its key.

use proto::{
    session,
    v1::{RowsRequest, SessionName, SessionRow},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Call, chat::meant};
use crate::{refusal::Refusal, schema::Text};

/// By its key, its id or its label. What only tells which of several an agent began is taken, as agents begin none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Resolve {
    key: Option<Text>,
    session_id: Option<Text>,
    label: Option<Text>,
    reference: Option<Reference>,
    short_id: Option<Text>,
    agent_id: Option<Text>,
    spawned_by: Option<Text>,
    allow_missing: Option<bool>,
    #[serde(rename = "slugHint")]
    _slug_hint: Option<Text>,
    #[serde(rename = "includeGlobal")]
    _include_global: Option<bool>,
    #[serde(rename = "includeUnknown")]
    _include_unknown: Option<bool>,
}

/// A key out of a link.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reference {
    key: Text,
    #[serde(rename = "slug")]
    _slug: Option<Text>,
}

/// The key of the session that is meant.
pub(super) async fn resolve(call: &Call, params: Resolve) -> Result<Value, Refusal> {
    let invalid = |why: &str| Err(Refusal::Invalid(why.into()));
    if params.short_id.is_some() {
        return invalid("shortId is not known here; name the session by key, sessionId or label");
    }
    let key = params.key.as_deref();
    let key = key.or_else(|| params.reference.as_ref().map(|reference| &*reference.key));
    let agent = params.agent_id.as_deref();
    let (found, asked) = match (key, params.session_id.as_deref(), params.label.as_deref()) {
        (Some(spelled), None, None) => {
            let (agent, key) = meant(call, spelled, agent)?;
            let found = call.gateway.session(&agent, &key.to_string()).await?;
            (found.into_iter().collect(), spelled.to_owned())
        }
        (None, Some(id), None) => (by_id(call, id, agent).await?, id.to_owned()),
        (None, None, Some(label)) => {
            let found = by_label(call, label.trim(), agent).await?;
            (found, format!("with label: {label}"))
        }
        (None, None, None) => return invalid("Either key, sessionId, or label is required"),
        _ => return invalid("Provide either key, sessionId, or label (not multiple)"),
    };
    let found: Vec<_> = match params.spawned_by {
        Some(_) => Vec::new(),
        None => found,
    };
    match &found[..] {
        [one] => {
            let key = session::to_client(&one.agent, &one.session_key);
            Ok(json!({"ok": true, "key": key, "agentId": one.agent}))
        }
        [] if params.allow_missing == Some(true) => Ok(json!({"ok": false})),
        [] if params.label.is_some() => Err(Refusal::NotFound(format!("No session found {asked}"))),
        [] => Err(Refusal::NotFound(format!("No session found: {asked}"))),
        several => {
            let key = |row: &SessionRow| session::to_client(&row.agent, &row.session_key);
            let keys: Vec<_> = several.iter().map(key).collect();
            let keys = keys.join(", ");
            Err(Refusal::Invalid(format!(
                "Multiple sessions found {asked} ({keys}); name one by its key"
            )))
        }
    }
}

async fn by_id(call: &Call, id: &str, agent: Option<&str>) -> Result<Vec<SessionRow>, Refusal> {
    let asked = RowsRequest {
        search: id.to_owned(),
        agents: agent.map(ToOwned::to_owned).into_iter().collect(),
        ..RowsRequest::default()
    };
    let mut rows = call.gateway.rows(&asked).await?.rows;
    rows.retain(|row| row.session_id == id);
    Ok(rows)
}

async fn by_label(
    call: &Call,
    label: &str,
    agent: Option<&str>,
) -> Result<Vec<SessionRow>, Refusal> {
    call.gateway.settings.catch_up().await;
    let all = call.gateway.settings.all().into_iter();
    let labelled =
        all.filter(|(_, set)| set.label == label && agent.is_none_or(|agent| agent == set.agent));
    let only: Vec<_> = labelled
        .map(|(_, set)| SessionName {
            agent: set.agent.clone(),
            session_key: set.session_key.clone(),
        })
        .collect();
    if only.is_empty() {
        return Ok(Vec::new());
    }
    let asked = RowsRequest {
        only,
        ..RowsRequest::default()
    };
    Ok(call.gateway.rows(&asked).await?.rows)
}
