//! Devices that wait to be approved: one wish a device, the same for all replicas and after restarts.

use proto::v1::{DeviceFacts, DeviceWish};
use uuid::Uuid;

use super::{Devices, record, union};
use crate::refusal::Refusal;

/// How long a wish stands.
const LIFETIME_MS: i64 = 5 * 60 * 1000;
/// Most devices that wait at once.
const MAX_WAITING: usize = 256;
/// What keys of wishes begin with.
const WISH: &str = "wish.";

/// A wish that was noted.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) wish: DeviceWish,
    /// Nobody was told of it yet.
    pub(crate) new: bool,
    /// An older wish of the device that this one takes the place of.
    pub(crate) superseded: Option<DeviceWish>,
}

impl Devices {
    /// Notes that a device waits. One that asks again for the same, or less, keeps its request; one that asks for more
    /// gets a new one, so that nobody approves what they have not seen.
    ///
    /// # Errors
    /// When the bus is away, or too many wait.
    pub(crate) async fn wish(&self, asked: DeviceWish, now_ms: i64) -> Result<Noted, Refusal> {
        let (store, key) = (self.store(), key(&asked.device_id));
        let known = store.get::<DeviceWish>(&key).await?;
        let stands = known
            .as_ref()
            .map(|(wish, _)| wish)
            .filter(|wish| wish.expires_at_ms > now_ms);
        if let Some(wish) = stands.filter(|wish| covers(wish, &asked)) {
            return Ok(Noted {
                wish: wish.clone(),
                new: false,
                superseded: None,
            });
        }
        if stands.is_none() && self.waiting(now_ms).await?.len() >= MAX_WAITING {
            return Err(Refusal::Busy(
                "too many devices wait to be approved; look at them with `openclaw devices list`"
                    .into(),
            ));
        }
        let superseded = stands.cloned();
        let wish = joined(superseded.as_ref(), asked, now_ms);
        let stored = match &known {
            Some((_, revision)) => store.update(&key, &wish, *revision).await?,
            None => store.create(&key, &wish).await?,
        };
        if stored.is_none() {
            // The device asked through another replica at the same moment: what stands there is told.
            if let Some((wish, _)) = store.get::<DeviceWish>(&key).await? {
                return Ok(Noted {
                    wish,
                    new: false,
                    superseded: None,
                });
            }
        }
        Ok(Noted {
            wish,
            new: true,
            superseded,
        })
    }

    /// Who waits, longest first. Clears away who has waited too long.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn waiting(&self, now_ms: i64) -> Result<Vec<DeviceWish>, Refusal> {
        let store = self.store();
        let mut waiting = Vec::new();
        for (key, wish, _) in store.all::<DeviceWish>().await? {
            if !key.starts_with(WISH) {
                continue;
            }
            if wish.expires_at_ms > now_ms {
                waiting.push(wish);
            } else {
                store.delete(&key).await?;
            }
        }
        waiting.sort_by_key(|wish| wish.asked_at_ms);
        Ok(waiting)
    }

    /// The wish `request_id`.
    ///
    /// # Errors
    /// There is none, any more; or the bus is away.
    pub(crate) async fn wished(
        &self,
        request_id: &str,
        now_ms: i64,
    ) -> Result<DeviceWish, Refusal> {
        let mut waiting = self.waiting(now_ms).await?.into_iter();
        let found = waiting.find(|wish| wish.request_id == request_id);
        found.ok_or_else(unknown)
    }

    /// Takes away what the device waits for, if it does.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn waits_no_more(&self, device: &str) -> Result<(), bus::Error> {
        let (store, key) = (self.store(), key(device));
        match store.get::<DeviceWish>(&key).await? {
            Some(_) => store.delete(&key).await,
            None => Ok(()),
        }
    }

    /// Takes a wish away for whoever decides about it: of two who do so at once, one.
    ///
    /// # Errors
    /// Somebody was faster; or the bus is away.
    pub(crate) async fn take(&self, wish: &DeviceWish) -> Result<(), Refusal> {
        let (store, key) = (self.store(), key(&wish.device_id));
        let Some((found, revision)) = store.get::<DeviceWish>(&key).await? else {
            return Err(unknown());
        };
        if found.request_id != wish.request_id {
            return Err(unknown());
        }
        let taken = DeviceWish::default();
        if store.update(&key, &taken, revision).await?.is_none() {
            return Err(unknown());
        }
        Ok(store.delete(&key).await?)
    }
}

/// What a device waits for, as the reference counts the ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// It was never let in, or no longer is.
    Unpaired,
    /// It was let in in another role.
    Role,
    /// It was let in with fewer scopes.
    Scope,
    /// It was another kind of machine.
    Metadata,
}

impl Upgrade {
    /// The reason on the wire, and in words for people.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Unpaired => ("not-paired", "device is not approved yet"),
            Self::Role => (
                "role-upgrade",
                "device is asking for a higher role than currently approved",
            ),
            Self::Scope => (
                "scope-upgrade",
                "device is asking for more scopes than currently approved",
            ),
            Self::Metadata => (
                "metadata-upgrade",
                "device identity changed and must be re-approved",
            ),
        }
    }
}

fn covers(wish: &DeviceWish, asked: &DeviceWish) -> bool {
    let nothing = DeviceFacts::default();
    let facts = |wish: &DeviceWish| wish.facts.clone().unwrap_or_default();
    let same = wish.facts.is_some() == asked.facts.is_some()
        && !record::is_other(wish.facts.as_ref().unwrap_or(&nothing), &facts(asked));
    same && asked.roles.iter().all(|role| wish.roles.contains(role))
        && asked.scopes.iter().all(|scope| wish.scopes.contains(scope))
}

fn joined(older: Option<&DeviceWish>, asked: DeviceWish, now_ms: i64) -> DeviceWish {
    let (roles, scopes) = older.map_or((&[][..], &[][..]), |wish| (&wish.roles, &wish.scopes));
    DeviceWish {
        request_id: Uuid::new_v4().to_string(),
        roles: union(roles, &asked.roles),
        scopes: union(scopes, &asked.scopes),
        asked_at_ms: now_ms,
        expires_at_ms: now_ms + LIFETIME_MS,
        ..asked
    }
}

fn key(device: &str) -> String {
    format!("{WISH}{device}")
}

fn unknown() -> Refusal {
    Refusal::NotFound("unknown requestId".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(roles: &[&str], scopes: &[&str], platform: &str) -> DeviceWish {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        DeviceWish {
            device_id: "d".into(),
            roles: texts(roles),
            scopes: texts(scopes),
            facts: Some(DeviceFacts {
                platform: platform.into(),
                ..DeviceFacts::default()
            }),
            ..DeviceWish::default()
        }
    }

    #[test]
    fn who_asks_for_more_gets_a_new_request_with_both() {
        let first = joined(None, asks(&["operator"], &["a"], "linux"), 1);
        assert!(covers(&first, &asks(&["operator"], &["a"], "linux")));
        assert!(covers(&first, &asks(&["operator"], &[], "linux")));
        assert!(!covers(&first, &asks(&["operator"], &["b"], "linux")));
        assert!(!covers(&first, &asks(&["operator"], &["a"], "macos")));
        let both = joined(Some(&first), asks(&["node"], &[], "linux"), 2);
        assert_ne!(both.request_id, first.request_id);
        assert_eq!(both.roles, ["operator", "node"]);
        assert!(covers(&both, &asks(&["operator"], &["a"], "linux")));
        assert_eq!(both.expires_at_ms, 2 + LIFETIME_MS);
    }
}
