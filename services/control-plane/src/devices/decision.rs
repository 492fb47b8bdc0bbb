//! Decisions about devices: approved, rejected, forgotten; tokens rotated and revoked; told to every replica's clients.

use chassis::clock::now_ms;
use proto::v1::{Device, DeviceWish};

use super::{
    authority::Authority,
    record::{self, Approval},
    shown::{Requested, Resolved},
    token::Issued,
    wish::Noted,
};
use crate::{
    clients::Audience,
    gateway::Gateway,
    nodes::Change,
    outbox::Worth,
    refusal::Refusal,
    scope::{Scope, Scopes},
};

/// Operators who may let devices in.
const DECIDERS: Audience = Audience {
    scope: Some(Scope::Pairing),
    protocols: (3, 4),
};

impl Gateway {
    /// Notes that a device waits, and tells who can decide.
    ///
    /// # Errors
    /// When the bus is away, or too many wait.
    pub(crate) async fn device_asks(&self, wish: DeviceWish) -> Result<DeviceWish, Refusal> {
        let noted = self.devices.wish(wish, now_ms()).await?;
        let Noted {
            wish,
            new,
            superseded,
        } = noted;
        if let Some(older) = superseded {
            self.tell_resolved(&older.request_id, &older.device_id, "superseded")
                .await;
        }
        if new {
            tracing::info!(
                device.id = %wish.device_id, request.id = %wish.request_id, reason = %wish.reason,
                "device `{}` waits to be approved: openclaw devices approve {}", wish.device_id, wish.request_id
            );
            let event = Requested::of(&wish);
            self.announce("device.pair.requested", &event, DECIDERS, Worth::Needed)
                .await;
        }
        Ok(wish)
    }

    /// Lets a device in that waits.
    ///
    /// # Errors
    /// It does not wait; it wants more than `by` may hand out; the bus is away.
    pub(crate) async fn approve_device(
        &self,
        request_id: &str,
        by: &Authority,
    ) -> Result<(DeviceWish, Device), Refusal> {
        let wish = self.devices.wished(request_id, now_ms()).await?;
        let wanted = Scopes::granted(wish.scopes.iter().map(String::as_str));
        by.hand(&wish.device_id, &wanted, None)?;
        let known = self.devices.find(&wish.device_id).await;
        let has = |role: &String| {
            known
                .as_ref()
                .is_some_and(|device| device.roles.contains(role))
        };
        if !by.is_admin() && !wish.roles.iter().all(has) {
            return Err(Refusal::Missing(Scope::Admin));
        }
        self.devices.take(&wish).await?;
        let facts = wish.facts.clone().unwrap_or_default();
        let approval = Approval {
            id: &wish.device_id,
            public_key: &wish.public_key,
            facts: &facts,
            roles: &wish.roles,
            scopes: &wish.scopes,
            via: "owner",
        };
        let device = self.let_device_in(&approval).await?;
        self.tell_resolved(&wish.request_id, &wish.device_id, "approved")
            .await;
        Ok((wish, device))
    }

    /// Puts an approval on record.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn let_device_in(&self, approval: &Approval<'_>) -> Result<Device, Refusal> {
        let secret = self.secret();
        let key = secret.device_key();
        let approve = |before| Ok((record::approve(before, approval, key, now_ms()), ()));
        let (device, ()) = self.devices.change(approval.id, approve).await?;
        tracing::info!(
            device.id = %device.id, via = approval.via, roles = ?device.roles, scopes = ?device.scopes,
            "let device `{}` in", device.id
        );
        Ok(device)
    }

    /// Turns a device away that waits.
    ///
    /// # Errors
    /// It does not wait; it is not for `by` to decide; the bus is away.
    pub(crate) async fn reject_device(
        &self,
        request_id: &str,
        by: &Authority,
    ) -> Result<DeviceWish, Refusal> {
        let wish = self.devices.wished(request_id, now_ms()).await?;
        if !by.covers(&wish.device_id) {
            return Err(Refusal::Missing(Scope::Admin));
        }
        self.devices.take(&wish).await?;
        tracing::info!(device.id = %wish.device_id, "turned device `{}` away", wish.device_id);
        self.tell_resolved(&wish.request_id, &wish.device_id, "rejected")
            .await;
        Ok(wish)
    }

    /// Forgets a device; its connections end. Returns what was known of it.
    ///
    /// # Errors
    /// It is not known; it is not for `by` to decide; the bus is away.
    pub(crate) async fn remove_device(&self, id: &str, by: &Authority) -> Result<Device, Refusal> {
        if !by.covers(id) {
            return Err(Refusal::Missing(Scope::Admin));
        }
        let forget = |before: Option<Device>| {
            let before = before.ok_or_else(|| Refusal::NotFound("unknown deviceId".into()))?;
            Ok((record::removed(&before, now_ms()), before))
        };
        let (_, before) = self.devices.change(id, forget).await?;
        // What it was approved to do as a node goes with it: the same key let in again begins anew.
        self.nodes.change(id, |_| Change::Gone).await?;
        tracing::info!(device.id = id, "forgot device `{id}`");
        Ok(before)
    }

    /// Gives a device a new token for `role`; the old one is void and its connections end.
    ///
    /// # Errors
    /// `None` where there is no such token, or more is wanted than `by` and the record allow.
    pub(crate) async fn rotate_token(
        &self,
        id: &str,
        role: &str,
        scopes: Option<&[String]>,
        by: &Authority,
    ) -> Result<Option<(Device, Issued)>, Refusal> {
        let secret = self.secret();
        let key = secret.device_key();
        let rotate = |before: Option<Device>| {
            let denied = || Refusal::NotFound(String::new());
            let mut device = before.ok_or_else(denied)?;
            let old = record::token_of(&device, role).ok_or_else(denied)?;
            let scopes = match (role, scopes) {
                ("operator", Some(scopes)) => scopes.to_vec(),
                ("operator", None) => old.scopes.clone(),
                _ => Vec::new(),
            };
            let wanted = Scopes::granted(scopes.iter().map(String::as_str));
            by.hand(id, &wanted, Some(&record::approved(&device)))
                .map_err(|_| denied())?;
            let issued = record::renew(&mut device, role, wanted.owned_names(), key, now_ms());
            Ok((device, issued))
        };
        let rotated = self.devices.change(id, rotate).await;
        found(rotated, || {
            tracing::info!(device.id = id, role, "rotated a token of device `{id}`")
        })
    }

    /// Voids the token of a device for `role`, or for all roles where `role` is empty; its connections end.
    ///
    /// # Errors
    /// `None` where there is no such token, or it is not for `by` to decide.
    pub(crate) async fn revoke_token(
        &self,
        id: &str,
        role: &str,
        by: &Authority,
    ) -> Result<Option<Device>, Refusal> {
        let revoke = |before: Option<Device>| {
            let denied = || Refusal::NotFound(String::new());
            let mut device = before.filter(|_| by.covers(id)).ok_or_else(denied)?;
            let roles = match role {
                "" => device.roles.clone(),
                role => vec![role.to_owned()],
            };
            // Not `any`: it would stop at the first.
            let revoked = roles.iter().fold(false, |revoked, role| {
                record::revoke(&mut device, role, now_ms()) | revoked
            });
            match revoked {
                true => Ok((device, ())),
                false => Err(denied()),
            }
        };
        let revoked = self.devices.change(id, revoke).await;
        let revoked = found(revoked, || {
            tracing::info!(device.id = id, role, "revoked tokens of device `{id}`")
        });
        Ok(revoked?.map(|(device, ())| device))
    }

    /// Tells who can decide that a device no longer waits.
    pub(crate) async fn tell_resolved(&self, request: &str, device: &str, decision: &'static str) {
        let event = Resolved::new(request, device, decision, now_ms());
        self.announce("device.pair.resolved", &event, DECIDERS, Worth::Needed)
            .await;
    }
}

/// `None` for what is not there.
fn found<T>(outcome: Result<T, Refusal>, log: impl FnOnce()) -> Result<Option<T>, Refusal> {
    match outcome {
        Ok(done) => {
            log();
            Ok(Some(done))
        }
        Err(Refusal::NotFound(_)) => Ok(None),
        Err(other) => Err(other),
    }
}
