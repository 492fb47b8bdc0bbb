//! Accounts: how they do, connected anew, drained and resumed.

use adapter_loopback::{Answer, Update};
use proto::{
    subject,
    v1::{
        AccountChoice, ConnectionState, ConnectionsRequest, Event,
        connections_client::ConnectionsClient,
    },
};
use tests::eventually::eventually;
use tonic::Code;

use super::{Account, Desk, connection, is_connected, publish};

fn main() -> AccountChoice {
    AccountChoice {
        platform: "loopback".into(),
        account: String::new(),
    }
}

fn update(id: &str) -> Update {
    Update {
        id: id.into(),
        conversation: "c".into(),
        sender: "ada".into(),
        text: "hi".into(),
        ..Update::default()
    }
}

async fn heard(account: &Account) {
    eventually("the platform is heard", || async {
        (account.platform.unheard() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_listed_and_opened_anew_when_an_operator_says_so() {
    let desk = Desk::open().await;
    let account = Account::new();
    account.start(&desk).await;
    let before = connection(&desk, "connected", is_connected).await;
    let mut connections = ConnectionsClient::new(desk.door());
    let lines = connections
        .list(ConnectionsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .connections;
    assert_eq!((lines.len(), lines[0].code.as_str()), (1, ""));

    let line = connections.reconnect(main()).await.unwrap().into_inner();
    assert_eq!(
        line.connection.unwrap().state(),
        ConnectionState::Reconnecting
    );
    let anew = |now: &proto::v1::Connection| is_connected(now) && now.since_ms > before.since_ms;
    connection(&desk, "connected anew", anew).await;
    account.platform.say(update("1"));
    heard(&account).await;
    assert_eq!(account.platform.most_polls(), 1, "never two at once");
    desk.close().await;
}

#[tokio::test]
async fn credentials_that_were_mended_are_tried_at_once_by_a_reconnect() {
    let desk = Desk::open().await;
    let account = Account::new();
    account.platform.change_token("new");
    account.start(&desk).await;
    let refused = |now: &proto::v1::Connection| now.state() == ConnectionState::PermanentlyFailed;
    connection(&desk, "refused", refused).await;
    let mut connections = ConnectionsClient::new(desk.door());
    let lines = connections
        .list(ConnectionsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .connections;
    assert_eq!(lines[0].code, "CONN_002");
    assert!(lines[0].advice.contains("token"), "{}", lines[0].advice);
    account.platform.change_token("");
    connections.reconnect(main()).await.unwrap();
    connection(&desk, "connected", is_connected).await;
    desk.close().await;
}

#[tokio::test]
async fn a_drained_account_finishes_what_it_sends_hears_nothing_and_goes_on_when_resumed() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    account.start(&desk).await;
    connection(&desk, "connected", is_connected).await;
    publish(&desk, "o", "in hand").await;
    let in_hand = account.asked().await;
    let mut connections = ConnectionsClient::new(desk.door());
    let line = connections.drain(main()).await.unwrap().into_inner();
    assert!(line.advice.contains("resume"), "{}", line.advice);
    in_hand.answer(Answer::Done("1".into()));
    eventually("no poll", || async {
        (account.platform.polls() == 0).then_some(())
    })
    .await;
    eventually("what was in hand is told as sent", || async {
        let told = desk.bus.past::<Event>("EVENT", subject::SENT, 0).await;
        told.ok()?.into_iter().find_map(|record| record.message)
    })
    .await;
    connection(&desk, "drained", |now| now.error.contains("drained")).await;
    account.platform.say(update("1"));
    publish(&desk, "later", "later").await;
    eventually("nobody has it", || {
        let mut connections = connections.clone();
        async move {
            connections
                .reconnect(main())
                .await
                .err()
                .filter(|error| error.code() == Code::FailedPrecondition)
        }
    })
    .await;
    assert_eq!(account.platform.unheard(), 1);

    eventually("it takes part again", || {
        let mut connections = connections.clone();
        async move { connections.resume(main()).await.ok() }
    })
    .await;
    let request = account.asked().await;
    assert_eq!(request.text(), "later");
    request.answer(Answer::Done("2".into()));
    heard(&account).await;
    connection(&desk, "connected", is_connected).await;
    desk.close().await;
}

#[tokio::test]
async fn a_drained_account_goes_to_another_process() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    let first = account.start(&desk).await;
    connection(&desk, "connected", is_connected).await;
    let mut connections = ConnectionsClient::new(desk.door());
    connections.drain(main()).await.unwrap();
    connection(&desk, "drained", |now| now.error.contains("drained")).await;
    account.start(&desk).await;
    connection(&desk, "connected again", is_connected).await;
    publish(&desk, "o", "hello").await;
    account.asked().await.answer(Answer::Done("1".into()));
    first.cancel();
    account.platform.say(update("1"));
    heard(&account).await;
    assert_eq!(account.platform.most_polls(), 1);
    desk.close().await;
}

#[tokio::test]
async fn an_account_that_is_not_there_is_refused_with_those_that_are() {
    let desk = Desk::open().await;
    let account = Account::new();
    account.start(&desk).await;
    connection(&desk, "connected", is_connected).await;
    let mut connections = ConnectionsClient::new(desk.door());
    let wrong = AccountChoice {
        platform: "telegram".into(),
        account: "second".into(),
    };
    let refused = connections.drain(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(
        refused.message().contains("there are loopback:main"),
        "{refused}"
    );
    desk.close().await;
}
