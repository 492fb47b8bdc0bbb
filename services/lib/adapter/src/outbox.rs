//! What goes out: each chunk is a small state machine whose every step is stored before it counts.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bus::{Bus, Delivery, Outcome};
use chassis::clock::now_ms;
use proto::{
    id,
    v1::{Address, Outbound},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    Account, Action, Adapter, Capabilities, Error,
    gates::Gates,
    intents::{self, Begun, Intents, Ticket},
    key,
    live::Live,
    measures,
    pace::Pace,
    plan,
    status::Status,
};

mod events;
mod result;

/// An outbound that does not say when it expires lives so long.
const LIFE_MS: i64 = 24 * 60 * 60 * 1000;
/// A call without an answer for so long is given up, its result unknown. Large files take their time.
const CALL_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Pause after the bus was away, or the account is not ours any more.
const SHORTLY: Duration = Duration::from_secs(1);
/// Why nobody knows what came of a call that an earlier owner began.
const LEFT_BEHIND: &str = "the process that sent it ended before it knew the result";
/// Outbounds of which is remembered how far they got.
const MAX_PROGRESS: usize = 4096;

/// Sends one account's outbounds.
pub(crate) struct Outbox<A> {
    pub(crate) adapter: Arc<A>,
    pub(crate) account: Arc<Account>,
    pub(crate) capabilities: Capabilities,
    pub(crate) bus: Bus,
    pub(crate) intents: Arc<Intents>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) live: Arc<Live<A>>,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: CancellationToken,
    pub(crate) gates: Gates,
    /// Chunks of an outbound that are settled, so that a retry does not ask the bus for each.
    pub(crate) progress: Mutex<HashMap<String, usize>>,
}

/// One chunk and all that concerns it.
struct Chunk<'a> {
    delivery: &'a Delivery<Outbound>,
    to: &'a Address,
    n: usize,
    total: usize,
    action: Cow<'a, Action>,
}

/// What came of a chunk.
enum Step {
    /// Settled: go on with the next.
    Done,
    /// Not now.
    Later(Duration),
    /// Never.
    Never(String),
}

impl<A: Adapter> Outbox<A> {
    /// Does what an outbound asks, or as much of it as can be done now.
    pub(crate) async fn deliver(&self, delivery: Delivery<Outbound>) -> Outcome {
        self.live.own(&delivery.fence);
        match self.chunks(&delivery).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let id = &delivery.message.id;
                warn!(message.id = %id, error = &error as &dyn std::error::Error, "outbound `{id}` waits for the bus");
                Outcome::Retry(SHORTLY)
            }
        }
    }

    async fn chunks(&self, delivery: &Delivery<Outbound>) -> Result<Outcome, bus::Error> {
        let outbound = &delivery.message;
        if expires_at_ms(outbound, delivery.stored_ms) <= now_ms() {
            return self.bury(delivery, "expired".into()).await;
        }
        let chunks = match plan::chunks(outbound, &self.capabilities) {
            Ok(chunks) => chunks,
            Err(why) => return self.bury(delivery, why).await,
        };
        let Some(mut to) = outbound.to.clone() else {
            return self.bury(delivery, "no address".into()).await;
        };
        if !self.capabilities.threads {
            to.thread.clear();
        }
        let done = self.progress().get(&outbound.id).copied();
        let total = chunks.len();
        let settled = |n: usize| {
            outbound
                .settled
                .iter()
                .any(|settled| *settled as usize == n)
        };
        for (n, action) in chunks.iter().enumerate().skip(done.unwrap_or_default()) {
            if settled(n) {
                continue;
            }
            let chunk = Chunk {
                delivery,
                to: &to,
                n,
                total,
                action: Cow::Borrowed(action),
            };
            match self.chunk(chunk).await? {
                Step::Done => self.note_progress(&outbound.id, n + 1),
                Step::Later(pause) => return Ok(Outcome::Retry(pause)),
                Step::Never(why) => return self.bury(delivery, why).await,
            }
        }
        self.progress().remove(&outbound.id);
        Ok(Outcome::Ack)
    }

    async fn chunk(&self, mut chunk: Chunk<'_>) -> Result<Step, bus::Error> {
        let delivery = chunk.delivery;
        let preview = self.preview(&mut chunk).await?;
        if let Some(pause) = self.held_back(&chunk).await {
            return Ok(Step::Later(pause));
        }
        let total = u32::try_from(chunk.total).unwrap_or(u32::MAX);
        let key = intents::key(&delivery.message.id, chunk.n);
        let begun = self.intents.begin(&key, delivery.epoch, chunk.to, total);
        let ticket = match begun.await? {
            Begun::Go(ticket) => ticket,
            Begun::Again => return Ok(Step::Later(SHORTLY)),
            Begun::Sent(Ticket { intent, .. }) => {
                self.tell_sent(&chunk, &intent.platform_message_id, 0)
                    .await?;
                return Ok(Step::Done);
            }
            Begun::Unsure(ticket) => return self.unsure(&chunk, ticket, LEFT_BEHIND).await,
        };
        if !delivery.fence.holds() {
            self.put_back(ticket, "the account has a new owner").await?;
            return Ok(Step::Later(SHORTLY));
        }
        let began = Instant::now();
        let call = key::scope(&key, self.adapter.send(chunk.to, &chunk.action));
        let answer = match tokio::time::timeout(CALL_PATIENCE, call).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Unknown("no answer".into())),
        };
        measures::took(self.account.key(), began.elapsed());
        match answer {
            Ok(platform_id) => self.sent(&chunk, ticket, &platform_id).await,
            Err(Error::Rejected(why)) if preview => {
                debug!(why, "the preview is gone; sent anew");
                self.intents
                    .discard(&intents::key(&delivery.message.id, "p"), chunk.to)
                    .await?;
                self.put_back(ticket, &why).await?;
                Ok(Step::Later(Duration::ZERO))
            }
            Err(error) => self.not_sent(&chunk, ticket, error, began).await,
        }
    }

    /// How long the chunk must wait before anything is begun; counts it as going now if not at all.
    async fn held_back(&self, chunk: &Chunk<'_>) -> Option<Duration> {
        if self.stop.is_cancelled() {
            return Some(SHORTLY);
        }
        if let Err(pause) = self.pace.wait(chunk.to, chunk.action.is_message()).await {
            return Some(pause);
        }
        self.gates.allow().err()
    }

    /// Makes the answer an edit of what was shown of it while it was made; whether it is one.
    async fn preview(&self, chunk: &mut Chunk<'_>) -> Result<bool, bus::Error> {
        let outbound = &chunk.delivery.message;
        let answers =
            !outbound.turn_id.is_empty() && outbound.id == id::of_outbound(&outbound.turn_id, 0);
        let Action::Text { body, buttons, .. } = chunk.action.as_ref() else {
            return Ok(false);
        };
        if chunk.n > 0 || !answers || !self.live.previews() {
            return Ok(false);
        }
        let Some(message_id) = self.live.close(&outbound.id, chunk.to).await? else {
            return Ok(false);
        };
        let edit = Action::Edit {
            message_id,
            body: body.clone(),
            buttons: buttons.clone(),
        };
        chunk.action = Cow::Owned(edit);
        Ok(true)
    }

    fn note_progress(&self, outbound_id: &str, done: usize) {
        let mut progress = self.progress();
        // What is forgotten is read from the bus again.
        if progress.len() >= MAX_PROGRESS {
            progress.clear();
        }
        progress.insert(outbound_id.to_owned(), done);
    }

    fn progress(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expires_at_ms(outbound: &Outbound, stored_ms: i64) -> i64 {
    match (outbound.expires_at_ms, outbound.created_at_ms) {
        (0, 0) => stored_ms.saturating_add(LIFE_MS),
        (0, created) => created.saturating_add(LIFE_MS),
        (expires, _) => expires,
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbound_expires_when_it_says_or_after_a_day() {
        let outbound = |created_at_ms, expires_at_ms| Outbound {
            created_at_ms,
            expires_at_ms,
            ..Outbound::default()
        };
        assert_eq!(expires_at_ms(&outbound(5, 7), 1), 7);
        assert_eq!(expires_at_ms(&outbound(5, 0), 1), 5 + LIFE_MS);
        assert_eq!(expires_at_ms(&outbound(0, 0), 1), 1 + LIFE_MS);
    }

    #[test]
    fn an_error_tells_its_causes() {
        let error = Error::Unavailable(Box::new(Error::Rejected("no".into())));
        assert_eq!(chain(&error), "platform unavailable: rejected: no");
    }
}
