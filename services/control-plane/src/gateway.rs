//! What all connections of one gateway share.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use bus::{Bus, Mirror};
use chassis::clock::now_ms;
use proto::v1::{AgentProfile, SessionSettings};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Config,
    agents::Agents,
    awaited::Awaited,
    canvas::Canvas,
    clients::Clients,
    cron,
    devices::Devices,
    gate::Gate,
    handshake::Secret,
    health::Health,
    host::Host,
    limiter::Limiter,
    nodes::Nodes,
    openai::Places,
    peer::{Origin, Rules},
    runs::Runs,
    usual::Usual,
    watch::Watch,
};

/// Version that clients and people are shown.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Sockets in all that may wait to prove who they are.
const MAX_UNPROVED: usize = 1024;
/// TCP connections in all that have not become WebSockets.
const MAX_WAITING: usize = 2048;

/// Records that every replica holds.
pub(crate) struct Records {
    pub(crate) agents: Mirror<AgentProfile>,
    pub(crate) settings: Mirror<SessionSettings>,
}

/// What all connections of one gateway share.
pub(crate) struct Gateway {
    pub(crate) bus: Bus,
    pub(crate) stop: CancellationToken,
    /// Cancelled once every client was told that the gateway stops.
    pub(crate) closing: CancellationToken,
    pub(crate) config: Config,
    pub(crate) host: Host,
    /// Held while the settings are compared and written.
    pub(crate) changing_settings: tokio::sync::Mutex<()>,
    /// Key of the hashes that clients are told: what they are told tells nothing of what was hashed.
    pub(crate) hash_key: [u8; 32],
    pub(crate) rules: Rules,
    pub(crate) limiter: Limiter,
    /// TCP connections that have not become WebSockets.
    pub(crate) waiting: Arc<Gate<IpAddr>>,
    /// WebSockets that have not proved who they are.
    pub(crate) unproved: Arc<Gate<(IpAddr, Origin)>>,
    pub(crate) clients: Clients,
    pub(crate) devices: Devices,
    pub(crate) health: Health,
    pub(crate) nodes: Nodes,
    pub(crate) agents: Agents,
    /// What was set for sessions.
    pub(crate) settings: Mirror<SessionSettings>,
    pub(crate) usual: Usual,
    pub(crate) watch: Watch,
    pub(crate) awaited: Awaited,
    /// None where it is not served.
    pub(crate) canvas: Option<Canvas>,
    /// Requests of the HTTP API that wait for their answers.
    pub(crate) http_runs: Places,
    pub(crate) started: Instant,
    secret: RwLock<Arc<Secret>>,
    runs: Mutex<Runs>,
}

impl Gateway {
    /// Makes it from the settings.
    ///
    /// # Errors
    /// A sentence about the setting that is wrong.
    pub(crate) fn new(
        ctx: &chassis::Context,
        config: Config,
        host: Host,
        records: Records,
    ) -> Result<Self, String> {
        cron::schedule::zone(&config.cron.time_zone)
            .map_err(|why| format!("gateway.cron.time_zone: {why}"))?;
        Ok(Self {
            bus: ctx.bus.clone(),
            host,
            changing_settings: tokio::sync::Mutex::default(),
            hash_key: random_key(),
            stop: ctx.stop.clone(),
            closing: CancellationToken::new(),
            rules: Rules::new(&config)?,
            secret: RwLock::new(Arc::new(Secret::new(config.token.expose()))),
            limiter: Limiter::default(),
            waiting: Gate::new(MAX_WAITING),
            unproved: Gate::new(MAX_UNPROVED),
            clients: Clients::default(),
            devices: Devices::new(&ctx.bus),
            health: Health::new(&config.default_agent),
            nodes: Nodes::new(&ctx.bus, &config),
            agents: Agents::new(&config.default_agent, records.agents),
            settings: records.settings,
            usual: Usual::default(),
            watch: Watch::default(),
            awaited: Awaited::default(),
            canvas: None,
            http_runs: Places::default(),
            started: Instant::now(),
            runs: Mutex::new(Runs::new()),
            config,
        })
    }

    /// The shared token as it is now.
    pub(crate) fn secret(&self) -> Arc<Secret> {
        let secret = self.secret.read().unwrap_or_else(PoisonError::into_inner);
        secret.clone()
    }

    /// From now on the shared token is another.
    pub(crate) fn change_secret(&self, secret: Secret) {
        let mut own = self.secret.write().unwrap_or_else(PoisonError::into_inner);
        *own = Arc::new(secret);
    }

    /// Which answers are being made. Held for a moment, never across an await.
    pub(crate) fn runs(&self) -> MutexGuard<'_, Runs> {
        // Nothing in there panics half-way, so what a poisoned lock guards is whole.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it started, as RFC 3339 writes it.
    pub(crate) fn began_at(&self) -> String {
        let uptime_ms = i64::try_from(self.uptime_ms()).unwrap_or(i64::MAX);
        chassis::clock::rfc3339(now_ms().saturating_sub(uptime_ms))
    }

    /// Milliseconds since it started.
    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// 244 bits that nobody guesses.
fn random_key() -> [u8; 32] {
    let (one, other) = (Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes());
    std::array::from_fn(|at| if at < 16 { one[at] } else { other[at - 16] })
}
