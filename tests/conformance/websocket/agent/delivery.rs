//! Answers that `agent` sends on to a platform.

use proto::{
    subject,
    v1::{
        Address, Connection, ConversationKind, Inbound, Outbound, Part, PartKind, Said, Sender,
        inbound::Body, outbound::Action,
    },
};
use tokio::sync::mpsc;

use super::super::{
    services::{Services, deliver},
    *,
};

/// Somebody writes on Telegram.
async fn write(gateway: &Gateway, text: &str) {
    let part = Part {
        kind: PartKind::Text.into(),
        text: text.into(),
        ..Part::default()
    };
    let said = Said {
        message_id: "1".into(),
        parts: vec![part],
        ..Said::default()
    };
    let inbound = Inbound {
        id: "11111111111111111111111111111111".into(),
        dedupe_key: "telegram:main:1".into(),
        address: Some(Address {
            platform: "telegram".into(),
            account: "main".into(),
            conversation: "7".into(),
            kind: ConversationKind::Direct.into(),
            ..Address::default()
        }),
        sender: Some(Sender {
            id: "7".into(),
            ..Sender::default()
        }),
        body: Some(Body::Said(said)),
        ..Inbound::default()
    };
    let to = subject::inbound(
        gateway.bus.partitions(),
        proto::v1::Priority::Normal,
        "telegram",
        "telegram:dm:7",
    );
    gateway
        .bus
        .publish(&to, &inbound.id, &inbound)
        .await
        .unwrap();
}

async fn sent(outbounds: &mut mpsc::UnboundedReceiver<Outbound>) -> (String, String) {
    let outbound = tokio::time::timeout(DEADLINE, outbounds.recv())
        .await
        .expect("something is sent")
        .unwrap();
    let Some(Action::Text(text)) = outbound.action else {
        panic!("no text")
    };
    (outbound.to.unwrap().conversation, text.markdown)
}

#[tokio::test]
async fn an_answer_goes_where_its_session_is_or_where_it_is_told_to() {
    let gateway = Gateway::start().await;
    let _house = Services::around(&gateway).await;
    let mut outbounds = deliver(&gateway, "telegram");
    let mut client = gateway.client(4).await;
    let mut params = json!({"message": "hi", "sessionKey": "agent:main:telegram:dm:7", "deliver": true, "idempotencyKey": "k1"});
    write(&gateway, "first").await;
    assert_eq!(
        sent(&mut outbounds).await,
        ("7".into(), "you said: first".into())
    );
    let mut elsewhere = params.clone();
    elsewhere["sessionKey"] = json!("agent:main:telegram:dm:9");
    let nowhere = client.refused("agent", elsewhere).await;
    assert!(
        nowhere["message"]
            .as_str()
            .unwrap()
            .contains("nobody has written"),
        "{nowhere}"
    );
    client.ask_agent("a", params.clone()).await;
    assert_eq!(client.answer("a").await["ok"], true);
    assert_eq!(
        sent(&mut outbounds).await,
        ("7".into(), "you said: hi".into())
    );
    params["channel"] = json!("telegram");
    params["to"] = json!("8");
    params["idempotencyKey"] = json!("k2");
    let unknown = client.refused("agent", params.clone()).await;
    assert!(
        unknown["message"]
            .as_str()
            .unwrap()
            .contains("no account telegram:main"),
        "{unknown}"
    );
    let account = Connection {
        platform: "telegram".into(),
        account: "main".into(),
        ..Connection::default()
    };
    let connections = gateway.bus.bucket(bus::Bucket::Connections);
    connections.put("telegram.main", &account).await.unwrap();
    client.ask_agent("b", params).await;
    client.answer("b").await;
    assert_eq!(
        sent(&mut outbounds).await,
        ("8".into(), "you said: hi".into())
    );
}
