//! How a run ended, whoever asks for it.

use proto::v1::{Event, event::What};

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) end: End,
    /// What the agent said; of a run that was stopped, what it had said until then.
    pub(crate) text: String,
    /// stop, length, ... in the provider's words, or who stopped it.
    pub(crate) stop_reason: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    /// When the agent was asked, Unix epoch; 0 where it never was.
    pub(crate) started_at_ms: i64,
    /// Unix epoch.
    pub(crate) ended_at_ms: i64,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// An answer.
    #[default]
    Answered,
    /// Somebody stopped it.
    Aborted,
    /// No answer, and why not in a sentence.
    Failed {
        /// refusal, timeout, rate_limit, context_length, unauthorized, unavailable, unknown.
        kind: String,
        message: String,
    },
}

impl Verdict {
    /// What `event` says; a failure where it is no end at all.
    pub(crate) fn of(event: &Event) -> Self {
        let blank = Self {
            ended_at_ms: event.at_ms,
            ..Self::default()
        };
        let failed = |kind: &str, message: String| Self {
            end: End::Failed {
                kind: kind.into(),
                message,
            },
            ..blank.clone()
        };
        match &event.what {
            Some(What::Answered(answered)) => Self {
                text: answered.text.clone(),
                stop_reason: match answered.stop_reason.as_str() {
                    "" => "stop".into(),
                    reason => reason.into(),
                },
                provider: answered.provider.clone(),
                model: answered.model.clone(),
                input_tokens: answered.input_tokens,
                output_tokens: answered.output_tokens,
                started_at_ms: answered.started_at_ms,
                ..blank
            },
            Some(What::Aborted(aborted)) => Self {
                end: End::Aborted,
                text: aborted.partial_text.clone(),
                stop_reason: aborted.why.clone(),
                started_at_ms: aborted.started_at_ms,
                ..blank
            },
            Some(What::Failed(it)) => Self {
                provider: it.provider.clone(),
                model: it.model.clone(),
                started_at_ms: it.started_at_ms,
                ..failed(&it.kind, it.message.clone())
            },
            Some(What::Refused(refused)) => failed(
                "unknown",
                format!("The message was not taken: {}", refused.reason),
            ),
            _ => failed("unknown", SET_ASIDE.into()),
        }
    }
}

/// What is said of a message that is a dead letter now.
pub(crate) const SET_ASIDE: &str = "The message could not be processed and was set aside.";

#[cfg(test)]
mod tests {
    use proto::v1::{Aborted, Answered, Dead};

    use super::*;

    fn verdict(what: What) -> Verdict {
        Verdict::of(&Event {
            at_ms: 9,
            what: Some(what),
            ..Event::default()
        })
    }

    #[test]
    fn an_answer_always_has_a_reason_to_end() {
        let answered = verdict(What::Answered(Answered {
            text: "hi".into(),
            ..Answered::default()
        }));
        assert_eq!(
            (answered.end, answered.stop_reason.as_str()),
            (End::Answered, "stop")
        );
    }

    #[test]
    fn what_was_stopped_or_set_aside_is_no_answer() {
        let aborted = verdict(What::Aborted(Aborted {
            partial_text: "ha".into(),
            why: "rpc".into(),
            ..Aborted::default()
        }));
        assert_eq!(
            (aborted.end, aborted.text.as_str(), aborted.ended_at_ms),
            (End::Aborted, "ha", 9)
        );
        let dead = verdict(What::Dead(Dead::default()));
        assert!(matches!(dead.end, End::Failed { message, .. } if message == SET_ASIDE));
    }
}
