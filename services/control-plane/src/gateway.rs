//! What all connections of one gateway share.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bus::Bus;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Config,
    clients::Clients,
    gate::Gate,
    handshake::Secret,
    health::Health,
    limiter::Limiter,
    nodes::Nodes,
    peer::{Origin, Rules},
    recent::Recent,
    runs::Runs,
};

/// Version that clients and people are shown.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Sockets in all that may wait to prove who they are.
const MAX_UNPROVED: usize = 1024;
/// TCP connections in all that have not become WebSockets.
const MAX_WAITING: usize = 2048;
/// Remote devices that wait to be approved.
const MAX_UNPAIRED: usize = 256;
/// How long such a device keeps the id of its request.
const UNPAIRED_FOR: Duration = Duration::from_secs(300);

/// What all connections of one gateway share.
pub(crate) struct Gateway {
    pub(crate) bus: Bus,
    pub(crate) stop: CancellationToken,
    /// Cancelled once every client was told that the gateway stops.
    pub(crate) closing: CancellationToken,
    pub(crate) config: Config,
    pub(crate) rules: Rules,
    pub(crate) secret: Secret,
    pub(crate) limiter: Limiter,
    /// TCP connections that have not become WebSockets.
    pub(crate) waiting: Arc<Gate<IpAddr>>,
    /// WebSockets that have not proved who they are.
    pub(crate) unproved: Arc<Gate<(IpAddr, Origin)>>,
    pub(crate) clients: Clients,
    pub(crate) health: Health,
    pub(crate) nodes: Nodes,
    pub(crate) started: Instant,
    runs: Mutex<Runs>,
    unpaired: Mutex<Recent<String, (String, Instant)>>,
}

impl Gateway {
    /// Makes it from the settings.
    ///
    /// # Errors
    /// A sentence about the setting that is wrong.
    pub(crate) fn new(ctx: &chassis::Context, config: Config) -> Result<Self, String> {
        Ok(Self {
            bus: ctx.bus.clone(),
            stop: ctx.stop.clone(),
            closing: CancellationToken::new(),
            rules: Rules::new(&config)?,
            secret: Secret::new(config.token.expose()),
            limiter: Limiter::default(),
            waiting: Gate::new(MAX_WAITING),
            unproved: Gate::new(MAX_UNPROVED),
            clients: Clients::default(),
            health: Health::new(&config.default_agent),
            nodes: Nodes::new(&ctx.bus, &config),
            started: Instant::now(),
            runs: Mutex::new(Runs::new()),
            unpaired: Mutex::new(Recent::new(MAX_UNPAIRED)),
            config,
        })
    }

    /// Which answers are being made. Held for a moment, never across an await.
    pub(crate) fn runs(&self) -> MutexGuard<'_, Runs> {
        // Nothing in there panics half-way, so what a poisoned lock guards is whole.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since it started.
    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Id of the request of a device to be approved: the same while it asks again and again.
    pub(crate) fn pairing_request(&self, device: &str) -> String {
        let mut unpaired = self.unpaired.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let fresh = |since: &Instant| now.duration_since(*since) < UNPAIRED_FOR;
        match unpaired.find(device).filter(|(_, since)| fresh(since)) {
            Some((id, _)) => id.clone(),
            None => {
                let id = Uuid::new_v4().to_string();
                unpaired.note(device.to_owned(), (id.clone(), now));
                id
            }
        }
    }
}
