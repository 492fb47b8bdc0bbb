//! Runs of agents: asked once, told to everybody, known on every replica.

use proto::{subject, v1::Event};

use tests::model::{Answer, Fault};

use super::{
    chat::{answered, route, routed, turn_of},
    services::Services,
    *,
};

#[tokio::test]
async fn a_key_sends_once_on_whichever_replica_and_after_a_restart() {
    let gateway = Gateway::start().await;
    let mut told = route(&gateway);
    let other = gateway.replica().await;
    let message = json!({"sessionKey": "main", "message": "once", "idempotencyKey": "key-1"});
    let mut client = gateway.client(4).await;
    assert_eq!(
        client.done("chat.send", message.clone()).await["status"],
        "started"
    );
    let mut elsewhere = other.client(3).await;
    let again = elsewhere.done("chat.send", message.clone()).await;
    assert_eq!(again, json!({"runId": "key-1", "status": "in_flight"}));
    let changed = json!({"sessionKey": "main", "message": "twice", "idempotencyKey": "key-1"});
    let error = elsewhere.refused("chat.send", changed.clone()).await;
    assert_eq!(error["details"]["reason"], "chat-request-conflict");
    other.stop().await;
    let restarted = gateway.replica().await;
    let mut later = restarted.client(4).await;
    assert_eq!(
        later.done("chat.send", message).await["status"],
        "in_flight"
    );
    let error = later.refused("chat.send", changed).await;
    assert_eq!(error["details"]["reason"], "chat-request-conflict");
    let last = json!({"sessionKey": "main", "message": "last", "idempotencyKey": "key-2"});
    later.done("chat.send", last).await;
    assert_eq!(routed(&mut told).await.1.id, turn_of("key-1"));
    assert_eq!(routed(&mut told).await.1.id, turn_of("key-2"));
}

#[tokio::test]
async fn an_answer_has_the_name_that_its_asker_gave_it_on_every_replica() {
    let gateway = Gateway::start().await;
    let other = gateway.replica().await;
    let mut told = route(&gateway);
    let mut elsewhere = other.client(4).await;
    let mut client = gateway.client(4).await;
    let message = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "key-1"});
    client.done("chat.send", message).await;
    let wish = routed(&mut told).await.1.wish.unwrap();
    assert_eq!(wish.run_id, "key-1");
    let event = Event {
        id: "t.end".into(),
        at_ms: 1,
        agent: "main".into(),
        session_key: "webchat:main".into(),
        turn_id: turn_of("key-1"),
        run_id: wish.run_id,
        what: Some(answered("done")),
    };
    let subject = subject::event(&event);
    gateway
        .bus
        .publish(&subject, "t.end", &event)
        .await
        .unwrap();
    let chat = elsewhere.event("chat").await["payload"].clone();
    assert_eq!(
        (&chat["runId"], &chat["state"]),
        (&json!("key-1"), &json!("final"))
    );
}

#[tokio::test]
async fn a_run_is_stopped_from_any_replica_by_its_name_or_its_session() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let other = gateway.replica().await;
    house.model.always(Answer::fault(Fault::Hang(2)));
    let mut client = gateway.client(4).await;
    let mut elsewhere = other.client(3).await;
    for (key, run) in [("key-1", Some("key-1")), ("key-2", None)] {
        let message = json!({"sessionKey": "main", "message": "a b c", "idempotencyKey": key});
        client.done("chat.send", message).await;
        while elsewhere.event("chat").await["payload"]["state"] != "delta" {}
        let mut params = json!({"sessionKey": "main"});
        if let Some(run) = run {
            params["runId"] = json!(run);
        }
        let stopped = elsewhere.done("chat.abort", params).await;
        assert_eq!(
            stopped,
            json!({"ok": true, "aborted": true, "runIds": [key]})
        );
        let end = loop {
            let told = client.event("chat").await["payload"].clone();
            if told["state"] != "delta" && told["state"] != "status" {
                break told;
            }
        };
        assert_eq!(
            (&end["runId"], &end["state"]),
            (&json!(key), &json!("aborted"))
        );
        assert_eq!(end["stopReason"], "rpc");
        assert!(
            !end["message"]["content"][0]["text"]
                .as_str()
                .unwrap()
                .is_empty()
        );
        while elsewhere.event("chat").await["payload"]["state"] != "aborted" {}
    }
}

#[tokio::test]
async fn a_run_is_stopped_by_a_replica_that_was_started_after_it() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    house.model.always(Answer::fault(Fault::Hang(2)));
    let mut client = gateway.client(4).await;
    let message = json!({"sessionKey": "main", "message": "a b c", "idempotencyKey": "key-1"});
    client.done("chat.send", message).await;
    while client.event("chat").await["payload"]["state"] != "delta" {}
    let late = gateway.replica().await;
    let mut elsewhere = late.client(4).await;
    let params = json!({"sessionKey": "main", "runId": "key-1"});
    let stopped = elsewhere.done("chat.abort", params).await;
    assert_eq!(
        stopped,
        json!({"ok": true, "aborted": true, "runIds": ["key-1"]})
    );
    while client.event("chat").await["payload"]["state"] != "aborted" {}
    let params = json!({"sessionKey": "main", "runId": "key-1"});
    let nothing = elsewhere.done("chat.abort", params).await;
    assert_eq!(nothing["aborted"], false);
}

#[tokio::test]
async fn a_history_says_what_is_being_answered() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    house.model.always(Answer::fault(Fault::Hang(2)));
    let mut client = gateway.client(4).await;
    let message = json!({"sessionKey": "main", "message": "a b c", "idempotencyKey": "key-1"});
    client.done("chat.send", message).await;
    let told = loop {
        let told = client.event("chat").await["payload"].clone();
        if told["state"] == "delta" {
            break told;
        }
    };
    let history = client
        .done("chat.history", json!({"sessionKey": "main"}))
        .await;
    let running = &history["inFlightRun"];
    assert_eq!(running["runId"], "key-1");
    let text = running["text"].as_str().unwrap();
    assert!(
        text.starts_with(told["deltaText"].as_str().unwrap()),
        "{running}"
    );
}

#[tokio::test]
async fn an_injected_line_is_told_kept_and_known_to_the_agent() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let (mut client, mut old) = (gateway.client(4).await, gateway.client(3).await);
    let line = json!({"sessionKey": "main", "message": "The server is back.", "label": "ops"});
    let error = client.refused("chat.inject", line.clone()).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("INVALID_REQUEST"), &json!("session not found"))
    );
    let message = |key: &str| json!({"sessionKey": "main", "message": key, "idempotencyKey": key});
    client.done("chat.send", message("one")).await;
    while client.event("chat").await["payload"]["state"] != "final" {}
    while old.event("chat").await["payload"]["state"] != "final" {}
    let injected = client.done("chat.inject", line).await;
    assert_eq!(injected["ok"], true);
    let text = "[ops]\n\nThe server is back.";
    for client in [&mut client, &mut old] {
        let told = client.event("chat").await["payload"].clone();
        assert_eq!(told["state"], "final");
        assert_eq!(
            told["runId"],
            format!("inject-{}", injected["messageId"].as_str().unwrap())
        );
        assert_eq!(told["message"]["content"][0]["text"], text);
    }
    let history = client
        .done("chat.history", json!({"sessionKey": "main"}))
        .await;
    let last = history["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["role"], &last["content"][0]["text"]),
        (&json!("assistant"), &json!(text))
    );
    client.done("chat.send", message("two")).await;
    while client.event("chat").await["payload"]["state"] != "final" {}
    let asked = house.model.requests().pop().unwrap().messages();
    assert!(
        asked.contains(&("assistant".into(), text.into())),
        "{asked:?}"
    );
    let mut writer = Client::open(gateway.at, "/", &[]).await;
    let scopes = json!(["operator.write"]);
    writer
        .shake(connect_with(4, |params| params["scopes"] = scopes))
        .await;
    let line = json!({"sessionKey": "main", "message": "x"});
    let error = writer.refused("chat.inject", line).await;
    assert_eq!(error["details"]["missingScope"], "operator.admin");
}
