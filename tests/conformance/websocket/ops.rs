//! What operators see and decide over the WebSocket: the admin API in JSON, behind scopes.

use bus::Bucket;
use chassis::clock::now_ms;
use proto::v1::{Connection, ConnectionState, PairingEntry};

use super::*;

#[tokio::test]
async fn states_are_told_by_name_and_what_is_missing_says_so() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let mut connection = Connection {
        platform: "telegram".into(),
        account: "main".into(),
        error: "Unauthorized".into(),
        received: 7,
        ..Connection::default()
    };
    connection.set_state(ConnectionState::PermanentlyFailed);
    let connections = gateway.bus.bucket(Bucket::Connections);
    connections.put("telegram.main", &connection).await.unwrap();
    let told = client.done("ops.connections.list", json!({})).await;
    let line = &told["connections"][0];
    assert_eq!(
        (
            &line["connection"]["state"],
            &line["connection"]["received"],
            &line["code"]
        ),
        (&json!("permanently_failed"), &json!(7), &json!("CONN_002"))
    );
    let queues = client.done("ops.queues.list", json!({})).await;
    let names: Vec<_> = queues["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| &queue["stream"])
        .collect();
    assert_eq!(names, ["IN", "TURN", "OUT", "LATER", "DEAD", "EVENT"]);
    let gone = client
        .refused("ops.dead.show", json!({"sequence": 9}))
        .await;
    assert!(
        gone["message"]
            .as_str()
            .unwrap()
            .contains("no dead letter 9")
    );
    let careless = client.refused("ops.dead.drop", json!({})).await;
    assert!(
        careless["message"]
            .as_str()
            .unwrap()
            .starts_with("say which")
    );
    let away = client
        .refused("ops.connections.reconnect", json!({"platform": "slack"}))
        .await;
    assert!(
        away["message"]
            .as_str()
            .unwrap()
            .contains("there are telegram:main")
    );
}

#[tokio::test]
async fn a_message_for_later_is_kept_shown_and_taken_back() {
    let gateway = Gateway::start().await;
    let (mut client, mut page) = (gateway.client(4).await, gateway.client(4).await);
    let connection = Connection {
        platform: "telegram".into(),
        account: "main".into(),
        ..Connection::default()
    };
    let connections = gateway.bus.bucket(Bucket::Connections);
    connections.put("telegram.main", &connection).await.unwrap();
    let message = json!({"platform": "telegram", "conversation": "7", "text": "happy new year",
                         "idempotencyKey": "ny", "atMs": now_ms() + 3_600_000});
    let sent = client.done("ops.send", message.clone()).await;
    assert_eq!(sent, json!({"id": "send-ny", "duplicate": false}));
    assert_eq!(
        page.event("ops.changed").await["payload"],
        json!({"what": "schedules"})
    );
    let listed = client.done("ops.schedules.list", json!({})).await;
    let one = &listed["schedules"][0];
    assert_eq!(
        (&one["text"], &one["to"]["conversation"], &listed["total"]),
        (&json!("happy new year"), &json!("7"), &json!(1))
    );
    client
        .done("ops.schedules.cancel", json!({"id": "send-ny"}))
        .await;
    let gone = client
        .refused("ops.schedules.cancel", json!({"id": "send-ny"}))
        .await;
    assert!(
        gone["message"]
            .as_str()
            .unwrap()
            .contains("it may have been sent")
    );
    let mut wrong = message;
    wrong["idempotencyKey"] = "a.b".into();
    let wrong = client.refused("ops.send", wrong).await;
    assert!(
        wrong["message"]
            .as_str()
            .unwrap()
            .contains("a UUID will do")
    );
}

#[tokio::test]
async fn who_asks_to_be_let_in_is_told_to_those_who_decide_and_to_nobody_else() {
    let gateway = Gateway::start().await;
    let mut reader = Client::open(gateway.at, "/", &[]).await;
    let scopes = |scopes: Value| connect_with(4, |params| params["scopes"] = scopes);
    reader.shake(scopes(json!(["operator.read"]))).await;
    let mut door = Client::open(gateway.at, "/", &[]).await;
    door.shake(scopes(json!(["operator.pairing"]))).await;
    let entry = PairingEntry {
        code: "ABCD2345".into(),
        platform: "telegram".into(),
        account: "main".into(),
        sender_id: "5".into(),
        expires_at_ms: now_ms() + 60_000,
        ..PairingEntry::default()
    };
    let people = gateway.bus.bucket(Bucket::People);
    people.put("ask.ABCD2345", &entry).await.unwrap();
    assert_eq!(
        door.event("ops.changed").await["payload"],
        json!({"what": "people"})
    );
    let pending = door.done("ops.people.list", json!({})).await;
    assert_eq!(pending["pending"][0]["senderId"], "5");
    for method in [
        "ops.people.list",
        "ops.people.approve",
        "ops.dead.drop",
        "ops.send",
    ] {
        let error = reader.refused(method, json!({})).await;
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with("missing scope: "),
            "{method}"
        );
    }
    assert!(
        reader
            .events
            .iter()
            .all(|event| event["event"] != "ops.changed")
    );
    let approved = door
        .done("ops.people.approve", json!({"code": "abcd2345"}))
        .await;
    assert!(approved["decidedAtMs"].as_i64().unwrap() > 0);
}
