//! Who an agent is to people: name, emoji, picture.

use proto::v1::AgentProfile;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::chat::meant, Call};
use crate::{refusal::Refusal, schema::Text};

/// Which agent, by its id or by one of its sessions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Get {
    agent_id: Option<Text>,
    session_key: Option<String>,
}

/// Who the agent is.
pub(super) async fn get(call: &Call, params: Get) -> Result<Value, Refusal> {
    let agents = &call.gateway.agents;
    agents.profiles.catch_up().await;
    let named = params.agent_id.as_deref().map(ToOwned::to_owned);
    let of_session = match params.session_key.as_deref() {
        None | Some("") => None,
        Some(key) => Some(meant(call, key, named.as_deref())?.0),
    };
    if let (Some(named), Some(of_session)) = (&named, &of_session)
        && named != of_session
    {
        return Err(Refusal::Invalid(format!(
            "invalid agent.identity.get params: agent \"{named}\" does not match the session's agent \"{of_session}\""
        )));
    }
    let id = of_session.or(named);
    let id = id.unwrap_or_else(|| agents.default().to_owned());
    agents.must_know(call.name(), &id)?;
    let profile = agents.find(&id).unwrap_or_default();
    let shown = shown(&profile);
    let (name, source) = match shown["name"].as_str() {
        Some(name) if profile.name.is_empty() => (name, "workspace"),
        Some(name) => (name, "agent"),
        None => ("Assistant", "default"),
    };
    let initial: String = name.chars().take(1).collect();
    let avatar = shown["avatar"].as_str().unwrap_or(&initial);
    let mut answer = json!({"agentId": id, "name": name, "avatar": avatar});
    if call.client.grant.protocol >= 4 {
        answer["nameSource"] = source.into();
        answer["avatarStatus"] = match avatar {
            avatar if avatar.starts_with("data:") => "data",
            avatar if avatar.starts_with("http") => "remote",
            _ => "none",
        }
        .into();
    }
    if let Some(emoji) = shown["emoji"].as_str() {
        answer["emoji"] = emoji.into();
    }
    Ok(answer)
}

/// What is known of it: as it was set, else as its IDENTITY.md says.
pub(super) fn shown(profile: &AgentProfile) -> Value {
    let file = profile.files.iter().find(|file| file.name == "IDENTITY.md");
    let file = file.map_or("", |file| file.content.as_str());
    let mut shown = json!({});
    for (key, set) in [
        ("name", &profile.name),
        ("emoji", &profile.emoji),
        ("avatar", &profile.avatar),
    ] {
        let told = if set.is_empty() {
            said(file, key)
        } else {
            Some(set.as_str())
        };
        if let Some(told) = told {
            shown[key] = told.into();
        }
    }
    shown
}

/// The rest of a line like `- **Name:** Molly` or `Name: Molly`.
fn said<'a>(file: &'a str, key: &str) -> Option<&'a str> {
    let marks = ['-', '*', ' ', '_'];
    file.lines().find_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let rest = rest.trim_matches(marks).trim();
        let is = name.trim_matches(marks).eq_ignore_ascii_case(key);
        (is && !rest.is_empty()).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use proto::v1::AgentFile;

    use super::*;

    #[test]
    fn an_agent_is_who_was_set_or_else_who_its_file_says() {
        let file = AgentFile {
            name: "IDENTITY.md".into(),
            content: "# Who\n- **Name:** Molly\n- Emoji: 🦞\nAvatar:\n".into(),
            ..AgentFile::default()
        };
        let mut profile = AgentProfile {
            files: vec![file],
            ..AgentProfile::default()
        };
        assert_eq!(shown(&profile), json!({"name": "Molly", "emoji": "🦞"}));
        profile.name = "Work".into();
        assert_eq!(shown(&profile)["name"], "Work");
        assert_eq!(shown(&AgentProfile::default()), json!({}));
    }
}
