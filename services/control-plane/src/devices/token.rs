//! Tokens of devices: made from the gateway's shared token, kept as hashes, compared in constant time.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proto::v1::DeviceToken;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// What tokens of devices are made from; of a gateway without a shared token each is random.
pub(crate) type Key = [u8; 32];

/// A token that a client is told in `hello-ok`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    /// The token itself.
    pub(crate) token: String,
    /// When it was made, in ms since 1970.
    pub(crate) since_ms: i64,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Issued(***)")
    }
}

/// A new token, and what is kept of it: hash and salt.
pub(crate) fn fresh(key: Option<&Key>, device: &str, role: &str) -> (String, Vec<u8>, Vec<u8>) {
    let salt = Uuid::new_v4().into_bytes().to_vec();
    let token = match key {
        Some(key) => derive(key, device, role, &salt),
        None => BASE64_URL_SAFE_NO_PAD.encode(
            [Uuid::new_v4(), Uuid::new_v4()]
                .map(Uuid::into_bytes)
                .concat(),
        ),
    };
    let hash = hash(&token);
    (token, hash, salt)
}

/// The token of which `kept` holds the hash; `None` where it was made from another shared token.
pub(crate) fn again(key: Option<&Key>, device: &str, kept: &DeviceToken) -> Option<String> {
    let token = derive(key?, device, &kept.role, &kept.salt);
    is(kept, &token).then_some(token)
}

/// Whether `guess` is the token of which `kept` holds the hash. Never true of one that is revoked.
pub(crate) fn is(kept: &DeviceToken, guess: &str) -> bool {
    let same: bool = hash(guess).ct_eq(&kept.sha256).into();
    same && kept.revoked_at_ms == 0
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

fn derive(key: &Key, device: &str, role: &str, salt: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in [device.as_bytes(), role.as_bytes(), salt] {
        // With its length, so that no two triples read the same.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(key: Option<&Key>) -> (String, DeviceToken) {
        let (token, sha256, salt) = fresh(key, "d", "operator");
        let kept = DeviceToken {
            role: "operator".into(),
            sha256,
            salt,
            ..DeviceToken::default()
        };
        (token, kept)
    }

    #[test]
    fn a_token_can_be_made_again_with_the_same_shared_token_only_and_is_nowhere_kept() {
        let (token, record) = kept(Some(&[1; 32]));
        assert_eq!(again(Some(&[1; 32]), "d", &record), Some(token.clone()));
        assert_eq!(again(Some(&[2; 32]), "d", &record), None);
        assert_eq!(again(Some(&[1; 32]), "e", &record), None, "another device");
        assert!(is(&record, &token), "good whatever the shared token is now");
        assert!(!format!("{record:?}").contains(&token));
        let (other, _) = kept(Some(&[1; 32]));
        assert_ne!(token, other, "each has its own salt");
    }

    #[test]
    fn a_revoked_token_and_an_empty_record_are_never_matched() {
        let (token, record) = kept(None);
        assert!(token.len() >= 43 && is(&record, &token));
        let revoked = DeviceToken {
            revoked_at_ms: 1,
            ..record
        };
        assert!(!is(&revoked, &token));
        assert!(!is(&DeviceToken::default(), ""));
    }
}
