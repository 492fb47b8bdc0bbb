//! Conversations that got a new id: their sessions go on under the old key.

use std::{collections::HashMap, sync::RwLock};

use bus::{Bucket, Bus, Error, Store};
use futures_util::StreamExt;
use proto::{
    id, session,
    v1::{Address, Inbound, Moved, Sender, inbound::Body},
};

/// What keys of moves begin with in the bucket.
const PREFIX: &str = "moved.";

/// Session keys that stand for older ones, as the bucket tells.
pub struct Moves {
    store: Store,
    /// From the `sid` of the new key to the old key.
    known: RwLock<HashMap<String, String>>,
}

impl Moves {
    /// Reads what has moved so far.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub async fn load(bus: &Bus) -> Result<Self, Error> {
        let store = bus.bucket(Bucket::Config);
        let all = store.all::<Moved>().await?.into_iter();
        let moves = all.filter_map(|(key, moved, _)| {
            Some((key.strip_prefix(PREFIX)?.to_owned(), moved.to_conversation))
        });
        let known = RwLock::new(moves.collect());
        Ok(Self { store, known })
    }

    /// Keeps up with changes, for ever.
    ///
    /// # Errors
    /// When the bus cannot be read now.
    pub async fn keep_up(&self) -> Result<(), Error> {
        let mut changes = self.store.watch::<Moved>().await?;
        while let Some((key, moved)) = changes.next().await {
            if let (Some(sid), Some(moved)) = (key.strip_prefix(PREFIX), moved) {
                self.note(sid.to_owned(), moved.to_conversation);
            }
        }
        Ok(())
    }

    /// The key under which this session began.
    #[must_use]
    pub fn origin(&self, key: String) -> String {
        let known = self.known.read().ok();
        known
            .and_then(|known| known.get(&id::of_session(&key)).cloned())
            .unwrap_or(key)
    }

    /// Remembers that the conversation of `inbound` goes on elsewhere; nothing for any other event.
    ///
    /// # Errors
    /// When it cannot be stored: try again later.
    pub async fn remember(&self, inbound: &Inbound, key: &str) -> Result<(), Error> {
        let (Some(Body::Moved(moved)), Some(address)) = (&inbound.body, &inbound.address) else {
            return Ok(());
        };
        let new = Address {
            conversation: moved.to_conversation.clone(),
            ..address.clone()
        };
        let sid = id::of_session(&session::Key::of(&new, &Sender::default()).to_string());
        let origin = Moved {
            to_conversation: key.to_owned(),
        };
        self.store.put(&format!("{PREFIX}{sid}"), &origin).await?;
        self.note(sid, key.to_owned());
        Ok(())
    }

    fn note(&self, sid: String, origin: String) {
        if let Ok(mut known) = self.known.write() {
            known.insert(sid, origin);
        }
    }
}
