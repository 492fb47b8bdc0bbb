//! What the record of a device says, and how it changes: pure functions on it.

use proto::v1::{Device, DeviceFacts, DeviceToken};

use super::{
    token::{self, Issued, Key},
    union,
};
use crate::{handshake::Role, scope::Scopes};

/// A token is noted as used at most this often.
const USED_MS: i64 = 60 * 60 * 1000;

/// What a device is approved for, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Approval<'a> {
    pub(crate) id: &'a str,
    pub(crate) public_key: &'a str,
    pub(crate) facts: &'a DeviceFacts,
    pub(crate) roles: &'a [String],
    pub(crate) scopes: &'a [String],
    pub(crate) via: &'static str,
}

/// The live token of a role.
pub(crate) fn token_of<'a>(device: &'a Device, role: &str) -> Option<&'a DeviceToken> {
    let mut tokens = device.tokens.iter();
    tokens.find(|token| token.role == role && token.revoked_at_ms == 0)
}

/// Whether the device may come in this role.
pub(crate) fn stands(device: &Device, role: Role) -> bool {
    device.roles.iter().any(|own| own == role.name()) && token_of(device, role.name()).is_some()
}

/// Scopes that were approved.
pub(crate) fn approved(device: &Device) -> Scopes {
    Scopes::granted(device.scopes.iter().map(String::as_str))
}

/// Whether a device that says `now` of itself is another kind of machine than the one approved.
pub(crate) fn is_other(before: &DeviceFacts, now: &DeviceFacts) -> bool {
    let differ = |one: &str, other: &str| {
        let (one, other) = (one.trim(), other.trim());
        // Older programs name no family: one that is new is no change.
        !one.is_empty() && !other.is_empty() && !one.eq_ignore_ascii_case(other)
    };
    differ(&before.platform, &now.platform) || differ(&before.family, &now.family)
}

/// The record after `approval`: what was approved before stays, and every role has a live token.
pub(crate) fn approve(
    before: Option<Device>,
    approval: &Approval<'_>,
    key: Option<&Key>,
    now_ms: i64,
) -> Device {
    let mut device = before.unwrap_or_else(|| Device {
        id: approval.id.to_owned(),
        created_at_ms: now_ms,
        ..Device::default()
    });
    // Scopes of a role that was taken away do not come back with it.
    if token_of(&device, Role::Operator.name()).is_none() {
        device.scopes.clear();
    }
    device.roles.retain(|role| {
        device
            .tokens
            .iter()
            .any(|token| token.role == *role && token.revoked_at_ms == 0)
    });
    device.public_key = approval.public_key.to_owned();
    device.facts = Some(approval.facts.clone());
    device.roles = union(&device.roles, approval.roles);
    device.scopes = union(&device.scopes, approval.scopes);
    device.approved_at_ms = now_ms;
    device.approved_via = approval.via.to_owned();
    for role in device.roles.clone() {
        let scopes = scopes_of(&role, &device.scopes);
        match token_at(&mut device, &role) {
            Some(token) if token.revoked_at_ms == 0 => token.scopes = scopes,
            _ => {
                renew(&mut device, &role, scopes, key, now_ms);
            }
        }
    }
    device
}

/// Puts a new token in the place of the old one of `role`; the old one is void.
pub(crate) fn renew(
    device: &mut Device,
    role: &str,
    scopes: Vec<String>,
    key: Option<&Key>,
    now_ms: i64,
) -> Issued {
    let (token, sha256, salt) = token::fresh(key, &device.id, role);
    let before = token_at(device, role).map(|token| token.created_at_ms);
    device.tokens.retain(|token| token.role != role);
    device.tokens.push(DeviceToken {
        role: role.to_owned(),
        scopes,
        sha256,
        salt,
        created_at_ms: before.unwrap_or(now_ms),
        rotated_at_ms: before.map_or(0, |_| now_ms),
        ..DeviceToken::default()
    });
    Issued {
        token,
        since_ms: now_ms,
    }
}

/// Voids the token of `role`; `false` where there is none that is live.
pub(crate) fn revoke(device: &mut Device, role: &str, now_ms: i64) -> bool {
    match token_at(device, role) {
        Some(token) if token.revoked_at_ms == 0 => {
            token.revoked_at_ms = now_ms;
            // Nothing that could make it again is kept.
            token.sha256.clear();
            token.salt.clear();
            true
        }
        _ => false,
    }
}

/// What is left of a device that is forgotten: that it was there.
pub(crate) fn removed(device: &Device, now_ms: i64) -> Device {
    Device {
        id: device.id.clone(),
        removed_at_ms: now_ms,
        ..Device::default()
    }
}

/// Notes that the token of `role` was used; `None` where that was noted within the hour.
pub(crate) fn used(mut device: Device, role: &str, now_ms: i64) -> Option<Device> {
    let token = token_at(&mut device, role)?;
    if now_ms - token.used_at_ms < USED_MS {
        return None;
    }
    token.used_at_ms = now_ms;
    Some(device)
}

/// The record as it may be shown: nothing of its tokens but their dates.
pub(crate) fn without_hashes(mut device: Device) -> Device {
    for token in &mut device.tokens {
        token.sha256.clear();
        token.salt.clear();
    }
    device
}

fn token_at<'a>(device: &'a mut Device, role: &str) -> Option<&'a mut DeviceToken> {
    device.tokens.iter_mut().find(|token| token.role == role)
}

fn scopes_of(role: &str, scopes: &[String]) -> Vec<String> {
    match role == Role::Operator.name() {
        true => scopes.to_vec(),
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval<'a>(
        roles: &'a [String],
        scopes: &'a [String],
        facts: &'a DeviceFacts,
    ) -> Approval<'a> {
        Approval {
            id: "d",
            public_key: "k",
            facts,
            roles,
            scopes,
            via: "owner",
        }
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_upgrade_keeps_the_token_and_a_rotation_replaces_it() {
        let (facts, key) = (DeviceFacts::default(), [3; 32]);
        let operator = texts(&["operator"]);
        let read = texts(&["operator.read"]);
        let first = approve(None, &approval(&operator, &read, &facts), Some(&key), 1);
        let both = texts(&["operator.write"]);
        let wider = approve(
            Some(first.clone()),
            &approval(&operator, &both, &facts),
            Some(&key),
            2,
        );
        assert_eq!(wider.tokens[0].sha256, first.tokens[0].sha256);
        assert_eq!(
            wider.tokens[0].scopes,
            texts(&["operator.read", "operator.write"])
        );
        assert!(stands(&wider, Role::Operator) && !stands(&wider, Role::Node));
        let mut rotated = wider.clone();
        let issued = renew(&mut rotated, "operator", read, Some(&key), 3);
        assert!(token::is(&rotated.tokens[0], &issued.token));
        assert_ne!(rotated.tokens[0].sha256, wider.tokens[0].sha256);
        assert_eq!(
            (
                rotated.tokens[0].created_at_ms,
                rotated.tokens[0].rotated_at_ms
            ),
            (1, 3)
        );
    }

    #[test]
    fn what_was_revoked_does_not_come_back_with_less() {
        let facts = DeviceFacts::default();
        let operator = texts(&["operator"]);
        let admin = texts(&["operator.admin"]);
        let mut device = approve(None, &approval(&operator, &admin, &facts), None, 1);
        assert!(revoke(&mut device, "operator", 2) && !revoke(&mut device, "operator", 3));
        assert!(!stands(&device, Role::Operator) && device.tokens[0].sha256.is_empty());
        let node = texts(&["node"]);
        let as_node = approve(Some(device.clone()), &approval(&node, &[], &facts), None, 4);
        assert!(stands(&as_node, Role::Node) && !stands(&as_node, Role::Operator));
        let read = texts(&["operator.read"]);
        let back = approve(Some(device), &approval(&operator, &read, &facts), None, 5);
        assert_eq!(back.scopes, read);
    }

    #[test]
    fn another_platform_is_another_machine_but_a_family_that_is_new_is_not() {
        let facts = |platform: &str, family: &str| DeviceFacts {
            platform: platform.into(),
            family: family.into(),
            ..DeviceFacts::default()
        };
        assert!(is_other(&facts("linux", ""), &facts("macos", "")));
        assert!(is_other(&facts("linux", "Linux"), &facts("linux", "Mac")));
        assert!(!is_other(&facts("linux", ""), &facts(" Linux ", "Linux")));
    }
}
