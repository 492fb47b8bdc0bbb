//! Why a client is not let in: what it is answered, and how its socket is closed.

use proto::{
    v1::{Device, DeviceWish},
    ws::Error,
};
use serde_json::{Value, json};

use super::{decide::Grant, device::Fault};
use crate::devices::wish::Upgrade;

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rejection {
    code: &'static str,
    /// For people; also the close reason unless `reason` says otherwise.
    pub(crate) message: String,
    /// Close code.
    pub(crate) close: u16,
    reason: Option<String>,
    /// Details for protocol 4.
    details: Option<Box<Value>>,
    /// Details for protocol 3, which knows few.
    old_details: Option<Box<Value>>,
    retry_after_ms: Option<u64>,
    /// Counts as a wrong guess.
    pub(crate) is_guess: bool,
}

impl Rejection {
    /// `INVALID_REQUEST` and close code 1008.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: "INVALID_REQUEST",
            message: message.into(),
            close: 1008,
            reason: None,
            details: None,
            old_details: None,
            retry_after_ms: None,
            is_guess: false,
        }
    }

    /// The client speaks none of our protocols.
    pub(crate) fn protocol(min: u32, max: u32) -> Self {
        let details = json!({
            "code": "PROTOCOL_MISMATCH", "clientMinProtocol": min, "clientMaxProtocol": max,
            "expectedProtocol": 4, "minimumProbeProtocol": 3,
        });
        Self {
            close: 1002,
            old_details: Some(Box::new(details.clone())),
            details: Some(Box::new(details)),
            ..Self::invalid("protocol mismatch")
        }
    }

    /// The page is not ours, or a page's program came without a page.
    pub(crate) fn origin() -> Self {
        Self::invalid(
            "origin not allowed (open the Control UI from the gateway host or allow it in \
             gateway.controlUi.allowedOrigins)",
        )
        .detailed(json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin-not-allowed"}))
    }

    /// The proof of the device is wrong.
    pub(crate) fn device(fault: Fault) -> Self {
        let (message, code, reason) = fault.words();
        let is_guess = matches!(fault, Fault::Signature | Fault::Identity | Fault::Key);
        Self {
            is_guess,
            ..Self::invalid(message)
        }
        .detailed(json!({"code": code, "reason": reason}))
    }

    /// A shared secret that is not ours.
    pub(crate) fn mismatch(protocol: u8, page: bool, device: bool) -> Self {
        let hint = hint(protocol, page);
        let next = if device {
            "retry_with_device_token"
        } else {
            "update_auth_credentials"
        };
        let message = format!("unauthorized: gateway token mismatch ({hint})");
        Self {
            is_guess: true,
            ..Self::invalid(message)
        }
        .detailed(json!({
            "code": "AUTH_TOKEN_MISMATCH", "authReason": "token_mismatch",
            "canRetryWithDeviceToken": device, "recommendedNextStep": next,
        }))
    }

    /// No shared secret at all.
    pub(crate) fn missing(protocol: u8, page: bool) -> Self {
        let hint = hint(protocol, page);
        Self::invalid(format!("unauthorized: gateway token missing ({hint})")).detailed(json!({
            "code": "AUTH_TOKEN_MISSING", "authReason": "token_missing",
            "canRetryWithDeviceToken": false, "recommendedNextStep": "update_auth_configuration",
        }))
    }

    /// The token of the device is not the one that it has now.
    pub(crate) fn device_token() -> Self {
        Self {
            is_guess: true,
            ..Self::invalid("unauthorized: device token mismatch (rotate/reissue device token)")
        }
        .detailed(json!({
            "code": "AUTH_DEVICE_TOKEN_MISMATCH", "authReason": "device_token_mismatch",
            "canRetryWithDeviceToken": false, "recommendedNextStep": "update_auth_credentials",
        }))
    }

    /// The one-time claim is none, is used up, or has run out.
    pub(crate) fn claim() -> Self {
        Self {
            is_guess: true,
            ..Self::invalid(
                "unauthorized: bootstrap token invalid or expired (make a new one: openclaw pair)",
            )
        }
        .detailed(json!({
            "code": "AUTH_BOOTSTRAP_TOKEN_INVALID", "authReason": "bootstrap_token_invalid",
            "canRetryWithDeviceToken": false, "recommendedNextStep": "update_auth_credentials",
        }))
    }

    /// The token of the device, or the claim, does not cover the scopes that are asked for.
    pub(crate) fn scopes(claim: bool) -> Self {
        Self::invalid(match claim {
            true => "unauthorized: bootstrap token scope mismatch (make one for more: openclaw pair --admin)",
            false => "unauthorized: device token scope mismatch (re-pair or approve scope upgrade)",
        })
        .detailed(json!({
            "code": "AUTH_SCOPE_MISMATCH", "authReason": "scope_mismatch",
            "canRetryWithDeviceToken": false, "recommendedNextStep": "review_auth_configuration",
        }))
    }

    /// It could not be looked up who the client is.
    pub(crate) fn away(message: impl Into<String>) -> Self {
        Self {
            code: "UNAVAILABLE",
            close: 1013,
            retry_after_ms: Some(1000),
            ..Self::invalid(message)
        }
    }

    /// Too many wrong guesses.
    pub(crate) fn limited(retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::invalid("unauthorized: too many failed authentication attempts (retry later)")
        }
        .detailed(json!({
            "code": "AUTH_RATE_LIMITED", "authReason": "rate_limited",
            "canRetryWithDeviceToken": false, "recommendedNextStep": "wait_then_retry",
        }))
    }

    /// A client that must show a device shows none.
    pub(crate) fn no_device() -> Self {
        Self {
            code: "NOT_PAIRED",
            ..Self::invalid("device identity required")
        }
        .detailed(json!({"code": "DEVICE_IDENTITY_REQUIRED"}))
    }

    /// A program that a person looks at shows no device.
    pub(crate) fn no_device_ui() -> Self {
        Self::invalid("control ui requires device identity (use HTTPS or localhost secure context)")
            .detailed(json!({"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"}))
    }

    /// A device that somebody has to approve first; `before` is its record.
    pub(crate) fn unpaired(
        protocol: u8,
        upgrade: Upgrade,
        wish: &DeviceWish,
        grant: &Grant,
        before: Option<&Device>,
    ) -> Self {
        let old_details = Some(Box::new(json!({"requestId": wish.request_id})));
        if protocol < 4 {
            let base = Self::invalid("pairing required");
            return Self {
                code: "NOT_PAIRED",
                old_details,
                ..base
            };
        }
        let (reason, words) = upgrade.words();
        let message = format!("pairing required: {words}");
        let mut details = json!({
            "code": "PAIRING_REQUIRED", "reason": reason, "requestId": wish.request_id,
            "remediationHint": "Approve this device from the pending pairing requests.",
            "recommendedNextStep": "wait_then_retry", "retryable": true, "pauseReconnect": false,
            "deviceId": wish.device_id, "requestedRole": grant.role.name(), "requestedScopes": grant.scopes.names(),
        });
        if let Some(before) = before.filter(|_| upgrade != Upgrade::Unpaired) {
            details["approvedRoles"] = json!(before.roles);
            details["approvedScopes"] = json!(before.scopes);
        }
        Self {
            code: "NOT_PAIRED",
            reason: Some(format!("{message} (requestId: {})", wish.request_id)),
            old_details,
            ..Self::invalid(message)
        }
        .detailed(details)
    }

    fn detailed(self, details: Value) -> Self {
        Self {
            details: Some(Box::new(details)),
            ..self
        }
    }

    /// What the `error` of the response says to a client of `protocol`.
    pub(crate) fn error(&self, protocol: u8) -> Error {
        Error {
            code: self.code,
            message: self.message.clone(),
            details: if protocol < 4 {
                &self.old_details
            } else {
                &self.details
            }
            .as_deref()
            .cloned(),
            retryable: self.retry_after_ms.map(|_| true),
            retry_after_ms: self.retry_after_ms,
        }
    }

    /// Close reason.
    pub(crate) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(&self.message)
    }
}

/// What a person can do about a token that is missing or wrong.
fn hint(protocol: u8, page: bool) -> &'static str {
    match (protocol, page) {
        (_, true) => "open the dashboard URL and paste the token in Control UI settings",
        (3, false) => "set gateway.remote.token to match gateway.auth.token",
        _ => "use this gateway's gateway.auth.token or pair the device",
    }
}
