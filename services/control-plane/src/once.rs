//! Requests that are done once, whoever repeats them, on whichever replica, before or after a restart.

use std::time::{Duration, Instant};

use bus::{Bucket, Bus};
use chassis::clock::now_ms;
use proto::v1::Once;
use serde_json::{Value, value::RawValue};

use crate::{methods::Answer, refusal::Refusal};

/// A request that was begun this long ago and has no answer was begun by a replica that is gone.
const LEASE_MS: i64 = 60_000;
/// How long who asks again waits for the answer to the first request.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Answers up to this are kept for who asks again.
const MAX_KEPT_BYTES: usize = 256 * 1024;

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

/// Does `work`, which is what `params` ask of `method`, once for their idempotency key. It goes on when whoever asked
/// leaves; who asks again meanwhile waits for it.
///
/// # Errors
/// As `work`, after which the key is free again; [`Refusal::Conflict`]; [`Refusal::Busy`] when the first one takes long.
pub(crate) async fn perform(
    bus: &Bus,
    method: &str,
    params: Option<&RawValue>,
    work: impl Future<Output = Result<Answer, Refusal>> + Send + 'static,
) -> Result<Answer, Refusal> {
    let Some((key, content)) = params.and_then(|params| keyed(params.get())) else {
        // The method says what is wrong with a key that is not there.
        return work.await;
    };
    let record = blake3::Hash::from(self::content([method.as_bytes(), key.as_bytes()])).to_hex();
    let record = format!("once.{record}");
    let mut deadline = Instant::now() + PATIENCE;
    let mut claimed = claim(bus, &record, content).await?;
    let before = loop {
        match claimed {
            Claim::First => {
                let deed = keep(bus.clone(), record, content, work);
                let broken = |_| Refusal::Busy("the request broke off; send it again".into());
                return tokio::spawn(deed).await.map_err(broken)?;
            }
            Claim::Repeated(before) if !before.answer_json.is_empty() => break before,
            Claim::Repeated(before) if now_ms() - before.at_ms > LEASE_MS => {
                // Whoever began it is gone; its claim is taken over by deleting it, which one of us does first.
                bus.bucket(Bucket::Sends).delete(&record).await?;
                deadline = Instant::now() + PATIENCE;
            }
            Claim::Repeated(_) if Instant::now() >= deadline => {
                let why = "the first request under this idempotencyKey is still being done; ask again in a moment";
                return Err(Refusal::Busy(why.into()));
            }
            Claim::Repeated(_) => tokio::time::sleep(PAUSE).await,
        }
        claimed = claim(bus, &record, content).await?;
    };
    RawValue::from_string(before.answer_json)
        .map(Answer::from)
        .map_err(|_| Refusal::Busy("the first answer cannot be read any more".into()))
}

/// Does `work` and keeps its answer under `record`; after a refusal the key is free again.
async fn keep(
    bus: Bus,
    record: String,
    content: Content,
    work: impl Future<Output = Result<Answer, Refusal>>,
) -> Result<Answer, Refusal> {
    let outcome = work.await;
    let sends = bus.bucket(Bucket::Sends);
    let kept = match &outcome {
        Err(_) => sends.delete(&record).await,
        Ok(answer) if answer.get().len() > MAX_KEPT_BYTES => {
            tracing::warn!(
                "an answer is too large to be kept; who repeats the request waits for it in vain"
            );
            Ok(())
        }
        Ok(answer) => {
            let once = Once {
                content: content.to_vec(),
                at_ms: now_ms(),
                answer_json: answer.get().to_owned(),
            };
            sends.put(&record, &once).await.map(drop)
        }
    };
    if let Err(error) = kept {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the answer to an idempotency key is not kept"
        );
    }
    outcome
}

/// The idempotency key of `params`, and all else of them hashed in an order of its own.
fn keyed(params: &str) -> Option<(String, Content)> {
    let mut params: Value = serde_json::from_str(params).ok()?;
    let key = params.as_object_mut()?.remove("idempotencyKey")?;
    let key = key.as_str().filter(|key| !key.is_empty())?.to_owned();
    params.sort_all_objects();
    let text = params.to_string();
    Some((key, content([text.as_bytes()])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_the_rest_of_its_params_in_any_order() {
        let (key, first) = keyed(r#"{"idempotencyKey":"k","to":"1","message":"hi"}"#).unwrap();
        let (_, same) = keyed(r#"{"message":"hi", "to":"1","idempotencyKey":"other"}"#).unwrap();
        let (_, other) = keyed(r#"{"message":"ho","to":"1","idempotencyKey":"k"}"#).unwrap();
        assert_eq!((key.as_str(), first), ("k", same));
        assert_ne!(first, other);
        for without in [
            "{}",
            "[]",
            "7",
            r#"{"idempotencyKey":""}"#,
            r#"{"idempotencyKey":7}"#,
        ] {
            assert_eq!(keyed(without), None, "{without}");
        }
    }

    #[test]
    fn content_is_in_its_pieces_and_not_in_their_sum() {
        let of = |pieces: &[&str]| content(pieces.iter().map(|piece| piece.as_bytes()));
        assert_eq!(of(&["a", "bc"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", "bc"]), of(&["ab", "c"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }
}
