//! What clients are told of runs, byte by byte.

use proto::v1::{Aborted, Accepted, Answered, Dead, Failed, Refused};

use serde_json::Value;

use super::*;

const KEY: &str = "webchat:main";

fn delta(kind: DeltaKind, text: &str) -> Delta {
    Delta {
        turn_id: "t1".into(),
        agent: "main".into(),
        session_key: KEY.into(),
        text: text.into(),
        kind: kind.into(),
        ..Delta::default()
    }
}

fn event(what: What) -> Event {
    Event {
        turn_id: "t1".into(),
        agent: "main".into(),
        session_key: KEY.into(),
        at_ms: 9,
        what: Some(what),
        ..Event::default()
    }
}

fn texts(tales: &[Tale]) -> Vec<String> {
    tales.iter().map(|tale| tale.event.text(None)).collect()
}

fn answered(text: &str) -> Event {
    event(What::Answered(Answered {
        text: text.into(),
        ..Answered::default()
    }))
}

fn accept() -> Event {
    event(What::Accepted(Accepted {
        turn: true,
        session_id: "s1".into(),
        ..Accepted::default()
    }))
}

fn piece(seq: u64, kind: DeltaKind, text: &str) -> Delta {
    Delta {
        seq,
        ..delta(kind, text)
    }
}

/// The text of the newest tale's message.
fn shown(tales: &[Tale]) -> Option<String> {
    let last: Value = serde_json::from_str(&tales.last()?.event.text(None)).unwrap();
    let text = &last["payload"]["message"]["content"][0]["text"];
    text.as_str().map(ToOwned::to_owned)
}

fn numbers(tales: &[Tale]) -> Vec<u64> {
    let number = |text: &String| {
        let event: Value = serde_json::from_str(text).unwrap();
        event["payload"]["seq"].as_u64().unwrap()
    };
    texts(tales).iter().map(number).collect()
}

#[test]
fn who_joins_late_tells_the_same_numbers_and_never_a_text_without_its_head() {
    let (mut early, mut late, now) = (Runs::new(), Runs::new(), Instant::now());
    early.delta(&piece(1, DeltaKind::Start, ""), now, 1);
    early.delta(&piece(2, DeltaKind::Text, "one "), now, 2);
    let told = early.delta(&piece(3, DeltaKind::Text, "two "), now, 3);
    assert_eq!(numbers(&told), [5, 6]);
    let first = late.delta(&piece(3, DeltaKind::Text, "two "), now, 3);
    assert_eq!(shown(&first), None, "its head was not heard");
    assert!(
        late.delta(&piece(4, DeltaKind::Text, "x"), now, 4)
            .is_empty()
    );
    late.delta(&piece(5, DeltaKind::Restart, ""), now, 4);
    let whole = late.delta(&piece(6, DeltaKind::Text, "one"), now, 4);
    assert_eq!(shown(&whole).unwrap(), "one");
    assert_eq!(numbers(&whole), [11, 12]);
}

#[test]
fn a_piece_that_is_lost_or_repeated_never_shows() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    runs.delta(&piece(1, DeltaKind::Start, ""), now, 1);
    runs.delta(&piece(2, DeltaKind::Text, "one"), now, 2);
    assert!(
        runs.delta(&piece(2, DeltaKind::Text, "one"), now, 2)
            .is_empty()
    );
    assert!(
        runs.delta(&piece(4, DeltaKind::Text, "three"), now, 3)
            .is_empty()
    );
    assert_eq!(
        shown(&runs.happened(&answered("one two three"), now)).unwrap(),
        "one two three"
    );
}

#[test]
fn a_run_that_another_agent_bridge_begins_again_replaces_what_was_told() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    runs.delta(&piece(1, DeltaKind::Start, ""), now, 1);
    let before = runs.delta(&piece(2, DeltaKind::Text, "first"), now, 2);
    assert!(
        runs.delta(&piece(1, DeltaKind::Start, ""), now, 3)
            .is_empty()
    );
    let again = runs.delta(&piece(2, DeltaKind::Text, "second"), now, 4);
    assert!(texts(&again)[1].contains(r#""deltaText":"second","replace":true"#));
    assert_eq!(shown(&again).unwrap(), "second");
    assert!(numbers(&again)[0] > numbers(&before)[1]);
}

#[test]
fn a_long_text_is_told_in_pieces_that_are_worth_it() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    let (mut bytes, mut whole) = (0, String::new());
    for n in 0..2000 {
        let word = "x".repeat(100);
        whole.push_str(&word);
        let told = runs.delta(&piece(n + 2, DeltaKind::Text, &word), now, 1);
        bytes += texts(&told).iter().map(String::len).sum::<usize>();
    }
    assert!(
        bytes < 300 * whole.len(),
        "{bytes} bytes for {}",
        whole.len()
    );
    assert_eq!(
        shown(&runs.happened(&answered(&whole), now)).unwrap(),
        whole
    );
}

#[test]
fn an_end_is_told_again_to_who_was_away_under_a_number_after_all_others() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    runs.asked("t1", "key-1", "main", KEY, now);
    let told = runs.happened(&answered("Hello."), now);
    let again = runs.again(&answered("Hello."));
    assert_eq!(shown(&told), shown(&again));
    assert!(texts(&again)[1].contains(r#""runId":"key-1""#));
    assert!(numbers(&again)[0] > 1_000_000);
    assert!(runs.again(&accept()).is_empty());
    let undelivered = event(What::Dead(Dead {
        outbound_id: "t1-0".into(),
        ..Dead::default()
    }));
    assert!(runs.again(&undelivered).is_empty());
}

#[test]
fn a_run_that_was_let_in_is_known_and_says_its_session() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    assert!(runs.happened(&accept(), now).is_empty());
    assert_eq!(runs.stage("t1"), Stage::Running);
    assert_eq!(runs.of("main", KEY).len(), 1);
    let told = texts(&runs.delta(&piece(1, DeltaKind::Start, ""), now, 1));
    assert!(told[1].contains(r#""sessionId":"s1""#), "{told:?}");
}

#[test]
fn a_run_is_told_from_start_to_end() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    runs.asked("t1", "key-1", "main", KEY, now);
    assert_eq!(runs.stage("t1"), Stage::Running);
    let begun = texts(&runs.delta(&delta(DeltaKind::Start, ""), now, 5));
    assert_eq!(
        begun,
        [
            r#"{"type":"event","event":"chat","payload":{"runId":"key-1","sessionKey":"agent:main:main","agentId":"main","seq":1,"state":"status","phase":"starting_model"}}"#,
            r#"{"type":"event","event":"agent","payload":{"agentId":"main","data":{"phase":"start","startedAt":5},"runId":"key-1","seq":2,"sessionKey":"agent:main:main","stream":"lifecycle","ts":5}}"#,
        ]
    );
    runs.delta(&delta(DeltaKind::Text, "Hel"), now, 6);
    let second = texts(&runs.delta(&delta(DeltaKind::Text, "lo"), now, 7));
    assert_eq!(
        second,
        [
            r#"{"type":"event","event":"agent","payload":{"agentId":"main","data":{"delta":"lo","text":"Hello"},"runId":"key-1","seq":5,"sessionKey":"agent:main:main","stream":"assistant","ts":7}}"#,
            r#"{"type":"event","event":"chat","payload":{"runId":"key-1","sessionKey":"agent:main:main","agentId":"main","seq":6,"state":"delta","deltaText":"lo","message":{"content":[{"text":"Hello","type":"text"}],"role":"assistant","timestamp":7}}}"#
        ]
    );
    let last = texts(&runs.happened(&answered("Hello."), now));
    assert_eq!(
        last[1],
        r#"{"type":"event","event":"chat","payload":{"runId":"key-1","sessionKey":"agent:main:main","agentId":"main","seq":8,"state":"final","stopReason":"stop","message":{"content":[{"text":"Hello.","type":"text"}],"role":"assistant","timestamp":9}}}"#
    );
    assert_eq!(runs.stage("t1"), Stage::Ended);
    assert_eq!(runs.name("t1"), "key-1");
}

#[test]
fn an_end_is_told_once_and_nothing_after_it() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    assert_eq!(
        runs.happened(&answered("one"), now).len(),
        2,
        "also of a run that was never seen"
    );
    assert!(runs.happened(&answered("one"), now).is_empty());
    assert!(
        runs.delta(&delta(DeltaKind::Text, "late"), now, 1)
            .is_empty()
    );
}

#[test]
fn a_text_begun_anew_replaces_what_was_told() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    runs.delta(&delta(DeltaKind::Text, "wrong"), now, 1);
    runs.delta(&delta(DeltaKind::Restart, ""), now, 2);
    let told = texts(&runs.delta(&delta(DeltaKind::Text, "right"), now, 3));
    assert!(
        told[1].contains(r#""deltaText":"right","replace":true"#),
        "{told:?}"
    );
    let told = texts(&runs.delta(&delta(DeltaKind::Text, "!"), now, 3));
    assert!(told[1].contains(r#""deltaText":"!","message""#) && told[1].contains("right!"));
}

#[test]
fn an_abort_and_a_failure_say_why() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    let aborted = Aborted {
        partial_text: "half".into(),
        why: "rpc".into(),
        ..Aborted::default()
    };
    let told = texts(&runs.happened(&event(What::Aborted(aborted)), now));
    assert!(
        told[1].contains(r#""state":"aborted","stopReason":"rpc","message":{"#),
        "{told:?}"
    );
    let mut failed = Failed {
        message: "no".into(),
        kind: "unavailable".into(),
        ..Failed::default()
    };
    (failed.provider, failed.http_status) = ("openai".into(), 500);
    let mut other = event(What::Failed(failed));
    other.turn_id = "t2".into();
    let told = texts(&runs.happened(&other, now));
    assert!(
        told[1].contains(
            r#""state":"error","errorMessage":"no","errorKind":"unknown","errorDetail":{"httpStatus":500,"provider":"openai"}"#
        ),
        "{told:?}"
    );
}

#[test]
fn a_dead_letter_ends_a_run_that_waits_and_no_other() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    assert!(
        runs.happened(&event(What::Dead(Dead::default())), now)
            .is_empty()
    );
    runs.asked("t1", "key-1", "main", KEY, now);
    assert_eq!(
        runs.happened(&event(What::Dead(Dead::default())), now)
            .len(),
        2
    );
}

#[test]
fn a_refusal_ends_a_run_that_was_asked_for_and_has_not_begun() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    let refused = || {
        event(What::Refused(Refused {
            reason: "too fast".into(),
            ..Refused::default()
        }))
    };
    assert!(runs.happened(&refused(), now).is_empty());
    runs.asked("t1", "key-1", "main", KEY, now);
    let told = texts(&runs.happened(&refused(), now));
    assert!(
        told[1].contains("The message was not taken: too fast"),
        "{told:?}"
    );
    let mut begun = Runs::new();
    begun.delta(&delta(DeltaKind::Start, ""), now, 1);
    assert!(begun.happened(&refused(), now).is_empty());
    let mut accepted = Runs::new();
    accepted.happened(&accept(), now);
    assert!(accepted.happened(&refused(), now).is_empty());
}

#[test]
fn runs_are_found_by_session_and_by_either_name() {
    let (mut runs, now) = (Runs::new(), Instant::now());
    runs.asked("t1", "key-1", "main", KEY, now);
    let run = Running {
        id: "key-1".into(),
        turn_id: "t1".into(),
    };
    assert_eq!(runs.of("main", KEY), std::slice::from_ref(&run));
    assert!(runs.of("main", "webchat:dm:x").is_empty());
    for id in ["t1", "key-1"] {
        assert_eq!(runs.find(id), Some((run.clone(), "main", KEY)));
    }
    runs.forget(now + SILENCE);
    assert_eq!(runs.stage("t1"), Stage::Unknown);
}
