//! The listener: every connection gets a place or is dropped, and none outlives the gateway.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::{
    connection,
    gate::Place,
    gateway::Gateway,
    handshake::{self, End, MAX_FRAME_BYTES},
    http, meter,
    peer::{Origin, Peer, household},
    socket::Socket,
    wire::Wire,
};

/// Connections of one address that have not become WebSockets.
const WAITING_PER_ADDRESS: usize = 256;
/// Sockets of one address opened by pages that are not ours; they are let in only to hear why not.
const FOREIGN_PER_ADDRESS: usize = 4;
/// How long a request's head may take, and before it the beginning of TLS.
const HEAD: Duration = Duration::from_secs(10);
/// Largest head of a request.
const HEAD_BYTES: usize = 16 * 1024;
/// Pause after the system gave no connection, for want of file handles perhaps.
const BREATH: Duration = Duration::from_millis(50);

/// Accepts until the gateway stops; then tells the clients, and returns when all have left.
pub(crate) async fn serve(gateway: &Arc<Gateway>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = gateway.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => admit(gateway, &tasks, stream, from, tls.clone()),
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no connection accepted"
                );
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    gateway.tell_shutdown();
    gateway.closing.cancel();
    tasks.close();
    tasks.wait().await;
}

fn admit(
    gateway: &Arc<Gateway>,
    tasks: &TaskTracker,
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
) {
    let whose = household(from.ip());
    let Some(place) = gateway
        .waiting
        .admit(whose, WAITING_PER_ADDRESS, Instant::now())
    else {
        meter::refused("full");
        return;
    };
    let _ = stream.set_nodelay(true);
    let (gateway, sockets) = (gateway.clone(), tasks.clone());
    tasks.spawn(async move {
        let closing = gateway.closing.clone();
        let lost = place.loss();
        let place = Arc::new(Mutex::new(Some(place)));
        let service = service_fn(move |request| {
            let (gateway, sockets) = (gateway.clone(), sockets.clone());
            let place = place.clone();
            async move {
                // Who has proved who it is waits for its answer as long as that takes.
                let proved = || drop(place.lock().unwrap_or_else(PoisonError::into_inner).take());
                http::answer(&gateway, &sockets, from.ip(), &proved, request).await
            }
        });
        let served = async {
            let Some(wire) = secure(stream, tls).await else {
                return;
            };
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(wire), service)
                .with_upgrades();
            let _ = served.await;
        };
        tokio::select! {
            () = served => {}
            () = lost.cancelled() => {}
            () = closing.cancelled() => {}
        }
    });
}

/// The connection in TLS, where there is TLS; `None` when the other end does not get there in time.
pub(crate) async fn secure(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Wire> {
    let Some(tls) = tls else {
        return Some(Wire::Plain(stream));
    };
    match tokio::time::timeout(HEAD, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(Wire::Tls(Box::new(stream))),
        _ => {
            meter::refused("tls");
            None
        }
    }
}

/// A place among those who have not proved who they are; none where too many of the same address wait.
pub(crate) fn place(gateway: &Gateway, peer: &Peer) -> Option<Place<(std::net::IpAddr, Origin)>> {
    let most = match peer.origin {
        Origin::Foreign => FOREIGN_PER_ADDRESS,
        _ => gateway.config.max_unproved_per_address,
    };
    gateway
        .unproved
        .admit((household(peer.address), peer.origin), most, Instant::now())
}

/// The life of a WebSocket from its upgrade to its end.
pub(crate) async fn websocket(
    gateway: Arc<Gateway>,
    upgrade: hyper::upgrade::OnUpgrade,
    peer: Peer,
    host: String,
    place: Place<(std::net::IpAddr, Origin)>,
) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Wire>>() else {
        return;
    };
    let mut socket = Socket::new(parts.io.into_inner(), &parts.read_buf, MAX_FRAME_BYTES);
    let outcome = tokio::select! {
        outcome = handshake::shake(&gateway, &mut socket, &peer) => outcome,
        () = place.lost() => Err(End::Gone),
        () = gateway.closing.cancelled() => Err(End::Close(1012, "service restart".into())),
    };
    match outcome {
        Ok(admitted) => {
            drop(place);
            connection::serve(gateway, socket, admitted, host).await;
        }
        Err(End::Close(code, reason)) => {
            meter::refused("handshake");
            socket.close(code, &reason).await;
        }
        Err(End::Gone) => {}
    }
}
