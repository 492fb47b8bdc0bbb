//! How a client proves that it may come: by the shared token, by a token of its device, or by a one-time claim.

use proto::v1::{Device, DeviceClaim};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    params::{Connect, Role},
    rejection::Rejection,
};
use crate::devices::{
    record,
    token::{self, Key},
};

/// The shared token, kept as its hash: comparing takes the same time whatever is compared.
#[derive(Clone)]
pub(crate) struct Secret(Option<Kept>);

#[derive(Clone)]
struct Kept {
    hash: [u8; 32],
    devices: Key,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(***)")
    }
}

/// How a client proved that it may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By the shared token, or because none is asked for, on the gateway's own machine: whoever operates it.
    Owner,
    /// By the shared token from elsewhere: its device must be approved all the same.
    Secret,
    /// By the token of its device.
    Token,
    /// By a one-time claim.
    Claim,
}

/// What a proof is held against.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) secret: &'a Secret,
    /// The record of the device, whose key it has shown to hold.
    pub(super) record: Option<&'a Device>,
    /// The claim that it shows, if that is good for this device.
    pub(super) claim: Option<&'a DeviceClaim>,
    /// It is on the gateway's machine.
    pub(super) local: bool,
}

impl Secret {
    /// Of the settings' token; an empty one means that none is asked for.
    pub(crate) fn new(token: &str) -> Self {
        Self((!token.is_empty()).then(|| Kept {
            hash: Sha256::digest(token).into(),
            devices: blake3::derive_key("openclaw gateway tokens of devices", token.as_bytes()),
        }))
    }

    /// Whether there is one.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether `guess` is it. Never true where there is none.
    pub(crate) fn is(&self, guess: &str) -> bool {
        let guess: [u8; 32] = Sha256::digest(guess).into();
        let own = self.0.as_ref();
        own.is_some_and(|own| own.hash.ct_eq(&guess).into())
    }

    /// What tokens of devices are made from.
    pub(crate) fn device_key(&self) -> Option<&Key> {
        self.0.as_ref().map(|kept| &kept.devices)
    }
}

/// How the client proves that it may come. The shared token counts most, so that who knows it can ask for more than a
/// token of a device allows.
///
/// # Errors
/// It does not.
pub(super) fn prove(
    connect: &Connect,
    protocol: u8,
    role: Role,
    known: Known<'_>,
) -> Result<Proof, Rejection> {
    let auth = &connect.auth;
    let shared = given([&auth.token, &auth.password]);
    let own = given([&auth.token, &auth.device_token]);
    // Not `any`: it would stop at the first that is right.
    let knows = shared
        .iter()
        .fold(false, |right, guess| known.secret.is(guess) | right);
    let kept = known
        .record
        .and_then(|record| record::token_of(record, role.name()));
    let holds = kept.is_some_and(|kept| {
        own.iter()
            .fold(false, |right, guess| token::is(kept, guess) | right)
    });
    let trusted = knows || !known.secret.is_set();
    let claimed = known.claim.is_some_and(|claim| claim.role == role.name());
    match () {
        () if trusted && known.local => Ok(Proof::Owner),
        () if claimed => Ok(Proof::Claim),
        () if trusted => Ok(Proof::Secret),
        () if holds => Ok(Proof::Token),
        () => Err(why_not(connect, protocol, known.record.is_some())),
    }
}

/// The token of the device among what the client shows.
pub(super) fn shown<'a>(connect: &'a Connect, kept: &proto::v1::DeviceToken) -> Option<&'a str> {
    let auth = &connect.auth;
    let own = given([&auth.token, &auth.device_token]);
    own.into_iter().find(|guess| token::is(kept, guess))
}

fn why_not(connect: &Connect, protocol: u8, known: bool) -> Rejection {
    let auth = &connect.auth;
    let (page, device) = (connect.client.is_page(), connect.device.is_some());
    let has = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let shared = has(&auth.token) || has(&auth.password);
    match () {
        () if has(&auth.device_token) && device => Rejection::device_token(),
        () if has(&auth.bootstrap_token) && device => Rejection::claim(),
        // Clients of protocol 3 send either token in this field and drop a device's on these words.
        () if shared && device && known && protocol < 4 => Rejection::device_token(),
        () if shared => Rejection::mismatch(protocol, page, device),
        () if device => Rejection::missing(protocol, page),
        () => Rejection::no_device(),
    }
}

fn given<const N: usize>(texts: [&Option<String>; N]) -> Vec<&str> {
    let texts = texts.into_iter().flatten().map(String::as_str);
    texts.filter(|text| !text.is_empty()).collect()
}
