//! Why a request is not done: mapped once to the error of a response, once to the status of a gRPC call.

use proto::ws::Error;
use serde_json::json;
use tonic::Status;

use crate::scope::Scope;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is wrong; the same again is as wrong.
    Invalid(String),
    /// The same idempotency key came with something else.
    Conflict,
    /// The role does not allow it.
    WrongRole(&'static str),
    /// A scope is missing.
    Missing(Scope),
    /// Nothing was done; try again in a moment.
    Busy(String),
    /// It was done as far as it could be and came to nothing.
    Failed(String),
    /// What it is about does not exist.
    NotFound(String),
    /// As the protocol words it, with its details.
    Told(Box<Error>),
}

/// How long a client waits before it tries again.
const RETRY_MS: u64 = 1000;

impl Refusal {
    /// The `error` of a response to a client of `protocol`.
    pub(crate) fn error(&self, protocol: u8) -> Error {
        let invalid = |message: &str| Error {
            code: "INVALID_REQUEST",
            message: message.to_owned(),
            ..Error::default()
        };
        match self {
            Self::Invalid(message) | Self::NotFound(message) => invalid(message),
            Self::Told(error) => (**error).clone(),
            Self::Failed(message) => Error {
                code: "UNAVAILABLE",
                ..invalid(message)
            },
            Self::Conflict => Error {
                details: Some(json!({"reason": "chat-request-conflict"})),
                ..invalid("idempotencyKey was already used for another message; use a new one")
            },
            Self::WrongRole(role) => invalid(&format!("unauthorized role: {role}")),
            Self::Missing(scope) => {
                let error = invalid(&format!("missing scope: {}", scope.name()));
                if protocol < 4 {
                    return error;
                }
                let details = json!({
                    "code": "MISSING_SCOPE", "missingScope": scope.name(), "requiredScopes": [scope.name()],
                });
                Error {
                    code: "FORBIDDEN",
                    details: Some(details),
                    ..error
                }
            }
            Self::Busy(message) => Error {
                code: "UNAVAILABLE",
                retryable: Some(true),
                retry_after_ms: Some(RETRY_MS),
                ..invalid(message)
            },
        }
    }
}

impl From<bus::Error> for Refusal {
    fn from(error: bus::Error) -> Self {
        match error {
            bus::Error::Invalid(why) => Self::Invalid(why),
            bus::Error::Refused(why) => Self::Busy(why),
            error @ (bus::Error::Unavailable(_) | bus::Error::Full(_)) => Self::Busy(format!(
                "{error}; nothing is lost: send the same again with the same idempotencyKey"
            )),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.error(4).message;
        match refusal {
            Refusal::Invalid(_) | Refusal::Conflict => Self::invalid_argument(message),
            Refusal::WrongRole(_) | Refusal::Missing(_) => Self::permission_denied(message),
            Refusal::Busy(_) => Self::unavailable(message),
            Refusal::Failed(_) => Self::aborted(message),
            Refusal::NotFound(_) => Self::not_found(message),
            Refusal::Told(error) if error.code == "UNAVAILABLE" => Self::unavailable(message),
            Refusal::Told(_) => Self::failed_precondition(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_reads_the_same_in_both_protocols_under_two_codes() {
        let refusal = Refusal::Missing(Scope::Write);
        let (old, new) = (refusal.error(3), refusal.error(4));
        assert_eq!((old.code, old.details.clone()), ("INVALID_REQUEST", None));
        assert_eq!(old.message, "missing scope: operator.write");
        assert_eq!(
            serde_json::to_string(&new).unwrap(),
            r#"{"code":"FORBIDDEN","message":"missing scope: operator.write","details":{"code":"MISSING_SCOPE","missingScope":"operator.write","requiredScopes":["operator.write"]}}"#
        );
    }

    #[test]
    fn busy_may_be_tried_again() {
        let error = Refusal::Busy("x".into()).error(4);
        assert_eq!(
            (error.code, error.retryable, error.retry_after_ms),
            ("UNAVAILABLE", Some(true), Some(1000))
        );
    }
}
