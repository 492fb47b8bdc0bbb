//! Sends of which nobody can say whether they arrived: listed, sent again, settled by hand.

use std::collections::BTreeSet;

use bus::{Bucket, Bus, Store};
use chassis::clock::now_ms;
use futures_util::{StreamExt, TryStreamExt, stream};
use proto::{
    id, subject,
    v1::{
        Event, Intent, IntentChoice, IntentSettlement, IntentState, Outbound, Priority,
        UnknownListReply, UnknownListRequest, UnknownSend, event::What, intents_server::Intents,
    },
};
use tonic::{Code as Grpc, Request, Response, Status};

use super::{
    code::{Code, explain, failed},
    content,
};

/// How long the bucket keeps an intent.
const KEPT_MS: i64 = 3 * 24 * 60 * 60 * 1000;
/// Intents read at once.
const AT_ONCE: usize = 32;

/// The bucket `intents`, as far as a person has to decide about it.
pub(crate) struct Unknown {
    bus: Bus,
}

impl Unknown {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    fn store(&self) -> Store {
        self.bus.bucket(Bucket::Intents)
    }

    /// All there is to decide about. Read from the events of doubt: the bucket holds every send of three days.
    async fn undecided(&self) -> Result<Vec<(String, Intent)>, bus::Error> {
        let since_ms = now_ms() - KEPT_MS;
        let events = self
            .bus
            .past::<Event>("EVENT", subject::UNSURE, since_ms)
            .await?;
        let keys = events
            .into_iter()
            .filter_map(|event| match event.message?.what? {
                What::Unsure(unsure) => Some(id::of_chunk(&unsure.outbound_id, unsure.chunk)),
                _ => None,
            });
        let keys: BTreeSet<String> = keys.collect();
        let store = &self.store();
        let intents = stream::iter(keys).map(|key| async move {
            let found = store.get::<Intent>(&key).await?;
            Ok::<_, bus::Error>(found.map(|(intent, _)| (key, intent)))
        });
        let intents: Vec<_> = intents.buffer_unordered(AT_ONCE).try_collect().await?;
        let intents = intents.into_iter().flatten();
        Ok(intents.filter(|(_, intent)| undecided(intent)).collect())
    }

    /// The intent of `key`, if it is one to decide about, and its revision.
    async fn open(&self, key: &str) -> Result<(Intent, u64), Status> {
        let found = self.store().get::<Intent>(key).await.map_err(failed)?;
        let (intent, revision) = found.ok_or_else(|| {
            Status::not_found(format!(
                "nothing is known of `{key}`; list the unknown ones to see their keys (kept for three days)"
            ))
        })?;
        match undecided(&intent) {
            true => Ok((intent, revision)),
            false => Err(Status::failed_precondition(format!(
                "`{key}` is {}: there is nothing to decide",
                name(intent.state())
            ))),
        }
    }

    async fn write(&self, key: &str, intent: &Intent, revision: u64) -> Result<u64, Status> {
        let written = self.store().update(key, intent, revision).await;
        written.map_err(failed)?.ok_or_else(|| {
            Status::aborted(format!(
                "`{key}` changed at this moment; list the unknown ones and decide again"
            ))
        })
    }

    async fn send_again(&self, key: &str) -> Result<Intent, Status> {
        let (intent, mut revision) = self.open(key).await?;
        let Some(outbound) = intent.outbound.clone() else {
            return Err(Code::TooLarge.refuse(
                Grpc::FailedPrecondition,
                format!(
                    "the message of `{key}` was too large to keep; send it with `openclaw send` if it did not arrive, \
                     then `openclaw unknown settle {key} --failed`"
                ),
            ));
        };
        let queued = Intent {
            state: IntentState::Queued.into(),
            attempts: 0,
            at_ms: now_ms(),
            why: "an operator has it sent again".into(),
            ..intent.clone()
        };
        // First the intent: an outbound that finds it unknown is not sent.
        if intent.state() == IntentState::Unknown {
            revision = self.write(key, &queued, revision).await?;
        }
        // Of the others nothing may be remembered any more.
        let settled = (0..intent.chunks).filter(|n| Some(*n) != chunk_of(key));
        let outbound = Outbound {
            settled: settled.collect(),
            ..outbound
        };
        if let Err(error) = self.publish(key, revision, outbound).await {
            // Still to decide, as before; where even that fails it stays listed as queued, and may be resent.
            let _ = self.store().update(key, &intent, revision).await;
            return Err(failed(error));
        }
        tracing::info!(key, "an operator has `{key}` sent again");
        Ok(queued)
    }

    async fn publish(
        &self,
        key: &str,
        revision: u64,
        outbound: Outbound,
    ) -> Result<(), bus::Error> {
        let outbound = content::alive(outbound, now_ms());
        let to = outbound.to.clone().unwrap_or_default();
        let subject = subject::outbound(&to, Priority::Normal);
        let id = format!("resend-{key}-{revision}");
        self.bus.publish(&subject, &id, &outbound).await.map(|_| ())
    }

    async fn settle(&self, key: &str, sent: bool) -> Result<Intent, Status> {
        let (intent, revision) = self.open(key).await?;
        let state = match sent {
            true => IntentState::Sent,
            false => IntentState::Failed,
        };
        let settled = Intent {
            state: state.into(),
            at_ms: now_ms(),
            why: "settled by an operator".into(),
            ..intent
        };
        let stored = Intent {
            outbound: None,
            ..settled.clone()
        };
        self.write(key, &stored, revision).await?;
        tracing::info!(key, "an operator settled `{key}` as {}", name(state));
        Ok(settled)
    }
}

#[tonic::async_trait]
impl Intents for Unknown {
    async fn list_unknown(
        &self,
        request: Request<UnknownListRequest>,
    ) -> Result<Response<UnknownListReply>, Status> {
        let UnknownListRequest { platform, account } = request.into_inner();
        let all = self.undecided().await.map_err(failed)?;
        let wanted = |intent: &Intent| {
            let to = intent.to.clone().unwrap_or_default();
            (platform.is_empty() || to.platform == platform)
                && (account.is_empty() || to.account == account)
        };
        let found = all.into_iter().filter(|(_, intent)| wanted(intent));
        let mut sends: Vec<_> = found.map(|(key, intent)| shown(key, intent)).collect();
        sends.sort_by_key(|send| std::cmp::Reverse(send.at_ms));
        Ok(Response::new(UnknownListReply { sends }))
    }

    async fn resend(
        &self,
        request: Request<IntentChoice>,
    ) -> Result<Response<UnknownSend>, Status> {
        let key = request.into_inner().key;
        let intent = self.send_again(&key).await?;
        Ok(Response::new(shown(key, intent)))
    }

    async fn settle(
        &self,
        request: Request<IntentSettlement>,
    ) -> Result<Response<UnknownSend>, Status> {
        let IntentSettlement { key, sent } = request.into_inner();
        let intent = Self::settle(self, &key, sent).await?;
        Ok(Response::new(shown(key, intent)))
    }
}

/// Unknown; or queued by an operator and not sent yet, which only then has its content.
fn undecided(intent: &Intent) -> bool {
    match intent.state() {
        IntentState::Unknown => true,
        IntentState::Queued => intent.outbound.is_some(),
        _ => false,
    }
}

fn name(state: IntentState) -> String {
    let name = state.as_str_name().trim_start_matches("INTENT_STATE_");
    name.to_lowercase()
}

/// Number of the chunk that `key` is of.
fn chunk_of(key: &str) -> Option<u32> {
    key.rsplit('.').next()?.parse().ok()
}

fn shown(key: String, intent: Intent) -> UnknownSend {
    let chunk = chunk_of(&key);
    let outbound = intent.outbound.as_ref();
    UnknownSend {
        to: intent.to.clone(),
        state: intent.state,
        at_ms: intent.at_ms,
        code: explain(&intent.why).0,
        why: intent.why.clone(),
        attempts: intent.attempts,
        chunk: chunk.unwrap_or_default(),
        chunks: intent.chunks,
        text: outbound.map(content::beginning).unwrap_or_default(),
        turn_id: outbound
            .map(|outbound| outbound.turn_id.clone())
            .unwrap_or_default(),
        key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unknown_or_waits_to_be_resent_is_to_decide() {
        let intent = |state: IntentState, kept: bool| Intent {
            state: state.into(),
            outbound: kept.then(Outbound::default),
            ..Intent::default()
        };
        assert!(undecided(&intent(IntentState::Unknown, false)));
        assert!(undecided(&intent(IntentState::Queued, true)));
        assert!(!undecided(&intent(IntentState::Queued, false)));
        assert!(!undecided(&intent(IntentState::Sent, false)));
    }

    #[test]
    fn a_key_tells_its_chunk() {
        assert_eq!(shown("ab-0.3".into(), Intent::default()).chunk, 3);
    }
}
