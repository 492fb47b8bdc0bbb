//! What opens the canvas: a time and a seal, which any replica made and any replica checks.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bus::{Bucket, Bus};
use proto::v1::CanvasKey;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// What the address of everything on the canvas begins with.
pub(super) const PATH: &str = "/__openclaw__/cap/";
/// Where the key lies in its bucket.
const RECORD: &str = "key";
/// Bytes of the time and of the seal.
const TIME_BYTES: usize = 8;
const SEAL_BYTES: usize = 16;

/// What seals capabilities. Never derived from the gateway's token: a page knows its own address, and could guess.
#[derive(Clone)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The key that all replicas share; made by the first.
    ///
    /// # Errors
    /// When the bus is away.
    pub(super) async fn shared(bus: &Bus) -> Result<Self, bus::Error> {
        let store = bus.bucket(Bucket::Canvas);
        let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
        let new = CanvasKey {
            key: blake3::hash(&random).as_bytes().to_vec(),
        };
        store.create(RECORD, &new).await?;
        let kept = store.get::<CanvasKey>(RECORD).await?;
        let kept = kept.map_or(new.key, |(record, _)| record.key);
        let key = kept.try_into();
        key.map(Self)
            .map_err(|_| bus::Error::Invalid("the key of the canvas is damaged".into()))
    }

    /// A capability that is good until then.
    pub(super) fn issue(&self, expires_at_ms: i64) -> String {
        let time = expires_at_ms.to_be_bytes();
        let sealed = [&time[..], &self.seal(&time)].concat();
        BASE64_URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Whether `capability` is one of ours and still good.
    pub(super) fn is_good(&self, capability: &str, now_ms: i64) -> bool {
        let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(capability) else {
            return false;
        };
        let Some((time, seal)) = bytes.split_first_chunk::<TIME_BYTES>() else {
            return false;
        };
        let ours = seal.ct_eq(&self.seal(time)[..]);
        bool::from(ours) && i64::from_be_bytes(*time) > now_ms
    }

    fn seal(&self, time: &[u8; TIME_BYTES]) -> [u8; SEAL_BYTES] {
        let hash = blake3::keyed_hash(&self.0, time);
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(&hash.as_bytes()[..SEAL_BYTES]);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_good_for_a_time_and_only_as_it_was_made() {
        let (key, other) = (Key([1; 32]), Key([2; 32]));
        let capability = key.issue(1000);
        assert!(key.is_good(&capability, 999));
        assert!(!key.is_good(&capability, 1000), "it has expired");
        assert!(!other.is_good(&capability, 999), "another's");
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&capability).unwrap();
        bytes[7] ^= 0x80;
        let longer = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
        for forged in [longer.as_str(), "", "AAAA", "%", &capability[..20]] {
            assert!(!key.is_good(forged, 0), "{forged}");
        }
    }
}
