//! One at a time through a session, whatever the priority: its state is read, changed and written back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

/// Sessions that somebody is in now.
///
/// All messages of a session come to the process that owns its partition, so a lock in memory is enough.
#[derive(Default)]
pub(crate) struct Turnstile {
    inside: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held while inside; the next one goes in when it is dropped.
pub(crate) struct Pass<'a> {
    turnstile: &'a Turnstile,
    session: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turnstile {
    /// Waits until nobody else is in `session`.
    pub(crate) async fn enter(&self, session: &str) -> Pass<'_> {
        let lock = {
            let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            inside.entry(session.to_owned()).or_default().clone()
        };
        let mut pass = Pass {
            turnstile: self,
            session: session.to_owned(),
            guard: None,
        };
        pass.guard = Some(lock.lock_owned().await);
        pass
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut inside = self
            .turnstile
            .inside
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if inside
            .get(&self.session)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            inside.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_nothing_is_left_behind() {
        let turnstile = Turnstile::default();
        let first = turnstile.enter("a").await;
        let other = turnstile.enter("b").await;
        let mut second = Box::pin(turnstile.enter("a"));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        drop(other);
        assert!(turnstile.inside.lock().unwrap().is_empty());
    }
}
