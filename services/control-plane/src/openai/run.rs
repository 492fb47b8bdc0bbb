//! One run for one HTTP request: its pieces as they come, its end, and what becomes of it when who asked goes away.

use std::{pin::Pin, sync::Arc, time::Duration};

use proto::v1::Event;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{ask::Meant, problem::Problem};
use crate::{
    gateway::Gateway,
    runs::Progress,
    turns::{self, Ask},
    verdict::Verdict,
};

/// Requests that may wait for their answers at once.
const AT_ONCE: usize = 256;
/// Who gave an idempotency key has this long to ask again before the run is stopped.
const GRACE: Duration = Duration::from_secs(30);

/// Places of requests that wait for their answers.
#[derive(Debug)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// One run.
pub(super) struct Run {
    gateway: Arc<Gateway>,
    ask: Ask,
    turn_id: String,
    keyed: bool,
    watching: watch::Receiver<Progress>,
    end: Pin<Box<dyn Future<Output = Arc<Event>> + Send>>,
    /// What was given of its text.
    given: String,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

/// What comes of a run.
#[derive(Debug)]
pub(super) enum Step {
    /// More text, not empty.
    Text(String),
    /// The end. Its text may not be what was given: then it was begun anew.
    End(Verdict),
}

impl Run {
    /// Asks.
    ///
    /// # Errors
    /// When it is not asked.
    pub(super) async fn begin(gateway: &Arc<Gateway>, meant: Meant) -> Result<Self, Problem> {
        let Meant { ask, keyed, .. } = meant;
        let place = gateway.http_runs.0.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            Problem::slower(
                "Too many requests wait for their answers; try again in a moment.",
                1,
            )
        })?;
        let turn_id = ask.turn_id();
        let watching = turns::watch(gateway, &turn_id)?;
        let standing = turns::begin(gateway, &ask).await?;
        let end = {
            let (gateway, turn_id) = (gateway.clone(), turn_id.clone());
            let mut watching = watching.clone();
            async move { turns::end(&gateway, &turn_id, &mut watching, standing).await }
        };
        Ok(Self {
            gateway: gateway.clone(),
            ask,
            turn_id,
            keyed,
            watching,
            end: Box::pin(end),
            given: String::new(),
            ended: false,
            _place: place,
        })
    }

    pub(super) fn turn_id(&self) -> &str {
        &self.turn_id
    }

    /// The end, whatever comes before it.
    pub(super) async fn end(&mut self) -> Verdict {
        let end = self.end.as_mut().await;
        self.ended = true;
        Verdict::of(&end)
    }

    /// What comes next; not called after the end. May be dropped and called again without losing anything.
    pub(super) async fn next(&mut self) -> Step {
        loop {
            let text = self.watching.borrow_and_update().text.clone();
            if let Some(piece) = self.more(&text) {
                return Step::Text(piece);
            }
            tokio::select! {
                biased;
                end = self.end.as_mut() => {
                    self.ended = true;
                    return Step::End(Verdict::of(&end));
                }
                Ok(()) = self.watching.changed() => {}
            }
        }
    }

    /// What `text` adds to what was given; `None` for nothing, and for a text that was begun anew.
    pub(super) fn more(&mut self, text: &str) -> Option<String> {
        let piece = text.strip_prefix(self.given.as_str())?;
        if piece.is_empty() {
            return None;
        }
        self.given.push_str(piece);
        Some(piece.to_owned())
    }

    /// Whether all that was given is the beginning of `text`.
    pub(super) fn goes_on_as(&self, text: &str) -> bool {
        text.starts_with(&self.given)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A gateway that stops stops no runs: who asked may ask another replica.
        if self.ended || self.gateway.stop.is_cancelled() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (gateway, ask) = (self.gateway.clone(), std::mem::take(&mut self.ask));
        let (turn_id, keyed) = (std::mem::take(&mut self.turn_id), self.keyed);
        runtime.spawn(async move { stop(&gateway, &ask, &turn_id, keyed).await });
    }
}

/// Stops a run for whose answer nobody waits any more.
async fn stop(gateway: &Gateway, ask: &Ask, turn_id: &str, keyed: bool) {
    if keyed {
        tokio::time::sleep(GRACE).await;
        if gateway.runs().is_watched(turn_id) {
            return;
        }
    }
    let stopped = turns::cancel(gateway, &ask.agent, &ask.session_key, turn_id).await;
    if let Err(error) = stopped {
        tracing::debug!(%error, turn.id = turn_id, "a run that nobody waits for goes on");
    }
}
