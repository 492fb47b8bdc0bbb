//! Who may use the HTTP API: the gateway's token or a device's own, from no page but those that are allowed.

use std::{net::IpAddr, time::Instant};

use axum::http::{HeaderMap, HeaderValue, header};

use super::problem::Problem;
use crate::{
    gateway::Gateway,
    limiter::Guesser,
    meter,
    peer::{Origin, Peer},
    scope::{Scope, Scopes},
};

/// Who asks.
#[derive(Debug)]
pub(super) struct Caller {
    scopes: Scopes,
    /// Id of the device whose token it showed.
    pub(super) device: Option<String>,
}

impl Caller {
    /// # Errors
    /// When it does not have `scope`.
    pub(super) fn may(&self, scope: Scope) -> Result<(), Problem> {
        match self.scopes.allow(scope) {
            true => Ok(()),
            false => Err(Problem::forbidden(format!(
                "missing scope: {}",
                scope.name()
            ))),
        }
    }
}

/// The page that asks, where one does and may; an error where it may not.
pub(super) fn allowed_origin(
    gateway: &Gateway,
    from: IpAddr,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, Problem> {
    let peer = judge(gateway, from, headers)?;
    match peer.origin {
        Origin::Absent => Ok(None),
        Origin::Allowed => Ok(headers.get(header::ORIGIN).cloned()),
        Origin::Foreign => Err(foreign()),
    }
}

/// Lets whoever asks in.
///
/// # Errors
/// Why not. Wrong guesses are counted together with those of sockets.
pub(super) async fn admit(
    gateway: &Gateway,
    from: IpAddr,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    let peer = judge(gateway, from, headers)?;
    if peer.origin == Origin::Foreign {
        return Err(foreign());
    }
    let exempt = peer.local && peer.origin == Origin::Absent;
    let guesser = Guesser::new(peer.address, exempt);
    if let Some(left) = gateway.limiter.locked(guesser, Instant::now()) {
        let message = "Too many wrong tokens came from this address. Wait before trying again.";
        return Err(Problem::slower(message, left.as_secs() + 1));
    }
    let bearer = bearer(headers);
    if let Some(caller) = prove(gateway, &peer, bearer).await {
        // As for sockets: who holds a lesser token could guess at the shared one for ever.
        if caller.device.is_none() {
            gateway.limiter.succeeded(guesser);
        }
        return Ok(caller);
    }
    // Nothing was guessed where nothing was shown.
    if bearer.is_some() {
        let wait = gateway.limiter.failed(guesser, Instant::now());
        meter::refused("auth");
        tracing::warn!(client.address = %peer.address, "wrong credentials from {}", peer.address);
        tokio::time::sleep(wait).await;
    }
    Err(Problem::unauthorized())
}

async fn prove(gateway: &Gateway, peer: &Peer, bearer: Option<&str>) -> Option<Caller> {
    let owner = || Caller {
        scopes: Scopes::granted(Scope::ALL.iter().map(|scope| scope.name())),
        device: None,
    };
    let secret = gateway.secret();
    // Without a token in the settings, whoever is on this machine operates the gateway.
    if !secret.is_set() && bearer.is_none() {
        return peer.local.then(owner);
    }
    let token = bearer?;
    if secret.is(token) {
        return Some(owner());
    }
    let (device, kept) = gateway.devices.holder(token).await?;
    Some(Caller {
        scopes: Scopes::granted(kept.scopes.iter().map(String::as_str)),
        device: Some(device.id),
    })
}

fn judge(gateway: &Gateway, from: IpAddr, headers: &HeaderMap) -> Result<Peer, Problem> {
    let peer = gateway.rules.judge(from, headers);
    peer.map_err(|turned| Problem::forbidden(turned.to_string()))
}

fn foreign() -> Problem {
    Problem::forbidden(
        "This page may not use the gateway. Its operator can allow it: gateway.allowed_origins.",
    )
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
