//! A claim on a shard: a record changed by compare-and-swap, whose revision is the epoch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{Bucket, Bus, Error, Store};

/// Who has a shard; an empty worker is nobody.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Owner {
    #[prost(string, tag = "1")]
    pub(crate) worker: String,
}

/// A claim that was won.
pub(crate) struct Claim {
    store: Store,
    key: String,
    worker: String,
    revision: AtomicU64,
}

/// How an attempt went.
pub(crate) enum Attempt {
    Won(Claim),
    /// It may belong to somebody who was not heard yet, or somebody was faster.
    NotNow,
}

impl Claim {
    /// Tries to take a shard. `settled`: everybody alive was heard, so another owner on record is dead.
    pub(crate) async fn take(
        bus: &Bus,
        shard: &str,
        worker: &str,
        settled: bool,
    ) -> Result<Attempt, Error> {
        let store = bus.bucket(Bucket::Owners);
        let key = shard.replace(
            |c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-',
            "_",
        );
        let mine = Owner {
            worker: worker.to_owned(),
        };
        let won = match store.get::<Owner>(&key).await? {
            Some((owner, _)) if !settled && !owner.worker.is_empty() && owner.worker != worker => {
                None
            }
            Some((_, revision)) => store.update(&key, &mine, revision).await?,
            None => store.create(&key, &mine).await?,
        };
        Ok(won.map_or(Attempt::NotNow, |revision| {
            let revision = AtomicU64::new(revision);
            Attempt::Won(Self {
                store,
                key,
                worker: worker.to_owned(),
                revision,
            })
        }))
    }

    /// The fencing number: higher than that of any earlier owner.
    pub(crate) fn epoch(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// Begins a new epoch of the same ownership; `false` when somebody else has taken the shard.
    pub(crate) async fn renew(&self) -> Result<bool, Error> {
        self.write(&self.worker).await
    }

    /// Gives the shard up, so that the next owner need not wait.
    pub(crate) async fn release(&self) -> Result<bool, Error> {
        self.write("").await
    }

    /// Whether the record still names this claim.
    pub(crate) async fn stands(&self) -> Result<bool, Error> {
        let record = self.store.get::<Owner>(&self.key).await?;
        Ok(record.is_some_and(|(_, revision)| revision == self.epoch()))
    }

    async fn write(&self, worker: &str) -> Result<bool, Error> {
        let owner = Owner {
            worker: worker.to_owned(),
        };
        let revision = self.store.update(&self.key, &owner, self.epoch()).await?;
        if let Some(revision) = revision {
            self.revision.store(revision, Ordering::Relaxed);
        }
        Ok(revision.is_some())
    }
}

/// Whether this process may still act for a shard; asked right before anything that people see.
#[derive(Clone)]
pub struct Fence {
    lost: Arc<AtomicBool>,
    pulse: Arc<Pulse>,
}

/// When the others last can have heard us, by our own echo through the server.
pub(crate) struct Pulse {
    born: Instant,
    deadman: Duration,
    echoed_ms: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(born: Instant, lease: Duration) -> Self {
        Self {
            born,
            deadman: lease.mul_f32(0.7),
            echoed_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn echo(&self, sent_ms: u64) {
        self.echoed_ms.fetch_max(sent_ms, Ordering::Relaxed);
    }

    fn fresh(&self) -> bool {
        let echoed = self.born + Duration::from_millis(self.echoed_ms.load(Ordering::Relaxed));
        echoed.elapsed() < self.deadman
    }
}

impl Fence {
    pub(crate) fn new(pulse: Arc<Pulse>) -> Self {
        Self {
            lost: Arc::default(),
            pulse,
        }
    }

    /// False once the shard is lost, and while it may be: the lease is older than 0.7 of its length.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.lost.load(Ordering::Relaxed) && self.pulse.fresh()
    }

    /// True once the shard is another's for good.
    pub(crate) fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn an_owner_is_written_as_processes_of_other_versions_read_it() {
        let golden = b"\x0a\x02w1";
        let owner = Owner {
            worker: "w1".into(),
        };
        assert_eq!(owner.encode_to_vec(), golden);
        assert_eq!(Owner::decode(&golden[..]).unwrap(), owner);
    }
}
