//! The codes under which operators look things up, and what each asks of them.

use tonic::{Code as Grpc, Status, metadata::MetadataValue};

/// Name of the metadata that carries the code of a refusal.
const METADATA: &str = "openclaw-code";

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The bus, the platform or the process in between is away.
    Transport,
    /// Credentials are refused.
    Credential,
    /// Too fast.
    RateLimit,
    /// A webhook could not prove whose it is.
    Webhook,
    /// The message cannot be made what it has to be.
    Transform,
    /// The message was not taken.
    Delivery,
    /// The message is too large.
    TooLarge,
    /// Who sent it may not.
    Sender,
    /// A signature is wrong.
    Signature,
}

impl Code {
    /// The code as it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Transport => "CONN_001",
            Self::Credential => "CONN_002",
            Self::RateLimit => "CONN_003",
            Self::Webhook => "CONN_004",
            Self::Transform => "MSG_001",
            Self::Delivery => "MSG_002",
            Self::TooLarge => "MSG_003",
            Self::Sender => "SEC_001",
            Self::Signature => "SEC_002",
        }
    }

    /// The code of a failure that is told in words; `None` for silence.
    pub(super) fn of(why: &str) -> Option<Self> {
        let why = why.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
        Some(match () {
            () if why.is_empty() => return None,
            () if says(&["signature"]) => Self::Signature,
            () if says(&["webhook"]) => Self::Webhook,
            () if says(&["unauthorized", "credential", "token"]) => Self::Credential,
            () if says(&["rate limit", "too fast", "too many requests"]) => Self::RateLimit,
            () if says(&["too large", "too long", "is full"]) => Self::TooLarge,
            () if says(&["not allowed", "another platform's subject"]) => Self::Sender,
            () if says(&[
                "undecodable",
                "without a",
                "no address",
                "cannot",
                "unknown to",
            ]) =>
            {
                Self::Transform
            }
            () if says(&["unavailable", "reconnect", "is away", "health check"]) => Self::Transport,
            () => Self::Delivery,
        })
    }

    /// What an operator can do.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Transport => {
                "wait until the connection stands (`openclaw connections list`), then replay or send again"
            }
            Self::Credential => {
                "renew the account's token in the settings and restart it, then `openclaw connections reconnect`"
            }
            Self::RateLimit => "wait; it goes on by itself, or replay later",
            Self::Webhook => "check webhook_url and webhook_secret of the account, then reconnect",
            Self::Transform => {
                "look at it with `openclaw dead show`; replay after an update that understands it, or drop it"
            }
            Self::Delivery => "mend what the platform complains about and replay, or drop it",
            Self::TooLarge => "send less at once, or raise the limit that the text names",
            Self::Sender => "allow the sender (`openclaw pairing`, [router.access]), or drop it",
            Self::Signature => {
                "check that both sides have the same secret; else somebody forges messages"
            }
        }
    }

    /// A refusal of a call under this code: in the text, and as metadata for programs.
    pub(super) fn refuse(self, grpc: Grpc, text: impl std::fmt::Display) -> Status {
        let mut status = Status::new(grpc, format!("{}: {text}", self.name()));
        let name = MetadataValue::from_static(self.name());
        status.metadata_mut().insert(METADATA, name);
        status
    }
}

/// Code and advice of a failure that is told in words, both empty for silence.
pub(super) fn explain(why: &str) -> (String, String) {
    Code::of(why).map_or_else(Default::default, |code| {
        (code.name().into(), code.advice().into())
    })
}

/// What is wrong with a request, and how it would be right.
pub(super) fn wrong(text: impl Into<String>) -> Status {
    Status::invalid_argument(text)
}

/// The bus did not do as asked.
pub(super) fn failed(error: bus::Error) -> Status {
    match error {
        error @ bus::Error::Unavailable(_) => Code::Transport.refuse(
            Grpc::Unavailable,
            format!(
                "{error}; nothing is lost: try again in a moment, or look with `openclaw doctor`"
            ),
        ),
        error @ bus::Error::Full(_) => Code::Delivery.refuse(
            Grpc::ResourceExhausted,
            format!("{error}; see what waits with `openclaw queues` and try again when it is less"),
        ),
        bus::Error::Refused(why) => Code::Transport.refuse(Grpc::FailedPrecondition, why),
        bus::Error::Invalid(why) => match Code::of(&why) {
            Some(code @ Code::TooLarge) => code.refuse(Grpc::InvalidArgument, why),
            _ => wrong(why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_adapters_and_router_say_has_its_code() {
        let codes = [
            (
                "platform unavailable: connection refused, 3 attempts",
                "CONN_001",
            ),
            ("unauthorized: the bot was logged out", "CONN_002"),
            ("rate limited for 3s", "CONN_003"),
            ("the webhook is not called", "CONN_004"),
            ("undecodable: not a message of this version", "MSG_001"),
            ("a message without a text", "MSG_001"),
            ("rejected: chat not found", "MSG_002"),
            ("expired", "MSG_002"),
            ("message of 9000000 bytes is too large", "MSG_003"),
            ("an inbound under another platform's subject", "SEC_001"),
            ("the signature is wrong", "SEC_002"),
        ];
        for (why, code) in codes {
            assert_eq!(Code::of(why).map(Code::name), Some(code), "{why}");
        }
        assert_eq!(Code::of(""), None);
    }

    #[test]
    fn a_refusal_carries_its_code_for_people_and_for_programs() {
        let status = failed(bus::Error::Full("OUT".into()));
        assert_eq!(status.code(), Grpc::ResourceExhausted);
        assert!(status.message().starts_with("MSG_002: "), "{status}");
        assert_eq!(status.metadata().get(METADATA).unwrap(), "MSG_002");
    }
}
