//! Who is at the other end of a socket: address, locality, and whether a web page of ours opened it.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, header};

use crate::Config;
use network::Network;

mod network;

/// Headers that only a proxy sends: who comes with one is not on this machine, whatever it says.
const FORWARDED: [&str; 9] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "tailscale-user-login",
];

/// What of the settings decides about peers.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Origins allowed besides the gateway's own, lower case, without a slash at the end.
    origins: Vec<String>,
    /// Names under which browsers may reach the gateway.
    hosts: Vec<String>,
    proxies: Vec<IpAddr>,
    local: Vec<Network>,
    /// Port of the canvas; 0 where there is none.
    canvas_port: u16,
}

/// The other end of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address; behind a trusted proxy the address that the proxy names.
    pub(crate) address: IpAddr,
    /// It is on this machine, or in a network that the settings call local, with no proxy between.
    pub(crate) local: bool,
    /// Which web page opened the socket.
    pub(crate) origin: Origin,
}

/// What the `Origin` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// No browser.
    Absent,
    /// A page of this gateway, or one that the settings allow.
    Allowed,
    /// Any other page.
    Foreign,
}

/// Why a socket is refused before it is upgraded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Turned {
    /// A proxy on this machine would make everybody local.
    #[error(
        "Proxy client attribution is required. Add the proxy's address to gateway.trusted_proxies."
    )]
    Proxy,
    /// A page reached us under a name that is not ours: DNS rebinding.
    #[error("This gateway is not known as `{0}`. Add the name to gateway.allowed_hosts.")]
    Host(String),
}

impl Rules {
    /// Reads the rules out of the settings.
    ///
    /// # Errors
    /// A sentence about the network that is none.
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let origins: Vec<String> = config
            .allowed_origins
            .iter()
            .map(|origin| normal(origin).to_owned())
            .collect();
        let of_origins = origins
            .iter()
            .filter_map(|origin| authority(origin))
            .map(host_of);
        let hosts = config
            .allowed_hosts
            .iter()
            .map(String::as_str)
            .chain(of_origins);
        let hosts = hosts.map(str::to_ascii_lowercase).collect();
        let local: Result<_, _> = config
            .local_networks
            .iter()
            .map(|text| text.parse())
            .collect();
        let proxies = config
            .trusted_proxies
            .iter()
            .map(IpAddr::to_canonical)
            .collect();
        Ok(Self {
            origins,
            hosts,
            proxies,
            local: local?,
            canvas_port: if config.canvas { config.canvas_port } else { 0 },
        })
    }

    /// Judges a request that came from `socket`.
    ///
    /// # Errors
    /// [`Turned`]: refuse it with 403.
    pub(crate) fn judge(&self, socket: IpAddr, headers: &HeaderMap) -> Result<Peer, Turned> {
        let socket = socket.to_canonical();
        let proxied = self.proxies.contains(&socket);
        let forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        let near = socket.is_loopback() || self.local.iter().any(|network| network.holds(socket));
        if near && forwarded && !proxied {
            return Err(Turned::Proxy);
        }
        let address = match proxied {
            true => self.forwarded(headers).unwrap_or(socket),
            false => socket,
        };
        let origin = self.origin(socket, headers)?;
        Ok(Peer {
            address,
            local: near && !(proxied && forwarded),
            origin,
        })
    }

    /// The last address of `X-Forwarded-For` that is no trusted proxy's.
    fn forwarded(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = lines.iter().rev().filter_map(|line| line.to_str().ok());
        let hops = hops
            .flat_map(|line| line.rsplit(','))
            .map(|hop| hop.trim().parse::<IpAddr>());
        hops.map_while(Result::ok)
            .map(|hop| hop.to_canonical())
            .find(|hop| !self.proxies.contains(hop))
    }

    /// Whether a page may have reached us under this `host[:port]`, in lower case.
    pub(crate) fn knows(&self, host: &str) -> bool {
        let name = host_of(host);
        name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || is_loopback_name(name)
            || self.hosts.iter().any(|known| known == name)
    }

    fn origin(&self, socket: IpAddr, headers: &HeaderMap) -> Result<Origin, Turned> {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(Origin::Absent);
        };
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default().to_ascii_lowercase();
        let name = host_of(&host);
        if !self.knows(&host) {
            return Err(Turned::Host(name.chars().take(100).collect()));
        }
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let origin = normal(&origin);
        let Some(page) = authority(origin) else {
            return Ok(Origin::Foreign);
        };
        // What agents write is served from this machine too, and is no page of ours.
        if self.canvas_port != 0 && page.ends_with(&format!(":{}", self.canvas_port)) {
            return Ok(match self.origins.iter().any(|allowed| allowed == origin) {
                true => Origin::Allowed,
                false => Origin::Foreign,
            });
        }
        let same = plain(page) == plain(&host);
        let loopback =
            socket.is_loopback() && is_loopback_name(host_of(page)) && is_loopback_name(name);
        match same || loopback || self.origins.iter().any(|allowed| allowed == origin) {
            true => Ok(Origin::Allowed),
            false => Ok(Origin::Foreign),
        }
    }
}

/// What limits count as one address: IPv4 whole, also when it comes as IPv6; of IPv6 the network of one household.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

/// An origin without the slash at its end.
fn normal(origin: &str) -> &str {
    origin.trim().trim_end_matches('/')
}

/// `host[:port]` of an origin.
fn authority(origin: &str) -> Option<&str> {
    let (scheme, rest) = origin.split_once("://")?;
    let sound = matches!(scheme, "http" | "https" | "ws" | "wss");
    (sound && !rest.is_empty() && !rest.contains(['/', '@', '?', '#'])).then_some(rest)
}

/// `host[:port]` without the port that its scheme implies.
fn plain(authority: &str) -> &str {
    authority
        .strip_suffix(":80")
        .or_else(|| authority.strip_suffix(":443"))
        .unwrap_or(authority)
}

/// The host of `host[:port]`, brackets of IPv6 kept.
fn host_of(authority: &str) -> &str {
    match authority.rfind(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// The name under which a request reached us, without a port; empty where it says none that could stand in an address.
pub(crate) fn name_of(headers: &HeaderMap) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let name = host_of(host.unwrap_or_default());
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    match name.len() < 256 && name.chars().all(sound) {
        true => name.to_owned(),
        false => String::new(),
    }
}

/// Whether it is this machine's own name.
pub(crate) fn is_loopback_name(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    let address = bare
        .parse::<IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback());
    address || bare == "localhost" || bare.ends_with(".localhost")
}

#[cfg(test)]
mod tests;
