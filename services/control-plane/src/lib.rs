//! The gateway's face: WebSocket clients, the WebChat page, pairing of people.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
use bus::{Bucket, Mirror};
use chassis::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

mod admin;
mod agents;
mod announce;
mod awaited;
mod canvas;
mod client;
mod clients;
mod connection;
mod cron;
mod cursor;
mod devices;
mod gate;
mod gateway;
mod handshake;
mod health;
mod hello;
mod host;
mod http;
mod limiter;
mod listen;
mod live;
mod meter;
mod methods;
mod news;
mod nodes;
mod once;
mod openai;
mod outbox;
mod page;
mod peer;
mod recent;
mod refusal;
mod resume;
mod runs;
mod schema;
mod scope;
mod secret;
mod sessions;
mod socket;
mod tls;
mod turns;
mod usual;
mod verdict;
mod watch;
mod wire;

pub use host::Host;
/// The JSON Schema of the whole protocol: frames, methods with what they take and give, events.
pub use schema::document as protocol;

/// Settings of the gateway's WebSocket, page and admin API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address that WebSocket clients and the page use. Any but a loopback address needs a token.
    pub bind: IpAddr,
    /// Port for both; 0 takes a free one.
    pub port: u16,
    /// The shared secret of operators, at least 16 characters. Empty asks for none, on this machine only.
    pub token: Secret,
    /// File that holds the token in place of `token`, such as a secret of a container. It is read again when it changes:
    /// who came with the old token is closed at once.
    pub token_file: PathBuf,
    /// Serves page and WebSocket in TLS 1.3, with a certificate that the gateway makes for itself and keeps in `tls_dir`
    /// unless `tls_certificate` names another. Its SHA-256 fingerprint is logged at the start.
    pub tls: bool,
    /// Certificate and those above it, PEM; with it page and WebSocket are served in TLS.
    pub tls_certificate: PathBuf,
    /// Its private key, PEM.
    pub tls_key: PathBuf,
    /// Folder for the certificate that the gateway makes. A relative path begins in the data folder.
    pub tls_dir: PathBuf,
    /// Allows addresses that others can reach without TLS: only where nobody else is in that network, as in a container
    /// whose port is published to the own machine, or behind a proxy there that does the TLS.
    pub plain_on_private_network: bool,
    /// Address of the gRPC admin API, which is plain: through an SSH tunnel it is reached from elsewhere.
    pub admin_listen: SocketAddr,
    /// Pages besides the gateway's own that may connect, each `https://host[:port]`.
    pub allowed_origins: Vec<String>,
    /// Names besides `localhost` under which browsers may reach the gateway.
    pub allowed_hosts: Vec<String>,
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Networks treated like this machine, such as a container host's `172.16.0.0/12`: a device there that knows the
    /// token needs no approval.
    pub local_networks: Vec<String>,
    /// Agent that answers where a client names none.
    pub default_agent: String,
    /// How long a client may take to prove who it is, in milliseconds.
    pub handshake_ms: u64,
    /// Sockets of one address that may wait to prove who they are.
    pub max_unproved_per_address: usize,
    /// Bytes that may wait to be written to one client before it is closed as too slow.
    pub max_buffered_bytes: usize,
    /// Commands that nodes may be asked for besides those of their platform; the dangerous ones, such as
    /// `screen.record` or `sms.send`, are asked for only if they stand here.
    pub node_commands_allow: Vec<String>,
    /// Commands that no node is asked for.
    pub node_commands_deny: Vec<String>,
    /// Whether the canvas is served: pages that agents write, for nodes and operators to see.
    pub canvas: bool,
    /// Address of the canvas.
    pub canvas_bind: IpAddr,
    /// Port of the canvas; 0 takes a free one. One of its own, so that what agents write is another origin.
    pub canvas_port: u16,
    /// Address under which others reach the canvas, `https://host[:port]`, where something stands between; empty for
    /// the name under which a client reached the gateway.
    pub canvas_url: String,
    /// Folder with the pages. A relative path begins in the gateway's data folder.
    pub canvas_folder: PathBuf,
    /// Whether nodes of protocol 3 wait until an operator approves what they can do, as those of protocol 4 always do.
    pub old_nodes_wait: bool,
    /// Jobs by the clock.
    pub cron: cron::settings::Cron,
    /// The agent looks around by itself.
    pub heartbeat: cron::settings::Heartbeat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 18789,
            token: Secret::default(),
            token_file: PathBuf::new(),
            tls: false,
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            tls_dir: "tls".into(),
            plain_on_private_network: false,
            admin_listen: (Ipv4Addr::LOCALHOST, 18790).into(),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            local_networks: Vec::new(),
            default_agent: "main".into(),
            handshake_ms: 15_000,
            max_unproved_per_address: 32,
            max_buffered_bytes: 52_428_800,
            node_commands_allow: Vec::new(),
            node_commands_deny: Vec::new(),
            canvas: true,
            canvas_bind: Ipv4Addr::LOCALHOST.into(),
            canvas_port: 18793,
            canvas_url: String::new(),
            canvas_folder: "canvas".into(),
            old_nodes_wait: false,
            cron: cron::settings::Cron::default(),
            heartbeat: cron::settings::Heartbeat::default(),
        }
    }
}

/// A token shorter than this is easily guessed.
const SHORT_TOKEN_CHARS: usize = 16;

/// Serves until told to stop, in the process `host`.
///
/// # Errors
/// When an address is taken or the settings are unsafe; the message says what to do.
pub async fn run(ctx: chassis::Context, mut config: Config, host: Host) -> anyhow::Result<()> {
    secret::read_into(&mut config)?;
    let at = SocketAddr::new(config.bind, config.port);
    check(&config, at, config.admin_listen)?;
    let web = TcpListener::bind(at)
        .await
        .with_context(|| format!("{at} is taken; stop what listens there, or set gateway.port"))?;
    let admin = TcpListener::bind(config.admin_listen)
        .await
        .with_context(|| format!("{} is taken; set gateway.admin_listen", config.admin_listen))?;
    serve_in(ctx, config, host, web, admin).await
}

/// Serves on listeners that are open already, for whoever has to know the ports, in a process of which nothing is known.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    ctx: chassis::Context,
    config: Config,
    web: TcpListener,
    admin: TcpListener,
) -> anyhow::Result<()> {
    serve_in(ctx, config, Host::default(), web, admin).await
}

/// As [`serve`], in the process `host`.
///
/// # Errors
/// As [`run`].
pub async fn serve_in(
    ctx: chassis::Context,
    mut config: Config,
    host: Host,
    web: TcpListener,
    admin: TcpListener,
) -> anyhow::Result<()> {
    secret::read_into(&mut config)?;
    host.scrub.hide([config.token.clone()]);
    let (web_at, admin_at) = (web.local_addr()?, admin.local_addr()?);
    check(&config, web_at, admin_at)?;
    let tls = tls::prepare(&config)?;
    let records = gateway::Records {
        agents: Mirror::load(&ctx.bus, Bucket::Agents)
            .await
            .context("reading which agents there are")?,
        settings: Mirror::load(&ctx.bus, Bucket::Sessions)
            .await
            .context("reading what was set for sessions")?,
    };
    let canvas = canvas::begin(&ctx.bus, &mut config, tls.is_some()).await?;
    let (canvas, canvas_listener) = canvas.unzip();
    let canvas_tls = tls.as_ref().map(|tls| tls.acceptor.clone());
    let mut gateway =
        gateway::Gateway::new(&ctx, config, host, records).map_err(anyhow::Error::msg)?;
    gateway.canvas = canvas;
    let gateway = Arc::new(gateway);
    let heard = live::Heard::begin(&gateway)
        .await
        .context("listening to live events")?;
    let guesses = limiter::Heard::begin(&gateway)
        .await
        .context("listening to what other replicas tell of guesses")?;
    gateway.devices.load().await.context("reading devices")?;
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    tracing::info!(%web_at, %admin_at, "gateway listens on {scheme}://{web_at}, admin API on {admin_at}");
    if let Some(tls) = &tls {
        tracing::info!(sha256 = %tls.fingerprint, "its certificate has the SHA-256 fingerprint {}", tls.fingerprint);
    }
    drop(ctx.ready);
    tokio::try_join!(
        async {
            listen::serve(&gateway, web, tls.map(|tls| tls.acceptor)).await;
            Ok(())
        },
        async {
            heard.tell(&gateway).await;
            Ok(())
        },
        async {
            health::keep(&gateway).await;
            Ok(())
        },
        async {
            nodes::keep(&gateway).await;
            Ok(())
        },
        async {
            devices::expel::follow(&gateway).await;
            Ok(())
        },
        async {
            limiter::share(&gateway, guesses).await;
            Ok(())
        },
        async {
            secret::follow(&gateway).await;
            Ok(())
        },
        async {
            if let Some(listener) = canvas_listener {
                canvas::serve(&gateway, listener, canvas_tls).await;
            }
            Ok(())
        },
        async {
            usual::keep(&gateway).await;
            Ok(())
        },
        async {
            clients::pulse(&gateway).await;
            Ok(())
        },
        async {
            watch::tell(&gateway).await;
            Ok(())
        },
        sessions::keep_up(&gateway),
        async {
            news::keep(&gateway).await;
            Ok(())
        },
        async { cron::keep(&gateway).await.context("jobs by the clock") },
        admin::serve(&gateway, admin),
    )?;
    Ok(())
}

/// Refuses to be reachable from elsewhere without a token, and without TLS.
fn check(config: &Config, web: SocketAddr, admin: SocketAddr) -> anyhow::Result<()> {
    let token = &config.token;
    let secured = config.tls || !config.tls_certificate.as_os_str().is_empty();
    let canvas = SocketAddr::new(config.canvas_bind, config.canvas_port);
    for (setting, at, secured) in [
        ("bind", web, secured),
        ("admin_listen", admin, false),
        ("canvas_bind", canvas, secured),
    ] {
        if at.ip().to_canonical().is_loopback() || (setting == "canvas_bind" && !config.canvas) {
            continue;
        }
        anyhow::ensure!(
            !token.is_empty(),
            "gateway.{setting} is {at}, which others can reach, but gateway.token is empty. Set gateway.token (or \
             OPENCLAW_GATEWAY_TOKEN) to a long random text, or set gateway.{setting} to a loopback address such as \
             127.0.0.1.",
        );
        anyhow::ensure!(
            secured || config.plain_on_private_network,
            "gateway.{setting} is {at}, which others can reach, but what is said there can be overheard. {} Or set it \
             to 127.0.0.1 and come through an SSH tunnel or a tailnet. Only where nobody else is in that network, as in \
             a container whose port is published to 127.0.0.1, set gateway.plain_on_private_network = true.",
            match setting {
                "bind" | "canvas_bind" =>
                    "Set gateway.tls = true, or gateway.tls_certificate and gateway.tls_key.",
                _ => "The admin API has no TLS of its own.",
            },
        );
    }
    if !token.is_empty() && token.expose().chars().count() < SHORT_TOKEN_CHARS {
        tracing::warn!(
            "gateway.token is shorter than {SHORT_TOKEN_CHARS} characters; it is easily guessed"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_others_can_reach_needs_a_token_and_tls() {
        let (near, far): (SocketAddr, SocketAddr) =
            ("127.0.0.1:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
        let mut config = Config::default();
        assert!(check(&config, near, near).is_ok());
        let refused = check(&config, far, near).unwrap_err().to_string();
        assert!(refused.contains("OPENCLAW_GATEWAY_TOKEN"), "{refused}");
        assert!(
            check(&config, near, far)
                .unwrap_err()
                .to_string()
                .contains("admin_listen")
        );
        config.token = "0123456789abcdef".into();
        let refused = check(&config, far, near).unwrap_err().to_string();
        assert!(refused.contains("gateway.tls = true"), "{refused}");
        config.tls = true;
        assert!(check(&config, far, near).is_ok());
        let refused = check(&config, far, far).unwrap_err().to_string();
        assert!(refused.contains("gateway.admin_listen"), "{refused}");
        config.plain_on_private_network = true;
        assert!(check(&config, far, far).is_ok());
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }
}
