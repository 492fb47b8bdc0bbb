//! All settings of the gateway: a section a service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chassis::settings::{Book, Check, Mistakes, Names, load};
use chassis::{Secret, health, log};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::home::Home;

mod anew;
pub mod command;
mod config;
mod connections;
mod dead;
mod devices;
mod doctor;
mod gateway;
mod greeting;
pub mod home;
mod pair;
mod pairing;
mod queues;
mod remote;
mod send;
mod servers;
mod services;
mod sessions;
mod table;
mod terminal;
mod trace;
mod unknown;

/// The name of the settings file, in the folder one stands in or in the data folder.
const FILE: &str = "openclaw.toml";

/// Where a service that runs alone expects Redis unless told otherwise.
const REDIS_URL: &str = "redis://127.0.0.1:6379";

/// Shortest gateway token that is not easily guessed, in characters.
const MIN_TOKEN_CHARS: usize = 16;

/// Environment variables beside `OPENCLAW_<SECTION>_<KEY>`.
pub const NAMES: Names<'static> = Names {
    aliases: &[
        ("TELEGRAM_BOT_TOKEN", "telegram.main.token"),
        ("REDIS_URL", "redis.url"),
        ("NATS_URL", "bus.urls"),
        ("OPENCLAW_GATEWAY_TOKEN", "gateway.token"),
        ("OPENCLAW_GATEWAY_PORT", "gateway.port"),
        ("OPENAI_API_KEY", "agent.api_key"),
        ("OPENAI_BASE_URL", "agent.url"),
    ],
    others: &[
        home::VARIABLE,
        command::CONFIG_VARIABLE,
        servers::binary::NATS.variable,
        servers::binary::REDIS.variable,
    ],
};

/// Everything there is to set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where operators, nodes and browsers connect.
    pub gateway: control_plane::Config,
    /// Accounts on Telegram, each a bot: `[telegram.main]`, `[telegram.second]`.
    pub telegram: BTreeMap<String, adapter_telegram::Config>,
    /// Which model answers, and within which limits.
    pub agent: agent_bridge::Config,
    /// Who may speak, and which session a message joins.
    pub router: router::Config,
    /// What happened, kept and searchable.
    pub ledger: ledger::Config,
    /// Files that came with messages.
    pub media: Media,
    /// What is logged, and how.
    pub log: log::Config,
    /// Where the process says how it is.
    pub health: health::Config,
    /// The bus between the services.
    pub bus: Bus,
    /// What may be forgotten.
    pub redis: Redis,
}

/// The bus between the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bus {
    /// NATS servers, each `nats://host:port` or `tls://host:port`. Without one `openclaw gateway`
    /// runs a server of its own, and `openclaw run` expects one at `nats://127.0.0.1:4222`.
    pub urls: Vec<String>,
    /// Token that those servers want.
    pub token: Secret,
    /// Parts that work is split into, each done by one process at a time: 16 on one machine, 64
    /// in a cluster. The same for all processes.
    #[schemars(range(min = 1, max = 1024))]
    pub partitions: u16,
    /// Copies of each message: 1 on one server, 3 in a cluster.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: usize,
}

/// What may be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// Redis server, as `redis://:password@host:port`. Without one `openclaw gateway` runs a
    /// server of its own, and `openclaw run` expects one at `redis://127.0.0.1:6379`.
    pub url: Secret,
}

/// Files that came with messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Folder for them. A relative path begins in the gateway's data folder.
    pub dir: PathBuf,
    /// Largest file taken, in bytes.
    #[schemars(range(min = 1))]
    pub max_bytes: u64,
}

impl Default for Bus {
    fn default() -> Self {
        let usual = bus::Settings::default();
        Self {
            urls: Vec::new(),
            token: Secret::default(),
            partitions: usual.partitions,
            replicas: usual.replicas,
        }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            dir: "media".into(),
            max_bytes: 50 * 1024 * 1024,
        }
    }
}

/// The environment, as far as it is text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}

impl Settings {
    /// Reads `file`, or the usual one if there is one, and the environment over it.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn read(file: Option<&Path>, home: &Home) -> Result<Self, Mistakes> {
        let usual = Self::usual_file(home);
        load(file.or(usual.as_deref()), variables(), &NAMES)
    }

    /// The settings in `file`, or in the usual one, to be looked at and changed while a process runs. `frozen` says why
    /// they cannot be changed from there.
    pub fn book(file: Option<&Path>, home: &Home, frozen: Option<String>) -> Book {
        let usual = Self::usual_file(home);
        let file = file.map(Path::to_owned).or(usual);
        let file = file.unwrap_or_else(|| home.join(FILE));
        // Whatever folder the process works in later.
        let file = std::path::absolute(&file).unwrap_or(file);
        Book::new::<Self>(file, frozen, variables().collect(), NAMES)
    }

    /// The settings file that is read when none is named: here, else in the data folder.
    pub fn usual_file(home: &Home) -> Option<PathBuf> {
        let places = [PathBuf::from(FILE), home.join(FILE)];
        places.into_iter().find(|place| place.is_file())
    }

    /// Where the page and the WebSocket are.
    fn page_address(&self) -> SocketAddr {
        SocketAddr::new(self.gateway.bind, self.gateway.port)
    }

    /// Where browsers of this machine reach the page, with a slash at the end.
    fn page_url(&self) -> String {
        let (page, gateway) = (self.page_address(), &self.gateway);
        let secured = gateway.tls || !gateway.tls_certificate.as_os_str().is_empty();
        let scheme = if secured { "https" } else { "http" };
        match page.ip() {
            ip if ip.is_unspecified() => format!("{scheme}://127.0.0.1:{}/", page.port()),
            _ => format!("{scheme}://{page}/"),
        }
    }

    /// Where the admin API is.
    fn admin_address(&self) -> SocketAddr {
        self.gateway.admin_listen
    }

    /// Where Redis is.
    fn redis_url(&self) -> &str {
        match self.redis.url.expose() {
            "" => REDIS_URL,
            url => url,
        }
    }

    /// The bus as its library wants it.
    fn bus(&self, name: &str) -> bus::Settings {
        let usual = bus::Settings::default();
        let token = &self.bus.token;
        bus::Settings {
            servers: match self.bus.urls.as_slice() {
                [] => usual.servers.clone(),
                urls => urls.to_vec(),
            },
            name: name.to_owned(),
            token: (!token.is_empty()).then(|| token.to_secret_string()),
            partitions: self.bus.partitions,
            replicas: self.bus.replicas,
            ..usual
        }
    }
}

impl Check for Settings {
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("log", |mistakes| self.log.check(mistakes));
        mistakes.within("health", |mistakes| self.health.check(mistakes));
        mistakes.within("router", |mistakes| self.router.check(mistakes));
        mistakes.within("ledger", |mistakes| self.ledger.check(mistakes));
        mistakes.within("telegram", |mistakes| {
            for (name, account) in &self.telegram {
                mistakes.within(name, |mistakes| account.check(mistakes));
            }
        });
        let token = self.gateway.token.expose().chars().count();
        let others = [self.gateway.bind, self.gateway.admin_listen.ip()];
        let reachable = others.iter().any(|ip| !ip.to_canonical().is_loopback());
        if reachable && (1..MIN_TOKEN_CHARS).contains(&token) {
            let what = format!(
                "is shorter than {MIN_TOKEN_CHARS} characters, and others can reach the gateway"
            );
            mistakes.add(
                "gateway.token",
                what,
                "a longer one, as `openssl rand -hex 32` makes",
            );
        }
        for url in &self.bus.urls {
            let schemes = ["nats://", "tls://", "ws://", "wss://"];
            if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
                mistakes.add("bus.urls", "names no NATS server", "\"nats://host:4222\"");
            }
        }
        let redis = self.redis.url.expose();
        let schemes = ["redis://", "rediss://", "redis+unix://", "unix://"];
        if !redis.is_empty() && !schemes.iter().any(|scheme| redis.starts_with(scheme)) {
            mistakes.add(
                "redis.url",
                "names no Redis server",
                "\"redis://host:6379\"",
            );
        }
    }
}
