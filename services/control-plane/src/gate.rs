//! How many may wait to be let in: a cap for each address and one for all.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// Who has waited this long for nothing makes room for a newcomer from the same address.
const PATIENCE: Duration = Duration::from_secs(1);

/// Counts who waits. A refusal costs one look into a map.
#[derive(Debug)]
pub(crate) struct Gate<K> {
    most: usize,
    waiting: Mutex<Waiting<K>>,
}

#[derive(Debug)]
struct Waiting<K> {
    count: usize,
    last_id: u64,
    of: HashMap<K, VecDeque<Slot>>,
}

#[derive(Debug)]
struct Slot {
    id: u64,
    since: Instant,
    leave: CancellationToken,
}

/// A place among those who wait, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash> {
    gate: Arc<Gate<K>>,
    whose: K,
    id: u64,
    leave: CancellationToken,
}

impl<K: Eq + Hash + Clone> Gate<K> {
    /// A gate where at most `most` wait in all.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let waiting = Waiting {
            count: 0,
            last_id: 0,
            of: HashMap::new(),
        };
        Arc::new(Self {
            most,
            waiting: Mutex::new(waiting),
        })
    }

    /// A place for one more of `whose`, of whom at most `most` may wait; none when it is full.
    pub(crate) fn admit(self: &Arc<Self>, whose: K, most: usize, now: Instant) -> Option<Place<K>> {
        let mut waiting = self.lock();
        let theirs = waiting.of.get(&whose).map_or(0, VecDeque::len);
        if theirs >= most || waiting.count >= self.most {
            let slots = waiting.of.get_mut(&whose)?;
            slots
                .front()
                .filter(|slot| now.duration_since(slot.since) >= PATIENCE)?;
            slots.pop_front()?.leave.cancel();
            waiting.count -= 1;
        }
        waiting.count += 1;
        waiting.last_id += 1;
        let (id, leave) = (waiting.last_id, CancellationToken::new());
        let slot = Slot {
            id,
            since: now,
            leave: leave.clone(),
        };
        waiting.of.entry(whose.clone()).or_default().push_back(slot);
        Some(Place {
            gate: self.clone(),
            whose,
            id,
            leave,
        })
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.lock().count
    }
}

impl<K> Gate<K> {
    fn lock(&self) -> MutexGuard<'_, Waiting<K>> {
        // Nothing in here panics half-way, so what a poisoned lock guards is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Place<K> {
    /// Cancelled when the place was given to a newcomer; never once it was given back.
    pub(crate) fn loss(&self) -> CancellationToken {
        self.leave.clone()
    }

    /// Done when the place was given to a newcomer.
    pub(crate) async fn lost(&self) {
        self.leave.cancelled().await;
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut waiting = self.gate.lock();
        let Some(slots) = waiting.of.get_mut(&self.whose) else {
            return;
        };
        let before = slots.len();
        slots.retain(|slot| slot.id != self.id);
        let freed = before - slots.len();
        if slots.is_empty() {
            waiting.of.remove(&self.whose);
        }
        waiting.count -= freed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_cap_and_all_have_one() {
        let (gate, now) = (Gate::new(3), Instant::now());
        let first = gate.admit("a", 2, now).unwrap();
        let _second = gate.admit("a", 2, now).unwrap();
        assert!(gate.admit("a", 2, now).is_none(), "two of a wait");
        let _third = gate.admit("b", 2, now).unwrap();
        assert!(gate.admit("c", 2, now).is_none(), "three wait in all");
        drop(first);
        assert!(gate.admit("c", 2, now).is_some());
        assert_eq!(gate.count(), 2);
    }

    #[test]
    fn who_idles_makes_room_for_a_newcomer_of_the_same_address() {
        let (gate, now) = (Gate::new(8), Instant::now());
        let idle = gate.admit("a", 1, now).unwrap();
        assert!(gate.admit("a", 1, now + PATIENCE / 2).is_none());
        let newcomer = gate.admit("a", 1, now + PATIENCE).unwrap();
        assert!(idle.leave.is_cancelled());
        drop(idle);
        assert_eq!(gate.count(), 1, "the lost place is not freed twice");
        drop(newcomer);
        assert_eq!(gate.count(), 0);
        assert!(gate.lock().of.is_empty(), "nothing stays of who has left");
    }
}
