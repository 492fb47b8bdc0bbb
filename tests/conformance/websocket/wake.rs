//! Waking the agent, and its heartbeat.

use super::{
    chat::{answered, happen, route, routed},
    *,
};
use proto::v1::inbound::Body;

fn text(inbound: &proto::v1::Inbound) -> &str {
    match &inbound.body {
        Some(Body::Said(said)) => &said.parts[0].text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_wake_is_heard_now_or_where_no_heartbeat_will_come_now_too() {
    let gateway = Gateway::start().await;
    let (mut client, mut told) = (gateway.client(4).await, route(&gateway));
    for mode in ["now", "next-heartbeat"] {
        let done = client
            .done("wake", json!({"mode": mode, "text": "the door bell"}))
            .await;
        assert_eq!(done, json!({"ok": true}));
        let (_, inbound) = routed(&mut told).await;
        assert_eq!(
            (text(&inbound), inbound.session_key.as_str()),
            ("[system event] the door bell", "webchat:main")
        );
    }
    let error = client
        .refused("wake", json!({"mode": "later", "text": "x"}))
        .await;
    assert_eq!(
        error["message"],
        "invalid wake params: at /mode: must be equal to one of the allowed values"
    );
}

#[tokio::test]
async fn the_heartbeat_is_off_until_it_is_switched_on_and_that_lasts() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    assert_eq!(client.done("last-heartbeat", json!({})).await, Value::Null);
    let error = client
        .refused("set-heartbeats", json!({"enabled": "yes"}))
        .await;
    assert_eq!(
        error["message"],
        "invalid set-heartbeats params: enabled (boolean) required"
    );
    let job = json!({"id": "heartbeat:main"});
    client
        .done("set-heartbeats", json!({"enabled": true}))
        .await;
    assert_eq!(client.done("cron.get", job.clone()).await["enabled"], true);
    let kept = client.refused("cron.remove", job.clone()).await;
    assert!(kept["message"].as_str().unwrap().contains("set-heartbeats"));
    let off = client
        .done("set-heartbeats", json!({"enabled": false}))
        .await;
    assert_eq!(off, json!({"ok": true, "enabled": false}));
    assert_eq!(client.done("cron.get", job).await["enabled"], false);
}

#[tokio::test]
async fn a_heartbeat_takes_notes_along_and_keeps_quiet_when_all_is_well() {
    let gateway = Gateway::start_with(|config| config.heartbeat.every_s = 3600).await;
    let (mut client, mut told) = (gateway.client(4).await, route(&gateway));
    // Its job stands once somebody watches the jobs.
    let job = json!({"id": "heartbeat:main"});
    client
        .done("set-heartbeats", json!({"enabled": true}))
        .await;
    client.done("cron.run", job.clone()).await;
    let (_, inbound) = routed(&mut told).await;
    assert_eq!(
        inbound.session_key, "cron:job:heartbeat",
        "nothing of it is in the conversation"
    );
    happen(&gateway, &inbound.id, answered("HEARTBEAT_OK")).await;
    let event = client.event("heartbeat").await["payload"].clone();
    assert_eq!(
        (&event["status"], &event["silent"]),
        (&json!("ok-token"), &json!(true))
    );

    client
        .done("system-event", json!({"text": "disk at 95 %"}))
        .await;
    client
        .done(
            "wake",
            json!({"mode": "next-heartbeat", "text": "ada called"}),
        )
        .await;
    while client.done("cron.run", job.clone()).await["ran"] != true {}
    let (_, inbound) = routed(&mut told).await;
    assert_eq!(inbound.session_key, "webchat:main");
    let said = text(&inbound);
    assert!(
        said.find("disk at 95 %") < said.find("ada called"),
        "{said}"
    );
    happen(&gateway, &inbound.id, answered("The disk is nearly full.")).await;
    let event = client.event("heartbeat").await["payload"].clone();
    assert_eq!(
        (&event["status"], &event["preview"]),
        (&json!("sent"), &json!("The disk is nearly full."))
    );
    assert_eq!(client.done("last-heartbeat", json!({})).await, event);
    while client.done("cron.run", job.clone()).await["ran"] != true {}
    let (_, inbound) = routed(&mut told).await;
    assert!(!text(&inbound).contains("disk"), "a note is told once");
}

#[tokio::test]
async fn news_of_a_program_itself_are_no_notes() {
    let gateway = Gateway::start().await;
    let mut old = gateway.client(3).await;
    assert_eq!(
        old.refused("system-event", json!({})).await["message"],
        "text required"
    );
    let mut new = gateway.client(4).await;
    assert_eq!(
        new.refused("system-event", json!({})).await["message"],
        "invalid system-event params: must have required property 'text'"
    );
    new.done(
        "system-event",
        json!({"text": "Node: desk", "reason": "periodic"}),
    )
    .await;
    let mut told = route(&gateway);
    new.done("wake", json!({"mode": "now", "text": "hello"}))
        .await;
    assert_eq!(text(&routed(&mut told).await.1), "[system event] hello");
}
