//! Why a request of the HTTP API is not answered, in the shape that OpenAI's clients read.

use axum::{
    body::Body,
    http::{HeaderValue, Method, Response, StatusCode, header},
};
use serde_json::{Value, json};

use crate::{
    refusal::Refusal,
    verdict::{End, Verdict},
};

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    retry_after_s: Option<u64>,
}

/// Mistakes of who asks.
const INVALID: &str = "invalid_request_error";
/// Mistakes of ours, or of the model's provider.
const SERVER: &str = "server_error";

impl Problem {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: None,
            param: None,
            message: message.into(),
            retry_after_s: None,
        }
    }

    /// A parameter that cannot be taken as it is.
    pub(super) fn param(param: &str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, INVALID, message)
        }
    }

    /// A parameter that asks for what agents here do not do.
    pub(super) fn unsupported(param: &str, message: impl Into<String>) -> Self {
        Self {
            code: Some("unsupported_parameter"),
            ..Self::param(param, message)
        }
    }

    /// No JSON, or not of the shape.
    pub(super) fn body(path: &str, why: &str) -> Self {
        let why = why.split(" at line ").next().unwrap_or_default();
        let message = match path {
            "." | "" => format!("The body is not as it should be: {why}."),
            path => format!("`{path}` is not as it should be: {why}."),
        };
        Self::param(path, message)
    }

    pub(super) fn content_type() -> Self {
        let message = "Send JSON, with the header `Content-Type: application/json`.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID, message)
    }

    pub(super) fn too_large(most: usize) -> Self {
        let message = format!("The request is too large; at most {most} bytes are taken.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, message)
    }

    pub(super) fn path(path: &str) -> Self {
        let message = format!(
            "There is nothing at {path}; there are /v1/models, /v1/chat/completions and /v1/responses."
        );
        Self::new(StatusCode::NOT_FOUND, INVALID, message)
    }

    pub(super) fn method(method: &Method, path: &str) -> Self {
        let message = format!("{path} does not take {method}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID, message)
    }

    pub(super) fn model(name: &str) -> Self {
        Self {
            code: Some("model_not_found"),
            param: Some("model".into()),
            ..Self::new(
                StatusCode::NOT_FOUND,
                INVALID,
                format!(
                    "There is no model `{name}`. Models are agents: `openclaw` is the usual one, `openclaw/<agent>` \
                     any other; see /v1/models."
                ),
            )
        }
    }

    /// A page or a name that may not come here.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_error", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self {
            code: Some("invalid_api_key"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                INVALID,
                "Send the gateway's token, or one of a device: `Authorization: Bearer <token>`.",
            )
        }
    }

    /// Too many, too fast, or locked out.
    pub(super) fn slower(message: impl Into<String>, wait_s: u64) -> Self {
        Self {
            code: Some("rate_limit_exceeded"),
            retry_after_s: Some(wait_s.max(1)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
        }
    }

    /// A text that was sent in part was begun anew by the model.
    pub(super) fn anew() -> Self {
        let message = "The model began its answer anew after a part of it was sent. Ask again.";
        Self::new(StatusCode::BAD_GATEWAY, SERVER, message)
    }

    /// # Errors
    /// What a run came to, where that is no answer.
    pub(super) fn of(verdict: &Verdict) -> Result<(), Self> {
        let (kind, message) = match &verdict.end {
            End::Answered => return Ok(()),
            End::Aborted => {
                let message = "The run was stopped before it was done.";
                return Err(Self {
                    code: Some("run_aborted"),
                    // No status that clients take for a reason to ask again by themselves.
                    ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, SERVER, message)
                });
            }
            End::Failed { kind, message } => (kind.as_str(), message),
        };
        let (status, class, code) = match kind {
            "rate_limit" => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "rate_limit_exceeded",
            ),
            "context_length" => (StatusCode::BAD_REQUEST, INVALID, "context_length_exceeded"),
            "refusal" => (StatusCode::BAD_REQUEST, INVALID, "content_filter"),
            "timeout" => (StatusCode::GATEWAY_TIMEOUT, SERVER, "timeout"),
            "unauthorized" => (StatusCode::BAD_GATEWAY, SERVER, "provider_unauthorized"),
            _ => (StatusCode::BAD_GATEWAY, SERVER, "provider_error"),
        };
        Err(Self {
            code: Some(code),
            ..Self::new(status, class, message)
        })
    }

    /// Its body.
    pub(super) fn json(&self) -> Value {
        json!({"error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = super::told(self.status, Some(&self.json()));
        let headers = response.headers_mut();
        if let Some(wait_s) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, wait_s.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let error = refusal.error(4);
        match refusal {
            Refusal::Conflict => Self {
                code: Some("idempotency_conflict"),
                ..Self::new(
                    StatusCode::CONFLICT,
                    INVALID,
                    "This Idempotency-Key was already used for another request; use a new one.",
                )
            },
            Refusal::Missing(_) | Refusal::WrongRole(_) => Self::forbidden(error.message),
            Refusal::Busy(_) => Self {
                retry_after_s: Some(1),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, SERVER, error.message)
            },
            Refusal::NotFound(_) => Self::new(StatusCode::NOT_FOUND, INVALID, error.message),
            Refusal::Failed(_) => Self::new(StatusCode::BAD_GATEWAY, SERVER, error.message),
            _ => Self::new(StatusCode::BAD_REQUEST, INVALID, error.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_four_fields_that_clients_read() {
        assert_eq!(
            Problem::param("model", "no").json(),
            json!({"error": {"message": "no", "type": "invalid_request_error", "param": "model", "code": null}})
        );
        let response = Problem::slower("later", 0).response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert!(
            Problem::unauthorized()
                .response()
                .headers()
                .contains_key("www-authenticate")
        );
    }

    #[test]
    fn what_a_run_came_to_has_a_status() {
        let failed = |kind: &str| {
            let verdict = Verdict {
                end: End::Failed {
                    kind: kind.into(),
                    message: "no".into(),
                },
                ..Verdict::default()
            };
            Problem::of(&verdict).unwrap_err().status.as_u16()
        };
        let all = ["rate_limit", "context_length", "timeout", "unknown"].map(failed);
        assert_eq!(all, [429, 400, 504, 502]);
        assert_eq!(Problem::of(&Verdict::default()), Ok(()));
        let stopped = Verdict {
            end: End::Aborted,
            ..Verdict::default()
        };
        assert_eq!(Problem::of(&stopped).unwrap_err().code, Some("run_aborted"));
    }
}
