//! Runs of agents: asked once, told to everybody, known on every replica.

use proto::{subject, v1::Event};

use super::{
    chat::{answered, route, routed, turn_of},
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
