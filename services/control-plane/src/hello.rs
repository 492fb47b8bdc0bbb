//! `hello-ok`: what a client learns when it is let in.

use std::sync::LazyLock;

use chassis::clock::now_ms;
use proto::ws::StateVersion;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    client::Client,
    clients::TICK,
    devices::token::Issued,
    gateway::{Gateway, VERSION},
    handshake::{Credentials, Role},
    methods,
    scope::Scope,
};

/// Largest frame of a client that was let in.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 26_214_400;

/// Events that this gateway tells.
const EVENTS: &[&str] = &[
    "connect.challenge",
    "agent",
    "chat",
    "presence",
    "tick",
    "shutdown",
    "health",
    "voicewake.changed",
    "node.pair.requested",
    "node.pair.resolved",
    "node.presence",
    "node.hostStats",
    "node.invoke.request",
    "node.invoke.cancel",
    "device.pair.requested",
    "device.pair.resolved",
    "sessions.changed",
    "session.message",
    "events.resumed",
    "heartbeat",
    "cron",
    crate::news::EVENT,
];

#[derive(Serialize)]
struct Hello<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    protocol: u8,
    server: Server<'a>,
    features: &'a RawValue,
    snapshot: Snapshot<'a>,
    /// Where protocol 3 finds the canvas, and protocol 4.
    #[serde(rename = "canvasHostUrl", skip_serializing_if = "Option::is_none")]
    canvas_host_url: Option<String>,
    #[serde(rename = "pluginSurfaceUrls", skip_serializing_if = "Option::is_none")]
    plugin_surface_urls: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth<'a>>,
    policy: Policy,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Server<'a> {
    version: &'static str,
    conn_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    presence: Vec<Value>,
    health: &'a RawValue,
    state_version: StateVersion,
    uptime_ms: u64,
    session_defaults: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_mode: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Auth<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    device_tokens: Vec<Value>,
    role: &'static str,
    scopes: Vec<&'static str>,
    issued_at_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    max_payload: usize,
    max_buffered_bytes: usize,
    tick_interval_ms: u128,
}

/// What clients of protocol 4 may count on beyond methods: here, that `models.list` tells of the provider's models.
const CAPABILITIES: &[&str] = &["published-model-catalog"];

/// Methods and events are the same for all of a protocol: of 3, then of 4.
static FEATURES: LazyLock<[Box<RawValue>; 2]> = LazyLock::new(|| {
    let methods: Vec<_> = methods::names().collect();
    let old = json!({"methods": methods, "events": EVENTS});
    let mut new = old.clone();
    new["capabilities"] = json!(CAPABILITIES);
    [old, new].map(|features| serde_json::value::to_raw_value(&features).expect("texts serialise"))
});

fn other((role, scopes, issued): &(String, Vec<String>, Issued)) -> Value {
    json!({"deviceToken": issued.token, "role": role, "scopes": scopes, "issuedAtMs": issued.since_ms})
}

/// What `client` learns when it is let in with `credentials`.
pub(crate) fn hello(
    gateway: &Gateway,
    client: &Client,
    credentials: &Credentials,
) -> Box<RawValue> {
    let issued = credentials.issued.as_ref();
    let (grant, health, config) = (&client.grant, gateway.health.now(), &gateway.config);
    let admin = grant.scopes.allow(Scope::Admin);
    let agent = &config.default_agent;
    let may_see = grant.role == Role::Node || grant.scopes.allow(Scope::Read);
    let canvas = gateway.canvas_link(client, now_ms()).filter(|_| may_see);
    let canvas = canvas.map(|link| link.url);
    let (old, new) = match grant.protocol {
        3 => (canvas, None),
        _ => (None, canvas.map(|url| json!({"canvas": url}))),
    };
    let hello = Hello {
        kind: "hello-ok",
        protocol: grant.protocol,
        server: Server {
            version: VERSION,
            conn_id: &client.id,
        },
        features: &FEATURES[usize::from(grant.protocol >= 4)],
        snapshot: Snapshot {
            presence: gateway.presence(grant.protocol),
            health: &health.payload,
            state_version: StateVersion {
                presence: gateway.clients.presence_version(),
                health: health.version,
            },
            uptime_ms: gateway.uptime_ms(),
            session_defaults: json!({
                "defaultAgentId": agent, "mainKey": "main", "mainSessionKey": format!("agent:{agent}:main"),
                "scope": "per-sender",
            }),
            // Protocol 3 did not tell.
            auth_mode: (admin && grant.protocol >= 4).then_some(if gateway.secret().is_set() {
                "token"
            } else {
                "none"
            }),
        },
        canvas_host_url: old,
        plugin_surface_urls: new,
        // Protocol 3 told the rights only to those who showed a device.
        auth: (grant.protocol >= 4 || grant.device.is_some()).then(|| Auth {
            device_token: issued.map(|issued| &*issued.token),
            device_tokens: credentials.others.iter().map(other).collect(),
            role: grant.role.name(),
            scopes: grant.scopes.names(),
            issued_at_ms: issued.map_or_else(now_ms, |issued| issued.since_ms),
        }),
        policy: Policy {
            max_payload: MAX_PAYLOAD_BYTES,
            max_buffered_bytes: config.max_buffered_bytes,
            tick_interval_ms: TICK.as_millis(),
        },
    };
    serde_json::value::to_raw_value(&hello).expect("texts and numbers serialise")
}
