//! What is known of each chunk on its way, kept where the next owner of the account finds it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bus::{Bucket, Bus, Error, Store};
use chassis::clock::now_ms;
pub(crate) use proto::id::of_chunk as key;
use proto::v1::{Address, Intent, IntentState};
use uuid::Uuid;

use crate::recall::Recall;

/// Most chunks of which this process knows more than the bus.
const MAX_KNOWN: usize = 4096;

/// The bucket `intents`, and what this process knows and could not write into it.
pub(crate) struct Intents {
    store: Store,
    recall: Recall,
    known: Mutex<HashMap<String, Known>>,
}

/// A chunk on its way: its stored intent and the revision of it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) key: String,
    pub(crate) revision: u64,
    pub(crate) intent: Intent,
}

/// What is to be done with a chunk.
#[derive(Debug)]
pub(crate) enum Begun {
    /// `sending` is stored: call the platform now.
    Go(Ticket),
    /// It is on the platform.
    Sent(Ticket),
    /// A call may have been made; its result is not known.
    Unsure(Ticket),
    /// Somebody else wrote at this moment; look again.
    Again,
}

/// What this process knows of a chunk, while the bus does not know that it does.
#[derive(Clone, Debug)]
enum Known {
    /// These calls may be announced, but were not made.
    NotCalled(Vec<u64>),
    /// The call ended so; it is not written down yet.
    Result(Box<Ticket>),
    /// It is on the platform under this id, which was told.
    Told(String),
}

impl Intents {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            store: bus.bucket(Bucket::Intents),
            recall: Recall::new(bus),
            known: Mutex::default(),
        }
    }

    /// Stores that the chunk `key` is being sent, unless it was begun before. One write when all is well.
    ///
    /// # Errors
    /// The bus is away; the platform must not be called.
    pub(crate) async fn begin(
        &self,
        key: &str,
        epoch: u64,
        to: &Address,
        chunks: u32,
    ) -> Result<Begun, Error> {
        self.remember(key).await?;
        if let Some(ticket) = self.told_before(key, to) {
            return Ok(Begun::Sent(ticket));
        }
        let (not_called, call) = self.next_call(key);
        let intent = Intent {
            epoch,
            attempts: 1,
            chunks,
            call,
            ..record(IntentState::Sending, to)
        };
        let fresh = |revision| Ticket {
            key: key.into(),
            revision,
            intent: intent.clone(),
        };
        if bus::sabotaged("intents") {
            return Ok(Begun::Go(fresh(0)));
        }
        if let Some(revision) = self.store.create(key, &intent).await? {
            self.known().remove(key);
            return Ok(Begun::Go(fresh(revision)));
        }
        let Some((stored, revision, stored_ms)) = self.store.dated::<Intent>(key).await? else {
            return Ok(Begun::Again);
        };
        let mut ticket = Ticket {
            key: key.into(),
            revision,
            intent: stored,
        };
        let attempts = ticket.intent.attempts;
        match ticket.intent.state() {
            IntentState::Sent => {
                self.known().remove(key);
                Ok(Begun::Sent(ticket))
            }
            IntentState::Unknown => Ok(Begun::Unsure(ticket)),
            IntentState::Sending if not_called.contains(&ticket.intent.call) => {
                self.again(ticket, epoch, attempts).await
            }
            IntentState::Sending => {
                let owner = ticket.intent.epoch;
                let told = self.recall.sent(key, owner, stored_ms, epoch).await?;
                self.known().remove(key);
                let Some(platform_id) = told else {
                    return Ok(Begun::Unsure(ticket));
                };
                ticket.intent.set_state(IntentState::Sent);
                ticket.intent.platform_message_id = platform_id;
                Ok(Begun::Sent(ticket))
            }
            // A failed one is not on the platform: it came back because an operator replays it, or because its dead
            // letter was not stored.
            IntentState::Failed => self.again(ticket, epoch, 1).await,
            IntentState::Queued => self.again(ticket, epoch, attempts.saturating_add(1)).await,
        }
    }

    /// Stores that it is being sent once more, as the `attempts`th attempt.
    ///
    /// # Errors
    /// As [`Intents::begin`].
    pub(crate) async fn again(
        &self,
        ticket: Ticket,
        epoch: u64,
        attempts: u32,
    ) -> Result<Begun, Error> {
        let (_, call) = self.next_call(&ticket.key);
        let intent = Intent {
            state: IntentState::Sending.into(),
            epoch,
            attempts,
            call,
            at_ms: now_ms(),
            why: String::new(),
            ..ticket.intent
        };
        let stored = self
            .store
            .update(&ticket.key, &intent, ticket.revision)
            .await?;
        let Some(revision) = stored else {
            return Ok(Begun::Again);
        };
        self.known().remove(&ticket.key);
        Ok(Begun::Go(Ticket {
            key: ticket.key,
            revision,
            intent,
        }))
    }

    /// Stores how the call ended. What cannot be stored now is remembered, and stored when the chunk is begun again.
    ///
    /// # Errors
    /// The bus is away; the chunk is to be begun again, and nothing is lost or repeated by it.
    pub(crate) async fn finish(
        &self,
        mut ticket: Ticket,
        state: IntentState,
        detail: &str,
    ) -> Result<Ticket, Error> {
        ticket.intent.set_state(state);
        ticket.intent.at_ms = now_ms();
        match state {
            IntentState::Sent => ticket.intent.platform_message_id = detail.into(),
            _ => ticket.intent.why = detail.into(),
        }
        if matches!(state, IntentState::Sent | IntentState::Failed) {
            ticket.intent.outbound = None;
        }
        self.write(ticket).await
    }

    /// The chunk is on the platform. Stored here unless the event that is told next is enough; what cannot be stored or
    /// told now is stored when the chunk is begun again.
    ///
    /// # Errors
    /// As [`Intents::finish`].
    pub(crate) async fn sent(
        &self,
        mut ticket: Ticket,
        platform_id: &str,
        event_is_enough: bool,
    ) -> Result<(), Error> {
        // One that an operator had sent again is looked up here.
        if !event_is_enough || ticket.intent.outbound.is_some() {
            let finished = self.finish(ticket, IntentState::Sent, platform_id).await;
            return finished.map(drop);
        }
        ticket.intent.set_state(IntentState::Sent);
        ticket.intent.platform_message_id = platform_id.into();
        self.know(&ticket.key.clone(), Known::Result(Box::new(ticket)));
        Ok(())
    }

    /// That the chunk `key` is on the platform was told: the bus need not be asked again.
    pub(crate) fn told(&self, key: &str, platform_id: &str) {
        self.know(key, Known::Told(platform_id.into()));
    }

    /// Stores that something is being sent, only if nobody ever began or closed it.
    ///
    /// # Errors
    /// As [`Intents::begin`], but there is no second chance.
    pub(crate) async fn claim(&self, key: &str, to: &Address) -> Result<Option<Ticket>, Error> {
        let intent = record(IntentState::Sending, to);
        let revision = self.store.create(key, &intent).await?;
        Ok(revision.map(|revision| Ticket {
            key: key.into(),
            revision,
            intent,
        }))
    }

    /// Makes sure that nobody can claim `key` from now on; the platform's id if it was claimed and sent.
    ///
    /// # Errors
    /// The bus is away; nothing is decided.
    pub(crate) async fn close(&self, key: &str, to: &Address) -> Result<Option<String>, Error> {
        self.remember(key).await?;
        if self
            .store
            .create(key, &record(IntentState::Failed, to))
            .await?
            .is_some()
        {
            return Ok(None);
        }
        let stored = self
            .store
            .get::<Intent>(key)
            .await?
            .map(|(intent, _)| intent);
        Ok(stored
            .filter(|intent| intent.state() == IntentState::Sent)
            .map(|intent| intent.platform_message_id))
    }

    /// Marks what was sent under `key` as gone.
    ///
    /// # Errors
    /// The bus is away.
    pub(crate) async fn discard(&self, key: &str, to: &Address) -> Result<(), Error> {
        self.store
            .put(key, &record(IntentState::Failed, to))
            .await
            .map(|_| ())
    }

    /// Stores what is known of `key` and could not be stored before.
    ///
    /// # Errors
    /// It still cannot.
    pub(crate) async fn remember(&self, key: &str) -> Result<(), Error> {
        let known = self.known().get(key).cloned();
        match known {
            Some(Known::Result(ticket)) => self.write(*ticket).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    async fn write(&self, ticket: Ticket) -> Result<Ticket, Error> {
        if bus::sabotaged("intents") {
            return Ok(ticket);
        }
        // Before the wait, which may be the last of this call: the shard can be lost in the middle of it.
        self.know(&ticket.key, Known::Result(Box::new(ticket.clone())));
        let written = match ticket.intent.state() {
            // That it was sent stays true, whatever a newer owner wrote meanwhile.
            IntentState::Sent => self.store.put(&ticket.key, &ticket.intent).await.map(Some),
            _ => {
                self.store
                    .update(&ticket.key, &ticket.intent, ticket.revision)
                    .await
            }
        };
        let revision = written?;
        self.known().remove(&ticket.key);
        Ok(Ticket {
            revision: revision.unwrap_or(ticket.revision),
            ..ticket
        })
    }

    /// The name of a call to be announced for `key`, and the names of those that were not made.
    ///
    /// Noted before the record is written, so that it holds too when the writing is given up in the middle.
    fn next_call(&self, key: &str) -> (Vec<u64>, u64) {
        let not_called = match self.known().get(key) {
            Some(Known::NotCalled(calls)) => calls.clone(),
            _ => Vec::new(),
        };
        let call = Uuid::new_v4().as_u64_pair().0;
        let mut all = not_called.clone();
        all.push(call);
        self.know(key, Known::NotCalled(all));
        (not_called, call)
    }

    /// What this process told of the chunk `key`: that it is on the platform.
    fn told_before(&self, key: &str, to: &Address) -> Option<Ticket> {
        let known = self.known();
        let Some(Known::Told(platform_id)) = known.get(key) else {
            return None;
        };
        let intent = Intent {
            platform_message_id: platform_id.clone(),
            ..record(IntentState::Sent, to)
        };
        Some(Ticket {
            key: key.into(),
            revision: 0,
            intent,
        })
    }

    fn know(&self, key: &str, what: Known) {
        let mut known = self.known();
        // Without the knowledge a chunk is held as unknown: safe, so there may be a bound.
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key.into(), what);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(state: IntentState, to: &Address) -> Intent {
    Intent {
        state: state.into(),
        to: Some(to.clone()),
        at_ms: now_ms(),
        ..Intent::default()
    }
}
