//! An answer while it is made: typing, and a message that grows by edits; whatever is in doubt is not shown.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bus::{Bus, Fence};
use futures_util::{StreamExt, stream, stream::FuturesUnordered};
use proto::{
    id,
    v1::{Address, Delta, DeltaKind, Event},
};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{Account, Adapter, Capabilities, Streaming, intents::Intents, pace::Pace};

mod turn;

use turn::Turn;

/// Answers shown at once; more are only sent when they are done.
const MAX_TURNS: usize = 256;

/// What of one account's answers is shown live.
pub(crate) struct Live<A> {
    pub(crate) adapter: Arc<A>,
    pub(crate) account: Arc<Account>,
    pub(crate) capabilities: Capabilities,
    pub(crate) intents: Arc<Intents>,
    pub(crate) pace: Arc<Pace>,
    /// Proof that this process hears the account, and that it sends for it.
    pub(crate) fences: Mutex<Fences>,
    /// By the id of the outbound that will bring the whole answer.
    pub(crate) turns: Mutex<HashMap<String, Arc<Turn>>>,
}

#[derive(Default)]
pub(crate) struct Fences {
    hears: Option<Fence>,
    sends: Option<Fence>,
}

impl<A: Adapter> Live<A> {
    /// Shows what is told live, until `stop`.
    ///
    /// # Errors
    /// The connection to the bus is closed for good.
    pub(crate) async fn run(&self, bus: &Bus, stop: &CancellationToken) -> Result<(), bus::Error> {
        if !self.capabilities.typing && !self.previews() {
            stop.cancelled().await;
            return Ok(());
        }
        let mut deltas = bus.listen::<Delta>(&self.account.deltas()).await?;
        let platform = proto::subject::token(&self.account.platform);
        let mut ends = stream::SelectAll::new();
        for kind in ["answered", "failed", "aborted"] {
            ends.push(
                bus.listen::<Event>(&format!("live.event.{kind}.{platform}.>"))
                    .await?,
            );
        }
        let mut shows = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some((_, delta)) = deltas.next() => {
                    if let Some((outbound_id, turn)) = self.hear(delta) {
                        shows.push(self.show(outbound_id, turn));
                    }
                }
                Some((_, event)) = ends.next() => self.end(&event.turn_id),
                Some(()) = shows.next(), if !shows.is_empty() => {}
            }
        }
    }

    /// Whether answers of this account are shown while they grow.
    pub(crate) fn previews(&self) -> bool {
        let able = self.capabilities.edits && self.capabilities.streaming == Streaming::Edit;
        able && self.account.streaming == Streaming::Edit
    }

    /// This process sends for the account while `fence` holds.
    pub(crate) fn own(&self, fence: &Fence) {
        self.fences().sends = Some(fence.clone());
    }

    /// This process hears the account while `fence` holds.
    pub(crate) fn hears(&self, fence: &Fence) {
        self.fences().hears = Some(fence.clone());
    }

    /// Ends what is shown of an answer, because the whole of it is here: the platform's id of what is shown, to be
    /// edited. Nothing of it is shown after this, by any process.
    ///
    /// # Errors
    /// The bus is away.
    pub(crate) async fn close(
        &self,
        outbound_id: &str,
        to: &Address,
    ) -> Result<Option<String>, bus::Error> {
        let turn = self.turns().remove(outbound_id);
        let key = crate::intents::key(outbound_id, "p");
        if let Some(turn) = turn {
            // Whatever is on its way to the platform ends before the answer goes.
            let message_id = turn.close().await;
            if message_id.is_some() {
                self.intents.remember(&key).await?;
                return Ok(message_id);
            }
        }
        self.intents.close(&key, to).await
    }

    /// Takes in a piece of an answer; the turn if it is the first of one.
    fn hear(&self, delta: Delta) -> Option<(String, Arc<Turn>)> {
        let outbound_id = id::of_outbound(&delta.turn_id, 0);
        let mut turns = self.turns();
        match (delta.kind(), turns.get(&outbound_id)) {
            (DeltaKind::Start, None) if turns.len() < MAX_TURNS => {
                let mut to = delta
                    .reply_to
                    .clone()
                    .filter(|to| to.account == self.account.name)?;
                if !self.capabilities.threads {
                    to.thread.clear();
                }
                let turn = Arc::new(Turn::new(to));
                turn.hear(&delta);
                turns.insert(outbound_id.clone(), turn.clone());
                Some((outbound_id, turn))
            }
            (_, Some(turn)) => {
                turn.hear(&delta);
                None
            }
            _ => None,
        }
    }

    fn end(&self, turn_id: &str) {
        if let Some(turn) = self.turns().get(&id::of_outbound(turn_id, 0)) {
            turn.over.cancel();
        }
    }

    /// Shows one answer until it is over.
    async fn show(&self, outbound_id: String, turn: Arc<Turn>) {
        let (mut typing_at, mut edit_at) = (Instant::now(), None);
        while let Some(news) = turn.news() {
            let now = Instant::now();
            if self.capabilities.typing && !news.shown && now >= typing_at {
                typing_at = now + turn::TYPING_EVERY;
                self.show_typing(&turn).await;
            }
            let due = news
                .changed
                .then(|| edit_at.unwrap_or(news.first_text_at + turn::FIRST_AFTER));
            if self.previews() && due.is_some_and(|due| now >= due) {
                edit_at = Some(now + self.capabilities.min_edit_interval.max(turn::EDIT_EVERY));
                turn.grow(self, &outbound_id).await;
                continue;
            }
            let wake = due
                .map_or(typing_at, |due| due.min(typing_at))
                .max(now + Duration::from_millis(50));
            tokio::select! {
                () = turn.over.cancelled() => break,
                () = turn.changed.notified() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        let mut turns = self.turns();
        if turns
            .get(&outbound_id)
            .is_some_and(|known| Arc::ptr_eq(known, &turn))
        {
            turns.remove(&outbound_id);
        }
    }

    async fn show_typing(&self, turn: &Turn) {
        let ours = {
            let fences = self.fences();
            [&fences.hears, &fences.sends]
                .into_iter()
                .flatten()
                .any(Fence::holds)
        };
        if ours
            && self.pace.try_take(&turn.to, false)
            && let Err(error) = self.adapter.send(&turn.to, &crate::Action::Typing).await
        {
            debug!(error = &error as &dyn std::error::Error, "typing not shown");
            if let crate::Error::RateLimited(pause) = error {
                self.pace.refused(&turn.to, pause);
            }
        }
    }

    /// Whether this process, and no other, sends for the account.
    fn sends(&self) -> bool {
        self.fences().sends.as_ref().is_some_and(Fence::holds)
    }

    fn fences(&self) -> MutexGuard<'_, Fences> {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<String, Arc<Turn>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
