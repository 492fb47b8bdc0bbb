//! Requests that are done once, whoever repeats them, on whichever replica, before or after a restart.

use bus::{Bucket, Bus};
use chassis::clock::now_ms;
use proto::v1::Once;

use crate::refusal::Refusal;

/// What was asked, hashed: a repetition of its key must ask the same.
pub(crate) type Content = [u8; 32];

/// Whether a request is the first under its key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Claim {
    /// It is.
    First,
    /// It came before, with the same content.
    Repeated(Once),
}

/// Hashes what must be the same for a repeated key.
pub(crate) fn content<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Content {
    let mut hash = blake3::Hasher::new();
    for piece in pieces {
        hash.update(&(piece.len() as u64).to_le_bytes());
        hash.update(piece);
    }
    hash.finalize().into()
}

/// Claims `key` of the bucket `sends` for `content`. The claim is stored when this returns, and kept for a week.
///
/// # Errors
/// [`Refusal::Conflict`] when the key came before with other content; [`Refusal::Busy`] when the bus is away.
pub(crate) async fn claim(bus: &Bus, key: &str, content: Content) -> Result<Claim, Refusal> {
    let sends = bus.bucket(Bucket::Sends);
    let record = Once {
        content: content.to_vec(),
        at_ms: now_ms(),
        ..Once::default()
    };
    loop {
        match sends.create(key, &record).await {
            Ok(Some(_)) => return Ok(Claim::First),
            Ok(None) => {}
            // As before there was this bucket: repetitions are caught by the router, for a day.
            Err(bus::Error::Full(_)) => {
                tracing::warn!(
                    "no room to remember idempotency keys; repetitions after a day are not noticed"
                );
                return Ok(Claim::First);
            }
            Err(error) => return Err(error.into()),
        }
        match sends.get::<Once>(key).await? {
            Some((before, _)) if before.content == content => return Ok(Claim::Repeated(before)),
            Some(_) => return Err(Refusal::Conflict),
            // It has just been given up.
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_in_its_pieces_and_not_in_their_sum() {
        let of = |pieces: &[&str]| content(pieces.iter().map(|piece| piece.as_bytes()));
        assert_eq!(of(&["a", "bc"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", "bc"]), of(&["ab", "c"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }
}
