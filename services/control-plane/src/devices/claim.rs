//! One-time claims: a code that an operator makes, with which the first device that shows it is let in.

use proto::v1::{ClaimReply, ClaimRequest, DeviceClaim};
use uuid::Uuid;

use super::Devices;
use crate::{
    handshake::Role,
    refusal::Refusal,
    scope::{Scope, Scopes},
};

/// Letters of a code: none that looks like another; five bits each.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Length of a code: 80 bits.
const LETTERS_OF_A_CODE: usize = 16;
/// Letters in a group as it is shown.
const GROUP: usize = 4;
/// How long a claim is good unless told otherwise.
const LIFETIME_S: u32 = 600;
/// How long at most.
const MAX_LIFETIME_S: u32 = 3600;
/// Most claims that are good at once.
const MAX_CLAIMS: usize = 64;
/// What keys of claims begin with.
const CLAIM: &str = "claim.";

impl Devices {
    /// Makes a claim. Its code is told here and kept nowhere.
    ///
    /// # Errors
    /// What is wrong with the request; or the bus is away.
    pub(crate) async fn make_claim(
        &self,
        asked: &ClaimRequest,
        now_ms: i64,
    ) -> Result<ClaimReply, Refusal> {
        let claim = claim_of(asked, now_ms)?;
        let store = self.store();
        let mut good = 0;
        for (key, other, _) in store.all::<DeviceClaim>().await? {
            if !key.starts_with(CLAIM) {
                continue;
            }
            if other.expires_at_ms > now_ms {
                good += 1;
            } else {
                store.delete(&key).await?;
            }
        }
        if good >= MAX_CLAIMS {
            return Err(Refusal::Busy(format!(
                "{MAX_CLAIMS} claims are good now; use one of them, or wait until they have run out"
            )));
        }
        let code = code();
        if store.create(&key(&code), &claim).await?.is_none() {
            return Err(Refusal::Busy("try again".into()));
        }
        let groups: Vec<_> = code
            .as_bytes()
            .chunks(GROUP)
            .map(String::from_utf8_lossy)
            .collect();
        let code = groups.join("-");
        Ok(ClaimReply {
            fragment: format!("#claim={code}"),
            code,
            expires_at_ms: claim.expires_at_ms,
        })
    }

    /// The claim that `typed` is the code of, if it is good for `device` now.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn claim(
        &self,
        typed: &str,
        device: &str,
        now_ms: i64,
    ) -> Result<Option<DeviceClaim>, Refusal> {
        let Some(code) = sound(typed) else {
            return Ok(None);
        };
        let found = self.store().get::<DeviceClaim>(&key(&code)).await?;
        Ok(found
            .map(|(claim, _)| claim)
            .filter(|claim| is_good(claim, device, now_ms)))
    }

    /// Uses a claim up for `device`; `false` if another device was faster.
    ///
    /// The same device may come again while the claim lasts: its first answer may have been lost.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn redeem(
        &self,
        typed: &str,
        device: &str,
        now_ms: i64,
    ) -> Result<bool, Refusal> {
        let Some(code) = sound(typed) else {
            return Ok(false);
        };
        let (store, key) = (self.store(), key(&code));
        let Some((claim, revision)) = store.get::<DeviceClaim>(&key).await? else {
            return Ok(false);
        };
        if !is_good(&claim, device, now_ms) {
            return Ok(false);
        }
        if claim.device_id == device {
            return Ok(true);
        }
        let mine = DeviceClaim {
            device_id: device.to_owned(),
            ..claim
        };
        if store.update(&key, &mine, revision).await?.is_some() {
            return Ok(true);
        }
        let now = store.get::<DeviceClaim>(&key).await?;
        Ok(now.is_some_and(|(claim, _)| claim.device_id == device))
    }
}

fn is_good(claim: &DeviceClaim, device: &str, now_ms: i64) -> bool {
    claim.expires_at_ms > now_ms && (claim.device_id.is_empty() || claim.device_id == device)
}

fn claim_of(asked: &ClaimRequest, now_ms: i64) -> Result<DeviceClaim, Refusal> {
    let role = match asked.role.as_str() {
        "" | "operator" => Role::Operator,
        "node" => Role::Node,
        other => {
            return Err(Refusal::Invalid(format!(
                "there is no role `{other}`; a device is an operator or a node"
            )));
        }
    };
    let mut scopes = Vec::new();
    for name in &asked.scopes {
        let scope: Scope = name.parse().map_err(|()| {
            let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.name()).collect();
            Refusal::Invalid(format!(
                "there is no scope `{name}`; known: {}",
                known.join(", ")
            ))
        })?;
        scopes.push(scope.name());
    }
    if scopes.is_empty() && role == Role::Operator {
        scopes = vec![Scope::Read.name(), Scope::Write.name()];
    }
    let lifetime_s = match asked.lifetime_s {
        0 => LIFETIME_S,
        lifetime_s if lifetime_s <= MAX_LIFETIME_S => lifetime_s,
        _ => {
            return Err(Refusal::Invalid(format!(
                "a claim is good for {MAX_LIFETIME_S} seconds at most"
            )));
        }
    };
    Ok(DeviceClaim {
        role: role.name().into(),
        scopes: Scopes::granted(scopes.into_iter()).owned_names(),
        made_at_ms: now_ms,
        expires_at_ms: now_ms + i64::from(lifetime_s) * 1000,
        device_id: String::new(),
    })
}

/// A code nobody guesses.
fn code() -> String {
    // The bytes between are not random: they say that it is an id of version 4.
    let random = [Uuid::new_v4(), Uuid::new_v4()].map(|id| {
        let bytes = id.into_bytes();
        [&bytes[..6], &bytes[9..]].concat()
    });
    let random = random.concat();
    let letters = random.iter().take(LETTERS_OF_A_CODE);
    letters
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}

/// The code as it was made: people type it in small letters, with blanks or without hyphens.
fn sound(typed: &str) -> Option<String> {
    if typed.len() > 64 {
        return None;
    }
    let letters = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let code: String = letters.map(|c| c.to_ascii_uppercase()).collect();
    let good = code.len() == LETTERS_OF_A_CODE && code.bytes().all(|byte| LETTERS.contains(&byte));
    good.then_some(code)
}

fn key(code: &str) -> String {
    let hash = blake3::derive_key("openclaw gateway one-time claim", code.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{CLAIM}{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_eighty_bits_and_is_understood_as_people_type_it() {
        let code = code();
        assert_eq!(sound(&code.to_lowercase()).as_ref(), Some(&code));
        let spaced: String = code.chars().flat_map(|c| [c, ' ']).collect();
        assert_eq!(sound(&spaced).as_ref(), Some(&code));
        assert_ne!(code, self::code());
        for wrong in [
            "",
            "ABCD",
            "ABCD-EFGH-JKLM-NPQ0",
            "ABCD-EFGH-JKLM-NPQRS",
            "é",
        ] {
            assert_eq!(sound(wrong), None, "{wrong}");
        }
        assert!(!key(&code).contains(&code));
    }

    #[test]
    fn a_claim_is_for_reading_and_writing_unless_more_is_said() {
        let claim = claim_of(&ClaimRequest::default(), 0).unwrap();
        assert_eq!(
            (claim.role.as_str(), claim.expires_at_ms),
            ("operator", 600_000)
        );
        assert_eq!(claim.scopes, ["operator.read", "operator.write"]);
        let asked = |role: &str, scope: &str, lifetime_s| ClaimRequest {
            role: role.into(),
            scopes: vec![scope.into()],
            lifetime_s,
        };
        let app = claim_of(&asked("node", "operator.read", 60), 0).unwrap();
        assert_eq!(app.scopes, ["operator.read"], "a node and an operator");
        let node = ClaimRequest {
            role: "node".into(),
            ..ClaimRequest::default()
        };
        assert!(claim_of(&node, 0).unwrap().scopes.is_empty());
        for wrong in [
            asked("root", "operator.read", 0),
            asked("", "root", 0),
            asked("", "operator.read", 3601),
        ] {
            assert!(
                matches!(claim_of(&wrong, 0), Err(Refusal::Invalid(_))),
                "{wrong:?}"
            );
        }
    }
}
