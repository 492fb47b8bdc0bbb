//! What is told of sessions to who subscribed, and what they used.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn who_subscribed_hears_of_changes_and_of_each_message_once_on_any_replica() {
    let house = House::build().await;
    let (mut talker, mut other) = (house.client(0, 4).await, house.client(1, 4).await);
    let mut quiet = house.client(1, 4).await;
    talker.chat("main", "before").await;
    let answer = other
        .done(
            "sessions.subscribe",
            json!({"limit": 60, "ownerFirst": true}),
        )
        .await;
    assert_eq!(answer["subscribed"], true);
    assert_eq!(answer["list"]["count"], 1);
    let follow = json!({"key": "agent:main:main", "includeApprovals": true});
    assert_eq!(
        other.done("sessions.messages.subscribe", follow).await,
        json!({"subscribed": true, "key": "agent:main:main"})
    );
    talker.chat("main", "one").await;
    let (mut texts, mut seqs) = (Vec::new(), Vec::new());
    while texts.len() < 2 {
        let told = other.event("session.message").await["payload"].clone();
        assert_eq!(told["sessionKey"], "agent:main:main");
        texts.push(
            told["message"]["content"][0]["text"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
        seqs.push(told["messageSeq"].as_u64().unwrap());
    }
    assert_eq!(
        (texts, seqs),
        (vec!["one".into(), "you said: one".to_owned()], vec![3, 4])
    );
    talker
        .done("sessions.patch", json!({"key": "main", "label": "Seen"}))
        .await;
    loop {
        let changed = other.event("sessions.changed").await["payload"].clone();
        if changed["reason"] == "patch" {
            assert_eq!(
                (&changed["label"], &changed["agentId"]),
                (&json!("Seen"), &json!("main"))
            );
            break;
        }
    }
    other
        .done("sessions.messages.unsubscribe", json!({"key": "main"}))
        .await;
    other.done("sessions.unsubscribe", json!({})).await;
    other.events.clear();
    talker.chat("main", "two").await;
    other.chat("main", "three").await;
    assert!(other.events.iter().all(|event| event["event"] == "chat"
        || !event["event"].as_str().unwrap().starts_with("session")));
    quiet.done("health", json!({})).await;
    assert!(
        quiet
            .events
            .iter()
            .all(|event| event["event"] != "sessions.changed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sessions_used_is_summed_up_by_session_day_and_model() {
    let house = House::build().await;
    let mut client = house.client(0, 4).await;
    client.chat("main", "one").await;
    client.chat("notes", "two").await;
    let usage = house
        .client(1, 3)
        .await
        .done("sessions.usage", json!({"range": "7d", "limit": 1}))
        .await;
    assert_eq!(usage["sessions"][0]["key"], "agent:main:notes");
    assert_eq!(usage["aggregates"]["messages"]["total"], 4);
    assert_eq!(usage["aggregates"]["byModel"][0]["count"], 2);
    let total = usage["totals"]["totalTokens"].as_u64().unwrap();
    assert!(total > 0 && usage["sessions"].as_array().unwrap().len() == 1);
    let one = client.done("sessions.usage", json!({"key": "main"})).await;
    assert_eq!(one["aggregates"]["messages"]["total"], 2);
    let curve = client
        .done("sessions.usage.timeseries", json!({"key": "main"}))
        .await;
    assert_eq!(curve["points"].as_array().unwrap().len(), 1);
    let logs = client
        .done("sessions.usage.logs", json!({"key": "main"}))
        .await;
    assert_eq!(logs["logs"][0]["content"], "one");
    let error = client
        .refused("sessions.usage", json!({"startDate": "yesterday"}))
        .await;
    assert!(error["message"].as_str().unwrap().contains("at /startDate"));
}
