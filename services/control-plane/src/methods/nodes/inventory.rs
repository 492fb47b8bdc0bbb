//! What a node tells of itself besides its commands: skills, tools of its plugins, what it can run.

use std::collections::HashSet;

use proto::v1::NodeConnection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use super::{super::Call, is_own, own, pairing_changed, unavailable};
use crate::{nodes::Change, refusal::Refusal, schema::Text};

/// Skills, and tools, of one node.
const MOST: usize = 64;
const MAX_TOOLS: usize = 256;
const MAX_SKILL_NAME_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const MAX_SKILL_CHARS: usize = 65_536;
/// All tools of one node, as JSON.
const MAX_TOOLS_BYTES: usize = 256 * 1024;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Skills {
    skills: Vec<Skill>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Skill {
    name: String,
    description: String,
    content: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tools {
    tools: Vec<Tool>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tool {
    plugin_id: String,
    name: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mcp: Option<McpTool>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct McpTool {
    server: String,
    tool: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Runner {
    protocol_features: Vec<Text>,
    worker_host: Option<Map<String, Value>>,
}

/// Keeps which skills the node has; their texts stay with the node.
pub(super) async fn skills(call: &Call, params: Skills) -> Result<Value, Refusal> {
    let mistake = |why: &str| Refusal::Invalid(format!("invalid node.skills.update params: {why}"));
    if params.skills.len() > MOST {
        return Err(mistake("at /skills: must NOT have more than 64 items"));
    }
    let mut names = HashSet::new();
    for (n, skill) in params.skills.iter().enumerate() {
        if !is_skill_name(&skill.name) || !names.insert(skill.name.as_str()) {
            return Err(mistake(&format!(
                "at /skills/{n}/name: must match pattern of skill names, once each"
            )));
        }
        let fits = |text: &str, most: usize| (1..=most).contains(&text.chars().count());
        if !fits(&skill.description, MAX_DESCRIPTION_CHARS)
            || !fits(&skill.content, MAX_SKILL_CHARS)
        {
            return Err(mistake(&format!(
                "at /skills/{n}: description or content is empty or too long"
            )));
        }
    }
    let listed: Vec<_> = params
        .skills
        .iter()
        .map(|skill| json!({"name": skill.name, "description": skill.description}))
        .collect();
    let kept = Value::from(listed).to_string();
    let id = keep(call, |at| at.skills_json.clone_from(&kept)).await?;
    Ok(json!({"nodeId": id, "skills": params.skills}))
}

/// Keeps which tools the node's plugins have.
pub(super) async fn plugin_tools(call: &Call, params: Tools) -> Result<Value, Refusal> {
    let mistake =
        |why: &str| Refusal::Invalid(format!("invalid node.pluginTools.update params: {why}"));
    let kept = json!(params.tools);
    if params.tools.len() > MAX_TOOLS || kept.to_string().len() > MAX_TOOLS_BYTES {
        return Err(mistake("at /tools: too many or too large"));
    }
    for (n, tool) in params.tools.iter().enumerate() {
        let letters = tool
            .name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        let begins = tool.name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !letters || !begins || tool.name.len() > MAX_SKILL_NAME_CHARS {
            return Err(mistake(&format!(
                "at /tools/{n}/name: must match pattern \"^[A-Za-z][A-Za-z0-9_-]{{0,63}}$\""
            )));
        }
        if tool.plugin_id.is_empty() || tool.description.is_empty() {
            return Err(mistake(&format!(
                "at /tools/{n}: must NOT have fewer than 1 characters"
            )));
        }
    }
    let text = kept.to_string();
    let id = keep(call, |at| at.plugin_tools_json.clone_from(&text)).await?;
    Ok(json!({"nodeId": id, "tools": kept}))
}

/// Keeps what the node can run. A node that waits for its approval is told to come again, as it expects.
pub(super) async fn runner(call: &Call, params: Runner) -> Result<Value, Refusal> {
    let node = own(call).await?;
    if node.approved.is_none() {
        let request = node.request.map(|request| request.id).unwrap_or_default();
        let message = format!(
            "node capability surface is awaiting operator approval; run `openclaw nodes approve {request}`"
        );
        return Err(Refusal::Told(Box::new(unavailable(
            &message,
            json!({"reason": "node-not-approved"}),
        ))));
    }
    let features: Vec<_> = params
        .protocol_features
        .iter()
        .map(|feature| &*feature.0)
        .collect();
    let kept = json!({"protocolFeatures": features, "workerHost": params.worker_host}).to_string();
    if kept.len() > MAX_TOOLS_BYTES {
        return Err(Refusal::Invalid("invalid node runner inventory".into()));
    }
    let id = keep(call, |at| at.runner_json.clone_from(&kept)).await?;
    Ok(json!({"nodeId": id}))
}

/// Programs that skills want the node to look for. No agent here has skills that run programs.
pub(super) async fn bins(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(json!({"bins": []}))
}

/// Changes what is kept of the connection that calls; the node's id.
async fn keep(call: &Call, change: impl Fn(&mut NodeConnection)) -> Result<String, Refusal> {
    let id = call.client.grant.device.as_deref().unwrap_or_default();
    let mut current = false;
    call.gateway
        .nodes
        .change(id, |node| {
            let own = node.filter(|node| is_own(call, node));
            current = own.is_some();
            own.map_or(Change::Nothing, |mut node| {
                if let Some(at) = &mut node.connection {
                    change(at);
                }
                Change::To(Box::new(node))
            })
        })
        .await?;
    match current {
        true => Ok(id.to_owned()),
        false => Err(pairing_changed()),
    }
}

/// Small letters, digits and single hyphens within.
fn is_skill_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_SKILL_NAME_CHARS).contains(&name.len())
        && name.chars().all(good)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_skills_are_small_words_with_hyphens() {
        for good in ["a", "web-search", "x2"] {
            assert!(is_skill_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "ä", &"x".repeat(65)] {
            assert!(!is_skill_name(bad), "{bad}");
        }
    }
}
