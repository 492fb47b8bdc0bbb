//! What the events of a message say of its way.

use proto::v1::{Aborted, Inbound, Refused};

use super::*;

fn event(at_ms: i64, what: What) -> Event {
    Event {
        at_ms,
        agent: "main".into(),
        turn_id: "t".into(),
        what: Some(what),
        ..Event::default()
    }
}

fn accepted() -> Event {
    let inbound = Inbound {
        occurred_at_ms: 1000,
        received_at_ms: 1010,
        ..Inbound::default()
    };
    let accepted = Accepted {
        inbound: Some(inbound),
        text: "a secret".into(),
        turn: true,
        ..Accepted::default()
    };
    event(1020, What::Accepted(accepted))
}

fn answered(outbound_id: &str) -> Event {
    let answered = Answered {
        text: "a secret".into(),
        provider: "openai".into(),
        model: "m".into(),
        started_at_ms: 1030,
        outbound_id: outbound_id.into(),
        ..Answered::default()
    };
    event(2000, What::Answered(answered))
}

fn sent(outbound_id: &str, chunk: u32, chunks: u32) -> Event {
    let sent = Sent {
        outbound_id: outbound_id.into(),
        chunk,
        chunks,
        platform_message_id: "77".into(),
        sending_at_ms: 2010,
        ..Sent::default()
    };
    event(2020, What::Sent(sent))
}

fn dead(outbound_id: &str) -> Event {
    let dead = Dead {
        reason: "expired".into(),
        outbound_id: outbound_id.into(),
        ..Dead::default()
    };
    event(3000, What::Dead(dead))
}

fn names(walk: &Walk) -> Vec<&str> {
    walk.steps.iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn an_answered_message_has_every_step_in_order_and_no_word_of_it() {
    // The adapter may be faster than the event that says that there is an answer.
    let walk = walk(&[accepted(), sent("t-0", 0, 1), answered("t-0")]);
    let all = [
        "written", "received", "routed", "started", "answered", "sending", "sent",
    ];
    assert_eq!(names(&walk), all);
    assert_eq!((walk.end(), walk.agent.as_str()), (WalkEnd::Reply, "main"));
    assert!(!format!("{walk:?}").contains("secret"));
}

#[test]
fn each_way_has_exactly_one_end() {
    let refused = event(5, What::Refused(Refused::default()));
    let aborted = event(5, What::Aborted(Aborted::default()));
    let unsure = |chunk| {
        let unsure = Unsure {
            outbound_id: "t-0".into(),
            chunk,
            chunks: 1,
            ..Unsure::default()
        };
        event(5, What::Unsure(unsure))
    };
    let ends = [
        (vec![accepted()], WalkEnd::None),
        (vec![refused], WalkEnd::Silence),
        (vec![accepted(), aborted], WalkEnd::Silence),
        (vec![accepted(), answered("")], WalkEnd::Reply),
        (vec![accepted(), answered("t-0")], WalkEnd::None),
        (
            vec![accepted(), answered("t-0"), sent("t-0", 0, 2)],
            WalkEnd::None,
        ),
        (
            vec![accepted(), answered("t-0"), sent("t-0", 1, 2)],
            WalkEnd::Reply,
        ),
        (
            vec![accepted(), answered("t-0"), unsure(0)],
            WalkEnd::Unsure,
        ),
        (
            vec![accepted(), dead(""), sent("t-dead", 0, 1)],
            WalkEnd::Dead,
        ),
        (
            vec![accepted(), answered("t-0"), dead("t-0")],
            WalkEnd::Dead,
        ),
        (vec![accepted(), dead("t-slow")], WalkEnd::None),
        (
            vec![accepted(), dead(""), answered("t-0"), sent("t-0", 0, 1)],
            WalkEnd::Reply,
        ),
        (vec![dead(""), sent("t-dead", 0, 1)], WalkEnd::Dead),
        (vec![sent("an-operators", 0, 1)], WalkEnd::Reply),
    ];
    for (events, end) in ends {
        assert_eq!(walk(&events).end(), end, "{events:?}");
    }
}

#[test]
fn what_is_owed_is_the_next_piece() {
    assert_eq!(owed(&[accepted()]), None);
    assert_eq!(
        owed(&[accepted(), answered("t-0"), sent("t-0", 0, 2)]),
        Some(("t-0".into(), 1))
    );
    assert_eq!(
        owed(&[accepted(), answered("t-0"), sent("t-0", 1, 2)]),
        None
    );
}

#[test]
fn a_notice_is_named_and_a_piece_is_counted() {
    assert_eq!(piece("t-0", 0, 1), "");
    assert_eq!(piece("t-0", 1, 3), "2 of 3");
    assert_eq!(piece("t-slow", 0, 1), "the notice that it waits");
}
