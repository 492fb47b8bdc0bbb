//! What a model, or a person who stops it, can do to a turn.

use std::time::Duration;

use proto::{
    subject,
    v1::{DeltaKind, Priority, Turn, event::What},
};
use tests::model::{Answer, Fault};

use super::bridge::{Bridge, markdown, text, turn};

#[tokio::test]
async fn whatever_a_model_does_wrong_ends_in_one_friendly_failure() {
    let mut bridge = Bridge::start(|config| config.idle_timeout_s = 1).await;
    // Those that say that the model is down stand apart, so that the breaker stays closed.
    let faults = [
        (Fault::Status(500), "unavailable", "cannot be reached", 2),
        (Fault::Status(401), "unauthorized", "agent.api_key", 1),
        (Fault::Cut(2), "unavailable", "cannot be reached", 2),
        (Fault::Garbage, "unknown", "no answer", 1),
        (Fault::Hang(2), "timeout", "stopped in the middle", 2),
        (Fault::Html, "unknown", "no answer", 1),
        (Fault::Error(1), "unavailable", "cannot be reached", 2),
        (Fault::RateLimited(3600), "rate_limit", "in 60 minutes", 1),
        (Fault::NoEnd, "unavailable", "cannot be reached", 2),
        (Fault::Status(404), "unavailable", "/model", 1),
        (Fault::Status(400), "unknown", "other words", 1),
        (Fault::Status(307), "unavailable", "agent.url", 1),
    ];
    let mut asked = 0;
    for (fault, kind, words, times) in faults {
        bridge.model.always(Answer::fault(fault.clone()));
        let id = format!("{fault:?}").replace(['(', ')'], "_");
        bridge.ask(&turn(&id, "hello")).await;
        let (event, outbound) = (bridge.event().await, bridge.outbound().await);
        let Some(What::Failed(failed)) = &event.what else {
            panic!("{fault:?}: {event:?}")
        };
        assert_eq!(
            (event.turn_id.as_str(), failed.kind.as_str()),
            (id.as_str(), kind)
        );
        assert_eq!(outbound.id, format!("{id}-0"));
        let told = markdown(&outbound);
        assert!(
            told.contains(words) && told.contains("kept") && !told.contains("canary"),
            "{fault:?}: {told}"
        );
        assert_eq!(failed.message, told);
        asked += times;
        assert_eq!(bridge.model.asked(), asked, "{fault:?}");
    }
    bridge.model.always(Answer::default());
    bridge.ask(&turn("well", "again")).await;
    assert_eq!(text(&bridge.event().await), "you said: again");
    assert_eq!(bridge.outbound().await.turn_id, "well");
    bridge.stop().await;
}

#[tokio::test]
async fn a_running_answer_is_stopped_at_once_and_the_next_turn_is_answered() {
    let mut bridge = Bridge::start(|_| ()).await;
    for (id, durable, why) in [("t1", false, "rpc"), ("t2", true, "stop")] {
        bridge.model.script([Answer {
            text: Some("abcdef".into()),
            ..Answer::fault(Fault::Hang(2))
        }]);
        bridge.ask(&turn(id, "hello")).await;
        while bridge.delta().await.text.is_empty() {}
        let cancel = Turn {
            cancel: "*".into(),
            ..turn("", "")
        };
        if durable {
            let said = Turn {
                id: "stop".into(),
                priority: Priority::Critical.into(),
                ..cancel
            };
            bridge.ask(&said).await;
        } else {
            let asked = Turn {
                received_at_ms: 0,
                ..cancel
            };
            bridge.bus.tell(subject::CANCEL, &asked).await.unwrap();
        }
        let event = bridge.event().await;
        let Some(What::Aborted(aborted)) = &event.what else {
            panic!("{event:?}")
        };
        assert_eq!(
            (
                event.id,
                aborted.partial_text.as_str(),
                aborted.why.as_str()
            ),
            (format!("{id}.aborted"), "abcd", why)
        );
    }
    let stranger = Turn {
        cancel: "unknown".into(),
        ..turn("", "")
    };
    bridge.bus.tell(subject::CANCEL, &stranger).await.unwrap();
    bridge.ask(&turn("t3", "again")).await;
    assert_eq!(text(&bridge.event().await), "you said: again");
    assert_eq!(bridge.outbound().await.turn_id, "t3");
    bridge.stop().await;
}

#[tokio::test]
async fn a_cut_answer_begins_anew_and_says_so() {
    let mut bridge = Bridge::start(|_| ()).await;
    let cut = Answer {
        between: Duration::from_millis(80),
        ..Answer::fault(Fault::Cut(2))
    };
    bridge.model.script([cut]);
    bridge.ask(&turn("t1", "hello")).await;
    assert_eq!(text(&bridge.event().await), "you said: hello");
    assert_eq!(bridge.outbound().await.id, "t1-0");
    let (mut kinds, mut told) = (Vec::new(), String::new());
    while told != "you said: hello" {
        let delta = bridge.delta().await;
        kinds.push(delta.kind());
        assert_eq!(delta.seq, kinds.len() as u64);
        match delta.kind() {
            DeltaKind::Text => told += &delta.text,
            DeltaKind::Start | DeltaKind::Restart => told.clear(),
        }
    }
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            DeltaKind::Start,
            DeltaKind::Text,
            DeltaKind::Restart,
            DeltaKind::Text
        ]
    );
    bridge.stop().await;
}

#[tokio::test]
async fn the_wait_that_a_busy_model_asks_for_is_kept() {
    let mut bridge = Bridge::start(|_| ()).await;
    bridge.model.script([Answer::fault(Fault::RateLimited(1))]);
    bridge.ask(&turn("t1", "hello")).await;
    let event = bridge.event().await;
    let Some(What::Answered(answered)) = &event.what else {
        panic!("{event:?}")
    };
    assert!(answered.took_ms >= 1000, "{} ms", answered.took_ms);
    bridge.outbound().await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_turns_time_is_kept() {
    let mut bridge = Bridge::start(|_| ()).await;
    bridge.model.script([
        Answer::fault(Fault::Hang(1)),
        Answer::fault(Fault::RateLimited(3600)),
    ]);
    for (id, allowed_ms, kind) in [("slow", 300, "timeout"), ("busy", 5_000, "rate_limit")] {
        bridge
            .ask(&Turn {
                allowed_ms,
                ..turn(id, "hello")
            })
            .await;
        let event = bridge.event().await;
        let Some(What::Failed(failed)) = &event.what else {
            panic!("{event:?}")
        };
        assert_eq!((event.turn_id.as_str(), failed.kind.as_str()), (id, kind));
        assert_eq!(bridge.outbound().await.turn_id, id);
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_model_that_is_down_is_soon_left_alone() {
    let mut bridge = Bridge::start(|config| config.retries = 0).await;
    bridge.model.always(Answer::fault(Fault::Status(503)));
    for n in 0..8 {
        bridge.ask(&turn(&format!("t{n}"), "hello")).await;
        let event = bridge.event().await;
        let Some(What::Failed(failed)) = &event.what else {
            panic!("{event:?}")
        };
        assert_eq!(
            (failed.kind.as_str(), failed.http_status),
            ("unavailable", 503)
        );
        bridge.outbound().await;
    }
    assert_eq!(bridge.model.asked(), 5);
    bridge.stop().await;
}
