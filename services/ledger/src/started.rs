//! Which turns are being answered now, as it is told live: known for as long as this process lives.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bus::Bus;
use futures_util::StreamExt;
use proto::{subject, v1::Started};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Turns remembered; the oldest goes first.
const REMEMBERED: usize = 10_000;
/// Pause before the bus is listened to again.
const BREATH: Duration = Duration::from_secs(1);

/// Turns that have begun; clones share what they know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    at_ms: HashMap<String, i64>,
    order: VecDeque<String>,
}

impl Begun {
    /// When the turn began, Unix epoch, if that was heard.
    pub(crate) fn at_ms(&self, turn_id: &str) -> Option<i64> {
        self.state().at_ms.get(turn_id).copied()
    }

    /// Listens until `stop`.
    pub(crate) async fn hear(&self, bus: &Bus, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match bus.listen::<Started>(subject::STARTED).await {
                Ok(mut heard) => {
                    while let Some(Some((_, started))) =
                        stop.run_until_cancelled(heard.next()).await
                    {
                        self.note(started);
                    }
                }
                Err(error) => debug!(
                    error = &error as &dyn std::error::Error,
                    "turns that begin are not heard"
                ),
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(BREATH)).await;
        }
    }

    fn note(&self, started: Started) {
        let mut state = self.state();
        let State { at_ms, order } = &mut *state;
        if at_ms
            .insert(started.turn_id.clone(), started.at_ms)
            .is_none()
        {
            order.push_back(started.turn_id);
        }
        if order.len() > REMEMBERED {
            order.pop_front().map(|oldest| at_ms.remove(&oldest));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let begun = Begun::default();
        for n in 0..=REMEMBERED {
            begun.note(Started {
                turn_id: n.to_string(),
                at_ms: 7,
            });
        }
        assert_eq!((begun.at_ms("0"), begun.at_ms("1")), (None, Some(7)));
    }
}
