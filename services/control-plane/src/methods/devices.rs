//! Devices: who waits, who was let in, and the decisions about them.

use chassis::clock::now_ms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{Call, Method, method};
use crate::{
    devices::{
        authority::Authority,
        record,
        shown::{Paired, Requested},
    },
    refusal::Refusal,
    schema::Text,
};

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("device.pair.list", Pairing, list),
    method!("device.pair.approve", Pairing, approve),
    method!("device.pair.reject", Pairing, reject),
    method!("device.pair.remove", Pairing, remove),
    method!("device.token.rotate", Pairing, rotate),
    method!("device.token.revoke", Pairing, revoke),
];

/// A device that waits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    request_id: Text,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Remove {
    device_id: Text,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rotate {
    device_id: Text,
    role: Text,
    /// Fewer than approved; absent means as many as the old token had.
    scopes: Option<Vec<Text>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Revoke {
    device_id: Text,
    role: Text,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    pending: Vec<Requested>,
    paired: Vec<Paired>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Approved {
    request_id: String,
    device: Paired,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    request_id: String,
    device_id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Removed {
    device_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Rotated {
    device_id: String,
    role: String,
    /// Told to the device itself, and to clients of protocol 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// "withheld-cross-device" where another device's token is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_delivery: Option<&'static str>,
    scopes: Vec<String>,
    rotated_at_ms: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    device_id: String,
    role: String,
    revoked_at_ms: i64,
}

/// Who waits and who was let in; who is no admin sees the own device alone.
async fn list(call: &Call, _: IgnoredAny) -> Result<Listed, Refusal> {
    let (by, devices) = (authority(call), &call.gateway.devices);
    let waiting = devices.waiting(now_ms()).await?;
    let waiting = waiting.iter().filter(|wish| by.covers(&wish.device_id));
    let all = devices.all().await?;
    let all = all.iter().filter(|device| by.covers(&device.id));
    Ok(Listed {
        pending: waiting.map(Requested::of).collect(),
        paired: all.map(Paired::of).collect(),
    })
}

async fn approve(call: &Call, params: Wish) -> Result<Approved, Refusal> {
    let by = authority(call);
    let (wish, device) = call.gateway.approve_device(&params.request_id, &by).await?;
    Ok(Approved {
        request_id: wish.request_id,
        device: Paired::of(&device),
    })
}

async fn reject(call: &Call, params: Wish) -> Result<Rejected, Refusal> {
    let by = authority(call);
    let wish = call.gateway.reject_device(&params.request_id, &by).await?;
    Ok(Rejected {
        request_id: wish.request_id,
        device_id: wish.device_id,
    })
}

async fn remove(call: &Call, params: Remove) -> Result<Removed, Refusal> {
    let by = authority(call);
    let device = call.gateway.remove_device(&params.device_id, &by).await?;
    Ok(Removed {
        device_id: device.id,
    })
}

async fn rotate(call: &Call, params: Rotate) -> Result<Rotated, Refusal> {
    let (by, role) = (authority(call), params.role.0);
    let scopes: Option<Vec<_>> = params
        .scopes
        .map(|scopes| scopes.into_iter().map(|scope| scope.0).collect());
    let rotated = call
        .gateway
        .rotate_token(&params.device_id, &role, scopes.as_deref(), &by)
        .await?;
    let (device, issued) = rotated.ok_or_else(|| denied(call, "device token rotation denied"))?;
    let scopes = record::token_of(&device, &role).map(|token| token.scopes.clone());
    let told = by.is_own(&device.id) || call.client.grant.protocol < 4;
    Ok(Rotated {
        device_id: device.id,
        role,
        token_delivery: (!told).then_some("withheld-cross-device"),
        rotated_at_ms: issued.since_ms,
        token: told.then_some(issued.token),
        scopes: scopes.unwrap_or_default(),
    })
}

async fn revoke(call: &Call, params: Revoke) -> Result<Revoked, Refusal> {
    let (by, role) = (authority(call), params.role.0);
    let revoked = call
        .gateway
        .revoke_token(&params.device_id, &role, &by)
        .await?;
    let device = revoked.ok_or_else(|| denied(call, "device token revocation denied"))?;
    let mut tokens = device.tokens.iter();
    let revoked_at_ms = tokens
        .find(|token| token.role == role)
        .map_or_else(now_ms, |token| token.revoked_at_ms);
    Ok(Revoked {
        device_id: device.id,
        role,
        revoked_at_ms,
    })
}

fn authority(call: &Call) -> Authority {
    Authority::of(&call.client.grant)
}

/// The same words whether there is no such token or it is somebody else's.
fn denied(call: &Call, words: &str) -> Refusal {
    Refusal::Invalid(match call.client.grant.protocol {
        ..4 => "unknown deviceId/role".into(),
        _ => words.into(),
    })
}
