//! The gRPC admin API: for operators' tools, behind the shared secret.

use std::{net::IpAddr, sync::Arc, time::Instant};

use anyhow::Context as _;
use proto::v1::pairing_server::PairingServer;
use tokio::net::TcpListener;
use tonic::{Request, Status, transport::server::TcpIncoming};

use crate::{gateway::Gateway, limiter::Guesser};
use pairing::People;

mod pairing;

/// Serves until the gateway stops.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(gateway: &Arc<Gateway>, listener: TcpListener) -> anyhow::Result<()> {
    let guard = gateway.clone();
    let check = move |request: Request<()>| admit(&guard, request);
    let people = PairingServer::with_interceptor(People::new(gateway.bus.clone()), check);
    tonic::transport::Server::builder()
        .add_service(people)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), gateway.stop.cancelled())
        .await
        .context("admin API")
}

fn admit(gateway: &Gateway, request: Request<()>) -> Result<Request<()>, Status> {
    let from = request
        .remote_addr()
        .map_or(IpAddr::from([0, 0, 0, 0]), |from| from.ip());
    // No page can call gRPC, so who is on this machine is a program and only told to wait.
    let guesser = Guesser::new(from, from.to_canonical().is_loopback());
    if let Some(left) = gateway.limiter.locked(guesser, Instant::now()) {
        let wait = left.as_secs().max(1);
        return Err(Status::resource_exhausted(format!(
            "too many failed authentication attempts; try again in {wait} s"
        )));
    }
    if !gateway.secret.is_set() {
        return Err(Status::unauthenticated(
            "the admin API takes a token: set gateway.token (or OPENCLAW_GATEWAY_TOKEN) and restart the gateway",
        ));
    }
    let token = request
        .metadata()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
        return Err(Status::unauthenticated(
            "send the gateway's token as metadata `authorization: Bearer <token>`",
        ));
    };
    if !gateway.secret.is(token.trim()) {
        gateway.limiter.failed(guesser, Instant::now());
        return Err(Status::unauthenticated(
            "this is not the gateway's token; see gateway.token in the settings",
        ));
    }
    gateway.limiter.succeeded(guesser);
    Ok(request)
}
