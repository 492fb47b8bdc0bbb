//! The agent bridge: every turn ends once, in order, whatever the model does.

use std::{collections::HashMap, time::Duration};

use agent_bridge::Api;
use proto::{
    subject,
    v1::{DeltaKind, HistoryReply, HistoryRequest, Line, Turn, event::What},
};
use tests::{
    eventually::{DEADLINE, eventually},
    model::{Answer, Fault},
};

use bridge::{Bridge, markdown, text, turn};

mod bridge;
mod faults;

#[tokio::test]
async fn a_turn_is_told_live_and_answered_once() {
    for api in [Api::Chat, Api::Responses] {
        let mut bridge = Bridge::start(|config| {
            config.api = api;
            config.api_key = "key".into();
            config.usd_per_million_output_tokens = 2.0;
        })
        .await;
        bridge.model.script([Answer {
            between: Duration::from_millis(70),
            ..Answer::default()
        }]);
        let asked = Turn {
            preferences: HashMap::from([("model".into(), "other".into())]),
            ..turn("t1", "hello")
        };
        bridge.ask(&asked).await;

        let event = bridge.event().await;
        let Some(What::Answered(answered)) = &event.what else {
            panic!("{event:?}")
        };
        assert_eq!(
            (event.id.as_str(), answered.text.as_str()),
            ("t1.answered", "you said: hello")
        );
        assert_eq!(
            (answered.provider.as_str(), answered.model.as_str()),
            ("127.0.0.1", "other")
        );
        assert_eq!(
            (
                answered.input_tokens,
                answered.output_tokens,
                answered.cost_micro_usd
            ),
            (10, 3, 6)
        );
        let outbound = bridge.outbound().await;
        assert_eq!(
            (outbound.id.as_str(), markdown(&outbound)),
            ("t1-0", "you said: hello")
        );

        let mut told = String::new();
        for seq in 1.. {
            let delta = bridge.delta().await;
            let kind = if seq == 1 {
                DeltaKind::Start
            } else {
                DeltaKind::Text
            };
            assert_eq!(
                (delta.seq, delta.kind(), delta.turn_id.as_str()),
                (seq, kind, "t1")
            );
            told += &delta.text;
            if told == "you said: hello" {
                assert!(seq > 2, "in more than one piece");
                break;
            }
        }
        let request = bridge.model.requests().remove(0);
        assert_eq!(
            (request.authorization.as_str(), request.model()),
            ("Bearer key", "other")
        );
        bridge.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_whole_or_uncounted_is_an_answer() {
    let mut bridge = Bridge::start(|_| ()).await;
    let uncounted = Answer {
        usage: false,
        ..Answer::default()
    };
    bridge
        .model
        .script([Answer::fault(Fault::Whole), uncounted]);
    for (id, output_tokens) in [("t1", 3), ("t2", 4)] {
        bridge
            .ask(&Turn {
                deliver: false,
                ..turn(id, "hello")
            })
            .await;
        let event = bridge.event().await;
        let Some(What::Answered(answered)) = &event.what else {
            panic!("{event:?}")
        };
        assert_eq!(
            (answered.text.as_str(), answered.output_tokens),
            ("you said: hello", output_tokens)
        );
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_session_is_answered_in_order_and_remembered_without_a_ledger() {
    let mut bridge = Bridge::start(|_| ()).await;
    bridge.model.script([Answer {
        delay: Duration::from_millis(100),
        ..Answer::default()
    }]);
    for n in 0..20 {
        bridge
            .ask(&turn(&format!("t{n}"), &format!("text {n}")))
            .await;
    }
    for n in 0..20 {
        assert_eq!(text(&bridge.event().await), format!("you said: text {n}"));
        assert_eq!(bridge.outbound().await.turn_id, format!("t{n}"));
    }
    let messages = bridge.model.requests().pop().unwrap().messages();
    assert_eq!(
        messages.len(),
        1 + 19 * 2 + 1,
        "the system prompt, what was said before, what is said now"
    );
    assert_eq!(messages[1], ("user".into(), "text 0".into()));
    assert_eq!(messages[2], ("assistant".into(), "you said: text 0".into()));
    bridge.stop().await;
}

#[tokio::test]
async fn the_model_gets_the_ledgers_history_without_the_line_it_answers() {
    let mut bridge = Bridge::start(|config| config.system_prompt = String::new()).await;
    let line = |turn_id: &str, role: &str, text: &str| Line {
        turn_id: turn_id.into(),
        role: role.into(),
        text: text.into(),
        ..Line::default()
    };
    let lines = vec![
        line("t0", "user", "first"),
        line("t1", "user", "now"),
        line("t2", "user", "later"),
        line("t0", "assistant", "answer"),
    ];
    let (bus, stop) = (bridge.bus.clone(), bridge.stop.clone());
    let ledger = tokio::spawn(async move {
        let reply = HistoryReply {
            lines,
            ..HistoryReply::default()
        };
        bus.answer(subject::HISTORY, &stop, move |asked: HistoryRequest| {
            let right =
                asked.session_key == "telegram:dm:7" && asked.since_ms == 5 && asked.limit == 50;
            std::future::ready(if right {
                Ok(reply.clone())
            } else {
                Err("asked for something else".into())
            })
        })
        .await
    });
    let question = HistoryRequest {
        session_key: "telegram:dm:7".into(),
        since_ms: 5,
        limit: 50,
        ..Default::default()
    };
    eventually("the ledger to answer", || async {
        bridge
            .bus
            .ask::<_, HistoryReply>(subject::HISTORY, &question, DEADLINE)
            .await
            .ok()
    })
    .await;

    for (id, text) in [("t1", "now"), ("t2", "later")] {
        bridge
            .ask(&Turn {
                session_started_at_ms: 5,
                ..turn(id, text)
            })
            .await;
        bridge.event().await;
        bridge.outbound().await;
    }
    let sent: Vec<Vec<String>> = bridge
        .model
        .requests()
        .iter()
        .map(|request| {
            request
                .messages()
                .into_iter()
                .map(|(_, text)| text)
                .collect()
        })
        .collect();
    assert_eq!(sent[0], ["first", "answer", "now"]);
    assert_eq!(
        sent[1],
        ["first", "answer", "now", "you said: now", "later"]
    );
    bridge.stop().await;
    ledger.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_turn_that_comes_twice_ends_once() {
    let mut bridge = Bridge::start(|_| ()).await;
    bridge
        .model
        .script([Answer::default(), Answer::fault(Fault::Status(401))]);
    bridge.ask_as(&turn("t1", "hello"), "delivered").await;
    assert_eq!(bridge.event().await.id, "t1.answered");
    assert_eq!(bridge.outbound().await.id, "t1-0");
    bridge.ask_as(&turn("t1", "hello"), "delivered again").await;
    bridge.ask(&turn("t2", "next")).await;
    assert_eq!(bridge.event().await.id, "t2.answered");
    assert_eq!(bridge.outbound().await.id, "t2-0");
    assert_eq!(bridge.model.asked(), 3);
    bridge.stop().await;
}

#[tokio::test]
async fn without_a_model_the_gateway_says_so_itself() {
    let mut bridge = Bridge::start(|config| config.url = String::new()).await;
    bridge.ask(&turn("t1", "hello")).await;
    assert!(text(&bridge.event().await).contains("OPENAI_API_KEY"));
    assert!(markdown(&bridge.outbound().await).starts_with("You said: hello"));
    assert_eq!(bridge.model.asked(), 0);
    bridge.stop().await;
}
