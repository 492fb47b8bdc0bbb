//! The life of a process, from its first line in the log to its last.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use bus::Bus;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::health::{self, Board};
use crate::{Context, shutdown};

/// Pause between two attempts to reach a bus that is away.
const RECONNECT: Duration = Duration::from_secs(1);

/// How one process lives.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it is called in logs.
    pub name: String,
    /// How to reach the bus.
    pub bus: bus::Settings,
    /// Where health is answered; port 0 takes a free one.
    pub health: SocketAddr,
    /// How long it may take to finish what it has in hand.
    pub grace: Duration,
}

impl Settings {
    /// Settings with a free port for health and the usual grace.
    pub fn new(name: impl Into<String>, bus: bus::Settings) -> Self {
        Self {
            name: name.into(),
            bus,
            health: SocketAddr::from(([127, 0, 0, 1], 0)),
            grace: shutdown::GRACE,
        }
    }
}

/// What the services of one process share.
#[derive(Clone)]
pub struct Stage {
    /// Carries messages between services.
    pub bus: Bus,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
    /// Says what is not ready.
    pub board: Board,
}

impl Stage {
    /// What one service on it is given. `/ready` waits for it.
    pub fn context(&self, name: &str) -> Context {
        Context {
            bus: self.bus.clone(),
            stop: self.stop.clone(),
            ready: self.board.enter(name),
        }
    }
}

/// Runs `work` until `stop`, then gives it the grace to finish.
///
/// # Errors
/// When the bus refuses us, when `work` fails or ends by itself, and when the grace was not enough.
pub async fn run<W, F>(settings: Settings, stop: CancellationToken, work: W) -> anyhow::Result<()>
where
    W: FnOnce(Stage) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let name = settings.name;
    info!(service = name, "{name} starts");
    let board = Board::default();
    let health = health::serve(settings.health, board.clone())
        .await
        .with_context(|| format!("health server at {}", settings.health))?;
    info!(address = %health.address(), "health is answered at http://{}/ready", health.address());

    let Some(bus) = connect(&settings.bus, &stop).await? else {
        return Ok(());
    };
    board.watch(bus.clone());
    let mut work = pin!(work(Stage {
        bus,
        stop: stop.clone(),
        board,
    }));
    tokio::select! {
        // A service that ends because it was told to has not ended by itself.
        biased;
        () = stop.cancelled() => info!(service = name, "{name} stops"),
        early = &mut work => {
            early?;
            anyhow::ensure!(stop.is_cancelled(), "{name} ended by itself");
            return Ok(());
        }
    }
    let grace = settings.grace;
    let outcome = timeout(grace, work).await;
    outcome.with_context(|| format!("{name} had work left after {grace:?}"))??;
    info!(service = name, "{name} stopped");
    Ok(())
}

/// Reaches the bus, however long that takes; `None` if told to stop before.
async fn connect(
    settings: &bus::Settings,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Bus>> {
    let at = places(&settings.servers);
    info!("looking for the bus at {at}");
    loop {
        let attempt = stop
            .run_until_cancelled(Bus::connect(settings.clone()))
            .await;
        match attempt {
            None => return Ok(None),
            Some(Ok(bus)) => return Ok(Some(bus)),
            Some(Err(error @ bus::Error::Unavailable(..))) => {
                let error = anyhow::Error::new(error);
                warn!(
                    error = format!("{error:#}"),
                    "no bus answers at {at}: start nats-server there, or set bus.urls; trying again"
                );
                stop.run_until_cancelled(tokio::time::sleep(RECONNECT))
                    .await;
            }
            Some(Err(error)) => return Err(error).context("bus"),
        }
    }
}

/// Host and port of each server, without what may be secret in its address.
fn places(servers: &[String]) -> String {
    let place = |server: &String| {
        let place = server
            .rsplit_once("://")
            .map_or(&**server, |(_, place)| place);
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        place.to_owned()
    };
    servers.iter().map(place).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_without_its_password() {
        let servers = ["nats://user:canary@a:4222", "tls://canary@b", "c:1"].map(str::to_owned);
        assert_eq!(places(&servers), "a:4222, b, c:1");
    }
}
