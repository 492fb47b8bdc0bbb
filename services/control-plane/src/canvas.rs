//! The canvas host: pages that agents write, on a port and so an origin of their own, behind a capability in the address.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::{Config, client::Client, gateway::Gateway, listen::secure};
use capability::Key;
use folder::Folder;
use reload::Reload;

mod answer;
mod capability;
mod folder;
mod kind;
mod reload;

/// Connections at once; more wait until one ends.
const CONNECTIONS: usize = 256;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(10);
/// Pause after the system gave no connection.
const BREATH: Duration = Duration::from_millis(50);
/// How long a capability is good: nodes of protocol 4 ask for a new one before each use.
const GOOD_FOR_MS: i64 = 60 * 60 * 1000;
/// The same for protocol 3, which has no way to ask.
const OLD_GOOD_FOR_MS: i64 = 24 * 60 * 60 * 1000;

/// The canvas host, once it serves.
pub(crate) struct Canvas {
    key: Key,
    at: SocketAddr,
    /// Its addresses begin with `https`.
    tls: bool,
    folder: Folder,
    reload: Reload,
}

/// An address of the canvas for one client.
pub(crate) struct Link {
    pub(crate) url: String,
    pub(crate) expires_at_ms: i64,
}

impl Gateway {
    /// The address under which `client` finds the canvas; none where there is none, or it cannot get there.
    pub(crate) fn canvas_link(&self, client: &Client, now_ms: i64) -> Option<Link> {
        let canvas = self.canvas.as_ref()?;
        let public = self.config.canvas_url.trim_end_matches('/');
        let base = match (public, client.host.as_str()) {
            ("", "") => return None,
            ("", host) => {
                let near = canvas.at.ip().to_canonical().is_loopback();
                if near && !crate::peer::is_loopback_name(host) {
                    return None;
                }
                let scheme = if canvas.tls { "https" } else { "http" };
                format!("{scheme}://{host}:{}", canvas.at.port())
            }
            (public, _) => public.to_owned(),
        };
        let good_for = match client.grant.protocol {
            3 => OLD_GOOD_FOR_MS,
            _ => GOOD_FOR_MS,
        };
        let expires_at_ms = now_ms + good_for;
        let capability = canvas.key.issue(expires_at_ms);
        Some(Link {
            url: format!("{base}{}{capability}", capability::PATH),
            expires_at_ms,
        })
    }
}

/// Opens the canvas and its port, where there is to be one; the settings say afterwards whether, and on which port.
///
/// The gateway does without it where its port is taken or its folder cannot be used: several replicas on one machine
/// have one canvas.
///
/// # Errors
/// When the bus is away.
pub(crate) async fn begin(
    bus: &bus::Bus,
    config: &mut Config,
    tls: bool,
) -> anyhow::Result<Option<(Canvas, TcpListener)>> {
    // Without a data folder there is no place for what agents write.
    config.canvas &= config.canvas_folder.is_absolute();
    if !config.canvas {
        return Ok(None);
    }
    let (folder, listener) = match place(config).await {
        Ok(place) => place,
        Err(error) => {
            tracing::warn!(
                "the canvas is not served: {error:#}; set gateway.canvas_port and gateway.canvas_folder, or \
                 gateway.canvas to false"
            );
            config.canvas = false;
            return Ok(None);
        }
    };
    let at = listener.local_addr()?;
    config.canvas_port = at.port();
    let canvas = Canvas {
        key: Key::shared(bus).await?,
        at,
        tls,
        folder,
        reload: Reload::default(),
    };
    tracing::info!(canvas_at = %at, "canvas is served on {at}");
    Ok(Some((canvas, listener)))
}

/// The folder and the port of the settings.
async fn place(config: &Config) -> anyhow::Result<(Folder, TcpListener)> {
    let at = SocketAddr::new(config.canvas_bind, config.canvas_port);
    let listener = TcpListener::bind(at)
        .await
        .with_context(|| format!("cannot listen on {at}"))?;
    Ok((Folder::open(&config.canvas_folder)?, listener))
}

/// Serves until the gateway stops.
pub(crate) async fn serve(gateway: &Arc<Gateway>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let (tasks, room) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    let watching = async {
        if let Some(canvas) = &gateway.canvas {
            canvas.reload.watch(&canvas.folder).await;
        }
    };
    let accepting = async {
        loop {
            let Ok(place) = room.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (gateway, tls) = (gateway.clone(), tls.clone());
                    tasks.spawn(async move {
                        let stop = gateway.stop.clone();
                        let service = service_fn(move |request| {
                            let gateway = gateway.clone();
                            async move { answer::answer(&gateway, request).await }
                        });
                        let served = async {
                            let Some(wire) = secure(stream, tls).await else {
                                return;
                            };
                            let served = http1::Builder::new()
                                .timer(TokioTimer::new())
                                .header_read_timeout(HEAD)
                                .serve_connection(TokioIo::new(wire), service);
                            let _ = served.await;
                        };
                        tokio::select! {
                            () = served => {}
                            () = stop.cancelled() => {}
                        }
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(BREATH).await,
            }
        }
    };
    tokio::select! {
        () = gateway.stop.cancelled() => {}
        () = watching => {}
        () = accepting => {}
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}
