//! Machines that do what agents ask: which there are, who decides about them, and what they are asked.

use std::cmp::Reverse;

use chassis::clock::now_ms;
use proto::{v1::Node, ws::Error};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{Call, Method, method};
use crate::{nodes::row, refusal::Refusal, schema::Text, scope::Scope};

mod event;
mod inventory;
mod invoke;
mod once;
mod outcome;
mod pair;
mod pending;
mod said;
mod surface;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("node.list", Read, list),
    method!("node.describe", Read, describe),
    method!("node.rename", Pairing, pair::rename),
    method!("node.pair.list", Pairing, pair::list),
    method!("node.pair.approve", Pairing, pair::approve),
    method!("node.pair.reject", Pairing, pair::reject),
    method!("node.pair.remove", Pairing, pair::remove),
    method!("node.pair.request", Pairing, pair::request),
    method!("node.pair.verify", Pairing, pair::verify),
    method!("node.invoke", Write, invoke::invoke),
    method!("node.pending.enqueue", Write, pending::enqueue),
    method!("plugin.surface.refresh", Read, surface::refresh),
    // From here on only nodes call, and every node may: the scope is not looked at.
    method!("node.invoke.result", Read, outcome::result),
    method!("node.invoke.progress", Read, outcome::progress),
    method!("node.event", Read, event::event),
    method!("node.pending.pull", Read, pending::pull),
    method!("node.pending.ack", Read, pending::ack),
    method!("node.pending.drain", Read, pending::drain),
    method!("node.skills.update", Read, inventory::skills),
    method!("node.pluginTools.update", Read, inventory::plugin_tools),
    method!("node.runnerInventory.update", Read, inventory::runner),
    method!("skills.bins", Read, inventory::bins),
    method!("node.pluginSurface.refresh", Read, surface::refresh),
];

/// Which node is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Choice {
    node_id: Text,
}

/// The nodes that somebody let in, those that are connected first.
async fn list(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let mut nodes = call.gateway.nodes.all().await?;
    nodes.retain(|node| is_visible(call, node));
    nodes.sort_by_cached_key(|node| {
        let connected = call.gateway.nodes.is_connected(node);
        let name = row::name(node).to_lowercase();
        (Reverse(connected), name, node.id.clone())
    });
    let mut answer = json!({"ts": now_ms()});
    if let Some(active) = active(call, &nodes) {
        answer["activeNodeId"] = active.into();
    }
    let rows = nodes.iter().map(|node| {
        let mut row = known(call, node);
        if answer["activeNodeId"] == node.id.as_str() {
            row["active"] = true.into();
        }
        row
    });
    let rows: Vec<_> = rows.collect();
    answer["nodes"] = rows.into();
    Ok(answer)
}

async fn describe(call: &Call, params: Choice) -> Result<Value, Refusal> {
    let node = call.gateway.nodes.find(params.node_id.trim()).await?;
    let node = node.filter(|node| is_visible(call, node));
    let node = node.ok_or_else(|| Refusal::Invalid("unknown nodeId".into()))?;
    let mut row = known(call, &node);
    row["ts"] = now_ms().into();
    Ok(row)
}

fn known(call: &Call, node: &Node) -> Value {
    let nodes = &call.gateway.nodes;
    let decides = call.client.grant.scopes.allow(Scope::Pairing);
    row::known(
        node,
        nodes.is_connected(node),
        nodes.is_pending(node),
        decides,
    )
}

/// Who decides about nodes sees also those that nobody let in yet.
fn is_visible(call: &Call, node: &Node) -> bool {
    let decides = call.client.grant.scopes.allow(Scope::Pairing);
    row::is_paired(node) || (decides && call.gateway.nodes.is_pending(node))
}

/// The node that its person touched last.
fn active(call: &Call, nodes: &[Node]) -> Option<String> {
    let touched = nodes.iter().filter_map(|node| {
        let at = node.connection.as_ref()?.last_active_at_ms;
        (at > 0 && call.gateway.nodes.is_connected(node)).then_some((at, &node.id))
    });
    touched.max().map(|(_, id)| id.clone())
}

/// The node that calls.
///
/// # Errors
/// When its record is gone, or belongs to a newer connection: what this one says counts no more.
async fn own(call: &Call) -> Result<Node, Refusal> {
    let id = call.client.grant.device.as_deref().unwrap_or_default();
    let node = call.gateway.nodes.find(id).await?;
    let node = node.filter(|node| is_own(call, node));
    node.ok_or_else(pairing_changed)
}

/// Whether `node` is the one that calls, on its newest connection.
fn is_own(call: &Call, node: &Node) -> bool {
    let at = node.connection.as_ref();
    at.is_some_and(|at| at.client == call.client.id)
}

/// What somebody decided about the node meanwhile is in the way.
fn pairing_changed() -> Refusal {
    let mut error = unavailable(
        "node pairing changed while invocation was active",
        json!({"code": "PAIRING_CHANGED"}),
    );
    error.retryable = Some(true);
    Refusal::Told(Box::new(error))
}

fn unavailable(message: &str, details: Value) -> Error {
    Error {
        code: "UNAVAILABLE",
        message: message.to_owned(),
        details: Some(details),
        ..Error::default()
    }
}

fn invalid(message: &str, details: Value) -> Refusal {
    Refusal::Told(Box::new(Error {
        code: "INVALID_REQUEST",
        ..unavailable(message, details)
    }))
}
