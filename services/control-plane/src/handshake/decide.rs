//! Who is let in, and with which rights: a pure decision on what the client said, where it is, and what is on record.

use proto::v1::{Device, DeviceClaim, DeviceFacts};

use super::{
    device::{Challenge, verify},
    params::{Connect, Role},
    proof::{Known, Proof, Secret, prove},
    rejection::Rejection,
};
use crate::{
    devices::{record, wish::Upgrade},
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

/// What the decision is made from besides the client's own words.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) secret: &'a Secret,
    /// The record of its device.
    pub(crate) record: Option<&'a Device>,
    /// The claim that it shows, if that is good for its device.
    pub(crate) claim: Option<&'a DeviceClaim>,
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
    /// How it proved that it may come.
    pub(crate) proof: Proof,
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Let in.
    Granted(Grant),
    /// Let in once it is on record that its device is approved for what it asks.
    Approved(Grant),
    /// Everything is right, but a person must approve the device first.
    Unpaired(Grant, Upgrade),
    /// Not let in.
    Rejected(Rejection),
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

/// The first half of the decision, in the order of the reference: role, page, device. Nothing is looked up for who does
/// not pass it.
///
/// # Errors
/// Why it does not.
pub(crate) fn screen(
    connect: &Connect,
    protocol: u8,
    peer: &Peer,
    nonce: &str,
    now_ms: i64,
) -> Result<Role, Rejection> {
    let role = connect
        .role()
        .ok_or_else(|| Rejection::invalid("invalid role"))?;
    match peer.origin {
        Origin::Foreign => return Err(Rejection::origin()),
        Origin::Absent if connect.client.is_page() => return Err(Rejection::origin()),
        _ => {}
    }
    if let Some(device) = &connect.device {
        let challenge = Challenge {
            nonce,
            now_ms,
            skew_ms: if protocol < 4 { OLD_SKEW_MS } else { SKEW_MS },
            nonce_optional: protocol < 4 && peer.local,
        };
        verify(connect, role, device, challenge).map_err(Rejection::device)?;
    }
    Ok(role)
}

/// The second half: secret, whether a device is needed, pairing, scopes.
pub(crate) fn decide(connect: &Connect, protocol: u8, role: Role, facts: Facts<'_>) -> Verdict {
    judge(connect, protocol, role, facts).unwrap_or_else(Verdict::Rejected)
}

fn judge(
    connect: &Connect,
    protocol: u8,
    role: Role,
    facts: Facts<'_>,
) -> Result<Verdict, Rejection> {
    let known = Known {
        secret: facts.secret,
        record: facts.record,
        claim: facts.claim,
        local: facts.peer.local,
    };
    let proof = prove(connect, protocol, role, known)?;
    let asked = match role {
        Role::Operator => Scopes::granted(connect.scopes()),
        Role::Node => Scopes::default(),
    };
    let grant = |scopes, device| Grant {
        protocol,
        role,
        scopes,
        device,
        proof,
    };
    let Some(device) = &connect.device else {
        if role == Role::Node {
            return Err(Rejection::no_device());
        }
        let scopes = without_device(connect, protocol, facts.peer.local, asked)?;
        return Ok(Verdict::Granted(grant(scopes, None)));
    };
    let upgrade = upgrade(connect, role, &asked, facts);
    let bound = match proof {
        Proof::Token => facts
            .record
            .and_then(|device| record::token_of(device, role.name()))
            .map(|token| &token.scopes),
        Proof::Claim if upgrade.is_some() => facts.claim.map(|claim| &claim.scopes),
        _ => None,
    };
    if let Some(bound) = bound
        && asked
            .beyond(&Scopes::granted(bound.iter().map(String::as_str)))
            .is_some()
    {
        return Err(Rejection::scopes(proof == Proof::Claim));
    }
    let grant = grant(asked, Some(device.id.0.clone()));
    Ok(match (upgrade, proof) {
        (None, _) => Verdict::Granted(grant),
        (Some(_), Proof::Owner | Proof::Claim) => Verdict::Approved(grant),
        (Some(upgrade), _) => Verdict::Unpaired(grant, upgrade),
    })
}

/// What the device asks for that was not approved.
fn upgrade(connect: &Connect, role: Role, asked: &Scopes, facts: Facts<'_>) -> Option<Upgrade> {
    let Some(device) = facts.record else {
        return Some(Upgrade::Unpaired);
    };
    if !record::stands(device, role) {
        let other = [Role::Operator, Role::Node]
            .iter()
            .any(|&role| record::stands(device, role));
        return Some(if other {
            Upgrade::Role
        } else {
            Upgrade::Unpaired
        });
    }
    if asked.beyond(&record::approved(device)).is_some() {
        return Some(Upgrade::Scope);
    }
    let now = said(connect, facts.peer);
    let other = device
        .facts
        .as_ref()
        .is_some_and(|before| record::is_other(before, &now));
    other.then_some(Upgrade::Metadata)
}

/// What the device says of itself.
pub(super) fn said(connect: &Connect, peer: &Peer) -> DeviceFacts {
    let program = &connect.client;
    let text = |text: Option<&str>| text.unwrap_or_default().chars().take(MAX_CHARS).collect();
    DeviceFacts {
        display_name: text(program.display_name.as_deref()),
        platform: text(Some(&program.platform)),
        family: text(program.device_family.as_deref()),
        client_id: program.id.clone(),
        client_mode: program.mode.clone(),
        address: peer.address.to_string(),
    }
}

/// Most letters that are kept of what a device says of itself.
const MAX_CHARS: usize = 100;

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
            secret: &Secret::new(secret),
            record: None,
            claim: None,
        };
        let shown = |rejection: Rejection, protocol| {
            Err(serde_json::to_value(rejection.error(protocol)).unwrap())
        };
        let protocol = match negotiate(&connect) {
            Ok(protocol) => protocol,
            Err(rejection) => return shown(rejection, 4),
        };
        let role = match screen(&connect, protocol, peer, "n", 0) {
            Ok(role) => role,
            Err(rejection) => return shown(rejection, protocol),
        };
        match decide(&connect, protocol, role, facts) {
            Verdict::Granted(grant) => Ok(grant),
            Verdict::Rejected(rejection) => shown(rejection, protocol),
            other => Err(json!(format!("{other:?}"))),
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
