//! A bucket held in memory: read without a call, changed by whoever is first, the same on every replica a moment later.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use prost::Message;
use tokio::{sync::watch, time::timeout};

use crate::{Bucket, Bus, Error, Store, pull::Reader};

/// How long [`Mirror::catch_up`] waits for what others have written.
const CATCH_UP: Duration = Duration::from_millis(500);
/// Writers that were faster, after which a change is given up.
const ATTEMPTS: usize = 32;

/// The records of a bucket, held in memory.
pub struct Mirror<M> {
    store: Store,
    records: RwLock<HashMap<String, Held<M>>>,
    /// Revision up to which the bucket was heard.
    heard: watch::Sender<u64>,
}

struct Held<M> {
    revision: u64,
    /// Written by this process and not heard from the bucket yet: what is older is heard too late.
    ours: bool,
    record: Option<Arc<M>>,
}

impl<M: Message + Default + 'static> Mirror<M> {
    /// Reads all that is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn load(bus: &Bus, bucket: Bucket) -> Result<Self, Error> {
        let mirror = Self {
            store: bus.bucket(bucket),
            records: RwLock::default(),
            heard: watch::Sender::new(0),
        };
        let mut reader = mirror.store.reader();
        for _ in 0..reader.open().await? {
            mirror.hear(&mut reader).await;
        }
        Ok(mirror)
    }

    /// Keeps up with changes for ever; `changed` hears of each that is new, by its key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot begin now.
    pub async fn keep_up(&self, mut changed: impl FnMut(&str)) -> Result<(), Error> {
        let mut reader = self.store.reader();
        reader.open().await?;
        loop {
            if let Some(key) = self.hear(&mut reader).await {
                changed(&key);
            }
        }
    }

    /// The record of `key`.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<Arc<M>> {
        self.read().get(key)?.record.clone()
    }

    /// All records with their keys, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Arc<M>)> {
        let all = self.read();
        let held = all.iter();
        held.filter_map(|(key, held)| Some((key.clone(), held.record.clone()?)))
            .collect()
    }

    /// Waits until what the bucket holds now is heard, so that who was told of a change finds it here too.
    ///
    /// Best effort: where the server is away, what is held is the answer.
    pub async fn catch_up(&self) {
        let caught_up = async {
            let Ok(newest) = self.store.newest_revision().await else {
                return;
            };
            let mut heard = self.heard.subscribe();
            let _ = heard.wait_for(|heard| *heard >= newest).await;
        };
        let _ = timeout(CATCH_UP, caught_up).await;
    }

    /// Changes the record of `key` to what `edit` makes of the newest one, again if somebody was faster; `None` removes
    /// it. Returns what is there now.
    ///
    /// # Errors
    /// What `edit` says, or why it cannot be stored.
    pub async fn change<E: From<Error>>(
        &self,
        key: &str,
        mut edit: impl FnMut(Option<&M>) -> Result<Option<M>, E>,
    ) -> Result<Option<Arc<M>>, E> {
        for _ in 0..ATTEMPTS {
            let found = self.store.get::<M>(key).await?;
            let wanted = edit(found.as_ref().map(|(record, _)| record))?;
            let revision = match (&found, &wanted) {
                (None, None) => return Ok(None),
                (Some(_), None) => {
                    self.store.delete(key).await?;
                    self.catch_up().await;
                    return Ok(None);
                }
                (None, Some(record)) => self.store.create(key, record).await?,
                (Some((_, revision)), Some(record)) => {
                    self.store.update(key, record, *revision).await?
                }
            };
            if let (Some(revision), Some(record)) = (revision, wanted) {
                let record = Arc::new(record);
                self.note(key.to_owned(), revision, Some(record.clone()), true);
                return Ok(Some(record));
            }
        }
        Err(Error::Refused(format!("`{key}` is changed by many at once; try again")).into())
    }

    /// Takes the next change in; its key, if it was not known.
    async fn hear(&self, reader: &mut Reader) -> Option<String> {
        let message = reader.next().await;
        let revision = message.info().ok()?.stream_sequence;
        let (key, record) = self.store.change::<M>(&message);
        let news = self.note(key.clone(), revision, record.map(Arc::new), false);
        self.heard.send_if_modified(|heard| {
            let later = revision > *heard;
            *heard = revision.max(*heard);
            later
        });
        news.then_some(key)
    }

    /// Notes a record; false where it was known.
    fn note(&self, key: String, revision: u64, record: Option<Arc<M>>, ours: bool) -> bool {
        let mut records = self.write();
        let held = records.get(&key);
        // What is heard counts, but for what is older than our own; ours counts, but for what is older than what was heard.
        if held.is_some_and(|held| held.ours != ours && revision < held.revision) {
            return false;
        }
        let news = ours || held.is_none_or(|held| held.ours || held.revision != revision);
        let held = Held {
            revision,
            ours,
            record,
        };
        records.insert(key, held);
        news
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Held<M>>> {
        // Nothing panics half-way while it is held.
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Held<M>>> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }
}
