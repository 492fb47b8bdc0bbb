//! What can be set for a session: what acts is kept and acts, what only clients show is kept, the rest is refused.

use chassis::clock::now_ms;
use proto::{
    id, session,
    v1::{SessionRow, SessionSettings},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{Call, chat::meant},
    orders,
};
use crate::{refusal::Refusal, schema::Text, scope::Scope, sessions::row};

mod field;

use field::Field;

/// What is to be set; null takes it back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Patch {
    key: Text,
    agent_id: Option<Text>,
    expected_session_id: Option<Text>,
    /// Compared where it is there: null expects that nobody marked it unread.
    #[serde(default, deserialize_with = "present")]
    expected_marked_unread_at: Option<Value>,
    /// The settings, each by its name.
    #[serde(flatten)]
    fields: Map<String, Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(reader).map(Some)
}

/// Sets what is asked for, all or nothing, and answers what is set now.
pub(super) async fn patch(call: &Call, params: Patch) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let session_key = key.to_string();
    let fields = read(call, &session_key, &params.fields)?;
    let found = call.gateway.session(&agent, &session_key).await?;
    let spelled = session::to_client(&agent, &session_key);
    let known_id = found.as_ref().map(|row| row.session_id.as_str());
    if let Some(expected) = params.expected_session_id.as_deref()
        && known_id != Some(expected)
    {
        return Err(stale(&spelled));
    }
    if let Some(label) = params.fields.get("label").and_then(Value::as_str) {
        must_be_free(call, &agent, &session_key, label.trim()).await?;
    }
    let found = match found {
        Some(found) => found,
        // What was set for it has to have something to stand at.
        None if fields
            .iter()
            .any(|field| !matches!(field, Field::Unread(_))) =>
        {
            orders::begin(call, &agent, &session_key).await?
        }
        None => SessionRow::default(),
    };
    let set = change(call, &agent, &session_key, |set| {
        if let Some(expected) = &params.expected_marked_unread_at {
            let expected = expected.as_i64().unwrap_or_default();
            if expected != set.marked_unread_at_ms {
                return Err(stale(&spelled));
            }
        }
        for field in &fields {
            field.set(set, now_ms());
        }
        Ok(())
    })
    .await?;
    let resolved = row::split_model(
        if set.model.is_empty() {
            &found.model
        } else {
            &set.model
        },
        &found.provider,
    );
    Ok(json!({
        "ok": true, "path": "ledger", "key": spelled, "entry": entry(&found, &set),
        "resolved": {"modelProvider": resolved.0, "model": resolved.1},
    }))
}

/// Changes what is set for a session.
pub(super) async fn change(
    call: &Call,
    agent: &str,
    session_key: &str,
    edit: impl Fn(&mut SessionSettings) -> Result<(), Refusal>,
) -> Result<SessionSettings, Refusal> {
    let edit = |found: Option<&SessionSettings>| {
        let mut set = found.cloned().unwrap_or_default();
        edit(&mut set)?;
        set.agent = agent.to_owned();
        set.session_key = session_key.to_owned();
        set.changed_at_ms = now_ms();
        Ok::<_, Refusal>(Some(set))
    };
    let settings = &call.gateway.settings;
    let set = settings
        .change(&id::of_settings(agent, session_key), edit)
        .await?;
    Ok(set.as_deref().cloned().unwrap_or_default())
}

/// The settings that `fields` name, if the caller may set each and each can be set.
pub(super) fn read(
    call: &Call,
    session_key: &str,
    fields: &Map<String, Value>,
) -> Result<Vec<Field>, Refusal> {
    let grant = &call.client.grant;
    let group = !row::Place::of(session_key).is_direct();
    let mut read = Vec::new();
    for (name, value) in fields {
        let Some(setting) = field::named(name) else {
            return Err(Refusal::Invalid(format!(
                "invalid {} params: at root: unexpected property '{name}'",
                call.name()
            )));
        };
        let of_writers = grant.protocol >= 4 && setting.is_of_writers();
        if !of_writers && !grant.scopes.allow(Scope::Admin) {
            return Err(Refusal::Missing(Scope::Admin));
        }
        let field = setting.read(name, value, group);
        read.extend(field.map_err(|why| Refusal::Invalid(why.say(call.name())))?);
    }
    Ok(read)
}

async fn must_be_free(
    call: &Call,
    agent: &str,
    session_key: &str,
    label: &str,
) -> Result<(), Refusal> {
    call.gateway.settings.catch_up().await;
    let taken = |set: &SessionSettings| {
        set.label == label && !(set.agent == agent && set.session_key == session_key)
    };
    let all = call.gateway.settings.all();
    match all.iter().any(|(_, set)| !label.is_empty() && taken(set)) {
        true => Err(Refusal::Invalid(format!("label already in use: {label}"))),
        false => Ok(()),
    }
}

fn stale(spelled: &str) -> Refusal {
    Refusal::Invalid(format!(
        "session {spelled} has changed meanwhile; list it and try again"
    ))
}

/// A session as it is set, under the names of the reference.
pub(super) fn entry(found: &SessionRow, set: &SessionSettings) -> Value {
    let mut entry = json!({
        "sessionId": found.session_id, "updatedAt": found.updated_at_ms.max(set.changed_at_ms),
    });
    let (provider, model) = row::split_model(&set.model, "");
    let texts = [
        ("label", set.label.as_str()),
        ("category", &set.category),
        ("sendPolicy", &set.send_policy),
        ("groupActivation", &set.group_activation),
        ("providerOverride", provider),
        ("modelOverride", model),
    ];
    for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        entry[key] = text.into();
    }
    let times = [
        ("archivedAt", set.archived_at_ms),
        ("pinnedAt", set.pinned_at_ms),
        ("lastReadAt", set.read_at_ms),
        ("markedUnreadAt", set.marked_unread_at_ms),
    ];
    for (key, at_ms) in times.into_iter().filter(|(_, at_ms)| *at_ms > 0) {
        entry[key] = at_ms.into();
    }
    for (key, value) in &set.shown {
        entry[key] = serde_json::from_str(value).unwrap_or(Value::Null);
    }
    entry
}
