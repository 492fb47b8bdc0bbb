//! The gateway's face: WebSocket clients, the WebChat page, pairing of people.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use chassis::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

mod admin;
mod announce;
mod client;
mod clients;
mod connection;
mod gate;
mod gateway;
mod handshake;
mod health;
mod hello;
mod http;
mod limiter;
mod listen;
mod live;
mod meter;
mod methods;
mod nodes;
mod once;
mod outbox;
mod page;
mod peer;
mod recent;
mod refusal;
mod runs;
mod schema;
mod scope;
mod socket;
mod turns;

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
    /// Address of the gRPC admin API.
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
    /// Whether nodes of protocol 3 wait until an operator approves what they can do, as those of protocol 4 always do.
    pub old_nodes_wait: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 18789,
            token: Secret::default(),
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
            old_nodes_wait: false,
        }
    }
}

/// A token shorter than this is easily guessed.
const SHORT_TOKEN_CHARS: usize = 16;

/// Serves until told to stop.
///
/// # Errors
/// When an address is taken or the settings are unsafe; the message says what to do.
pub async fn run(ctx: chassis::Context, config: Config) -> anyhow::Result<()> {
    let at = SocketAddr::new(config.bind, config.port);
    check(&config, at, config.admin_listen)?;
    let web = TcpListener::bind(at)
        .await
        .with_context(|| format!("{at} is taken; stop what listens there, or set gateway.port"))?;
    let admin = TcpListener::bind(config.admin_listen)
        .await
        .with_context(|| format!("{} is taken; set gateway.admin_listen", config.admin_listen))?;
    serve(ctx, config, web, admin).await
}

/// Serves on listeners that are open already, for whoever has to know the ports.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    ctx: chassis::Context,
    config: Config,
    web: TcpListener,
    admin: TcpListener,
) -> anyhow::Result<()> {
    let (web_at, admin_at) = (web.local_addr()?, admin.local_addr()?);
    check(&config, web_at, admin_at)?;
    let gateway = Arc::new(gateway::Gateway::new(&ctx, config).map_err(anyhow::Error::msg)?);
    let heard = live::Heard::begin(&gateway)
        .await
        .context("listening to live events")?;
    tracing::info!(%web_at, %admin_at, "gateway listens on ws://{web_at}, admin API on {admin_at}");
    drop(ctx.ready);
    tokio::try_join!(
        async {
            listen::serve(&gateway, web).await;
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
            clients::pulse(&gateway).await;
            Ok(())
        },
        admin::serve(&gateway, admin),
    )?;
    Ok(())
}

/// Refuses to be reachable from elsewhere without a token.
fn check(config: &Config, web: SocketAddr, admin: SocketAddr) -> anyhow::Result<()> {
    let token = &config.token;
    for (setting, at) in [("bind", web), ("admin_listen", admin)] {
        anyhow::ensure!(
            !token.is_empty() || at.ip().to_canonical().is_loopback(),
            "gateway.{setting} is {at}, which others can reach, but gateway.token is empty. Set gateway.token (or \
             OPENCLAW_GATEWAY_TOKEN) to a long random text, or set gateway.{setting} to a loopback address such as \
             127.0.0.1.",
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
    fn a_gateway_that_others_can_reach_needs_a_token() {
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
        assert!(check(&config, far, far).is_ok());
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }
}
