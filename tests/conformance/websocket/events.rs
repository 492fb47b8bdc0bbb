//! What clients hear unasked.

use bus::Bucket;
use proto::v1::{Connection, ConnectionState};

use super::*;

#[tokio::test]
async fn a_connection_that_changes_is_told_to_everybody_with_a_new_version() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let mut telegram = Connection {
        platform: "telegram".into(),
        account: "main".into(),
        ..Connection::default()
    };
    telegram.set_state(ConnectionState::Connected);
    gateway
        .bus
        .bucket(Bucket::Connections)
        .put("telegram.main", &telegram)
        .await
        .unwrap();
    let mut last = 0;
    loop {
        let event = client.event("health").await;
        let version = event["stateVersion"]["health"].as_u64().unwrap();
        assert!(version > last && event["seq"].is_u64());
        last = version;
        if event["payload"]["channelOrder"] == json!(["telegram"]) {
            assert_eq!(
                event["payload"]["channels"]["telegram"]["accounts"]["main"]["connected"],
                true
            );
            break;
        }
    }
    let health = client.done("health", json!({})).await;
    assert_eq!(health["channelLabels"], json!({"telegram": "Telegram"}));
}

#[tokio::test]
async fn who_comes_and_goes_is_told_but_command_lines_are_not() {
    let gateway = Gateway::start().await;
    let mut watcher = gateway.client(4).await;
    let mut nosy = Client::open(gateway.at, "/", &[]).await;
    nosy.shake(connect_with(4, |params| params["scopes"] = json!([])))
        .await;
    let own = format!("http://{}", gateway.at);
    let mut page = Client::open(gateway.at, "/", &[("origin", &own)]).await;
    page.shake(connect_with(3, |params| {
        params["client"] = json!({"id": "webchat-ui", "version": "1", "platform": "web", "mode": "webchat",
                                  "displayName": "Desk"});
    }))
    .await;
    let here = watcher.event("presence").await;
    assert!(here["stateVersion"]["presence"].as_u64().unwrap() >= 1);
    let hosts = |event: &Value| {
        let list = event["payload"]["presence"].as_array().unwrap();
        list.iter()
            .map(|entry| entry["host"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(hosts(&here), ["gateway", "Desk"]);
    drop(page);
    let gone = watcher.event("presence").await;
    assert_eq!(hosts(&gone), ["gateway"]);
    // Presence is for readers: the client without a scope has heard nothing but what everybody hears.
    nosy.done("health", json!({})).await;
    assert!(nosy.events.iter().all(|event| event["event"] != "presence"));
}

#[tokio::test]
async fn events_are_numbered_for_each_connection_alone() {
    let gateway = Gateway::start().await;
    let (mut one, mut two) = (gateway.client(4).await, gateway.client(3).await);
    for n in 1..=3 {
        let mut connection = Connection {
            platform: "telegram".into(),
            account: format!("a{n}"),
            ..Connection::default()
        };
        connection.set_state(ConnectionState::Connected);
        gateway
            .bus
            .bucket(Bucket::Connections)
            .put(&format!("telegram.a{n}"), &connection)
            .await
            .unwrap();
    }
    for client in [&mut one, &mut two] {
        let mut seq = 0;
        loop {
            let Heard::Frame(event) = client.next().await else {
                panic!("closed")
            };
            assert_eq!(event["seq"], seq + 1);
            seq += 1;
            if event["payload"]["channels"]["telegram"]["accounts"]
                .as_object()
                .is_some_and(|all| all.len() == 3)
            {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_that_stops_says_so_ends_what_was_asked_and_closes_with_1012() {
    let gateway = Gateway::start().await;
    let (mut old, mut new) = (gateway.client(3).await, gateway.client(4).await);
    let mut unproved = Client::open(gateway.at, "/", &[]).await;
    unproved.event("connect.challenge").await;
    let send = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "k"});
    new.send(&json!({"type": "req", "id": "last", "method": "chat.send", "params": send}))
        .await;
    let Heard::Frame(answer) = new.next_answer().await else {
        panic!("closed")
    };
    assert_eq!(answer["ok"], true);
    let at = gateway.at;
    gateway.stop().await;
    let told = json!({"reason": "gateway stopping"});
    assert_eq!(new.event("shutdown").await["payload"], told);
    let told = json!({"reason": "gateway stopping", "restartExpectedMs": null});
    assert_eq!(old.event("shutdown").await["payload"], told);
    for mut client in [old, new, unproved] {
        assert_eq!(
            client.next_answer().await,
            Heard::Close(1012, "service restart".into())
        );
    }
    assert!(
        TcpStream::connect(at).await.is_err(),
        "nobody listens any more"
    );
}
