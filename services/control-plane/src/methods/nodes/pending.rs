//! What a node is to do when it asks: phones sleep, and take their work when they wake.

use chassis::clock::now_ms;
use proto::v1::{Node, NodeOutcome, NodeWork};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{super::Call, is_own, own, pairing_changed, unavailable};
use crate::{
    nodes::{Asked, Change},
    refusal::Refusal,
    schema::Text,
};

/// Kind of work that is a command.
const COMMAND: &str = "command";
/// Work that waits for one node.
const MOST: usize = 64;
/// Largest parameters of a command that waits, in bytes.
const MAX_PARAMS_BYTES: usize = 64 * 1024;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long a command waits.
const COMMAND_MS: i64 = 10 * 60 * 1000;
/// Pieces of work of one answer, where nobody says, and at most.
const USUAL: usize = 4;
const AT_ONCE: usize = 10;

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum Kind {
    #[serde(rename = "status.request")]
    Status,
    #[serde(rename = "location.request")]
    Location,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Urgency {
    #[default]
    Normal,
    High,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Enqueue {
    node_id: Text,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    priority: Urgency,
    /// From 1000 to 86400000.
    expires_in_ms: Option<i64>,
    /// Accepted; there is no push service that could wake a node.
    #[serde(rename = "wake")]
    _wake: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Drain {
    /// From 1 to 10.
    max_items: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ack {
    ids: Vec<Text>,
}

/// Asks a node for its state or place when it comes next; asked for already, it is asked once.
pub(super) async fn enqueue(call: &Call, params: Enqueue) -> Result<Value, Refusal> {
    let lifetime = params.expires_in_ms.unwrap_or(DAY_MS);
    if !(1000..=DAY_MS).contains(&lifetime) {
        let why = "at /expiresInMs: must be >= 1000 and <= 86400000";
        return Err(Refusal::Invalid(format!(
            "invalid node.pending.enqueue params: {why}"
        )));
    }
    let (id, now_ms) = (params.node_id.trim(), now_ms());
    let new = NodeWork {
        id: Uuid::new_v4().to_string(),
        kind: match params.kind {
            Kind::Status => "status.request".into(),
            Kind::Location => "location.request".into(),
        },
        priority: match params.priority {
            Urgency::Normal => "normal".into(),
            Urgency::High => "high".into(),
        },
        created_at_ms: now_ms,
        expires_at_ms: now_ms + lifetime,
        ..NodeWork::default()
    };
    let (_, node) = call
        .gateway
        .nodes
        .change(id, |node| {
            node.map_or(Change::Nothing, |node| add(node, &new, now_ms))
        })
        .await?;
    let node = node.ok_or_else(pairing_changed)?;
    let queued = node.work.iter().find(|work| work.kind == new.kind);
    let queued = queued.ok_or_else(full)?;
    Ok(
        json!({"nodeId": id, "revision": node.work_revision, "queued": item(queued), "wakeTriggered": false}),
    )
}

/// Takes what waits, the urgent first. Who asks is asked for its state, if for nothing else.
pub(super) async fn drain(call: &Call, params: Drain) -> Result<Value, Refusal> {
    let most = params.max_items.unwrap_or(USUAL);
    if !(1..=AT_ONCE).contains(&most) {
        let why = "at /maxItems: must be >= 1 and <= 10";
        return Err(Refusal::Invalid(format!(
            "invalid node.pending.drain params: {why}"
        )));
    }
    let (id, now_ms) = (own(call).await?.id, now_ms());
    let (mut taken, mut left) = (Vec::new(), 0);
    let (_, node) = call
        .gateway
        .nodes
        .change(&id, |node| {
            let Some(mut node) = node else {
                return Change::Nothing;
            };
            expire(&mut node, now_ms);
            let (mut requests, commands): (Vec<_>, Vec<_>) =
                node.work.drain(..).partition(|work| work.kind != COMMAND);
            requests.sort_by_key(|work| (work.priority != "high", work.created_at_ms));
            let rest = requests.split_off(most.min(requests.len()));
            (taken, left) = (requests, rest.len());
            node.work = commands.into_iter().chain(rest).collect();
            node.work_revision += u64::from(!taken.is_empty());
            Change::To(Box::new(node))
        })
        .await?;
    let mut items: Vec<_> = taken.iter().map(item).collect();
    let asks_state = taken.iter().any(|work| work.kind == "status.request");
    let room = items.len() < most;
    if !asks_state && room {
        items.push(json!({
            "id": "baseline-status", "type": "status.request", "priority": "default", "createdAtMs": now_ms,
            "expiresAtMs": null,
        }));
    }
    let revision = node.map_or(0, |node| node.work_revision);
    let more = left > 0 || (!asks_state && !room);
    Ok(json!({"nodeId": id, "revision": revision, "items": items, "hasMore": more}))
}

/// The commands that wait, as far as the node may still be asked for them; they wait until they are acknowledged.
pub(super) async fn pull(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let node = own(call).await?;
    let now_ms = now_ms();
    let nodes = &call.gateway.nodes;
    let waits = |work: &&NodeWork| work.kind == COMMAND && work.expires_at_ms > now_ms;
    let waiting = node.work.iter().filter(waits);
    let allowed = waiting.filter(|work| nodes.policy.check(&node, &work.command).is_ok());
    let actions: Vec<_> = allowed
        .map(|work| {
            let params = (!work.params_json.is_empty()).then_some(&work.params_json);
            json!({
                "id": work.id, "command": work.command, "paramsJSON": params, "enqueuedAtMs": work.created_at_ms,
            })
        })
        .collect();
    Ok(json!({"nodeId": node.id, "actions": actions}))
}

/// The node has these commands.
pub(super) async fn ack(call: &Call, params: Ack) -> Result<Value, Refusal> {
    let (id, now_ms) = (own(call).await?.id, now_ms());
    let (_, node) = call
        .gateway
        .nodes
        .change(&id, |node| {
            let own = node.filter(|node| is_own(call, node));
            own.map_or(Change::Nothing, |mut node| {
                expire(&mut node, now_ms);
                let is_done = |work: &NodeWork| params.ids.iter().any(|id| *id.0 == work.id);
                node.work
                    .retain(|work| work.kind != COMMAND || !is_done(work));
                node.work_revision += 1;
                Change::To(Box::new(node))
            })
        })
        .await?;
    let left = node.map_or(0, |node| {
        node.work.iter().filter(|work| work.kind == COMMAND).count()
    });
    let ids: Vec<_> = params.ids.iter().map(|id| &*id.0).collect();
    Ok(json!({"nodeId": id, "ackedIds": ids, "remainingCount": left}))
}

/// Keeps a command that a sleeping phone could not do, and says so; `None` where that is not what went wrong.
pub(super) async fn queue(
    call: &Call,
    node: &Node,
    asked: &Asked,
    outcome: &NodeOutcome,
) -> Result<Option<Refusal>, Refusal> {
    let program = node.program.as_ref();
    let platform = program
        .map(|program| program.platform.to_ascii_lowercase())
        .unwrap_or_default();
    let sleeps = platform.starts_with("ios") || platform.starts_with("ipados");
    let shows = ["canvas.", "camera.", "screen.", "talk."];
    let shows = shows.iter().any(|family| asked.command.starts_with(family));
    let asleep = outcome.error_code == "NODE_BACKGROUND_UNAVAILABLE"
        || outcome
            .error_message
            .to_ascii_uppercase()
            .contains("BACKGROUND_UNAVAILABLE");
    let params_json = asked.params_json.clone().unwrap_or_default();
    if !(sleeps && shows && asleep) || params_json.len() > MAX_PARAMS_BYTES {
        return Ok(None);
    }
    let now_ms = now_ms();
    let new = NodeWork {
        id: Uuid::new_v4().to_string(),
        kind: COMMAND.into(),
        created_at_ms: now_ms,
        expires_at_ms: now_ms + COMMAND_MS,
        command: asked.command.clone(),
        params_json,
        idempotency_key: asked.idempotency_key.clone(),
        ..NodeWork::default()
    };
    let (_, now) = call
        .gateway
        .nodes
        .change(&node.id, |node| {
            node.map_or(Change::Nothing, |node| add(node, &new, now_ms))
        })
        .await?;
    let waiting = now.unwrap_or_default().work;
    let Some(queued) = waiting.iter().find(|work| same(work, &new)) else {
        return Ok(None);
    };
    let mut error = unavailable(
        "node command queued until iOS returns to foreground",
        json!({
            "code": "QUEUED_UNTIL_FOREGROUND", "queuedActionId": queued.id, "nodeId": node.id,
            "command": asked.command,
            "nodeError": {"code": outcome.error_code, "message": outcome.error_message},
        }),
    );
    error.retryable = Some(true);
    Ok(Some(Refusal::Told(Box::new(error))))
}

/// The node with one more to do, unless it is the same again or too much.
fn add(mut node: Node, new: &NodeWork, now_ms: i64) -> Change {
    expire(&mut node, now_ms);
    if node.work.len() >= MOST || node.work.iter().any(|work| same(work, new)) {
        return Change::Nothing;
    }
    node.work.push(new.clone());
    node.work_revision += 1;
    Change::To(Box::new(node))
}

/// Asking for the same twice asks once.
fn same(one: &NodeWork, other: &NodeWork) -> bool {
    one.kind == other.kind && (one.kind != COMMAND || one.idempotency_key == other.idempotency_key)
}

fn expire(node: &mut Node, now_ms: i64) {
    node.work.retain(|work| work.expires_at_ms > now_ms);
}

fn item(work: &NodeWork) -> Value {
    json!({
        "id": work.id, "type": work.kind, "priority": work.priority, "createdAtMs": work.created_at_ms,
        "expiresAtMs": work.expires_at_ms,
    })
}

fn full() -> Refusal {
    Refusal::Busy(format!(
        "{MOST} things wait for this node; it has to take some first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(kind: &str, key: &str) -> NodeWork {
        NodeWork {
            id: format!("{kind}-{key}"),
            kind: kind.into(),
            idempotency_key: key.into(),
            expires_at_ms: 100,
            ..NodeWork::default()
        }
    }

    #[test]
    fn the_same_is_asked_once_what_is_old_goes_and_not_too_much_waits() {
        let node = |change: Change| match change {
            Change::To(node) => Some(*node),
            _ => None,
        };
        let one = node(add(Node::default(), &work("status.request", ""), 0)).unwrap();
        assert!(node(add(one.clone(), &work("status.request", ""), 50)).is_none());
        let two = node(add(one.clone(), &work(COMMAND, "a"), 50)).unwrap();
        assert!(node(add(two.clone(), &work(COMMAND, "a"), 50)).is_none());
        let mut full = node(add(two, &work(COMMAND, "b"), 50)).unwrap();
        assert_eq!((full.work.len(), full.work_revision), (3, 3));
        let again = node(add(one, &work("status.request", ""), 100)).unwrap();
        assert_eq!(again.work.len(), 1, "the old one has expired");
        for n in 0..MOST {
            match node(add(full.clone(), &work(COMMAND, &n.to_string()), 50)) {
                Some(more) => full = more,
                None => break,
            }
        }
        assert_eq!(full.work.len(), MOST);
    }
}
