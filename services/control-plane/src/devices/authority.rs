//! Who may decide about a device, and what may be handed to it: the one place where both are checked.

use crate::{
    handshake::{Grant, Proof},
    refusal::Refusal,
    scope::{Scope, Scopes},
};

/// What somebody may decide about devices.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    /// The device that they come with.
    device: Option<String>,
    scopes: Scopes,
}

impl Authority {
    /// Of whoever operates the gateway: everything.
    pub(crate) fn owner() -> Self {
        Self {
            device: None,
            scopes: Scopes::all(),
        }
    }

    /// Of a client. Who knows the shared token on this machine can have any scope for the asking, so narrowing the
    /// scopes of one connection takes nothing away; from elsewhere the scopes are what somebody approved.
    pub(crate) fn of(grant: &Grant) -> Self {
        let scopes = match grant.proof {
            Proof::Owner => Scopes::all(),
            _ => grant.scopes.clone(),
        };
        Self {
            device: grant.device.clone(),
            scopes,
        }
    }

    /// Whether they may decide about every device.
    pub(crate) fn is_admin(&self) -> bool {
        self.scopes.allow(Scope::Admin)
    }

    /// Whether `device` is theirs to decide about: their own, or any for an admin.
    pub(crate) fn covers(&self, device: &str) -> bool {
        self.is_admin() || self.device.as_deref() == Some(device)
    }

    /// Whether it is the device that they come with.
    pub(crate) fn is_own(&self, device: &str) -> bool {
        self.device.as_deref() == Some(device)
    }

    /// Lets `wanted` be handed to `device`: never more than they have themselves, nor more than `approved`, where that
    /// bounds it.
    ///
    /// # Errors
    /// The scope that is missing.
    pub(crate) fn hand(
        &self,
        device: &str,
        wanted: &Scopes,
        approved: Option<&Scopes>,
    ) -> Result<(), Refusal> {
        if !self.covers(device) {
            return Err(Refusal::Missing(Scope::Admin));
        }
        let bounds = std::iter::once(&self.scopes).chain(approved);
        match bounds.filter_map(|bound| wanted.beyond(bound)).next() {
            Some(missing) => Err(Refusal::Missing(missing)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::handshake::Role;

    fn picked(bits: usize) -> Scopes {
        let names = (0..8).filter(|bit| bits & (1 << bit) != 0);
        Scopes::granted(names.map(|bit| Scope::ALL[bit].name()))
    }

    fn caller(proof: Proof, scopes: Scopes) -> Authority {
        Authority::of(&Grant {
            protocol: 4,
            role: Role::Operator,
            scopes,
            device: Some("own".into()),
            proof,
        })
    }

    #[test]
    fn who_is_no_admin_decides_about_the_own_device_only() {
        let pairing = caller(Proof::Token, picked(1 << 5));
        assert!(pairing.covers("own") && !pairing.covers("other"));
        assert!(
            caller(Proof::Token, picked(1 << 2)).covers("other"),
            "an admin"
        );
        assert!(caller(Proof::Owner, Scopes::default()).covers("other"));
        let elsewhere = caller(Proof::Secret, picked(1 << 5));
        assert!(
            !elsewhere.covers("other"),
            "the shared token from elsewhere is no approval"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_handed_over_that_giver_or_record_has_not(
            has in 0..256_usize, approved in 0..256_usize, wanted in 0..256_usize, own in any::<bool>(),
        ) {
            let (has, approved, wanted) = (picked(has), picked(approved), picked(wanted));
            let device = if own { "own" } else { "other" };
            let handed = caller(Proof::Token, has.clone()).hand(device, &wanted, Some(&approved)).is_ok();
            let within = |bound: &Scopes| Scope::ALL.iter().all(|&scope| !wanted.allow(scope) || bound.allow(scope));
            let may = (own || has.allow(Scope::Admin)) && within(&has) && within(&approved);
            prop_assert_eq!(handed, may);
        }
    }
}
