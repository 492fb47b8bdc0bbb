//! Who is known: approvals by the operator, and codes for those who ask to be let in.

use std::{collections::HashMap, sync::RwLock};

use bus::{Bucket, Bus, Error, Store};
use futures_util::StreamExt;
use proto::{
    id,
    v1::{Address, PairingEntry, Sender},
};

/// A code is good for this long.
const CODE_LIFETIME_MS: i64 = 60 * 60 * 1000;
/// People of one account who may wait for approval at once.
const MOST_PENDING: usize = 3;
/// Letters of a code: no 0, O, 1 or I.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Approved people and open requests, as the bucket tells.
pub struct People {
    store: Store,
    known: RwLock<HashMap<String, PairingEntry>>,
    /// One request at a time, so that two strangers do not both get the last free code.
    asking: tokio::sync::Mutex<()>,
}

/// What an unknown person is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// A new code.
    Code(String),
    /// They were told a code before; nothing more.
    Already,
    /// Too many wait.
    Full,
}

impl People {
    /// Reads who is known. Without it nobody is let in, so a failure stops the router.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub async fn load(bus: &Bus) -> Result<Self, Error> {
        let store = bus.bucket(Bucket::People);
        let all = store.all::<PairingEntry>().await?;
        let known = all
            .into_iter()
            .map(|(key, entry, _)| (key, entry))
            .collect();
        Ok(Self {
            store,
            known: RwLock::new(known),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// Keeps up with changes, for ever.
    ///
    /// # Errors
    /// When the bus cannot be read now.
    pub async fn keep_up(&self) -> Result<(), Error> {
        let mut changes = self.store.watch::<PairingEntry>().await?;
        while let Some((key, entry)) = changes.next().await {
            let Ok(mut known) = self.known.write() else {
                continue;
            };
            match entry {
                Some(entry) => known.insert(key, entry),
                None => known.remove(&key),
            };
        }
        Ok(())
    }

    /// Whether the operator approved this sender on this account.
    #[must_use]
    pub fn approved(&self, address: &Address, sender: &Sender) -> bool {
        let key = id::of_approval(&address.platform, &address.account, &sender.id);
        self.known.read().is_ok_and(|known| {
            known
                .get(&key)
                .is_some_and(|entry| entry.sender_id == sender.id)
        })
    }

    /// Gives an unknown person a code, once.
    ///
    /// # Errors
    /// When the request cannot be stored: try again later.
    pub async fn ask(
        &self,
        address: &Address,
        sender: &Sender,
        now_ms: i64,
    ) -> Result<Asked, Error> {
        let _one_at_a_time = self.asking.lock().await;
        let same_account = |entry: &PairingEntry| {
            entry.platform == address.platform && entry.account == address.account
        };
        let (mut pending, mut expired) = (Vec::new(), Vec::new());
        if let Ok(known) = self.known.read() {
            for (key, entry) in known
                .iter()
                .filter(|(key, entry)| key.starts_with("ask.") && same_account(entry))
            {
                match entry.expires_at_ms > now_ms {
                    true => pending.push(entry.clone()),
                    false => expired.push(key.clone()),
                }
            }
        }
        if pending.iter().any(|entry| entry.sender_id == sender.id) {
            return Ok(Asked::Already);
        }
        if pending.len() >= MOST_PENDING {
            return Ok(Asked::Full);
        }
        let entry = PairingEntry {
            code: code(),
            platform: address.platform.clone(),
            account: address.account.clone(),
            sender_id: sender.id.clone(),
            sender_name: crate::text::name(&sender.display_name),
            asked_at_ms: now_ms,
            expires_at_ms: now_ms + CODE_LIFETIME_MS,
            decided_at_ms: 0,
        };
        let key = format!("ask.{}", entry.code);
        self.store.put(&key, &entry).await?;
        let code = entry.code.clone();
        if let Ok(mut known) = self.known.write() {
            known.insert(key, entry);
        }
        for key in expired {
            self.store.delete(&key).await?;
        }
        Ok(Asked::Code(code))
    }
}

/// Eight letters, 40 random bits.
fn code() -> String {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    // Bytes 0 to 5 and 9 to 15 of a version 4 UUID are random as a whole.
    let random = bytes[..6].iter().chain(&bytes[10..12]);
    random
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_eight_clear_letters_and_differs() {
        let codes: std::collections::HashSet<String> = (0..100).map(|_| code()).collect();
        assert_eq!(codes.len(), 100);
        assert!(
            codes
                .iter()
                .all(|code| code.len() == 8 && !code.contains(['0', 'O', '1', 'I']))
        );
    }
}
