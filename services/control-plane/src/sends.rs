//! Messages that clients have sent: the same idempotency key never sends twice.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use crate::recent::Recent;

/// Keys remembered.
const KEYS: usize = 1000;
/// How long a key is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// Messages that clients have sent lately, by idempotency key.
#[derive(Debug)]
pub(crate) struct Sends(Mutex<Recent<String, Arc<Sent>>>);

/// One message.
#[derive(Debug)]
pub(crate) struct Sent {
    content: [u8; 32],
    at: Instant,
    stored: OnceCell<()>,
}

/// Whether a message was sent now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    New,
    Repeated,
}

/// The key came before with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflict;

impl Default for Sends {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(KEYS)))
    }
}

impl Sends {
    /// The message of `key`: a new one, or the one that was sent under it with the same content.
    ///
    /// # Errors
    /// [`Conflict`].
    pub(crate) fn of(
        &self,
        key: &str,
        content: [u8; 32],
        now: Instant,
    ) -> Result<Arc<Sent>, Conflict> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent
            .find(key)
            .filter(|sent| now.duration_since(sent.at) < REMEMBERED_FOR);
        match known {
            Some(sent) if sent.content == content => Ok(sent.clone()),
            Some(_) => Err(Conflict),
            None => {
                let sent = Arc::new(Sent {
                    content,
                    at: now,
                    stored: OnceCell::new(),
                });
                recent.note(key.to_owned(), sent.clone());
                Ok(sent)
            }
        }
    }
}

impl Sent {
    /// Stores the message with `store` unless it is stored; whoever asks meanwhile waits for the outcome.
    ///
    /// # Errors
    /// As `store`; the next one tries again.
    pub(crate) async fn once<E>(
        &self,
        store: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<Novelty, E> {
        let mut novelty = Novelty::Repeated;
        self.stored
            .get_or_try_init(async || {
                novelty = Novelty::New;
                store().await
            })
            .await?;
        Ok(novelty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_one_content_for_five_minutes() {
        let (sends, now) = (Sends::default(), Instant::now());
        let first = sends.of("k", [1; 32], now).unwrap();
        assert!(Arc::ptr_eq(&first, &sends.of("k", [1; 32], now).unwrap()));
        assert_eq!(sends.of("k", [2; 32], now).unwrap_err(), Conflict);
        assert!(sends.of("k", [2; 32], now + REMEMBERED_FOR).is_ok());
    }

    #[tokio::test]
    async fn only_the_first_stores_and_a_failure_is_tried_again() {
        let (sends, now) = (Sends::default(), Instant::now());
        let sent = sends.of("k", [1; 32], now).unwrap();
        assert_eq!(sent.once(async || Err("away")).await, Err("away"));
        assert_eq!(
            sent.once(async || Ok::<_, &str>(())).await,
            Ok(Novelty::New)
        );
        assert_eq!(
            sent.once(async || Err("not asked")).await,
            Ok(Novelty::Repeated)
        );
    }
}
