//! What nodes tell: how their machine does, what was said to them, which sessions they want to hear.

use chassis::clock::now_ms;
use proto::v1::{Node, NodeConnection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{super::Call, is_own, own, pairing_changed, said};
use crate::{
    clients::Audience,
    methods::chat::meant,
    nodes::{Change, pairing},
    outbox::Worth,
    refusal::Refusal,
    schema::{self, Text},
};

/// Longest idle time that a node may tell, in seconds: 30 days.
const MAX_IDLE_S: i64 = 2_592_000;
/// How often a sign of life is written down.
const ALIVE_PAUSE_MS: i64 = 60_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Told {
    event: Text,
    payload: Option<Value>,
    #[serde(rename = "payloadJSON")]
    payload_json: Option<String>,
}

/// Whether something came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Heard {
    ok: bool,
    event: String,
    handled: bool,
    reason: &'static str,
}

/// How a machine does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stats {
    cpu_count: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_average: Option<[f64; 3]>,
    memory_total_bytes: u64,
    memory_free_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_available_bytes: Option<u64>,
}

/// When its person last touched it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Activity {
    idle_seconds: Option<i64>,
    action: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    session_key: Text,
}

/// Hears a node. Before it is approved, it can tell how it does and nothing else.
pub(super) async fn event(call: &Call, params: Told) -> Result<Heard, Refusal> {
    let node = own(call).await?;
    let payload = params
        .payload_json
        .or_else(|| params.payload.map(|payload| payload.to_string()));
    let payload = payload.unwrap_or_else(|| "{}".into());
    let name = params.event.0;
    let outcome = match name.as_str() {
        "node.host.stats" => stats(call, &payload).await?,
        "node.presence.alive" => alive(call, &node, &payload).await?,
        _ if node.approved.is_none() => return Err(pairing_changed()),
        "node.presence.activity" => activity(call, &payload).await?,
        "chat.subscribe" => subscribe(call, &payload),
        "chat.unsubscribe" => unsubscribe(call, &payload),
        "voice.transcript" => said::transcript(call, &node, &payload).await?,
        "agent.request" => said::request(call, &node, &payload).await?,
        _ => Err("unsupported_event"),
    };
    let (handled, reason) = match outcome {
        Ok(reason) => (true, reason),
        Err(reason) => (false, reason),
    };
    Ok(Heard {
        ok: true,
        event: name,
        handled,
        reason,
    })
}

/// What came of an event, or why nothing.
pub(super) type Came = Result<&'static str, &'static str>;

/// Reads a payload; events are not refused for what is inside.
pub(super) fn read<P: serde::de::DeserializeOwned>(payload: &str) -> Result<P, &'static str> {
    let raw = serde_json::from_str(payload).map_err(|_| "invalid_payload")?;
    schema::read(Some(raw)).map_err(|_| "invalid_payload")
}

async fn stats(call: &Call, payload: &str) -> Result<Came, Refusal> {
    let stats = match read::<Stats>(payload) {
        Ok(stats) if (1..=4096).contains(&stats.cpu_count) => stats,
        _ => return Ok(Err("invalid_payload")),
    };
    let mut told = json!(stats);
    told["updatedAtMs"] = now_ms().into();
    let text = told.to_string();
    let id = own_change(call, |node| node.host_stats_json.clone_from(&text)).await?;
    let payload = json!({"nodeId": id, "hostStats": told});
    call.gateway
        .announce(
            "node.hostStats",
            &payload,
            Audience::READERS,
            Worth::Droppable,
        )
        .await;
    Ok(Ok("updated"))
}

async fn alive(call: &Call, node: &Node, payload: &str) -> Result<Came, Refusal> {
    #[derive(Deserialize)]
    struct Alive {
        trigger: Option<String>,
    }
    let Ok(Alive { trigger }) = read(payload) else {
        return Ok(Err("invalid_payload"));
    };
    let now_ms = now_ms();
    if now_ms.saturating_sub(node.last_seen_at_ms) < ALIVE_PAUSE_MS {
        return Ok(Ok("throttled"));
    }
    let plain = |c: &char| c.is_ascii_alphanumeric() || "_-.".contains(*c);
    let why: String = trigger
        .unwrap_or_default()
        .chars()
        .filter(plain)
        .take(40)
        .collect();
    let why = if why.is_empty() { "alive".into() } else { why };
    own_change(call, |node| pairing::seen(node, now_ms, &why)).await?;
    Ok(Ok("persisted"))
}

async fn activity(call: &Call, payload: &str) -> Result<Came, Refusal> {
    let now_ms = now_ms();
    let (active, told_at, reason) = match read::<Activity>(payload) {
        Ok(Activity {
            action: Some(action),
            ..
        }) if action == "clear" => (0, 0, "cleared"),
        Ok(Activity {
            idle_seconds: Some(idle),
            action: None,
        }) if (0..=MAX_IDLE_S).contains(&idle) => (now_ms - idle * 1000, now_ms, "updated"),
        _ => return Ok(Err("invalid_payload")),
    };
    let id = own_change(call, |node| {
        if let Some(NodeConnection {
            last_active_at_ms,
            presence_updated_at_ms,
            ..
        }) = &mut node.connection
        {
            (*last_active_at_ms, *presence_updated_at_ms) = (active, told_at);
        }
    })
    .await?;
    let known = |at: i64| (at > 0).then_some(at);
    let payload = json!({
        "nodeId": id, "lastActiveAtMs": known(active), "presenceUpdatedAtMs": known(told_at),
    });
    call.gateway
        .announce(
            "node.presence",
            &payload,
            Audience::READERS,
            Worth::Droppable,
        )
        .await;
    Ok(Ok(reason))
}

fn subscribe(call: &Call, payload: &str) -> Came {
    let (agent, key) = session(call, payload)?;
    let taken = call
        .gateway
        .nodes
        .listeners
        .subscribe(&call.client.id, &agent, &key);
    if taken {
        Ok("subscribed")
    } else {
        Err("too_many_subscriptions")
    }
}

fn unsubscribe(call: &Call, payload: &str) -> Came {
    let (agent, key) = session(call, payload)?;
    call.gateway
        .nodes
        .listeners
        .unsubscribe(&call.client.id, &agent, &key);
    Ok("unsubscribed")
}

fn session(call: &Call, payload: &str) -> Result<(String, String), &'static str> {
    let Subscription { session_key } = read(payload)?;
    let (agent, key) = meant(call, session_key.trim(), None).map_err(|_| "invalid_payload")?;
    Ok((agent, key.to_string()))
}

/// Changes the record of the node that calls; its id.
async fn own_change(call: &Call, change: impl Fn(&mut Node)) -> Result<String, Refusal> {
    let id = call.client.grant.device.clone().unwrap_or_default();
    let mut current = false;
    let changed = call.gateway.nodes.change(&id, |node| {
        let own = node.filter(|node| is_own(call, node));
        current = own.is_some();
        own.map_or(Change::Nothing, |mut node| {
            change(&mut node);
            Change::To(Box::new(node))
        })
    });
    changed.await?;
    if current {
        Ok(id)
    } else {
        Err(pairing_changed())
    }
}
