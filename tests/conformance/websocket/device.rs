//! A device as tests play it: a key, and what clients sign with it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::clock::now_ms;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use super::*;

/// Headers of a client that a trusted proxy says is elsewhere; see [`behind_proxy`].
pub(super) const FAR: [(&str, &str); 1] = [("x-forwarded-for", "198.51.100.7")];

/// Trusts the proxy that [`FAR`] plays.
pub(super) fn behind_proxy(config: &mut Config) {
    config.trusted_proxies = vec![[127, 0, 0, 1].into()];
}

/// A device: its key.
pub(super) struct Device {
    key: SigningKey,
}

impl Device {
    /// The device of this number.
    pub(super) fn new(number: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[number; 32]),
        }
    }

    /// SHA-256 of its public key, in hex.
    pub(super) fn id(&self) -> String {
        let digest = Sha256::digest(self.key.verifying_key().to_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `params` as clients of signature `version` sign them, by a clock that is `late_ms` behind.
    pub(super) async fn sign(
        &self,
        client: &mut Client,
        version: u8,
        mut params: Value,
        late_ms: i64,
    ) -> Value {
        let challenge = client.event("connect.challenge").await;
        let nonce = challenge["payload"]["nonce"].as_str().unwrap();
        let (id, signed_at) = (self.id(), now_ms() - late_ms);
        let text = |pointer: &str| {
            params
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let scopes = params["scopes"].as_array().unwrap().iter();
        let scopes: Vec<_> = scopes.filter_map(Value::as_str).collect();
        let tokens = ["/auth/token", "/auth/deviceToken", "/auth/bootstrapToken"].map(text);
        let token = tokens.into_iter().find(|text| !text.is_empty());
        let mut line = format!(
            "v{version}|{id}|{}|{}|{}|{}|{signed_at}|{}",
            text("/client/id"),
            text("/client/mode"),
            text("/role"),
            scopes.join(","),
            token.unwrap_or_default()
        );
        if version >= 2 {
            line += &format!("|{nonce}");
        }
        if version >= 3 {
            line += &format!("|{}|", text("/client/platform"));
        }
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(line.as_bytes()).to_bytes());
        let public = BASE64_URL_SAFE_NO_PAD.encode(self.key.verifying_key().to_bytes());
        params["device"] =
            json!({"id": id, "publicKey": public, "signature": signature, "signedAt": signed_at});
        if version >= 2 {
            params["device"]["nonce"] = json!(nonce);
        }
        params
    }

    /// Connects to `at` with `params`, and must be let in: the client and its `hello-ok`.
    pub(super) async fn enter(
        &self,
        at: SocketAddr,
        headers: &[(&str, &str)],
        params: Value,
    ) -> (Client, Value) {
        let mut client = Client::open(at, "/", headers).await;
        let params = self.sign(&mut client, 3, params, 0).await;
        let hello = client.shake(params).await;
        (client, hello)
    }

    /// Connects to `at` with `params`, and must be refused: the error, and how the socket was closed.
    pub(super) async fn refused(
        &self,
        at: SocketAddr,
        headers: &[(&str, &str)],
        params: Value,
    ) -> (Value, Heard) {
        let mut client = Client::open(at, "/", headers).await;
        let params = self.sign(&mut client, 3, params, 0).await;
        refused(&mut client, params).await
    }
}

/// The error of a client that must be refused, and how its socket was closed.
pub(super) async fn refused(client: &mut Client, params: Value) -> (Value, Heard) {
    let Heard::Frame(answer) = client.connect(params).await else {
        panic!("closed without an answer")
    };
    assert_eq!(answer["ok"], false, "{answer}");
    (answer["error"].clone(), client.next_answer().await)
}

/// Parameters that prove nothing but by `auth`, for these scopes.
pub(super) fn with(protocol: u8, auth: Value, scopes: &[&str]) -> Value {
    connect_with(protocol, |params| {
        params["auth"] = auth;
        params["scopes"] = json!(scopes);
    })
}

/// Parameters that prove that they come with the shared token, for these scopes.
pub(super) fn with_secret(scopes: &[&str]) -> Value {
    with(4, json!({"token": TOKEN}), scopes)
}

/// Waits until the server ends the connection, whatever it says before.
pub(super) async fn end(client: &mut Client) -> Heard {
    loop {
        match client.next().await {
            Heard::Frame(_) => {}
            close => return close,
        }
    }
}

/// An address of this machine that is not loopback. Nothing is sent.
pub(super) fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}
