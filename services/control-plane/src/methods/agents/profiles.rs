//! Agents: listed, made, changed, removed.

use chassis::clock::now_ms;
use proto::v1::AgentProfile;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Value, json};

use super::{Call, identity, workspace};
use crate::{refusal::Refusal, schema::Text, usual::Model};

/// Most agents that operators make.
const MOST: usize = 500;
/// Longest id.
const MAX_ID_CHARS: usize = 64;
/// Longest name, emoji or model, in characters; an avatar may be a picture, in bytes.
const MAX_TEXT_CHARS: usize = 200;
const MAX_AVATAR_BYTES: usize = 100 * 1024;

/// An agent to make. Its files lie with its record, so where else they might lie is not asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Create {
    name: Text,
    #[serde(rename = "workspace")]
    _workspace: Option<Text>,
    model: Option<Text>,
    emoji: Option<String>,
    avatar: Option<String>,
}

/// What is to change of an agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Update {
    agent_id: Text,
    name: Option<Text>,
    #[serde(rename = "workspace")]
    _workspace: Option<Text>,
    /// Null goes back to the model of the settings.
    #[serde(default, deserialize_with = "present")]
    model: Option<Option<Text>>,
    agent_runtime: Option<Text>,
    emoji: Option<String>,
    avatar: Option<String>,
}

/// Which agent to remove. Its files go with it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Delete {
    agent_id: Text,
    delete_files: Option<bool>,
}

fn present<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Option<Text>>, D::Error> {
    Option::deserialize(reader).map(Some)
}

/// The agents.
pub(super) async fn list(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    call.gateway.agents.profiles.catch_up().await;
    Ok(listed(call))
}

/// The agents as they are known now.
pub(in crate::methods) fn listed(call: &Call) -> Value {
    let (agents, protocol) = (&call.gateway.agents, call.client.grant.protocol);
    let (ids, usual) = (agents.ids(), call.gateway.usual.model());
    let entries: Vec<_> = ids
        .iter()
        .map(|id| entry(id, agents.find(id).as_deref(), usual.as_deref(), protocol))
        .collect();
    let mut answer = json!({
        "defaultId": agents.default(), "mainKey": "main", "scope": "per-sender", "agents": entries,
    });
    if protocol >= 4 {
        let ownership = if ids.len() == 1 { "sole" } else { "explicit" };
        answer["ownership"] = ownership.into();
        answer["selectionRequired"] = false.into();
    }
    answer
}

fn entry(id: &str, profile: Option<&AgentProfile>, usual: Option<&Model>, protocol: u8) -> Value {
    let mut entry = json!({"id": id});
    if let Some(profile) = profile.filter(|profile| !profile.name.is_empty()) {
        entry["name"] = profile.name.as_str().into();
    }
    // Protocol 3 knew no more.
    if protocol < 4 {
        return entry;
    }
    entry["workspace"] = workspace(id).into();
    if let Some(profile) = profile {
        entry["createdVia"] = "operator".into();
        entry["identity"] = identity::shown(profile);
        if profile.created_at_ms > 0 {
            entry["createdAt"] = profile.created_at_ms.into();
        }
    }
    let chosen = profile.map(|profile| profile.model.as_str());
    let chosen = chosen.filter(|model| !model.is_empty()).map(Into::into);
    if let Some(model) = chosen.or_else(|| usual.map(Model::name)) {
        entry["model"] = json!({"primary": model});
    }
    entry
}

/// Makes an agent; its id comes from its name.
pub(super) async fn create(call: &Call, params: Create) -> Result<Value, Refusal> {
    let agents = &call.gateway.agents;
    let id = id_of(&params.name)?;
    if id == agents.default() {
        return Err(Refusal::Invalid(format!(
            "\"{id}\" is reserved: it is the agent of the settings; change it with agents.update"
        )));
    }
    agents.profiles.catch_up().await;
    if agents.ids().len() > MOST {
        return Err(Refusal::Invalid(format!(
            "there are {MOST} agents, which is as many as can be made; remove one with agents.delete"
        )));
    }
    let mut made = AgentProfile {
        id: id.clone(),
        created_at_ms: now_ms(),
        ..AgentProfile::default()
    };
    let model = params.model.map(Some);
    let emoji = (params.emoji.as_deref(), params.avatar.as_deref());
    fill(call, &mut made, Some(&params.name), model.as_ref(), emoji)?;
    let make = |found: Option<&AgentProfile>| match found {
        Some(_) => Err(Refusal::Invalid(format!("agent \"{id}\" already exists"))),
        None => Ok(Some(made.clone())),
    };
    agents.profiles.change(&id, make).await?;
    let mut answer = json!({
        "ok": true, "agentId": id, "name": made.name, "workspace": workspace(&id),
    });
    if !made.model.is_empty() {
        answer["model"] = made.model.into();
    }
    Ok(answer)
}

/// Changes an agent.
pub(super) async fn update(call: &Call, params: Update) -> Result<Value, Refusal> {
    let id = params.agent_id.0.to_lowercase();
    if params.agent_runtime.is_some() {
        return Err(Refusal::Invalid(
            "agentRuntime is not served: every agent of this gateway is asked through its agent bridge; leave it out"
                .into(),
        ));
    }
    change(call, &id, |profile| {
        let (name, model) = (params.name.as_ref(), params.model.as_ref());
        let looks = (params.emoji.as_deref(), params.avatar.as_deref());
        fill(call, profile, name, model, looks)
    })
    .await?;
    Ok(json!({"ok": true, "agentId": id}))
}

/// Removes an agent. What was said in its sessions is kept.
pub(super) async fn delete(call: &Call, params: Delete) -> Result<Value, Refusal> {
    let id = params.agent_id.0.to_lowercase();
    let agents = &call.gateway.agents;
    if id == agents.default() {
        return Err(Refusal::Invalid(format!("\"{id}\" cannot be deleted")));
    }
    if params.delete_files == Some(false) {
        return Err(Refusal::Invalid(
            "an agent's files are part of its record and go with it; read them with agents.files.get first, and leave \
             deleteFiles out"
                .into(),
        ));
    }
    let remove = |found: Option<&AgentProfile>| match found {
        Some(_) => Ok(None),
        None => Err(Refusal::NotFound(format!("agent \"{id}\" not found"))),
    };
    agents.profiles.change(&id, remove).await?;
    let mut answer = json!({"ok": true, "agentId": id, "removedBindings": 0});
    if call.client.grant.protocol >= 4 {
        answer["removed"] = json!([]);
    }
    Ok(answer)
}

/// Changes what is known of an agent that there is.
///
/// # Errors
/// When there is none, or what `edit` says.
pub(super) async fn change(
    call: &Call,
    id: &str,
    edit: impl Fn(&mut AgentProfile) -> Result<(), Refusal>,
) -> Result<AgentProfile, Refusal> {
    let agents = &call.gateway.agents;
    let edit = |found: Option<&AgentProfile>| {
        let mut profile = match found {
            Some(found) => found.clone(),
            None if id == agents.default() => AgentProfile {
                id: id.to_owned(),
                ..AgentProfile::default()
            },
            None => return Err(Refusal::NotFound(format!("agent \"{id}\" not found"))),
        };
        edit(&mut profile)?;
        Ok(Some(profile))
    };
    let changed = agents.profiles.change(id, edit).await?;
    Ok(changed.as_deref().cloned().unwrap_or_default())
}

fn fill(
    call: &Call,
    profile: &mut AgentProfile,
    name: Option<&Text>,
    model: Option<&Option<Text>>,
    (emoji, avatar): (Option<&str>, Option<&str>),
) -> Result<(), Refusal> {
    let short = |field: &str, text: &str| match text.chars().count() <= MAX_TEXT_CHARS {
        true => Ok(text.trim().to_owned()),
        false => Err(Refusal::Invalid(format!(
            "invalid {} params: at /{field}: must NOT have more than {MAX_TEXT_CHARS} characters",
            call.name()
        ))),
    };
    if let Some(name) = name {
        profile.name = short("name", name)?;
    }
    if let Some(model) = model {
        profile.model = short("model", model.as_deref().unwrap_or_default())?;
    }
    if let Some(emoji) = emoji {
        profile.emoji = short("emoji", emoji)?;
    }
    if let Some(avatar) = avatar {
        if avatar.len() > MAX_AVATAR_BYTES {
            return Err(Refusal::Invalid(format!(
                "avatar is too large: {} bytes; at most {MAX_AVATAR_BYTES} are taken, or an https address",
                avatar.len()
            )));
        }
        avatar.trim().clone_into(&mut profile.avatar);
    }
    Ok(())
}

/// The id that a name makes: its letters and digits in lower case, anything else a dash.
fn id_of(name: &str) -> Result<String, Refusal> {
    let plain = |c: char| match c {
        'a'..='z' | '0'..='9' | '_' => c,
        _ => '-',
    };
    let id: String = name.trim().to_lowercase().chars().map(plain).collect();
    let mut dashed = id.split('-').filter(|part| !part.is_empty());
    let id = dashed
        .by_ref()
        .collect::<Vec<_>>()
        .join("-")
        .chars()
        .take(MAX_ID_CHARS)
        .collect::<String>();
    match id.trim_end_matches('-') {
        "" => Err(Refusal::Invalid(format!(
            "\"{name}\" makes no agent id; use a name with letters from a to z or digits"
        ))),
        id => Ok(id.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_makes_an_id_that_may_stand_in_a_session_key() {
        assert_eq!(id_of(" Work Agent #2 ").unwrap(), "work-agent-2");
        assert_eq!(id_of("a:b.c*").unwrap(), "a-b-c");
        assert_eq!(id_of(&"x-".repeat(80)).unwrap().len(), 63);
        assert!(id_of("🦀").is_err());
    }

    #[test]
    fn an_agent_is_shown_in_the_shape_of_its_protocol() {
        let profile = AgentProfile {
            id: "work".into(),
            name: "Work".into(),
            emoji: "🦀".into(),
            model: "m".into(),
            created_at_ms: 7,
            ..AgentProfile::default()
        };
        assert_eq!(
            entry("work", Some(&profile), None, 3),
            json!({"id": "work", "name": "Work"}),
            "its schema knows no more"
        );
        let new = entry("work", Some(&profile), None, 4);
        assert_eq!(
            (&new["model"], &new["createdAt"]),
            (&json!({"primary": "m"}), &json!(7))
        );
        let usual = Model::new("p", "usual");
        assert_eq!(entry("main", None, Some(&usual), 3), json!({"id": "main"}));
        let new = entry("main", None, Some(&usual), 4);
        assert_eq!(new["model"], json!({"primary": "p/usual"}));
    }
}
