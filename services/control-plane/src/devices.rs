//! Devices that may connect: their records on the bus, which all replicas share, and a copy of them for when it is slow.

use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock},
    time::Duration,
};

use bus::{Bucket, Bus, Store};
use chassis::clock::now_ms;
use proto::v1::{Device, DeviceToken};

use crate::refusal::Refusal;

pub(crate) mod authority;
pub(crate) mod claim;
pub(crate) mod decision;
pub(crate) mod expel;
pub(crate) mod record;
pub(crate) mod shown;
pub(crate) mod token;
pub(crate) mod wish;

/// Most devices that are known at once.
const MAX_DEVICES: usize = 10_000;
/// A handshake waits this long for the record of a device before it takes the copy.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a record is written again that somebody else changed meanwhile.
const TRIES: usize = 16;
/// How long it is remembered that a device was forgotten: longer than any replica lags behind.
const GRAVE_MS: i64 = 24 * 60 * 60 * 1000;

/// Devices in the bucket `devices`: `device.<id>` those let in, `wish.<id>` those that wait, `claim.<hash>` claims.
pub(crate) struct Devices {
    bus: Bus,
    copy: RwLock<HashMap<String, Device>>,
}

impl Devices {
    /// Of the gateway on `bus`; knows none until [`Devices::load`].
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            bus: bus.clone(),
            copy: RwLock::default(),
        }
    }

    fn store(&self) -> Store {
        self.bus.bucket(Bucket::Devices)
    }

    /// Copies every record, and clears away those of devices that were forgotten long ago.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn load(&self) -> Result<(), bus::Error> {
        let now_ms = now_ms();
        for (key, device, _) in self.store().all::<Device>().await? {
            if !key.starts_with(DEVICE) {
                continue;
            }
            if device.removed_at_ms > 0 && now_ms - device.removed_at_ms > GRAVE_MS {
                self.store().delete(&key).await?;
            } else {
                self.note(&device);
            }
        }
        Ok(())
    }

    /// The device `id`, if it was let in and not forgotten: as the bus has it, or as it was last heard of.
    pub(crate) async fn find(&self, id: &str) -> Option<Device> {
        let store = self.store();
        let key = key(id);
        match tokio::time::timeout(PATIENCE, store.get::<Device>(&key)).await {
            Ok(Ok(Some((device, _)))) => {
                self.note(&device);
                known(device)
            }
            Ok(Ok(None)) => None,
            Ok(Err(_)) | Err(_) => self.copied(id).and_then(known),
        }
    }

    /// The device whose token for operators `token` is, and what is kept of that.
    pub(crate) async fn holder(&self, token: &str) -> Option<(Device, DeviceToken)> {
        let kept = |device: &Device| {
            let kept = record::token_of(device, "operator")?;
            token::is(kept, token).then(|| kept.clone())
        };
        let id = {
            let copy = self.copy();
            let mut all = copy.values();
            all.find(|device| kept(device).is_some())?.id.clone()
        };
        // The copy may lag behind: what counts is the record.
        let device = self.find(&id).await?;
        let kept = kept(&device)?;
        Some((device, kept))
    }

    /// Every device that is known, newest first.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn all(&self) -> Result<Vec<Device>, Refusal> {
        let all = self.store().all::<Device>().await?;
        let all = all.into_iter().filter(|(key, ..)| key.starts_with(DEVICE));
        let mut devices: Vec<_> = all.filter_map(|(_, device, _)| known(device)).collect();
        devices.sort_by_key(|device| std::cmp::Reverse(device.approved_at_ms));
        Ok(devices)
    }

    /// Changes the record of `id` by `change`, which is given the record there is, and says what else comes of it.
    ///
    /// `change` may be called several times: whoever else changes the record meanwhile is not overwritten.
    ///
    /// # Errors
    /// That of `change`, or that of the bus.
    pub(crate) async fn change<T>(
        &self,
        id: &str,
        change: impl Fn(Option<Device>) -> Result<(Device, T), Refusal>,
    ) -> Result<(Device, T), Refusal> {
        let (store, key) = (self.store(), key(id));
        for _ in 0..TRIES {
            let before = store.get::<Device>(&key).await?;
            let revision = before.as_ref().map(|(_, revision)| *revision);
            let stamp = before
                .as_ref()
                .map_or(0, |(device, _)| device.changed_at_ms);
            if revision.is_none() && self.copy().len() >= MAX_DEVICES {
                return Err(Refusal::Busy(format!(
                    "{MAX_DEVICES} devices are known already; forget some with `openclaw devices remove`"
                )));
            }
            let before = before.and_then(|(device, _)| known(device));
            let (mut device, rest) = change(before)?;
            device.changed_at_ms = now_ms().max(stamp + 1);
            let stored = match revision {
                Some(revision) => store.update(&key, &device, revision).await?,
                None => store.create(&key, &device).await?,
            };
            if stored.is_some() {
                self.note(&device);
                return Ok((device, rest));
            }
        }
        Err(Refusal::Busy(
            "the device is being changed by somebody else; try again".into(),
        ))
    }

    /// The record as this replica heard of it last, that of a forgotten device included.
    pub(crate) fn copied(&self, id: &str) -> Option<Device> {
        self.copy().get(id).cloned()
    }

    /// Copies a record, unless the copy is newer; `true` if something was new.
    fn note(&self, device: &Device) -> bool {
        let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
        let newest = copy.get(&device.id).map(|own| own.changed_at_ms);
        if newest.is_some_and(|own| own >= device.changed_at_ms) {
            return false;
        }
        copy.insert(device.id.clone(), device.clone());
        true
    }

    fn copy(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Device>> {
        // Nothing panics while it is held for writing, so what a poisoned lock guards is whole.
        self.copy.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the copy of a device whose record is gone for good.
    fn bury(&self, id: &str) {
        let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
        if copy.get(id).is_some_and(|device| device.removed_at_ms > 0) {
            copy.remove(id);
        }
    }
}

/// What keys of devices begin with.
const DEVICE: &str = "device.";

fn key(id: &str) -> String {
    format!("{DEVICE}{id}")
}

fn known(device: Device) -> Option<Device> {
    (device.removed_at_ms == 0).then_some(device)
}

/// The texts of both, each once.
fn union(one: &[String], other: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let both = one.iter().chain(other);
    both.filter(|text| seen.insert(text.as_str()))
        .cloned()
        .collect()
}
