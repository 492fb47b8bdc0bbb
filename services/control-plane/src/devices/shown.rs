//! Devices as protocol 3 and 4 show them; never a token nor its hash.

use proto::v1::{Device, DeviceFacts, DeviceToken, DeviceWish};
use schemars::JsonSchema;
use serde::Serialize;

use super::record;

/// A device that waits: a line of a list, and the event `device.pair.requested`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Requested {
    request_id: String,
    device_id: String,
    public_key: String,
    #[serde(flatten)]
    facts: Facts,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
    silent: bool,
    is_repair: bool,
    ts: i64,
}

/// A device that was let in.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Paired {
    device_id: String,
    public_key: String,
    #[serde(flatten)]
    facts: Facts,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
    approved_via: String,
    created_at_ms: i64,
    approved_at_ms: i64,
    tokens: Vec<Token>,
}

/// The event `device.pair.resolved`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resolved<'a> {
    request_id: &'a str,
    device_id: &'a str,
    decision: &'static str,
    ts: i64,
}

/// What a device says of itself; what is empty is left out, as closed schemas of old clients want it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Facts {
    #[serde(skip_serializing_if = "String::is_empty")]
    display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    platform: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remote_ip: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Token {
    role: String,
    scopes: Vec<String>,
    created_at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at_ms: Option<i64>,
}

impl Requested {
    /// Shows a wish.
    pub(crate) fn of(wish: &DeviceWish) -> Self {
        Self {
            request_id: wish.request_id.clone(),
            device_id: wish.device_id.clone(),
            public_key: wish.public_key.clone(),
            facts: Facts::of(wish.facts.as_ref()),
            role: wish.roles.first().cloned(),
            roles: wish.roles.clone(),
            scopes: wish.scopes.clone(),
            silent: false,
            is_repair: wish.repair,
            ts: wish.asked_at_ms,
        }
    }
}

impl Paired {
    /// Shows a device.
    pub(crate) fn of(device: &Device) -> Self {
        let live = |role: &&String| record::token_of(device, role).is_some();
        let roles: Vec<_> = device.roles.iter().filter(live).cloned().collect();
        Self {
            device_id: device.id.clone(),
            public_key: device.public_key.clone(),
            facts: Facts::of(device.facts.as_ref()),
            role: roles.first().cloned(),
            roles,
            scopes: device.scopes.clone(),
            approved_via: device.approved_via.clone(),
            created_at_ms: device.created_at_ms,
            approved_at_ms: device.approved_at_ms,
            tokens: device.tokens.iter().map(Token::of).collect(),
        }
    }
}

impl<'a> Resolved<'a> {
    /// What became of a wish.
    pub(crate) fn new(
        request_id: &'a str,
        device_id: &'a str,
        decision: &'static str,
        ts: i64,
    ) -> Self {
        Self {
            request_id,
            device_id,
            decision,
            ts,
        }
    }
}

impl Facts {
    fn of(facts: Option<&DeviceFacts>) -> Self {
        let facts = facts.cloned().unwrap_or_default();
        Self {
            display_name: facts.display_name,
            platform: facts.platform,
            client_id: facts.client_id,
            client_mode: facts.client_mode,
            remote_ip: facts.address,
        }
    }
}

impl Token {
    fn of(token: &DeviceToken) -> Self {
        let at = |ms: i64| (ms > 0).then_some(ms);
        Self {
            role: token.role.clone(),
            scopes: token.scopes.clone(),
            created_at_ms: token.created_at_ms,
            rotated_at_ms: at(token.rotated_at_ms),
            revoked_at_ms: at(token.revoked_at_ms),
            last_used_at_ms: at(token.used_at_ms),
        }
    }
}
