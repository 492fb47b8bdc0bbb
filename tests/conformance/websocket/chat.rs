//! Talking to an agent: what is stored, what is told, what is remembered.

use bus::{Outcome, Source};
use proto::{
    id, subject,
    v1::{Address, Answered, Delta, DeltaKind, Event, Inbound, Turn, event::What, inbound::Body},
};
use tokio::sync::mpsc;

use super::*;

/// Plays the router: takes what is on `IN`.
pub(super) fn route(gateway: &Gateway) -> mpsc::UnboundedReceiver<(String, Inbound)> {
    let (tell, told) = mpsc::unbounded_channel();
    let (bus, stop) = (gateway.bus.clone(), gateway.stop.clone());
    tokio::spawn(async move {
        let source = Source::partitions(&bus, "IN", "router");
        let lane = |inbound: &Inbound| inbound.session_key.clone();
        let handle = |delivery: bus::Delivery<Inbound>| {
            let _ = tell.send((delivery.subject, delivery.message));
            async { Outcome::Ack }
        };
        let _ = bus::consume(&bus, source, &stop, lane, handle).await;
    });
    told
}

pub(super) async fn routed(
    told: &mut mpsc::UnboundedReceiver<(String, Inbound)>,
) -> (String, Inbound) {
    tokio::time::timeout(DEADLINE, told.recv())
        .await
        .expect("something is routed")
        .unwrap()
}

pub(super) fn turn_of(key: &str) -> String {
    id::of_event(&format!("webchat:main:{key}"))
}

/// Plays the agent: tells pieces of an answer to the main session.
pub(super) async fn say(gateway: &Gateway, turn_id: &str, kind: DeltaKind, text: &str) {
    let delta = Delta {
        turn_id: turn_id.into(),
        agent: "main".into(),
        session_key: "webchat:main".into(),
        text: text.into(),
        kind: kind.into(),
        ..Delta::default()
    };
    let to = Address {
        platform: "webchat".into(),
        account: "main".into(),
        ..Address::default()
    };
    gateway
        .bus
        .tell(&subject::delta(&to, "webchat:main"), &delta)
        .await
        .unwrap();
}

pub(super) async fn happen(gateway: &Gateway, turn_id: &str, what: What) {
    let event = Event {
        id: format!("{turn_id}.end"),
        at_ms: 1,
        agent: "main".into(),
        session_key: "webchat:main".into(),
        turn_id: turn_id.into(),
        what: Some(what),
        ..Event::default()
    };
    gateway
        .bus
        .publish(&subject::event(&event), &event.id, &event)
        .await
        .unwrap();
}

pub(super) fn answered(text: &str) -> What {
    What::Answered(Answered {
        text: text.into(),
        stop_reason: "stop".into(),
        ..Answered::default()
    })
}

#[tokio::test]
async fn a_message_is_stored_before_it_is_answered() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let answer = client
        .done(
            "chat.send",
            json!({"sessionKey": "main", "message": "hello", "idempotencyKey": "key-1"}),
        )
        .await;
    assert_eq!(answer, json!({"runId": "key-1", "status": "started"}));
    let (subject, inbound) = routed(&mut route(&gateway)).await;
    let key = "webchat:main";
    assert_eq!(inbound.id, turn_of("key-1"));
    assert_eq!(
        (inbound.agent.as_str(), inbound.session_key.as_str()),
        ("main", key)
    );
    assert_eq!(
        subject,
        subject::inbound(16, proto::v1::Priority::Normal, "webchat", key)
    );
    let address = inbound.address.unwrap();
    assert_eq!(
        (address.platform.as_str(), address.conversation.as_str()),
        ("webchat", "main")
    );
    let Some(Body::Said(said)) = inbound.body else {
        panic!("not said")
    };
    assert_eq!(
        (said.message_id.as_str(), said.parts[0].text.as_str()),
        ("key-1", "hello")
    );
    assert_eq!(inbound.sender.unwrap().trust(), proto::v1::Trust::Owner);
}

#[tokio::test]
async fn messages_of_one_client_keep_their_order() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    for n in 0..50 {
        let params = json!({"sessionKey": "main", "message": format!("{n}"), "idempotencyKey": format!("k{n}")});
        client
            .send(&json!({"type": "req", "id": "x", "method": "chat.send", "params": params}))
            .await;
    }
    let mut told = route(&gateway);
    let mut texts = Vec::new();
    for _ in 0..50 {
        let Some(Body::Said(said)) = routed(&mut told).await.1.body else {
            panic!("not said")
        };
        texts.push(said.message_id);
    }
    assert_eq!(texts, (0..50).map(|n| format!("k{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_key_sends_once_and_means_one_message() {
    let gateway = Gateway::start().await;
    let mut told = route(&gateway);
    let mut client = gateway.client(4).await;
    let message = json!({"sessionKey": "main", "message": "once", "idempotencyKey": "key-1"});
    assert_eq!(
        client.done("chat.send", message.clone()).await["status"],
        "started"
    );
    let again = client.done("chat.send", message.clone()).await;
    assert_eq!(again, json!({"runId": "key-1", "status": "in_flight"}));
    let other = json!({"sessionKey": "main", "message": "twice", "idempotencyKey": "key-1"});
    let error = client.refused("chat.send", other).await;
    assert_eq!(error["details"]["reason"], "chat-request-conflict");
    happen(&gateway, &turn_of("key-1"), answered("done")).await;
    client.event("chat").await;
    assert_eq!(client.done("chat.send", message).await["status"], "ok");
    let last = json!({"sessionKey": "main", "message": "last", "idempotencyKey": "key-2"});
    client.done("chat.send", last).await;
    assert_eq!(routed(&mut told).await.1.id, turn_of("key-1"));
    assert_eq!(
        routed(&mut told).await.1.id,
        turn_of("key-2"),
        "key-1 came once"
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_in_a_sentence() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let table = [
        (
            json!({"sessionKey": "main", "message": "x"}),
            "invalid chat.send params: must have required property 'idempotencyKey'",
        ),
        (
            json!({"sessionKey": "", "message": "x", "idempotencyKey": "k"}),
            "invalid chat.send params: at /sessionKey: must NOT have fewer than 1 characters",
        ),
        (
            json!({"sessionKey": "main", "message": " ", "idempotencyKey": "k"}),
            "message or attachment required",
        ),
        (
            json!({"sessionKey": "main", "message": "x", "idempotencyKey": "k",
                   "attachments": [{"type": "image", "fileName": "a.png", "content": "%"}]}),
            "Error: attachment a.png: invalid base64 content",
        ),
    ];
    for (params, message) in table {
        let error = client.refused("chat.send", params).await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!("INVALID_REQUEST"), &json!(message))
        );
    }
}

#[tokio::test]
async fn an_answer_is_told_to_both_protocols_from_first_piece_to_final() {
    let gateway = Gateway::start().await;
    let (mut old, mut new) = (gateway.client(3).await, gateway.client(4).await);
    new.done(
        "chat.send",
        json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "key-1"}),
    )
    .await;
    let turn = turn_of("key-1");
    say(&gateway, &turn, DeltaKind::Start, "").await;
    say(&gateway, &turn, DeltaKind::Text, "Hel").await;
    say(&gateway, &turn, DeltaKind::Text, "lo").await;
    let status = new.event("chat").await;
    assert_eq!(
        (&status["payload"]["state"], &status["payload"]["runId"]),
        (&json!("status"), &json!("key-1"))
    );
    for client in [&mut old, &mut new] {
        let (first, second) = (client.event("chat").await, client.event("chat").await);
        assert_eq!(
            first["payload"]["state"], "delta",
            "protocol 3 gets no status"
        );
        let payload = &second["payload"];
        assert_eq!(
            (&payload["runId"], &payload["sessionKey"]),
            (&json!("key-1"), &json!("agent:main:main"))
        );
        assert_eq!(payload["deltaText"], "lo");
        assert_eq!(
            payload["message"]["content"],
            json!([{"type": "text", "text": "Hello"}])
        );
        assert!(payload["seq"].as_u64() > first["payload"]["seq"].as_u64());
        let mut keys: Vec<_> = second.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(
            keys,
            ["event", "payload", "seq", "type"],
            "old clients drop frames with other keys"
        );
    }
    happen(&gateway, &turn, answered("Hello!")).await;
    for client in [&mut old, &mut new] {
        let last = client.event("chat").await;
        assert_eq!(
            (&last["payload"]["state"], &last["payload"]["stopReason"]),
            (&json!("final"), &json!("stop"))
        );
        assert_eq!(last["payload"]["message"]["content"][0]["text"], "Hello!");
    }
}

#[tokio::test]
async fn abort_names_what_was_seen_running_and_tells_the_agent() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let cancels = gateway.bus.listen::<Turn>(subject::CANCEL).await.unwrap();
    let mut cancels = cancels.map(|(_, turn)| turn);
    // Answered once the subscription is known to the server.
    client
        .done(
            "chat.send",
            json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "key-1"}),
        )
        .await;
    let abort = json!({"sessionKey": "agent:main:main", "runId": "key-1"});
    let answer = client.done("chat.abort", abort.clone()).await;
    assert_eq!(
        answer,
        json!({"ok": true, "aborted": true, "runIds": ["key-1"]})
    );
    let cancel = tokio::time::timeout(DEADLINE, cancels.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (cancel.cancel, cancel.session_key, cancel.agent),
        (turn_of("key-1"), "webchat:main".into(), "main".into())
    );

    let stop = json!({"sessionKey": "main", "message": "/stop", "idempotencyKey": "key-2"});
    assert_eq!(
        client.done("chat.send", stop).await,
        json!({"ok": true, "aborted": true, "runIds": ["key-1"]})
    );
    let aborted = proto::v1::Aborted {
        partial_text: "half".into(),
        why: "rpc".into(),
        ..Default::default()
    };
    happen(&gateway, &turn_of("key-1"), What::Aborted(aborted)).await;
    let told = client.event("chat").await;
    assert_eq!(
        (&told["payload"]["state"], &told["payload"]["stopReason"]),
        (&json!("aborted"), &json!("rpc"))
    );
    assert_eq!(told["payload"]["message"]["content"][0]["text"], "half");
    let answer = client.done("chat.abort", abort).await;
    assert_eq!(answer, json!({"ok": true, "aborted": false, "runIds": []}));

    client
        .done(
            "chat.send",
            json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "key-3"}),
        )
        .await;
    let mut old = gateway.client(3).await;
    let error = old
        .refused(
            "chat.abort",
            json!({"sessionKey": "other", "runId": "key-3"}),
        )
        .await;
    assert_eq!(error["message"], "runId does not match sessionKey");
}
