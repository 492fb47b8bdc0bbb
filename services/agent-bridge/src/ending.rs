//! How a turn ends: exactly one event, and what the person gets to read.

use std::time::Duration;

use bus::{Bus, Error, Fence};
use proto::{
    id, subject,
    v1::{Aborted, Answered, Event, Failed, Outbound, Text, Turn, event::What, outbound::Action},
};
use tokio::time::sleep;
use tracing::warn;

use crate::{asking::Answer, failure::Failure};

/// How often it is looked whether a session is surely ours again.
const FENCE_PAUSE: Duration = Duration::from_millis(50);
/// Pause before the bus is tried again; it has tried for a while by itself.
const BUS_PAUSE: Duration = Duration::from_secs(1);

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With an answer.
    Answered(Answer),
    /// With none; the person is told why.
    Failed(Failure),
    /// Stopped by a person: what was said until then, and who stopped it.
    Aborted(String, &'static str),
}

/// Who answered, and at what cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Name of the provider.
    pub provider: String,
    /// Name of the model.
    pub model: String,
    /// Millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// When the turn was taken, Unix epoch.
    pub started_at_ms: i64,
    /// From taking the turn to its end.
    pub took_ms: u64,
}

impl Ending {
    /// `answered`, `aborted`, or the kind of the failure.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Failed(failure) => failure.kind(),
            Self::Aborted(..) => "aborted",
        }
    }

    /// The event that says so. Its id is the same whenever the turn ends in this way.
    pub(crate) fn event(&self, turn: &Turn, account: Account, at_ms: i64) -> Event {
        let outbound_id = match self.is_told(turn) {
            true => id::of_outbound(&turn.id, 0),
            false => String::new(),
        };
        let started_at_ms = account.started_at_ms;
        let what = match self {
            Self::Answered(answer) => What::Answered(Answered {
                text: answer.text.clone(),
                provider: account.provider,
                model: account.model,
                input_tokens: answer.usage.input_tokens,
                output_tokens: answer.usage.output_tokens,
                cost_micro_usd: account.cost_micro_usd,
                stop_reason: answer.stop_reason.clone(),
                took_ms: account.took_ms,
                reply_to: turn.reply_to.clone(),
                started_at_ms,
                outbound_id,
            }),
            Self::Failed(failure) => What::Failed(Failed {
                message: failure.message(),
                kind: failure.kind().into(),
                provider: account.provider,
                model: account.model,
                http_status: failure.http_status.into(),
                started_at_ms,
                outbound_id,
            }),
            Self::Aborted(partial_text, why) => What::Aborted(Aborted {
                partial_text: partial_text.clone(),
                why: (*why).into(),
                started_at_ms,
            }),
        };
        let mut event = Event {
            at_ms,
            agent: turn.agent.clone(),
            session_key: turn.session_key.clone(),
            turn_id: turn.id.clone(),
            run_id: turn
                .wish
                .as_ref()
                .map(|wish| wish.run_id.clone())
                .unwrap_or_default(),
            what: Some(what),
            ..Event::default()
        };
        event.id = format!("{}.{}", turn.id, subject::kind(&event));
        event
    }

    /// What the person gets to read on the platform; nothing where nobody waits there, or who stopped it knows.
    pub(crate) fn outbound(&self, turn: &Turn, at_ms: i64) -> Option<Outbound> {
        let markdown = match self {
            Self::Answered(answer) => answer.text.clone(),
            Self::Failed(failure) => failure.message(),
            Self::Aborted(..) => return None,
        };
        let to = turn.reply_to.clone().filter(|_| self.is_told(turn))?;
        let text = Text {
            markdown,
            reply_to: turn.reply_to_message.clone(),
            ..Text::default()
        };
        Some(Outbound {
            id: id::of_outbound(&turn.id, 0),
            to: Some(to),
            action: Some(Action::Text(text)),
            turn_id: turn.id.clone(),
            session_key: turn.session_key.clone(),
            agent: turn.agent.clone(),
            created_at_ms: at_ms,
            expires_at_ms: match turn.lifetime_ms {
                0 => 0,
                lifetime_ms => at_ms.saturating_add(lifetime_ms),
            },
            ..Outbound::default()
        })
    }

    /// Whether the person gets to read something on the platform.
    fn is_told(&self, turn: &Turn) -> bool {
        !matches!(self, Self::Aborted(..)) && turn.deliver && turn.reply_to.is_some()
    }
}

/// Stores both, at once; repeats while the bus is away, and waits while the session may be another's.
///
/// Whoever owns the session by then ends the wait by dropping it.
///
/// # Errors
/// When the bus will never take one of them; the message says why.
pub(crate) async fn publish(
    bus: &Bus,
    fence: &Fence,
    turn: &Turn,
    event: &Event,
    outbound: Option<&Outbound>,
) -> Result<(), String> {
    let event = async {
        // All endings of a turn share one id on the bus, so that a turn done again after a crash ends once.
        let id = format!("{}.end", turn.id);
        store(bus, fence, &subject::event(event), &id, event).await
    };
    let outbound = async {
        match outbound {
            Some(outbound) => {
                let to = outbound.to.as_ref().ok_or("outbound without address")?;
                store(
                    bus,
                    fence,
                    &subject::outbound(to, turn.priority()),
                    &outbound.id,
                    outbound,
                )
                .await
            }
            None => Ok(()),
        }
    };
    tokio::try_join!(event, outbound).map(|_| ())
}

async fn store<M: prost::Message>(
    bus: &Bus,
    fence: &Fence,
    subject: &str,
    id: &str,
    message: &M,
) -> Result<(), String> {
    loop {
        while !fence.holds() {
            sleep(FENCE_PAUSE).await;
        }
        match bus.publish(subject, id, message).await {
            Ok(_) => return Ok(()),
            Err(error @ (Error::Unavailable(_) | Error::Full(_))) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    message.id = id,
                    "the bus takes no answers; trying on"
                );
                sleep(BUS_PAUSE).await;
            }
            Err(error @ (Error::Refused(_) | Error::Invalid(_))) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::Address;

    use super::*;
    use crate::{backend::Usage, failure::Problem};

    fn turn() -> Turn {
        Turn {
            id: "t".into(),
            session_key: "telegram:dm:1".into(),
            reply_to: Some(Address {
                platform: "telegram".into(),
                ..Address::default()
            }),
            reply_to_message: "7".into(),
            deliver: true,
            ..Turn::default()
        }
    }

    fn answered() -> Ending {
        Ending::Answered(Answer {
            text: "hello".into(),
            stop_reason: "stop".into(),
            usage: Usage {
                input_tokens: 1,
                output_tokens: 2,
            },
            estimated: false,
        })
    }

    #[test]
    fn the_same_turn_makes_the_same_ids() {
        let ids = |ending: &Ending, at_ms| {
            let event = ending.event(&turn(), Account::default(), at_ms);
            (
                event.id,
                ending.outbound(&turn(), at_ms).map(|outbound| outbound.id),
            )
        };
        assert_eq!(ids(&answered(), 1), ids(&answered(), 2));
        assert_eq!(
            ids(&answered(), 1),
            ("t.answered".into(), Some("t-0".into()))
        );
        let failed = Ending::Failed(Failure::new(Problem::Garbage, ""));
        assert_eq!(ids(&failed, 1), ("t.failed".into(), Some("t-0".into())));
        assert_eq!(
            ids(&Ending::Aborted("he".into(), "stop"), 1),
            ("t.aborted".into(), None)
        );
    }

    #[test]
    fn nothing_is_sent_where_nobody_waits() {
        let quiet = Turn {
            deliver: false,
            ..turn()
        };
        assert_eq!(answered().outbound(&quiet, 1), None);
        let nowhere = Turn {
            reply_to: None,
            ..turn()
        };
        assert_eq!(answered().outbound(&nowhere, 1), None);
    }

    #[test]
    fn a_person_reads_why_there_is_no_answer() {
        let failure = Failure {
            http_status: 401,
            ..Failure::new(Problem::Unauthorized, "invalid_api_key")
        };
        let ending = Ending::Failed(failure);
        let Some(Action::Text(text)) = ending.outbound(&turn(), 1).unwrap().action else {
            panic!("a text")
        };
        let Some(What::Failed(failed)) = ending.event(&turn(), Account::default(), 1).what else {
            panic!("failed")
        };
        assert!(text.markdown.contains("agent.api_key") && text.reply_to == "7");
        assert_eq!((failed.message, failed.http_status), (text.markdown, 401));
        assert_eq!(
            (failed.kind.as_str(), ending.name()),
            ("unauthorized", "unauthorized")
        );
    }
}
