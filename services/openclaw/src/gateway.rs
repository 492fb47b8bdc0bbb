//! `openclaw gateway`: every service in one process, with servers of its own.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, bail};
use chassis::frame;
use chassis::settings::Book;
use chassis::shutdown::Again;
use chassis::{log, shutdown};
use control_plane::Host;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::home::Home;
use crate::servers::{Access, Servers, Wanted};
use crate::services::{self, Service};
use crate::{Settings, anew, greeting};

/// Where health is answered unless the settings say otherwise.
pub(crate) const HEALTH: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 18791);

/// Runs until told to stop; true where the program is to begin anew then. To be polled on the main thread: see
/// [`Servers::start`].
///
/// # Errors
/// When the folder, a port or a server cannot be had; the text says what to do.
pub(crate) async fn run(home: &Home, book: Book, mut settings: Settings) -> anyhow::Result<bool> {
    let log = log::begin(&settings.log, "openclaw");
    let _lock = home.lock()?;
    let gateway = &mut settings.gateway;
    if gateway.token.is_empty() && gateway.token_file.as_os_str().is_empty() {
        gateway.token = home.token_or_new()?;
        // Whoever writes another into it need not restart anything.
        gateway.token_file = home.token_file();
    }
    settings.complete(home);
    let page = free("page", settings.page_address(), "OPENCLAW_GATEWAY_PORT")?;
    settings.gateway.port = page.port();
    let admin = settings.admin_address();
    settings.gateway.admin_listen = free("admin API", admin, "OPENCLAW_GATEWAY_ADMIN_LISTEN")?;
    let health = settings.health.address_or(HEALTH)?;
    let health = free("health", health, "OPENCLAW_HEALTH_ADDRESS")?;

    let stop = shutdown::listen().context("signals")?;
    let again = Again::new(&stop);
    let host = Host {
        log: log.tail.clone(),
        scrub: log.scrub.clone(),
        settings: Some(book),
        again: anew::possible().then(|| again.clone()),
    };
    host.hide_secrets();
    host.scrub.hide([settings.gateway.token.clone()]);
    let wanted = Wanted {
        nats: settings.bus.urls.is_empty(),
        redis: settings.redis.url.is_empty(),
    };
    let Some(servers) = stop.run_until_cancelled(Servers::start(home, wanted)).await else {
        return Ok(false);
    };
    let mut servers = servers?;
    settings.reach(&servers.access);
    let outcome = tokio::select! {
        outcome = serve(home, settings, host, health, wanted, &stop) => outcome,
        () = servers.keep() => Ok(()),
    };
    servers.stop().await;
    outcome.map(|()| again.is_wanted())
}

async fn serve(
    home: &Home,
    settings: Settings,
    host: Host,
    health: SocketAddr,
    wanted: Wanted,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut bus = settings.bus("openclaw gateway");
    bus.exclusive = wanted.nats;
    let mut frame = frame::Settings::new("gateway", bus);
    frame.health = health;
    let services = Service::all(&settings);
    frame::run(frame, stop.clone(), |stage| async {
        let board = stage.board.clone();
        let greet = async {
            greeting::when_ready(&board, &settings, home).await;
            info!("the gateway serves");
        };
        let greet = stop.run_until_cancelled(greet);
        tokio::join!(services::run_all(stage, services, &settings, &host), greet);
        Ok(())
    })
    .await
}

/// Makes sure that `address` can be listened on before anything is started; for port 0, says which
/// one can.
fn free(what: &str, address: SocketAddr, variable: &str) -> anyhow::Result<SocketAddr> {
    match TcpListener::bind(address) {
        Ok(listener) => Ok(listener.local_addr()?),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "{address} for the {what} is taken by another program; end that one, or choose another \
             with {variable}"
        ),
        Err(error) => {
            Err(error).with_context(|| format!("cannot listen at {address} for the {what}"))
        }
    }
}

impl Settings {
    /// Gives relative paths their folder.
    pub(crate) fn complete(&mut self, home: &Home) {
        self.ledger.path = home.join(&self.ledger.path);
        self.media.dir = home.join(&self.media.dir);
        self.gateway.tls_dir = home.join(&self.gateway.tls_dir);
        self.gateway.canvas_folder = home.join(&self.gateway.canvas_folder);
    }

    /// Uses the servers that were started.
    fn reach(&mut self, access: &Access) {
        if !access.nats_url.is_empty() {
            self.bus.urls = vec![access.nats_url.clone()];
            self.bus.token = access.nats_token.clone();
        }
        if !access.redis_url.is_empty() {
            self.redis.url = access.redis_url.clone();
        }
    }
}
