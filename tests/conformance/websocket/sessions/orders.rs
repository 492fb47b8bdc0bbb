//! Sessions that are made, begun anew, compacted and removed, in order with what is said in them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_anew_in_order_with_what_was_sent_before_and_after() {
    let house = House::build().await;
    let mut client = house.client(0, 4).await;
    client.chat("main", "the old days").await;
    let before = client.row("main").await["sessionId"].clone();
    let reset = client.done("sessions.reset", json!({"key": "main"})).await;
    assert_eq!(
        (&reset["ok"], &reset["key"]),
        (&json!(true), &json!("agent:main:main"))
    );
    let after = reset["entry"]["sessionId"].clone();
    assert!(after.is_string() && after != before);
    assert!(
        client.texts("main").await.is_empty(),
        "nothing of before counts"
    );
    client.chat("main", "a new day").await;
    let heard: Vec<_> = house.model.requests().last().unwrap().messages();
    assert!(
        heard.iter().all(|(_, text)| !text.contains("old days")),
        "{heard:?}"
    );
    assert_eq!(
        house.client(1, 3).await.texts("main").await,
        ["a new day", "you said: a new day"]
    );
    let stale = json!({"key": "main", "expectedSessionId": before});
    let error = client.refused("sessions.reset", stale).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("changed meanwhile")
    );
    let house = house.restart().await;
    let row = house.client(0, 4).await.row("main").await;
    assert_eq!(row["sessionId"], after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_session_keeps_its_newest_lines_for_readers_and_for_its_agent() {
    let house = House::build().await;
    let mut client = house.client(0, 3).await;
    for n in 1..=4 {
        client.chat("main", &format!("fact {n}")).await;
    }
    let few = json!({"key": "main", "maxLines": 50});
    assert_eq!(
        client.done("sessions.compact", few).await,
        json!({"ok": true, "key": "agent:main:main", "compacted": false, "kept": 8})
    );
    let two = json!({"key": "main", "maxLines": 2});
    let compacted = client.done("sessions.compact", two).await;
    assert_eq!(
        (&compacted["compacted"], &compacted["kept"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(client.texts("main").await, ["fact 4", "you said: fact 4"]);
    client.chat("main", "fact 5").await;
    let heard = house.model.requests().last().unwrap().messages();
    let heard: Vec<_> = heard.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(heard, ["Be brief.", "fact 4", "you said: fact 4", "fact 5"]);
    let nothing = client
        .done("sessions.compact", json!({"key": "nothing"}))
        .await;
    assert_eq!(nothing["compacted"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_session_is_gone_everywhere_with_its_words_and_settings() {
    let house = House::build().await;
    let (mut one, mut two) = (house.client(0, 4).await, house.client(1, 4).await);
    one.chat("notes", "a secret").await;
    one.done(
        "sessions.patch",
        json!({"key": "notes", "label": "Secrets"}),
    )
    .await;
    let error = one.refused("sessions.delete", json!({"key": "main"})).await;
    assert_eq!(
        error["message"],
        "Cannot delete the main session (agent:main:main)."
    );
    let archived = json!({"key": "notes", "archivedOnly": true});
    assert!(one.call("sessions.delete", archived).await["error"].is_object());
    let deleted = two.done("sessions.delete", json!({"key": "notes"})).await;
    assert_official(4, "SessionsDeleteResult", &deleted);
    assert_eq!(
        deleted,
        json!({"ok": true, "key": "agent:main:notes", "deleted": true, "archived": []})
    );
    assert_eq!(one.done("sessions.list", json!({})).await["count"], 0);
    assert!(one.texts("notes").await.is_empty());
    let again = one.done("sessions.delete", json!({"key": "notes"})).await;
    assert_eq!(again["deleted"], false);
    let house = house.restart().await;
    let mut one = house.client(0, 4).await;
    assert_eq!(one.row("notes").await, Value::Null);
    one.chat("notes", "once more").await;
    let heard = house.model.requests().last().unwrap().messages();
    assert!(heard.iter().all(|(_, text)| !text.contains("secret")));
    assert_eq!(one.row("notes").await.get("label"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_made_talked_to_steered_and_stopped_under_its_key() {
    let house = House::build().await;
    let mut client = house.client(0, 4).await;
    let made = json!({"idempotencyKey": "k1", "label": "Trip", "model": "other-model"});
    let created = client.done("sessions.create", made.clone()).await;
    assert_official(4, "SessionsCreateResult", &created);
    let again = house.client(1, 4).await.done("sessions.create", made).await;
    assert_eq!(
        (&again["key"], &again["sessionId"]),
        (&created["key"], &created["sessionId"])
    );
    let key = created["key"].as_str().unwrap().to_owned();
    let list = client.done("sessions.list", json!({"label": "Trip"})).await;
    assert_eq!(list["sessions"][0]["key"], key.as_str());
    let sent = client
        .done(
            "sessions.send",
            json!({"key": key, "message": "hi", "idempotencyKey": "r1"}),
        )
        .await;
    assert_eq!(sent, json!({"runId": "r1", "status": "started"}));
    eventually("the answer", async || {
        let texts = house.client(1, 4).await.texts(&key).await;
        (texts == ["hi", "you said: hi"]).then_some(())
    })
    .await;
    assert_eq!(
        house.model.requests().last().unwrap().model(),
        "other-model"
    );
    let idle = client.done("sessions.abort", json!({"key": key})).await;
    assert_eq!(
        (&idle["status"], &idle["abortedRunId"]),
        (&json!("no-active-run"), &Value::Null)
    );
    house.model.script([tests::model::Answer {
        fault: tests::model::Fault::Hang(1),
        ..Default::default()
    }]);
    client
        .done(
            "sessions.send",
            json!({"key": key, "message": "slow", "idempotencyKey": "r2"}),
        )
        .await;
    // Its model has begun: what hangs is this run and no other.
    loop {
        let event = client.event("chat").await;
        if event["payload"]["runId"] == "r2" && event["payload"]["state"] == "delta" {
            break;
        }
    }
    let steered = json!({"key": key, "message": "instead", "idempotencyKey": "r3"});
    let steered = client.done("sessions.steer", steered).await;
    assert_eq!(
        (&steered["runId"], &steered["interruptedActiveRun"]),
        (&json!("r3"), &json!(true))
    );
    loop {
        let event = client.event("chat").await;
        if event["payload"]["runId"] == "r3" && event["payload"]["state"] == "final" {
            break;
        }
    }
    let refused = client
        .refused("sessions.create", json!({"worktree": true}))
        .await;
    assert!(
        refused["message"].as_str().unwrap().contains("worktree"),
        "{refused}"
    );
    let first = json!({"message": "begin", "idempotencyKey": "k2"});
    let begun = client.done("sessions.create", first).await;
    assert_eq!(
        (&begun["runStarted"], &begun["runId"]),
        (&json!(true), &json!("k2"))
    );
}
