//! From an open socket to a client that was let in, or to a close frame that says why not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::clock::now_ms;
use proto::ws::{self, Error, Event, Malformed};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

use crate::{
    gateway::Gateway,
    limiter::Guesser,
    meter,
    peer::{Origin, Peer},
    schema,
    socket::{Socket, Turn},
};
use decide::negotiate;
use params::Connect;
use rejection::Rejection;

mod decide;
mod device;
mod pairing;
mod params;
mod proof;
mod rejection;

pub(crate) use decide::Grant;
pub(crate) use pairing::Credentials;
pub(crate) use params::{Claims, Program, Role};
pub(crate) use proof::{Proof, Secret};

/// Largest frame of a client that has not proved who it is.
pub(crate) const MAX_FRAME_BYTES: usize = 64 * 1024;

/// A client that is let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Id of its `connect`, to be answered with `hello-ok`.
    pub(crate) request_id: String,
    pub(crate) grant: Grant,
    pub(crate) program: Program,
    /// What it says of itself, if it is a node.
    pub(crate) claims: Option<Claims>,
    pub(crate) credentials: Credentials,
    /// The shared token that it was judged by.
    pub(crate) secret: Arc<Secret>,
    /// Where it wants to go on, where it says so.
    pub(crate) resume: Option<String>,
}

/// How a socket ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a close frame.
    Close(u16, String),
    /// The other end is gone, or not worth a close frame.
    Gone,
}

impl End {
    fn close(code: u16, reason: impl Into<String>) -> Self {
        Self::Close(code, reason.into())
    }
}

/// Challenges the client and reads what it answers.
///
/// # Errors
/// How the socket ends; what the client is to be answered before is queued.
pub(crate) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: &Gateway,
    socket: &mut Socket<S>,
    peer: &Peer,
) -> Result<Admitted, End> {
    let deadline = Duration::from_millis(gateway.config.handshake_ms);
    match tokio::time::timeout(deadline, answer(gateway, socket, peer)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(End::close(1000, "")),
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: &Gateway,
    socket: &mut Socket<S>,
    peer: &Peer,
) -> Result<Admitted, End> {
    let nonce = Uuid::new_v4().to_string();
    let challenge = Event::new(
        "connect.challenge",
        &json!({"nonce": nonce, "ts": now_ms()}),
        None,
    );
    socket.queue(challenge.text(None));
    let heard = loop {
        match socket.turn(true).await {
            Turn::Heard(text) => break text,
            Turn::Alive | Turn::Flushed => {}
            Turn::Broken(code) => return Err(End::close(code, "")),
            Turn::Gone => return Err(End::Gone),
        }
    };
    let request = match ws::Request::read(&heard) {
        Ok(request) => request,
        Err(Malformed::NotJson) => return Err(End::close(1000, "")),
        Err(Malformed::NotRequest { .. }) => return Err(End::close(1008, "invalid request frame")),
    };
    let connect = match (&*request.method, schema::read::<Connect>(request.params)) {
        ("connect", Ok(connect)) => Ok(connect),
        ("connect", Err(why)) => Err(format!("invalid connect params: {why}")),
        _ => Err("invalid handshake: first request must be connect".to_owned()),
    };
    let connect = match connect {
        Ok(connect) => connect,
        Err(message) => {
            return Err(refuse(socket, &request.id, &Rejection::invalid(message), 4));
        }
    };
    let (outcome, protocol) = match negotiate(&connect) {
        Ok(protocol) => (
            judge(gateway, peer, &connect, protocol, &nonce).await,
            protocol,
        ),
        Err(rejection) => (Err(rejection), if connect.max_protocol < 4 { 3 } else { 4 }),
    };
    match outcome {
        Ok((grant, credentials, secret)) => Ok(Admitted {
            request_id: request.id.into_owned(),
            grant,
            claims: connect.claims(peer.address, peer.local),
            program: connect.client,
            credentials,
            secret,
            resume: connect.resume,
        }),
        Err(rejection) => Err(refuse(socket, &request.id, &rejection, protocol)),
    }
}

/// Decides, and keeps count of who guesses.
async fn judge(
    gateway: &Gateway,
    peer: &Peer,
    connect: &Connect,
    protocol: u8,
    nonce: &str,
) -> Result<(Grant, Credentials, Arc<Secret>), Rejection> {
    let exempt = peer.local && peer.origin == Origin::Absent;
    let guesser = Guesser::new(peer.address, exempt);
    if let Some(left) = gateway.limiter.locked(guesser, Instant::now()) {
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        return Err(Rejection::limited(left_ms));
    }
    let secret = gateway.secret();
    let outcome = pairing::weigh(gateway, &secret, peer, connect, protocol, nonce).await;
    match &outcome {
        // Of the shared token alone: who holds a lesser one could guess at it for ever.
        Ok((grant, _)) if matches!(grant.proof, Proof::Owner | Proof::Secret) => {
            gateway.limiter.succeeded(guesser);
        }
        Err(rejection) if rejection.is_guess => {
            let wait = gateway.limiter.failed(guesser, Instant::now());
            meter::refused("auth");
            tracing::warn!(client.address = %peer.address, "wrong credentials from {}", peer.address);
            tokio::time::sleep(wait).await;
        }
        _ => {}
    }
    outcome.map(|(grant, credentials)| (grant, credentials, secret))
}

fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Socket<S>,
    id: &str,
    rejection: &Rejection,
    protocol: u8,
) -> End {
    let error: Error = rejection.error(protocol);
    socket.queue(ws::Response::new(id, Err(&error)).text());
    End::close(rejection.close, rejection.reason())
}
