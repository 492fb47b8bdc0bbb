//! Looks up what is on record of a client, has it decided whether it is let in, and does what that takes.

use std::time::Duration;

use chassis::clock::now_ms;
use proto::v1::{Device, DeviceClaim, DeviceWish};
use uuid::Uuid;

use super::{
    decide::{Facts, Grant, Verdict, decide, said, screen},
    params::{self, Connect, Role},
    proof::{Proof, Secret, shown},
    rejection::Rejection,
};
use crate::{
    devices::{
        record::{self, Approval},
        token::{self, Issued, Key},
        wish::Upgrade,
    },
    gateway::Gateway,
    peer::Peer,
    refusal::Refusal,
};

/// How long the bus may take for each thing that is put on record.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a client was let in with, and what it is told to come with next time.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// SHA-256 of the token of its device.
    pub(crate) hash: Option<Vec<u8>>,
    /// The token of its device; none where the gateway cannot tell it.
    pub(crate) issued: Option<Issued>,
    /// Tokens of its other roles, told once with a claim: role, scopes, token.
    pub(crate) others: Vec<(String, Vec<String>, Issued)>,
}

/// Decides, and puts on record what was decided.
///
/// # Errors
/// Why the client is not let in.
pub(super) async fn weigh(
    gateway: &Gateway,
    secret: &Secret,
    peer: &Peer,
    connect: &Connect,
    protocol: u8,
    nonce: &str,
) -> Result<(Grant, Credentials), Rejection> {
    let role = screen(connect, protocol, peer, nonce, now_ms())?;
    let record = match &connect.device {
        Some(device) => gateway.devices.find(&device.id).await,
        None => None,
    };
    let claim = claim(gateway, connect).await?;
    let facts = Facts {
        peer,
        secret,
        record: record.as_ref(),
        claim: claim.as_ref(),
    };
    match (decide(connect, protocol, role, facts), &connect.device) {
        (Verdict::Granted(grant), _) => {
            let credentials = match record {
                Some(record) => issue(gateway, connect, &grant, record).await,
                None => Credentials::default(),
            };
            Ok((grant, credentials))
        }
        (Verdict::Approved(grant), Some(device)) => {
            let credentials =
                approve(gateway, peer, connect, device, &grant, claim.as_ref()).await?;
            Ok((grant, credentials))
        }
        (Verdict::Unpaired(grant, upgrade), Some(device)) => {
            let wish = wish(peer, connect, device, &grant, upgrade);
            let wish = soon(gateway.device_asks(wish)).await.map_err(away)?;
            let record = record.as_ref();
            Err(Rejection::unpaired(
                protocol, upgrade, &wish, &grant, record,
            ))
        }
        (Verdict::Rejected(rejection), _) => Err(rejection),
        // Only devices are approved.
        (Verdict::Approved(_) | Verdict::Unpaired(..), None) => Err(Rejection::no_device()),
    }
}

/// The claim that the client shows, if it is good for its device.
async fn claim(gateway: &Gateway, connect: &Connect) -> Result<Option<DeviceClaim>, Rejection> {
    match (&connect.auth.bootstrap_token, &connect.device) {
        (Some(code), Some(device)) => {
            let claim = gateway.devices.claim(code, &device.id, now_ms());
            soon(claim).await.map_err(away)
        }
        _ => Ok(None),
    }
}

/// Approves without asking anybody: whoever operates the gateway is there, or made the claim that is used up here.
async fn approve(
    gateway: &Gateway,
    peer: &Peer,
    connect: &Connect,
    device: &params::Device,
    grant: &Grant,
    claim: Option<&DeviceClaim>,
) -> Result<Credentials, Rejection> {
    let claimed = grant.proof == Proof::Claim;
    if claimed {
        let code = connect.auth.bootstrap_token.as_deref().unwrap_or_default();
        let redeemed = gateway.devices.redeem(code, &device.id, now_ms());
        if !soon(redeemed).await.map_err(away)? {
            return Err(Rejection::claim());
        }
    }
    let (mut roles, mut scopes) = (
        vec![grant.role.name().to_owned()],
        grant.scopes.owned_names(),
    );
    // A claim for a node may make it an operator too, as apps of phones are both.
    if let Some(claim) =
        claim.filter(|claim| claimed && grant.role == Role::Node && !claim.scopes.is_empty())
    {
        roles.push(Role::Operator.name().to_owned());
        scopes.clone_from(&claim.scopes);
    }
    let approval = Approval {
        id: &device.id,
        public_key: &device.public_key,
        facts: &said(connect, peer),
        roles: &roles,
        scopes: &scopes,
        via: if claimed { "claim" } else { "local" },
    };
    match soon(gateway.let_device_in(&approval)).await {
        Ok(record) => {
            if gateway.devices.waits_no_more(&device.id).await.is_err() {
                tracing::debug!(device.id = %device.id.0, "its request runs out by itself");
            }
            let request = Uuid::new_v4().to_string();
            gateway
                .tell_resolved(&request, &device.id, "approved")
                .await;
            Ok(issue(gateway, connect, grant, record).await)
        }
        // Whoever operates the gateway is let in though the bus is away.
        Err(refusal) if !claimed => {
            let id = &device.id.0;
            tracing::warn!(?refusal, device.id = %id, "let device `{id}` in without putting it on record");
            Ok(Credentials::default())
        }
        Err(refusal) => Err(away(refusal)),
    }
}

/// The token that the client comes with next time: the one it came with, or the one of its record.
async fn issue(gateway: &Gateway, connect: &Connect, grant: &Grant, record: Device) -> Credentials {
    let secret = gateway.secret();
    let (key, role) = (secret.device_key(), grant.role.name());
    let record = note_use(gateway, record, role).await;
    let Some(kept) = record::token_of(&record, role) else {
        return Credentials::default();
    };
    let since_ms = kept.created_at_ms.max(kept.rotated_at_ms);
    let known = shown(connect, kept).map(ToOwned::to_owned);
    if let Some(token) = known.or_else(|| token::again(key, &record.id, kept)) {
        let issued = Some(Issued { token, since_ms });
        let others = match grant.proof {
            Proof::Claim => others(key, &record, role),
            _ => Vec::new(),
        };
        return Credentials {
            hash: Some(kept.sha256.clone()),
            issued,
            others,
        };
    }
    let as_it_is = Credentials {
        hash: Some(kept.sha256.clone()),
        ..Credentials::default()
    };
    if key.is_none() {
        return as_it_is;
    }
    // The shared token has changed since: a new token takes the place of the one that cannot be told any more.
    let old = kept.sha256.clone();
    let renew = |before: Option<Device>| {
        let gone = || Refusal::NotFound("unknown deviceId".into());
        let mut device = before.ok_or_else(gone)?;
        let kept = record::token_of(&device, role).filter(|kept| kept.sha256 == old);
        let scopes = kept.ok_or_else(gone)?.scopes.clone();
        let issued = record::renew(&mut device, role, scopes, key, now_ms());
        Ok((device, issued))
    };
    match soon(gateway.devices.change(&record.id, renew)).await {
        Ok((device, issued)) => Credentials {
            hash: record::token_of(&device, role).map(|kept| kept.sha256.clone()),
            issued: Some(issued),
            ..Credentials::default()
        },
        Err(_) => as_it_is,
    }
}

/// Tokens of the roles that the device has besides `role`.
fn others(key: Option<&Key>, record: &Device, role: &str) -> Vec<(String, Vec<String>, Issued)> {
    let live = record.roles.iter().filter(|other| *other != role);
    let live = live.filter_map(|other| record::token_of(record, other));
    live.filter_map(|kept| {
        let issued = Issued {
            token: token::again(key, &record.id, kept)?,
            since_ms: kept.created_at_ms.max(kept.rotated_at_ms),
        };
        Some((kept.role.clone(), kept.scopes.clone(), issued))
    })
    .collect()
}

/// Notes that the device is in use, once an hour; a note that cannot be made is left out.
async fn note_use(gateway: &Gateway, record: Device, role: &str) -> Device {
    if record::used(record.clone(), role, now_ms()).is_none() {
        return record;
    }
    let used = |before: Option<Device>| {
        let used = before.and_then(|device| record::used(device, role, now_ms()));
        Ok((
            used.ok_or_else(|| Refusal::NotFound("unknown deviceId".into()))?,
            (),
        ))
    };
    match soon(gateway.devices.change(&record.id, used)).await {
        Ok((device, ())) => device,
        Err(_) => record,
    }
}

fn wish(
    peer: &Peer,
    connect: &Connect,
    device: &params::Device,
    grant: &Grant,
    upgrade: Upgrade,
) -> DeviceWish {
    DeviceWish {
        device_id: device.id.0.clone(),
        public_key: device.public_key.0.clone(),
        facts: Some(said(connect, peer)),
        roles: vec![grant.role.name().to_owned()],
        scopes: grant.scopes.owned_names(),
        reason: upgrade.words().0.to_owned(),
        repair: upgrade != Upgrade::Unpaired,
        ..DeviceWish::default()
    }
}

/// What takes the bus longer than a client waits is not waited for.
async fn soon<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let slow = || Refusal::Busy("the message bus does not answer; try again in a moment".into());
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(slow()))
}

fn away(refusal: Refusal) -> Rejection {
    Rejection::away(refusal.error(4).message)
}
