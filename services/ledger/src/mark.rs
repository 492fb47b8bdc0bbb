//! What an event means for the journey of its message: pure functions from event to mark and names.

use proto::{
    id,
    v1::{Address, Event, Inbound, event::What, inbound::Body},
};

/// An agent is asked.
pub(crate) const ASKED: i64 = 1;
/// Its turn ended.
pub(crate) const ENDED: i64 = 2;
/// An answer is to be sent.
pub(crate) const OWED: i64 = 4;
/// The answer was sent, or nobody knows whether it was.
pub(crate) const SETTLED: i64 = 8;
/// Given up.
pub(crate) const DEAD: i64 = 16;

/// What one event adds to a journey; marks of one journey may come in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Bits that are set from now on.
    pub(crate) flags: i64,
    /// When the next step should have been taken, Unix epoch; 0 where the event does not say.
    pub(crate) due_ms: i64,
    /// When the writer is told that the message waits, Unix epoch; 0 where nobody is told.
    pub(crate) slow_ms: i64,
}

/// What `event` means for its journey; `None` where it means nothing.
pub(crate) fn mark(event: &Event) -> Option<Mark> {
    let ended = |outbound_id: &str| match outbound_id {
        "" => ENDED,
        _ => ENDED | OWED,
    };
    let flags = match event.what.as_ref()? {
        What::Accepted(accepted) if accepted.turn => {
            return Some(Mark {
                flags: ASKED,
                due_ms: accepted.deadline_ms.max(event.at_ms),
                slow_ms: accepted.slow_at_ms,
            });
        }
        What::Answered(answered) => ended(&answered.outbound_id),
        What::Failed(failed) => ended(&failed.outbound_id),
        What::Aborted(_) => ENDED,
        What::Sent(sent)
            if is_answer(event, &sent.outbound_id) && sent.chunk + 1 >= sent.chunks =>
        {
            SETTLED
        }
        What::Unsure(unsure)
            if is_answer(event, &unsure.outbound_id) && unsure.chunk + 1 >= unsure.chunks =>
        {
            SETTLED
        }
        What::Dead(dead) if dead.outbound_id.is_empty() || is_answer(event, &dead.outbound_id) => {
            DEAD
        }
        _ => return None,
    };
    Some(Mark {
        flags,
        due_ms: event.at_ms,
        slow_ms: 0,
    })
}

/// Whether an outbound is the answer to the event's message, and not a notice or a side effect.
pub(crate) fn is_answer(event: &Event, outbound_id: &str) -> bool {
    outbound_id == id::of_outbound(&event.turn_id, 0)
}

/// What people may call the event's message by.
pub(crate) fn names(event: &Event) -> Vec<&str> {
    let mut names = match &event.what {
        Some(What::Accepted(accepted)) => {
            let inbound = accepted.inbound.as_ref();
            let address = inbound.and_then(|inbound| inbound.address.as_ref());
            vec![
                conversation(address),
                event.session_key.as_str(),
                inbound.map_or("", message_id),
            ]
        }
        Some(What::Refused(refused)) => {
            vec![
                conversation(refused.address.as_ref()),
                event.session_key.as_str(),
            ]
        }
        Some(What::Sent(sent)) => vec![sent.platform_message_id.as_str()],
        Some(What::Delivered(delivered)) => vec![delivered.platform_message_id.as_str()],
        _ => Vec::new(),
    };
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

fn conversation(address: Option<&Address>) -> &str {
    address.map_or("", |address| &address.conversation)
}

/// The platform's id of what was written.
pub(crate) fn message_id(inbound: &Inbound) -> &str {
    match &inbound.body {
        Some(Body::Said(said)) => &said.message_id,
        Some(Body::Pressed(pressed)) => &pressed.message_id,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{Accepted, Answered, Dead, Said, Sent};

    use super::*;

    fn event(what: What) -> Event {
        Event {
            at_ms: 10,
            turn_id: "t".into(),
            session_key: "telegram:dm:1".into(),
            what: Some(what),
            ..Event::default()
        }
    }

    fn flags(what: What) -> i64 {
        mark(&event(what)).map_or(0, |mark| mark.flags)
    }

    #[test]
    fn only_the_last_piece_of_the_answer_settles_it() {
        let sent = |outbound_id: &str, chunk| {
            flags(What::Sent(Sent {
                outbound_id: outbound_id.into(),
                chunk,
                chunks: 2,
                ..Sent::default()
            }))
        };
        assert_eq!(
            [sent("t-0", 0), sent("t-0", 1), sent("t-slow", 1)],
            [0, SETTLED, 0]
        );
    }

    #[test]
    fn a_dead_notice_does_not_end_the_journey() {
        let dead = |outbound_id: &str| {
            flags(What::Dead(Dead {
                outbound_id: outbound_id.into(),
                ..Dead::default()
            }))
        };
        assert_eq!(
            [dead(""), dead("t-0"), dead("t-slow"), dead("t-1")],
            [DEAD, DEAD, 0, 0]
        );
    }

    #[test]
    fn an_answer_that_nobody_waits_for_owes_nothing() {
        let answered = |outbound_id: &str| {
            flags(What::Answered(Answered {
                outbound_id: outbound_id.into(),
                ..Answered::default()
            }))
        };
        assert_eq!([answered(""), answered("t-0")], [ENDED, ENDED | OWED]);
    }

    #[test]
    fn a_message_is_called_by_its_conversation_session_and_platform_id() {
        let inbound = Inbound {
            address: Some(Address {
                conversation: "7".into(),
                ..Address::default()
            }),
            body: Some(Body::Said(Said {
                message_id: "5".into(),
                ..Said::default()
            })),
            ..Inbound::default()
        };
        let accepted = event(What::Accepted(Accepted {
            inbound: Some(inbound),
            ..Accepted::default()
        }));
        assert_eq!(names(&accepted), ["5", "7", "telegram:dm:1"]);
    }
}
