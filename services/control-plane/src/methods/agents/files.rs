//! What an agent is told to be: a closed list of files, put before every question to its model.

use chassis::clock::now_ms;
use proto::v1::{AgentFile, AgentProfile};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Call, profiles, workspace};
use crate::{refusal::Refusal, schema::Text};

/// The files that an agent may have.
const NAMES: [&str; 8] = [
    "AGENTS.md",
    "SOUL.md",
    "TOOLS.md",
    "IDENTITY.md",
    "USER.md",
    "HEARTBEAT.md",
    "BOOTSTRAP.md",
    "MEMORY.md",
];
/// Largest file, and all files of one agent, in bytes: a record goes into one message of the bus.
const MOST_BYTES: (usize, usize) = (200 * 1024, 600 * 1024);

/// Which agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct List {
    agent_id: Text,
}

/// Which file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Get {
    agent_id: Text,
    name: Text,
}

/// What a file is to hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Set {
    agent_id: Text,
    name: Text,
    content: String,
    /// SHA-256 of what it holds now, as hex: another content is not overwritten.
    expected_hash: Option<Text>,
}

/// The files of an agent, those too that it does not have.
pub(super) async fn list(call: &Call, params: List) -> Result<Value, Refusal> {
    let (id, profile) = known(call, &params.agent_id).await?;
    let files: Vec<_> = NAMES
        .iter()
        .map(|name| entry(&id, name, of(&profile, name), false))
        .collect();
    Ok(json!({"agentId": id, "workspace": workspace(&id), "files": files}))
}

/// One file with what it holds.
pub(super) async fn get(call: &Call, params: Get) -> Result<Value, Refusal> {
    must_be_served(&params.name)?;
    let (id, profile) = known(call, &params.agent_id).await?;
    let file = entry(&id, &params.name, of(&profile, &params.name), true);
    Ok(json!({"agentId": id, "workspace": workspace(&id), "file": file}))
}

/// Has a file hold something else; nothing takes it away. The agent goes by it from its next turn on.
pub(super) async fn set(call: &Call, params: Set) -> Result<Value, Refusal> {
    must_be_served(&params.name)?;
    if params.content.len() > MOST_BYTES.0 {
        return Err(too_large(params.content.len(), MOST_BYTES.0));
    }
    let (id, _) = known(call, &params.agent_id).await?;
    let profile = profiles::change(call, &id, |profile| {
        let found = of(profile, &params.name).map_or("", |file| file.content.as_str());
        if let Some(expected) = params.expected_hash.as_deref()
            && !expected.eq_ignore_ascii_case(&hash(found))
        {
            let name = &*params.name;
            return Err(Refusal::Invalid(format!(
                "{name} has changed meanwhile; read it with agents.files.get and try again"
            )));
        }
        profile.files.retain(|file| file.name != *params.name);
        if !params.content.is_empty() {
            profile.files.push(AgentFile {
                name: params.name.0.clone(),
                content: params.content.clone(),
                changed_at_ms: now_ms(),
            });
        }
        let all: usize = profile.files.iter().map(|file| file.content.len()).sum();
        match all > MOST_BYTES.1 {
            true => Err(too_large(all, MOST_BYTES.1)),
            false => Ok(()),
        }
    })
    .await?;
    let file = entry(&id, &params.name, of(&profile, &params.name), true);
    Ok(json!({"ok": true, "agentId": id, "workspace": workspace(&id), "file": file}))
}

async fn known(call: &Call, id: &str) -> Result<(String, AgentProfile), Refusal> {
    let agents = &call.gateway.agents;
    let id = id.to_lowercase();
    agents.profiles.catch_up().await;
    agents.must_know(call.name(), &id)?;
    let profile = agents.find(&id);
    Ok((id, profile.as_deref().cloned().unwrap_or_default()))
}

fn of<'a>(profile: &'a AgentProfile, name: &str) -> Option<&'a AgentFile> {
    profile.files.iter().find(|file| file.name == name)
}

fn entry(id: &str, name: &str, file: Option<&AgentFile>, content: bool) -> Value {
    let path = format!("{}/{name}", workspace(id));
    let Some(file) = file else {
        return json!({"name": name, "path": path, "missing": true});
    };
    let mut entry = json!({
        "name": name, "path": path, "missing": false, "size": file.content.len(),
        "updatedAtMs": file.changed_at_ms,
    });
    if content {
        entry["content"] = file.content.as_str().into();
    }
    entry
}

fn must_be_served(name: &str) -> Result<(), Refusal> {
    match NAMES.contains(&name) {
        true => Ok(()),
        false => {
            let name: String = name.chars().take(64).collect();
            let known = NAMES.join(", ");
            Err(Refusal::Invalid(format!(
                "unsupported file \"{name}\"; an agent has {known}"
            )))
        }
    }
}

fn too_large(bytes: usize, most: usize) -> Refusal {
    Refusal::Invalid(format!(
        "too large: {bytes} bytes; at most {most} are taken"
    ))
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
