//! Who works on a group's shards now, and which of them are whose: told by beats, decided the same by all.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// What each worker of a group tells the others a few times a second. Not stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Beat {
    /// Unique to one life of one process.
    pub(crate) worker: String,
    /// Milliseconds since the worker was born: its own echo tells it how fresh its lease is.
    pub(crate) sent_ms: u64,
    /// The shards that it holds or is about to take.
    pub(crate) shards: Vec<usize>,
    /// It takes no more and hands over what it has.
    pub(crate) leaving: bool,
}

struct Peer {
    heard: Instant,
    shards: Vec<usize>,
    leaving: bool,
}

/// The workers of a group, as one of them hears them.
pub(crate) struct Members {
    me: String,
    lease: Duration,
    born: Instant,
    peers: HashMap<String, Peer>,
}

impl Members {
    pub(crate) fn new(me: &str, lease: Duration, born: Instant) -> Self {
        Self {
            me: me.to_owned(),
            lease,
            born,
            peers: HashMap::new(),
        }
    }

    /// Takes note of a beat; whether it changes who should have what.
    pub(crate) fn hear(&mut self, beat: Beat, now: Instant) -> bool {
        if beat.worker == self.me {
            return false;
        }
        let peer = Peer {
            heard: now,
            shards: beat.shards,
            leaving: beat.leaving,
        };
        let gone = peer.leaving && peer.shards.is_empty();
        let news = |before: &Peer| before.shards != peer.shards || before.leaving != peer.leaving;
        let changed = self.peers.get(&beat.worker).is_none_or(news);
        if gone {
            return self.peers.remove(&beat.worker).is_some();
        }
        self.peers.insert(beat.worker, peer);
        changed
    }

    /// Forgets those who were silent for a lease.
    pub(crate) fn forget_silent(&mut self, now: Instant) {
        let lease = self.lease;
        self.peers
            .retain(|_, peer| now.duration_since(peer.heard) < lease);
    }

    /// Listened long enough to have heard everybody who lives.
    pub(crate) fn settled(&self, now: Instant) -> bool {
        now.duration_since(self.born) >= self.lease
    }

    /// Another worker says that it has this shard.
    pub(crate) fn taken(&self, shard: usize) -> bool {
        self.peers.values().any(|peer| peer.shards.contains(&shard))
    }

    /// For each of `count` shards, whether it should be mine.
    pub(crate) fn mine(&self, count: usize) -> Vec<bool> {
        let others = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.leaving)
            .map(|(name, _)| name.as_str());
        let mut workers: Vec<&str> = others.chain([self.me.as_str()]).collect();
        workers.sort_unstable();
        share(&workers, count)
            .into_iter()
            .map(|worker| workers[worker] == self.me)
            .collect()
    }
}

/// For each shard the index of its worker: the highest hash of (worker, shard) among those who are not full.
///
/// Everybody who knows the same workers comes to the same answer; shares differ by one at most.
fn share(workers: &[&str], count: usize) -> Vec<usize> {
    let mut load = vec![0_usize; workers.len()];
    let (least, extra) = (count / workers.len(), count % workers.len());
    let mut chosen = Vec::with_capacity(count);
    for shard in 0..count {
        let full = load.iter().filter(|load| **load > least).count() >= extra;
        let free = |worker: &usize| load[*worker] < least || (load[*worker] == least && !full);
        let rank = |worker: &usize| {
            let hash = blake3::hash(format!("{}/{shard}", workers[*worker]).as_bytes());
            *hash.as_bytes()
        };
        let best = (0..workers.len())
            .filter(free)
            .max_by_key(rank)
            .unwrap_or_default();
        load[best] += 1;
        chosen.push(best);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(worker: &str, shards: &[usize], leaving: bool) -> Beat {
        Beat {
            worker: worker.into(),
            sent_ms: 0,
            shards: shards.into(),
            leaving,
        }
    }

    #[test]
    fn shares_are_even_and_all_is_shared() {
        for workers in 1..7 {
            let names: Vec<String> = (0..workers).map(|n| format!("w{n}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut load = vec![0; workers];
            for worker in share(&names, 16) {
                load[worker] += 1;
            }
            assert!(
                load.iter().max().unwrap() - load.iter().min().unwrap() <= 1,
                "{load:?}"
            );
        }
    }

    #[test]
    fn two_workers_never_want_the_same_shard() {
        let now = Instant::now();
        let lease = Duration::from_secs(1);
        let (mut a, mut b) = (Members::new("a", lease, now), Members::new("b", lease, now));
        a.hear(beat("b", &[], false), now);
        b.hear(beat("a", &[], false), now);
        for (a, b) in a.mine(16).into_iter().zip(b.mine(16)) {
            assert!(a ^ b);
        }
    }

    #[test]
    fn the_silent_and_the_leaving_get_nothing() {
        let now = Instant::now();
        let lease = Duration::from_secs(1);
        let mut members = Members::new("a", lease, now);
        assert!(members.hear(beat("b", &[3], false), now));
        assert!(members.taken(3));
        assert!(members.hear(beat("b", &[3], true), now));
        assert!(members.mine(8).into_iter().all(|mine| mine), "b is leaving");
        assert!(members.taken(3), "but has not handed over yet");
        members.forget_silent(now + lease);
        assert!(!members.taken(3));
    }

    #[test]
    fn a_beat_is_written_as_workers_of_other_versions_read_it() {
        let golden = r#"{"worker":"a","sent_ms":0,"shards":[3,5],"leaving":true}"#;
        assert_eq!(
            serde_json::to_string(&beat("a", &[3, 5], true)).unwrap(),
            golden
        );
        let read: Beat = serde_json::from_str(golden).unwrap();
        assert_eq!(
            (read.worker.as_str(), read.shards.as_slice(), read.leaving),
            ("a", &[3, 5][..], true)
        );
    }
}
