//! What clients are told of runs, byte by byte.

use proto::v1::{Aborted, Dead, Refused};

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
            r#"{"type":"event","event":"chat","payload":{"runId":"key-1","sessionKey":"agent:main:main","agentId":"main","seq":4,"state":"delta","deltaText":"lo","message":{"content":[{"text":"Hello","type":"text"}],"role":"assistant","timestamp":7}}}"#
        ]
    );
    let last = texts(&runs.happened(&answered("Hello."), now));
    assert_eq!(
        last[1],
        r#"{"type":"event","event":"chat","payload":{"runId":"key-1","sessionKey":"agent:main:main","agentId":"main","seq":6,"state":"final","stopReason":"stop","message":{"content":[{"text":"Hello.","type":"text"}],"role":"assistant","timestamp":9}}}"#
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
        told[0].contains(r#""deltaText":"right","replace":true"#),
        "{told:?}"
    );
    let told = texts(&runs.delta(&delta(DeltaKind::Text, "!"), now, 3));
    assert!(told[0].contains(r#""deltaText":"!","message""#) && told[0].contains("right!"));
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
