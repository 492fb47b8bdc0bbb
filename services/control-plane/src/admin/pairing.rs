//! Letting people in: who asked, who was let in, and the decision.

use bus::{Bucket, Bus, Store};
use chassis::clock::now_ms;
use proto::{
    id,
    v1::{
        PairingDecision, PairingEntry, PairingListReply, PairingListRequest,
        pairing_server::Pairing,
    },
};
use tonic::{Request, Response, Status};

use crate::refusal::Refusal;

/// Letters of a code: none that looks like another.
const LETTERS: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Length of a code.
const LETTERS_OF_A_CODE: usize = 8;

/// People in the bucket `people`: `ask.<code>` who asked, `ok.<platform>.<account>.<hash>` who was let in.
pub(crate) struct People {
    bus: Bus,
}

impl People {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    fn store(&self) -> Store {
        self.bus.bucket(Bucket::People)
    }

    /// Who was let in with `code`, if somebody was.
    async fn approved(&self, code: &str) -> Result<Option<PairingEntry>, Refusal> {
        let all = self.store().all::<PairingEntry>().await?;
        let mut approved = all.into_iter().filter(|(key, ..)| key.starts_with("ok."));
        Ok(approved
            .find(|(_, entry, _)| entry.code == code)
            .map(|(_, entry, _)| entry))
    }

    async fn approve(&self, code: &str) -> Result<PairingEntry, Refusal> {
        let (code, store) = (sound(code)?, self.store());
        let Some((asked, _)) = store.get::<PairingEntry>(&ask(&code)).await? else {
            // Approved before, perhaps by a call whose answer was lost: the same answer again.
            return self.approved(&code).await?.ok_or_else(|| unknown(&code));
        };
        let now_ms = now_ms();
        if asked.expires_at_ms <= now_ms {
            store.delete(&ask(&code)).await?;
            return Err(unknown(&code));
        }
        let key = admitted(&asked);
        let entry = PairingEntry {
            decided_at_ms: now_ms,
            ..asked
        };
        if store.create(&key, &entry).await?.is_none() {
            // In already, under an older code: renewed, so that this code finds its entry too.
            store.put(&key, &entry).await?;
        }
        store.delete(&ask(&code)).await?;
        tracing::info!(platform = %entry.platform, "let a person in on {}", entry.platform);
        Ok(entry)
    }

    async fn reject(&self, code: &str) -> Result<PairingEntry, Refusal> {
        let (code, store) = (sound(code)?, self.store());
        let asked = store.get::<PairingEntry>(&ask(&code)).await?;
        let (asked, _) = asked.ok_or_else(|| unknown(&code))?;
        store.delete(&ask(&code)).await?;
        Ok(PairingEntry {
            decided_at_ms: now_ms(),
            ..asked
        })
    }

    async fn list(&self, platform: &str) -> Result<PairingListReply, Refusal> {
        let (mut reply, now_ms) = (PairingListReply::default(), now_ms());
        for (key, entry, _) in self.store().all::<PairingEntry>().await? {
            if !platform.is_empty() && entry.platform != platform {
                continue;
            }
            if key.starts_with("ok.") {
                reply.approved.push(entry);
            } else if entry.expires_at_ms > now_ms {
                reply.pending.push(entry);
            }
        }
        reply.pending.sort_by_key(|entry| entry.asked_at_ms);
        reply.approved.sort_by_key(|entry| entry.decided_at_ms);
        Ok(reply)
    }
}

#[tonic::async_trait]
impl Pairing for People {
    async fn list(
        &self,
        request: Request<PairingListRequest>,
    ) -> Result<Response<PairingListReply>, Status> {
        Ok(Response::new(
            self.list(&request.into_inner().platform).await?,
        ))
    }

    async fn approve(
        &self,
        request: Request<PairingDecision>,
    ) -> Result<Response<PairingEntry>, Status> {
        Ok(Response::new(
            self.approve(&request.into_inner().code).await?,
        ))
    }

    async fn reject(
        &self,
        request: Request<PairingDecision>,
    ) -> Result<Response<PairingEntry>, Status> {
        Ok(Response::new(
            self.reject(&request.into_inner().code).await?,
        ))
    }
}

/// The code as it is kept: people type it in small letters and with blanks or hyphens.
fn sound(typed: &str) -> Result<String, Refusal> {
    let code: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .collect();
    let code = code.to_ascii_uppercase();
    match code.len() == LETTERS_OF_A_CODE && code.chars().all(|c| LETTERS.contains(c)) {
        true => Ok(code),
        false => Err(Refusal::Invalid(format!(
            "a pairing code has {LETTERS_OF_A_CODE} letters and digits, such as ABCD2345; list the pending ones to see them"
        ))),
    }
}

fn unknown(code: &str) -> Refusal {
    Refusal::NotFound(format!(
        "no one waits with the code {code}; it may have run out after an hour. Ask the person to write again for a new one."
    ))
}

fn ask(code: &str) -> String {
    format!("ask.{code}")
}

/// Where the router looks for who was let in.
fn admitted(entry: &PairingEntry) -> String {
    id::of_approval(&entry.platform, &entry.account, &entry.sender_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_understood_as_people_type_it() {
        assert_eq!(sound(" abcd-2345\n").unwrap(), "ABCD2345");
        for wrong in ["", "ABCD234", "ABCD2340", "ABCD234I", "ABCD23456", "ask.*"] {
            assert!(matches!(sound(wrong), Err(Refusal::Invalid(_))), "{wrong}");
        }
    }
}
