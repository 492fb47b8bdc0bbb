//! Sessions: listed, found and set, the same on every replica and after a restart.

use proto::v1::ConversationKind;
use tests::{eventually::eventually, official::assert_official};

use super::{house::House, *};

mod follow;
mod orders;

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_described_and_found_with_every_filter() {
    let house = House::build().await;
    let mut client = house.client(0, 4).await;
    client.chat("main", "what is the plan for today").await;
    client.chat("agent:main:notes", "buy milk").await;
    house
        .say(ConversationKind::Direct, "7", "hello there")
        .await;
    let rows = eventually("three sessions that were answered", async || {
        let mut client = house.client(1, 4).await;
        let params = json!({"includeDerivedTitles": true, "includeLastMessage": true});
        let list = client.done("sessions.list", params).await;
        let rows = list["sessions"].as_array().unwrap().clone();
        let done = |row: &Value| row["status"] == "done";
        (rows.len() == 3 && rows.iter().all(done)).then_some(list)
    })
    .await;
    for row in rows["sessions"].as_array().unwrap() {
        assert_official(4, "SessionRow", row);
    }
    let mut old = house.client(1, 3).await;
    let list = async |client: &mut Client, params: Value| {
        let list = client.done("sessions.list", params).await;
        let rows = list["sessions"].as_array().unwrap().iter();
        rows.map(|row| row["key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let newest = [
        "agent:main:loopback:dm:7",
        "agent:main:notes",
        "agent:main:main",
    ];
    assert_eq!(list(&mut client, json!({})).await, newest);
    assert_eq!(list(&mut old, json!({"includeGlobal": true})).await, newest);
    let page = client
        .done("sessions.list", json!({"limit": 1, "offset": 1}))
        .await;
    assert_eq!(page["sessions"][0]["key"], "agent:main:notes");
    assert_eq!(
        (&page["totalCount"], &page["hasMore"], &page["nextOffset"]),
        (&json!(3), &json!(true), &json!(2))
    );
    let old_page = old.done("sessions.list", json!({"limit": 1})).await;
    assert_eq!(
        (&old_page["count"], old_page.get("hasMore")),
        (&json!(1), None)
    );
    let searched =
        json!({"limit": 200, "search": "agent:main:NOTES", "includeDerivedTitles": true});
    assert_eq!(list(&mut client, searched).await, ["agent:main:notes"]);
    let recent = json!({"activeMinutes": 120, "agentId": "main", "configuredAgentsOnly": true});
    assert_eq!(list(&mut client, recent).await.len(), 3);
    for nothing in [
        json!({"label": "none"}),
        json!({"spawnedBy": "agent:main:main"}),
        json!({"archived": true}),
        json!({"pinned": true}),
    ] {
        assert!(
            list(&mut client, nothing.clone()).await.is_empty(),
            "{nothing}"
        );
    }

    let row = client
        .done(
            "sessions.describe",
            json!({"key": "main", "includeDerivedTitles": true, "includeLastMessage": true}),
        )
        .await["session"]
        .clone();
    assert_eq!(row["derivedTitle"], "what is the plan for today");
    assert_eq!(
        row["lastMessagePreview"],
        "you said: what is the plan for today"
    );
    assert_eq!(
        (&row["model"], &row["systemSent"]),
        (&json!("settings-model"), &json!(true))
    );
    assert_eq!(client.row("nothing").await, Value::Null);
    let person = client.row("agent:main:loopback:dm:7").await;
    assert_eq!(
        (&person["displayName"], &person["lastTo"]),
        (&json!("The team"), &json!("7"))
    );

    let id = row["sessionId"].clone();
    for params in [json!({"key": "main"}), json!({"sessionId": id})] {
        let found = client.done("sessions.resolve", params).await;
        assert_eq!(
            found,
            json!({"ok": true, "key": "agent:main:main", "agentId": "main"})
        );
    }
    let error = client
        .refused("sessions.resolve", json!({"key": "nope"}))
        .await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("INVALID_REQUEST"), &json!("No session found: nope"))
    );
    let missing = json!({"key": "nope", "allowMissing": true});
    assert_eq!(
        client.done("sessions.resolve", missing).await,
        json!({"ok": false})
    );
    let error = client.refused("sessions.resolve", json!({})).await;
    assert_eq!(
        error["message"],
        "Either key, sessionId, or label is required"
    );

    let keys = json!({"keys": ["main", "nope"], "limit": 1, "maxChars": 20});
    let previews = old.done("sessions.preview", keys).await["previews"].clone();
    assert_eq!(
        previews,
        json!([
            {"key": "main", "status": "ok", "items": [{"role": "assistant", "text": "you said: what is th…"}]},
            {"key": "nope", "status": "missing", "items": []},
        ])
    );
    let told = client
        .done("sessions.get", json!({"key": "main", "limit": 1}))
        .await;
    assert_eq!(told["messages"].as_array().unwrap().len(), 1);
    let error = client
        .refused("sessions.list", json!({"agentId": "nobody"}))
        .await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .ends_with("unknown agent id \"nobody\"; there are: main"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_acts_is_shown_by_every_replica_and_outlives_a_restart() {
    let house = House::build().await;
    let mut one = house.client(0, 4).await;
    one.chat("main", "hello").await;
    let patched = one
        .done(
            "sessions.patch",
            json!({"key": "main", "label": "Plans", "model": "other-model", "thinkingLevel": "low",
                   "verboseLevel": "on", "pinned": true, "category": "Work"}),
        )
        .await;
    assert_eq!(patched["key"], "agent:main:main");
    assert_eq!(patched["resolved"]["model"], "other-model");
    assert_eq!(
        (
            &patched["entry"]["label"],
            &patched["entry"]["thinkingLevel"]
        ),
        (&json!("Plans"), &json!("low"))
    );
    let mut two = house.client(1, 3).await;
    let row = two.row("main").await;
    assert_eq!(
        (&row["label"], &row["model"]),
        (&json!("Plans"), &json!("other-model"))
    );
    assert_eq!(
        (&row["thinkingLevel"], &row["pinned"]),
        (&json!("low"), &json!(true))
    );
    let found = two
        .done("sessions.resolve", json!({"label": "Plans"}))
        .await;
    assert_eq!(found["key"], "agent:main:main");
    for by in [
        json!({"label": "Plans"}),
        json!({"search": "plan"}),
        json!({"group": "Work"}),
    ] {
        let list = two.done("sessions.list", by.clone()).await;
        assert_eq!(list["count"], 1, "{by}");
    }
    one.chat("main", "again").await;
    assert_eq!(
        house.model.requests().last().unwrap().model(),
        "other-model"
    );

    let house = house.restart().await;
    let mut one = house.client(0, 4).await;
    let row = one.row("main").await;
    assert_eq!(
        (&row["label"], &row["model"]),
        (&json!("Plans"), &json!("other-model"))
    );
    one.chat("main", "/model default").await;
    one.chat("main", "back").await;
    assert_eq!(
        house.model.requests().last().unwrap().model(),
        "settings-model"
    );
    let mut two = house.client(1, 4).await;
    let row = two.row("main").await;
    assert_eq!(
        row.get("modelOverrideSource"),
        None,
        "what a person chose is set, too"
    );
    let cleared = json!({"key": "main", "label": null, "thinkingLevel": null, "pinned": false});
    two.done("sessions.patch", cleared).await;
    let row = one.row("main").await;
    assert_eq!((row.get("label"), row.get("thinkingLevel")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_set_is_refused_in_a_sentence_and_nothing_of_it_is_kept() {
    let house = House::build().await;
    let mut client = house.client(0, 4).await;
    client.chat("main", "hello").await;
    client.chat("notes", "hello").await;
    client
        .done("sessions.patch", json!({"key": "notes", "label": "Taken"}))
        .await;
    for (params, message) in [
        (
            json!({"key": "main", "thinkingLevel": "huge"}),
            "invalid thinkingLevel (use off|minimal|low|medium|high)",
        ),
        (
            json!({"key": "main", "label": "Taken"}),
            "label already in use: Taken",
        ),
        (
            json!({"key": "main", "label": "x", "nonsense": 1}),
            "invalid sessions.patch params: at root: unexpected property 'nonsense'",
        ),
        (
            json!({"key": "main", "label": "x", "execHost": "node"}),
            "execHost is not served: agents of this gateway run no commands and no tools, so it would change nothing; \
             leave it out",
        ),
        (
            json!({"key": "main", "groupActivation": "always"}),
            "groupActivation says when a group is answered, and this session is no group",
        ),
        (
            json!({"key": "main", "label": "x", "expectedSessionId": "old"}),
            "session agent:main:main has changed meanwhile; list it and try again",
        ),
        (
            json!({"label": "x"}),
            "invalid sessions.patch params: must have required property 'key'",
        ),
    ] {
        let error = client.refused("sessions.patch", params).await;
        assert_eq!(error["message"], message);
    }
    assert_eq!(client.row("main").await.get("label"), None);
    let mut writer = Client::open(house.address(1), "/", &[]).await;
    writer
        .shake(connect_with(4, |params| {
            params["scopes"] = json!(["operator.read", "operator.write"])
        }))
        .await;
    writer
        .done("sessions.patch", json!({"key": "main", "label": "Mine"}))
        .await;
    let error = writer
        .refused(
            "sessions.patch",
            json!({"key": "main", "sendPolicy": "deny"}),
        )
        .await;
    assert_eq!(error["message"], "missing scope: operator.admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_session_is_not_answered_and_a_group_is_answered_as_it_is_set() {
    let house = House::build().await;
    let mut client = house.client(0, 4).await;
    house.say(ConversationKind::Direct, "7", "hello").await;
    let key = "agent:main:loopback:dm:7";
    let texts = async |client: &mut Client, key: &str, count: usize| {
        eventually("the transcript", async || {
            let mut client = house.client(0, 4).await;
            let texts = client.texts(key).await;
            (texts.len() == count).then_some(texts)
        })
        .await;
        client.texts(key).await
    };
    texts(&mut client, key, 2).await;
    let deny = json!({"key": key, "sendPolicy": "deny"});
    client.done("sessions.patch", deny).await;
    let asked = house.model.asked();
    let refused = house
        .say(ConversationKind::Direct, "7", "are you there")
        .await;
    let seen = eventually("the refusal", async || {
        let mut events = house
            .bus
            .follow::<proto::v1::Event>("EVENT", 0)
            .await
            .unwrap();
        loop {
            let record = tokio::time::timeout(DEADLINE, events.next()).await.ok()??;
            let event = record.message?;
            if let Some(proto::v1::event::What::Refused(why)) = event.what
                && event.turn_id == refused
            {
                return Some(why.reason);
            }
        }
    })
    .await;
    assert_eq!(seen, "the session's send policy is deny");
    assert_eq!(house.model.asked(), asked);
    let error = client
        .refused(
            "chat.send",
            json!({"sessionKey": key, "message": "x", "idempotencyKey": "k"}),
        )
        .await;
    assert_eq!(error["message"], "send blocked by session policy");
    let allow = json!({"key": key, "sendPolicy": null});
    client.done("sessions.patch", allow).await;
    house.say(ConversationKind::Direct, "7", "and now").await;
    assert_eq!(texts(&mut client, key, 4).await[2], "and now");

    let group = "agent:main:loopback:group:77";
    let always = json!({"key": group, "groupActivation": "always"});
    client.done("sessions.patch", always).await;
    house
        .say(ConversationKind::Group, "77", "nobody is mentioned")
        .await;
    assert_eq!(texts(&mut client, group, 2).await[0], "nobody is mentioned");
}
