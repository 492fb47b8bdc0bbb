//! Which replicas of the control plane live, by the beats that they tell each other.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use proto::v1::ReplicaBeat;

/// How often a replica tells that it lives.
pub(super) const BEAT: Duration = Duration::from_millis(500);
/// Who was silent for this long is gone, and its nodes with it.
const SILENCE: Duration = Duration::from_secs(3);
/// Replicas known at once.
const MOST: usize = 256;

/// Which replicas live.
#[derive(Debug)]
pub(super) struct Replicas {
    own: String,
    heard: Mutex<HashMap<String, Instant>>,
}

impl Replicas {
    /// This one alone, under a name that no other life of any replica has.
    pub(super) fn new(own: String) -> Self {
        Self {
            own,
            heard: Mutex::default(),
        }
    }

    /// This one.
    pub(super) fn own(&self) -> &str {
        &self.own
    }

    /// What this one tells the others.
    pub(super) fn beat(&self, leaving: bool) -> ReplicaBeat {
        ReplicaBeat {
            replica: self.own.clone(),
            leaving,
        }
    }

    /// Takes note of a beat; true for one of a replica that was not known.
    pub(super) fn hear(&self, beat: &ReplicaBeat, now: Instant) -> bool {
        if beat.replica == self.own {
            return false;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if beat.leaving {
            heard.remove(&beat.replica);
            return false;
        }
        heard.retain(|_, at| now.duration_since(*at) < SILENCE);
        if heard.len() >= MOST && !heard.contains_key(&beat.replica) {
            return false;
        }
        heard.insert(beat.replica.clone(), now).is_none()
    }

    /// Whether `replica` lives.
    pub(super) fn lives(&self, replica: &str, now: Instant) -> bool {
        if replica == self.own {
            return true;
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let at = heard.get(replica);
        at.is_some_and(|at| now.duration_since(*at) < SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_lives_while_it_is_heard_and_until_it_says_goodbye() {
        let (replicas, now) = (Replicas::new("a".into()), Instant::now());
        let beat = |leaving| ReplicaBeat {
            replica: "b".into(),
            leaving,
        };
        assert!(replicas.lives("a", now));
        assert!(!replicas.lives("b", now));
        assert!(replicas.hear(&beat(false), now), "news");
        assert!(!replicas.hear(&beat(false), now), "no news");
        assert!(replicas.lives("b", now));
        assert!(!replicas.lives("b", now + SILENCE));
        replicas.hear(&beat(true), now);
        assert!(!replicas.lives("b", now));
        assert!(!replicas.hear(&replicas.beat(false), now), "its own echo");
    }
}
