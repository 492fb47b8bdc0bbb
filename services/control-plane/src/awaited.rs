//! Ends that somebody here waits for: of turns, and of what the router was ordered to do.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use proto::v1::{Event, event::What};
use tokio::sync::oneshot;

/// Who waits for which ends; as many as there are requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    next: AtomicU64,
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    turn_id: String,
    tell: oneshot::Sender<Event>,
}

/// One who waits; dropped, it waits no more.
pub(crate) struct End<'a> {
    awaited: &'a Awaited,
    number: u64,
    told: oneshot::Receiver<Event>,
}

impl Awaited {
    /// Waits from now on for the end of `turn_id`.
    pub(crate) fn wait(&self, turn_id: &str) -> End<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.lock().push(Waiting {
            number,
            turn_id: turn_id.to_owned(),
            tell,
        });
        End {
            awaited: self,
            number,
            told,
        }
    }

    /// Something happened.
    pub(crate) fn happened(&self, event: &Event) {
        let goes_on = matches!(
            event.what,
            None | Some(What::Accepted(_) | What::Sent(_) | What::Unsure(_) | What::Delivered(_))
        );
        if goes_on {
            return;
        }
        let over: Vec<_> = self
            .lock()
            .extract_if(.., |waiting| waiting.turn_id == event.turn_id)
            .collect();
        for waiting in over {
            let _ = waiting.tell.send(event.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End<'_> {
    /// How it ended; `None` if it has not by `deadline`.
    pub(crate) async fn done(mut self, deadline: Instant) -> Option<Event> {
        let told = tokio::time::timeout_at(deadline.into(), &mut self.told);
        told.await.ok()?.ok()
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.awaited
            .lock()
            .retain(|waiting| waiting.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::v1::{Accepted, Answered};

    use super::*;

    fn event(turn_id: &str, what: What) -> Event {
        Event {
            turn_id: turn_id.into(),
            what: Some(what),
            ..Event::default()
        }
    }

    #[tokio::test]
    async fn all_who_wait_for_an_end_hear_of_it_and_nothing_is_left() {
        let awaited = Awaited::default();
        let (one, two) = (awaited.wait("t"), awaited.wait("t"));
        let gone = awaited.wait("never");
        awaited.happened(&event("t", What::Accepted(Accepted::default())));
        awaited.happened(&event("t", What::Answered(Answered::default())));
        let deadline = Instant::now() + Duration::from_secs(30);
        assert!(one.done(deadline).await.is_some() && two.done(deadline).await.is_some());
        assert!(gone.done(Instant::now()).await.is_none());
        assert!(awaited.lock().is_empty());
    }
}
