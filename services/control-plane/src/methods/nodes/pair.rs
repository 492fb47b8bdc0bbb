//! Who decides about nodes, and how.

use chassis::clock::now_ms;
use proto::{
    v1::{Node, NodePermission, NodeProgram, NodeRequest, NodeSurface},
    ws::Error,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{super::Call, Choice};
use crate::{
    devices::authority::Authority,
    nodes::{Change, PAIRERS, pairing, row},
    outbox::Worth,
    refusal::Refusal,
    schema::Text,
    scope::Scope,
};

/// Longest name of a node, in characters.
const MAX_NAME_CHARS: usize = 120;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Decision {
    request_id: Text,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rename {
    node_id: Text,
    display_name: Text,
}

/// A node that an operator enters by hand, as clients of protocol 3 do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entry {
    node_id: Text,
    display_name: Option<Text>,
    platform: Option<Text>,
    version: Option<Text>,
    #[serde(rename = "coreVersion")]
    _core_version: Option<Text>,
    #[serde(rename = "uiVersion")]
    _ui_version: Option<Text>,
    device_family: Option<Text>,
    model_identifier: Option<Text>,
    #[serde(default)]
    caps: Vec<Text>,
    #[serde(default)]
    commands: Vec<Text>,
    #[serde(default)]
    permissions: BTreeMap<String, bool>,
    remote_ip: Option<Text>,
    #[serde(default)]
    silent: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Proof {
    node_id: Text,
    token: Text,
}

/// What waits, and what was approved.
pub(super) async fn list(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let nodes = &call.gateway.nodes;
    let mut all = nodes.all().await?;
    all.retain(|node| may_decide(call, &node.id));
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let pending = all.iter().filter(|node| nodes.is_pending(node));
    let pending: Vec<_> = pending.filter_map(row::request).collect();
    let paired: Vec<_> = all.iter().filter_map(row::paired).collect();
    Ok(json!({"pending": pending, "paired": paired}))
}

/// Lets a node be asked for what it asked to be asked for.
pub(super) async fn approve(call: &Call, params: Decision) -> Result<Value, Refusal> {
    let (gateway, request_id) = (&call.gateway, params.request_id.0.as_str());
    let asked = waiting(call, request_id, "approval").await?;
    let commands = asked
        .request
        .as_ref()
        .and_then(|request| request.surface.as_ref());
    let commands = commands
        .map(|surface| surface.commands.clone())
        .unwrap_or_default();
    let needed = pairing::scopes(&commands);
    let missing = needed
        .iter()
        .find(|scope| !call.client.grant.scopes.allow(**scope));
    if let Some(missing) = missing {
        return Err(lacks(*missing, &needed, call.client.grant.protocol));
    }
    // Who came in by its device has that to show; who was entered by hand gets a token, told once.
    let by_hand = asked.last_connected_at_ms == 0;
    let token = by_hand.then(|| format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
    let now_ms = now_ms();
    let mut done = false;
    let (_, node) = gateway
        .nodes
        .change(&asked.id, |node| {
            let approved = node.and_then(|node| pairing::approve(node, request_id, now_ms));
            done = approved.is_some();
            approved.map_or(Change::Nothing, |mut node| {
                if let Some(token) = &token {
                    node.token_hash = Sha256::digest(token).to_vec();
                }
                Change::To(Box::new(node))
            })
        })
        .await?;
    let node = node.filter(|_| done).ok_or_else(unknown_request)?;
    tracing::info!(node.id = %node.id, "an operator approved node `{}`", node.id);
    resolved(call, request_id, &node, "approved").await;
    let mut row = row::paired(&node).unwrap_or_default();
    if let Some(token) = token {
        row["token"] = token.into();
    }
    Ok(json!({"requestId": request_id, "node": row}))
}

/// Turns a request down; the node may ask again when it comes again.
pub(super) async fn reject(call: &Call, params: Decision) -> Result<Value, Refusal> {
    let request_id = params.request_id.0.as_str();
    let asked = waiting(call, request_id, "rejection").await?;
    let mut done = false;
    let (_, node) = call
        .gateway
        .nodes
        .change(&asked.id, |node| {
            let is_it = |node: &Node| {
                node.request
                    .as_ref()
                    .is_some_and(|known| known.id == request_id)
            };
            let Some(mut node) = node.filter(is_it) else {
                done = false;
                return Change::Nothing;
            };
            done = true;
            node.request = None;
            match row::is_paired(&node) {
                true => Change::To(Box::new(node)),
                false => Change::Gone,
            }
        })
        .await?;
    if !done {
        return Err(unknown_request());
    }
    resolved(call, request_id, &node.unwrap_or(asked.clone()), "rejected").await;
    Ok(json!({"requestId": request_id, "nodeId": asked.id}))
}

/// Forgets a node: its connections end, and when it comes again it has to ask again.
pub(super) async fn remove(call: &Call, params: Choice) -> Result<Value, Refusal> {
    let id = params.node_id.trim();
    if !may_decide(call, id) {
        return Err(Refusal::Invalid("node pairing removal denied".into()));
    }
    let (before, _) = call.gateway.nodes.change(id, |_| Change::Gone).await?;
    let Some(node) = before else {
        return Err(Refusal::Invalid("unknown nodeId".into()));
    };
    tracing::info!(node.id = %id, "an operator removed node `{id}`");
    // Its device may not come as a node any more either; one that was entered by hand has none.
    let by = Authority::of(&call.client.grant);
    call.gateway.revoke_token(id, "node", &by).await?;
    resolved(call, "", &node, "removed").await;
    Ok(json!({"nodeId": id}))
}

pub(super) async fn rename(call: &Call, params: Rename) -> Result<Value, Refusal> {
    let (id, name) = (params.node_id.trim(), params.display_name.trim());
    if !may_decide(call, id) {
        return Err(Refusal::Invalid("node rename denied".into()));
    }
    if name.is_empty() {
        return Err(Refusal::Invalid("displayName required".into()));
    }
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    let (_, node) = call
        .gateway
        .nodes
        .change(id, |node| match node.filter(row::is_paired) {
            Some(mut node) => {
                node.name.clone_from(&name);
                Change::To(Box::new(node))
            }
            None => Change::Nothing,
        })
        .await?;
    match node.filter(row::is_paired) {
        Some(_) => Ok(json!({"nodeId": id, "displayName": name})),
        None => Err(Refusal::Invalid("unknown nodeId".into())),
    }
}

/// Enters a node by hand; the same again is the same request.
pub(super) async fn request(call: &Call, params: Entry) -> Result<Value, Refusal> {
    let nodes = &call.gateway.nodes;
    let id = params.node_id.trim().to_owned();
    if !may_decide(call, &id) {
        return Err(Refusal::Invalid("node pairing request denied".into()));
    }
    nodes.room().await??;
    let (program, surface) = read(call, params.silent, params);
    let (request_id, now_ms) = (Uuid::new_v4().to_string(), now_ms());
    let mut created = false;
    let (_, node) = nodes
        .change(&id, |before| {
            let mut node = before.unwrap_or_else(|| Node {
                id: id.clone(),
                first_seen_at_ms: now_ms,
                ..Node::default()
            });
            created = node.request.is_none();
            if !created {
                return Change::Nothing;
            }
            // What connects introduces itself; a name entered by hand does not overrule that.
            node.program.get_or_insert_with(|| program.clone());
            node.request = Some(NodeRequest {
                id: request_id.clone(),
                surface: Some(surface.0.clone()),
                asked_at_ms: now_ms,
                silent: surface.1,
            });
            Change::To(Box::new(node))
        })
        .await?;
    let node = node.unwrap_or_default();
    if created {
        call.gateway.ask_about(&node).await;
    }
    Ok(json!({"status": "pending", "created": created, "request": row::request(&node)}))
}

/// Whether the token is the one that the node got when it was approved.
pub(super) async fn verify(call: &Call, params: Proof) -> Result<Value, Refusal> {
    let node = call.gateway.nodes.find(params.node_id.trim()).await?;
    let hash = Sha256::digest(params.token.as_bytes());
    let is_it =
        |node: &Node| !node.token_hash.is_empty() && bool::from(node.token_hash.ct_eq(&hash));
    Ok(match node.filter(is_it).as_ref().and_then(row::paired) {
        Some(row) => json!({"ok": true, "node": row}),
        None => json!({"ok": false}),
    })
}

fn read(call: &Call, silent: bool, params: Entry) -> (NodeProgram, (NodeSurface, bool)) {
    let text = |text: Option<Text>| text.map(|text| text.0).unwrap_or_default();
    let texts = |texts: Vec<Text>| texts.into_iter().map(|text| text.0).collect();
    let program = NodeProgram {
        display_name: text(params.display_name),
        platform: text(params.platform),
        version: text(params.version),
        device_family: text(params.device_family),
        model_identifier: text(params.model_identifier),
        remote_ip: text(params.remote_ip),
        ..NodeProgram::default()
    };
    let permissions = params.permissions.into_iter();
    let surface = NodeSurface {
        caps: texts(params.caps),
        commands: texts(params.commands),
        permissions: permissions
            .map(|(name, granted)| NodePermission { name, granted })
            .collect(),
    };
    let surface = call.gateway.nodes.policy.declarable(&program, surface);
    (program, (surface, silent))
}

/// The node whose request `id` waits and may be decided by who calls.
async fn waiting(call: &Call, id: &str, what: &str) -> Result<Node, Refusal> {
    let nodes = &call.gateway.nodes;
    let is_it = |node: &Node| {
        node.request
            .as_ref()
            .is_some_and(|request| request.id == id)
    };
    let found = nodes.all().await?.into_iter().find(is_it);
    let found = found.filter(|node| nodes.is_pending(node));
    match found {
        Some(node) if may_decide(call, &node.id) => Ok(node),
        Some(_) => Err(Refusal::Invalid(format!("node pairing {what} denied"))),
        None => Err(unknown_request()),
    }
}

/// Whether who calls may decide about the node `id`: a device that is no admin decides about itself alone.
fn may_decide(call: &Call, id: &str) -> bool {
    let grant = &call.client.grant;
    let own = grant.device.as_deref();
    grant.scopes.allow(Scope::Admin) || own.is_none_or(|own| own == id)
}

/// Tells operators, and the node itself, what became of it.
async fn resolved(call: &Call, request_id: &str, node: &Node, decision: &str) {
    let payload =
        json!({"requestId": request_id, "nodeId": node.id, "decision": decision, "ts": now_ms()});
    let name = "node.pair.resolved";
    call.gateway.tell_node(node, name, &payload).await;
    call.gateway
        .announce(name, &payload, PAIRERS, Worth::Needed)
        .await;
}

fn unknown_request() -> Refusal {
    Refusal::Invalid("unknown requestId".into())
}

/// A scope is missing of several that it takes.
fn lacks(missing: Scope, needed: &[Scope], protocol: u8) -> Refusal {
    let error = Refusal::Missing(missing).error(protocol);
    if protocol < 4 {
        return Refusal::Told(Box::new(error));
    }
    let needed: Vec<_> = needed.iter().map(|scope| scope.name()).collect();
    Refusal::Told(Box::new(Error {
        details: Some(
            json!({"code": "MISSING_SCOPE", "missingScope": missing.name(), "requiredScopes": needed}),
        ),
        ..error
    }))
}
