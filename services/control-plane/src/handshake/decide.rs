//! Who is let in, and with which rights: a pure decision on what the client said and where it is.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    device::{Challenge, verify},
    params::{Connect, Role},
    rejection::Rejection,
};
use crate::{
    peer::{Origin, Peer},
    scope::Scopes,
};

/// Oldest protocol spoken.
const OLDEST: u32 = 3;
/// Newest protocol spoken.
const NEWEST: u32 = 4;
/// How far a device's clock may be off; protocol 4's clients copy ours.
const SKEW_MS: u64 = 120_000;
/// The same for protocol 3, whose clients read their own clock.
const OLD_SKEW_MS: u64 = 600_000;

/// The shared secret, kept as its hash: comparing takes the same time whatever is compared.
#[derive(Clone)]
pub(crate) struct Secret(Option<[u8; 32]>);

/// What the decision is made from besides the client's own words.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) nonce: &'a str,
    pub(crate) now_ms: i64,
    pub(crate) secret: &'a Secret,
}

/// What a client may do once it is let in. Nothing after the handshake works without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// 3 or 4.
    pub(crate) protocol: u8,
    pub(crate) role: Role,
    pub(crate) scopes: Scopes,
    /// Id of the device, where one was shown and proved.
    pub(crate) device: Option<String>,
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Let in.
    Granted(Grant),
    /// Everything is right, but a person must approve the device first.
    Unpaired(Grant),
    /// Not let in.
    Rejected(Rejection),
}

impl Secret {
    /// Of the settings' token; an empty one means that none is asked for.
    pub(crate) fn new(token: &str) -> Self {
        Self((!token.is_empty()).then(|| Sha256::digest(token).into()))
    }

    /// Whether there is one.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether `guess` is it. Never true where there is none.
    pub(crate) fn is(&self, guess: &str) -> bool {
        let guess: [u8; 32] = Sha256::digest(guess).into();
        self.0.as_ref().is_some_and(|own| own.ct_eq(&guess).into())
    }
}

/// The protocol that both sides speak: 3 or 4.
///
/// # Errors
/// There is none.
pub(crate) fn negotiate(connect: &Connect) -> Result<u8, Rejection> {
    let (min, max) = (connect.min_protocol, connect.max_protocol);
    if min > max || max < OLDEST || min > NEWEST {
        return Err(Rejection::protocol(min, max));
    }
    Ok(if max >= NEWEST { 4 } else { 3 })
}

/// Decides, in the order of the reference: role, page, device, secret, whether a device is needed, pairing, scopes.
pub(crate) fn decide(connect: &Connect, protocol: u8, facts: Facts<'_>) -> Verdict {
    match judge(connect, protocol, facts) {
        Ok(grant) if grant.device.is_some() && !facts.peer.local => Verdict::Unpaired(grant),
        Ok(grant) => Verdict::Granted(grant),
        Err(rejection) => Verdict::Rejected(rejection),
    }
}

fn judge(connect: &Connect, protocol: u8, facts: Facts<'_>) -> Result<Grant, Rejection> {
    let role = connect
        .role()
        .ok_or_else(|| Rejection::invalid("invalid role"))?;
    let program = &connect.client;
    match facts.peer.origin {
        Origin::Foreign => return Err(Rejection::origin()),
        Origin::Absent if program.is_page() => return Err(Rejection::origin()),
        _ => {}
    }
    let device = connect.device.as_ref();
    if let Some(device) = device {
        let challenge = Challenge {
            nonce: facts.nonce,
            now_ms: facts.now_ms,
            skew_ms: if protocol < 4 { OLD_SKEW_MS } else { SKEW_MS },
            nonce_optional: protocol < 4 && facts.peer.local,
        };
        verify(connect, role, device, challenge).map_err(Rejection::device)?;
    }
    prove(connect, protocol, facts.secret)?;
    let asked = Scopes::granted(connect.scopes());
    let scopes = match device {
        Some(_) => asked,
        None if role == Role::Node => return Err(Rejection::no_device()),
        None => without_device(connect, protocol, facts.peer.local, asked)?,
    };
    let device = device.map(|device| device.id.0.clone());
    Ok(Grant {
        protocol,
        role,
        scopes,
        device,
    })
}

/// Whether the client knows the shared secret.
fn prove(connect: &Connect, protocol: u8, secret: &Secret) -> Result<(), Rejection> {
    if !secret.is_set() {
        return Ok(());
    }
    let guesses = [&connect.auth.token, &connect.auth.password];
    let guesses: Vec<_> = guesses
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    // Not `any`: it would stop at the first that is right.
    let right = guesses
        .iter()
        .fold(false, |right, guess| secret.is(guess) | right);
    let (page, device) = (connect.client.is_page(), connect.device.is_some());
    match (right, guesses.is_empty(), device) {
        (true, ..) => Ok(()),
        (false, true, false) => Err(Rejection::no_device()),
        (false, true, true) => Err(Rejection::missing(protocol, page)),
        (false, false, _) => Err(Rejection::mismatch(protocol, page, device)),
    }
}

/// What an operator may do who knows the secret but shows no device.
fn without_device(
    connect: &Connect,
    protocol: u8,
    local: bool,
    asked: Scopes,
) -> Result<Scopes, Rejection> {
    let program = &connect.client;
    let service = matches!(program.mode.as_str(), "cli" | "backend")
        && matches!(program.id.as_str(), "cli" | "gateway-client");
    match (protocol, local) {
        (3, true) => Ok(asked),
        (4.., _) if program.is_ui() => Err(Rejection::no_device_ui()),
        (4.., true) if service => Ok(asked),
        _ => Ok(Scopes::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use serde_json::{Value, json};

    const TOKEN: &str = "0123456789abcdef";

    fn peer(address: &str, origin: Origin) -> Peer {
        let address: std::net::IpAddr = address.parse().unwrap();
        Peer {
            address,
            local: address.is_loopback(),
            origin,
        }
    }

    fn verdict(peer: &Peer, secret: &str, params: Value) -> Result<Grant, Value> {
        let raw = serde_json::value::to_raw_value(&params).unwrap();
        let connect: Connect = schema::read(Some(&raw)).unwrap();
        let facts = Facts {
            peer,
            nonce: "n",
            now_ms: 0,
            secret: &Secret::new(secret),
        };
        let decided =
            negotiate(&connect).map(|protocol| (decide(&connect, protocol, facts), protocol));
        match decided {
            Ok((Verdict::Granted(grant), _)) => Ok(grant),
            Ok((Verdict::Rejected(rejection), protocol)) => {
                Err(serde_json::to_value(rejection.error(protocol)).unwrap())
            }
            Ok((Verdict::Unpaired(_), _)) => Err(json!("unpaired")),
            Err(rejection) => Err(serde_json::to_value(rejection.error(4)).unwrap()),
        }
    }

    fn params(protocol: u8, id: &str, mode: &str, token: Option<&str>) -> Value {
        json!({
            "minProtocol": protocol, "maxProtocol": protocol, "auth": {"token": token},
            "client": {"id": id, "version": "1", "platform": "linux", "mode": mode},
            "scopes": ["operator.read", "operator.write"],
        })
    }

    #[test]
    fn who_knows_the_secret_but_has_no_device_gets_what_the_table_says() {
        let near = peer("127.0.0.1", Origin::Absent);
        let scopes = |protocol, id, mode| {
            verdict(&near, TOKEN, params(protocol, id, mode, Some(TOKEN)))
                .map(|grant| grant.scopes.names().len())
                .map_err(|error| error["details"]["code"].as_str().map(ToOwned::to_owned))
        };
        assert_eq!(scopes(4, "cli", "cli"), Ok(2));
        assert_eq!(scopes(4, "gateway-client", "backend"), Ok(2));
        assert_eq!(scopes(4, "test", "test"), Ok(0));
        assert_eq!(scopes(4, "cli", "probe"), Ok(0));
        let refused = Err(Some("CONTROL_UI_DEVICE_IDENTITY_REQUIRED".into()));
        assert_eq!(scopes(4, "openclaw-tui", "ui"), refused);
        assert_eq!(scopes(4, "gateway-client", "ui"), refused);
        let origin = Err(Some("CONTROL_UI_ORIGIN_NOT_ALLOWED".into()));
        assert_eq!(scopes(4, "openclaw-control-ui", "webchat"), origin);
        assert_eq!(scopes(3, "test", "test"), Ok(2));
    }

    #[test]
    fn from_afar_a_secret_without_a_device_grants_nothing() {
        let far = peer("203.0.113.4", Origin::Absent);
        for protocol in [3, 4] {
            let grant = verdict(&far, TOKEN, params(protocol, "cli", "cli", Some(TOKEN))).unwrap();
            assert!(grant.scopes.names().is_empty(), "protocol {protocol}");
        }
    }

    #[test]
    fn a_wrong_a_missing_and_an_empty_secret_differ() {
        let near = peer("127.0.0.1", Origin::Absent);
        let wrong = verdict(&near, TOKEN, params(4, "cli", "cli", Some("nope"))).unwrap_err();
        assert_eq!(wrong["details"]["code"], "AUTH_TOKEN_MISMATCH");
        assert_eq!(wrong["details"]["canRetryWithDeviceToken"], false);
        let none = verdict(&near, TOKEN, params(4, "cli", "cli", None)).unwrap_err();
        assert_eq!(
            (&none["code"], &none["message"]),
            (&json!("NOT_PAIRED"), &json!("device identity required"))
        );
        assert_eq!(
            verdict(&near, TOKEN, params(4, "cli", "cli", Some(""))).unwrap_err(),
            none
        );
        let old = verdict(&near, TOKEN, params(3, "cli", "cli", Some("nope"))).unwrap_err();
        assert_eq!(old["details"], Value::Null, "protocol 3 has no details");
        assert!(
            verdict(&near, "", params(4, "cli", "cli", None)).is_ok(),
            "none is asked for"
        );
        let mut password = params(4, "cli", "cli", None);
        password["auth"] = json!({"password": TOKEN});
        assert!(verdict(&near, TOKEN, password).is_ok());
        assert!(!Secret::new("").is(""));
    }

    #[test]
    fn a_foreign_page_is_refused_whoever_it_says_it_is_and_whatever_it_knows() {
        let page = peer("127.0.0.1", Origin::Foreign);
        let refused = verdict(&page, TOKEN, params(4, "cli", "cli", Some(TOKEN))).unwrap_err();
        assert_eq!(refused["details"]["code"], "CONTROL_UI_ORIGIN_NOT_ALLOWED");
    }

    #[test]
    fn protocols_that_do_not_overlap_are_refused_and_a_node_needs_a_device() {
        let near = peer("127.0.0.1", Origin::Absent);
        for (min, max) in [(1, 2), (5, 6), (4, 3)] {
            let mut asked = params(4, "cli", "cli", Some(TOKEN));
            (asked["minProtocol"], asked["maxProtocol"]) = (json!(min), json!(max));
            let refused = verdict(&near, TOKEN, asked).unwrap_err();
            assert_eq!(refused["message"], "protocol mismatch");
            assert_eq!(refused["details"]["clientMaxProtocol"], max);
        }
        let mut wide = params(4, "cli", "cli", Some(TOKEN));
        (wide["minProtocol"], wide["maxProtocol"]) = (json!(1), json!(9));
        assert_eq!(verdict(&near, TOKEN, wide).unwrap().protocol, 4);
        let mut node = params(4, "node-host", "node", Some(TOKEN));
        node["role"] = json!("node");
        assert_eq!(
            verdict(&near, TOKEN, node.clone()).unwrap_err()["message"],
            "device identity required"
        );
        node["role"] = json!("superuser");
        assert_eq!(
            verdict(&near, TOKEN, node).unwrap_err()["message"],
            "invalid role"
        );
    }
}
